"""A wire with nothing on it but a card reader coprocessor on a serial port."""

from __future__ import annotations

import asyncio

from firmware.buses.alpar import AlparSlot
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.chip_reader import ChipReader
from host_tools.emulator.chips.alpar import AlparChip
from host_tools.emulator.chips.errors import ChipError


def _now_us() -> int:
    """Virtual time of the running loop; 0 before there is one."""
    try:
        return int(asyncio.get_running_loop().time() * 1_000_000)
    except RuntimeError:
        return 0


class AlparWire(Wire):
    """Carries transfers to ``chip``."""

    def __init__(self, seed: int = 0) -> None:
        self.chip = AlparChip(_now_us, seed=seed)

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        if bus != "reader":
            raise BusError("no bus " + bus)
        try:
            return self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from error


def reader_with(
    *, volts: str = "5", pps: bool = False, seed: int = 0
) -> tuple[ChipReader, AlparSlot, AlparWire]:
    """A chip reader on a coprocessor of its own, whose port can be unplugged."""
    wire = AlparWire(seed)
    port = ReopenedSerial(lambda: WireSerial(wire, "reader", 38400), 38400)
    slot = AlparSlot(port, volts, pps)
    return ChipReader(slot), slot, wire
