"""What is in flight and what has arrived: the two directions of a session (docs/link.md, Loss).

No clock and no packets: ``Outgoing`` keeps records until they are acknowledged and knows
which of them are lost, ``Incoming`` puts them in order and counts the room that is left,
``RoundTrip`` is the timer's estimate.
"""

from firmware.errors import TillError

#: Numbers from the first DATA not received on that an ACK can name, so the widest window.
WIDEST = 32
#: An end with that many records not yet read tells no credit.
MOST_UNREAD = 32


class ProtocolBroken(TillError):
    """The peer said or sent what it may not: the session ends (CLOSE 1)."""

    text_key = "error.pc_pipe"


class RoundTrip:
    """RFC 6298 in whole milliseconds: ``rto`` is how long to wait for an acknowledgement."""

    def __init__(self, first_ms: int, least_ms: int, most_ms: int) -> None:
        self._least = least_ms
        self._most = most_ms
        self._srtt8 = -1  # eight times SRTT; -1 before the first measure
        self._rttvar4 = 0  # four times RTTVAR
        self.rto = first_ms

    def measured(self, ms: int) -> None:
        """A time from sending to acknowledgement of what was sent once (2.2, 2.3)."""
        if self._srtt8 < 0:
            self._srtt8 = 8 * ms
            self._rttvar4 = 2 * ms
        else:
            error = ms - self._srtt8 // 8
            self._srtt8 += error
            self._rttvar4 += abs(error) - self._rttvar4 // 4
        self.rto = min(max(self._srtt8 // 8 + max(1, self._rttvar4), self._least), self._most)

    def expired(self) -> None:
        """The timer ran out: it waits twice as long the next time (5.5)."""
        self.rto = min(2 * self.rto, self._most)


class _Sent:
    """A DATA that is not acknowledged in order.

    ``order``: place of its last transmission among all that was sent, -1 while one is
    owed. ``first``: place of the earliest transmission that may have arrived.
    """

    __slots__ = ("at", "first", "frame", "held", "order", "repeated", "size")

    def __init__(self, frame: bytes, size: int) -> None:
        self.frame = frame
        self.size = size
        self.order = -1
        self.first = -1
        self.at = 0
        self.repeated = False
        self.held = False


class Outgoing:
    """Records on their way to the peer.

    ``window``: DATA in flight at most. ``backlog``: bytes of records kept until they are
    acknowledged. ``first``: the first number not acknowledged. ``stuck``: repeats of that
    one since anything was acknowledged. ``repeats``: all repeats so far.
    """

    def __init__(self, window: int, backlog: int) -> None:
        self._window = window
        self._backlog = backlog
        self._kept: "list[_Sent]" = []  # from number ``first`` on: sent ones, then waiting ones
        self._bytes = 0  # of all of them
        self._sent = 0  # how many of them were sent
        self._flying = 0  # bytes of those
        self._owed = False  # one that was sent is to be sent again
        self._order = 0
        self._proof = -1  # the latest place of which arrival is known
        self.first = 0
        self.credit = 0
        self.stuck = 0
        self.repeats = 0

    @property
    def following(self) -> int:
        """The number that the next record gets."""
        return self.first + len(self._kept)

    @property
    def in_flight(self) -> int:
        """How many DATA were sent and are not acknowledged in order."""
        return self._sent

    @property
    def waits_for_credit(self) -> bool:
        """There is something to send that the peer has no room for."""
        return self._sent < len(self._kept) and (
            self._flying + self._kept[self._sent].size > self.credit
        )

    @property
    def has_due(self) -> bool:
        """Whether ``due`` gives something."""
        if self._owed:
            return True
        return (
            self._sent < min(self._window, len(self._kept))
            and self._flying + self._kept[self._sent].size <= self.credit
        )

    def room_for(self, size: int) -> bool:
        """Whether a record of ``size`` bytes may be added."""
        if not self._kept:
            return True
        return len(self._kept) < 2 * self._window and self._bytes + size <= self._backlog

    def add(self, frame: bytes, size: int) -> None:
        """Keep the frame of the record with the number ``following``."""
        self._kept.append(_Sent(frame, size))
        self._bytes += size

    def mark(self) -> int:
        """The place of something else that is sent now, for ``proved``."""
        self._order += 1
        return self._order

    def due(self, now: int) -> "list[bytes]":
        """Frames to send now: those owed again, then as many new ones as may fly."""
        frames = []
        if self._owed:
            self._owed = False
            for sent in self._kept[: self._sent]:
                if sent.order < 0:
                    self._order += 1
                    sent.order = self._order
                    if sent.first < 0:
                        sent.first = self._order
                    sent.repeated = True
                    self.repeats += 1
                    if sent is self._kept[0]:
                        self.stuck += 1
                    frames.append(sent.frame)
        while self._sent < len(self._kept) and self._sent < self._window:
            sent = self._kept[self._sent]
            if self._flying + sent.size > self.credit:
                break
            self._order += 1
            sent.order = sent.first = self._order
            sent.at = now
            self._sent += 1
            self._flying += sent.size
            frames.append(sent.frame)
        return frames

    def acknowledged(self, following: int, held: int, now: int) -> "tuple[int, int]":
        """The peer's ``following`` and ``held``: how many more arrived, and the time that
        the latest of them took, -1 for none that can tell. ProtocolBroken."""
        known = following - self.first
        if known > self._sent or held >> max(0, self._sent - known - 1):
            raise ProtocolBroken("DATA acknowledged that was never sent")
        arrived, took = 0, -1
        for at in range(self._sent):
            sent = self._kept[at]
            # Number following itself is missing, bit 0 is the one behind it.
            if at < known or (at > known and held >> (at - known - 1) & 1):
                if sent.held:
                    continue
                sent.held = True
                sent.order = max(sent.order, 0)  # owed no more
                arrived += 1
                self._proof = max(self._proof, sent.first)
                if not sent.repeated:
                    took = now - sent.at
            elif not held:
                break
        for sent in self._kept[:known]:
            self._flying -= sent.size
            self._bytes -= sent.size
        del self._kept[:known]
        self._sent -= known
        self.first = following
        if arrived:
            self.stuck = 0
        return arrived, took

    def proved(self, place: int) -> None:
        """What was sent at ``place`` arrived."""
        self._proof = max(self._proof, place)

    def find_lost(self) -> None:
        """Owe again what was sent before something that arrived, and did not arrive."""
        for sent in self._kept[: self._sent]:
            if not sent.held and sent.order < self._proof:
                sent.order = sent.first = -1
                self._owed = True

    def expired(self) -> None:
        """The timer ran out: owe the first again. It may have arrived all the same."""
        self._kept[0].order = -1
        self._owed = True

    def start_again(self) -> None:
        """The pipe is a new one: owe all again that is not known to be there."""
        for sent in self._kept[: self._sent]:
            if not sent.held:
                sent.order = sent.first = -1
                self._owed = True
        self.stuck = 0


class Incoming:
    """Records from the peer. ``budget``: bytes of them that this end has room for.

    ``following``: the first number not received. ``twice``: DATA that was here already.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._ahead: "dict[int, bytes]" = {}  # behind a gap
        self._ready: "list[bytes]" = []
        self._bytes = 0  # of both
        self._unread = 0  # of what is ready
        self._granted = budget  # what the peer was told, less what came since
        self.following = 0
        self.twice = 0

    def take(self, number: int, record: bytes) -> bool:
        """Take a DATA: whether it was the one that was waited for, and nothing is missing.
        ProtocolBroken: beyond what this end said it takes."""
        at = number - self.following
        if at >= WIDEST:
            raise ProtocolBroken("DATA beyond the window")
        if at < 0 or number in self._ahead:
            self.twice += 1
            return False
        size = len(record)
        if self._bytes + size > self._budget or len(self._ready) >= MOST_UNREAD + WIDEST:
            raise ProtocolBroken("DATA beyond the credit")
        self._bytes += size
        if at:
            self._ahead[number] = record
            return False
        self._next(record)
        if not self._ahead:
            return True
        while self.following in self._ahead:
            self._next(self._ahead.pop(self.following))
        return False

    def _next(self, record: bytes) -> None:
        self._ready.append(record)
        self._unread += len(record)
        self._granted -= len(record)
        self.following += 1

    def read(self) -> "bytes | None":
        """The next record in order; None when there is none."""
        if not self._ready:
            return None
        record = self._ready.pop(0)
        self._unread -= len(record)
        self._bytes -= len(record)
        return record

    @property
    def held(self) -> int:
        """A bit for each number behind ``following`` that is here, bit 0 for the next one."""
        bits = 0
        for number in self._ahead:
            bits |= 1 << (number - self.following - 1)
        return bits

    @property
    def credit(self) -> int:
        """Bytes of records that there is room for, from ``following`` on."""
        return 0 if len(self._ready) >= MOST_UNREAD else self._budget - self._unread

    def tell(self) -> int:
        """``credit``, for a packet that tells it now."""
        self._granted = self.credit
        return self._granted

    @property
    def grown(self) -> bool:
        """The room grew by a quarter of all since the peer was told of it."""
        return self.credit - self._granted >= self._budget // 4
