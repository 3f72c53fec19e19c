"""A wire with nothing on it but one card slot, and the terminal's half of a payment as bytes."""

from __future__ import annotations

from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_card import WireCardSlot
from firmware.drivers.chip_reader import ChipReader
from host_tools.emulator.chips.card import Card
from host_tools.emulator.chips.card_slot import CardSlotChip
from host_tools.emulator.chips.errors import ChipError


class CardWire(Wire):
    """Carries transfers to ``slot`` and keeps what went by."""

    def __init__(self) -> None:
        self.slot = CardSlotChip()
        self.log: list[tuple[bytes, bytes]] = []

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        if bus != "card":
            raise BusError("no bus " + bus)
        try:
            answer, busy = self.slot.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from error
        if op == 3:
            self.log.append((payload, answer))
        return answer, busy


def reader_with(card: Card | None = None) -> tuple[ChipReader, CardWire]:
    """A chip reader on a wire of its own, with ``card`` in the slot."""
    wire = CardWire()
    if card is not None:
        wire.slot.insert(card)
    return ChipReader(WireCardSlot(wire, "card")), wire
