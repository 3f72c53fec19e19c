"""From nodes to elements: things with a width and a height that can be painted.

An element is ``(width, height, paint)``; ``paint(canvas, x, y, on)`` draws it
with its top left corner there, light on dark when ``on``.
"""

from firmware.text import fonts
from firmware.text.canvas import scaled
from firmware.text.faces import Face
from firmware.ui import icons, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.text.canvas import Canvas
    from firmware.text.texts import Texts

    Paint = Callable[[Canvas, int, int, bool], None]
    Element = tuple[int, int, Paint]

#: (Latin font, enlargement) of tree.TINY ... tree.GIANT.
_LADDER = (
    ("latin8", 1), ("latin10", 1), ("latin16", 1), ("latin20", 1), ("latin16", 2), ("latin20", 2),
)  # fmt: skip

_faces: "dict[tuple[int, int], Face]" = {}


def face(size: int, scale: int) -> Face:
    """The face of a size on a panel whose type is enlarged ``scale`` times."""
    found = _faces.get((size, scale))
    if found is None:
        latin, factor = _LADDER[size]
        # Chinese has one size; large Latin type keeps it at the panel's scale.
        found = _faces[(size, scale)] = Face(latin, factor * scale)
    return found


def forget() -> None:
    """Let go of the glyphs."""
    _faces.clear()
    fonts.forget()


class Style:
    """How tight to set: ``shrink`` steps below the wished sizes, ``drop``: leave out
    nodes whose ``optional`` is 1 to ``drop``, ``scale``: pixels a dot."""

    def __init__(self, shrink: int, drop: int, scale: int) -> None:
        self.shrink = shrink
        self.drop = drop
        self.scale = scale

    def skips(self, node: tree.Node) -> bool:
        """Whether the node is left out."""
        return 0 < node.optional <= self.drop


def line(words: str, of: Face, inverse: bool = False) -> "Element":
    """One line of type."""
    width, height = of.width(words), of.metrics(words)[0]
    if not inverse:
        return width, height, lambda canvas, x, y, on: of.draw(canvas, x, y, words, on)
    edge = of.scale

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        canvas.fill(x, y, width + 4 * edge, height + 2 * edge, on)
        of.draw(canvas, x + 2 * edge, y + edge, words, not on)

    return width + 4 * edge, height + 2 * edge, paint


def text(node: tree.Text, texts: "Texts", width: int, style: Style) -> "list[Element]":
    """The lines of a text node set to ``width`` pixels."""
    words = node.resolve(texts)
    if not words:
        return []
    size = max(node.size - style.shrink, min(node.size, node.least))
    chosen = face(size, style.scale)
    if node.single:
        while size > min(node.least, node.size) and chosen.width(words) > width:
            size -= 1
            chosen = face(size, style.scale)
        return [line(words, chosen, node.inverse)]
    set_in = chosen.wrap(words, width)
    most = 1 if style.shrink > 1 and node.most else node.most
    while size > node.least and (
        _cuts_a_word(words, chosen, width) or (most and len(set_in) > most)
    ):
        size -= 1
        chosen = face(size, style.scale)
        set_in = chosen.wrap(words, width)
    if most and len(set_in) > most:
        set_in = set_in[:most]
        set_in[-1] = shortened(set_in[-1], chosen, width)
    return [line(part, chosen, node.inverse) for part in set_in]


def shortened(words: str, of: Face, width: int) -> str:
    """``words`` and "…" in one line: whole characters go until it fits."""
    while words and of.width(words + "…") > width:
        words = words[:-1]
    return words.rstrip(" ") + "…"


