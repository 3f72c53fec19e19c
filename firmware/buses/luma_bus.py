"""Bus: luma's own I2C and SPI interfaces to a display controller (Linux, CPython only)."""

from firmware.buses.display_bus import DisplayBus
from firmware.buses.display_spi import AWAKE_S, RESET_S
from firmware.buses.pins import OUT
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.buses.pins import Pins


class LumaBus(DisplayBus):
    """Wraps a luma serial interface so that its errors have our name."""

    #: 1 KiB at 400 kHz takes 23 ms.
    blocking = True

    def __init__(self, interface: "Any") -> None:
        from luma.core.error import Error

        self._interface = interface
        self._error: "type[Exception]" = Error

    def command(self, *commands: int) -> None:
        """Send command bytes, at most 32 at once. BusError."""
        try:
            for at in range(0, len(commands), 32):
                self._interface.command(*commands[at : at + 32])
        except (self._error, OSError, BusError) as error:
            raise BusError("display: " + str(error)) from None

    def data(self, data: "bytes | bytearray | list[int]") -> None:
        """Send display memory bytes. BusError."""
        try:
            self._interface.data(list(data))
        except (self._error, OSError, BusError) as error:
            raise BusError("display: " + str(error)) from None

    def cleanup(self) -> None:
        """Release the bus."""
        self._interface.cleanup()


def luma_i2c(port: int, address: int) -> LumaBus:
    """A display on /dev/i2c-``port``. BusError when it is not there."""
    from luma.core.error import Error
    from luma.core.interface.serial import i2c

    try:
        return LumaBus(i2c(port=port, address=address))
    except (Error, OSError, ImportError) as error:
        raise BusError("display: " + str(error)) from None


class _LumaPins:
    """What luma asks of RPi.GPIO, on our pins: their errors have our name, and they know
    both packages that offer that module."""

    LOW, HIGH, OUT = 0, 1, OUT

    def __init__(self, pins: "Pins") -> None:
        self.setup = pins.mode
        self.output = pins.write


def luma_spi(port: int, device: int, dc_pin: int, reset_pin: int) -> LumaBus:
    """A display on /dev/spidev``port``.``device``, with its D/C and reset pins, which is
    reset. BusError when one of them is not there."""
    from luma.core.error import Error
    from luma.core.interface.serial import spi

    from firmware.buses.pins_rpi import RpiPins

    try:
        pins = _LumaPins(RpiPins())
        interface = spi(
            gpio=pins, port=port, device=device, gpio_DC=dc_pin, gpio_RST=reset_pin,
            reset_hold_time=RESET_S, reset_release_time=AWAKE_S,
        )  # fmt: skip
        return LumaBus(interface)
    except (Error, OSError, ImportError, BusError) as error:
        raise BusError("display: " + str(error)) from None
