"""Chip: a contactless reader behind PC/SC, as its host sees it. Wire kind "card".

It polls by itself, gives a card's answers of ISO/IEC 14443 as an answer to
reset, and shows no card at all while two are in reach.
"""

from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.field_card import Antenna

#: Looking, and resetting a card, in us.
BUSY_LOOK, BUSY_RESET = 20, 30_000


class FieldSlot(Antenna):
    """``put`` and ``take`` are the hand with the cards."""

    def __init__(self) -> None:
        super().__init__()
        self.unplugged = False
        #: APDUs that reached a card.
        self.exchanges: list[bytes] = []

    def reset(self) -> None:
        """Plugged in anew."""
        for card in self.cards:
            card.lose_power()

    @property
    def field(self) -> bool:
        """Whether a card is powered."""
        return any(card.active for card in self.cards)

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire. ChipError when there is no answer."""
        if self.unplugged:
            raise ChipError("contactless reader: no answer")
        if op == 1:
            return bytes((len(self.cards) == 1,)), BUSY_LOOK
        if op == 4:
            self.reset()
            return b"", BUSY_LOOK
        if len(self.cards) != 1 or op not in (2, 3):
            raise ChipError("contactless reader: no card")
        card = self.cards[0]
        if op == 2:
            card.lose_power()
            if not card.answers(card.kind):
                raise ChipError("contactless reader: the card is silent")
            return card.pseudo_atr, BUSY_RESET
        if not card.active:
            raise ChipError("contactless reader: the card has no power")
        self.exchanges.append(payload)
        response, busy = card.chip.exchange(payload)
        if card.chip.torn:
            self.take()
        if not response:
            raise ChipError("contactless reader: the card does not answer")
        return response, busy
