"""Bus: SPI by MicroPython's ``machine.SPI``, with a chip select pin."""

from firmware.buses.spi import Spi
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MpySpi(Spi):
    """Peripheral ``port`` of the chip with its pins; ``mode`` 0 to 3 (polarity, phase)."""

    def __init__(
        self, port: int, sck: int, mosi: int, miso: int, select: int, hz: int, mode: int = 0
    ) -> None:
        """BusError when the chip has no such port or not on these pins."""
        import machine

        self._name = "spi " + str(port)
        pin: "Any" = machine.Pin
        try:
            self._select: "Any" = pin(select, pin.OUT, value=1)
            self._spi: "Any" = machine.SPI(
                port, baudrate=hz, polarity=mode >> 1, phase=mode & 1,
                sck=pin(sck), mosi=pin(mosi), miso=pin(miso),
            )  # fmt: skip
        except (ValueError, TypeError, OSError) as error:
            raise BusError(self._name + ": " + str(error)) from None

    def transfer(self, data: "bytes | bytearray") -> bytes:
        """Clock ``data`` out and as much in. BusError."""
        answer = bytearray(len(data))
        try:
            self._select.value(0)
            try:
                self._spi.write_readinto(data, answer)
            finally:
                self._select.value(1)
        except OSError as error:
            raise BusError(self._name + ": " + str(error)) from None
        return bytes(answer)