def hint(node: tree.Hint, texts: "Texts", style: Style) -> "Element":
    """A key's picture with what the key does beside it."""
    s = style.scale
    words = "" if node.bare else node.resolve(texts)
    of = face(tree.SMALL, s)
    picture = scaled(icons.strips(node.button), icons.KEY, icons.KEY, s)
    side = icons.KEY * s
    height = max(of.metrics(words)[0], side)
    gap = 2 * s if words else 0

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        canvas.blit(x, y + (height - side) // 2, side, side, picture, on)
        of.draw(canvas, x + side + gap, y, words, on)

    return side + gap + of.width(words), height, paint


def _cuts_a_word(words: str, of: Face, width: int) -> bool:
    for word in words.split():
        # Chinese may break anywhere; only a run of Latin is a word.
        if ord(word[0]) < 0x2E80 and ord(word[-1]) < 0x2E80 and of.width(word) > width:
            return True
    return False


def dots(node: tree.Dots, style: Style) -> "Element":
    """One filled dot a digit, in a box."""
    s = style.scale
    width, height = (node.most * 10 + 6) * s, 14 * s

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        canvas.rect(x, y, width, height)
        left = x + (width - node.count * 10 * s) // 2
        for i in range(node.count):
            at = left + i * 10 * s
            canvas.fill(at + 2 * s, y + 4 * s, 6 * s, 6 * s, on)
            canvas.fill(at + 3 * s, y + 3 * s, 4 * s, 8 * s, on)
            canvas.fill(at + s, y + 5 * s, 8 * s, 4 * s, on)

    return width, height, paint


def signal(node: tree.Signal, style: Style) -> "Element":
    """Four rising bars; those not reached are a dot high."""
    s = style.scale

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        for i in range(4):
            tall = (2 * i + 2) * s if i < node.bars else s
            canvas.fill(x + 3 * i * s, y + 9 * s - tall, 2 * s, tall, on)
        if not node.bars:  # no bearer: a cross where the bars would rise
            for i in range(5 * s):
                canvas.fill(x + i, y + s + i, 1, 1, on)
                canvas.fill(x + 5 * s - 1 - i, y + s + i, 1, 1, on)

    return 11 * s, 10 * s, paint


def badge(bars: int, locked: bool, style: Style) -> "Element":
    """A network's bars, with a padlock before them for one that wants a password;
    nothing for -1 bars."""
    s = style.scale
    if bars < 0:
        return 0, 0, lambda canvas, x, y, on: None
    wide, tall, paint_bars = signal(tree.Signal("", bars), style)

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        if locked:
            canvas.fill(x + 2 * s, y, 3 * s, s, on)
            canvas.fill(x + s, y + s, s, 3 * s, on)
            canvas.fill(x + 5 * s, y + s, s, 3 * s, on)
            canvas.fill(x, y + 4 * s, 7 * s, 5 * s, on)
        paint_bars(canvas, x + 10 * s, y, on)

    return wide + 10 * s, tall, paint


def battery(node: tree.Battery, style: Style) -> "Element":
    """A cell filled by its charge; a plug's bolt on mains power."""
    s = style.scale
    if node.percent is None:
        return 0, 0, lambda canvas, x, y, on: None
    percent = max(0, min(node.percent, 100))

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        if node.mains:
            for i, (left, wide) in enumerate(((2, 1), (1, 2), (0, 4), (2, 2), (1, 1))):
                canvas.fill(x + left * s, y + (2 + i) * s, wide * s, s, on)
        left = x + 6 * s
        canvas.rect(left, y + s, 12 * s, 8 * s)
        canvas.fill(left + 12 * s, y + 3 * s, s, 4 * s, on)
        canvas.fill(left + 2 * s, y + 3 * s, (8 * s * percent + 99) // 100, 4 * s, on)

    return 19 * s, 10 * s, paint


def progress(node: tree.Progress, style: Style, width: int) -> "Element":
    """A block that walks once a second through a frame, and the seconds."""
    s = style.scale
    small = face(tree.SMALL, s)
    words = str(node.seconds) + " s"
    room = small.width("000 s")
    total = min(width, 120 * s)
    track = total - room - 4 * s

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        canvas.rect(x, y + s, track, 8 * s)
        step = (track - 4 * s) // 5
        canvas.fill(x + 2 * s + node.seconds % 5 * step, y + 3 * s, step, 4 * s, on)
        small.draw(canvas, x + total - small.width(words), y, words, on)

    return total, 10 * s, paint


def icon(node: tree.Icon, style: Style) -> "Element":
    """A picture, enlarged with the panel."""
    s = style.scale
    side = icons.SIDE * s
    picture = scaled(icons.strips(node.picture), icons.SIDE, icons.SIDE, s)

    def paint(canvas: "Canvas", x: int, y: int, on: bool) -> None:
        canvas.blit(x, y, side, side, picture, on)

    return side, side, paint
