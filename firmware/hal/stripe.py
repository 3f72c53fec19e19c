"""Contract: magnetic stripe reader (ISO/IEC 7811, 7813 and 4909).

Track data lives in bytearrays from the reader to whoever sends it, and is
wiped after use (rules of money, 13): it is never logged, journalled, shown,
or put into the text of an error.
"""

from firmware.errors import TillError

#: Longest tracks, in characters with both sentinels and LRC (ISO/IEC 7813 and 4909).
LONGEST = {1: 79, 2: 40, 3: 107}


class StripeError(TillError):
    """The stripe reader failed."""

    text_key = "error.stripe"


class StripeMissing(StripeError):
    """The reader does not answer or was unplugged; a later read may find it back."""


class BadSwipe(StripeError):
    """A card was swiped and could not be read: swipe it again.

    ``cause``: "unread" (no track that names an account), "cut" (the reader
    stopped in the middle), "long", "sentinel", "characters", "lrc", "luhn",
    "layout" (account, expiry or service code malformed), "tracks" (two
    tracks name different accounts).
    """

    text_key = "error.swipe"

    def __init__(self, cause: str, track: int = 0) -> None:
        super().__init__("bad swipe: " + cause + (", track " + str(track) if track else ""))
        self.cause = cause
        self.track = track


def _wipe(buffer: "bytearray | None") -> None:
    for i in range(len(buffer or b"")):
        buffer[i] = 0  # type: ignore[index]  # a None has no i


def _absent(track: bytearray, at: int) -> bool:
    """A separator stands where an expiry or service code could."""
    return track[at] in (0x3D, 0x5E)


class Swipe:
    """Checked tracks of one swipe, as ASCII without sentinels and LRC.

    ``track1``, ``track2``, ``track3``: a bytearray, or None where the card has
    no such track or it was not read. At least track 1 or track 2 is there.
    Whoever takes the swipe wipes it. Its printed form has no data.
    """

    def __init__(
        self,
        track1: "bytearray | None",
        track2: "bytearray | None",
        track3: "bytearray | None",
        source: int = 0,
    ) -> None:
        self.track1 = track1
        self.track2 = track2
        self.track3 = track3
        self.source = source

    def _account(self) -> "tuple[bytearray, int, int, int]":
        """Track, begin and end of the account number, begin of what follows its separator(s)."""
        if self.track2 is not None:
            end = self.track2.find(b"=")
            if end >= 0:
                return self.track2, 0, end, end + 1
        elif self.track1 is not None:
            end = self.track1.find(b"^")
            after = self.track1.find(b"^", end + 1)
            if 0 < end < after:
                return self.track1, 1, end, after + 1
        raise BadSwipe("unread")  # wiped

    def pan(self) -> bytearray:
        """A copy of the primary account number, 8 to 19 digits; the caller wipes it.
        BadSwipe once the swipe was wiped."""
        track, begin, end, _ = self._account()
        return track[begin:end]

    def expiry(self) -> str:
        """YYMM, or "" where the stripe has none. BadSwipe once wiped."""
        track, _, _, at = self._account()
        return "" if _absent(track, at) else bytes(track[at : at + 4]).decode()

    def service_code(self) -> str:
        """Three digits, or "" where the stripe has none; 2 or 6 first: the card
        has a chip, which must be used. BadSwipe once wiped."""
        track, _, _, at = self._account()
        at += 1 if _absent(track, at) else 4
        return "" if _absent(track, at) else bytes(track[at : at + 3]).decode()

    def wipe(self) -> None:
        """Overwrite every track. Harmless twice."""
        for track in (self.track1, self.track2, self.track3):
            _wipe(track)

    def __repr__(self) -> str:
        there = [
            str(number + 1)
            for number, track in enumerate((self.track1, self.track2, self.track3))
            if track is not None
        ]
        return "Swipe(tracks " + " ".join(there) + ")"


class StripeReader:
    """One or more swipe readers of a board; each swipe is reported once. ``swipes``:
    how many, bad ones too, since the driver began."""

    swipes = 0

    async def check(self) -> None:
        """Ask whether every reader of the board is there and nobody else holds it;
        nothing that was swiped is lost. StripeMissing, as long as one is not."""
        raise NotImplementedError

    async def read(self) -> Swipe:
        """Wait for the next swipe; the caller wipes it. Cancelling it loses nothing.

        Raises StripeMissing once when the reader goes away, BadSwipe for a
        swipe that cannot be used; the next read waits for the next swipe.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Wipe swipes not yet read, and one that is arriving."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the reader and wipe. Never raises, may be called twice."""
        raise NotImplementedError
