"""PPP of a MicroPython port over a modem's call, and the virtual network at its far end."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from firmware import aio
from firmware.buses.ppp_mpy import MpyPpp
from firmware.buses.serial_mpy import MpySerial
from firmware.buses.wire import BusError
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerError
from host_tools.emulator.chips import ppp
from host_tools.emulator.chips.ppp import NOBODY, PppEnd
from host_tools.emulator.chips.ppp_network import PppNetwork
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.mcu import installed
from tests.support.virtual_time import run

ADDRESS, SERVER, NAMES = bytes((10, 64, 0, 7)), bytes((10, 64, 0, 1)), bytes((10, 64, 0, 53))


def now_ms() -> int:
    return aio.ticks_ms()


def on_a_modem(story: Callable[..., Any], ours: tuple[str, str] | None = None, **far: Any) -> None:
    """Run ``story(modem, rack, calls)``: a modem on the chip's second UART."""

    async def main() -> None:
        rack = rig.rack()
        calls: list[PppNetwork] = []

        def dial() -> PppNetwork:
            calls.append(PppNetwork(now_ms, **far))
            return calls[-1]

        rack.modem.dial = dial
        with installed(rack, {"pins": "gpio", "uart1": "modem"}, "esp32"):
            port = MpySerial(1, 115200, 17, 18)
            carrier = MpyPpp(port, *(ours or ()))
            await story(AtModem(port, carrier, "cmnet"), rack, calls)

    run(main())


@pytest.mark.parametrize("login", [None, ("card", "secret")])
def test_a_call_becomes_a_network_and_ends(login: tuple[str, str] | None) -> None:
    async def story(modem: AtModem, rack: Rack, calls: list[PppNetwork]) -> None:
        await modem.start(60_000)
        status = await modem.status()
        assert (status.state, status.cause) == (bearer.UP, "")
        assert status.address == "10.64.0.7"
        assert calls[0].end.up and calls[0].end.damaged == 0
        await modem.start(60_000)  # harmless
        assert len(calls) == 1
        await modem.stop()
        await modem.stop()
        assert calls[0].end.ended == ppp.HUNG_UP and calls[0].closed
        assert (await modem.status()).state == bearer.DOWN
        await modem.start(60_000)
        assert calls[1].end.up
        await modem.reset("bearer", 60_000)
        assert calls[2].end.up and calls[1].closed

    on_a_modem(story, login, login=login)


@pytest.mark.parametrize(
    ("login", "far", "words"),
    [
        (("card", "wrong"), {"login": ("card", "secret")}, "status -7"),
        (None, {"login": ("card", "secret")}, "status"),
        (None, {"mute": True}, "status -9|longer than"),
    ],
)
def test_a_network_that_does_not_agree_is_named_in_time(
    login: tuple[str, str] | None, far: dict[str, Any], words: str
) -> None:
    async def story(modem: AtModem, rack: Rack, calls: list[PppNetwork]) -> None:
        began = aio.ticks_ms()
        with pytest.raises(BearerError, match=words) as caught:
            await modem.start(45_000)
        assert aio.elapsed_ms(began) <= 46_000
        assert "wrong" not in str(caught.value)
        status = await modem.status()
        assert (status.state, status.address) == (bearer.DOWN, "")
        far_end = calls[-1]
        await modem.stop()
        assert not far_end.end.up

    on_a_modem(story, login, **far)


def test_a_second_start_after_a_silent_network_gets_through() -> None:
    async def story(modem: AtModem, rack: Rack, calls: list[PppNetwork]) -> None:
        with pytest.raises(BearerError):
            await modem.start(20_000)
        rack.modem.dial = lambda: calls.append(PppNetwork(now_ms)) or calls[-1]  # type: ignore[func-returns-value]
        await modem.reset("bearer", 60_000)
        assert (await modem.status()).state == bearer.UP

    on_a_modem(story, mute=True)


def test_a_network_that_hangs_up_is_lost() -> None:
    async def story(modem: AtModem, rack: Rack, calls: list[PppNetwork]) -> None:
        carrier: Any = modem._carrier
        assert carrier.lost() == ""
        await modem.start(60_000)
        assert carrier.lost() == ""
        calls[0].end.hang_up()
        assert carrier.lost() == ""  # its farewell is on the line
        await aio.sleep_ms(500)
        assert "ended" in carrier.lost()
        await modem.reset("bearer", 60_000)
        assert carrier.lost() == "" and calls[1].end.up
        await modem.stop()
        assert carrier.lost() == ""

    on_a_modem(story)


