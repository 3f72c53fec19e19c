"""Chip: real-time clock DS3231 (Maxim 19-5170 rev. 10) at I2C address 68h.

Counts on the injected clock from registers in BCD; time and date, alarms as
plain storage, control, status with the oscillator-stop flag, temperature.
"""

import calendar
import time
from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _binary(value: int) -> int:
    return (value >> 4) * 10 + (value & 15)


class Ds3231:
    """Nineteen registers behind an auto-incrementing pointer."""

    address = 0x68

    def __init__(self, clock_us: Callable[[], int], unix_seconds: int | None = None) -> None:
        """Starts with the oscillator-stop flag set unless ``unix_seconds`` (UTC) is given."""
        self._clock_us = clock_us
        self._pointer = 0
        self._rest = bytearray(12)  # registers 07h to 12h
        self._rest[0x0E - 7] = 0x1C
        self._rest[0x0F - 7] = 0x88
        self._rest[0x11 - 7] = 25
        self._origin_us = clock_us()
        self._origin = 946684800
        self.mute = False
        if unix_seconds is not None:
            self.set(unix_seconds)

    def set(self, unix_seconds: int, past_us: int = 0) -> None:
        """Set the calendar as a factory would, ``past_us`` microseconds into that
        second; clears the oscillator-stop flag."""
        self._origin = unix_seconds
        self._origin_us = self._clock_us() - past_us
        self._rest[0x0F - 7] &= 0x7F

    def lose_power(self) -> None:
        """Both supplies gone: the calendar is nonsense and the flag says so."""
        self.set(946684800)
        self._rest[0x0F - 7] |= 0x80

    def now(self) -> int:
        """Unix seconds that the registers show."""
        return self._origin + (self._clock_us() - self._origin_us) // 1_000_000

    def exchange(self, write: bytes, read: int) -> bytes:
        """One I2C transaction."""
        if self.mute:
            raise ChipError("ds3231: no acknowledge")
        if write:
            self._pointer = write[0] % 0x13
            if len(write) > 1:
                self._write(write[1:])
        registers = self._calendar() + bytes(self._rest)
        answer = bytes(registers[(self._pointer + i) % 0x13] for i in range(read))
        self._pointer = (self._pointer + read) % 0x13
        return answer

    def _calendar(self) -> bytes:
        t = time.gmtime(self.now())
        century = 0x80 if t.tm_year >= 2100 else 0
        return bytes((
            _bcd(t.tm_sec), _bcd(t.tm_min), _bcd(t.tm_hour), t.tm_wday + 1,
            _bcd(t.tm_mday), _bcd(t.tm_mon) | century, _bcd(t.tm_year % 100),
        ))  # fmt: skip

    def _write(self, data: bytes) -> None:
        calendar_now = bytearray(self._calendar())
        touched = False
        for byte in data:
            at = self._pointer
            self._pointer = (at + 1) % 0x13
            if at < 7:
                calendar_now[at] = byte
                touched = True
            elif at == 0x0F:
                # The flag OSF can only be cleared; A2F, A1F likewise; BSY is read-only.
                old = self._rest[8]
                self._rest[8] = (old & byte & 0x83) | (byte & 0x08) | (old & 0x04)
            elif at < 0x11:
                self._rest[at - 7] = byte
        if touched:
            c = calendar_now
            year = 2000 + _binary(c[6]) + (100 if c[5] & 0x80 else 0)
            month = min(max(_binary(c[5] & 0x1F), 1), 12)
            fields = (year, month, _binary(c[4] & 0x3F), _hour(c[2]), _binary(c[1] & 0x7F),
                      _binary(c[0] & 0x7F))  # fmt: skip
            self._origin = calendar.timegm(fields)
            self._origin_us = self._clock_us()


def _hour(register: int) -> int:
    if register & 0x40:  # 12-hour mode
        return _binary(register & 0x1F) % 12 + (12 if register & 0x20 else 0)
    return _binary(register & 0x3F)
