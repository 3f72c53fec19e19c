"""What stands in PPP's place on a call of the virtual modem, whose far end is software.

PPP needs root and a kernel that has it, and behind the emulator's call there is no
Internet. So the call's frames are PPP's (RFC 1662: flags, escapes, checksum), but in
them, in IP's place, are TCP connections by number. Every byte of a connection goes
through the modem's data mode: what the modem does not carry arrives nowhere.

A frame's packet: what it is, number of the connection, count of its data frames so
far (all one byte), then its data. OPEN has port (2 bytes) and host name, and is given
back once the far end answers; HELLO has length of the user's name (1), name and
password, and is answered by one with our IPv4 address. CLOSE is an orderly end. A count
that is not the next one is of a frame that was lost: that connection is broken, which
the far end says with RESET, and nothing is repeated.
"""

from firmware import aio
from firmware.buses.data_line import Carrier, DataLine
from firmware.buses.raw_net import NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError

HELLO, OPEN, DATA, CLOSE, RESET = 0, 1, 2, 3, 4
#: All stations, unnumbered (RFC 1662, 3.1), and a protocol that the far end knows.
_HEAD = b"\xff\x03\x40\x55"
_FLAG, _ESCAPE = 0x7E, 0x7D
#: What ``fcs`` gives for a whole frame with its checksum (RFC 1662, C.2).
_GOOD = 0xF0B8
#: Most data of a frame, and the longest frame that is kept.
PART = 512
LONGEST = 1600
#: The far end is greeted so many times, so long apart.
GREETINGS, GREET_MS = 10, 1000
#: Connections that may be open at once.
MOST = 16


def fcs(data: bytes) -> int:
    """Running checksum of 16 bits (RFC 1662, C.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


def framed(packet: bytes) -> bytes:
    """A whole frame."""
    body = _HEAD + packet
    body += (fcs(body) ^ 0xFFFF).to_bytes(2, "little")
    out = bytearray((_FLAG,))
    for byte in body:
        if byte < 0x20 or byte in (_ESCAPE, _FLAG):
            out.append(_ESCAPE)
            byte ^= 0x20
        out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Deframer:
    """Bytes in, packets of whole frames out; what is damaged is dropped."""

    def __init__(self) -> None:
        self._frame = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> "list[bytes]":
        """The packets that ``data`` ends."""
        packets = []
        for byte in data:
            if byte == _FLAG:
                body = bytes(self._frame)
                self._frame = bytearray()
                self._escaped = False
                if len(body) >= 9 and body.startswith(_HEAD) and fcs(body) == _GOOD:
                    packets.append(body[4:-2])
            elif byte == _ESCAPE:
                self._escaped = True
            elif len(self._frame) < LONGEST:
                self._frame.append(byte ^ 0x20 if self._escaped else byte)
                self._escaped = False
        return packets


class CallConnection(RawConnection):
    """One TCP connection in the call."""

    def __init__(self, call: "WireCall", number: int) -> None:
        self._call = call
        self.number = number
        self.open = False
        #: Why it is over: "" while it is not.
        self.over = ""
        #: The far end closed it, and all that it had sent came.
        self.ended = False
        self.news = aio.Event()
        self.sent = 0
        self._heard = 0
        self._got = b""

    def hear(self, kind: int, count: int, data: bytes) -> None:
        """A packet of the far end's."""
        if kind == OPEN:
            self.open = True
        elif kind == RESET:
            self.fail("broken at the far end")
        elif count != self._heard:
            self.fail("the call lost a part of it")
        elif kind == DATA:
            self._heard = (self._heard + 1) & 0xFF
            self._got += data
        elif self.open:
            self.ended = True
            self.over = "closed by the far end"
        else:
            self.over = "no connection"
        self.news.set()

    def fail(self, why: str) -> None:
        """It is broken."""
        self.over = self.over or why
        self.news.set()

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), PART):
            if self.over:
                raise (BusError if at else NothingSent)("connection: " + self.over)
            await self._call.send(DATA, self, data[at : at + PART])

    async def read(self, most: int) -> bytes:
        while not self._got:
            if self.ended:
                return b""
            if self.over:
                raise BusError("connection: " + self.over)
            self.news.clear()
            await self.news.wait()
        data, self._got = self._got[:most], self._got[most:]
        return data

    def close(self) -> None:
        self._call.forget(self)
        self.ended = False
        self._got = b""
        self.fail("closed")


