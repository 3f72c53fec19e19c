"""A terminal's clock beside this PC's."""

import time

from host_tools.texts import said

#: A difference that people are told of, seconds.
NOTED_S = 5


def now_ms() -> int:
    """This PC's clock, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def ahead_s(told: int | None, asked_ms: int) -> int | None:
    """How far the terminal's clock, which told this second, is ahead of this PC's; None without
    a clock. ``asked_ms``: this PC's when it asked. What is within the time that the answer took,
    and within the second, counts as none."""
    if told is None:
        return None
    answered_ms = now_ms()
    if told * 1000 > answered_ms:
        return told - answered_ms // 1000
    if (told + 1) * 1000 < asked_ms:
        return told + 1 - asked_ms // 1000
    return 0


def words(ahead: int | None) -> str:
    """The difference for people."""
    if ahead is None:
        return said("not set: the terminal does not know the time")
    if abs(ahead) < NOTED_S:
        return said("as this PC's")
    if ahead > 0:
        return said("{seconds} s ahead of this PC's", seconds=ahead)
    return said("{seconds} s behind this PC's", seconds=-ahead)
