"""Many requests at once in one session: chunks, messages, credits (docs/link.md, Streams).

No I/O and no clock: ``Streams.take`` gets the plaintext of a record that arrived,
``Streams.pull`` gives the next one to seal. Whoever answers a request keeps its deadline.
"""

from firmware.cbor import CborError, decode, encode
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REQUEST, ITEM, END, ERROR, CANCEL, CREDIT, PART = 1, 2, 3, 4, 5, 6, 7

#: Bytes before a chunk's body: kind, stream.
HEAD = 3
#: What a piece of a longer message has at least, so that a few bytes of credit make no crumbs.
_LEAST_PART = 64
#: Bytes of an ERROR's body: it needs no credit.
_MOST_ERROR = 512
_MOST_NUMBER = 0xFFFF
_MOST_ITEMS = 4096


class StreamsBroken(TillError):
    """The peer broke the rules of streams: the session ends (CLOSE 1)."""

    text_key = "error.pc_pipe"


class StreamRefused(TillError):
    """This end may not send that: message too long for the peer, stream over, too many open."""

    text_key = "error.pc_pipe"


class Stream:
    """One request with what follows it, seen from either end.

    ``number``: its name in the session. ``over``: nothing more comes or goes.
    ``cancelled``: the PC gave it up, and the terminal has not said its last word.
    ``news``: a place for whoever carries the session to wait at.
    """

    def __init__(self, streams: "Streams", number: int) -> None:
        self._streams = streams
        self.number = number
        self.over = False
        self.cancelled = False
        self.news: "Any" = None
        self._inbox: "list[tuple[int, Any, int]]" = []
        self._parts = bytearray()
        self._asked = streams.opens  # the REQUEST is behind
        self._room = streams.credit  # what the peer may still send
        self._owed = 0  # of what was read, not yet given back
        self._peer_ended = False
        self._out: "list[tuple[int, bytes]]" = []
        self._at = 0  # in the first of them
        self._allowed = streams.credit_of_peer
        self._ended = False

    @property
    def backlog(self) -> int:
        """Bytes of messages that wait to be sent."""
        return sum([len(body) for _, body in self._out]) - self._at

    def send(self, kind: int, value: object) -> None:
        """Queue ITEM, END or ERROR. StreamRefused: over, ended, or longer than the peer takes.

        An ERROR may still take the place of an END that has not left.
        """
        if self.over or (self._ended and (kind != ERROR or self._streams.opens)):
            raise StreamRefused("stream " + str(self.number) + " is over")
        body = encode(value)
        if len(body) > (_MOST_ERROR if kind == ERROR else self._streams.most_message_of_peer):
            raise StreamRefused(
                "a message of " + str(len(body)) + " bytes is longer than it may be"
            )
        if kind == ERROR:  # the last word: what has not left yet does not leave
            self._out = []
            self._at = 0
        self._ended = kind in (END, ERROR)
        self._out.append((kind, body))

    def cancel(self) -> None:
        """The PC gives the request up; the terminal's last word still comes. A request that
        has not left never does, and is over."""
        if self.over or self.cancelled:
            return
        self.cancelled = True
        self._ended = True
        unsent = bool(self._out) and self._out[0][0] == REQUEST and not self._at
        self._out = [] if unsent else [(CANCEL, b"")]
        self._at = 0
        if unsent:
            self._inbox.append((ERROR, ["cancelled", {}], 0))
            self.over = True
            self._streams.sweep(self)

    def read(self) -> "tuple[int, Any] | None":
        """The next message (kind, value) that arrived whole, its bytes given back to the peer."""
        if not self._inbox:
            return None
        kind, value, size = self._inbox.pop(0)
        self._owed += size
        return kind, value

    # What follows is between Stream and Streams.

    def ask(self, body: bytes) -> None:
        """Queue the REQUEST."""
        self._out.append((REQUEST, body))

    @property
    def idle(self) -> bool:
        """Over, and nothing waits to be sent."""
        return self.over and not self._out

    def arrived(self, kind: int, body: bytes) -> None:
        """A chunk of the peer's."""
        if kind == CREDIT:
            if len(body) != 4:
                raise StreamsBroken("credit of another length")
            self._allowed += int.from_bytes(body, "big")
            if self._allowed > self._streams.credit_of_peer:
                raise StreamsBroken("more credit than there can be")
            return
        if kind == CANCEL:
            if body or self._streams.opens or self.cancelled:
                raise StreamsBroken("a cancel that may not be")
            self.cancelled = True
            self._inbox.append((CANCEL, None, 0))
            return
        if kind == ERROR:
            self._last_word(body)
            return
        if kind != PART and (kind == REQUEST) == self._asked:
            raise StreamsBroken("a request that is none, or a second one")
        if self._peer_ended:
            raise StreamsBroken("a message after the end")
        self._room -= len(body)
        if self._room < 0:
            raise StreamsBroken("more than the credit")
        if len(self._parts) + len(body) > self._streams.most_message:
            raise StreamsBroken("a message longer than taken here")
        if kind == PART:
            self._parts.extend(body)
            self._owed += len(body)  # the message's own bound holds it
            return
        whole = bytes(self._parts) + body if self._parts else body
        self._parts = bytearray()
        self._inbox.append((kind, _checked(kind, whole), len(body)))
        self._asked = True
        if kind == END:
            self._peer_ended = True
            if self._streams.opens:
                self.over = True

    def _last_word(self, body: bytes) -> None:
        if len(body) > _MOST_ERROR:
            raise StreamsBroken("an error longer than it may be")
        self._inbox.append((ERROR, _checked(ERROR, body), 0))
        self._parts = bytearray()
        self._out = []
        self._at = 0
        self.over = True

    def lost(self, code: str) -> None:
        """The session ended: the reader learns it as an ERROR."""
        if not self.over:
            self._inbox.append((ERROR, [code, {}], 0))
            self.over = True
        self._out = []

    def next_chunk(self, room: int) -> "bytes | None":
        """What is to be sent now, of at most ``room`` bytes; None: nothing, or no credit."""
        open_to_more = not self._peer_ended and not self.over
        if open_to_more and 2 * self._owed >= self._streams.credit:
            given = self._owed
            self._owed = 0
            self._room += given
            return self._chunk(CREDIT, given.to_bytes(4, "big"))
        if not self._out:
            return None
        kind, body = self._out[0]
        left = len(body) - self._at
        fits = room - HEAD
        if kind not in (ERROR, CANCEL):
            fits = min(fits, self._allowed)
        if left > fits:
            if fits < _LEAST_PART:
                return None
            piece = body[self._at : self._at + fits]
            self._at += fits
            self._allowed -= fits
            return self._chunk(PART, piece)
        rest = body[self._at :] if self._at else body
        if kind not in (ERROR, CANCEL):
            self._allowed -= left
        self._out.pop(0)
        self._at = 0
        if kind == ERROR or (kind == END and not self._streams.opens):
            self.over = True
        return self._chunk(kind, rest)

    def _chunk(self, kind: int, body: bytes) -> bytes:
        return bytes((kind, self.number >> 8, self.number & 0xFF)) + body


