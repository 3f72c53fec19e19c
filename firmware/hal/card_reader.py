"""Contract: contact chip card reader (ISO/IEC 7816-3 below, APDUs above).

The other sources of a payment have contracts of their own: a swipe yields
checked tracks (hal.stripe), a scan yields text and symbology (hal.scanner),
a tap the same CardChannel after anticollision (hal.contactless). A sale flow
waits on *several* sources and asks each only "what arrived".
"""

from firmware.errors import TillError


class CardError(TillError):
    """The card or the reader failed; the flow ends or falls back."""

    text_key = "error.card"


class CardRemoved(CardError):
    """The card left the reader."""

    text_key = "error.card_removed"


class CardMute(CardError):
    """No valid answer to reset, or no answer to a command in time."""

    text_key = "error.card_mute"


class ReaderMissing(CardError):
    """The reader itself does not answer."""

    text_key = "error.reader"


class CardChannel:
    """A powered card. Dead after ``power_off`` or removal."""

    atr: bytes = b""

    async def transmit(self, command: bytes) -> "tuple[bytes, int, int]":
        """Send one command APDU (case 1 to 4, short form, at most 261 bytes).

        Returns ``(data, sw, elapsed_us)``: response data without status, the
        status word, and the time from the first byte sent to the last byte
        received. T=0 procedures 61xx and 6Cxx are resolved below this call
        (EMV 4.4 Book 1, 9.3.1). Raises CardRemoved, CardMute, ReaderMissing;
        ValueError for a command that is not an APDU.
        """
        raise NotImplementedError


class CardReader:
    """A slot for one card. ``inserts``: how often one was seen to come since the
    driver began."""

    inserts = 0

    async def present(self) -> bool:
        """Whether a card sits in the slot now."""
        raise NotImplementedError

    async def wait_present(self) -> None:
        """Return when a card sits in the slot. Cancelling it loses nothing."""
        raise NotImplementedError

    async def wait_removed(self) -> None:
        """Return when the slot is empty. Cancelling it loses nothing."""
        raise NotImplementedError

    async def power_on(self) -> CardChannel:
        """Cold reset. Raises CardMute (no or bad ATR), CardRemoved, ReaderMissing."""
        raise NotImplementedError

    async def power_off(self) -> None:
        """Remove power from the contacts. Harmless without a card."""
        raise NotImplementedError
