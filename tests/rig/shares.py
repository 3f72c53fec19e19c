"""How the tests are shared out among guests that run at the same time.

weights.json has the seconds of every file of tests/rig/guest, as ``python -m tests.rig --weigh``
last measured them. A file that is not in it counts UNKNOWN_S until somebody weighs again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GUEST = Path(__file__).with_name("guest")
WEIGHTS = Path(__file__).with_name("weights.json")
#: Seconds of a file that was not weighed yet, about the mean of the others.
UNKNOWN_S = 20.0
#: What is no file: the watchdog's reset, which ends a guest, and the other guest.
LAST_ACT, ARM64 = "last act", "arm64"


@dataclass(frozen=True)
class Share:
    """What one guest does. ``files``: names in tests/rig/guest."""

    files: tuple[str, ...]
    last_act: bool


def files() -> list[str]:
    """The test files there are."""
    return sorted(path.name for path in GUEST.glob("test_*.py"))


def weighed() -> dict[str, float]:
    """What was measured, in seconds."""
    found: dict[str, float] = json.loads(WEIGHTS.read_text(encoding="ascii"))
    return found


def share_out(wanted: Mapping[str, float], slots: int) -> list[list[str]]:
    """``wanted``: seconds by name. As many lists of names, about equally long: the heaviest
    comes first, and each goes where the least is."""
    lists: list[list[str]] = [[] for _ in range(slots)]
    sums = [0.0] * slots
    for name in sorted(wanted, key=lambda name: (-wanted[name], name)):
        least = sums.index(min(sums))
        lists[least].append(name)
        sums[least] += wanted[name]
    return lists


def shares(slots: int, arm64: bool) -> list[Share]:
    """What each of so many guests does. With ``arm64`` one of them has less to do: that other
    guest takes its place when it ended."""
    known = weighed()
    wanted = {name: known.get(name, UNKNOWN_S) for name in (*files(), LAST_ACT)}
    if arm64:
        wanted[ARM64] = known[ARM64]
    return [
        Share(tuple(sorted(set(names) - {LAST_ACT, ARM64})), LAST_ACT in names)
        for names in share_out(wanted, slots)
    ]
