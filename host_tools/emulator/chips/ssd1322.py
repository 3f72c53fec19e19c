"""Chip: OLED controller SSD1322 (Solomon Systech rev. 1.2), 480 x 128 dots of 4 bits.

Commands take their arguments as data. The panel is bonded to the middle of the
columns; mounted as the usual modules are it shows the picture upright with
remap 14h, dual COM mode 11h.
"""

from host_tools.emulator.chips.display_parts import DisplayChip, as_text, pages

COLUMNS, ROWS = 480, 128
#: Arguments of each command; what is not here has none.
_ARGUMENTS = {
    0x15: 2, 0x75: 2, 0xA0: 2, 0xA1: 1, 0xA2: 1, 0xA8: 2, 0xAB: 1, 0xB1: 1, 0xB3: 1, 0xB4: 2,
    0xB5: 1, 0xB6: 1, 0xB8: 15, 0xBB: 1, 0xBE: 1, 0xC1: 1, 0xC7: 1, 0xCA: 1, 0xD1: 2, 0xFD: 1,
}  # fmt: skip
_PLAIN = (0x00, 0x5C, 0x5D, 0xA4, 0xA5, 0xA6, 0xA7, 0xA9, 0xAE, 0xAF, 0xB9)


class Ssd1322(DisplayChip):
    """On SPI."""

    def __init__(self, width: int = 256, height: int = 64, bus_hz: int = 8_000_000) -> None:
        if width % 4 or not 4 <= width <= COLUMNS or not 8 <= height <= ROWS:
            raise ValueError(f"an ssd1322 drives no {width} x {height} panel")
        super().__init__("ssd1322", bus_hz)
        self.width = width
        self.height = height
        self.visible_from = (COLUMNS - width) // 2
        #: One byte a dot (0 to 15) as stored, in groups of four as the columns are addressed.
        self.memory = bytearray(5 if i & 1 else 10 for i in range(COLUMNS * ROWS))
        self.on = False
        self.mode = 0xA6
        self.contrast = 0x7F
        self.remap = (0, 0)
        self.locked = True
        self.multiplex = 127
        self.start_line = 0
        self.offset = 0
        self.window = [0, 119, 0, 127]
        self._command = 0
        self._arguments: list[int] = []
        self._at = [0, 0]
        self._half: list[int] = []

    def _take_command(self, command: int) -> None:
        self._command = command
        self._arguments = []
        if command == 0x5C:
            self._at = [self.window[0], self.window[2]]
            self._half = []
        elif command in (0xAE, 0xAF):
            self.on = command == 0xAF
        elif command in (0xA4, 0xA5, 0xA6, 0xA7):
            self.mode = command
        elif command not in _ARGUMENTS and command not in _PLAIN:
            self._unknown(command)

    def _take_data(self, data: bytes) -> None:
        for byte in data:
            self._data(byte)

    def _data(self, byte: int) -> None:
        if self._command == 0x5C:
            self._store(byte)
            return
        wanted = _ARGUMENTS.get(self._command, 0)
        if len(self._arguments) >= wanted:
            self._unknown(0x100 | byte)
            return
        self._arguments.append(byte)
        if len(self._arguments) == wanted:
            self._execute(self._command, self._arguments)

    def _execute(self, command: int, arguments: list[int]) -> None:
        if command == 0xFD:
            self.locked = arguments[0] & 0x04 != 0
        elif self.locked:
            return
        elif command == 0x15:
            self.window[:2] = [min(arguments[0] & 0x7F, 119), min(arguments[1] & 0x7F, 119)]
        elif command == 0x75:
            self.window[2:] = [arguments[0] & 0x7F, arguments[1] & 0x7F]
        elif command == 0xA0:
            self.remap = (arguments[0], arguments[1])
        elif command == 0xA1:
            self.start_line = arguments[0] & 0x7F
        elif command == 0xA2:
            self.offset = arguments[0] & 0x7F
        elif command == 0xC1:
            self.contrast = arguments[0]
        elif command == 0xCA:
            self.multiplex = arguments[0] & 0x7F

    def _store(self, byte: int) -> None:
        """Two bytes, four dots, make one column address."""
        self._half += [byte >> 4, byte & 15]
        if len(self._half) < 4:
            return
        dots, self._half = self._half, []
        if not self.remap[0] & 0x04:
            dots.reverse()
        column, row = self._at
        start = row * COLUMNS + column * 4
        self.memory[start : start + 4] = bytes(dots)
        first, last, top, bottom = self.window
        if column < last:
            self._at = [column + 1, row]
        else:
            self._at = [first, row + 1 if row < bottom else top]

    def brightness(self, x: int, y: int) -> int:
        """What the eye sees at (x, y) of the panel, 0 to 15."""
        if not self.on or self.mode == 0xA4 or y > self.multiplex:
            return 0
        if self.mode == 0xA5:
            return 15
        row = y if self.remap[0] & 0x10 else self.height - 1 - y
        column = self.width - 1 - x if self.remap[0] & 0x02 else x
        line = (row + self.start_line + self.offset) % ROWS
        value = self.memory[line * COLUMNS + self.visible_from + column]
        return 15 - value if self.mode == 0xA7 else value

    def _lit(self, y: int) -> list[bool]:
        return [self.brightness(x, y) > 7 for x in range(self.width)]

    def frame(self) -> bytes:
        """What the panel shows in one bit a pixel, in page order."""
        return pages([self._lit(y) for y in range(self.height)])

    def rows(self) -> list[str]:
        """What the panel shows as text, "#" for light."""
        return as_text(self._lit(y) for y in range(self.height))
