"""Contract: display."""

from firmware.errors import TillError


class DisplayError(TillError):
    """The panel does not answer."""

    text_key = "error.display"


class Display:
    """A panel that shows a monochrome frame.

    A frame is ``width * (height // 8)`` bytes, one bit a pixel, in the page
    order of SSD1306 and of MicroPython's ``framebuf.MONO_VLSB``: byte
    ``page * width + x`` holds rows ``8 * page`` (bit 0) to ``8 * page + 7``.
    """

    width = 0
    height = 0

    async def show(self, frame: "bytes | bytearray") -> None:
        """Bring the panel to ``frame``, sending only what differs from the last.

        Raises DisplayError; ValueError for a frame of the wrong size.
        """
        raise NotImplementedError

    async def restart(self) -> None:
        """Bring the controller up anew after DisplayError; it may have lost its
        supply. The panel is blank afterwards. DisplayError while it is dead."""
        raise NotImplementedError

    async def power(self, on: bool) -> None:
        """Panel on or asleep; the picture is kept."""
        raise NotImplementedError

    async def contrast(self, level: int) -> None:
        """0 (dimmest) to 255."""
        raise NotImplementedError
