"""Seeded faults of a modem under the link supervisor: how long until service is back."""

import random
from dataclasses import dataclass

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers.tls_link import TlsLink
from firmware.hal.bearer import UP
from firmware.hal.network import NetworkLink
from firmware.services.link_probe import REACHED, UNREACHED
from firmware.services.link_supervisor import LinkSupervisor, Way
from tests.support.modem_rig import ModemRig
from tests.support.tls_pki import MemoryNet
from tests.support.virtual_time import run

FAMILIES = ("generic", "ec25", "ec200", "sim7600", "a7670")
#: How a modem dies, with the shares of field reports: the data path alone, the
#: whole modem, registration that never comes back after a cell was lost, a modem
#: that dies of the gentle cure, and a call that the network keeps ending.
KINDS = ("data", "mute", "slow", "cfun", "drop", "unplug")
#: What cures a dead data path or modem, gentlest first; a harder act cures as well.
CURES = ("bearer", "radio", "modem", "usb", "power", "reboot")
#: Restarting the terminal: what its kernel, ours and the self-test take.
REBOOT_MS = 30000


@dataclass
class Outcome:
    """``kind``, ``cure``: what was wrong. ``took_ms``: from death to service."""

    seed: int
    family: str
    kind: str
    cure: str
    took_ms: int
    steps: list[str]


class _Terminal:
    """Supervisor over one modem; a reboot makes the supervisor anew. ``beacon``: it asks
    somebody else as well, over the same data path."""

    def __init__(self, rig: ModemRig, beacon: bool = False) -> None:
        self.rig = rig
        asked = self._probe if beacon else None
        self.way = Way("mobile", rig.modem, self._link(), self._probe, beacon=asked)
        self.supervisor = LinkSupervisor([self.way], self._reboot)
        self.steps: list[str] = []
        self.reboots = 0

    @staticmethod
    def _link() -> NetworkLink:
        return TlsLink(MemoryNet(lambda data: b""))

    async def _probe(self, link: NetworkLink, timeout_ms: int) -> str:
        return REACHED if await self.rig.carrier.alive(timeout_ms) else UNREACHED

    async def _reboot(self, cause: str) -> bool:
        if self.reboots:
            return False  # at most hourly
        self.reboots += 1
        # The board's supply goes down with it.
        self.rig.chip.act("reboot")
        await aio.sleep_ms(REBOOT_MS)
        try:
            await self.rig.modem.start(60_000)
        except aio.CancelledError:
            raise
        return True

    async def served(self) -> bool:
        """Whether bytes go end to end now, without disturbing anyone."""
        chip = self.rig.chip
        call = chip.port(1)
        return (
            call.data_mode
            and not chip.faults.mute
            and not chip.faults.data_dead
            and not self.rig.wire.unplugged
            and self.way.state == UP
        )


def _strike(rig: ModemRig, kind: str, cure: str, fate: random.Random) -> None:
    faults = rig.chip.faults
    harder = CURES[CURES.index(cure) :]
    faults.cured_by = frozenset(harder)
    if kind == "data":
        faults.data_dead = True
    elif kind == "mute":
        faults.mute = True
    elif kind == "slow":
        rig.chip.register_us = fate.randrange(2_000_000, 12_000_000)
        faults.slow_us = 50 * 60_000_000
        rig.chip.drop_registration()
    elif kind == "cfun":
        faults.data_dead = True
        faults.mute_after_radio = True
    elif kind == "drop":
        rig.chip.drop_registration()
    else:
        rig.wire.unplugged = True


async def _simulate(seed: int) -> Outcome:
    fate = random.Random(seed)
    family = fate.choice(FAMILIES)
    kind = KINDS[seed % len(KINDS)]
    low = 3 if kind in ("mute", "cfun") else 0
    # Of ten dead modems, about one needs more than its supply switched.
    cure = fate.choices(CURES[low:], [6, 4, 3, 3, 3, 1][low:])[0]
    rig = ModemRig(family, seed=seed)
    rig.chip.register_us = fate.randrange(1_000_000, 8_000_000)
    outcome = await _struck(_Terminal(rig), kind, cure, fate)
    outcome.seed, outcome.family = seed, family
    return outcome


async def _struck(terminal: _Terminal, kind: str, cure: str, fate: random.Random) -> Outcome:
    rig = terminal.rig
    terminal.supervisor.start()
    while not await terminal.served():
        await aio.sleep_ms(500)
    await aio.sleep_ms(fate.randrange(60_000))
    struck = aio.ticks_ms()
    _strike(rig, kind, cure, fate)
    replug = None
    if kind == "unplug":
        replug = aio.spawn("replug", _replug(rig, fate.randrange(1000, 20_000)))
    await aio.sleep_ms(100)
    while not await terminal.served():
        await aio.sleep_ms(250)
        if aio.elapsed_ms(struck) > 30 * 60_000:
            break
    took = aio.elapsed_ms(struck)
    if replug is not None:
        await replug.join()
    steps = [repr(step) for step in terminal.supervisor.steps]
    try:
        await terminal.supervisor.stop()
    except BusError as error:
        raise AssertionError(f"{kind}, {cure}: {error}") from error
    return Outcome(0, "", kind, cure, took, steps)


async def _replug(rig: ModemRig, after_ms: int) -> None:
    """The USB device comes back after a while, restarted."""
    await aio.sleep_ms(after_ms)
    rig.wire.unplugged = False
    rig.wire.generation += 1
    rig.chip.act("usb")


def last_resort(family: str, kind: str) -> Outcome:
    """A death that only the terminal's restart cures, with a modem that is slow to
    register and a beacon that is asked too, on virtual time."""

    async def main() -> Outcome:
        rig = ModemRig(family)
        rig.chip.register_us = 8_000_000
        return await _struck(_Terminal(rig, True), kind, "reboot", random.Random(family))

    return run(main(), limit_s=7200.0)


def simulate(seed: int) -> Outcome:
    """One fault on virtual time."""
    return run(_simulate(seed), limit_s=7200.0)
