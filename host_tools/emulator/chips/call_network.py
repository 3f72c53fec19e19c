"""Chip: the far end of a call that carries TCP connections by number, in place of PPP.

The frames are PPP's (``ppp.frame``) with a protocol of our own. A packet is what it
is, the connection's number and the count of its data frames so far (one byte each),
then data: HELLO (length of a user's name, name, password; answered by our address),
OPEN (port of 2 bytes, host; given back once the host answers), DATA, CLOSE. A count
that is not the next one breaks the connection, which RESET tells. The other end is the terminal's.
"""

from collections.abc import Callable

from host_tools.emulator.chips import net, ppp

HELLO, OPEN, DATA, CLOSE, RESET = 0, 1, 2, 3, 4
PROTOCOL = 0x4055
ADDRESS = bytes((10, 64, 0, 7))
#: Most data of a frame.
PART = 512
#: Connections that may be open at once.
MOST = 16


class _Connection:
    def __init__(self, endpoint: net.Endpoint) -> None:
        self.endpoint = endpoint
        self.told = False
        self.heard = 0
        self.sent = 0


class CallNetwork:
    """The far end of one call (an ``Endpoint`` of the virtual modem). ``dial`` gives what
    stands behind it, as ``net.NetChip``'s does."""

    def __init__(self, dial: Callable[[str, int], net.Endpoint | None]) -> None:
        self._dial = dial
        self._frames = ppp.Deframer()
        self._out = b""
        self._connections: dict[int, _Connection] = {}
        self.closed = False
        #: Frames whose checksum was wrong.
        self.damaged = 0

    def feed(self, data: bytes) -> None:
        """Bytes from the terminal."""
        for body in self._frames.feed(data):
            if not ppp.intact(body):
                self.damaged += 1
            elif body[:4] == b"\xff\x03" + PROTOCOL.to_bytes(2, "big") and len(body) >= 9:
                self._packet(body[4], body[5], body[6], body[7:-2])

    def _packet(self, kind: int, number: int, count: int, data: bytes) -> None:
        if kind == HELLO:
            self._end_all()  # a new life of the terminal
            self._say(HELLO, 0, 0, ADDRESS)
        elif kind == OPEN and len(data) > 2:
            self._open(number, int.from_bytes(data[:2], "big"), data[2:])
        connection = self._connections.get(number)
        if connection is None or kind not in (DATA, CLOSE):
            return
        if kind == DATA and count == connection.heard:
            connection.heard = (count + 1) % 256
            connection.endpoint.feed(data)
        else:  # it was closed, or a part of it was lost
            self._end(number, RESET if kind == DATA else None)

    def _open(self, number: int, port: int, name: bytes) -> None:
        self._end(number)
        endpoint = None
        if name.isascii() and len(self._connections) < MOST:
            endpoint = self._dial(name.decode(), port)
        if endpoint is None:
            self._say(CLOSE, number, 0, b"")
        else:
            self._connections[number] = _Connection(endpoint)

    def take(self) -> bytes:
        """Bytes towards the terminal."""
        for number, connection in list(self._connections.items()):
            state = net.state_of(connection.endpoint)
            if state == net.CONNECTING:
                continue
            if not connection.told and state == net.OPEN:
                connection.told = True
                self._say(OPEN, number, 0, b"")
            data = connection.endpoint.take()
            for at in range(0, len(data), PART):
                self._say(DATA, number, connection.sent, data[at : at + PART])
                connection.sent = (connection.sent + 1) % 256
            if not data and net.state_of(connection.endpoint) != net.OPEN:
                self._end(number, CLOSE)
        data, self._out = self._out, b""
        return data

    def close(self) -> None:
        """The call ended."""
        self.closed = True
        self._end_all()

    def _end(self, number: int, tell: int | None = None) -> None:
        connection = self._connections.pop(number, None)
        if connection is not None:
            connection.endpoint.close()
            if tell is not None:
                self._say(tell, number, connection.sent, b"")

    def _end_all(self) -> None:
        for number in list(self._connections):
            self._end(number)

    def _say(self, kind: int, number: int, count: int, data: bytes) -> None:
        self._out += ppp.frame(PROTOCOL, bytes((kind, number, count)) + data)
