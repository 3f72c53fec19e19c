"""What display chips share: operation 3 of their wire, and pictures of lit dots."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from host_tools.emulator.chips.errors import ChipError


class Controller(Protocol):
    """A display chip."""

    controller: str

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """Operation 1 takes commands, 2 data."""


def many(chip: Controller, payload: bytes) -> int:
    """Pairs of commands and data; how long the bus is busy with them, in us."""
    busy = 0
    at = 0
    while at < len(payload):
        middle = at + 1 + payload[at]
        end = middle + 2 + int.from_bytes(payload[middle : middle + 2], "big")
        if end > len(payload):
            raise ChipError(f"{chip.controller}: a part is cut short at byte {at}")
        busy += chip.transfer(1, payload[at + 1 : middle])[1]
        busy += chip.transfer(2, payload[middle + 2 : end])[1]
        at = end
    return busy


def pages(rows: Sequence[Iterable[bool]]) -> bytes:
    """Rows of lit dots as a frame in page order: a byte holds eight rows, bit 0 on top."""
    frame = bytearray()
    for top in range(0, len(rows), 8):
        for a, b, c, d, e, f, g, h in zip(*rows[top : top + 8], strict=True):
            frame.append(a | b << 1 | c << 2 | d << 3 | e << 4 | f << 5 | g << 6 | h << 7)
    return bytes(frame)


def as_text(rows: Iterable[Iterable[bool]]) -> list[str]:
    """Rows of lit dots as text, "#" for light."""
    return ["".join("#" if dot else "." for dot in row) for row in rows]
