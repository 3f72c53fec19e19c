"""QR codes (ISO/IEC 18004), error correction M, versions 1 to 20.

Alphanumeric mode where the text allows it, else bytes (UTF-8). Rows and
columns are kept as integers, so that judging the eight masks costs a few
operations a line and not one a module.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = 4
MOST_VERSION = 20
_ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

#: Level M by version (table 9): check bytes a block, (blocks, data bytes) twice.
_BLOCKS = (
    (10, 1, 16, 0, 0), (16, 1, 28, 0, 0), (26, 1, 44, 0, 0), (18, 2, 32, 0, 0),
    (24, 2, 43, 0, 0), (16, 4, 27, 0, 0), (18, 4, 31, 0, 0), (22, 2, 38, 2, 39),
    (22, 3, 36, 2, 37), (26, 4, 43, 1, 44), (30, 1, 50, 4, 51), (22, 6, 36, 2, 37),
    (22, 8, 37, 1, 38), (24, 4, 40, 5, 41), (24, 5, 41, 5, 42), (28, 7, 45, 3, 46),
    (28, 10, 46, 1, 47), (26, 9, 43, 4, 44), (26, 3, 44, 11, 45), (26, 3, 41, 13, 42),
)  # fmt: skip
#: Centres of the alignment patterns by version (annex E).
_ALIGN = (
    (), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34), (6, 22, 38), (6, 24, 42), (6, 26, 46),
    (6, 28, 50), (6, 30, 54), (6, 32, 58), (6, 34, 62), (6, 26, 46, 66), (6, 26, 48, 70),
    (6, 26, 50, 74), (6, 30, 54, 78), (6, 30, 56, 82), (6, 30, 58, 86), (6, 34, 62, 90),
)  # fmt: skip

#: Mask conditions (table 10) of row i and column j; all repeat every 12.
_MASKS: "tuple[Callable[[int, int], bool], ...]" = (
    lambda i, j: (i + j) % 2 == 0,
    lambda i, j: i % 2 == 0,
    lambda i, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: i * j % 2 + i * j % 3 == 0,
    lambda i, j: (i * j % 2 + i * j % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0,
)


def encode(data: "str | bytes", mask: "int | None" = None) -> "list[bytearray]":
    """The symbol as rows of 0 and 1, without its quiet zone.

    ``mask`` 0 to 7 forces a mask, None picks the best one. ValueError for no
    data and for more than version 20 holds (666 bytes).
    """
    if not data:
        raise ValueError("an empty QR code")
    version, words = _data_words(data)
    grid = _Grid(version)
    grid.place(_interleaved(version, words))
    best = -1
    chosen: "list[int]" = []
    for number in range(8) if mask is None else (mask,):
        rows, columns = grid.masked(number)
        score = _penalty(rows, columns, grid.size) if mask is None else 0
        if best < 0 or score < best:
            best, chosen = score, rows
    return [bytearray(row >> x & 1 for x in range(grid.size)) for row in chosen]


def picture(data: "str | bytes") -> "tuple[int, list[bytearray]]":
    """``(size, rows of 0 and 1)`` with the quiet zone of four modules around it."""
    inner = encode(data)
    size = len(inner) + 2 * QUIET
    side = bytearray(QUIET)
    blank = [bytearray(size) for _ in range(QUIET)]
    rows = [side + row + side for row in inner]
    return size, blank + rows + [bytearray(size) for _ in range(QUIET)]


class _Bits:
    """A bit string in the making."""

    def __init__(self) -> None:
        self.value = 0
        self.length = 0

    def put(self, value: int, length: int) -> None:
        self.value = self.value << length | value
        self.length += length


def _capacity(version: int) -> int:
    _, first, size, second, larger = _BLOCKS[version - 1]
    return first * size + second * larger


def _data_words(data: "str | bytes") -> "tuple[int, bytes]":
    """``(version, data bytes with mode, length and padding)`` (clause 7.4)."""
    alnum = isinstance(data, str) and all(char in _ALNUM for char in data)
    raw = data.encode() if isinstance(data, str) else bytes(data)
    size = (11 * len(raw) + 1) // 2 if alnum else 8 * len(raw)
    for version in range(1, MOST_VERSION + 1):
        small = version < 10
        count = (9 if small else 11) if alnum else (8 if small else 16)
        room = 8 * _capacity(version)
        if 4 + count + size <= room:
            break
    else:
        raise ValueError("too long for a QR code: " + str(len(raw)) + " bytes")
    bits = _Bits()
    bits.put(2 if alnum else 4, 4)
    bits.put(len(raw), count)
    if alnum:
        values = [_ALNUM.index(chr(byte)) for byte in raw]
        for i in range(0, len(values) - 1, 2):
            bits.put(values[i] * 45 + values[i + 1], 11)
        if len(values) % 2:
            bits.put(values[-1], 6)
    else:
        bits.put(int.from_bytes(raw, "big"), 8 * len(raw))
    bits.put(0, min(4, room - bits.length))
    bits.put(0, -bits.length % 8)
    words = bytearray(bits.value.to_bytes(bits.length // 8, "big"))
    pad = 0xEC
    while len(words) < room // 8:
        words.append(pad)
        pad ^= 0xEC ^ 0x11
    return version, bytes(words)


_field: "list[bytes]" = []


def _tables() -> "tuple[bytes, bytes]":
    """Powers and logarithms of GF(256) modulo 0x11D."""
    if not _field:
        power, log = bytearray(510), bytearray(256)
        value = 1
        for i in range(255):
            power[i] = power[i + 255] = value
            log[value] = i
            value <<= 1
            if value & 0x100:
                value ^= 0x11D
        _field.append(bytes(power))
        _field.append(bytes(log))
    return _field[0], _field[1]


def _check_words(block: bytes, count: int) -> bytearray:
    """Reed-Solomon check bytes of a block (annex A)."""
    power, log = _tables()
    generator = bytearray((1,))
    for i in range(count):
        longer = bytearray(len(generator) + 1)
        for at, value in enumerate(generator):
            longer[at] ^= value
            if value:
                longer[at + 1] ^= power[log[value] + i]
        generator = longer
    rest = bytearray(block) + bytearray(count)
    for at in range(len(block)):
        lead = rest[at]
        if lead:
            shift = log[lead]
            for i in range(1, count + 1):
                rest[at + i] ^= power[log[generator[i]] + shift]
    return rest[len(block) :]


def _interleaved(version: int, words: bytes) -> bytes:
    """Data and check bytes in the order in which they are placed (clause 7.6)."""
    check, first, size, second, larger = _BLOCKS[version - 1]
    blocks = []
    at = 0
    for number in range(first + second):
        length = size if number < first else larger
        blocks.append(words[at : at + length])
        at += length
    checks = [_check_words(block, check) for block in blocks]
    out = bytearray()
    for i in range(max(size, larger)):
        for block in blocks:
            if i < len(block):
                out.append(block[i])
    for i in range(check):
        for part in checks:
            out.append(part[i])
    return bytes(out)


def _bch(value: int, generator: int, degree: int) -> int:
    """``value`` followed by ``degree`` check bits."""
    rest = value << degree
    top = 1 << degree
    high = top << 12
    while high >= top:
        if rest & high:
            rest ^= generator * (high // top)
        high >>= 1
    return value << degree | rest


class _Grid:
    """A symbol; bit x of ``rows[y]`` and bit y of ``columns[x]`` are module (x, y)."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.size = 17 + 4 * version
        self.rows = [0] * self.size
        self.columns = [0] * self.size
        self._used = [0] * self.size
        self._finders()
        self._timing()
        self._alignment()
        self._reserve()

    def set(self, x: int, y: int, dark: bool) -> None:
        """Fix a module that no mask touches."""
        self._used[y] |= 1 << x
        if dark:
            self.rows[y] |= 1 << x
            self.columns[x] |= 1 << y
        else:
            self.rows[y] &= ~(1 << x)
            self.columns[x] &= ~(1 << y)

    def _finders(self) -> None:
        last = self.size - 7
        for left, top in ((0, 0), (last, 0), (0, last)):
            for y in range(-1, 8):
                for x in range(-1, 8):
                    if 0 <= left + x < self.size and 0 <= top + y < self.size:
                        ring = max(abs(x - 3), abs(y - 3))
                        self.set(left + x, top + y, ring in (0, 1, 3))

    def _timing(self) -> None:
        for i in range(8, self.size - 8):
            self.set(i, 6, i % 2 == 0)
            self.set(6, i, i % 2 == 0)

    def _alignment(self) -> None:
        centres = _ALIGN[self.version - 1]
        last = self.size - 7
        for cy in centres:
            for cx in centres:
                if (cx, cy) in ((6, 6), (6, last), (last, 6)):
                    continue
                for y in range(-2, 3):
                    for x in range(-2, 3):
                        self.set(cx + x, cy + y, max(abs(x), abs(y)) != 1)

    def _reserve(self) -> None:
        """Format and version information; the format is drawn with the mask."""
        self._format(0)
        if self.version >= 7:
            bits = _bch(self.version, 0x1F25, 12)
            for i in range(18):
                dark = bool(bits >> i & 1)
                self.set(i // 3, self.size - 11 + i % 3, dark)
                self.set(self.size - 11 + i % 3, i // 3, dark)

    def _format(self, mask: int) -> None:
        """Both copies of the format information (clause 7.9); level M is 00."""
        bits = _bch(mask, 0x537, 10) ^ 0x5412
        size = self.size
        for i in range(15):
            dark = bool(bits >> i & 1)
            if i < 6:
                self.set(8, i, dark)
            elif i < 8:
                self.set(8, i + 1, dark)
            elif i == 8:
                self.set(7, 8, dark)
            else:
                self.set(14 - i, 8, dark)
            if i < 8:
                self.set(size - 1 - i, 8, dark)
            else:
                self.set(8, size - 15 + i, dark)
        self.set(8, size - 8, True)

    def place(self, words: bytes) -> None:
        """Lay the words in two-module columns from the lower right (clause 7.7.3)."""
        at = 0
        x = self.size - 1
        up = True
        while x > 0:
            if x == 6:
                x -= 1
            for step in range(self.size):
                y = self.size - 1 - step if up else step
                for column in (x, x - 1):
                    if self._used[y] >> column & 1:
                        continue
                    if at < 8 * len(words) and words[at >> 3] & 0x80 >> (at & 7):
                        self.rows[y] |= 1 << column
                        self.columns[column] |= 1 << y
                    at += 1
            up = not up
            x -= 2

    def masked(self, number: int) -> "tuple[list[int], list[int]]":
        """``(rows, columns)`` under mask ``number`` with its format information."""
        self._format(number)
        condition = _MASKS[number]
        size = self.size
        by_row = [sum(1 << j for j in range(size) if condition(i, j)) for i in range(12)]
        rows = []
        columns = list(self.columns)
        for y in range(size):
            flip = by_row[y % 12] & ~self._used[y]
            rows.append(self.rows[y] ^ flip)
            x = 0
            while flip:
                if flip & 1:
                    columns[x] ^= 1 << y
                flip >>= 1
                x += 1
        return rows, columns


def _ones(value: int) -> int:
    return bin(value).count("1")


def _penalty(rows: "list[int]", columns: "list[int]", size: int) -> int:
    """How hard the symbol is to read (clause 7.8.3.1, table 11)."""
    every = (1 << size) - 1
    score = 0
    dark = 0
    for line in rows + columns:
        for bits in (line, ~line & every):
            runs = bits & bits >> 1 & bits >> 2 & bits >> 3 & bits >> 4
            if runs:  # a run of n: n - 4 places here, and two more points for itself
                score += _ones(runs) + 2 * _ones(runs & ~(runs << 1))
        finder = line & ~(line >> 1) & line >> 2 & line >> 3 & line >> 4 & ~(line >> 5) & line >> 6
        if finder:
            light = ~line & every
            clear = light & light >> 1 & light >> 2 & light >> 3
            score += 40 * (_ones(finder & clear >> 7) + _ones(finder & clear << 4))
    for y in range(size):
        dark += _ones(rows[y])
        if y:
            same = ~(rows[y] ^ rows[y - 1])
            square = same & same >> 1 & ~(rows[y] ^ rows[y] >> 1) & every >> 1
            score += 3 * _ones(square)
    total = size * size
    return score + 10 * (abs(20 * dark - 10 * total) // total)
