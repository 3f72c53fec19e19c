"""Clock: the microcontroller's own, by MicroPython's ``machine.RTC``, alone or beside a chip.

It keeps UTC here. Without power it forgets and begins at a date of the port's
choice, which is told from a set clock by being long ago: a board with a
battery-backed chip (``ds3231``) has the better clock.
"""

from firmware.drivers.calendar import civil_from_unix, unix_from_civil
from firmware.hal.clock import Clock, ClockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: 2025-01-01 and 2099-12-31: before the first no clock of ours was ever set.
_FIRST, _LAST = 1735689600, 4102444799


class MpyRtc(Clock):
    """``machine.RTC``: (year, month, day, weekday, hour, minute, second, subseconds)."""

    def __init__(self) -> None:
        import machine

        self._rtc: "Any" = machine.RTC()

    async def now(self) -> int:
        """Unix seconds, UTC. ClockError until it was set since power-on."""
        try:
            year, month, day, _, hour, minute, second = self._rtc.datetime()[:7]
            seconds = unix_from_civil(year, month, day, hour, minute, second)
        except (OSError, ValueError) as error:
            raise ClockError("rtc: " + str(error)) from None
        if seconds < _FIRST:
            raise ClockError("rtc: lost power since it was set")
        return seconds

    async def set(self, unix_seconds: int) -> None:
        """Set the calendar. ClockError when the port refuses."""
        if not _FIRST <= unix_seconds <= _LAST:
            raise ClockError("the clock holds the years 2025 to 2099")
        year, month, day, hour, minute, second, weekday = civil_from_unix(unix_seconds)
        try:
            self._rtc.datetime((year, month, day, weekday, hour, minute, second, 0))
        except (OSError, ValueError) as error:
            raise ClockError("rtc: " + str(error)) from None


class ClockBesideRtc(Clock):
    """A clock chip whose time is copied to the microcontroller's calendar when it is
    first read and whenever it is set: by that calendar the port's TLS judges whether a
    certificate is valid now."""

    def __init__(self, chip: Clock) -> None:
        self._chip = chip
        self._rtc = MpyRtc()
        self._copied = False

    async def now(self) -> int:
        """Unix seconds, UTC, of the chip. ClockError."""
        seconds = await self._chip.now()
        if not self._copied:
            await self._copy(seconds)
        return seconds

    async def set(self, unix_seconds: int) -> None:
        """Set both. ClockError."""
        await self._chip.set(unix_seconds)
        await self._copy(unix_seconds)

    async def _copy(self, seconds: int) -> None:
        if seconds >= _FIRST:  # an older date is told of by the self-test, and no certificate is
            await self._rtc.set(seconds)
        self._copied = True
