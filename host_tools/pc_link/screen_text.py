"""A terminal's screen as lines of text in a frame, from its tree (docs/screens.md).

The tree tells what is shown and not where, so the status strip, the body and the hints are
told by the kind of node. Nothing of the tree is trusted: what is no node is left out.
"""

from typing import Any

from rich.cells import cell_len, set_cell_size

from host_tools.pc_link.discovery import printable

_BARS = "▁▃▅▇"
_BUTTONS = {"cancel": "✕", "enter": "↵", "menu": "≡"}
#: Columns and rows of the body at least; rows at most.
LEAST, MOST, MOST_ROWS = 30, 60, 60


def framed(tree: Any) -> list[str]:
    """The lines, frame and all; [] when there is no screen in ``tree``."""
    nodes = tree.get("nodes") if isinstance(tree, dict) else None
    if not isinstance(nodes, list):
        return []
    top, body, foot = ["", ""], [], []
    for node in nodes[:MOST_ROWS]:
        if not isinstance(node, dict):
            continue
        kind = node.get("kind")
        if kind == "signal":
            bars = node.get("bars")
            top[0] = _BARS[:bars] if isinstance(bars, int) and 0 < bars <= 4 else "·"
        elif kind == "battery":
            top[1] = _battery(node)
        elif kind == "hint":
            mark = _BUTTONS.get(str(node.get("button")), "")
            foot.append(f"{mark} {_text(node)}".strip())
        else:
            body += _body(kind, node)
    body = body[:MOST_ROWS]
    last = "  ".join(foot)
    width = min(MOST, max([LEAST, cell_len(last), *(cell_len(text) for text, _ in body)]))
    lines = [_sides(top[0], top[1], width)] if any(top) else []
    lines += [_set(text, width, center) for text, center in body]
    if foot:
        lines += ["─" * width, set_cell_size(last, width)]
    name = printable(tree.get("screen"), width - 4)
    head = f"┌─ {name} " + "─" * (width - cell_len(name) - 1) + "┐"
    return [head, *(f"│ {line} │" for line in lines), "└" + "─" * (width + 2) + "┘"]


def _battery(node: dict[str, Any]) -> str:
    percent, mains = node.get("percent"), node.get("mains") is True
    charge = f"{percent}%" if isinstance(percent, int) and 0 <= percent <= 100 else ""
    return charge + ("+" if mains else "")


def _text(node: dict[str, Any]) -> str:
    return printable(node.get("text") or node.get("key"), MOST)


def _body(kind: Any, node: dict[str, Any]) -> list[tuple[str, bool]]:
    """(line, whether it is in the middle)."""
    items = node.get("items")
    if kind == "menu" and isinstance(items, list):
        chosen = node.get("selected")
        return [
            (f"{'▶' if at == chosen else ' '} {printable(item, MOST - 2)}", False)
            for at, item in enumerate(items[:MOST_ROWS])
        ]
    if kind == "lines" and isinstance(items, list):
        pairs = [one for one in items[:MOST_ROWS] if isinstance(one, list) and len(one) == 2]
        return [
            (f"{printable(left, MOST // 2)}  {printable(right, MOST // 2)}", False)
            for left, right in pairs
        ]
    if kind == "dots":
        count = node.get("count")
        shown = "●" * count if isinstance(count, int) and 0 <= count <= 12 else str(count)[:12]
        return [(printable(shown), True)]
    if kind == "progress":
        return [(f"… {printable(node.get('seconds'), 8)} s", True)]
    if kind == "icon":
        return [(f"({printable(node.get('picture'), 24)})", True)]
    text = node.get("text")
    lines = text.split("\n") if isinstance(text, str) else [_text(node)]
    return [(printable(line, MOST), True) for line in lines[:MOST_ROWS] if line]


def _set(text: str, width: int, center: bool) -> str:
    spare = max(0, width - cell_len(text)) // 2 if center else 0
    return set_cell_size(" " * spare + text, width)


def _sides(left: str, right: str, width: int) -> str:
    return left + " " * max(1, width - cell_len(left) - cell_len(right)) + right