class WireCall(Carrier, RawNet):
    """The network of a call: a carrier for the modem's driver, TCP for whoever connects."""

    def __init__(self) -> None:
        self._line: "DataLine | None" = None
        self._reader: "aio.Task | None" = None
        self._sending = aio.Lock()
        self._greeted = aio.Event()
        self._hello = b"\x00"
        self._address = ""
        self._lost = ""
        self._connections: "dict[int, CallConnection]" = {}
        self._next = 0
        # Closed here, while the far end has not heard of it.
        self._closing: "list[CallConnection]" = []
        self._closer: "aio.Task | None" = None
        self._sent = self._received = 0

    # ---- carrier ------------------------------------------------------------------

    def login(self, user: str, password: str) -> None:
        """Who we are, from the next ``up`` on. ValueError for what is too long."""
        name = user.encode()
        if len(name) + len(password.encode()) > PART // 2:
            raise ValueError("this login is too long")
        self._hello = bytes((len(name),)) + name + password.encode()

    async def up(self, line: DataLine) -> str:
        """Greet the far end; our address. BusError when it says nothing."""
        await self.down()
        self._line = line
        self._greeted.clear()
        self._reader = aio.spawn("call", self._hear(line))
        try:
            for _ in range(GREETINGS):
                await self._put(HELLO, 0, 0, self._hello)
                await aio.first(("hello", self._greeted.wait()), timeout_ms=GREET_MS)
                if self._lost:
                    raise BusError(self._lost)
                if self._address:
                    return self._address
            raise BusError("the far end of the call says nothing")
        except BaseException:  # given up by the caller, too
            await self.down()
            raise

    async def down(self) -> None:
        """Take the address away; the call itself is the modem's to end."""
        tasks = (self._reader, self._closer)
        self._reader = self._closer = self._line = None
        self._address = self._lost = ""
        for task in tasks:
            if task is not None:
                task.cancel()
                await task.done.wait()
        self._break("the call was ended")

    def lost(self) -> str:
        """Why it ended by itself since ``up``; "" while it stands or nobody started it."""
        return self._lost

    def counters(self) -> "tuple[int, int]":
        """Every byte of the calls passes here: frames and all."""
        return self._sent, self._received

    def _break(self, why: str) -> None:
        connections, self._connections = self._connections, {}
        self._closing = []
        for number in connections:
            connections[number].fail(why)

    async def _hear(self, line: DataLine) -> None:
        deframer = Deframer()
        try:
            data = await line.read(PART)
            while data:
                self._received += len(data)
                for packet in deframer.feed(data):
                    self._packet(packet)
                data = await line.read(PART)
            self._lost = "the call ended"
        except BusError as error:
            self._lost = str(error)
        self._greeted.set()
        self._break(self._lost)

    def _packet(self, packet: bytes) -> None:
        kind, number, count, data = packet[0], packet[1], packet[2], packet[3:]
        if kind == HELLO and len(data) == 4:
            self._address = ".".join([str(byte) for byte in data])
            self._greeted.set()
        elif kind in (OPEN, DATA, CLOSE, RESET) and number in self._connections:
            self._connections[number].hear(kind, count, data)

    # ---- network ------------------------------------------------------------------

    async def link(self) -> "tuple[bool, int]":
        return (bool(self._address), 4) if not self._lost else (False, 0)

    def address(self) -> str:
        return "" if self._lost else self._address

    async def connect(self, host: str, port: int) -> CallConnection:
        if not self._address or self._lost:
            raise BusError("there is no call")
        if len(self._connections) >= MOST:
            raise BusError("the call has no free connection")
        name = host.encode()
        if len(name) > PART:
            raise BusError("the host's name is too long")
        while self._next in self._connections or not self._next:
            self._next = (self._next + 1) & 0xFF
        connection = CallConnection(self, self._next)
        self._next = (self._next + 1) & 0xFF
        self._connections[connection.number] = connection
        try:
            await self._put(OPEN, connection.number, 0, port.to_bytes(2, "big") + name)
            while not connection.open:
                if connection.over:
                    why = " port " + str(port) + ": " + connection.over
                    raise BusError("no connection to " + host + why)
                connection.news.clear()
                await connection.news.wait()
        except BaseException:
            connection.close()
            raise
        return connection

    async def send(self, kind: int, connection: CallConnection, data: bytes) -> None:
        """A packet of a connection. BusError, NothingSent."""
        async with self._sending:
            count = connection.sent
            connection.sent = (count + 1) & 0xFF
            await self._out(kind, connection.number, count, data)

    async def _put(self, kind: int, number: int, count: int, data: bytes) -> None:
        async with self._sending:
            await self._out(kind, number, count, data)

    async def _out(self, kind: int, number: int, count: int, data: bytes) -> None:
        line = self._line
        if line is None or self._lost:
            raise BusError("there is no call")
        frame = framed(bytes((kind, number, count)) + data)
        self._sent += len(frame)
        await line.write(frame)

    def forget(self, connection: CallConnection) -> None:
        """A connection was closed here: the far end is told."""
        if self._connections.get(connection.number) is not connection:
            return
        del self._connections[connection.number]
        if not connection.over:
            self._closing.append(connection)
            if self._closer is None or self._closer.done.is_set():
                self._closer = aio.spawn("call closer", self._tell_closed())

    async def _tell_closed(self) -> None:
        while self._closing:
            connection = self._closing.pop(0)
            try:
                await self._put(CLOSE, connection.number, connection.sent, b"")
            except BusError:
                return  # the call ended, and the far end's connections with it
