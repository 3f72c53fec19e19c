"""Keypad that is an input device: a USB number block, keys on pins (gpio-keys).

The device gives key codes; the board's map names the keys. Codes that the
map lacks mean nothing. A device that is not there yet is taken up when it
comes. The kernel's own repeats are not used: what repeats, and how fast, is
the same on every keypad.
"""

from firmware import aio
from firmware.buses.input_events import LOST, InputGone
from firmware.buses.wire import BusError
from firmware.drivers.claimed_keys import (
    REPEAT_DELAY_MS,
    REPEAT_EVERY_MS,
    REPEATING,
    STUCK_MS,
    ClaimedKeys,
)
from firmware.hal.keypad import KEYS, KeypadError, KeypadGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.input_events import InputEvents

#: A bus that fails is asked again after so many milliseconds.
BACK_MS = 500


class KeyDevice(ClaimedKeys):
    """``codes``: the terminal's key name by key code; two codes may name one key."""

    def __init__(self, events: "InputEvents", codes: "dict[int, str]") -> None:
        super().__init__()
        for name in codes.values():
            if name not in KEYS:
                raise ValueError("no key is named " + name)
        self._events = events
        self._codes = codes
        self._got: "list[tuple[int, int, int]]" = []
        #: (source, code): [ticks since it is down, ms after which it repeats or is stuck].
        self._down: "dict[tuple[int, int], list[int]]" = {}

    async def check(self) -> None:
        """See ``Keypad.check``."""
        try:
            missing = self._events.missing()
        except BusError as error:
            raise KeypadError(str(error)) from None
        if missing:
            raise KeypadGone("no input device " + ", ".join(missing))

    def held(self) -> "list[str]":
        """Keys that are down now; a self-test shows them as stuck."""
        return [self._codes[code] for _, code in self._down]

    async def _listen(self) -> None:
        broken = False
        while True:
            try:
                await self._receive()
                broken = False
            except InputGone as gone:
                self._forget(gone.source)
                self.flush()
                self._fail(KeypadGone(str(gone)))
            except BusError as error:
                if not broken:
                    self._fail(KeypadError(str(error)))
                broken = True
                await aio.sleep_ms(BACK_MS)
            while self._got:
                source, code, value = self._got.pop(0)
                if code == LOST:
                    self._forget(source)
                elif code in self._codes:
                    self._change((source, code), value)
            self._hold()

    async def _receive(self) -> None:
        """Bring events, or wait until a held key is due."""
        due = None
        for since, after in self._down.values():
            left = max(after - aio.elapsed_ms(since), 0)
            due = left if due is None else min(due, left)
        await aio.first(("events", self._take()), timeout_ms=due)

    async def _take(self) -> None:
        # Nothing is awaited after the read: a cancelled one loses no press.
        self._got += await self._events.read()

    def _change(self, key: "tuple[int, int]", value: int) -> None:
        if value == 0:
            self._down.pop(key, None)
        elif value == 1:
            name = self._codes[key[1]]
            after = REPEAT_DELAY_MS if name in REPEATING else STUCK_MS
            self._down[key] = [aio.ticks_ms(), after]
            self._press(name)

    def _hold(self) -> None:
        for key in list(self._down):
            since, after = self._down[key]
            if aio.elapsed_ms(since) < after:
                continue
            name = self._codes[key[1]]
            if after >= STUCK_MS:
                self._down.pop(key)  # heard again after it was let go
                self._fail(KeypadError("key " + name + " is stuck"))
            else:
                self._down[key][1] = min(after + REPEAT_EVERY_MS, STUCK_MS)
                self._press(name)

    def _forget(self, source: int) -> None:
        for key in list(self._down):
            if key[0] == source:
                self._down.pop(key)
