"""Chip: the debug port, on which an emulated terminal tells its screens, its kernel's trace and
what its links do."""

import json
from collections.abc import Callable
from typing import Any

from host_tools.emulator.chips.errors import ChipError


class DebugPort:
    """Wire kind "debug": op 1, the (redacted) tree of the current screen as JSON;
    op 2, what the kernel did in a step, as JSON lines; op 3, what several links do."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] | None = None
        self.screens = 0
        #: Called with each new tree.
        self.on_tree: list[Callable[[dict[str, Any]], None]] = []
        #: Called with each entry of the kernel's trace.
        self.on_trace: list[Callable[[dict[str, Any]], None]] = []
        #: What the links told last, and who hears of it.
        self.links: dict[str, Any] | None = None
        self.on_links: list[Callable[[dict[str, Any]], None]] = []

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if op == 1:
            self._screen(_objects([payload])[0])
        elif op == 2:
            for entry in _objects(payload.splitlines()):
                for hear in self.on_trace:
                    hear(entry)
        elif op == 3:
            self.links = _objects([payload])[0]
            for tell in self.on_links:
                tell(self.links)
        else:
            raise ChipError(f"debug: no operation {op}")
        return b"", 0

    def forget(self) -> None:
        """The terminal is gone, and what it told with it."""
        self.tree = self.links = None

    def _screen(self, tree: dict[str, Any]) -> None:
        self.tree = tree
        self.screens += 1
        for hear in self.on_tree:
            hear(tree)


def _objects(texts: list[bytes]) -> list[dict[str, Any]]:
    """The JSON objects of ``texts``. ChipError."""
    try:
        found = [json.loads(text) for text in texts]
    except (ValueError, RecursionError):
        raise ChipError("debug: not JSON") from None
    if not all(isinstance(item, dict) for item in found):
        raise ChipError("debug: not an object")
    return found
