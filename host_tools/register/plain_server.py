"""The plain TCP ports: one request and one answer a connection, bounded in size and time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from host_tools.register import caisse_ap, mis
from host_tools.register.caisse_ap import NotCaisse
from host_tools.register.gate import Gate
from host_tools.register.guard import Place, listening

#: How long a request may take to come; how many are served at once.
REQUEST_S, MOST_CONNECTIONS = 10.0, 16
#: A request has no end of its own: when it is complete, more is waited for so long.
DRAIN_S = 0.2

Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]
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
    ) -> None:
        self.name = name
        self.port = place.port
        self._gate = gate
        self._place = place
        self._read = read
        self._answer = answer
        self._request_s = request_s
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin. UserError: the address is taken, or not ours."""
        listener = listening(self.name, self._place)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._connected, sock=listener, limit=4096)

    async def close(self) -> None:
        """End; payments under way go on at the terminal."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if (
                not self._place.admits(writer.get_extra_info("peername"))
                or len(self._serving) >= MOST_CONNECTIONS
            ):
                return
            self._serving.add(task)
            async with asyncio.timeout(self._request_s):
                request = await self._read(reader)
            answer = await self._answer(self._gate, request)
            writer.write(answer)  # one write, one segment
            async with asyncio.timeout(self._request_s):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, NotCaisse):
            writer.transport.abort()  # nobody there, or nothing that could be answered
        finally:
            self._serving.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def caisse_server(gate: Gate, place: Place, request_s: float = REQUEST_S) -> PlainServer:
    """Caisse-AP over IP."""
    return PlainServer("caisse_ap", gate, place, _read_caisse, caisse_ap.answer, request_s)


def mis_server(gate: Gate, place: Place, request_s: float = REQUEST_S) -> PlainServer:
    """MIS records."""
    return PlainServer("mis", gate, place, _read_mis, mis.answer, request_s)


async def _read_caisse(reader: asyncio.StreamReader) -> bytes:
    """Until the fields are complete and no more come. NotCaisse, TimeoutError."""
    data = b""
    while True:
        whole = caisse_ap.complete(data)
        try:
            async with asyncio.timeout(DRAIN_S if whole else None):
                piece = await reader.read(caisse_ap.MOST + 1 - len(data))
        except TimeoutError:
            return data
        data += piece
        if len(data) > caisse_ap.MOST or not (piece or whole):
            raise NotCaisse("no request")
        if not piece:
            return data


async def _read_mis(reader: asyncio.StreamReader) -> bytes:
    """A whole record, and a byte more where the other side does not stop there: what a browser
    was made to send is no record. Less when it ends before."""
    data = b""
    while len(data) <= mis.REQUEST_BYTES:
        whole = len(data) == mis.REQUEST_BYTES
        try:
            async with asyncio.timeout(DRAIN_S if whole else None):
                piece = await reader.read(mis.REQUEST_BYTES + 1 - len(data))
        except TimeoutError:
            return data
        if not piece:
            break
        data += piece
    return data
