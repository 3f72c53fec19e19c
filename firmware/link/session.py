"""Who is at the other end, and nobody else reads: Noise between delivery and streams
(docs/link.md, Session).

No I/O and no clock of its own. ``PcSession`` and ``TerminalSession`` hold one ``End`` of
delivery for its whole life: what arrived and what is to be written goes through the end,
``turn`` does what became possible, and ``event`` tells what became of the session:

``("ready", None)``    both are known to each other; ``peer_key``, ``peer`` and ``hash`` stand
``("lost", error)``    the pipe is given up, what is open waits for it
``("resumed", None)``  it goes on
``("ended", error)``   it is over; every open stream ends with ERROR ``lost``

A record that does not verify, a message that is not what the table says, a stream that
breaks the rules end the session with the reason that the peer is told.
"""

from firmware.cbor import CborError, decode, encode
from firmware.crypto import CryptoError
from firmware.errors import TillError
from firmware.link import packets
from firmware.link.noise import TAG, Handshake
from firmware.link.streams import Stream, Streams, StreamsBroken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.link.delivery import PcEnd, TerminalEnd
    from firmware.link.end import End
    from firmware.link.noise import Transport

PROLOGUE = b"OpenTill link 1\0"

#: Keys of what each end says of itself in messages 2 and 3.
SERIAL, BOARD, VERSION, MOST_MESSAGE, CREDIT, MOST_STREAMS, NAME = 1, 2, 3, 4, 5, 6, 7
#: The bounds of it: bytes of a text, a number's least and most.
_ASCII = {SERIAL: 32, BOARD: 32, VERSION: 32}
_MOST_NAME, _MOST_NAME_BYTES = 40, 120
_NUMBER = {MOST_MESSAGE: (256, 1 << 20), CREDIT: (256, 1 << 20), MOST_STREAMS: (1, 64)}
OF_TERMINAL = (SERIAL, BOARD, VERSION, MOST_MESSAGE, CREDIT, MOST_STREAMS)
OF_PC = (NAME, VERSION, MOST_MESSAGE, CREDIT)


class HandshakeFailed(TillError):
    """The other end is none of ours, or somebody is in between."""

    text_key = "error.pc_pipe"


class KeyChanged(HandshakeFailed):
    """A serial number that is known comes with another key: a repaired terminal, or somebody
    who poses as it."""


class RecordBroken(TillError):
    """A record does not verify, or breaks the rules of streams."""

    text_key = "error.pc_pipe"


def introduction(raw: bytes, keys: "tuple[int, ...]") -> "dict[int, Any]":
    """What the peer says of itself, checked. HandshakeFailed."""
    try:
        said: "Any" = decode(raw, max_depth=1, max_items=32)
    except CborError as error:
        raise HandshakeFailed("an introduction that is no CBOR: " + str(error)) from None
    if not isinstance(said, dict) or sorted(said) != sorted(keys):
        raise HandshakeFailed("an introduction with other keys")
    for key in keys:
        value = said[key]
        if key in _NUMBER:
            least, most = _NUMBER[key]
            good = isinstance(value, int) and not isinstance(value, bool)
            good = good and least <= value <= most
        else:
            good = isinstance(value, str) and _is_text(value, key)
        if not good:
            raise HandshakeFailed("an introduction whose " + str(key) + " is out of bounds")
    return said


def _is_text(text: str, key: int) -> bool:
    """Something to read, no longer than may be, without control characters."""
    if [char for char in text if ord(char) < 32 or 127 <= ord(char) < 160]:
        return False
    if key == NAME:
        return 1 <= len(text) <= _MOST_NAME and len(text.encode()) <= _MOST_NAME_BYTES
    return 1 <= len(text) <= _ASCII[key] and not [char for char in text if ord(char) > 126]


