"""The adapters of one PC at work: opened together, ended together."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from host_tools.errors import UserError
from host_tools.pc_link.calls import Terminal
from host_tools.register.gate import Answer, Gate, Reach
from host_tools.register.http_server import BoundedServer, context_of
from host_tools.register.memory import Memory
from host_tools.register.nexo.server import NexoApp
from host_tools.register.nexo.station import Station
from host_tools.register.plain_server import caisse_server, mis_server
from host_tools.register.serial_port import ConcertPort
from host_tools.register.settings import CAISSE, CONCERT, MIS, NEXO, RegisterSettings

#: Told of what happens: the event (listening, payment), the adapter, and more by name.
Told = Callable[[str, str, dict[str, Any]], None]


class Plug:
    """The one connection to the terminal, opened when a register first needs it."""

    def __init__(
        self, connect: Callable[[], contextlib.AbstractAsyncContextManager[Terminal]]
    ) -> None:
        self._connect = connect
        self._held = contextlib.AsyncExitStack()
        self._terminal: Terminal | None = None
        self._lock = asyncio.Lock()

    async def __call__(self, lost: Terminal | None = None) -> Terminal:
        """The terminal; it opens a new session by itself where one was lost. UserError."""
        async with self._lock:
            if self._terminal is None:
                self._terminal = await self._held.enter_async_context(self._connect())
            return self._terminal

    async def close(self) -> None:
        """End the connection."""
        await self._held.aclose()


class _Server(Protocol):
    async def open(self) -> None: ...
    async def close(self) -> None: ...


class Adapters:
    """``chosen`` of what ``settings`` have set up, over one gate. ``memory``: its file, or None
    for none."""

    def __init__(
        self,
        settings: RegisterSettings,
        chosen: Sequence[str],
        reach: Reach,
        memory: Path | None,
        told: Told,
        version: str = "",
    ) -> None:
        self._settings = settings
        self._chosen = chosen
        self._told = told
        self._version = version
        self.gate = Gate(reach, heard=self._heard)
        self._memory_file = memory
        self._memory: Memory | None = None
        self._open: list[_Server] = []
        self._serving: list[Callable[[], Awaitable[None]]] = []
        #: Where each listens, by its name.
        self.places: dict[str, str] = {}

    async def open(self) -> None:
        """Open each. UserError: one cannot be opened; none is open then."""
        try:
            for name in self._chosen:
                await self._begin(name)
        except BaseException:
            await self.close()
            raise

    async def serve(self) -> None:
        """Until one fails (UserError), or for ever."""
        tasks = [asyncio.ensure_future(serve()) for serve in self._serving]
        try:
            if tasks:
                await asyncio.gather(*tasks)
            else:
                await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()

    async def close(self) -> None:
        """End all; payments under way go on at the terminal."""
        for server in reversed(self._open):
            await server.close()
        self._open.clear()
        await self.gate.close()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    async def _begin(self, name: str) -> None:
        settings = self._settings
        if name == NEXO and settings.nexo is not None:
            nexo = settings.nexo
            self._memory = Memory(self._memory_file)
            station = Station(self.gate, self._memory, nexo.poi, self._version)
            server = BoundedServer(
                NEXO, NexoApp(station, nexo.clients), nexo.place, context_of(nexo.certificate)
            )
            await server.open()
            self._open.append(server)
            self._place(name, f"https://{nexo.place.host}:{server.port}/nexo/")
        elif name == CONCERT and settings.concert is not None:
            concert = settings.concert
            port = ConcertPort(self.gate, concert.port, concert.baud, concert.frame, concert.rules)
            await port.open()
            self._open.append(port)
            self._serving.append(port.serve)
            self._place(name, f"{concert.port} {concert.baud} {concert.frame}")
        elif name in (CAISSE, MIS):
            place = settings.caisse_ap if name == CAISSE else settings.mis
            assert place is not None
            plain = (caisse_server if name == CAISSE else mis_server)(self.gate, place)
            await plain.open()
            self._open.append(plain)
            self._place(name, f"tcp://{place.host}:{plain.port}")
        else:
            raise UserError(f"no adapter {name}")

    def _place(self, name: str, place: str) -> None:
        self.places[name] = place
        self._told("listening", name, {"place": place})

    def _heard(self, answer: Answer) -> None:
        adapter, _, name = answer.reference.partition(":")
        more = {"reference": name, "end": str(answer.end), "amount": answer.amount}
        self._told("payment", adapter, more)
