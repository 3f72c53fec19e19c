"""Bus: a display controller on 4-wire SPI: a pin says whether bytes are commands.

D/C low before commands, high before display memory; reset low starts the
controller anew (SSD1306 rev. 1.1, 8.1.3 and 8.9; ST7789V rev. 1.0, 8.4 and 7.4.5).
"""

import time

from firmware.buses.display_bus import DisplayBus
from firmware.buses.pins import OUT
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins
    from firmware.buses.spi import Spi

#: Bytes that go out at once.
PART = 4096
#: Seconds that reset is held low, and that a controller which was awake needs after it.
RESET_S, AWAKE_S = 0.001, 0.12


class SpiDisplay(DisplayBus):
    """``dc_pin``, ``reset_pin``: of ``pins``; a module without reset pin resets itself."""

    def __init__(
        self, spi: "Spi", pins: "Pins", dc_pin: int, reset_pin: "int | None" = None
    ) -> None:
        """Resets the controller, which takes 120 ms. BusError when a pin is not there."""
        self._spi = spi
        self._pins = pins
        self._dc = dc_pin
        pins.mode(dc_pin, OUT)
        if reset_pin is not None:
            pins.mode(reset_pin, OUT)
            pins.write(reset_pin, 0)
            # Once a boot, before anything runs that could be held up.
            time.sleep(RESET_S)
            pins.write(reset_pin, 1)
            time.sleep(AWAKE_S)

    def command(self, *commands: int) -> None:
        """Send command bytes. BusError."""
        self._send(0, bytes(commands))

    def data(self, data: "bytes | bytearray | list[int]") -> None:
        """Send display memory bytes. BusError."""
        view = memoryview(bytes(data))
        for at in range(0, len(view), PART):
            self._send(1, bytes(view[at : at + PART]))

    def _send(self, level: int, data: bytes) -> None:
        try:
            self._pins.write(self._dc, level)
            self._spi.transfer(data)
        except BusError as error:
            raise BusError("display: " + str(error)) from None
