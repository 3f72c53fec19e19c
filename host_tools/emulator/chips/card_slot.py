"""Chip: a card slot with its presence switch. Wire kind "card"."""

from host_tools.emulator.chips.card import Card
from host_tools.emulator.chips.errors import ChipError

#: Presence switch and activation, in us.
BUSY_SWITCH = 20
BUSY_RESET = 20_000


class CardSlotChip:
    """Holds at most one card; emulator and tests insert and remove it."""

    def __init__(self) -> None:
        self.card: Card | None = None
        self.powered = False
        #: The reader itself is gone: no operation is answered.
        self.broken = False
        #: Commands carried since the last insertion.
        self.commands = 0

    def insert(self, card: Card) -> None:
        """Put ``card`` in; a card that is there already is taken out first."""
        self.remove()
        self.card = card
        self.commands = 0

    def remove(self) -> Card | None:
        """Take the card out at once, whatever runs; gives it back."""
        card, self.card = self.card, None
        self.powered = False
        if card is not None:
            card.power_off()
        return card

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire. ChipError when there is no answer."""
        if self.broken:
            raise ChipError("card slot: no answer")
        if op == 1:
            return bytes([self.card is not None]), BUSY_SWITCH
        if op == 2:
            return self._power_on()
        if op == 3:
            return self._exchange(payload)
        if op == 4:
            self.powered = False
            if self.card is not None:
                self.card.power_off()
            return b"", BUSY_SWITCH
        raise ChipError(f"card slot: operation {op}")

    def _power_on(self) -> tuple[bytes, int]:
        card = self._held()
        atr = card.power_on()
        if card.torn:
            self.remove()
            raise ChipError("card slot: the card left")
        if not atr:
            raise ChipError("card slot: no answer to reset")
        self.powered = True
        return atr, BUSY_RESET

    def _exchange(self, command: bytes) -> tuple[bytes, int]:
        card = self._held()
        if not self.powered:
            raise ChipError("card slot: the card has no power")
        self.commands += 1
        response, busy = card.exchange(command)
        if card.torn:
            self.remove()
            raise ChipError("card slot: the card left")
        if not response:
            raise ChipError("card slot: the card does not answer")
        return response, busy

    def _held(self) -> Card:
        if self.card is None:
            raise ChipError("card slot: no card")
        return self.card
