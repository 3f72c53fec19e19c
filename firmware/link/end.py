"""What both ends of delivery do alike: a session over a pipe that loses bytes (docs/link.md).

An end is without I/O (``delivery.py`` has the two). What arrived goes in by
``arrived``, what is to be written comes out of ``output``, and ``wait_ms`` says when to
ask again. Records go in by ``send`` and come out of ``read``; ``event`` tells what became
of the session:

``("live", None)``     a new session; ``opening`` is the prologue's part of it
``("lost", error)``    the pipe is given up: open it anew, then ``pipe_back``
``("resumed", None)``  the session goes on
``("ended", error)``   the session is over; None when this end closed it

Bytes from the pipe raise nothing. ``now`` is in milliseconds of any origin; a clock that
wraps says its period.
"""

from firmware.crypto.hashes import sha256
from firmware.errors import TillError
from firmware.link import packets
from firmware.link.frames import FrameReader, encode
from firmware.link.packets import ACK, CLOSE, DATA, PING, PONG, BadPacket
from firmware.link.window import Incoming, Outgoing, ProtocolBroken, RoundTrip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLOSED, LISTENING, LIVE, LOST = "closed", "listening", "live", "lost"

#: The last number that DATA may have: the one behind it must still be a number.
LAST_NUMBER = 0xFFFFFFFE
_MARKS = 0xFFFF
#: PINGs of which an answer still says something.
_MOST_PINGS = 8


class LinkError(TillError):
    """The session is over, or there is none."""

    text_key = "error.pc_pipe"


class NoAnswer(LinkError):
    """No terminal answered OPEN."""


class Refused(LinkError):
    """The terminal refused: ``reason`` and ``detail`` of REFUSE."""

    def __init__(self, reason: int, detail: int) -> None:
        LinkError.__init__(self, "REFUSE " + str(reason) + ", detail " + str(detail))
        self.reason = reason
        self.refusal = detail


class PipeGivenUp(LinkError):
    """Nothing passes the pipe any more."""


class SessionLost(LinkError):
    """The session cannot be resumed: open a new one and go on from the cursor."""


class PeerClosed(LinkError):
    """The peer ended the session: ``reason`` of CLOSE."""

    def __init__(self, reason: int) -> None:
        LinkError.__init__(self, "CLOSE " + str(reason))
        self.reason = reason


class Replaced(LinkError):
    """A PC opened another session on this pipe."""


class NumbersRanOut(LinkError):
    """The session used its last number."""


class Parameters:
    """Limits and times of one end; docs/link.md, Parameters, has their meaning."""

    def __init__(
        self, size: int = 4096, credit: int = 65536, window: int = 16, backlog: int = 131072
    ) -> None:
        """ValueError: a credit of less than two records, a size or window out of bounds."""
        if not packets.LEAST_SIZE <= size <= 0xFFFF or credit < 2 * size or not 1 <= window <= 32:
            raise ValueError("parameters of the link out of bounds")
        self.size = size
        self.credit = credit
        self.window = window
        self.backlog = backlog
        self.open_ms = 500
        self.open_tries = 10
        self.ack_ms = 20
        self.rto_first_ms = 300
        self.rto_min_ms = 40
        self.rto_max_ms = 3000
        self.repeats = 12
        self.idle_ms = 5000
        self.dead_ms = 15000
        self.hold_ms = 300000


