"""A one-bit canvas in the page order of hal.display (MONO_VLSB)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Strips = bytes | bytearray | memoryview


class Canvas:
    """``width`` by ``height`` pixels; ``frame`` is what hal.display shows.

    ``height`` is a multiple of 8. Everything drawn outside is clipped.
    """

    def __init__(self, width: int, height: int) -> None:
        if width < 8 or height < 8 or height & 7:
            raise ValueError("a canvas is at least 8x8 and a multiple of 8 high")
        self.width = width
        self.height = height
        self.frame = bytearray(width * (height >> 3))

    def clear(self) -> None:
        """All pixels off."""
        self.frame[:] = bytes(len(self.frame))

    def pixel(self, x: int, y: int) -> bool:
        """Whether the pixel is on; False outside."""
        if 0 <= x < self.width and 0 <= y < self.height:
            return bool(self.frame[(y >> 3) * self.width + x] & 1 << (y & 7))
        return False

    def _spans(self, y: int, height: int) -> "list[tuple[int, int]]":
        """``(page, bits)`` of the rows ``y`` to ``y + height - 1``, clipped."""
        top, bottom = max(y, 0), min(y + height, self.height)
        spans = []
        page = top >> 3
        while page * 8 < bottom:
            low, high = max(top - page * 8, 0), min(bottom - page * 8, 8)
            spans.append((page, (1 << high) - (1 << low)))
            page += 1
        return spans

    def _columns(self, x: int, width: int) -> "tuple[int, int]":
        return max(x, 0), min(x + width, self.width)

    def fill(self, x: int, y: int, width: int, height: int, on: bool = True) -> None:
        """Fill a rectangle."""
        left, right = self._columns(x, width)
        frame = self.frame
        if left >= right:
            return
        for page, bits in self._spans(y, height):
            start = page * self.width
            if bits == 0xFF:
                frame[start + left : start + right] = (b"\xff" if on else b"\0") * (right - left)
                continue
            for at in range(start + left, start + right):
                frame[at] = frame[at] | bits if on else frame[at] & ~bits

    def invert(self, x: int, y: int, width: int, height: int) -> None:
        """Turn every pixel of a rectangle over."""
        left, right = self._columns(x, width)
        for page, bits in self._spans(y, height):
            for at in range(page * self.width + left, page * self.width + right):
                self.frame[at] ^= bits

    def rect(self, x: int, y: int, width: int, height: int) -> None:
        """The outline of a rectangle, one pixel thick."""
        if width < 1 or height < 1:
            return
        self.fill(x, y, width, 1)
        self.fill(x, y + height - 1, width, 1)
        self.fill(x, y, 1, height)
        self.fill(x + width - 1, y, 1, height)

    def blit(
        self, x: int, y: int, width: int, height: int, strips: "Strips", on: bool = True
    ) -> None:
        """Draw the set bits of a picture (strips of eight rows, bit 0 on top).

        ``on`` False clears them instead. Bits past ``height`` must be 0.
        """
        left, right = self._columns(x, width)
        if left >= right:
            return
        frame, count = self.frame, right - left
        pages = self.height >> 3
        shift = y & 7
        page = y >> 3
        # A strip as one number, a byte a column: all its columns move at once, and
        # the mask takes away what went into the neighbour's byte.
        every = int.from_bytes(b"\1" * count, "little")
        for strip in range((height + 7) >> 3):
            at = strip * width + left - x
            row = int.from_bytes(strips[at : at + count], "little")
            for half in (0, 1) if shift else (0,):
                target = page + strip + half
                if not 0 <= target < pages or not row:
                    continue
                if half:
                    bits = row >> (8 - shift) & every * (0xFF >> (8 - shift))
                else:
                    bits = row << shift & every * (0xFF << shift & 0xFF)
                base = target * self.width + left
                old = int.from_bytes(frame[base : base + count], "little")
                new = old | bits if on else old & ~bits
                frame[base : base + count] = new.to_bytes(count, "little")


def scaled(strips: "Strips", width: int, height: int, factor: int) -> bytes:
    """A picture of strips enlarged ``factor`` times both ways."""
    if factor == 1:
        return bytes(strips)
    tall = height * factor
    out = bytearray(width * factor * ((tall + 7) >> 3))
    wide = width * factor
    dot = (1 << factor) - 1
    for x in range(width):
        column = 0
        for y in range(height):
            if strips[(y >> 3) * width + x] & 1 << (y & 7):
                column |= dot << (y * factor)
        strip = 0
        while column:
            byte = column & 0xFF
            if byte:
                at = strip * wide + x * factor
                out[at : at + factor] = bytes([byte]) * factor
            column >>= 8
            strip += 1
    return bytes(out)
