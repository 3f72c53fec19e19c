"""A card in a reader's field, as ISO/IEC 14443 shows it: type A or B, its answers, its states.

The field powers it; the reader activates it once. A card that was let go
answers no further poll until the field was off (it is halted).
"""

from typing import Protocol


class FieldChip(Protocol):
    """A chip with an antenna; ``chips.card.Card`` is one."""

    contactless: str

    @property
    def serial(self) -> bytes:
        """Four bytes that tell it from others."""

    @property
    def torn(self) -> bool:
        """Whether a fault took it away."""

    def enter_field(self) -> bool:
        """Power and activate it; False when it does not answer."""

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        """(answer with SW1 SW2, busy us); b"" from a silent chip."""

    def power_off(self) -> None:
        """The field is gone."""


HISTORICAL = b"OPENT"


class FieldCard:
    """``chip`` within reach. ``plain``: it stops at ISO/IEC 14443-3, as a locker key does."""

    def __init__(self, chip: FieldChip, plain: bool = False) -> None:
        self.chip = chip
        self.kind = chip.contactless
        self.plain = plain
        self.halted = False
        self.active = False

    def answers(self, kind: str) -> bool:
        """Whether a poll of this type activates it now."""
        if kind != self.kind or self.halted or self.active:
            return False
        self.active = self.plain or self.chip.enter_field()
        return self.active

    def let_go(self) -> None:
        """The reader turns to others."""
        if self.active:
            self.active, self.halted = False, True
            self.chip.power_off()

    def lose_power(self) -> None:
        """The field went off, or the card left it."""
        self.active = self.halted = False
        self.chip.power_off()

    @property
    def ats(self) -> bytes:
        """Answer to select: frames of 256 bytes, 106 kbit/s only, FWI 7, CID."""
        return bytes((5 + len(HISTORICAL), 0x78, 0x80, 0x70, 0x02)) + HISTORICAL

    @property
    def atqb(self) -> bytes:
        """50h, PUPI, application data, protocol information: as the ATS, in type B's words."""
        return b"\x50" + self.chip.serial + bytes(4) + b"\x00\x81\x71"

    @property
    def pseudo_atr(self) -> bytes:
        """What a PC/SC reader makes of it (PC/SC part 3): 3B 8n 80 01, historical bytes
        of the ATS or application data, protocol information and 00 of type B, check."""
        if self.plain:
            historical = bytes.fromhex("804F0CA00000030603000100000000")
        elif self.kind == "B":
            historical = self.atqb[5:12] + b"\x00"
        else:
            historical = HISTORICAL
        rest = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
        check = 0
        for byte in rest:
            check ^= byte
        return b"\x3b" + rest + bytes((check,))

    def listed(self, number: int) -> bytes:
        """How InListPassiveTarget tells of it (UM0701-02, 7.3.5)."""
        if self.kind == "B":
            return bytes((number,)) + self.atqb + b"\x01\x00"
        serial = self.chip.serial
        head = bytes((number, 0x00, 0x04, 0x08 if self.plain else 0x20, len(serial))) + serial
        return head if self.plain else head + self.ats


class Antenna:
    """Where a hand holds cards; ``cards``: those in reach."""

    def __init__(self) -> None:
        self.cards: list[FieldCard] = []

    def put(self, chip: FieldChip, plain: bool = False) -> FieldCard:
        """Hold a card to the antenna."""
        card = FieldCard(chip, plain)
        self.cards.append(card)
        return card

    def take(self) -> None:
        """Take every card away, whatever runs."""
        for card in self.cards:
            card.lose_power()
        self.cards = []
