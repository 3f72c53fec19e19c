"""Lines typed by scanners and swipe readers that pose as keyboards (USB HID).

Every device is known to the bus by what it is, and taken for itself: what
people type on another keyboard never comes here, and what these devices type
never reaches a console. Each device has a line and modifier keys of its own,
so that two of them may type at once.
"""

from firmware import aio
from firmware.buses.input_events import LOST, InputGone
from firmware.buses.wire import BusError
from firmware.drivers import key_layout
from firmware.drivers.lines import HELD_UP_MS, SILENCE_MS, LineBuffer, Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.input_events import InputEvents

#: Devices beyond this are none of ours.
MOST_SOURCES = 8


class _Typist:
    """One device: its line, and the modifier keys that it holds."""

    def __init__(self, line: LineBuffer) -> None:
        self.line = line
        self.shifts: "list[int]" = []
        self.control = False
        self.other = False
        self.capitals = False

    def let_go(self) -> None:
        self.shifts = []
        self.control = self.other = False


class KeyLines(Lines):
    """``layout``: of key_layout.LAYOUTS, as the device is set."""

    def __init__(
        self,
        events: "InputEvents",
        most: int,
        suffix: str = "enter",
        prefix: bytes = b"",
        layout: str = "us",
    ) -> None:
        self._events = events
        self._keys = key_layout.table(layout)
        self._size = most + len(prefix)
        self._suffix = suffix
        self._prefix = prefix
        LineBuffer(0, suffix)  # names a wrong suffix now
        self._typists: "dict[int, _Typist]" = {}
        #: Events that were read and not yet looked at.
        self._got: "list[tuple[int, int, int]]" = []
        #: Milliseconds that readers have waited since the last key.
        self._waited = 0

    async def next(self) -> "tuple[int, str, bytearray]":
        """Wait for a line. InputGone once for each device that goes away."""
        while True:
            while self._got:
                source, code, value = self._got.pop(0)
                typist = self._typist(source)
                if typist is not None and self._key(typist, code, value):
                    return self._taken(source)
            if not await self._fill():
                for source in sorted(self._typists):
                    if self._typists[source].line.silent():
                        return self._taken(source)

    def _typist(self, source: int) -> "_Typist | None":
        if source not in self._typists:
            if len(self._typists) >= MOST_SOURCES:
                return None
            line = LineBuffer(self._size, self._suffix, self._prefix)
            self._typists[source] = _Typist(line)
        return self._typists[source]

    def _taken(self, source: int) -> "tuple[int, str, bytearray]":
        trouble, line = self._typists[source].line.take()
        return source, trouble, line

    def _typing(self) -> bool:
        return any(not typist.line.empty() for typist in self._typists.values())

    async def _fill(self) -> bool:
        """Bring an event; False when every line has stood still too long."""
        if not self._typing():
            await self._receive()
            return True
        limit = max(SILENCE_MS - self._waited, 0)
        since = aio.ticks_ms()
        try:
            name, _ = await aio.first(("event", self._receive()), timeout_ms=limit)
            held_up = aio.elapsed_ms(since) > limit + HELD_UP_MS
        finally:
            self._waited += aio.elapsed_ms(since)
        if name == "timeout":
            self._waited = 0
        return held_up or name == "event"

    async def _receive(self) -> None:
        try:
            # Nothing may be awaited after the read: a cancelled one loses nothing.
            self._got = await self._events.read()
        except InputGone as error:
            typist = self._typists.pop(error.source, None)
            if typist is not None:
                typist.line.clear()
            raise
        self._waited = 0

    def _key(self, typist: _Typist, code: int, value: int) -> bool:
        """Take one event; True when a line is complete."""
        if code == LOST:
            typist.let_go()
            typist.line.trouble = typist.line.trouble or "keys"
        elif code in key_layout.SHIFTS:
            typist.shifts = [held for held in typist.shifts if held != code]
            if value:
                typist.shifts.append(code)
        elif code in key_layout.CONTROLS:
            typist.control = value != 0
        elif code in key_layout.OTHERS:
            typist.other = value != 0
        elif value == 1:
            return self._press(typist, code)
        return False

    def _press(self, typist: _Typist, code: int) -> bool:
        line = typist.line
        if code == key_layout.KEY_CAPS:
            typist.capitals = not typist.capitals
            return False
        if code in (key_layout.KEY_ENTER, key_layout.KEY_BLOCK_ENTER):
            return line.put(0x0D)
        if code == key_layout.KEY_TAB:
            return line.put(0x09)
        if typist.control and code == key_layout.KEY_SEPARATOR:
            return line.put(0x1D)
        pair = self._keys.get(code)
        if pair is None or typist.control or typist.other:
            line.trouble = line.trouble or "keys"
            return False
        upper = bool(typist.shifts)
        if typist.capitals and pair[0].lower() != pair[0].upper():
            upper = not upper
        ended = False
        for byte in pair[1 if upper else 0].encode():
            ended = line.put(byte) or ended
        return ended

    async def check(self) -> None:
        """Ask whether every device is there and grabbed. BusError."""
        missing = self._events.missing()
        if missing:
            raise BusError("no input device " + ", ".join(missing))

    def flush(self) -> None:
        """See ``Lines.flush``. Keys that a device holds, it holds on."""
        self._waited = 0
        try:
            self._got += self._events.drop()
        except BusError:  # the next read names it; what is held is not known
            for holder in self._typists.values():
                holder.let_go()
        for source, code, value in self._got:
            typist = self._typist(source)
            if typist is not None and self._key(typist, code, value):
                typist.line.forget(True)
        self._got = []
        for holder in self._typists.values():
            holder.line.forget(False)

    async def close(self) -> None:
        """Wipe, and let the devices go."""
        self.flush()
        await self._events.close()
