"""Bus: I2C by MicroPython's ``machine.I2C``."""

from firmware.buses.i2c import I2c
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Longest time in us that a chip may hold the clock; then the transfer has failed.
STRETCH_US = 20000
#: A repeated start is what every port makes of ``readfrom_mem``, whose address has so
#: many bytes at most; what they make of "no stop" has differed (MicroPython's issues
#: 7134 and 8135).
REGISTER = 4
#: What ports call a failed transfer (errno.h): no acknowledge is EIO on rp2 and ENODEV
#: on esp32, a held clock ETIMEDOUT (110, or 116 with newlib).
_REASONS = {
    5: "no acknowledge",
    19: "no acknowledge",
    110: "the clock is held",
    116: "the clock is held",
}


class MpyI2c(I2c):
    """Peripheral ``port`` of the chip with its pins."""

    def __init__(self, port: int, scl: int, sda: int, hz: int = 400_000) -> None:
        """BusError when the chip has no such port or not on these pins."""
        import machine

        self._name = "i2c " + str(port)
        try:
            self._i2c: "Any" = machine.I2C(
                port, scl=machine.Pin(scl), sda=machine.Pin(sda), freq=hz, timeout=STRETCH_US
            )
        except (ValueError, TypeError, OSError) as error:
            raise BusError(self._name + ": " + str(error)) from None

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        """One transaction. BusError when the chip does not acknowledge."""
        if not write and not read:
            raise ValueError("an I2C transaction writes or reads something")
        try:
            if read and 0 < len(write) <= REGISTER:
                where = int.from_bytes(write, "big")
                told: bytes = self._i2c.readfrom_mem(address, where, read, addrsize=8 * len(write))
                return told
            if write:
                taken = self._i2c.writeto(address, write, not read)
                if taken < len(write):
                    raise BusError(self._where(address) + "refused byte " + str(taken))
            answer: bytes = self._i2c.readfrom(address, read) if read else b""
        except OSError as error:
            code = error.args[0] if error.args else 0
            raise BusError(self._where(address) + _REASONS.get(code, str(error))) from None
        return answer

    def _where(self, address: int) -> str:
        return self._name + ", address " + hex(address) + ": "
