"""One TLS connection to the bank, without I/O: bytes in, bytes out.

TLS runs over ``ssl.MemoryBIO``; time comes from a caller-supplied
``call_later``, so that the same session stands behind a socket and inside a
test on a virtual clock.
"""

import ssl
from collections.abc import Callable
from typing import Protocol

from host_tools.acquirer.bank import Action, Bank, PeerInfo
from host_tools.acquirer.wire import MAX_FRAME

#: Milliseconds for the handshake, and without a whole frame afterwards.
HANDSHAKE_MS = 15_000
IDLE_MS = 600_000

#: Bytes that may wait for a peer that does not read.
MAX_WAITING = 256 * 1024

#: Answers that may wait for their time on one connection.
MAX_PENDING = 64


class Timer(Protocol):
    """What ``call_later`` gives back (``asyncio.TimerHandle`` fits)."""

    def cancel(self) -> None: ...


#: (milliseconds, callback) -> timer.
CallLater = Callable[[int, Callable[[], None]], Timer]


class TlsServerSession:
    """The bank's end of one connection.

    ``feed`` what arrived, send what ``take`` gives, until ``closed`` (after a
    last ``take``). ``on_output`` is called when ``take`` has something new or
    the session has closed by itself. ``on_sent`` hears each whole answer, with its
    length prefix, when it (or its first byte) goes out. Nothing that a peer sends
    makes it raise.
    """

    def __init__(
        self,
        bank: Bank,
        context: ssl.SSLContext,
        call_later: CallLater,
        address: str = "",
        on_output: Callable[[], None] | None = None,
        on_sent: Callable[[bytes], None] | None = None,
    ) -> None:
        self.closed = False
        #: Why the session closed, for the log.
        self.reason = ""
        self._bank = bank
        self._call_later = call_later
        self._address = address
        self._on_output = on_output
        self._on_sent = on_sent
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._peer: PeerInfo | None = None
        self._received = bytearray()
        self._timers: list[Timer] = []
        self._watch = self._call_later(HANDSHAKE_MS, lambda: self._end("handshake too slow"))

    def feed(self, data: bytes) -> None:
        """Bytes from the network; b"" is the end of the stream."""
        if self.closed:
            return
        if not data:
            self._end("the peer closed")
            return
        self._incoming.write(data)
        try:
            if self._peer is None:
                self._handshake()
            if self._peer is not None:
                self._read()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # More bytes must come first.
        except ssl.SSLError as error:
            self._end(f"TLS: {error.reason or error}")
        if self._outgoing.pending > MAX_WAITING:
            self._end("the peer does not read")
        self._announce()

    def take(self) -> bytes:
        """Bytes for the network."""
        return self._outgoing.read()

    def abort(self) -> None:
        """The transport is gone, or the server stops."""
        self._end("aborted")

    def _handshake(self) -> None:
        self._tls.do_handshake()
        self._peer = PeerInfo(_common_name(self._tls.getpeercert()), self._address)
        self._rest()

    def _rest(self) -> None:
        """Start the idle time anew."""
        self._watch.cancel()
        self._watch = self._call_later(IDLE_MS, lambda: self._end("idle"))

    def _read(self) -> None:
        while not self.closed:
            data = self._tls.read(4096)
            if not data:
                self._end("the peer closed")
                return
            self._received += data
            self._frames()

    def _frames(self) -> None:
        assert self._peer is not None
        while not self.closed and len(self._received) >= 2:
            length = int.from_bytes(self._received[:2], "big")
            if not 0 < length <= MAX_FRAME:
                self._end(f"a frame of {length} bytes")
                return
            if len(self._received) < 2 + length:
                return
            frame = bytes(self._received[2 : 2 + length])
            del self._received[: 2 + length]
            self._rest()
            for action in self._bank.handle(frame, self._peer):
                self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        if len(self._timers) > MAX_PENDING:
            self._end("too many answers wait")
            return
        if action.gap_ms is not None:
            self._later(action.delay_ms, lambda: self._begin_slowly(action))
        elif action.delay_ms:
            self._later(action.delay_ms, lambda: self._do(action))
        else:
            self._do(action)

    def _later(self, milliseconds: int, act: Callable[[], None]) -> None:
        timer: Timer | None = None

        def fire() -> None:
            if timer in self._timers:
                self._timers.remove(timer)
            if not self.closed:
                act()
                self._announce()

        timer = self._call_later(milliseconds, fire)
        self._timers.append(timer)

    def _begin_slowly(self, action: Action) -> None:
        self._tell_sent(action)
        self._send_slowly(action.data, action.gap_ms or 0)

    def _send_slowly(self, data: bytes, gap_ms: int) -> None:
        """One TLS record a byte."""
        self._write(data[:1])
        if len(data) > 1:
            self._later(gap_ms, lambda: self._send_slowly(data[1:], gap_ms))

    def _do(self, action: Action) -> None:
        if action.close:
            self._end("closed by rule or for an unreadable frame")
        else:
            self._tell_sent(action)
            self._write(action.data)

    def _tell_sent(self, action: Action) -> None:
        if self._on_sent is not None:
            self._on_sent(action.data)

    def _write(self, data: bytes) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._end(f"TLS: {error.reason or error}")

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.reason = reason
        self._watch.cancel()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._peer is not None:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # close_notify is out; the peer's is not waited for.
        self._announce()

    def _announce(self) -> None:
        if self._on_output is not None and (self.closed or self._outgoing.pending):
            self._on_output()


def _common_name(certificate: object) -> str | None:
    """Common name of ``getpeercert()``'s subject."""
    if isinstance(certificate, dict):
        for part in certificate.get("subject", ()):
            for key, value in part:
                if key == "commonName":
                    return str(value)
    return None