def _checked(kind: int, whole: bytes) -> "Any":
    """The message in ``whole``, of the shape of its kind."""
    try:
        value: "Any" = decode(whole, max_items=_MOST_ITEMS)
    except CborError as error:
        raise StreamsBroken("a message is not CBOR: " + str(error)) from None
    if kind == REQUEST:
        good = (
            isinstance(value, list)
            and len(value) == 3
            and isinstance(value[0], str)
            and isinstance(value[1], int)
            and not isinstance(value[1], bool)
            and value[1] >= 0
            and isinstance(value[2], dict)
        )
    elif kind == ERROR:
        good = (
            isinstance(value, list)
            and len(value) == 2
            and isinstance(value[0], str)
            and isinstance(value[1], dict)
        )
    else:
        good = isinstance(value, dict)
    if not good:
        raise StreamsBroken("a message of another shape")
    return value


class Streams:
    """All streams of one session at one end.

    ``opens``: this is the PC's end. ``most_message``, ``most_open``, ``credit``: what this end
    takes (bytes, streams, bytes a stream); ``meet`` tells what the other end takes.
    """

    def __init__(self, opens: bool, most_message: int, most_open: int, credit: int) -> None:
        self.opens = opens
        self.most_message = most_message
        self.most_open = most_open
        self.credit = credit
        self.credit_of_peer = credit
        self.most_message_of_peer = most_message
        self._open: "dict[int, Stream]" = {}
        self._turn: "list[int]" = []
        self._highest = -1

    def meet(self, most_message: int, most_open: int, credit: int) -> None:
        """What the other end said of itself (docs/link.md, Session)."""
        self.most_message_of_peer = most_message
        self.credit_of_peer = credit
        if self.opens:
            self.most_open = most_open

    def open(self, service: str, deadline_ms: int, arguments: "dict[Any, Any]") -> Stream:
        """A new request (the PC's end).

        StreamRefused: too many at once, too long, or the numbers ran out.
        """
        number = self._highest + 2
        if len(self._open) >= self.most_open:
            raise StreamRefused("no more than " + str(self.most_open) + " requests at once")
        if number > _MOST_NUMBER:
            raise StreamRefused("the session's numbers ran out")
        stream = Stream(self, number)
        body = encode([service, deadline_ms, arguments])
        if len(body) > self.most_message_of_peer:
            raise StreamRefused(
                "a request of " + str(len(body)) + " bytes is longer than it may be"
            )
        stream.ask(body)
        self._add(stream)
        return stream

    def _add(self, stream: Stream) -> None:
        self._highest = stream.number
        self._open[stream.number] = stream
        self._turn.append(stream.number)

    def take(self, record: bytes) -> "Stream | None":
        """A record that arrived: the stream that it touched, if one is open. StreamsBroken."""
        if not record:
            return None
        if len(record) < HEAD:
            raise StreamsBroken("a chunk without a stream")
        kind = record[0]
        number = record[1] << 8 | record[2]
        if kind < REQUEST or kind > PART:
            raise StreamsBroken("a chunk of kind " + str(kind))
        stream = self._open.get(number)
        if stream is None:
            if number & 1 == 0 or (number > self._highest and self.opens):
                raise StreamsBroken("a stream that nobody opened")
            if number <= self._highest:
                return None  # over here, and still under way there
            if kind not in (REQUEST, PART):
                raise StreamsBroken("a stream that does not begin with a request")
            if len(self._open) >= self.most_open:
                raise StreamsBroken("more streams than told")
            stream = Stream(self, number)
            self._add(stream)
        if not stream.over:
            stream.arrived(kind, record[HEAD:])
        self.sweep(stream)
        return stream

    def sweep(self, stream: Stream) -> None:
        """Forget a stream of which nothing more comes or goes."""
        if stream.idle and stream.number in self._open:
            del self._open[stream.number]
            self._turn.remove(stream.number)

    def pull(self, room: int) -> "bytes | None":
        """The next record to send, of at most ``room`` bytes, the streams taking turns.

        None: there is nothing, or no credit for it.
        """
        for _ in range(len(self._turn)):
            number = self._turn.pop(0)
            self._turn.append(number)
            stream = self._open[number]
            chunk = stream.next_chunk(room)
            if chunk is not None:
                self.sweep(stream)
                return chunk
        return None

    def end(self, code: str) -> "list[Stream]":
        """The session is over: every open stream ends with ERROR ``code``; these streams."""
        left = [self._open[number] for number in self._turn]
        for stream in left:
            stream.lost(code)
        self._open = {}
        self._turn = []
        return left
