"""Conformance of hal.tamper: what every tamper driver must do."""

import pytest

from firmware import aio
from firmware.buses.wire_bus import WirePins
from firmware.drivers.tamper_pin import TamperPin
from firmware.hal.tamper import TamperError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


def _make() -> tuple[TamperPin, Rack]:
    rack = rig.rack()
    return TamperPin(WirePins(rack, "gpio"), 14), rack


def test_closed_open_closed() -> None:
    async def main() -> None:
        tamper, rack = _make()
        assert not await tamper.open()
        rack.tamper.set(False)
        assert await tamper.open()
        rack.tamper.set(True)
        assert not await tamper.open()

    run(main())


def test_waiting_ends_when_the_case_opens_and_may_be_cancelled() -> None:
    async def main() -> None:
        tamper, rack = _make()
        for _ in range(5):
            name, _ = await aio.first(("open", tamper.wait_open()), timeout_ms=1234)
            assert name == "timeout"
        rack.tamper.set(False)
        start = aio.ticks_ms()
        await tamper.wait_open()
        assert aio.elapsed_ms(start) <= 200

    run(main())


def test_a_glitch_is_no_opening() -> None:
    async def main() -> None:
        tamper, rack = _make()
        task = aio.spawn("wait", tamper.wait_open())
        for _ in range(20):
            await aio.sleep_ms(170)
            rack.tamper.set(False)
            await aio.sleep_ms(40)
            rack.tamper.set(True)
        assert not task.done.is_set()
        task.cancel()

    run(main())


def test_a_circuit_that_cannot_be_read_is_an_error() -> None:
    async def main() -> None:
        tamper, rack = _make()
        rack.pins.count = 0
        with pytest.raises(TamperError):
            await tamper.open()
        with pytest.raises(TamperError):
            await tamper.wait_open()
        with pytest.raises(TamperError):
            TamperPin(WirePins(rack, "gpio"), 14)

    run(main())
