"""Chip: a network modem that offers TCP connections to the terminal.

What stands at the far end is an endpoint: an in-process object with
``feed(bytes)``, ``take() -> bytes`` and ``close()`` (tests on virtual time),
or a real TCP client that is polled and never blocks (the emulator). Between
the two lies the line: up or down, latency, bandwidth, and cuts.
"""

import errno
import socket
from collections.abc import Callable
from typing import Protocol

from host_tools.emulator.chips.errors import ChipError

CONNECTING, OPEN, CLOSED, REFUSED, UNKNOWN = 0, 1, 2, 3, 4


class Endpoint(Protocol):
    """The far end of one connection. An attribute ``closed``, if there is one,
    says that it hung up; ``state()``, if there is one, gives its wire state."""

    def feed(self, data: bytes) -> None:
        """Bytes from the terminal."""

    def take(self) -> bytes:
        """Bytes towards the terminal, as far as there are any now."""

    def close(self) -> None:
        """The terminal hung up."""


class TcpEndpoint:
    """A real TCP client without threads: each call does what can be done now."""

    def __init__(self, host: str, port: int) -> None:
        self._state = CONNECTING
        self._out = bytearray()
        try:
            info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError):
            self._state = UNKNOWN
            return
        try:
            self._socket = socket.socket(info[0], info[1])
            self._socket.setblocking(False)
            code = self._socket.connect_ex(info[4])
        except OSError:
            self._state = REFUSED
            return
        if code not in (0, errno.EINPROGRESS):
            self._hang_up(REFUSED)

    def _hang_up(self, state: int) -> None:
        self._state = state
        self._socket.close()

    def state(self) -> int:
        """Wire state of the connection."""
        if self._state == CONNECTING:
            try:
                self._socket.getpeername()
                self._state = OPEN
            except OSError:
                if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._hang_up(REFUSED)
        return self._state

    def feed(self, data: bytes) -> None:
        """Send, keeping what the kernel does not take now."""
        self._out += data
        self._flush()

    def _flush(self) -> None:
        if self.state() != OPEN or not self._out:
            return
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            # The far end closed: its last words may wait, and ``take`` hears the end.
            self._out.clear()

    def take(self) -> bytes:
        """What has arrived."""
        self._flush()
        if self._state != OPEN:
            return b""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up(CLOSED)
        return data

    def close(self) -> None:
        """Close at once."""
        if self._state in (CONNECTING, OPEN):
            self._hang_up(CLOSED)


class _Connection:
    def __init__(self, endpoint: Endpoint, opens_at: int) -> None:
        self.endpoint = endpoint
        self.opens_at = opens_at
        self.out: list[tuple[int, bytes]] = []
        self.back: list[tuple[int, bytes]] = []
        self.out_free = 0
        self.back_free = 0
        self.dead = False
        self.far_closed = False