class End:
    """What both ends do alike. ``reliable``: the pipe loses nothing (TCP), so nothing is
    repeated, and a frame that is not whole ends the pipe. ``period``: the clock's, 0 for one
    that never wraps; asked less than half a period apart."""

    #: State without a session.
    _idle = CLOSED

    def __init__(
        self, parameters: "Parameters | None" = None, reliable: bool = False, period: int = 0
    ) -> None:
        self._set = parameters or Parameters()
        self._reliable = reliable
        self._period = period
        self._last: "int | None" = None
        self._clock = 0
        self._up = True
        self._frames = FrameReader(self._set.size + packets.HEAD)
        self._events: "list[tuple[str, TillError | None]]" = []
        self._urgent = b""  # one frame that goes before all others
        self.state = self._idle
        self._tag: "bytes | None" = None
        self._name = b""
        self.opening = b""
        self.size = self._set.size
        self._lost_at: "int | None" = None
        self._mark = 0
        self._out = Outgoing(1, 0)
        self._in = Incoming(0)
        self.malformed = self.strays = self.stale = self.timeouts = 0
        self._quiet()

    def _quiet(self) -> None:
        """Timers and owed answers as on a pipe where nothing was sent yet."""
        self._round_trip = RoundTrip(
            self._set.rto_first_ms, self._set.rto_min_ms, self._set.rto_max_ms
        )
        self._heard_at = self._pinged_at = self._clock
        self._rto_at: "int | None" = None
        self._probe_at: "int | None" = None
        self._probe_ms = 0
        self._unacked = 0
        self._ack_at: "int | None" = None
        self._ack_now = False
        self._pong: "int | None" = None
        self._ping_now = False
        self._pings: "list[tuple[int, int, int]]" = []  # not answered: mark, place, time

    def _tick(self, now: int) -> None:
        if self._last is not None:
            passed = now - self._last
            if self._period:
                passed %= self._period
                if passed > self._period // 2:  # went back a little
                    passed = 0
            if passed > 0:
                self._clock += passed
        self._last = now

    # -- for above

    def event(self) -> "tuple[str, TillError | None] | None":
        """The next event; None when there is none."""
        return self._events.pop(0) if self._events else None

    def read(self) -> "bytes | None":
        """The next record in order, also of a session that has ended; None when there is
        none. Reading makes room for the peer."""
        return self._in.read()

    @property
    def writable(self) -> bool:
        """Whether ``send`` takes a record of any length now."""
        return self._tag is not None and self._out.room_for(self.size)

    def send(self, record: bytes) -> bool:
        """Send a record of 1 to ``size`` bytes, at once or when the session is resumed. False
        when too much waits already. LinkError without a session; ValueError for the length."""
        if self._tag is None:
            raise LinkError("no session")
        size = len(record)
        if not 1 <= size <= self.size:
            raise ValueError("a record of " + str(size) + " bytes")
        if not self._out.room_for(size):
            return False
        number = self._out.following
        if number > LAST_NUMBER:
            self._end(packets.RAN_OUT, NumbersRanOut("the numbers of the session ran out"))
            return False
        self._out.add(encode(packets.data(self._tag, number, record)), size)
        return True

    def close(self, reason: int = packets.DONE) -> None:
        """End the session with a reason of CLOSE. Harmless without one."""
        if self.state != self._idle:
            self._end(reason, None)

    def counts(self) -> "dict[str, int]":
        """What went wrong so far: frames dropped, packets malformed, of another session or too
        late, time-outs; in this session DATA repeated, DATA that came twice."""
        return {
            "dropped": self._frames.dropped,
            "malformed": self.malformed,
            "strays": self.strays,
            "stale": self.stale,
            "timeouts": self.timeouts,
            "repeats": self._out.repeats,
            "twice": self._in.twice,
        }

    # -- for the pipe

    def pipe_lost(self, now: int) -> None:
        """The pipe broke. The session waits for ``pipe_back``."""
        self._tick(now)
        self._up = False
        self._frames.clear()
        self._urgent = b""
        if self.state == LIVE:
            self._lose("the pipe broke", False)

    def pipe_back(self, now: int) -> None:
        """The pipe is a new one."""
        self._tick(now)
        self._up = True
        self._frames.clear()
        self._urgent = b""

    def arrived(self, data: bytes, now: int) -> None:
        """Take what came."""
        self._tick(now)
        if not self._up:
            return
        dropped = self._frames.dropped
        for packet in self._frames.feed(data):
            try:
                self._packet(packets.decode(packet), packet)
            except BadPacket:
                self.malformed += 1
            except ProtocolBroken as error:
                self._end(packets.BROKEN, error)
        if self._reliable and self.state == LIVE and self._frames.dropped != dropped:
            self._lose("a frame was not whole", False)

    def output(self, now: int) -> bytes:
        """What to write now; read the records first, for their room goes along."""
        self._tick(now)
        self._pass_time()
        if not self._up:
            return b""
        parts = [self._urgent]
        self._urgent = b""
        if self.state == LIVE:
            self._write(parts)
        return b"".join(parts)

    def wait_ms(self, now: int) -> "int | None":
        """Milliseconds from the last ``output`` until it has something to do again, if nothing
        arrives, is sent or read before; None for never."""
        self._tick(now)
        times = self._deadlines()
        if self._up and (self._urgent or (self.state == LIVE and self._has_output())):
            return 0
        return max(0, min(times) - self._clock) if times else None

    # -- inside

    def _packet(self, fields: "tuple[Any, ...]", packet: bytes) -> None:
        kind = fields[0]
        if kind < DATA:
            self._opening_packet(fields, packet)
        elif fields[1] != self._tag:
            self.strays += 1
        elif kind == CLOSE:
            self._end(None, PeerClosed(fields[2]))
        elif self.state != LIVE:
            self.strays += 1
        else:
            self._heard_at = self._clock
            if kind == DATA:
                self._data(fields[2], fields[3])
            elif kind == ACK:
                self._acknowledged(fields[2], fields[3], fields[4])
            elif kind == PING:
                self._pong = fields[2]
            elif kind == PONG:
                self._ponged(fields)

    def _opening_packet(self, fields: "tuple[Any, ...]", packet: bytes) -> None:
        raise NotImplementedError

    def _data(self, number: int, record: bytes) -> None:
        if len(record) > self.size:
            raise ProtocolBroken("a record of " + str(len(record)) + " bytes")
        if self._reliable and number > self._in.following:
            self._lose("DATA is missing", False)
        elif self._in.take(number, record):
            self._unacked += 1
            if self._unacked > 1:
                self._ack_now = True
            elif self._ack_at is None:
                self._ack_at = self._clock + self._set.ack_ms
        else:
            self._ack_now = True

    def _acknowledged(self, following: int, held: int, credit: int) -> None:
        out = self._out
        if following < out.first:  # a copy that the pipe made
            self.stale += 1
            return
        if following > out.first or credit > out.credit:
            out.credit = credit
        arrived, took = out.acknowledged(following, held, self._clock)
        if took >= 0:
            self._round_trip.measured(took)
        if arrived:
            self._lost_at = None
            self._rto_at = self._clock + self._round_trip.rto
        if not out.in_flight:
            self._rto_at = None
        if not self._reliable:
            out.find_lost()

    def _ponged(self, fields: "tuple[Any, ...]") -> None:
        _, _, mark, following, held, credit = fields
        for at, (pinged, place, when) in enumerate(self._pings):
            if pinged == mark:
                self._round_trip.measured(self._clock - when)
                self._out.proved(place)
                del self._pings[: at + 1]  # those before it were lost, or their PONGs were
                break
        self._acknowledged(following, held, credit)

    def _pass_time(self) -> None:
        clock, out = self._clock, self._out
        if self.state == LOST:
            if self._lost_at is not None and clock - self._lost_at >= self._set.hold_ms:
                self._end(None, SessionLost("the pipe was not back in time"))
        elif self.state == LIVE:
            if clock - self._heard_at >= self._set.dead_ms:
                self._lose("nothing was heard", False)
                return
            if clock - max(self._heard_at, self._pinged_at) >= self._set.idle_ms:
                self._ping_now = True
            if self._reliable:
                return
            if self._rto_at is not None and clock >= self._rto_at:
                self.timeouts += 1
                out.expired()
                self._round_trip.expired()
            if out.in_flight or not out.waits_for_credit:
                self._probe_at = None
            elif self._probe_at is None:
                self._probe_ms = self._round_trip.rto
                self._probe_at = clock + self._probe_ms
            elif clock >= self._probe_at:
                self._ping_now = True
                self._probe_ms = min(2 * self._probe_ms, self._set.rto_max_ms)
                self._probe_at = clock + self._probe_ms

    def _has_output(self) -> bool:
        return (
            self._ack_now
            or self._pong is not None
            or self._ping_now
            or self._in.grown
            or self._out.has_due
        )

    def _write(self, parts: "list[bytes]") -> None:
        out, tag = self._out, self._tag or b""
        repeats = out.repeats
        frames = out.due(self._clock)
        if out.stuck > self._set.repeats:
            self._lose("nothing is acknowledged", True)
            return
        if frames and not self._reliable:
            repeated = out.repeats > repeats
            if repeated:
                self._ping_now = True  # its PONG shows whether they, and what else, are lost
            if repeated or self._rto_at is None:
                self._rto_at = self._clock + self._round_trip.rto
        late = self._ack_at is not None and self._clock >= self._ack_at
        if self._pong is not None:
            mark, self._pong = self._pong, None
            told = packets.pong(tag, mark, self._in.following, self._in.held, self._in.tell())
            parts.append(encode(told))
            self._acked()
        elif self._ack_now or late or self._in.grown:
            told = packets.ack(tag, self._in.following, self._in.held, self._in.tell())
            parts.append(encode(told))
            self._acked()
        parts += frames
        if self._ping_now:
            self._ping_now = False
            self._mark = (self._mark + 1) & _MARKS
            self._pings.append((self._mark, out.mark(), self._clock))
            del self._pings[:-_MOST_PINGS]
            self._pinged_at = self._clock
            parts.append(encode(packets.ping(tag, self._mark)))

    def _acked(self) -> None:
        self._ack_now = False
        self._ack_at = None
        self._unacked = 0

    def _deadlines(self) -> "list[int]":
        if self.state == LOST:
            return [] if self._lost_at is None else [self._lost_at + self._set.hold_ms]
        if self.state != LIVE:
            return []
        times = [
            self._heard_at + self._set.dead_ms,
            max(self._heard_at, self._pinged_at) + self._set.idle_ms,
        ]
        if self._ack_at is not None:
            times.append(self._ack_at)
        if not self._reliable:
            if self._rto_at is not None:
                times.append(self._rto_at)
            if self._probe_at is not None:
                times.append(self._probe_at)
        return times

    def _begin(self, name: bytes, opening: bytes, size: int, credit: int) -> None:
        """A session stands."""
        self._name = name
        self._tag = sha256(name)[:2]
        self.opening = opening
        self.size = min(size, self._set.size)
        self._out = Outgoing(self._set.window, self._set.backlog)
        self._out.credit = credit
        self._in = Incoming(self._set.credit)
        self._mark = 0
        self._lost_at = None
        self._quiet()
        self.state = LIVE
        self._events.append(("live", None))

    def _resume(self, following: int, credit: int) -> None:
        """The peer is back with the session, and has all below ``following``. ProtocolBroken."""
        out = self._out
        if following < out.first:
            raise ProtocolBroken("the peer forgot what it had acknowledged")
        self._quiet()
        arrived, _ = out.acknowledged(following, 0, self._clock)
        if arrived:
            self._lost_at = None
        out.credit = credit
        out.start_again()
        if self.state != LIVE:
            self.state = LIVE
            self._events.append(("resumed", None))

    def _lose(self, why: str, stuck: bool) -> None:
        if not stuck or self._lost_at is None:
            self._lost_at = self._clock
        self.state = LOST
        self._events.append(("lost", PipeGivenUp(why)))

    def _end(self, reason: "int | None", error: "TillError | None") -> None:
        """The session is over; ``reason`` goes to the peer, None if it knows or cannot."""
        self._urgent = b""
        if reason is not None and self._tag is not None and self._up:
            self._urgent = encode(packets.close(self._tag, reason))
        self.state = self._idle
        self._tag = None
        self._out = Outgoing(1, 0)
        self._events.append(("ended", error))
