"""Contract: wall clock. Waiting is not here: that is ``firmware.aio``."""

from firmware.errors import TillError


class ClockError(TillError):
    """The clock cannot be read or set."""

    text_key = "error.clock"


class Clock:
    """The terminal's calendar, kept across power-off by an RTC or the OS.

    A driver must give UTC. It never corrects itself from a host message: the
    app decides how far host time may move it (rules of money, 20).
    """

    async def now(self) -> int:
        """Unix seconds, UTC. Raises ClockError when the chip does not answer
        or says that it lost power since it was set."""
        raise NotImplementedError

    async def set(self, unix_seconds: int) -> None:
        """Set the calendar. Raises ClockError when the chip refuses."""
        raise NotImplementedError
