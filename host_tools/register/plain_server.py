"""The plain TCP ports: one request and one answer a connection, bounded in size and time."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from host_tools.register import caisse_ap, mis
from host_tools.register.caisse_ap import NotCaisse
from host_tools.register.door import Door
from host_tools.register.gate import Gate
from host_tools.register.guard import Place

#: How long a request may take to come, and its first byte; how many are served at once.
REQUEST_S, FIRST_S, MOST_CONNECTIONS = 10.0, 2.0, 16
#: A request has no end of its own: when it is complete, more is waited for so long.
DRAIN_S = 0.2

#: A request; the first byte comes within so many seconds, else TimeoutError.
Read = Callable[[asyncio.StreamReader, float], Awaitable[bytes]]
Answered = Callable[[Gate, bytes], Awaitable[bytes]]


class PlainServer:
    """``name``: the adapter; ``port``: where it listens once it is open."""

    def __init__(
        self,
        name: str,
        gate: Gate,
        place: Place,
        read: Read,
        answer: Answered,
        request_s: float = REQUEST_S,
        first_s: float = FIRST_S,
    ) -> None:
        self.port = place.port
        self._gate = gate
        self._door = Door(name, place, self._connected, MOST_CONNECTIONS)
        self._read = read
        self._answer = answer
        self._request_s = request_s
        self._first_s = first_s

    async def open(self) -> None:
        """Begin. UserError: the address is taken, or not ours."""
        self.port = self._door.open()

    async def close(self) -> None:
        """End; payments under way go on at the terminal."""
        await self._door.close()

    async def _connected(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
        try:
            async with asyncio.timeout(self._request_s):
                request = await self._read(reader, self._first_s)
            answer = await self._answer(self._gate, request)
            writer.write(answer)  # one write, one segment
            async with asyncio.timeout(self._request_s):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, NotCaisse):
            writer.transport.abort()  # nobody there, or nothing that could be answered
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def caisse_server(gate: Gate, place: Place, **times: float) -> PlainServer:
    """Caisse-AP over IP."""
    return PlainServer("caisse_ap", gate, place, _read_caisse, caisse_ap.answer, **times)


def mis_server(gate: Gate, place: Place, **times: float) -> PlainServer:
    """MIS records."""
    return PlainServer("mis", gate, place, _read_mis, mis.answer, **times)


async def _read_caisse(reader: asyncio.StreamReader, first_s: float) -> bytes:
    """Until the fields are complete and no more come. NotCaisse, TimeoutError."""
    data = b""
    while True:
        whole = caisse_ap.complete(data)
        try:
            async with asyncio.timeout(DRAIN_S if whole else None if data else first_s):
                piece = await reader.read(caisse_ap.MOST + 1 - len(data))
        except TimeoutError:
            if not data:
                raise
            return data
        data += piece
        if len(data) > caisse_ap.MOST or not (piece or whole):
            raise NotCaisse("no request")
        if not piece:
            return data


async def _read_mis(reader: asyncio.StreamReader, first_s: float) -> bytes:
    """A whole record, and a byte more where the other side does not stop there: what a browser
    was made to send is no record. Less when it ends before."""
    data = b""
    while len(data) <= mis.REQUEST_BYTES:
        whole = len(data) == mis.REQUEST_BYTES
        try:
            async with asyncio.timeout(DRAIN_S if whole else None if data else first_s):
                piece = await reader.read(mis.REQUEST_BYTES + 1 - len(data))
        except TimeoutError:
            if not data:
                raise
            return data
        if not piece:
            break
        data += piece
    return data
