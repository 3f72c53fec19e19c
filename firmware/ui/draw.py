"""Draws a screen tree on a panel of any size: a fold over its nodes.

A screen is first set in the sizes that its nodes wish for. If it does not
fit, smaller type is tried and optional nodes are left out, in a fixed order
(``_TRIES``); what does not fit even then is reported by name, never cut in
silence. A panel of twice 128x64 or more is drawn in type enlarged as much.
"""

from firmware.text.canvas import Canvas
from firmware.ui import parts, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.text.texts import Texts
    from firmware.ui.parts import Element, Style

    #: elements on one line with their alignment
    Row = list[tuple[Element, str]]

#: (steps of smaller type, optional nodes left out up to).
_TRIES = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (0, 2), (1, 2), (2, 2), (1, 3), (2, 3))


class Drawing:
    """``frame`` for hal.display; ``overflow``: names of nodes that did not fit."""

    def __init__(self, frame: bytearray, overflow: "list[str]") -> None:
        self.frame = frame
        self.overflow = overflow


def draw(screen: tree.Screen, texts: "Texts", width: int, height: int) -> Drawing:
    """Draw ``screen`` for a panel of ``width`` by ``height`` pixels."""
    largest = max(1, min(width // 128, height // 64))
    last = None
    for scale in range(largest, 0, -1):
        for shrink, drop in _TRIES:
            canvas = Canvas(width, height)
            fold = _Fold(canvas, texts, parts.Style(shrink, drop, scale))
            overflow = fold.screen(screen)
            last = Drawing(canvas.frame, overflow)
            if not overflow:
                return last
    assert last is not None
    return last


class _Fold:
    """One try at a screen in one style."""

    def __init__(self, canvas: Canvas, texts: "Texts", style: "Style") -> None:
        self.canvas = canvas
        self.texts = texts
        self.style = style
        self.overflow: "list[str]" = []

    def screen(self, screen: tree.Screen) -> "list[str]":
        """Draw everything; give the names of what did not fit."""
        places: "dict[str, list[tree.Node]]" = {
            place: [] for place in ("status", "title", "banner", "body", "foot")
        }
        for node in screen.nodes:
            if not self.style.skips(node):
                places[node.place].append(node)
        top = self._strip(places["status"], 0)
        top = self._title(places["title"], top, False)
        top = self._title(places["banner"], top, True)
        foot = self._rows(places["foot"])
        foot_height = sum(_height(row) for row, _ in foot)
        bottom = self.canvas.height - foot_height
        self._body(places["body"], top, bottom)
        y = bottom
        for row, _ in foot:
            self._paint_row(row, y)
            y += _height(row)
        return self.overflow

    def _elements(self, node: tree.Node) -> "list[Element]":
        """The lines of a node that has a height of its own."""
        width = self.canvas.width
        if isinstance(node, tree.Hint):
            return [parts.hint(node, self.texts, self.style)]
        if isinstance(node, tree.Text):
            lines = parts.text(node, self.texts, width, self.style)
            if any(line[0] > width for line in lines):
                self.overflow.append(node.name)
            return lines
        if isinstance(node, tree.Dots):
            return [parts.dots(node, self.style)]
        if isinstance(node, tree.Icon):
            return [parts.icon(node, self.style)]
        if isinstance(node, tree.Progress):
            return [parts.progress(node, self.style, width)]
        if isinstance(node, tree.Signal):
            return [parts.signal(node, self.style)]
        if isinstance(node, tree.Battery):
            return [parts.battery(node, self.style)]
        raise TypeError("no drawing for a " + node.kind)

    def _rows(self, nodes: "list[tree.Node]") -> "list[tuple[Row, str]]":
        """Lines from top to bottom with the name of the node that began each."""
        rows: "list[tuple[Row, str]]" = []
        gap = 4 * self.style.scale
        for node in nodes:
            elements = self._elements(node)
            if node.beside and rows and len(elements) == 1:
                row = rows[-1][0]
                used = sum(element[0] for element, _ in row) + gap * len(row)
                if used + elements[0][0] <= self.canvas.width:
                    row.append((elements[0], node.align))
                    continue
            rows.extend(([(element, node.align)], node.name) for element in elements)
        return rows

    def _paint_row(self, row: "Row", y: int, on: bool = True, left: int = 0) -> None:
        width = self.canvas.width
        height = _height(row)
        x, right = left, width - left
        for element, align in row:
            wide, tall, paint = element
            if align == "right":
                right -= wide
                at = right
                right -= 2
            elif align == "center":
                at = max((width - wide) // 2, x) if len(row) == 1 else x
                x = at + wide + 2
            else:
                at = x
                x += wide + 2
            paint(self.canvas, at, y + (height - tall if tall < height else 0), on)

    def _strip(self, nodes: "list[tree.Node]", top: int) -> int:
        """The status strip: all its nodes on one line. Returns where the rest begins."""
        if not nodes:
            return top
        row: "Row" = []
        used = 0
        for node in nodes:
            for element in self._elements(node)[:1]:
                if element[0]:
                    row.append((element, node.align))
                    used += element[0] + 2
                    if used - 2 > self.canvas.width:
                        self.overflow.append(node.name)
        self._paint_row(row, top)
        return top + _height(row)

    def _title(self, nodes: "list[tree.Node]", top: int, bar: bool) -> int:
        """One line that all nodes share: an inverse bar, or words and a rule behind them."""
        if not nodes:
            return top
        s = self.style.scale
        row: "Row" = []
        left, right = s, self.canvas.width - s
        for node in nodes:
            for element in self._elements(node)[:1]:
                row.append((element, node.align))
                if node.align == "right":
                    right -= element[0] + 2
                else:
                    left += element[0] + 2
        height = _height(row)
        if left - 2 > right:
            self.overflow.append(nodes[-1].name)
        if bar:
            self.canvas.fill(0, top, self.canvas.width, height)
        elif right - left > 12 * s:
            self.canvas.fill(left + 2 * s, top + height // 2, right - left - 3 * s, s)
        self._paint_row(row, top, not bar, s)
        return top + height + (1 if height < 16 * s else 0)

    def _body(self, nodes: "list[tree.Node]", top: int, bottom: int) -> None:
        """The lines between ``top`` and ``bottom``, spread a little and centred."""
        for node in nodes:
            if isinstance(node, (tree.Menu, tree.Lines)):
                before = self._rows([n for n in nodes if n is not node])
                y = top
                for row, name in before:
                    self._paint_row(row, y)
                    y += _height(row)
                    if y > bottom:
                        self.overflow.append(name)
                self._list(node, y, bottom)
                return
        rows = self._rows(nodes)
        room = bottom - top - sum(_height(row) for row, _ in rows)
        gap = 0
        if room > 0 and rows:
            gap = min(room // (len(rows) + 1), 4 * self.style.scale)
            room -= gap * (len(rows) - 1)
        y = top + max(room // 2, 0)
        for row, name in rows:
            self._paint_row(row, y)
            y += _height(row)
            if y > bottom and name not in self.overflow:
                self.overflow.append(name)
            y += gap

    def _list(self, node: "tree.Menu | tree.Lines", top: int, bottom: int) -> None:
        if isinstance(node, tree.Menu):
            items = []
            for i, label in enumerate(node.labels(self.texts)):
                mark = str(i + 1) if i < 9 else " "
                items.append((mark + " " + label, "*" if node.marked == i else ""))
            size, focus = tree.NORMAL, node.selected
        else:
            items = node.labels(self.texts)
            size = tree.SMALL
            focus = len(items) - 1 if node.first < 0 else min(node.first, len(items) - 1)
        s = self.style.scale
        width = self.canvas.width
        marked = isinstance(node, tree.Menu) or node.first >= 0
        if marked:
            width -= 8 * s  # the scroll marks' column
        if isinstance(node, tree.Menu) and node.badges:
            groups = [self._badged(node.badges[i], items[i], width) for i in range(len(items))]
        else:
            groups = [self._list_rows(node.name, left, right, size, width) for left, right in items]
        if not groups:
            return
        heights = [sum(_height(row) for row in group) for group in groups]
        first = focus
        if isinstance(node, tree.Menu):
            first = _window(heights, focus, bottom - top, True)
        elif node.first < 0:
            first = _window(heights, focus, bottom - top, False)
        y = top
        shown = first
        while shown < len(groups) and y + heights[shown] <= bottom:
            chosen = isinstance(node, tree.Menu) and shown == node.selected
            if chosen:
                self.canvas.fill(0, y, width, heights[shown])
            for row in groups[shown]:
                self._paint_list_row(row, y, not chosen, width)
                y += _height(row)
            shown += 1
        if shown == first:
            self.overflow.append(node.name)
        if marked:
            self._marks(first > 0, shown < len(groups), top, bottom, width)

    def _list_rows(self, name: str, left: str, right: str, size: int, width: int) -> "list[Row]":
        """A line of a list; a value that finds no room beside its name goes below it."""
        s = self.style.scale
        gap = 4 * s if right else 0
        chosen = parts.face(size, s)
        if size > tree.SMALL and chosen.width(left) + gap + chosen.width(right) > width:
            chosen = parts.face(tree.SMALL, s)
        one, two = chosen.width(left), chosen.width(right)
        if max(one, two) > width and name not in self.overflow:
            self.overflow.append(name)
        first: "Row" = [(parts.line(left, chosen), "left")]
        if not right:
            return [first]
        value = (parts.line(right, chosen), "right")
        if one + gap + two > width:
            return [first, [value]]
        first.append(value)
        return [first]

    def _badged(
        self, badge: "tuple[int, bool]", item: "tuple[str, str]", width: int
    ) -> "list[Row]":
        """A line of a list with bars at its end; its words take what is left."""
        s = self.style.scale
        element = parts.badge(badge[0], badge[1], self.style)
        room = width - element[0] - 4 * s
        mark = " " + item[1] if item[1] else ""
        left, chosen = item[0], parts.face(tree.NORMAL, s)
        if chosen.width(left + mark) > room:
            chosen = parts.face(tree.SMALL, s)
        if chosen.width(left + mark) > room:
            left = parts.shortened(left, chosen, room - chosen.width(mark))
        return [[(parts.line(left + mark, chosen), "left"), (element, "right")]]

    def _paint_list_row(self, row: "Row", y: int, on: bool, width: int) -> None:
        height = _height(row)
        for element, align in row:
            x = width - element[0] if align == "right" else 0
            element[2](self.canvas, x, y + height - element[1], on)

    def _marks(self, up: bool, down: bool, top: int, bottom: int, width: int) -> None:
        """Small triangles beside the list: there is more that way."""
        s = self.style.scale
        middle = width + 4 * s
        for i in range(4 * s):
            if up:
                self.canvas.fill(middle - i, top + 2 * s + i, 2 * i + 1, 1)
            if down:
                self.canvas.fill(middle - i, bottom - 3 * s - i, 2 * i + 1, 1)


def _height(row: "Row") -> int:
    return max((element[1] for element, _ in row), default=0)


def _window(heights: "list[int]", focus: int, room: int, both: bool) -> int:
    """The first line to show so that ``focus`` is seen, with its successor if ``both``."""
    first = 0
    target = min(focus + 1, len(heights) - 1) if both else focus
    while first < focus and sum(heights[first : target + 1]) > room:
        first += 1
    return first
