"""The channel of a contactless card, over whatever carries its APDUs."""

from firmware.drivers.chip_reader import ChipChannel
from firmware.hal.contactless import TapChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.card_slot import CardSlot


class FieldChannel(ChipChannel, TapChannel):
    """A card in the field: APDUs pass whole, as with T=1."""

    def __init__(self, slot: "CardSlot", answer: bytes, kind: str) -> None:
        super().__init__(slot, answer, 1)
        self.kind = kind
