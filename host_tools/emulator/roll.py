"""The paper that hangs out of the printer, as the page shows it: slip by slip.

A strip is ``{"png", "text", "slip", "ink"}``: rows of dots as a picture, the
lines that ended in it, whether a slip begins with it, and how many of its rows
stand above its last print. ``amount``: how many stand above the end of its first
line of money; None without one.
"""

import base64
import io
import itertools
import re
from typing import Any

from host_tools.emulator.chips.paper import Paper

#: Blank rows that end a slip: more than the room for a signature (111), less than
#: the way from the head to the tear bar (216).
SLIP_END = 160
#: Looks between two messages while paper comes out.
TICKS = 4

#: A line that is an amount of money: currency code, digits.
AMOUNT = re.compile(r"\s*[A-Z]{3}\s+-?[0-9]+(\.[0-9]+)?\s*")

Strip = dict[str, Any]


class Roll:
    """What a page was told of one printer's paper."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._rows: list[int] = paper.rows
        self._seen = self._lines = self._ticks = 0

    def news(self) -> dict[str, Any] | None:
        """The message with what came out since the last; None for nothing, or not yet."""
        paper = self._paper
        reset = paper.rows is not self._rows
        if not reset and len(paper.rows) == self._seen:
            self._ticks = 0
            return None
        self._ticks += 1
        if not reset and self._ticks % TICKS:
            return None
        first, line = (0, 0) if reset else (self._seen, self._lines)
        self._rows, self._seen, self._lines = paper.rows, len(paper.rows), len(paper.lines)
        return {"type": "paper", "reset": reset, "strips": _strips(paper, first, self._seen, line)}

    def so_far(self) -> dict[str, Any]:
        """The message for who comes late: everything told so far."""
        same = self._rows is self._paper.rows
        strips = _strips(self._paper, 0, self._seen, 0) if same else []
        return {"type": "paper", "reset": True, "strips": strips}


def _strips(paper: Paper, first: int, last: int, line: int) -> list[Strip]:
    """Rows ``first`` to ``last`` with the lines from ``line`` on, divided where slips begin."""
    if first == last:
        return []
    blank = 0
    for row in reversed(paper.rows[:first]):
        if row:
            break
        blank += 1
    # Paper of which nothing is printed yet begins a slip as much as a long gap does.
    starts: list[int] = []
    for at in range(first, last):
        if not paper.rows[at]:
            blank += 1
            continue
        if blank >= SLIP_END or blank == at:
            starts.append(at)
        blank = 0
    made = []
    for begin, end in itertools.pairwise(sorted({first, *starts, last})):
        past = line
        while past < len(paper.lines) and (paper.ends[past] <= end or end == last):
            past += 1
        made.append(_strip(paper, begin, end, begin in starts, range(line, past)))
        line = past
    return made


def _strip(paper: Paper, begin: int, end: int, slip: bool, lines: range) -> Strip:
    part = Paper(paper.dots)
    part.add(paper.rows[begin:end])
    inked = [at for at, row in enumerate(part.rows) if row]
    money = [paper.ends[at] for at in lines if AMOUNT.fullmatch(paper.lines[at])]
    out = io.BytesIO()
    part.image().convert("1").save(out, "PNG")
    return {
        "png": base64.b64encode(out.getvalue()).decode(),
        "text": "\n".join(paper.lines[at] for at in lines),
        "slip": slip,
        "ink": inked[-1] + 1 if inked else 0,
        "amount": money[0] - begin if money else None,
    }
