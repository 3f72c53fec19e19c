"""Chip: colour LCD controller ST7789V (Sitronix v1.6), 240 x 320 dots.

Commands take their arguments as data. Pixels of 16 or 18 bits are kept as
24-bit colours. The panel is of the IPS kind: its colours are true with
inversion on (21h).
"""

from host_tools.emulator.chips.display_parts import DisplayChip, as_text, pages

#: Arguments that have a meaning here; others (porches, voltages, gamma) are taken and ignored.
_ARGUMENTS = {0x2A: 4, 0x2B: 4, 0x36: 1, 0x3A: 1, 0x51: 1, 0x53: 1}
_IGNORED = (0x00, 0xB2, 0xB7, 0xBB, 0xC0, 0xC2, 0xC3, 0xC4, 0xC6, 0xD0, 0xE0, 0xE1)
_PLAIN = (0x01, 0x10, 0x11, 0x20, 0x21, 0x28, 0x29, 0x2C, 0x3C)


class St7789(DisplayChip):
    """On SPI; ``width`` by ``height`` as the picture is seen (landscape)."""

    def __init__(
        self, width: int = 320, height: int = 240, visible_from: int = 0, bus_hz: int = 32_000_000
    ) -> None:
        if not 8 <= width <= 320 - visible_from or not 8 <= height <= 320:
            raise ValueError(f"an st7789 drives no {width} x {height} panel")
        super().__init__("st7789", bus_hz)
        self.width = width
        self.height = height
        self.visible_from = visible_from
        self.memory = [0x55AA55 if i & 1 else 0xAA55AA for i in range(320 * 320)]
        self._reset()

    def _reset(self) -> None:
        self.on = False
        self.asleep = True
        self.inverted = False
        self.contrast = 0
        self.brightness_control = False
        self.access = 0
        self.bits = 18
        self.window = [0, 239, 0, 319]
        self._command = 0
        self._arguments: list[int] = []
        self._at = [0, 0]
        self._pixel = b""

    def _take_command(self, command: int) -> None:
        self._command = command
        self._arguments = []
        if command == 0x01:
            self._reset()
        elif command in (0x10, 0x11):
            self.asleep = command == 0x10
        elif command in (0x20, 0x21):
            self.inverted = command == 0x21
        elif command in (0x28, 0x29):
            self.on = command == 0x29
        elif command == 0x2C:
            self._at = [self.window[0], self.window[2]]
            self._pixel = b""
        elif command not in (*_ARGUMENTS, *_IGNORED, *_PLAIN):
            self._unknown(command)

    def _take_data(self, data: bytes) -> None:
        if self._command in (0x2C, 0x3C):
            self._pixels(data)
            return
        wanted = _ARGUMENTS.get(self._command)
        if wanted is None:
            return
        for byte in data:
            self._arguments.append(byte)
            if len(self._arguments) == wanted:
                self._execute(self._command, self._arguments)
                self._arguments = []

    def _execute(self, command: int, arguments: list[int]) -> None:
        if command in (0x2A, 0x2B):
            first, last = arguments[0] << 8 | arguments[1], arguments[2] << 8 | arguments[3]
            place = slice(0, 2) if command == 0x2A else slice(2, 4)
            self.window[place] = [min(first, 319), min(last, 319)]
        elif command == 0x36:
            self.access = arguments[0]
        elif command == 0x3A:
            self.bits = {5: 16, 6: 18}.get(arguments[0] & 7, self.bits)
        elif command == 0x53:
            self.brightness_control = bool(arguments[0] & 0x20)
        elif self.brightness_control:
            self.contrast = arguments[0]

    def _pixels(self, data: bytes) -> None:
        size = 2 if self.bits == 16 else 3
        data = self._pixel + data
        whole = len(data) // size * size
        self._pixel = data[whole:]
        column, row = self._at
        first, last, top, bottom = self.window
        for at in range(0, whole, size):
            if size == 2:
                value = data[at] << 8 | data[at + 1]
                red, green, blue = value >> 11, value >> 5 & 63, value & 31
                colour = (red << 3 | red >> 2) << 16 | (green << 2 | green >> 4) << 8
                colour |= blue << 3 | blue >> 2
            else:
                colour = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            self.memory[row * 320 + column] = colour
            column += 1
            if column > last:
                column = first
                row = row + 1 if row < bottom else top
        self._at = [column, row]

    def colour(self, x: int, y: int) -> int:
        """What the eye sees at (x, y), as a 24-bit colour."""
        if not self.on or self.asleep:
            return 0
        return self._seen(self._row(y)[x])

    def _row(self, y: int) -> list[int]:
        """A row as it is stored, from the left. Landscape as the usual modules are
        mounted: rows and columns exchanged."""
        start = y * 320 + self.visible_from
        row = self.memory[start : start + self.width]
        return row if self.access & 0xE0 == 0x60 else row[::-1]

    def _seen(self, value: int) -> int:
        if self.access & 0x08:  # blue, green, red
            value = (value & 0xFF) << 16 | value & 0xFF00 | value >> 16
        return value if self.inverted else value ^ 0xFFFFFF

    def _bright(self, value: int) -> bool:
        value = self._seen(value)
        return (value >> 16) * 3 + (value >> 8 & 0xFF) * 6 + (value & 0xFF) > 1280

    def _lit(self, y: int, known: dict[int, bool]) -> list[bool]:
        if not self.on or self.asleep:
            return [False] * self.width
        row = self._row(y)
        for value in set(row) - known.keys():
            known[value] = self._bright(value)
        return [known[value] for value in row]

    def frame(self) -> bytes:
        """What the panel shows in one bit a pixel (bright or not), in page order."""
        known: dict[int, bool] = {}
        return pages([self._lit(y, known) for y in range(self.height)])

    def rows(self) -> list[str]:
        """What the panel shows as text, "#" for light."""
        known: dict[int, bool] = {}
        return as_text(self._lit(y, known) for y in range(self.height))
