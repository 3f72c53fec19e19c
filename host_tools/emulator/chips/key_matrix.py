"""Chip: a key matrix without diodes, between row and column pins.

A closed key bridges its row and its column, so three pressed corners of a
rectangle bridge the fourth (ghosting) by physics, not by a rule. Contacts
bounce: for up to ``bounce_us`` after each change a key chatters, by a
generator that the rack's seed fixes.
"""

import random
from collections.abc import Callable, Iterable

from host_tools.emulator.chips.pins import PinBank


class KeyMatrix:
    """Keys by name. Presses may be scheduled; the injected clock plays them."""

    def __init__(
        self,
        bank: PinBank,
        clock_us: Callable[[], int],
        rows: list[int],
        columns: list[int],
        keys: list[list[str]],
        seed: int | None = None,
        bounce_us: int = 5000,
    ) -> None:
        self._clock_us = clock_us
        self._random = random.Random(seed)
        self.bounce_us = bounce_us
        self._at: dict[str, tuple[int, int]] = {
            name: (rows[r], columns[c])
            for r, line in enumerate(keys)
            for c, name in enumerate(line)
            if name
        }
        self._down: set[str] = set()
        #: name: (since us, next flip us, closed now) while a contact chatters.
        self._chatter: dict[str, tuple[int, int, bool]] = {}
        self._plan: list[tuple[int, int, str, bool]] = []
        self._order = 0
        bank.bridges.append(self._bridges)

    @property
    def names(self) -> list[str]:
        """Names of the keys, sorted."""
        return sorted(self._at)

    def press(self, name: str) -> None:
        """Push a key down now."""
        self._change(self._check(name), True, self._clock_us())

    def release(self, name: str) -> None:
        """Let a key go now."""
        self._change(self._check(name), False, self._clock_us())

    def tap(self, name: str, hold_us: int = 80_000, after_us: int = 0) -> int:
        """Plan a press ``after_us`` from now, held ``hold_us``; returns its end in us."""
        start = self._clock_us() + after_us
        self._add(start, self._check(name), True)
        self._add(start + hold_us, name, False)
        return start + hold_us

    def type(self, names: Iterable[str], hold_us: int = 80_000, gap_us: int = 80_000) -> int:
        """Plan presses one after another; returns in us when the last key is up again."""
        at = 0
        end = self._clock_us()
        for name in names:
            end = self.tap(name, hold_us, at)
            at += hold_us + gap_us
        return end

    def let_go(self) -> None:
        """Forget what is planned and let every key up."""
        self._plan.clear()
        for name in list(self._down):
            self._change(name, False, self._clock_us())

    def pressed(self) -> list[str]:
        """Keys that are down now, bouncing or not."""
        self._play()
        return sorted(self._down)

    def _check(self, name: str) -> str:
        if name not in self._at:
            raise KeyError(f"no key {name!r}; the matrix has {', '.join(self.names)}")
        return name

    def _add(self, at: int, name: str, down: bool) -> None:
        self._order += 1
        self._plan.append((at, self._order, name, down))
        self._plan.sort()

    def _change(self, name: str, down: bool, at: int) -> None:
        if (name in self._down) == down:
            return
        if down:
            self._down.add(name)
        else:
            self._down.discard(name)
        if self.bounce_us > 0:
            self._chatter[name] = (at, at, down)

    def _play(self) -> None:
        now = self._clock_us()
        while self._plan and self._plan[0][0] <= now:
            at, _, name, down = self._plan.pop(0)
            self._change(name, down, at)
        for name, (since, flip, closed) in list(self._chatter.items()):
            while flip <= now and flip - since < self.bounce_us:
                closed = not closed
                flip += self._random.randint(100, 1500)
            if now - since >= self.bounce_us:
                del self._chatter[name]
            else:
                self._chatter[name] = (since, flip, closed)

    def _bridges(self) -> list[tuple[int, int]]:
        if not self._plan and not self._down and not self._chatter:
            return []
        self._play()
        closed = set(self._down)
        for name, (_, _, now_closed) in self._chatter.items():
            if now_closed:
                closed.add(name)
            else:
                closed.discard(name)
        return [self._at[name] for name in sorted(closed)]
