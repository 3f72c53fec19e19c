"""Swipe reader (hal.stripe) that gives lines: on a serial port or as a keyboard."""

from firmware.buses.wire import BusError
from firmware.drivers.stripe_tracks import parse
from firmware.hal.stripe import BadSwipe, StripeMissing, StripeReader, Swipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.drivers.lines import Lines


class LineStripe(StripeReader):
    """``lrc``: the reader sends each track's check character after its end sentinel."""

    def __init__(self, lines: "Lines", lrc: bool = False) -> None:
        self._lines = lines
        self._lrc = lrc

    async def read(self) -> Swipe:
        """Wait for the next swipe; the caller wipes it. StripeMissing, BadSwipe."""
        try:
            source, trouble, line = await self._lines.next()
        except BusError as error:
            raise StripeMissing(str(error)) from None
        self.swipes += 1
        if trouble:
            raise BadSwipe("characters" if trouble == "keys" else trouble)
        return parse(line, self._lrc, source)

    async def check(self) -> None:
        """Ask whether every reader is there. StripeMissing."""
        try:
            await self._lines.check()
        except BusError as error:
            raise StripeMissing(str(error)) from None

    def flush(self) -> None:
        """Wipe swipes not yet read."""
        self._lines.flush()

    async def close(self) -> None:
        """Wipe, and let go of the reader."""
        await self._lines.close()
