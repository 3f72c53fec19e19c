"""Bus: I2C by smbus2 on /dev/i2c-N (Linux, CPython only)."""

from firmware.buses.i2c import I2c
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LinuxI2c(I2c):
    """``port``: the N of /dev/i2c-N."""

    blocking = True

    def __init__(self, port: int) -> None:
        """BusError when the bus is not there or not permitted."""
        try:
            import smbus2
        except ImportError:
            raise BusError("i2c: smbus2 is not installed") from None
        self._message: "Any" = smbus2.i2c_msg
        self._name = "i2c bus " + str(port)
        try:
            self._bus: "Any" = smbus2.SMBus(port)
        except OSError as error:
            raise BusError(self._name + ": " + str(error)) from None

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        """One transaction with a repeated start. BusError."""
        parts = []
        if write:
            parts.append(self._message.write(address, write))
        reading = self._message.read(address, read) if read else None
        if reading is not None:
            parts.append(reading)
        if not parts:
            raise ValueError("an I2C transaction writes or reads something")
        try:
            self._bus.i2c_rdwr(*parts)
        except OSError as error:
            raise BusError(self._name + ", address " + hex(address) + ": " + str(error)) from None
        return bytes(list(reading)) if reading is not None else b""

    def close(self) -> None:
        """Release the bus."""
        self._bus.close()
