"""Chip: the debug port, on which an emulated terminal tells its screen tree."""

import json
from collections.abc import Callable
from typing import Any

from host_tools.emulator.chips.errors import ChipError


class DebugPort:
    """Wire kind "debug": op 1, the (redacted) tree of the current screen as JSON."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] | None = None
        self.screens = 0
        #: Called with each new tree.
        self.on_tree: list[Callable[[dict[str, Any]], None]] = []

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if op != 1:
            raise ChipError(f"debug: no operation {op}")
        try:
            tree = json.loads(payload)
        except (ValueError, RecursionError):
            raise ChipError("debug: not JSON") from None
        if not isinstance(tree, dict):
            raise ChipError("debug: not a tree")
        self.tree = tree
        self.screens += 1
        for hear in self.on_tree:
            hear(tree)
        return b"", 0
