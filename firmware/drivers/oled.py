"""Display: SSD1306 and SH1106 through luma.oled (Linux, CPython only).

luma's device class brings the controller up and sets contrast and power over
the injected bus. Its ``display()``, which sends the whole memory for every
change, is never called: frames go through the page writer, in page
addressing mode. A bus that can hold its caller for long (real I2C: 23 ms a
frame) says ``blocking`` and is then served from a thread of its own.
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers.oled_pages import PageWriter
from firmware.hal.display import Display, DisplayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.display_bus import DisplayBus


def _luma_device(
    bus: "DisplayBus", controller: str, width: int, height: int, clear: "Callable[[], object]"
) -> "Any":
    """luma's device on ``bus``, with its clearing of the memory replaced by ours."""
    from luma.core.error import Error as LumaError
    from luma.oled import device as luma_oled

    base: "Any" = {"ssd1306": luma_oled.ssd1306, "sh1106": luma_oled.sh1106}.get(controller)
    if base is None:
        raise ValueError("no controller " + controller)

    class Panel(base):  # type: ignore[misc]  # luma is not annotated
        def clear(self) -> None:
            if controller == "ssd1306":
                self.command(0x20, 0x02)  # luma leaves horizontal addressing on
            clear()

        def display(self, image: "Any") -> None:
            raise AssertionError("frames go through the page writer")

        def cleanup(self) -> None:
            """Called by luma at exit: the picture stays, the bus is its owner's."""

    try:
        return Panel(bus, width=width, height=height)
    except LumaError as error:
        raise ValueError(str(error)) from None


class Oled(Display):
    """A monochrome OLED. ``column_offset``: memory column behind its left edge."""

    def __init__(
        self, bus: "DisplayBus", controller: str, width: int, height: int, column_offset: int
    ) -> None:
        """DisplayError when the panel does not answer; ValueError for a wrong size."""
        self.width = width
        self.height = height
        self._pages = PageWriter(bus, width, height, column_offset)
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
