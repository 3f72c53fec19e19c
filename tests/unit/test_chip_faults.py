"""Panels, clocks, gauges, switches and lamps whose bus fails or lies at every transfer."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import aio
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireDisplay, WireI2c, WirePins
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.key_matrix import KeyMatrix
from firmware.drivers.lamps import LampsAndBuzzer
from firmware.drivers.max17048 import Max17048
from firmware.drivers.tamper_pin import TamperPin
from firmware.errors import TillError
from firmware.hal.clock import ClockError
from firmware.hal.display import Display, DisplayError
from firmware.hal.indicators import IndicatorError
from firmware.hal.keypad import KeypadError
from firmware.hal.power import PowerError
from firmware.hal.tamper import TamperError
from host_tools.emulator.rack import Rack
from tests.conformance.test_display import PANELS
from tests.support import rig
from tests.support.virtual_time import run


class Cut(Wire):
    """A wire that is cut after so many transfers, and may lie from then on instead."""

    def __init__(self, rack: Rack) -> None:
        self.rack = rack
        self.count = 0
        self.after: int | None = None
        self.lies: random.Random | None = None

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        self.count += 1
        if self.after is None or self.count <= self.after:
            return self.rack.transfer(bus, op, payload)
        if self.lies is None or self.lies.random() < 0.2:
            raise BusError("no answer")
        size = len(self.rack.transfer(bus, op, payload)[0])
        return self.lies.randbytes(size if self.lies.random() < 0.8 else size + 1), 0


def _bytes(draw: random.Random, display: Display) -> bytes:
    return draw.randbytes(display.width * display.height // 8)


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: f"{p[0]['driver']}-{p[1].__name__}")
def test_a_panel_cut_off_at_any_transfer_is_named_and_comes_back_whole(panel: Any) -> None:
    settings, driver = panel
    size = settings["width"], settings["height"], settings.get("column_offset", 0)

    class Counted(WireDisplay):
        """Each command and each run of memory is a transfer of its own, as on I2C."""

        def write(self, parts: list[tuple[bytes, bytes | bytearray]]) -> None:
            for commands, memory in parts:
                self.command(*commands)
                self.data(memory)

    async def story(after: int | None) -> int:
        draw = random.Random(1)
        rack = rig.rack({**rig.board(), "display": settings})
        cut = Cut(rack)
        display: Display | None = None
        cut.after = after
        try:
            display = driver(Counted(cut, "panel"), settings["driver"], *size)
            await display.show(_bytes(draw, display))
            await display.contrast(9)
            await display.power(False)
            await display.power(True)
            await display.show(_bytes(draw, display))
        except DisplayError:
            assert after is not None
        else:
            assert after is None
        cut.after, count = None, cut.count
        if display is None:
            display = driver(Counted(cut, "panel"), settings["driver"], *size)
        else:
            await display.restart()
        frame = _bytes(draw, display)
        await display.show(frame)
        assert bytes(rack.display.frame()) == frame
        return count

    count = run(story(None))
    for after in range(0, count, max(count // 12, 1)):
        run(story(after))


async def _clock(wire: Wire) -> list[Callable[[], Awaitable[object]]]:
    chip = Ds3231(WireI2c(wire, "i2c"))
    return [chip.now, lambda: chip.set(1_800_000_000), chip.now]


async def _gauge(wire: Wire) -> list[Callable[[], Awaitable[object]]]:
    chip = Max17048(WireI2c(wire, "i2c"), 0x36, WirePins(wire, "gpio"), 20)
    return [chip.status, chip.status]


async def _tamper(wire: Wire) -> list[Callable[[], Awaitable[object]]]:
    switch = TamperPin(WirePins(wire, "gpio"), rig.board()["tamper"]["pin"])
    return [switch.open, lambda: aio.first(("open", switch.wait_open()), timeout_ms=500)]


async def _lamps(wire: Wire) -> list[Callable[[], Awaitable[object]]]:
    lamps = LampsAndBuzzer(WirePins(wire, "gpio"), {"ok": 11}, 13)

    async def sound() -> None:
        await lamps.sound("error")
        await aio.sleep_ms(300)
        await lamps.sound("ok")

    return [lambda: lamps.lamp("ok", True), sound, sound, lambda: lamps.lamp("ok", False)]


async def _keys(wire: Wire) -> list[Callable[[], Awaitable[object]]]:
    pad = rig.board()["keypad"]
    keypad = KeyMatrix(WirePins(wire, "gpio"), pad["rows"], pad["columns"], pad["keys"])

    async def read() -> None:
        await aio.first(("key", keypad.read()), timeout_ms=400)

    return [read, read, read]


CHIPS = [
    (_clock, ClockError), (_gauge, PowerError), (_tamper, TamperError),
    (_lamps, IndicatorError), (_keys, KeypadError),
]  # fmt: skip


@pytest.mark.parametrize("lies", [False, True], ids=["cut", "lies"])
@pytest.mark.parametrize(("make", "error"), CHIPS, ids=[make.__name__ for make, _ in CHIPS])
def test_a_chip_that_goes_at_any_transfer_is_named_by_its_own_error(
    make: Callable[[Wire], Awaitable[list[Callable[[], Awaitable[object]]]]],
    error: type[TillError],
    lies: bool,
) -> None:
    async def story(after: int | None, seed: int) -> int:
        cut = Cut(rig.rack())
        cut.after = after
        cut.lies = random.Random(seed) if lies else None
        named = 0
        try:
            for act in await make(cut):
                try:
                    await aio.deadline(60_000, act(), "an answer")
                except error:
                    named += 1
        except error:
            named += 1
        assert named or after is None or lies
        cut.after, count = None, cut.count
        for act in await make(cut):  # whole again: nothing is left of it
            await act()
        return count

    count = run(story(None, 0))
    for after in range(0, count, max(count // 25, 1)):
        for seed in range(5 if lies else 1):
            run(story(after, seed))
