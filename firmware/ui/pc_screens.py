"""Screens of pairing with a PC, apart from the others: only who pairs needs them."""

from firmware.ui import tree
from firmware.ui.tree import Hint, Lines, Screen, Text


def _foot(left: str, right: str = "") -> "list[tree.Node]":
    nodes: "list[tree.Node]" = [Hint("hint_cancel", "cancel", left, optional=3)]
    if right:
        nodes.append(Hint("hint_enter", "enter", right, align="right", beside=True, optional=3))
    return nodes


def _title(key: str) -> Text:
    return Text("title", key, place="title", align="left", single=True)


def waiting(seconds: int) -> Screen:
    """The window is open for ``seconds`` more, and nobody has asked yet."""
    nodes: "list[tree.Node]" = [
        _title("pc.pair"),
        Text("prompt", "pc.waiting"),
        Text("left", "pc.waiting.left", {"seconds": seconds}, size=tree.SMALL),
    ]
    return Screen("pair_wait", nodes + _foot("hint.cancel"))


def asks(name: str, fingerprint: str) -> Screen:
    """Who asks: the name that the PC says, and its key, in groups of four to compare."""
    groups = [fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4)]
    nodes: "list[tree.Node]" = [
        _title("pc.asks"),
        Text("name", text=name, most=2),
        Text("fingerprint", text=" ".join(groups), size=tree.SMALL, least=tree.TINY, single=True),
    ]
    return Screen("pair_asks", nodes + _foot("hint.no", "hint.next"))


def roles(words: str) -> Screen:
    """What it asks for."""
    nodes: "list[tree.Node]" = [
        _title("pc.roles"),
        Text("roles", text=words, least=tree.TINY),
    ]
    return Screen("pair_roles", nodes + _foot("hint.no", "hint.pair"))


def code(digits: str) -> Screen:
    """The six digits to be typed there. Whoever reads them may pair: no PC is told."""
    shown = digits[:3] + " " + digits[3:]
    nodes: "list[tree.Node]" = [
        Text("prompt", "pc.code", size=tree.SMALL),
        Text("code", text=shown, size=tree.GIANT, single=True),
    ]
    return Screen("pair_code", nodes + _foot("hint.cancel"))


def paired(name: str) -> Screen:
    """It is paired now."""
    nodes: "list[tree.Node]" = [
        Text("text", "pc.done"),
        Text("name", text=name, most=2),
        Hint("hint_enter", "enter", "hint.ok", align="right", optional=3),
    ]
    return Screen("pair_done", nodes)


def pair(name: str, items: "list[tuple[str, str]]", first: int) -> Screen:
    """One of the paired PCs, which Enter revokes."""
    nodes: "list[tree.Node]" = [
        _title("pc.paired"),
        Text("name", text=name, most=1, size=tree.SMALL),
        Lines("lines", items, first),
    ]
    return Screen("pair", nodes + _foot("hint.cancel", "hint.revoke"))
