"""Bus: key events of software keyboards on the wire (kind "input" of ``buses.wire``)."""

from firmware import aio
from firmware.buses.input_events import InputEvents, InputGone
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wire import Wire

#: A read looks again after 1, 2, 4 ... ms, at most after this many.
POLL_MOST_MS = 32
#: Bytes of one event.
_EVENT = 4
#: Values of an event that is no key's: the device was unplugged, plugged in.
GONE, CAME = 254, 255


class WireInput(InputEvents):
    """Input devices of the virtual board."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus
        self._got: "list[tuple[int, int, int]]" = []
        self._gone: "list[int]" = []

    async def read(self) -> "list[tuple[int, int, int]]":
        """Wait for key events. InputGone, BusError."""
        pause = 1
        while True:
            self._take()
            found = self._keys()
            if found:
                return found
            await aio.sleep_ms(pause)
            pause = min(pause * 2, POLL_MOST_MS)

    def _keys(self) -> "list[tuple[int, int, int]]":
        """The keys before a device went; if it went first, that is said."""
        for at in range(len(self._got)):
            source, _, value = self._got[at]
            if value not in (GONE, CAME):
                continue
            if at:
                found, self._got = self._got[:at], self._got[at:]
                return found
            self._got.pop(0)
            if value == GONE:
                self._gone.append(source)
                raise InputGone(source, self._bus + ": input device unplugged")
            self._gone = [other for other in self._gone if other != source]
            return self._keys()
        found, self._got = self._got, []
        return found

    def _take(self) -> None:
        answer = self._wire.transfer(self._bus, 1, b"")[0]
        if len(answer) % _EVENT:
            raise BusError("input: malformed answer")
        for at in range(0, len(answer), _EVENT):
            code = answer[at + 1] << 8 | answer[at + 2]
            self._got.append((answer[at], code, answer[at + 3]))

    def missing(self) -> "list[str]":
        """Names of the devices that are not there now. BusError."""
        self._take()
        gone = list(self._gone)
        for source, _, value in self._got:  # of which no reader was told yet
            if value == GONE:
                gone.append(source)
            elif value == CAME and source in gone:
                gone.remove(source)
        return [self._bus + " " + str(source) for source in gone]

    def drop(self) -> "list[tuple[int, int, int]]":
        """Take the keys not yet read; a device that went or came is still told. BusError."""
        self._take()
        dropped = [event for event in self._got if event[2] < GONE]
        self._got = [event for event in self._got if event[2] >= GONE]
        return dropped

    async def close(self) -> None:
        """The wire outlives the bus: nothing to release."""
