"""Records in order and once over a pipe that loses bytes and is unplugged (docs/link.md, Delivery).

The two state tables: ``PcEnd`` opens, ``TerminalEnd`` listens. ``end.py`` says how an end
is used.
"""

from firmware.link import packets
from firmware.link.end import (
    CLOSED,
    LISTENING,
    LOST,
    End,
    NoAnswer,
    Parameters,
    PipeGivenUp,
    Refused,
    Replaced,
    SessionLost,
)
from firmware.link.frames import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPENING, RESUMING = "opening", "resuming"


class PcEnd(End):
    """The end that opens."""

    def connect(self, half: bytes, now: int) -> None:
        """Open a session; ``half`` is 8 random bytes. ValueError: another length, or not closed."""
        if self.state != CLOSED or len(half) != packets.HALF:
            raise ValueError("a session is there already, or half of an id is no 8 bytes")
        self._tick(now)
        self._half = half
        self._begging = packets.open_packet(half, self._set.size, self._set.credit)
        self.state = OPENING
        self._ask()

    def _ask(self) -> None:
        """The first OPEN or RESUME."""
        self._tries = 1
        self._ask_at = self._clock + self._set.open_ms
        self._urgent = encode(self._begging)

    def pipe_lost(self, now: int) -> None:
        End.pipe_lost(self, now)
        if self.state == RESUMING:
            self.state = LOST

    def pipe_back(self, now: int) -> None:
        End.pipe_back(self, now)
        if self.state == LOST:
            self.state = RESUMING
            self._begging = packets.resume(self._name, self._in.following, self._in.tell())
            self._ask()
        elif self.state == OPENING:
            self._urgent = encode(self._begging)

    def _pass_time(self) -> None:
        End._pass_time(self)
        if self.state not in (OPENING, RESUMING) or self._clock < self._ask_at:
            return
        if self._tries < self._set.open_tries:
            self._tries += 1
            self._ask_at = self._clock + self._set.open_ms
            self._urgent = encode(self._begging)
        elif self.state == OPENING:
            self._end(None, NoAnswer("nobody answered OPEN"))
        else:
            self.state = LOST
            self._events.append(("lost", PipeGivenUp("nobody answered RESUME")))

    def _deadlines(self) -> "list[int]":
        if self.state in (OPENING, RESUMING):
            return [self._ask_at]
        return End._deadlines(self)

    def _opening_packet(self, fields: "tuple[Any, ...]", packet: bytes) -> None:
        kind = fields[0]
        if self.state == OPENING and kind == packets.ACCEPT and fields[2] == self._half:
            opening = self._begging + packet
            self._begin(self._half + fields[3], opening, fields[4], fields[5])
        elif self.state == RESUMING and kind == packets.RESUMED and fields[1] == self._name:
            self._resume(fields[2], fields[3])
        elif (
            self.state in (OPENING, RESUMING) and kind == packets.REFUSE and fields[3] == self._half
        ):
            if self.state == RESUMING and fields[1] == packets.NO_SESSION:
                self._end(None, SessionLost("the terminal has the session no more"))
            else:
                self._end(None, Refused(fields[1], fields[2]))
        else:
            self.strays += 1


class TerminalEnd(End):
    """The end that listens. ``busy_s``: above 0, a new session is refused and may be asked
    for after so many seconds."""

    _idle = LISTENING

    def __init__(
        self, parameters: "Parameters | None" = None, reliable: bool = False, period: int = 0
    ) -> None:
        End.__init__(self, parameters, reliable, period)
        self.busy_s = 0
        self._half: "bytes | None" = None
        self._opened = b""
        self._accepted = b""

    @property
    def wants_half(self) -> bool:
        """The next session needs 8 random bytes; without them OPEN is not answered."""
        return self._half is None

    def give_half(self, half: bytes) -> None:
        """This end's half of the next session's id. ValueError: no 8 bytes."""
        if len(half) != packets.HALF:
            raise ValueError("half of an id is 8 bytes")
        self._half = half

    def _opening_packet(self, fields: "tuple[Any, ...]", packet: bytes) -> None:
        if fields[0] == packets.OPEN:
            self._open(fields, packet)
        elif fields[0] == packets.RESUME:
            self._resume_asked(fields[1], fields[2], fields[3])
        else:
            self.strays += 1

    def _open(self, fields: "tuple[Any, ...]", packet: bytes) -> None:
        half = fields[2]
        if fields[1] != packets.VERSION:
            spoken = packets.VERSION << 8 | packets.VERSION
            self._urgent = encode(packets.refuse(packets.BAD_VERSION, spoken, half))
        elif self._tag is not None and packet == self._opened:  # a copy, or ACCEPT was lost
            if self.state == LOST:
                self._resume(self._out.first, self._out.credit)
            self._urgent = encode(self._accepted)
        elif self.busy_s:
            self._urgent = encode(packets.refuse(packets.BUSY, min(self.busy_s, 0xFFFF), half))
        elif self._half is None:
            self.strays += 1
        else:
            if self._tag is not None:
                self._end(None, Replaced("a PC opened another session"))
            self._opened = packet
            own = self._half
            self._half = None
            self._accepted = packets.accept(half, own, self._set.size, self._set.credit)
            self._begin(half + own, packet + self._accepted, fields[3], fields[4])
            self._urgent = encode(self._accepted)

    def _resume_asked(self, name: bytes, following: int, credit: int) -> None:
        if self._tag is None or name != self._name:
            asked = name[: packets.HALF]
            self._urgent = encode(packets.refuse(packets.NO_SESSION, 0, asked))
            return
        # While the session lives, a lower number is a copy that the pipe made.
        if self.state == LOST or following >= self._out.first:
            self._resume(following, credit)
        answer = packets.resumed(name, self._in.following, self._in.tell())
        self._urgent = encode(answer)
