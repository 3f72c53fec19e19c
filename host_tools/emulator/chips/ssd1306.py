"""Chip: OLED controllers SSD1306 (Solomon Systech rev. 1.1), SSD1309 (rev. 1.1: the same
without a charge pump) and SH1106 (Sino Wealth V2.3).

Decodes command and data bytes into display memory and from there into what
an eye sees: on/off, inversion, entire display on, start line, display offset,
segment remap, COM scan direction, multiplex ratio. A panel that is mounted
as the usual modules are shows the picture upright with segment remap A1 and
COM scan C8.
"""

from host_tools.emulator.chips.display_parts import DisplayChip

#: Bytes that follow a command byte; what is not here has none.
_ARGUMENTS = {
    0x20: 1, 0x21: 2, 0x22: 2, 0x26: 6, 0x27: 6, 0x29: 5, 0x2A: 5, 0x81: 1, 0x8D: 1,
    0xA3: 2, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
}  # fmt: skip
_SH1106_ARGUMENTS = {0x81: 1, 0xA8: 1, 0xAD: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1}

HORIZONTAL, VERTICAL, PAGE = 0, 1, 2


class OledChip(DisplayChip):
    """A controller with its panel, on I2C.

    ``visible_from`` is the memory column behind the panel's left edge: 0 for
    SSD1306 modules, 2 for the usual SH1106 module (132 columns, 128 bonded).
    """

    clocks_a_byte = 9
    head_bytes = 2

    def __init__(
        self,
        width: int = 128,
        height: int = 64,
        controller: str = "ssd1306",
        visible_from: int = 0,
        bus_hz: int = 400_000,
    ) -> None:
        if controller not in ("ssd1306", "ssd1309", "sh1106"):
            raise ValueError(f"no controller {controller!r}")
        super().__init__(controller, bus_hz)
        self.columns = 132 if controller == "sh1106" else 128
        self.pages = 8
        if not 1 <= width <= self.columns - visible_from or height not in (16, 32, 48, 64):
            raise ValueError(f"a {controller} drives no {width} x {height} panel")
        self.width = width
        self.height = height
        self.visible_from = visible_from
        #: Contents at power-up are undefined; a checkered pattern makes that seen.
        self.memory = bytearray(0xAA if i & 1 else 0x55 for i in range(self.columns * 8))
        self.on = False
        self.inverted = False
        self.entire_on = False
        self.contrast = 0x7F
        self.start_line = 0
        self.offset = 0
        self.remap = False
        self.scan_reversed = False
        self.multiplex = 63
        self.charge_pump = False
        self.mode = PAGE
        self.page = 0
        self.column = 0
        self.window = (0, self.columns - 1, 0, 7)
        self._pending: list[int] = []

    def _take_command(self, byte: int) -> None:
        if self._pending:
            self._pending.append(byte)
        else:
            self._pending = [byte]
        table = _SH1106_ARGUMENTS if self.controller == "sh1106" else _ARGUMENTS
        if len(self._pending) > table.get(self._pending[0], 0):
            command, *arguments = self._pending
            self._pending = []
            self._execute(command, arguments)

    def _execute(self, command: int, arguments: list[int]) -> None:
        if command <= 0x0F:
            self.column = (self.column & 0xF0) | command
        elif command <= 0x1F:
            self.column = (self.column & 0x0F) | ((command & 0x0F) << 4)
        elif 0x40 <= command <= 0x7F:
            self.start_line = command & 0x3F
        elif 0xB0 <= command <= 0xBF:
            self.page = command & 0x07
        elif not self._setting(command, arguments) and not self._addressing(command, arguments):
            self._unknown(command)

    def _setting(self, command: int, arguments: list[int]) -> bool:
        if command in (0xAE, 0xAF):
            self.on = command == 0xAF
        elif command in (0xA4, 0xA5):
            self.entire_on = command == 0xA5
        elif command in (0xA6, 0xA7):
            self.inverted = command == 0xA7
        elif command in (0xA0, 0xA1):
            self.remap = command == 0xA1
        elif 0xC0 <= command <= 0xCF:
            self.scan_reversed = bool(command & 8)
        elif command == 0x81:
            self.contrast = arguments[0]
        elif command == 0xA8:
            self.multiplex = arguments[0] & 0x3F
        elif command == 0xD3:
            self.offset = arguments[0] & 0x3F
        elif command == 0x8D and self.controller == "ssd1306":
            self.charge_pump = bool(arguments[0] & 0x04)
        else:
            # Timing, COM wiring, scrolling, pump voltage, no-operation: no effect on the picture.
            return command in (
                0xD5, 0xD9, 0xDA, 0xDB, 0xE3, 0x26, 0x27, 0x29, 0x2A, 0x2E, 0xA3, 0xAD,
                0x30, 0x31, 0x32, 0x33, 0x8D,
            )  # fmt: skip
        return True

    def _addressing(self, command: int, arguments: list[int]) -> bool:
        if self.controller == "sh1106":
            return False  # page addressing only
        if command == 0x20:
            self.mode = min(arguments[0] & 3, PAGE)
        elif command == 0x21:
            start, end = arguments[0] & 0x7F, arguments[1] & 0x7F
            self.window = (start, max(start, end), *self.window[2:])
            self.column = start
        elif command == 0x22:
            start, end = arguments[0] & 7, arguments[1] & 7
            self.window = (*self.window[:2], start, max(start, end))
            self.page = start
        else:
            return False
        return True

    def _take_data(self, data: bytes) -> None:
        for byte in data:
            self._store(byte)

    def _store(self, byte: int) -> None:
        if self.column < self.columns:
            self.memory[self.page * self.columns + self.column] = byte
        first, last, top, bottom = self.window
        if self.mode == PAGE:
            # The SSD1306's pointer wraps to column 0; the SH1106's stops at the end.
            if self.column < self.columns - 1:
                self.column += 1
            elif self.controller != "sh1106":
                self.column = 0
            else:
                self.column = self.columns
        elif self.mode == HORIZONTAL:
            self.column += 1
            if self.column > last:
                self.column = first
                self.page = top if self.page >= bottom else self.page + 1
        else:
            self.page += 1
            if self.page > bottom:
                self.page = top
                self.column = first if self.column >= last else self.column + 1

    def lit(self, x: int, y: int) -> bool:
        """Whether the eye sees light at (x, y) of the panel, from the upper left."""
        if not self.on or (self.controller == "ssd1306" and not self.charge_pump):
            return False
        if self.entire_on:
            return True
        column = self.visible_from + x if self.remap else self.visible_from + self.width - 1 - x
        # COM lines: with the multiplex ratio n only n+1 rows are driven.
        com = y if self.scan_reversed else self.height - 1 - y
        if com > self.multiplex:
            return False
        row = (com + self.start_line + self.offset) % 64
        bit = (self.memory[(row >> 3) * self.columns + column] >> (row & 7)) & 1
        return bool(bit) != self.inverted

    def frame(self) -> bytes:
        """What the panel shows, in page order (bit 0 on top), width * height / 8 bytes."""
        straight = self.remap and self.scan_reversed and not (self.start_line or self.offset)
        plain = straight and self.on and not self.entire_on and self.multiplex >= self.height - 1
        if plain and (self.charge_pump or self.controller != "ssd1306"):
            # The usual mounting: memory is the picture, which a page asks for often.
            starts = [page * self.columns + self.visible_from for page in range(self.height // 8)]
            picture = b"".join(self.memory[at : at + self.width] for at in starts)
            return bytes(byte ^ 0xFF for byte in picture) if self.inverted else picture
        return bytes(
            sum(self.lit(x, page * 8 + bit) << bit for bit in range(8))
            for page in range(self.height // 8)
            for x in range(self.width)
        )

    def rows(self) -> list[str]:
        """What the panel shows as text, "#" for light."""
        return [
            "".join("#" if self.lit(x, y) else "." for x in range(self.width))
            for y in range(self.height)
        ]
