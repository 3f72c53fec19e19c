"""A screen is a tree of named nodes; drawing is a fold over it (``ui/draw.py``).

Nodes carry text keys and values, never pixels. ``to_tree`` is what tests and
the emulator's page read; a redacted node shows ``***`` there, so a PIN or a
card number never leaves through it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.text.texts import Texts

REDACTED = "***"

#: Sizes of type, smallest first (ui/draw.py has their faces).
TINY, SMALL, NORMAL, BIG, HUGE, GIANT = range(6)


class Node:
    """One named part of a screen.

    ``place``: "status" (strip at the top), "title" (a line that ends in
    a rule), "banner" (the same as an inverse bar), "body" (lines
    from top to bottom) or "foot" (hints at the bottom). ``align``: "left",
    "center", "right". ``beside``: may share a line with the node before it.
    ``optional``: 0 is always drawn; on a panel that is too small 1 is left out
    before type gets smaller, 2 after that, 3 at the very last.
    """

    kind = "node"

    def __init__(
        self,
        name: str,
        place: str = "body",
        align: str = "center",
        beside: bool = False,
        optional: int = 0,
        redacted: bool = False,
    ) -> None:
        self.name = name
        self.place = place
        self.align = align
        self.beside = beside
        self.optional = optional
        self.redacted = redacted

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        """What the node shows, JSON-able."""
        return {}

    def to_tree(self, texts: "Texts | None" = None) -> "dict[str, Any]":
        """``{"name", "kind", ...values}``; every value hidden when redacted."""
        tree: "dict[str, Any]" = {"name": self.name, "kind": self.kind}
        for key, value in self.values(texts).items():
            tree[key] = REDACTED if self.redacted else value
        return tree


class Text(Node):
    """A text from the catalogue (``key`` with ``fields``) or as it is (``text``).

    ``fallback`` is the key for a ``key`` that the catalogue lacks; with ``maybe``
    such a node is not shown. ``size`` is the wish, ``least`` the smallest type
    allowed. ``single`` keeps the text on one line by choosing smaller type.
    ``most`` lines are set (0: as many as it takes); words past them end in "…".
    ``inverse`` draws it dark on light.
    """

    kind = "text"

    def __init__(
        self,
        name: str,
        key: str = "",
        fields: "dict[str, Any] | None" = None,
        text: str = "",
        size: int = NORMAL,
        least: int = SMALL,
        fallback: str = "",
        maybe: bool = False,
        single: bool = False,
        inverse: bool = False,
        place: str = "body",
        align: str = "center",
        beside: bool = False,
        optional: int = 0,
        redacted: bool = False,
        most: int = 0,
    ) -> None:
        super().__init__(name, place, align, beside, optional, redacted)
        self.most = most
        self.key = key
        self.fields = fields or {}
        self.text = text
        self.size = size
        self.least = least
        self.fallback = fallback
        self.maybe = maybe
        self.single = single
        self.inverse = inverse

    def resolve(self, texts: "Texts") -> str:
        """The words to draw; "" for nothing."""
        if not self.key:
            return self.text
        if texts.has(self.key):
            return texts.get(self.key, **self.fields)
        if self.fallback:
            return texts.get(self.fallback, **self.fields)
        return "" if self.maybe else texts.get(self.key)

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        out: "dict[str, Any]" = {}
        if self.key:
            out["key"] = self.key
            if self.fields:
                out["fields"] = dict(self.fields)
        out["text"] = self.resolve(texts) if texts is not None else self.text
        return out


class Amount(Text):
    """An amount, already formatted; one line in the largest type that fits."""

    kind = "amount"

    def __init__(
        self,
        name: str,
        text: str,
        size: int = BIG,
        place: str = "body",
        align: str = "center",
        beside: bool = False,
        optional: int = 0,
    ) -> None:
        super().__init__(
            name, text=text, size=size, least=TINY, single=True,
            place=place, align=align, beside=beside, optional=optional,
        )  # fmt: skip


class Hint(Text):
    """What a key does: a picture of the ``button`` ("cancel", "enter", "menu"), then words.

    ``bare`` draws the picture alone, where there is no room for words.
    """

    kind = "hint"

    def __init__(
        self,
        name: str,
        button: str,
        key: str,
        bare: bool = False,
        place: str = "foot",
        align: str = "left",
        beside: bool = False,
        optional: int = 0,
    ) -> None:
        super().__init__(
            name, key, size=SMALL, single=True,
            place=place, align=align, beside=beside, optional=optional,
        )  # fmt: skip
        self.button = button
        self.bare = bare

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        out = super().values(texts)
        out["button"] = self.button
        return out


class Dots(Node):
    """``count`` digits entered of at most ``most``; never which."""

    kind = "dots"

    def __init__(self, name: str, count: int, most: int = 12) -> None:
        super().__init__(name, redacted=True)
        self.count = count
        self.most = most

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"count": self.count}


class Menu(Node):
    """Choices, ``selected`` shown inverse; scrolls when they do not all fit.

    ``keys`` True: ``items`` are text keys. ``marked``: the choice in force. ``badges``:
    bars and whether a lock stands before them, of each item; names that leave no room
    for them end in "…".
    """

    kind = "menu"

    def __init__(
        self, name: str, items: "list[str]", selected: int = 0, keys: bool = False,
        marked: "int | None" = None,
    ) -> None:  # fmt: skip
        super().__init__(name, align="left")
        self.items = items
        self.selected = selected
        self.keys = keys
        self.marked = marked
        self.badges: "list[tuple[int, bool]]" = []

    def labels(self, texts: "Texts | None") -> "list[str]":
        """The words of each choice."""
        if self.keys and texts is not None:
            return [texts.get(item) for item in self.items]
        return list(self.items)

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        out: "dict[str, Any]" = {
            "items": self.labels(texts), "selected": self.selected, "marked": self.marked
        }  # fmt: skip
        if self.badges:
            out["badges"] = [list(badge) for badge in self.badges]
        return out


class Lines(Node):
    """A list of (left, right) texts, the last ones shown when not all fit.

    ``keys``: both parts are text keys where the catalogue has them.
    """

    kind = "lines"

    def __init__(self, name: str, items: "list[tuple[str, str]]", first: int = -1) -> None:
        super().__init__(name, align="left")
        self.items = items
        self.first = first

    def labels(self, texts: "Texts | None") -> "list[tuple[str, str]]":
        """The words of each line."""
        if texts is None:
            return list(self.items)
        out = []
        for left, right in self.items:
            left = texts.get(left) if texts.has(left) else left
            right = texts.get(right) if texts.has(right) else right
            out.append((left, right))
        return out

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"items": [[left, right] for left, right in self.labels(texts)]}


class Signal(Node):
    """Reception: 0 to 4 bars."""

    kind = "signal"

    def __init__(self, name: str, bars: int) -> None:
        super().__init__(name, place="status", align="left")
        self.bars = max(0, min(bars, 4))

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"bars": self.bars}


class Battery(Node):
    """Charge in percent, None without a battery; ``mains``: external power."""

    kind = "battery"

    def __init__(self, name: str, percent: "int | None", mains: bool) -> None:
        super().__init__(name, place="status", align="right")
        self.percent = percent
        self.mains = mains

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"percent": self.percent, "mains": self.mains}


class Progress(Node):
    """Work that takes ``seconds`` so far."""

    kind = "progress"

    def __init__(self, name: str, seconds: int) -> None:
        super().__init__(name)
        self.seconds = seconds

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"seconds": self.seconds}


class Icon(Node):
    """A picture of ``ui/icons.py``."""

    kind = "icon"

    def __init__(self, name: str, picture: str, optional: int = 0) -> None:
        super().__init__(name, optional=optional)
        self.picture = picture

    def values(self, texts: "Texts | None") -> "dict[str, Any]":
        return {"picture": self.picture}


class Screen:
    """A named screen: its nodes in reading order."""

    def __init__(self, name: str, nodes: "list[Node]") -> None:
        self.name = name
        self.nodes = nodes

    def find(self, name: str) -> "Any":
        """The node of that name, None when the screen has none."""
        for node in self.nodes:
            if node.name == name:
                return node
        return None

    def to_tree(self, texts: "Texts | None" = None) -> "dict[str, Any]":
        """``{"screen": name, "nodes": [...]}``, JSON-able, secrets redacted."""
        return {"screen": self.name, "nodes": [node.to_tree(texts) for node in self.nodes]}
