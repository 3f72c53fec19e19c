"""A wire with nothing on it but a card slot without a coprocessor: a serial line and pins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firmware.buses.card_line import CardLine
from firmware.buses.contact_slot import ContactSlot
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WirePins, WireSerial
from firmware.drivers.chip_reader import ChipReader
from host_tools.emulator.chips.bare_contacts import BareContacts
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.pins import PinBank

PRESENT, POWER, RESET = (3, 0), (4, 0), (5, 0)


def _now_us() -> int:
    """Virtual time of the running loop; 0 before there is one."""
    try:
        return int(asyncio.get_running_loop().time() * 1_000_000)
    except RuntimeError:
        return 0


class BareWire(Wire):
    """Carries transfers to ``chip`` and its pins."""

    def __init__(self, seed: int = 0) -> None:
        self.pins = PinBank(_now_us)
        self.chip = BareContacts(_now_us, self.pins, PRESENT, POWER, RESET, seed=seed)
        self.broken = False

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        seats: dict[str, Callable[[int, bytes], tuple[bytes, int]]] = {
            "contacts": self.chip.transfer,
            "gpio": self.pins.transfer,
        }
        if self.broken or bus not in seats:
            raise BusError("no bus " + bus)
        try:
            return seats[bus](op, payload)
        except ChipError as error:
            raise BusError(str(error)) from error


def reader_with(*, echo: bool = True, seed: int = 0) -> tuple[ChipReader, ContactSlot, BareWire]:
    """A chip reader on contacts of its own."""
    wire = BareWire(seed)
    port = ReopenedSerial(lambda: WireSerial(wire, "contacts", 9600), 9600)
    line = CardLine(port, WirePins(wire, "gpio"), PRESENT, POWER, RESET, echo)
    slot = ContactSlot(line)
    return ChipReader(slot), slot, wire