class Session:
    """What both ends do alike. ``static``: this end's long-lived key; ``own``: what it says of
    itself; ``random``: gives that many fresh random bytes."""

    #: This is the PC's end.
    opens = False
    _of_peer: "tuple[int, ...]" = ()

    def __init__(
        self,
        end: "End",
        static: "StaticKey",
        own: "dict[int, Any]",
        random: "Callable[[int], bytes]",
    ) -> None:
        self.end = end
        self._static = static
        self._own = own
        self._random = random
        self._events: "list[tuple[str, TillError | None]]" = []
        self._clear()

    def _clear(self) -> None:
        self._handshake: "Handshake | None" = None
        self._transport: "Transport | None" = None
        self.streams: "Streams | None" = None
        self.peer: "dict[int, Any]" = {}
        self.peer_key = b""
        self.hash = b""

    @property
    def ready(self) -> bool:
        """Records may pass."""
        return self._transport is not None

    def event(self) -> "tuple[str, TillError | None] | None":
        """The next event; None when there is none."""
        return self._events.pop(0) if self._events else None

    def turn(self) -> "list[Stream]":
        """Take what delivery brought, hand it what is to be sent. Gives the streams touched."""
        touched: "list[Stream]" = []
        events = []
        event = self.end.event()
        while event is not None:
            events.append(event)
            event = self.end.event()
        for place, event in enumerate(events):
            if event[0] == "ended" and place == len(events) - 1:
                self._take(touched)  # what came before the end
            touched += self._became(event)
        self._take(touched)
        self._pump()
        return touched

    def _take(self, touched: "list[Stream]") -> None:
        """The records that are here."""
        record = self.end.read()
        while record is not None:
            try:
                stream = self._record(record)
            except TillError as error:
                touched += self._fail(error)
                return
            if stream is not None and stream not in touched:
                touched.append(stream)
            record = self.end.read()

    def close(self, reason: int = packets.DONE) -> "list[Stream]":
        """End the session. Gives the streams that it ended."""
        self.end.close(reason)
        return self.turn()

    def _pump(self) -> None:
        if self._transport is None or self.streams is None:
            return
        while self.end.writable:
            chunk = self.streams.pull(self.end.size - TAG)
            if chunk is None:
                return
            self.end.send(self._transport.encrypt(chunk))

    def _became(self, event: "tuple[str, TillError | None]") -> "list[Stream]":
        what, error = event
        if what == "live":
            self._wipe()
            self._handshake = Handshake(
                self.opens,
                PROLOGUE + self.end.opening,
                self._static,
                self._random(32),
                self.end.size,
            )
            self._begin()
            return []
        self._events.append((what, error))
        return self._wipe() if what == "ended" else []

    def _begin(self) -> None:
        """The handshake's first step of this end, if it has one."""

    def _record(self, record: bytes) -> "Stream | None":
        if self._transport is not None and self.streams is not None:
            try:
                return self.streams.take(self._transport.decrypt(record))
            except CryptoError as error:
                raise RecordBroken(str(error)) from None
        if self._handshake is None:
            return None  # of a session that has ended
        try:
            self._message(self._handshake, record)
        except CryptoError as error:
            raise HandshakeFailed(str(error)) from None
        return None

    def _message(self, handshake: Handshake, record: bytes) -> None:
        raise NotImplementedError

    def _stands(self, handshake: Handshake) -> None:
        """All three messages went, and the introductions are good."""
        streams = Streams(
            self.opens,
            self._own[MOST_MESSAGE],
            self._own.get(MOST_STREAMS, 1),
            self._own[CREDIT],
        )
        streams.meet(
            self.peer[MOST_MESSAGE],
            self.peer.get(MOST_STREAMS, streams.most_open),
            self.peer[CREDIT],
        )
        self.streams = streams
        self.peer_key = handshake.peer
        self.hash = handshake.hash
        self._transport = handshake.split()
        self._handshake = None
        self._events.append(("ready", None))

    def _fail(self, error: TillError) -> "list[Stream]":
        if isinstance(error, HandshakeFailed):
            reason = packets.HANDSHAKE
        elif isinstance(error, StreamsBroken):
            reason = packets.BROKEN
        else:
            reason = packets.UNVERIFIED
        self.end.close(reason)
        while self.end.event() is not None:
            pass  # its own word of the end says less than ``error``
        while self.end.read() is not None:
            pass
        self._events.append(("ended", error))
        return self._wipe()

    def _wipe(self) -> "list[Stream]":
        """Forget the session's secrets. Gives the streams that this ended."""
        ended = self.streams.end("lost") if self.streams is not None else []
        if self._handshake is not None:
            self._handshake.wipe()
        if self._transport is not None:
            self._transport.wipe()
        self._clear()
        return ended


class PcSession(Session):
    """The PC's. ``trusts(serial, key)`` says whether a terminal's key may be the one that this
    serial number has; it is asked before the PC has said who it is."""

    opens = True

    def __init__(
        self,
        end: "PcEnd",
        static: "StaticKey",
        own: "dict[int, Any]",
        random: "Callable[[int], bytes]",
        trusts: "Callable[[str, bytes], bool]",
    ) -> None:
        Session.__init__(self, end, static, own, random)
        self._connecting = end
        self._trusts = trusts

    def connect(self, now: int) -> None:
        """Open a session on the pipe that is there."""
        self._connecting.connect(self._random(packets.HALF), now)

    def _begin(self) -> None:
        if self._handshake is not None:
            self.end.send(self._handshake.write())

    def _message(self, handshake: Handshake, record: bytes) -> None:
        self.peer = introduction(handshake.read(record), OF_TERMINAL)
        if not self._trusts(self.peer[SERIAL], handshake.peer):
            raise KeyChanged("terminal " + self.peer[SERIAL] + " shows another key than before")
        self.end.send(handshake.write(encode(self._own)))
        self._stands(handshake)


class TerminalSession(Session):
    """The terminal's. ``may_open`` is asked before a half of the next session's id is drawn:
    while it says no, a PC that opens one gets no answer, and asks again."""

    def __init__(
        self,
        end: "TerminalEnd",
        static: "StaticKey",
        own: "dict[int, Any]",
        random: "Callable[[int], bytes]",
        may_open: "Callable[[], bool] | None" = None,
    ) -> None:
        self._answered = False
        self._may_open = may_open
        Session.__init__(self, end, static, own, random)
        self._listening = end
        self._refill()

    def _refill(self) -> None:
        if self._listening.wants_half and (self._may_open is None or self._may_open()):
            self._listening.give_half(self._random(packets.HALF))

    def turn(self) -> "list[Stream]":
        self._refill()
        return Session.turn(self)

    def _message(self, handshake: Handshake, record: bytes) -> None:
        if self._answered:
            self.peer = introduction(handshake.read(record), OF_PC)
            self._stands(handshake)
            return
        if handshake.read(record):
            raise HandshakeFailed("a first message with a payload")
        self.end.send(handshake.write(encode(self._own)))
        self._answered = True

    def _begin(self) -> None:
        self._answered = False
