"""Bus: SPI by spidev on /dev/spidevP.D (Linux, CPython only)."""

from firmware.buses.spi import Spi
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LinuxSpi(Spi):
    """``port`` and ``device``: the P and D of /dev/spidevP.D; ``hz``: clock."""

    #: 300 bytes at 1 MHz take 2.4 ms, but the kernel may queue them.
    blocking = True

    def __init__(self, port: int, device: int, hz: int = 1_000_000) -> None:
        """BusError when the bus is not there or not permitted."""
        self._name = "spi " + str(port) + "." + str(device)
        try:
            import spidev
        except ImportError:
            raise BusError(self._name + ": spidev is not installed") from None
        self._bus: "Any" = spidev.SpiDev()
        try:
            self._bus.open(port, device)
            self._bus.mode = 0
            self._bus.max_speed_hz = hz
        except OSError as error:
            raise BusError(self._name + ": " + str(error)) from None

    def transfer(self, data: "bytes | bytearray") -> bytes:
        """One select, both directions at once. BusError."""
        try:
            return bytes(self._bus.xfer2(list(data)))
        except (OSError, OverflowError) as error:  # the latter: longer than spidev carries
            raise BusError(self._name + ": " + str(error)) from None

    def close(self) -> None:
        """Release the bus."""
        self._bus.close()
