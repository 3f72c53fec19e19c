"""Display: SSD1306, SSD1309, SH1106, SSD1322 through luma.oled and ST7789 through
luma.lcd (Linux, CPython only).

luma's device class brings the controller up and sets contrast and power over
the injected bus. Its ``display()``, which sends the whole memory for every
change, is never called: frames go through the page writer, in page
addressing mode. A bus that can hold its caller for long (real I2C: 23 ms a
frame) says ``blocking`` and is then served from a thread of its own.
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers.panel_pixels import writer
from firmware.hal.display import Display, DisplayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.display_bus import DisplayBus


def _luma_class(controller: str) -> "Any":
    if controller == "st7789":
        from luma.lcd import device as luma_lcd

        return luma_lcd.st7789
    from luma.oled import device as luma_oled

    known = {
        "ssd1306": luma_oled.ssd1306,
        "ssd1309": luma_oled.ssd1309,
        "sh1106": luma_oled.sh1106,
        "ssd1322": luma_oled.ssd1322,
    }
    if controller not in known:
        raise ValueError("no controller " + controller)
    return known[controller]


#: What luma leaves otherwise than the page writer wants it: page addressing, 16-bit colour.
_AFTER = {"ssd1306": (0x20, 0x02), "ssd1309": (0x20, 0x02), "st7789": (0x3A, 0x05)}


def _luma_device(
    bus: "DisplayBus", controller: str, width: int, height: int, clear: "Callable[[], object]"
) -> "Any":
    """luma's device on ``bus``, with its clearing of the memory replaced by ours."""
    from luma.core.error import Error as LumaError

    base: "Any" = _luma_class(controller)
    more: "dict[str, Any]" = {}
    if controller == "st7789":
        more["backlight"] = _lit

    class Panel(base):  # type: ignore[misc]  # luma is not annotated
        def clear(self) -> None:
            if controller in _AFTER:
                self.command(*_AFTER[controller])
            clear()

        def contrast(self, level: int) -> None:
            if controller == "st7789":  # luma has none for it
                self.command(0x53, 0x24)
                self.command(0x51, level)
            else:
                super().contrast(level)

        def display(self, image: "Any") -> None:
            raise AssertionError("frames go through the page writer")

        def cleanup(self) -> None:
            """Called by luma at exit: the picture stays, the bus is its owner's."""

    try:
        return Panel(bus, width=width, height=height, **more)
    except LumaError as error:
        raise ValueError(str(error)) from None


def _lit(on: bool) -> None:
    """The panel's light is wired to its supply."""


class Oled(Display):
    """A panel. ``column_offset``: memory column behind its left edge; ``ink`` and
    ``paper``: the two colours of a colour panel."""

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
        """DisplayError when the panel does not answer; ValueError for a wrong size."""
        self.width = width
        self.height = height
        self._pages = writer(bus, controller, width, height, column_offset, ink, paper)
        self._worker = aio.Worker("display") if bus.blocking else None
        blank = bytes(width * (height // 8))

        def start() -> None:
            self._pages.forget()
            self._device = _luma_device(
                bus, controller, width, height, lambda: self._pages.show(blank)
            )

        self._start = start
        try:
            start()
        except BusError as error:
            raise DisplayError(str(error)) from None

    async def _run(self, function: "Callable[..., object]", *args: "Any") -> None:
        try:
            if self._worker is None:
                function(*args)
            else:
                await self._worker.call(function, *args)
        except BusError as error:
            raise DisplayError(str(error)) from None

    async def show(self, frame: "bytes | bytearray") -> None:
        """Bring the panel to ``frame``. DisplayError, ValueError."""
        await self._run(self._pages.show, bytes(frame))

    async def restart(self) -> None:
        """Bring the controller up anew, blank. DisplayError."""
        await self._run(self._start)

    async def power(self, on: bool) -> None:
        """Panel on or asleep. DisplayError."""
        await self._run(self._device.show if on else self._device.hide)

    async def contrast(self, level: int) -> None:
        """0 (dimmest) to 255. DisplayError, ValueError."""
        if not 0 <= level <= 255:
            raise ValueError("contrast is 0 to 255")
        await self._run(self._device.contrast, level)
