"""Screens of the network menu, apart from the others: only who sets up links needs them."""

from firmware.ui import tree
from firmware.ui.multi_tap import MultiTap, masked
from firmware.ui.tree import Hint, Menu, Screen, Text

#: Signs of a typed line that are shown at most, the last ones.
WINDOW = 14


def _foot(left: str, right: str) -> "list[tree.Node]":
    nodes: "list[tree.Node]" = [Hint("hint_cancel", "cancel", left, optional=3)]
    nodes.append(Hint("hint_enter", "enter", right, align="right", beside=True, optional=3))
    return nodes


def _title(key: str) -> Text:
    return Text("title", key, place="title", align="left", single=True)


def typed(title_key: str, entry: MultiTap, secret: bool, most: int, note_key: str = "") -> Screen:
    """A line being typed. ``secret``: stars, and the last sign only while it may still
    change; the tree has none of it. ``note_key``: why it was not taken."""
    shown = masked(entry.text, entry.open) if secret else entry.text
    if len(shown) > WINDOW:
        shown = "…" + shown[-WINDOW:]
    count = str(len(entry.text)) + "/" + str(most)
    mode = Hint("mode", "menu", "typing." + entry.mode, place="title", align="right")
    line = Text("typed", text=shown + "_", single=True, least=tree.TINY, redacted=secret)
    nodes: "list[tree.Node]" = [_title(title_key), mode, line]
    if note_key:
        nodes.append(Text("note", note_key, size=tree.SMALL))
    else:
        nodes.append(Text("count", text=count, size=tree.SMALL, optional=1))
    return Screen("typed", nodes + _foot("hint.cancel", "hint.ok"))


def networks(title_key: str, items: "list[tuple[str, int, bool, bool]]", selected: int) -> Screen:
    """Wi-Fi networks, or links: (name, bars or -1, locked, in use)."""
    menu = Menu("items", [name for name, _, _, _ in items], selected)
    menu.badges = [(bars, locked) for _, bars, locked, _ in items]
    for at in range(len(items)):
        if items[at][3]:
            menu.marked = at
    return Screen("networks", [_title(title_key), menu])


def link(title_key: str, items: "list[tuple[str, str]]", first: int, change: bool) -> Screen:
    """What is known of a link; ``change``: Enter leads to its settings."""
    nodes: "list[tree.Node]" = [_title(title_key), tree.Lines("lines", items, first)]
    return Screen("link", nodes + _foot("hint.cancel", "hint.change" if change else "hint.ok"))


def working(stage_key: str, seconds: int) -> Screen:
    """A wait that Cancel ends."""
    nodes: "list[tree.Node]" = [Text("stage", stage_key), tree.Progress("progress", seconds)]
    nodes.append(Hint("hint_cancel", "cancel", "hint.cancel", optional=3))
    return Screen("progress", nodes)
