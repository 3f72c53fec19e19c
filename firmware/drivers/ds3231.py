"""Clock: DS3231 on I2C (Maxim 19-5170 rev. 10). Registers are BCD, the chip keeps UTC."""

from firmware.buses.wire import BusError
from firmware.drivers.calendar import civil_from_unix, unix_from_civil
from firmware.hal.clock import Clock, ClockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.i2c import I2c

_STATUS = 0x0F
#: Oscillator-stop flag: the calendar cannot be trusted since.
_OSF = 0x80
#: Bits that this chip holds clear (figure 1): seconds to year, and status.
_CLEAR = b"\x80\x80\x80\xf8\xc0\x60\x00"
_STATUS_CLEAR = 0x70
#: First and last second that two BCD digits and the century bit are used for here.
_FIRST = 946684800
_LAST = 4102444799


def _from_bcd(value: int, most: int) -> int:
    number = (value >> 4) * 10 + (value & 0x0F)
    if value & 0x0F > 9 or number > most:
        raise ClockError("ds3231: register value " + hex(value) + " is no BCD number")
    return number


def _to_bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


class Ds3231(Clock):
    """``address``: 7 bits, 68h on every known module."""

    def __init__(self, bus: "I2c", address: int = 0x68) -> None:
        self._bus = bus
        self._address = address
        self._registers()  # a chip that is not there, or another one, is named at boot

    def _read(self, register: int, count: int) -> bytes:
        try:
            return self._bus.transfer(self._address, bytes((register,)), count)
        except BusError as error:
            raise ClockError(str(error)) from None

    def _write(self, register: int, data: bytes) -> None:
        try:
            self._bus.transfer(self._address, bytes((register,)) + data, 0)
        except BusError as error:
            raise ClockError(str(error)) from None

    def _registers(self) -> bytes:
        """Calendar to status, in one transaction: the chip latches the calendar meanwhile."""
        data = self._read(0x00, 0x10)
        foreign = data[_STATUS] & _STATUS_CLEAR
        for i in range(len(_CLEAR)):
            foreign |= data[i] & _CLEAR[i]
        if foreign:
            raise ClockError("ds3231: another chip answers at its address")
        return data

    async def now(self) -> int:
        """Unix seconds, UTC. ClockError: no answer, another chip, lost power, or nonsense."""
        data = self._registers()
        if data[_STATUS] & _OSF:
            raise ClockError("ds3231: the clock lost power since it was set")
        if data[2] & 0x40:
            raise ClockError("ds3231: the clock is in 12-hour mode, which nobody here set")
        year = 2000 + _from_bcd(data[6], 99) + (100 if data[5] & 0x80 else 0)
        try:
            return unix_from_civil(
                year,
                _from_bcd(data[5] & 0x1F, 12),
                _from_bcd(data[4] & 0x3F, 31),
                _from_bcd(data[2] & 0x3F, 23),
                _from_bcd(data[1] & 0x7F, 59),
                _from_bcd(data[0] & 0x7F, 59),
            )
        except ValueError as error:
            raise ClockError("ds3231: " + str(error)) from None

    async def set(self, unix_seconds: int) -> None:
        """Set the calendar and clear the oscillator-stop flag. ClockError."""
        if not _FIRST <= unix_seconds <= _LAST:
            raise ClockError("the clock holds the years 2000 to 2099")
        year, month, day, hour, minute, second, weekday = civil_from_unix(unix_seconds)
        fields = (second, minute, hour, weekday + 1, day, month, year % 100)
        self._write(0x00, bytes(_to_bcd(field) for field in fields))
        status = self._read(_STATUS, 1)[0]
        self._write(_STATUS, bytes((status & ~_OSF & 0xFF,)))
        if self._read(_STATUS, 1)[0] & _OSF:
            raise ClockError("ds3231: the oscillator does not run")
