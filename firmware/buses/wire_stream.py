"""Bus: the wire over a byte stream (docs/emulator.md, "The wire frame").

Lock-step and blocking: one request is out at a time, and its answer is read
before the call returns. That is no trouble for the event loop because the
other end is software on the same machine that answers in microseconds, and
because a real bus would hold the caller as well.

Request: length (2), length of the bus name (1), bus name, op (1), the
caller's time in us (8), payload. Answer: length (2), status (1: 0 ok, 1
error), busy time in us (4), payload or error text. Lengths count what
follows them; integers are big endian.
"""

import errno
import select

from firmware.buses.wire import BusError, Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MAX_FRAME = 65535
TIMEOUT_MS = 2000
#: Most bytes taken from a socket at once; an answer is mostly far shorter.
ROOM = 2048


def encode_request(bus: str, op: int, time_us: int, payload: bytes) -> bytes:
    """One request frame. BusError when a part is too long or out of range."""
    name = bus.encode()
    body = 10 + len(name) + len(payload)
    if not 1 <= len(name) <= 255 or body > MAX_FRAME:
        raise BusError("wire: request of " + str(body) + " bytes does not fit a frame")
    if not 0 <= op <= 255 or time_us < 0:
        raise BusError("wire: operation or time out of range")
    return (
        body.to_bytes(2, "big")
        + bytes((len(name),))
        + name
        + bytes((op,))
        + (time_us & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
        + payload
    )


def decode_answer(body: bytes) -> "tuple[bytes, int]":
    """(payload, busy_us) of an answer's body. BusError when it says error or is malformed."""
    if len(body) < 5 or body[0] > 1:
        raise BusError("wire: malformed answer")
    if body[0]:
        try:
            text = str(body[5:], "utf-8")
        except (UnicodeError, ValueError):
            text = "error without readable text"
        raise BusError(text)
    return body[5:], int.from_bytes(body[1:5], "big")


def _poll(end: "Any", event: int) -> "Any":
    poll = select.poll()
    poll.register(end, event)
    return poll


def _limit(end: "Any", timeout_ms: int) -> None:
    """Let a blocking call of a socket fail with EAGAIN after ``timeout_ms``."""
    import socket
    import struct

    # Linux's numbers where the interpreter does not name them (socket(7)).
    receive = getattr(socket, "SO_RCVTIMEO", 20)
    send = getattr(socket, "SO_SNDTIMEO", 21)
    limit = struct.pack("ll", timeout_ms // 1000, timeout_ms % 1000 * 1000)
    for option in (receive, send):
        end.setsockopt(socket.SOL_SOCKET, option, limit)


class StreamWire(Wire):
    """A Wire over a connected socket, or over a pair of unbuffered file objects.

    ``clock_us`` gives the caller's time, which the chips follow. After a
    time-out or a broken stream the lock-step is lost: every later transfer
    raises BusError, and the owner opens a new wire.
    """

    def __init__(
        self,
        source: "Any",
        sink: "Any",
        clock_us: "Callable[[], int]",
        timeout_ms: int = TIMEOUT_MS,
    ) -> None:
        self._source = source
        self._sink = sink
        self._clock_us = clock_us
        self._timeout_ms = timeout_ms
        self._broken = ""
        self._whole = hasattr(source, "recv")
        self._readable = self._writable = None
        if self._whole:
            # The kernel watches the time: a transfer is one send and one receive.
            self._receive, self._send = source.recv, sink.send
            _limit(source, timeout_ms)
        else:
            self._receive, self._send = source.read, sink.write
            self._readable = _poll(source, select.POLLIN)
            self._writable = _poll(sink, select.POLLOUT)

    def transfer(self, bus: str, op: int, payload: bytes) -> "tuple[bytes, int]":
        """Send one request and wait for its answer. BusError."""
        request = encode_request(bus, op, self._clock_us(), payload)
        if self._broken:
            raise BusError(self._broken)
        try:
            self._put(request)
            body = self._take_answer()
        except OSError as error:
            late = self._whole and error.errno == errno.EAGAIN
            self._fail("no answer for " + str(self._timeout_ms) + " ms" if late else str(error))
        return decode_answer(body)

    def _put(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._writable is not None and not self._writable.poll(self._timeout_ms):
                self._fail("nothing taken for " + str(self._timeout_ms) + " ms")
            at += self._send(data[at:] if at else data) or 0

    def _take_answer(self) -> bytes:
        """One answer's body. In lock-step nothing follows an answer, so that what a
        socket has may be read whole; a file object may wait for more than there is."""
        data = b""
        end = 2
        while len(data) < end:
            part = self._part(ROOM if self._whole else end - len(data))
            data = data + part if data else part
            if len(data) >= 2:
                end = 2 + int.from_bytes(data[:2], "big")
        if len(data) != end:
            self._fail("more bytes than the answer")
        return data[2:]

    def _part(self, most: int) -> bytes:
        if self._readable is not None and not self._readable.poll(self._timeout_ms):
            self._fail("no answer for " + str(self._timeout_ms) + " ms")
        part: bytes = self._receive(most)
        if not part:
            self._fail("closed by the other end")
        return part

    def _fail(self, why: str) -> "NoReturn":
        self._broken = "wire: " + why
        raise BusError(self._broken) from None

    def close(self) -> None:
        """Close the stream. Never raises, may be called twice."""
        self._broken = self._broken or "wire: closed"
        for end in (self._source, self._sink):
            try:
                end.close()
            except OSError:  # already gone, which is what was asked for
                pass


def _now_us() -> int:
    import time

    if hasattr(time, "monotonic_ns"):
        return time.monotonic_ns() // 1000
    # MicroPython only; typeshed describes CPython.
    ticks: int = time.ticks_us()  # type: ignore[attr-defined]
    return ticks


def open_unix(path: str, clock_us: "Callable[[], int] | None" = None) -> StreamWire:
    """Connect to a rack's Unix socket. BusError when nothing listens there."""
    import socket
    import sys

    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address: "Any" = path
    if sys.implementation.name != "cpython":
        # MicroPython's unix port takes a packed sockaddr_un.
        address = socket.AF_UNIX.to_bytes(2, sys.byteorder) + path.encode() + b"\0"
    try:
        end.connect(address)
    except OSError as error:
        end.close()
        raise BusError("wire: no rack at " + path + " (" + str(error) + ")") from None
    return StreamWire(end, end, clock_us or _now_us)


def open_tcp(host: str, port: int, clock_us: "Callable[[], int] | None" = None) -> StreamWire:
    """Connect to a rack's TCP port. BusError when nothing listens there."""
    import socket

    end = None
    try:
        info = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        end = socket.socket(info[0], info[1])
        end.connect(info[-1])
    except OSError as error:
        if end is not None:
            end.close()
        where = host + ":" + str(port)
        raise BusError("wire: no rack at " + where + " (" + str(error) + ")") from None
    return StreamWire(end, end, clock_us or _now_us)


def connect(address: str, clock_us: "Callable[[], int] | None" = None) -> StreamWire:
    """``host:port`` or the path of a Unix socket. BusError."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in address:
        return open_tcp(host, int(port), clock_us)
    return open_unix(address, clock_us)
