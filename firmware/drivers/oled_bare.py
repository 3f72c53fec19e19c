"""Display: SSD1306, SSD1309 and SH1106 without luma, for MicroPython boards.

The initialisation is that of the controllers' datasheets for the usual
128-column modules and is compared byte by byte with luma.oled's in tests.
"""

from firmware.buses.wire import BusError
from firmware.drivers.oled_pages import PageWriter
from firmware.hal.display import Display, DisplayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.display_bus import DisplayBus

#: height: (multiplex ratio, COM pin wiring) of SSD1306 modules.
_SSD1306 = {64: (0x3F, 0x12), 32: (0x1F, 0x02)}


def ssd1306_init(height: int) -> "tuple[int, ...]":
    """Command bytes of an SSD1306 with its charge pump on, picture upright."""
    multiplex, com_pins = _SSD1306[height]
    return (
        0xAE, 0xD5, 0x80, 0xA8, multiplex, 0xD3, 0x00, 0x40, 0x8D, 0x14, 0x20, 0x00,
        0xA1, 0xC8, 0xDA, com_pins, 0xD9, 0xF1, 0xDB, 0x40, 0xA4, 0xA6,
    )  # fmt: skip


def sh1106_init() -> "tuple[int, ...]":
    """Command bytes of an SH1106 with 128 x 64 dots, picture upright."""
    return (
        0xAE, 0x20, 0x10, 0xB0, 0xC8, 0x00, 0x10, 0x40, 0xA1, 0xA6, 0xA8, 0x3F, 0xA4,
        0xD3, 0x00, 0xD5, 0xF0, 0xD9, 0x22, 0xDA, 0x12, 0xDB, 0x20, 0x8D, 0x14,
    )  # fmt: skip


class BareOled(Display):
    """A monochrome OLED. ``column_offset``: memory column behind its left edge."""

    def __init__(
        self, bus: "DisplayBus", controller: str, width: int, height: int, column_offset: int
    ) -> None:
        if controller == "sh1106":
            if height != 64:
                raise ValueError("an SH1106 panel has 64 rows")
            init, contrast = sh1106_init(), 0x7F
        elif controller in ("ssd1306", "ssd1309"):
            if height not in _SSD1306:
                raise ValueError("an " + controller.upper() + " panel has 32 or 64 rows")
            init, contrast = ssd1306_init(height), 0xCF
        else:
            raise ValueError("no controller " + controller)
        self.width = width
        self.height = height
        self._bus = bus
        self._pages = PageWriter(bus, width, height, column_offset)
        self._controller, self._init, self._contrast = controller, init, contrast
        self._start()

    def _start(self) -> None:
        try:
            self._bus.command(*self._init)
            if self._controller != "sh1106":
                self._bus.command(0x20, 0x02)
            self._bus.command(0x81, self._contrast)
            self._pages.forget()
            self._pages.show(bytes(self.width * (self.height // 8)))
            self._bus.command(0xAF)
        except BusError as error:
            raise DisplayError(str(error)) from None

    async def restart(self) -> None:
        """Bring the controller up anew, blank. DisplayError."""
        self._start()

    async def show(self, frame: "bytes | bytearray") -> None:
        """Bring the panel to ``frame``. DisplayError, ValueError."""
        try:
            self._pages.show(frame)
        except BusError as error:
            raise DisplayError(str(error)) from None

    async def power(self, on: bool) -> None:
        """Panel on or asleep. DisplayError."""
        self._command(0xAF if on else 0xAE)

    async def contrast(self, level: int) -> None:
        """0 (dimmest) to 255. DisplayError, ValueError."""
        if not 0 <= level <= 255:
            raise ValueError("contrast is 0 to 255")
        self._command(0x81, level)

    def _command(self, *commands: int) -> None:
        try:
            self._bus.command(*commands)
        except BusError as error:
            raise DisplayError(str(error)) from None
