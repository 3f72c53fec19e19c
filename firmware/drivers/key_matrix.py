"""Keypad: a key matrix on pins, without diodes.

Columns are inputs with pull-ups. While nothing is pressed all rows are held
low, so that one look at the columns sees any key; then rows are driven low
one at a time, the others floating, so that two keys of a column never short
two outputs. A key counts when it was seen alike in ``DEBOUNCE`` looks.
Pressed keys on three corners of a rectangle make the fourth appear: while
the picture holds such a rectangle no new key is believed.
"""

from firmware import aio
from firmware.buses.pins import IN, IN_PULLUP, OUT
from firmware.buses.wire import BusError
from firmware.drivers.claimed_keys import (
    REPEAT_DELAY_MS,
    REPEAT_EVERY_MS,
    REPEATING,
    STUCK_MS,
    ClaimedKeys,
)
from firmware.hal.keypad import KEYS, KeypadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins, Step

#: Milliseconds between looks with no key down, and with one down.
IDLE_MS = 10
SCAN_MS = 5
#: Equal looks in a row that make a change.
DEBOUNCE = 3


def _picture(rows: "list[int]", columns: "list[int]") -> "list[Step]":
    """Reads of all keys, row by row: one row low, the others floating; all low after."""
    steps: "list[Step]" = [("mode", row, IN) for row in rows]
    for row in rows:
        steps.append(("mode", row, OUT))
        steps.append(("write", row, 0))
        for column in columns:
            steps.append(("read", column, 0))
        steps.append(("mode", row, IN))
    for row in rows:
        steps.append(("mode", row, OUT))
        steps.append(("write", row, 0))
    return steps


class KeyMatrix(ClaimedKeys):
    """``keys[r][c]`` names the key between row r and column c; "" for none."""

    def __init__(
        self, pins: "Pins", rows: "list[int]", columns: "list[int]", keys: "list[list[str]]"
    ) -> None:
        if len(keys) != len(rows) or any(len(line) != len(columns) for line in keys):
            raise ValueError("the key map has not the matrix's rows and columns")
        for line in keys:
            for name in line:
                if name and name not in KEYS:
                    raise ValueError("no key is named " + name)
        self._pins = pins
        self._rows = rows
        self._columns = columns
        self._keys = keys
        super().__init__()
        #: Look whether any key is down; look at all keys.
        self._glance = pins.plan([("read", column, 0) for column in columns])
        self._picture = pins.plan(_picture(rows, columns))
        size = len(rows) * len(columns)
        self._stable = [False] * size
        self._count = [0] * size
        self._since = [0] * size
        self._repeat_at = [0] * size
        self._stuck = [False] * size
        try:
            for column in columns:
                pins.mode(column, IN_PULLUP)
            self._hold_rows()
        except BusError as error:
            raise KeypadError(str(error)) from None

    def held(self) -> "list[str]":
        """Keys that are down now; a self-test shows them as stuck."""
        return [self._name(i) for i in range(len(self._stable)) if self._stable[i]]

    # Scanning

    def _name(self, index: int) -> str:
        return self._keys[index // len(self._columns)][index % len(self._columns)]

    def _hold_rows(self) -> None:
        for row in self._rows:
            self._pins.mode(row, OUT)
            self._pins.write(row, 0)

    def _look(self) -> "list[bool]":
        """One picture of the matrix."""
        if not any(self._count) and not any(self._stable) and all(self._glance()):
            return [False] * len(self._stable)
        return [not level for level in self._picture()]

    def _ghosted(self, seen: "list[bool]") -> bool:
        """Whether some rectangle has all four corners: one of them may be a ghost."""
        width = len(self._columns)
        for r in range(len(self._rows)):
            for s in range(r + 1, len(self._rows)):
                both = 0
                for c in range(width):
                    both += seen[r * width + c] and seen[s * width + c]
                if both > 1:
                    return True
        return False

    def _judge(self, seen: "list[bool]") -> None:
        ghosted = sum(seen) > 2 and self._ghosted(seen)
        for i in range(len(seen)):
            if seen[i] == self._stable[i]:
                self._count[i] = 0
                if seen[i]:
                    self._hold(i)
                continue
            if seen[i] and ghosted:
                self._count[i] = 0
                continue
            self._count[i] += 1
            if self._count[i] < DEBOUNCE:
                continue
            self._count[i] = 0
            self._stable[i] = seen[i]
            self._stuck[i] = False
            if seen[i]:
                self._since[i] = aio.ticks_ms()
                self._repeat_at[i] = REPEAT_DELAY_MS
                self._press(self._name(i))

    def _hold(self, index: int) -> None:
        if self._stuck[index]:
            return
        held = aio.elapsed_ms(self._since[index])
        if held >= STUCK_MS:
            self._stuck[index] = True
            self._fail(KeypadError("key " + (self._name(index) or "?") + " is stuck"))
        elif self._name(index) in REPEATING and held >= self._repeat_at[index]:
            self._repeat_at[index] += REPEAT_EVERY_MS
            self._press(self._name(index))

    async def _listen(self) -> None:
        broken = False
        while True:
            moved = True
            try:
                seen = self._look()
                moved = seen != self._stable
                if moved or any(self._count) or any(self._stable):
                    self._judge(seen)
                broken = False
            except BusError as error:
                if not broken:
                    self._fail(KeypadError(str(error)))
                broken = True
            active = any(self._count) or any(self._stable)
            rest = aio.sleep_ms if moved else aio.pause_ms
            await rest(SCAN_MS if active and not broken else IDLE_MS)
