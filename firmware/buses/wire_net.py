"""RawNet on a Wire: the operations of kind "net" (firmware/buses/wire.py)."""

from firmware import aio
from firmware.buses.raw_net import NameUnknown, NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wire import Wire

_LINK = 1
_CONNECT = 2
_WRITE = 3
_READ = 4
_CLOSE = 5

_CONNECTING = 0
_OPEN = 1
_CLOSED = 2
_REFUSED = 3
_UNKNOWN = 4

#: How often a quiet connection is asked for news.
_POLL_MS = 5
#: Most bytes in one transfer: a wire frame's length has 16 bits.
_CHUNK = 1024


class WireConnection(RawConnection):
    """One connection of the software network chip."""

    def __init__(self, wire: "Wire", bus: str, ident: bytes) -> None:
        self._wire = wire
        self._bus = bus
        self._ident = ident
        self._open = True

    def poll(self, most: int) -> "tuple[int, bytes]":
        """(state, bytes that came)."""
        answer, _ = self._wire.transfer(self._bus, _READ, self._ident + most.to_bytes(2, "big"))
        if not answer or answer[0] > _UNKNOWN:
            raise BusError("the network chip gave no valid state")
        return answer[0], answer[1:]

    async def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            try:
                if not self._open:
                    raise BusError("connection is closed")
                chunk = data[at : at + _CHUNK]
                answer, busy_us = self._wire.transfer(self._bus, _WRITE, self._ident + chunk)
            except BusError as error:
                if at:
                    raise
                raise NothingSent(str(error)) from None
            taken = int.from_bytes(answer, "big")
            if len(answer) != 2 or taken > len(chunk):
                raise BusError("the network chip gave no valid count")
            at += taken
            if taken == 0:
                if self.poll(0)[0] != _OPEN:
                    if at:
                        raise BusError("connection is closed")
                    raise NothingSent("connection is closed")
                await aio.pause_ms(_POLL_MS)
            elif busy_us >= 1000:
                await aio.sleep_ms(busy_us // 1000)

    async def read(self, most: int) -> bytes:
        if most > _CHUNK:
            most = _CHUNK
        while True:
            if not self._open:
                raise BusError("connection is closed")
            # No wait between taking bytes and returning them: a cancelled
            # read has taken nothing.
            state, data = self.poll(most)
            if data:
                return data
            if state == _CLOSED:
                return b""
            if state != _OPEN:
                raise BusError("connection is not open")
            await aio.pause_ms(_POLL_MS)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self._wire.transfer(self._bus, _CLOSE, self._ident)
        except BusError:
            return  # the chip is gone, and the connection with it


class WireNet(RawNet):
    """The network chip on bus ``bus`` of ``wire``."""

    def __init__(self, wire: "Wire", bus: str = "net") -> None:
        self._wire = wire
        self._bus = bus

    async def link(self) -> "tuple[bool, int]":
        answer, _ = self._wire.transfer(self._bus, _LINK, b"")
        if len(answer) != 2:
            raise BusError("the network chip gave no valid link state")
        return answer[0] == 1, min(answer[1], 4)

    async def connect(self, host: str, port: int) -> WireConnection:
        payload = port.to_bytes(2, "big") + host.encode()
        ident, _ = self._wire.transfer(self._bus, _CONNECT, payload)
        if len(ident) != 1:
            raise BusError("the network chip gave no connection")
        connection = WireConnection(self._wire, self._bus, ident)
        try:
            while True:
                # Asked for no bytes: they wait for the first read.
                state, _ = connection.poll(0)
                if state == _OPEN:
                    return connection
                if state == _UNKNOWN:
                    raise NameUnknown("name " + host + " is unknown")
                if state != _CONNECTING:
                    raise BusError("no connection to " + host + " port " + str(port))
                await aio.pause_ms(_POLL_MS)
        except BaseException:
            connection.close()
            raise
