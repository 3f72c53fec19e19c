"""Clock: a real-time clock chip behind the Linux kernel (Documentation/admin-guide/rtc.rst)."""

import fcntl
import os
import struct

from firmware.drivers import calendar
from firmware.hal.clock import Clock, ClockError

#: ioctl numbers of linux/rtc.h; struct rtc_time is nine ints.
RD_TIME, SET_TIME, VL_READ = 0x80247009, 0x4024700A, 0x80047013
_TIME = struct.Struct("9i")
#: RTC_VL_DATA_INVALID: the chip lost power and its time is void.
_VOID = 1
_LEAST, _MOST = 946684800, 4102444800  # 2000 to 2099, as the usual chips count


class LinuxRtc(Clock):
    """The chip keeps UTC; the kernel knows its registers. The system's own time is left alone."""

    def __init__(self, path: str = "/dev/rtc0") -> None:
        """ClockError when the chip is not there."""
        self._path = path
        if not os.path.exists(path):
            raise ClockError("rtc " + path + " is not there")

    def _ask(self, request: int, data: bytes) -> bytes:
        """One ioctl; the node is open only for it, because the kernel lets one program in."""
        try:
            node = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ClockError(f"rtc {self._path}: {error.strerror}") from None
        try:
            return fcntl.ioctl(node, request, data)
        finally:
            os.close(node)

    async def now(self) -> int:
        """Unix seconds, UTC. ClockError; also when the chip says that it lost power."""
        try:
            flags = struct.unpack("i", self._ask(VL_READ, bytes(4)))[0]
        except OSError:
            flags = 0  # chips without a voltage detector cannot tell
        if flags & _VOID:
            raise ClockError("rtc: lost power since it was set")
        try:
            fields = _TIME.unpack(self._ask(RD_TIME, bytes(_TIME.size)))
        except OSError as error:
            # EINVAL: the driver knows that the registers are void.
            raise ClockError(f"rtc {self._path}: {error.strerror}: set the clock") from None
        second, minute, hour, day, month, year = fields[:6]
        try:
            return calendar.unix_from_civil(year + 1900, month + 1, day, hour, minute, second)
        except ValueError as error:
            raise ClockError("rtc: " + str(error)) from None

    async def set(self, unix_seconds: int) -> None:
        """Set the chip. ClockError."""
        if not _LEAST <= unix_seconds < _MOST:
            raise ClockError("rtc: the year must be 2000 to 2099")
        year, month, day, hour, minute, second, weekday = calendar.civil_from_unix(unix_seconds)
        fields = (second, minute, hour, day, month - 1, year - 1900, (weekday + 1) % 7, 0, 0)
        try:
            self._ask(SET_TIME, _TIME.pack(*fields))
        except OSError as error:
            raise ClockError(f"rtc {self._path}: {error.strerror}") from None