class NetChip:
    """Wire kind "net": op 1 link, 2 connect, 3 send, 4 poll, 5 close."""

    def __init__(
        self,
        clock_us: Callable[[], int],
        dial: Callable[[str, int], Endpoint | None] | None = None,
    ) -> None:
        """``dial`` opens the far end, None for refused; by default no host exists."""
        self._clock_us = clock_us
        self.dial: Callable[[str, int], Endpoint | None] = dial or (lambda host, port: None)
        self.up = True
        self.bars = 4
        self.latency_us = 0
        #: Bytes a second each way; 0 for no limit.
        self.bandwidth = 0
        #: After so many more bytes from the terminal the line fails; None for never.
        self.cut_after_sent: int | None = None
        #: After so many more bytes towards the terminal the line fails; None for never.
        self.cut_after_received: int | None = None
        #: Nothing gets through now, and nobody is told: what was sent waits to be sent
        #: again, as TCP does, and a new connection is never answered.
        self.stalled = False
        #: A cut is silent (bytes vanish), or the connection is reset.
        self.cut_silently = False
        self.sent_bytes = 0
        self.received_bytes = 0
        self.connects: list[tuple[str, int]] = []
        self._connections: dict[int, _Connection] = {}
        self._next = 1

    def link(self, up: bool, bars: int = 4) -> None:
        """Bearer up or down. Going down resets every connection."""
        self.up = up
        self.bars = bars if up else 0
        if not up:
            self.cut()

    def cut(self) -> None:
        """Break every open connection now."""
        for connection in self._connections.values():
            self._break(connection)

    def _break(self, connection: _Connection) -> None:
        if not connection.dead:
            connection.dead = True
            connection.out.clear()
            connection.back.clear()
            connection.endpoint.close()

    def pump(self) -> None:
        """Carry what is due between the ends. Every transfer does this; a server
        with nothing else to do may call it as well."""
        now = self._clock_us()
        if self.stalled:
            return
        for connection in list(self._connections.values()):
            if connection.dead or now < connection.opens_at:
                continue
            while connection.out and connection.out[0][0] <= now:
                connection.endpoint.feed(connection.out.pop(0)[1])
            data = connection.endpoint.take()
            if data:
                self._return(connection, data, now)
            connection.far_closed = state_of(connection.endpoint) in (CLOSED, REFUSED)

    def _return(self, connection: _Connection, data: bytes, now: int) -> None:
        if self.cut_after_received is not None:
            data, rest = data[: self.cut_after_received], data[self.cut_after_received :]
            self.cut_after_received -= len(data)
        else:
            rest = b""
        if data:
            self.received_bytes += len(data)
            connection.back_free = self._arrival(connection.back_free, len(data), now)
            connection.back.append((connection.back_free + self.latency_us, data))
        if rest:
            self._fail(connection, keep=True)

    def _fail(self, connection: _Connection, keep: bool = False) -> None:
        if self.cut_silently:
            connection.endpoint.close()
            connection.endpoint = _Nothing()
        elif keep:
            # What was on its way still arrives, then the reset.
            connection.endpoint.close()
            connection.far_closed = True
            connection.endpoint = _Gone()
        else:
            self._break(connection)

    def _arrival(self, free: int, count: int, now: int) -> int:
        pace = count * 1_000_000 // self.bandwidth if self.bandwidth else 0
        return max(free, now) + pace

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        self.pump()
        if op == 1:
            return bytes((self.up, min(max(self.bars, 0), 4))), 0
        if op == 2:
            return self._connect(payload)
        if op not in (3, 4, 5) or not payload:
            raise ChipError(f"net: operation {op} with {len(payload)} bytes")
        connection = self._connections.get(payload[0])
        if connection is None:
            raise ChipError(f"net: no connection {payload[0]}")
        if op == 3:
            return self._send(connection, payload[1:])
        if op == 5:
            if not self.stalled:
                # What was sent before the close still arrives, as with TCP.
                for _, part in connection.out:
                    connection.endpoint.feed(part)
            self._break(connection)
            del self._connections[payload[0]]
            return b"", 0
        if len(payload) != 3:
            raise ChipError("net: a poll needs the most bytes to read")
        return self._poll(connection, int.from_bytes(payload[1:3], "big"))

    def _connect(self, payload: bytes) -> tuple[bytes, int]:
        if len(payload) < 3:
            raise ChipError("net: connect without a host")
        if not self.up:
            raise ChipError("net: no bearer")
        if len(self._connections) >= 16:
            raise ChipError("net: no free connection")
        try:
            host = payload[2:].decode("ascii")
        except UnicodeDecodeError:
            raise ChipError("net: host name is not ASCII") from None
        port = int.from_bytes(payload[:2], "big")
        self.connects.append((host, port))
        endpoint = _Silence() if self.stalled else self.dial(host, port) or _Refusal()
        while self._next in self._connections:
            self._next = self._next % 255 + 1
        number = self._next
        self._next = number % 255 + 1
        opens_at = self._clock_us() + 2 * self.latency_us
        self._connections[number] = _Connection(endpoint, opens_at)
        return bytes((number,)), 0

    def _send(self, connection: _Connection, data: bytes) -> tuple[bytes, int]:
        now = self._clock_us()
        if connection.dead or now < connection.opens_at or _seen(connection) != OPEN:
            return b"\0\0", 0
        taken = data[:65535]
        rest = b""
        if self.cut_after_sent is not None:
            taken, rest = taken[: self.cut_after_sent], taken[self.cut_after_sent :]
            self.cut_after_sent -= len(taken)
        if taken:
            self.sent_bytes += len(taken)
            if state_of(connection.endpoint) == OPEN:
                connection.out_free = self._arrival(connection.out_free, len(taken), now)
                connection.out.append((connection.out_free + self.latency_us, taken))
        if rest:
            # What went before the cut reaches the host; the rest never does.
            for _, part in connection.out:
                connection.endpoint.feed(part)
            connection.out.clear()
            self._fail(connection)
            if self.cut_silently:
                return len(data[:65535]).to_bytes(2, "big"), 0
        self.pump()
        return len(taken).to_bytes(2, "big"), 0

    def _poll(self, connection: _Connection, most: int) -> tuple[bytes, int]:
        now = self._clock_us()
        if now < connection.opens_at:
            return bytes((CONNECTING,)), 0
        data = b""
        while connection.back and connection.back[0][0] <= now and len(data) < most:
            due, part = connection.back.pop(0)
            room = most - len(data)
            data += part[:room]
            if part[room:]:
                connection.back.insert(0, (due, part[room:]))
        if connection.dead:
            return bytes((CLOSED,)) + data, 0
        return bytes((_seen(connection),)) + data, 0


def _seen(connection: _Connection) -> int:
    """The state as the terminal's end knows it: until the far end's last bytes are
    read, nobody here has heard that it closed; what is sent meanwhile vanishes there."""
    state = state_of(connection.endpoint)
    return OPEN if state == CLOSED and connection.back else state


def state_of(endpoint: Endpoint) -> int:
    """The wire state of a far end."""
    ask = getattr(endpoint, "state", None)
    if callable(ask):
        value = ask()
        if isinstance(value, int):
            return value
    return CLOSED if getattr(endpoint, "closed", False) is True else OPEN


class _Nothing:
    """The far end of a silently cut line."""

    def feed(self, data: bytes) -> None:
        """Bytes vanish."""

    def take(self) -> bytes:
        """Nothing ever comes."""
        return b""

    def close(self) -> None:
        """Nothing to close."""


class _Gone(_Nothing):
    closed = True


class _Silence(_Nothing):
    def state(self) -> int:
        return CONNECTING


class _Refusal(_Nothing):
    def state(self) -> int:
        return REFUSED
