"""Chip: USB keyboards and what poses as one: scanners, swipe readers.

Key codes are those of Linux's input-event-codes.h. A device types as its
maker set it: characters by a US layout, a pace, a suffix key.
"""

from bisect import insort
from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError

SHIFT, CONTROL, ENTER, TAB = 42, 29, 28, 15
GONE, CAME = 254, 255
#: Events that the terminal's kernel keeps; older ones are lost beyond it.
KEPT = 4096
_CODES = {
    **{char: (2 + i, False) for i, char in enumerate("1234567890-=")},
    **{char: (2 + i, True) for i, char in enumerate("!@#$%^&*()_+")},
    **{char: (16 + i, False) for i, char in enumerate("qwertyuiop[]")},
    **{char: (16 + i, True) for i, char in enumerate("QWERTYUIOP{}")},
    **{char: (30 + i, False) for i, char in enumerate("asdfghjkl;'`")},
    **{char: (30 + i, True) for i, char in enumerate('ASDFGHJKL:"~')},
    **{char: (43 + i, False) for i, char in enumerate("\\zxcvbnm,./")},
    **{char: (43 + i, True) for i, char in enumerate("|ZXCVBNM<>?")},
    " ": (57, False), "\n": (ENTER, False), "\t": (TAB, False),
}  # fmt: skip


class HidKeys:
    """Wire kind "input". Several devices (``source`` 0, 1 ...) on one bus."""

    def __init__(self, clock_us: Callable[[], int], sources: int = 1, pace_us: int = 1000) -> None:
        self._clock_us = clock_us
        self.pace_us = pace_us
        self._events: list[tuple[int, int, int, int]] = []  # (due us, source, code, value)
        self._free = [0] * sources
        self._plugged = [True] * sources

    def event(self, code: int, value: int, source: int = 0) -> None:
        """One key event after the ones before, at the device's pace."""
        if self._plugged[source]:
            self._put(code, value, source)

    def finger(self, code: int, value: int, after_us: int, source: int = 0) -> None:
        """One key event ``after_us`` from now, as a person's finger makes it."""
        if self._plugged[source]:
            due = self._clock_us() + after_us
            insort(self._events, (due, source, code, value), key=lambda event: event[0])

    def release(self, code: int, source: int = 0) -> None:
        """The finger leaves: no more repeats of the key, and it is up."""
        self._events = [e for e in self._events if e[1:3] != (source, code)]
        self.finger(code, 0, 0, source)

    def press(self, code: int, source: int = 0) -> None:
        """Down and up."""
        self.event(code, 1, source)
        self.event(code, 0, source)

    def type(self, text: str, source: int = 0) -> None:
        """Type ``text``; a newline is Enter, U+001D is Control and ``]``."""
        for char in text:
            if char == "\x1d":
                code, modifier = 27, CONTROL
            else:
                code, shifted = _CODES[char]
                modifier = SHIFT if shifted else 0
            if modifier:
                self.event(modifier, 1, source)
            self.press(code, source)
            if modifier:
                self.event(modifier, 0, source)

    def unplug(self, source: int = 0) -> None:
        """Out, in the middle of whatever it types."""
        now = self._clock_us()
        self._events = [e for e in self._events if e[1] != source or e[0] <= now]
        self._free[source] = now
        self._put(0, GONE, source)
        self._plugged[source] = False

    def plug(self, source: int = 0) -> None:
        """In again."""
        self._plugged[source] = True
        self._put(0, CAME, source)

    def _put(self, code: int, value: int, source: int) -> None:
        due = max(self._free[source], self._clock_us()) + self.pace_us
        self._free[source] = due
        insort(self._events, (due, source, code, value), key=lambda event: event[0])

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if op != 1 or payload:
            raise ChipError(f"input: operation {op} with {len(payload)} bytes")
        now = self._clock_us()
        due = [event for event in self._events if event[0] <= now]
        del self._events[: len(due)]
        answer = b"".join(
            bytes((source,)) + code.to_bytes(2, "big") + bytes((value,))
            for _, source, code, value in due[-KEPT:]
        )
        return answer, 0
