"""Executes ESC/POS commands: line buffer, print settings, symbols, paper feed.

Knows nothing of time, buffers or status: ``execute`` returns by how many dot
rows the paper moved.
"""

import codecs

from host_tools.emulator.chips import barcodes
from host_tools.emulator.chips.paper import Bitmap, Paper, glyph, rotate, scale

#: ESC t n: code pages that the printer holds, as names of Python codecs.
CODE_PAGES = {0: "cp437", 2: "cp850", 3: "cp860", 4: "cp863", 5: "cp865", 16: "cp1252",
              17: "cp866", 18: "cp852", 19: "cp858"}  # fmt: skip
#: ESC R n: characters that a national set puts in place of ASCII ones.
NATIONAL = {3: {"#": "£"}, 8: {"\\": "¥"}, 15: {"$": "¥"}}


#: Commands that say how long they are; one that claims too much comes without arguments.
_VARIABLE = (b"\x1b*", b"\x1dv", b"\x1dk", b"\x1d(", b"\x1d8", b"\x1dV")


class Head:
    """The print mechanism of a receipt printer."""

    def __init__(self, paper: Paper, charset: str = "gb18030") -> None:
        """``charset``: what Chinese characters arrive in: gb18030, gbk, utf-8 or "" for none."""
        self.paper = paper
        self.charset = charset
        self.unknown: list[bytes] = []
        self._qr = b""
        self._pdf417 = b""
        self._graphics: tuple[Bitmap, int, int] | None = None
        self.reset()

    def reset(self) -> None:
        """ESC @."""
        self._cells: list[tuple[Bitmap, str]] = []
        self._multi = b""
        self.chinese = self.charset == "utf-8"
        self.font_b = self.bold = self.inverse = self.upside_down = self.rotated = False
        self.underline = self.han_underline = 0
        self.wide = self.tall = 1
        self.align = 0
        self.left = 0
        self.area = self.paper.dots
        self.pitch = 30
        self.space = 0
        self.code_page = 0
        self.national = 0
        self.bar_height, self.bar_module, self.bar_text = 162, 3, 0
        self.qr_module, self.qr_level = 3, 48
        self.tabs = list(range(8, 80, 8))

    def execute(self, command: bytes, arguments: bytes) -> int:
        """Carry one command out; returns dot rows of paper movement."""
        if len(command) == 1:
            return self._byte(command)
        self._flush_multi()
        if command in _VARIABLE and not arguments:
            self._note(command)
            return 0
        kind = command[:1]
        name = chr(command[1])
        if kind == b"\x1b":
            return self._esc(name, arguments)
        if kind == b"\x1d":
            return self._gs(name, arguments)
        if kind == b"\x1c":
            self._fs(name, arguments)
        return 0

    def _byte(self, byte: bytes) -> int:
        value = byte[0]
        if value == 0x0A:
            self._flush_multi()
            return self._print_line()
        if value == 0x09:
            column = self._used() // (12 * self.wide)
            stop = next((tab for tab in self.tabs if tab > column), None)
            if stop is not None:
                self._advance(stop * 12 * self.wide)
            return 0
        if value < 0x20:
            return 0  # CR and other controls have no effect
        return self._text(byte)

    def _text(self, byte: bytes) -> int:
        if self._multi:
            self._multi += byte
            return self._try_multi()
        if byte[0] >= 0x80 and self.chinese and self.charset:
            self._multi = byte
            return self._try_multi()
        char = byte.decode(CODE_PAGES.get(self.code_page, "cp437"), "replace")
        return self._put(NATIONAL.get(self.national, {}).get(char, char), False)

    def _try_multi(self) -> int:
        data = self._multi
        longest = 4
        try:
            char = data.decode(self.charset)
        except UnicodeDecodeError:
            if len(data) < longest and self._may_continue(data):
                return 0
            char = "�"
        self._multi = b""
        return self._put(char[0], True)

    def _may_continue(self, data: bytes) -> bool:
        decoder = codecs.getincrementaldecoder(self.charset)()
        try:
            decoder.decode(data)
        except UnicodeDecodeError:
            return False
        return True

    def _flush_multi(self) -> None:
        if self._multi:
            self._multi = b""
            self._put("�", True)

    def _put(self, char: str, double: bool) -> int:
        double = double and ord(char) >= (0x2E80 if self.charset == "utf-8" else 0x80)
        width, height = (24, 24) if double else (9, 17) if self.font_b else (12, 24)
        rows = list(glyph(char, width, height))
        if self.bold:
            rows = [row | row >> 1 for row in rows]
        lines = self.han_underline if double else self.underline
        for i in range(min(lines, 2)):
            rows[height - 1 - i] = (1 << width) - 1
        width += self.space
        rows = [row << self.space for row in rows]
        if self.inverse:
            rows = [row ^ ((1 << width) - 1) for row in rows]
        bitmap = scale((width, rows), self.wide, self.tall)
        if self.rotated:
            bitmap = rotate(bitmap)
        moved = 0
        if self._used() + bitmap[0] > self.area and self._cells:
            moved = self._print_line()
        self._cells.append((bitmap, char))
        return moved

    def _used(self) -> int:
        return sum(bitmap[0] for bitmap, _ in self._cells)

    def _advance(self, to: int) -> None:
        gap = to - self._used()
        if gap > 0 and to <= self.area:
            self._cells.append(((gap, [0]), " " * max(gap // 12, 1)))

    def _place(self, width: int) -> int:
        room = max(self.area - width, 0)
        return self.left + (0, room // 2, room)[self.align]

    def _blit(self, bitmap: Bitmap) -> list[int]:
        """Rows of the paper with ``bitmap`` where alignment puts it."""
        width, rows = bitmap
        shift = self.paper.dots - self._place(width) - width
        edge = (1 << self.paper.dots) - 1
        return [(row << shift if shift >= 0 else row >> -shift) & edge for row in rows]

    def _print_line(self, feed: int | None = None) -> int:
        cells, self._cells = self._cells, []
        height = max((len(bitmap[1]) for bitmap, _ in cells), default=0)
        total = sum(bitmap[0] for bitmap, _ in cells)
        rows = [0] * height
        at = total
        for (width, part), _ in cells:
            at -= width
            for y, row in enumerate(part):
                rows[height - len(part) + y] |= row << at
        rows = self._blit((total, rows))
        text = "".join(char for _, char in cells)
        if self.upside_down:
            edge = self.paper.dots
            rows = [int(f"{row:0{edge}b}"[::-1], 2) for row in reversed(rows)]
        pad = max((self.pitch if feed is None else feed) - height, 0)
        indent = " " * (self._place(total) // 12) if text else ""
        self.paper.add(rows + [0] * pad, (indent + text).rstrip())
        return height + pad

    def _picture(self, bitmap: Bitmap, text: str) -> int:
        moved = self._print_line() if self._cells else 0
        rows = self._blit(bitmap)
        self.paper.add(rows, text)
        return moved + len(rows)

    def _feed(self, rows: int) -> int:
        if self._cells:
            return self._print_line(rows)
        self.paper.add([0] * rows)
        return rows

    def _cut(self) -> int:
        moved = self._print_line() if self._cells else 0
        self.paper.cuts.append(len(self.paper.rows))
        self.paper.add([], "-" * 8 + " cut " + "-" * 8)
        return moved

    def _esc(self, name: str, a: bytes) -> int:
        n = a[0] if a else 0
        if name == "@":
            self.reset()
        elif name == "!":
            self.font_b, self.bold = bool(n & 1), bool(n & 8)
            self.tall, self.wide = 1 + bool(n & 16), 1 + bool(n & 32)
            self.underline = 1 if n & 0x80 else 0
        elif name == "-":
            self.underline = {0: 0, 1: 1, 2: 2}.get(n & 0x0F, self.underline)
        elif name in "EG":
            self.bold = bool(n & 1)
        elif name == "a":
            if n & 0x0F <= 2 and not self._cells:
                self.align = n & 0x0F
        elif name == "d":
            lines = n
            moved = self._print_line() if self._cells and lines else 0
            self.paper.say(*[""] * (lines - (1 if moved else 0)))
            return moved + self._feed((lines - (1 if moved else 0)) * self.pitch)
        elif name in "JK":
            return self._feed(n)
        elif name == "M":
            self.font_b = bool(n & 1)
        elif name == "t":
            self.code_page = n
        elif name == "R":
            self.national = n
        elif name == "3":
            self.pitch = n
        elif name == "2":
            self.pitch = 30
        elif name == "$":
            self._advance(a[0] | a[1] << 8)
        elif name == "\\":
            self._advance(self._used() + (a[0] | a[1] << 8))
        elif name == "{":
            self.upside_down = bool(n & 1)
        elif name == "V":
            self.rotated = bool(n & 0x0F)
        elif name == " ":
            self.space = n
        elif name == "D":
            self.tabs = list(a[:-1]) or list(range(8, 80, 8))
        elif name == "*":
            self._column_image(a)
        elif name in "im":
            return self._cut()
        elif name not in "pc=LSTWer%?uvU":
            self._note(b"\x1b" + name.encode("latin-1"))
        return 0

    def _fs(self, name: str, a: bytes) -> None:
        n = a[0] if a else 0
        if name == "&":
            self.chinese = True
        elif name == ".":
            self.chinese = self.charset == "utf-8"
        elif name == "!":
            self.wide, self.tall = 1 + bool(n & 4), 1 + bool(n & 8)
            self.han_underline = 1 if n & 0x80 else 0
        elif name == "-":
            self.han_underline = n & 3
        elif name == "W":
            self.wide = self.tall = 1 + (n & 1)
        elif name not in "CS(p":
            self._note(b"\x1c" + name.encode("latin-1"))

    def _gs(self, name: str, a: bytes) -> int:
        n = a[0] if a else 0
        if name == "!":
            self.wide, self.tall = (n >> 4 & 7) + 1, (n & 7) + 1
        elif name == "B":
            self.inverse = bool(n & 1)
        elif name == "H":
            self.bar_text = n & 3
        elif name == "h":
            self.bar_height = max(n, 1)
        elif name == "w":
            self.bar_module = min(max(n, 1), 6)
        elif name == "L":
            self.left = min(a[0] | a[1] << 8, self.paper.dots - 12)
            self.area = min(self.area, self.paper.dots - self.left)
        elif name == "W":
            self.area = min(max(a[0] | a[1] << 8, 12), self.paper.dots - self.left)
        elif name == "$":
            return 0
        elif name == "k":
            return self._barcode(a)
        elif name == "V":
            return (self._feed(a[1]) if len(a) > 1 else 0) + self._cut()
        elif name == "v":
            return self._raster(a)
        elif name == "(":
            return self._function(a[0:1], a[3:])
        elif name == "8" and a[:1] == b"L":
            return self._function(b"L", a[5:])
        elif name not in "raIfbP\\/:^*TcE8":
            self._note(b"\x1d" + name.encode("latin-1"))
        return 0

    def _note(self, command: bytes) -> None:
        self.unknown.append(command)
        del self.unknown[:-100]

    def _column_image(self, a: bytes) -> None:
        mode, count = a[0], a[1] | a[2] << 8
        deep = mode in (32, 33)
        if mode not in (0, 1, 32, 33) or not count:
            return
        step = 3 if deep else 1
        rows = [0] * (8 * step)
        for x in range(count):
            column = int.from_bytes(a[3 + x * step : 3 + (x + 1) * step], "big")
            for y in range(8 * step):
                rows[y] = rows[y] << 1 | (column >> (8 * step - 1 - y) & 1)
        bitmap = scale((count, rows), 1 if mode in (1, 33) else 2, 1 if deep else 3)
        self._cells.append((bitmap, ""))

    def _raster(self, a: bytes) -> int:
        mode, across, down = a[1] & 3, a[2] | a[3] << 8, a[4] | a[5] << 8
        if not across or not down:
            return 0
        rows = [
            int.from_bytes(a[6 + y * across : 6 + (y + 1) * across], "big") for y in range(down)
        ]
        bitmap = scale((across * 8, rows), 2 if mode & 1 else 1, 2 if mode & 2 else 1)
        return self._picture(bitmap, f"[image {bitmap[0]}x{len(bitmap[1])}]")

    def _barcode(self, a: bytes) -> int:
        kind = a[0] if a[0] > 6 else a[0] + 65
        data = a[1:-1] if a[0] <= 6 else a[2:]
        text = data.decode("latin-1")
        found: str | None = None
        if kind == 73:
            pair = barcodes.code128(data)
            found, text = pair if pair else (None, text)
        else:
            encode = {65: barcodes.upca, 67: barcodes.ean13, 68: barcodes.ean8,
                      69: barcodes.code39, 70: barcodes.itf}.get(kind)  # fmt: skip
            found = encode(text) if encode else None
        names = {65: "UPC-A", 66: "UPC-E", 67: "EAN-13", 68: "EAN-8", 69: "CODE39", 70: "ITF",
                 71: "CODABAR", 72: "CODE93", 73: "CODE128"}  # fmt: skip
        label = f"[{names.get(kind, kind)} {text}]"
        if found is None or len(found) * self.bar_module > self.area:
            self.paper.say(f"[not printable: {label[1:-1]}]")
            return 0
        bars = (len(found), [int(found, 2)])
        moved = 0
        if self.bar_text & 1:
            moved += self._caption(text)
        moved += self._picture(scale(bars, self.bar_module, self.bar_height), label)
        if self.bar_text & 2:
            moved += self._caption(text)
        return moved

    def _caption(self, text: str) -> int:
        cells = [(12, glyph(char, 12, 24)) for char in text]
        rows = [0] * 24
        for width, part in cells:
            rows = [row << width | piece for row, piece in zip(rows, part, strict=True)]
        self.paper.add(self._blit((12 * len(cells), rows)))
        return 24

    def _function(self, group: bytes, a: bytes) -> int:
        if group == b"k" and len(a) >= 2:
            return self._symbol(a[0], a[1], a[2:])
        if group == b"L" and len(a) >= 2:
            return self._graphic(a[1], a[2:])
        return 0

    def _symbol(self, kind: int, function: int, a: bytes) -> int:
        if kind == 49:
            if function == 67 and a:
                self.qr_module = min(max(a[0], 1), 16)
            elif function == 69 and a:
                self.qr_level = a[0]
            elif function == 80:
                self._qr = a[1:]
            elif function == 81 and self._qr:
                return self._draw_qr()
        elif kind == 48:
            if function == 80:
                self._pdf417 = a[1:]
            elif function == 81 and self._pdf417:
                # The chip keeps the text; drawing PDF417 has no user in this project.
                self.paper.say(f"[PDF417 {self._pdf417.decode('utf-8', 'replace')}]")
        return 0

    def _draw_qr(self) -> int:
        import segno

        level = {48: "l", 49: "m", 50: "q", 51: "h"}.get(self.qr_level, "l")
        text = self._qr.decode("utf-8", "replace")
        try:
            symbol = segno.make_qr(self._qr, error=level, boost_error=False)
        except (segno.DataOverflowError, ValueError):
            self.paper.say("[not printable: QR]")
            return 0
        rows = [int("".join("1" if dot else "0" for dot in row), 2) for row in symbol.matrix]
        bitmap = scale((len(rows), rows), self.qr_module, self.qr_module)
        if bitmap[0] > self.area:
            self.paper.say("[not printable: QR]")
            return 0
        return self._picture(bitmap, f"[QR {text}]")

    def _graphic(self, function: int, a: bytes) -> int:
        if function == 112 and len(a) >= 8:
            wide, tall = min(max(a[1], 1), 2), min(max(a[2], 1), 2)
            across, down = a[4] | a[5] << 8, a[6] | a[7] << 8
            stride = (across + 7) // 8
            if not across or len(a) < 8 + stride * down:
                return 0
            pad = stride * 8 - across
            rows = [
                int.from_bytes(a[8 + y * stride : 8 + (y + 1) * stride], "big") >> pad
                for y in range(down)
            ]
            self._graphics = ((across, rows), wide, tall)
        elif function in (2, 50) and self._graphics is not None:
            bitmap, wide, tall = self._graphics
            self._graphics = None
            bitmap = scale(bitmap, wide, tall)
            return self._picture(bitmap, f"[image {bitmap[0]}x{len(bitmap[1])}]")
        return 0
