"""Contract: contactless card reader (ISO/IEC 14443 types A and B).

A tap gives the same CardChannel as a slot (hal.card_reader), with the card's
answer of ISO/IEC 14443 in place of the answer to reset. Which application of
it pays, and how, is the business of the kernels above.
"""

from firmware.hal.card_reader import CardChannel, CardError


class NoTap(CardError):
    """No card came in time."""

    text_key = "error.timeout"


class ManyCards(CardError):
    """More than one card is in the field: none was talked to."""

    text_key = "error.many_cards"


class TapChannel(CardChannel):
    """An activated card. Dead after the field went off or the card left.

    ``atr``: of type A the ATS from its length byte on, of type B the ATQB from
    50h on, both without CRC; behind PC/SC the answer to reset that the reader
    made of them (PC/SC part 3). ``transmit`` raises what it does in a slot:
    CardRemoved for a card that left in the middle of a command, CardMute for
    one that stays and is silent, ReaderMissing.
    """

    #: "A" or "B"; "" where the reader does not say.
    kind = ""


class ContactlessReader:
    """An antenna. One owner: its operations are called one after another.
    ``taps``: cards activated since the driver began."""

    taps = 0

    async def check(self) -> str:
        """Ask the reader who it is: what it says of itself, for engineers, "" where it
        has no such answer. A tap that runs is over. ReaderMissing."""
        raise NotImplementedError

    async def field(self, on: bool) -> None:
        """Switch the field; off ends the channel. ReaderMissing."""
        raise NotImplementedError

    async def wait_tap(self, timeout_ms: "int | None" = None) -> TapChannel:
        """Wait until one card answers alone, and activate it.

        The field is on until ``release``, or until this raises: NoTap after
        ``timeout_ms`` (which a look under way may exceed by under 3 s when the
        card dawdles), ManyCards, CardMute for a card without ISO/IEC 14443-4,
        ReaderMissing. Cancelling it loses nothing: a card that stays is found
        by the next call, and ``release`` switches the field off.
        """
        raise NotImplementedError

    async def release(self) -> None:
        """Let go of the card and switch the field off. ReaderMissing."""
        raise NotImplementedError

    async def wait_removed(self) -> None:
        """Return when no card is in reach; the channel is dead, the field off.

        Cancelling it loses nothing. ReaderMissing.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Switch the field off if possible. Never raises, may be called twice."""
        raise NotImplementedError