def test_an_image_without_ppp_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with installed(rig.rack(), {"pins": "gpio"}, "esp32"):
            port = MpySerial(1, 115200, 17, 18)
            monkeypatch.setitem(sys.modules, "network", types.ModuleType("network"))
            with pytest.raises(BusError, match="no PPP"):
                MpyPpp(port)

    run(main())


# ---- the line itself ----------------------------------------------------------------------


class Line:
    """Two ends, and what happens to the bytes between them."""

    def __init__(self, login: Any = None, asked: Any = None) -> None:
        self.now = 0
        self.network = PppEnd(lambda: self.now, SERVER, ADDRESS, NAMES, asked)
        self.terminal = PppEnd(lambda: self.now, login=login)
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.network.begin()
        self.terminal.begin()

    def turn(self, ms: int = 0) -> None:
        self.now += ms
        for _ in range(12):
            self.network.feed(self.spoil(self.terminal.take()))
            self.terminal.feed(self.spoil(self.network.take()))


def test_both_ends_agree_on_addresses() -> None:
    line = Line()
    line.turn()
    assert line.network.up and line.terminal.up
    assert (line.terminal.address, line.terminal.dns) == (ADDRESS, NAMES)
    line.terminal.feed(ppp.frame(ppp.IP, bytes(20)))
    assert line.terminal.ip_packets == 1
    line.terminal.feed(ppp.frame(ppp.LCP, b"\x09\x07\x00\x08" + NOBODY))
    assert line.terminal.take() == ppp.frame(ppp.LCP, b"\x0a\x07\x00\x08" + NOBODY)
    line.terminal.feed(ppp.frame(0x80FD, b"\x01\x01\x00\x04"))  # compression control
    assert line.terminal.take() == ppp.frame(ppp.LCP, b"\x08\x01\x00\x0a\x80\xfd\x01\x01\x00\x04")
    line.network.hang_up()
    line.turn()
    assert line.terminal.ended == line.network.ended == ppp.HUNG_UP
    assert not line.terminal.up and not line.network.up


def test_lost_and_damaged_frames_are_asked_for_again() -> None:
    line = Line()
    lost = [2, 1, 0, 1]
    seen = 0

    def spoil(data: bytes) -> bytes:
        nonlocal seen
        seen += 1
        if seen <= len(lost) and lost[seen - 1]:
            return b"" if lost[seen - 1] == 2 else data.replace(b"\xc0", b"\xc1", 1)
        return data

    line.spoil = spoil
    for _ in range(6):
        line.turn(ppp.AGAIN_MS)
    assert line.network.up and line.terminal.up
    assert line.network.damaged + line.terminal.damaged > 0


def test_nobody_there_ends_after_ten_tries() -> None:
    alone = Line()
    for _ in range(ppp.TRIES):
        alone.now += ppp.AGAIN_MS
        alone.terminal.take()
    assert alone.terminal.ended == ppp.NO_ANSWER
    assert alone.now == ppp.TRIES * ppp.AGAIN_MS


def test_what_the_other_may_not_have_is_refused() -> None:
    end = PppEnd(lambda: 0)
    end.begin()
    end.take()
    wanted = ppp.packed([(1, b"\x05\xdc"), (7, b""), (8, b"")])
    end.feed(ppp.frame(ppp.LCP, b"\x01\x05" + (4 + len(wanted)).to_bytes(2, "big") + wanted))
    assert ppp.frame(ppp.LCP, b"\x04\x05\x00\x08" + ppp.packed([(7, b""), (8, b"")])) in end.take()
    end.feed(b"\x7e" + bytes(3000) + b"\x7e" + b"\x7e\x01\x7d\x7e")
    assert end.damaged == 2


def test_the_checksum_is_the_standards() -> None:
    # RFC 1662, C.2: data and checksum together give the constant F0B8h.
    body = b"\xff\x03\xc0\x21" + b"any packet"
    good = body + ppp.checksum(body).to_bytes(2, "little")
    assert ppp.checksum(good) ^ 0xFFFF == 0xF0B8
