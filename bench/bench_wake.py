"""Wake from link loss, in virtual time: from the moment that a link is there again to the first
echo of the test bank (0800, 0810) over mutual TLS through it.

A handheld with Wi-Fi and a modem at the wire loses both: the access point is switched off, the
modem's network goes and its call with it. After an outage one of them comes back, and the host
is asked for an echo, again as soon as a try failed, as a merchant who waits would. Outages are
from 45 s to 15 minutes, so that some end while the ladder rests after a climb in vain. Counted
are the association or the registration (4 s) too, which no firmware can hasten.

The aims: while the ladder rests, a link is called or joined again at each look, 15 s apart, and a
look takes up to 8 s: 24 s for Wi-Fi. A modem may be in the middle of a reset: the ladder's stated
bound, 90 s median and 300 s at worst. All figures are of this model; no radio was at hand.
"""

import asyncio
import random
import statistics
from typing import Any

from firmware import aio
from firmware.app import boot
from firmware.errors import TillError
from host_tools.emulator.chips.wlan_radio import UP
from tests.support import linked

Row = tuple[str, float, float, str, float, str]

#: Seconds without any link.
OUTAGES = (45, 90, 180, 300, 600, 900)
REGISTER_US = 4_000_000
#: A wake that takes longer ends the bench.
GIVE_UP_S = 1200
#: Between two tries of a merchant who waits.
AGAIN_MS = 500
BOUND_MEDIAN_S, BOUND_WORST_S = 90.0, 300.0


async def _echo(terminal: Any) -> bool:
    async with terminal.session.lock:
        try:
            await terminal.session.echo()
        except TillError:
            return False
    return True


async def _until_echo(terminal: Any) -> float:
    """Seconds until the bank has answered."""
    began = aio.ticks_ms()
    while not await _echo(terminal):
        if aio.elapsed_ms(began) > GIVE_UP_S * 1000:
            raise SystemExit(f"bench: no echo within {GIVE_UP_S} s")
        await aio.sleep_ms(AGAIN_MS)
    return aio.elapsed_ms(began) / 1000


def _gate(t: linked.Linked) -> None:
    """The bank is reached only through what the chips really have, whatever the
    drivers believe."""
    dial = t.rack.net.dial

    def through(host: str, port: int) -> Any:
        if t.dialling == "wifi":
            there = t.rack.radio.state()[0] == UP
        else:
            there = t.modem.faults.registration == 1 and t.modem.port(1).data_mode
        return dial(host, port) if there and dial is not None else None

    t.rack.net.dial = through


def _lose(t: linked.Linked) -> None:
    t.rack.net.cut()
    for ap in t.air.values():
        ap.on = False
    t.rack.radio.state()  # it looks for beacons when it is asked
    t.modem.faults.registration = 2
    t.modem.drop_registration()


def _bring_back(t: linked.Linked, name: str) -> None:
    t.rack.radio.state()
    if name == "wifi":
        t.air[linked.SHOP].on = True
    else:
        t.modem.register_us = REGISTER_US
        t.modem.faults.registration = 1
        t.modem.drop_registration()


def wake(name: str, outage_s: float) -> float:
    """Seconds from the return of "wifi" or "mobile" to the first echo."""
    took = 0.0
    terminals = []
    begin = boot.boot

    async def kept(*given: Any) -> Any:
        terminals.append(await begin(*given))
        return terminals[-1]

    async def story(t: linked.Linked) -> None:
        nonlocal took
        _gate(t)
        await t.power_on()
        await _until_echo(terminals[0])
        await asyncio.sleep(60)
        _lose(t)
        await asyncio.sleep(outage_s)
        _bring_back(t, name)
        took = await _until_echo(terminals[0])
        if t.dialling != name:
            raise SystemExit(f"bench: {t.dialling} carried the echo in place of {name}")

    boot.boot = kept  # type: ignore[assignment]  # the same with a memory
    try:
        linked.tell(story)
    finally:
        boot.boot = begin
    return took


def rows(outages: tuple[int, ...] = OUTAGES) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    out: list[Row] = []
    fate = random.Random(1)
    for name, words, median, worst in (
        ("wifi", "Wi-Fi", 24.0, 24.0),
        ("mobile", "modem", BOUND_MEDIAN_S, BOUND_WORST_S),
    ):
        spent = [wake(name, outage + fate.random() * 15) for outage in outages]
        for what, figure, bound in (
            ("median", statistics.median(spent), median),
            ("worst", max(spent), worst),
        ):
            out.append(
                (f"wake from link loss, {words} back to host echo, {what} of {len(spent)} "
                 "(peer: the bound)", figure, bound, "s", figure / bound, f"at most {bound:g} s")
            )  # fmt: skip
    return out


if __name__ == "__main__":
    for row in rows():
        print(row)
