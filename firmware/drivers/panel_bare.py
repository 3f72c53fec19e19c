"""Display: SSD1322 and ST7789 without luma, for MicroPython boards.

The initialisation is that of the controllers' datasheets for the usual modules
and is compared byte by byte with luma's in tests.
"""

from firmware.buses.wire import BusError
from firmware.drivers.panel_pixels import writer
from firmware.hal.display import Display, DisplayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.display_bus import DisplayBus

    #: (command, arguments), which go out as data.
    Step = tuple[int, bytes]

SSD1322: "tuple[Step, ...]" = (
    (0xFD, b"\x12"), (0xA4, b""), (0xB3, b"\xf2"), (0xCA, b"\x3f"), (0xA2, b"\x00"),
    (0xA1, b"\x00"), (0xA0, b"\x14\x11"), (0xB5, b"\x00"), (0xAB, b"\x01"), (0xB4, b"\xa0\xfd"),
    (0xC7, b"\x0f"), (0xB9, b""), (0xB1, b"\xf0"), (0xD1, b"\x82\x20"), (0xBB, b"\x0d"),
    (0xB6, b"\x08"), (0xBE, b"\x00"), (0xA6, b""), (0xA9, b""), (0xC1, b"\x7f"),
)  # fmt: skip
ST7789: "tuple[Step, ...]" = (
    (0x36, b"\x70"), (0x3A, b"\x06"), (0xB2, b"\x0c\x0c\x00\x33\x33"), (0xB7, b"\x35"),
    (0xBB, b"\x19"), (0xC0, b"\x2c"), (0xC2, b"\x01"), (0xC3, b"\x12"), (0xC4, b"\x20"),
    (0xC6, b"\x0f"), (0xD0, b"\xa4\xa1"),
    (0xE0, b"\xd0\x04\x0d\x11\x13\x2b\x3f\x54\x4c\x18\x0d\x0b\x1f\x23"),
    (0xE1, b"\xd0\x04\x0c\x11\x13\x2c\x3f\x44\x51\x2f\x1f\x1f\x20\x23"),
    (0x21, b""), (0x11, b""), (0x29, b""), (0x3A, b"\x05"),
)  # fmt: skip


class BarePanel(Display):
    """``ink`` and ``paper``: the two colours of an ST7789 panel."""

    def __init__(
        self,
        bus: "DisplayBus",
        controller: str,
        width: int,
        height: int,
        column_offset: int = 0,
        ink: int = 0xFFFFFF,
        paper: int = 0,
    ) -> None:
        """DisplayError when the panel does not answer; ValueError for a wrong controller."""
        if controller not in ("ssd1322", "st7789"):
            raise ValueError("no controller " + controller)
        self.width = width
        self.height = height
        self._bus = bus
        self._colour = controller == "st7789"
        self._pages = writer(bus, controller, width, height, column_offset, ink, paper)
        self._start()

    def _start(self) -> None:
        try:
            for command, arguments in ST7789 if self._colour else SSD1322:
                self._send(command, arguments)
            self._pages.forget()
            self._pages.show(bytes(self.width * (self.height // 8)))
            self._send(0x29 if self._colour else 0xAF)
        except BusError as error:
            raise DisplayError(str(error)) from None

    def _send(self, command: int, arguments: bytes = b"") -> None:
        self._bus.command(command)
        if arguments:
            self._bus.data(arguments)

    def _tell(self, command: int, arguments: bytes = b"") -> None:
        try:
            self._send(command, arguments)
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
        if self._colour:
            self._tell(0x29 if on else 0x28)
        else:
            self._tell(0xAF if on else 0xAE)

    async def contrast(self, level: int) -> None:
        """0 (dimmest) to 255. DisplayError, ValueError."""
        if not 0 <= level <= 255:
            raise ValueError("contrast is 0 to 255")
        if self._colour:
            self._tell(0x53, b"\x24")
            self._tell(0x51, bytes((level,)))
        else:
            self._tell(0xC1, bytes((level,)))
