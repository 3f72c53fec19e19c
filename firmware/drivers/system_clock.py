"""Clock: the operating system's (Linux, CPython only), which an RTC or NTP keeps."""

import time

from firmware.hal.clock import Clock, ClockError


class SystemClock(Clock):
    """``set`` needs the capability to set the system time; without it, ClockError."""

    async def now(self) -> int:
        """Unix seconds, UTC."""
        return int(time.time())

    async def set(self, unix_seconds: int) -> None:
        """Set the system's calendar. ClockError when the system refuses."""
        try:
            time.clock_settime(time.CLOCK_REALTIME, unix_seconds)
        except (OSError, OverflowError, ValueError) as error:
            raise ClockError("the system clock cannot be set: " + str(error)) from None
