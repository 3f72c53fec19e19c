"""A terminal in memory for tests of the PC's tools: firmware.link's own end, and handlers that
a test gives. What it answers is checked by nobody, so it can be as hostile as a test likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.hal.pc_pipe import PcPipe, PipeClosed
from firmware.link import pairing, services
from firmware.link.delivery import TerminalEnd
from firmware.link.runner import Runner
from firmware.link.session import (
    BOARD,
    CREDIT,
    MOST_MESSAGE,
    MOST_STREAMS,
    NAME,
    SERIAL,
    VERSION,
    TerminalSession,
)
from firmware.link.streams import CANCEL, END, ERROR, ITEM, Stream, StreamRefused
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.pipes import Line
from host_tools.pc_link.targets import Target

Handler = Callable[["Asked"], Awaitable[None]]
PC_KEY = KeyPair(b"\x07" * 32)
CHAIN = bytes(range(32))


class Cable:
    """Two ways of bytes. ``spoil``: what becomes of a piece on its way; ``pull`` takes along
    what is under way. ``watch``: called with each piece that is written (end, bytes)."""

    def __init__(self, spoil: Callable[[bytes], bytes] | None = None) -> None:
        self.plugged = True
        self.ways = [bytearray(), bytearray()]
        self.filled = [aio.Event(), aio.Event()]
        self.spoil = spoil
        self.written = 0
        self.pull_at: int | None = None
        self.opened = 0

    def pull(self) -> None:
        self.plugged = False
        self.pull_at = None
        for way, event in zip(self.ways, self.filled, strict=True):
            way.clear()
            event.set()

    def plug(self) -> None:
        self.plugged = True
        for event in self.filled:
            event.set()

    async def read(self, end: int, most: int) -> bytes:
        way = self.ways[end]
        while not way:
            if not self.plugged:
                raise PipeClosed("unplugged")
            self.filled[end].clear()
            await self.filled[end].wait()
        got = bytes(way[:most])
        del way[:most]
        return got

    async def write(self, end: int, data: bytes) -> None:
        if not self.plugged:
            raise PipeClosed("unplugged")
        self.written += len(data)
        for at in range(0, len(data), 64):
            piece = data[at : at + 64]
            self.ways[1 - end] += self.spoil(piece) if self.spoil else piece
        self.filled[1 - end].set()
        if self.pull_at is not None and self.written >= self.pull_at:
            self.pull()
        await aio.sleep_ms(1 + len(data) // 1000)


class Plug(PcPipe):
    """The terminal's end."""

    def __init__(self, cable: Cable) -> None:
        self.cable = cable

    async def read(self, most: int) -> bytes:
        return await self.cable.read(0, most)

    async def write(self, data: bytes) -> None:
        await self.cable.write(0, data)


class CableLine(Line):
    """The PC's end."""

    place = "/dev/cable"

    def __init__(self, cable: Cable) -> None:
        self.cable = cable

    async def reopen(self) -> None:
        if not self.cable.plugged:
            raise PipeClosed("unplugged")
        self.cable.opened += 1

    async def read(self, most: int) -> bytes:
        return await self.cable.read(1, most)

    async def write(self, data: bytes) -> None:
        await self.cable.write(1, data)

    async def close(self) -> None:
        pass


class Asked:
    """A request as a handler here sees it."""

    def __init__(self, runner: Runner, stream: Stream, key: bytes, request: list[Any]) -> None:
        self.runner = runner
        self.stream = stream
        self.key = key
        self.name = ""
        self.service, self.deadline_ms, self.arguments = request

    async def item(self, value: dict[Any, Any]) -> None:
        await self.runner.send(self.stream, ITEM, value)

    async def end(self, value: dict[Any, Any] | None = None) -> None:
        await self.runner.send(self.stream, END, value or {})

    async def error(self, code: str, details: dict[Any, Any] | None = None) -> None:
        while self.stream.backlog:  # else it would take the place of what waits
            await aio.sleep_ms(1)
        await self.runner.send(self.stream, ERROR, [code, details or {}])

    async def next(self) -> tuple[int, Any]:
        """(kind, value) of what the PC sends next."""
        return await self.runner.receive(self.stream)


class PcTerminal:
    """``handlers``: by service, beside hello, pair_ask, pairs and pair_revoke. ``pairs``: key of
    a PC -> its roles. ``agrees``: whether the merchant does; ``shown``: codes so far."""

    def __init__(
        self,
        handlers: dict[str, Handler] | None = None,
        cable: Cable | None = None,
        serial: str = "T1",
        key: KeyPair | None = None,
        seed: int = 1,
        pairs: dict[bytes, list[str]] | None = None,
        board: str = "virtual",
        pipe: PcPipe | None = None,
    ) -> None:
        self.draw = random.Random(seed)
        self.cable = cable or Cable()
        self.key = key or KeyPair(b"\x09" * 32)
        self.pairs = {} if pairs is None else pairs
        self.agrees = True
        self.window = True
        self.busy = False
        self.clock: int | None = 1_800_000_000
        self.shown: list[str] = []
        self.calls: list[str] = []
        self.names: list[str] = []
        self.extra_hello: dict[int, Any] = {}
        self.handlers: dict[str, Handler] = {
            "hello": self._hello,
            "pair_ask": self._pair_ask,
            "pairs": self._pairs,
            "pair_revoke": self._revoke,
            **(handlers or {}),
        }
        self.serial = serial
        self._own = {
            SERIAL: serial, BOARD: board, VERSION: "1.2.3",
            MOST_MESSAGE: 65536, CREDIT: 65536, MOST_STREAMS: 8,
        }  # fmt: skip
        self._pipe = pipe or Plug(self.cable)
        self._tasks: list[aio.Task] = []
        self._start()

    def _start(self) -> None:
        session = TerminalSession(TerminalEnd(), self.key, self._own, self.draw.randbytes)
        self.session = session
        self.runner = Runner(session, self._pipe)

    async def restart(self) -> None:
        """As after a power cut: no session is known any more."""
        await self.stop()
        self._start()
        self.run()

    def run(self) -> None:
        self._tasks = [
            aio.spawn("terminal", self.runner.run()),
            aio.spawn("accept", self._accept(self.runner)),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            await task.done.wait()
        self._tasks = []

    async def _accept(self, runner: Runner) -> None:
        while True:
            stream = await runner.accept()
            self._tasks.append(aio.spawn("request", self._serve(runner, stream)))

    async def _serve(self, runner: Runner, stream: Stream) -> None:
        _, request = await runner.receive(stream)
        asked = Asked(runner, stream, runner.session.peer_key, request)
        asked.name = runner.session.peer[NAME]
        self.names.append(asked.name)
        self.calls.append(asked.service)
        handler = self.handlers.get(asked.service)
        with contextlib.suppress(StreamRefused):
            if handler is None:
                await asked.error(services.NO_SERVICE)
            elif not services.allows(asked.service, self.pairs.get(asked.key, [])):
                await asked.error(services.NOT_ALLOWED)
            else:
                await handler(asked)

    # -- what every terminal has

    async def _hello(self, asked: Asked) -> None:
        said: dict[int, Any] = {
            1: list(self.pairs.get(asked.key, [])), 3: 12, 4: 1, 5: CHAIN, 6: [],
            7: self.busy, 8: True,
        }  # fmt: skip
        if self.clock is not None:
            said[2] = self.clock
        await asked.end({**said, **self.extra_hello})

    async def _pairs(self, asked: Asked) -> None:
        rows = [
            {1: services.fingerprint(key), 2: "PC", 3: list(roles), 4: 1, 5: 2}
            for key, roles in self.pairs.items()
        ]
        await asked.end({1: rows})

    async def _revoke(self, asked: Asked) -> None:
        for key in list(self.pairs):
            if services.fingerprint(key) == asked.arguments[1]:
                del self.pairs[key]
        await asked.end()

    async def _pair_ask(self, asked: Asked) -> None:
        if not self.window:
            await asked.error(services.WINDOW)
            return
        if not self.agrees:
            await asked.error(services.REFUSED)
            return
        machine = pairing.TerminalPairing(
            asked.runner.session.hash, self.draw.randbytes(32), self.draw.randbytes(32)
        )
        try:
            await self._pair(machine, asked)
        except pairing.WrongCode:
            await asked.error(services.CODE, {1: 2})

    async def _pair(self, machine: pairing.TerminalPairing, asked: Asked) -> None:
        machine.step("ask", asked.arguments)
        await self._send(asked, machine.step("agree"))
        kind, value = await asked.next()
        share = machine.step("challenge", value)
        self.shown.append(machine.code)
        await self._send(asked, share)
        kind, value = await asked.next()
        if kind in (CANCEL, ERROR):
            return
        await self._send(asked, machine.step("proof", value))
        kind, value = await asked.next()
        assert kind == END
        machine.step("done", value)
        self.pairs[asked.key] = machine.roles
        await self._send(asked, machine.step("kept"))

    async def _send(self, asked: Asked, messages: list[tuple[int, dict[int, Any]]]) -> None:
        for kind, value in messages:
            await asked.runner.send(asked.stream, kind, value)


def entry(terminal: PcTerminal, roles: list[str], confirmed: bool = True) -> Known:
    """What a PC that paired with it keeps."""
    return Known(
        terminal.serial, terminal.key.public, board="virtual", roles=tuple(roles),
        confirmed=confirmed, place="/dev/cable", made=1,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def linked(
    terminal: PcTerminal,
    folder: Any,
    roles: list[str] | None = None,
    stranger: bool = False,
    serial: str = "",
    said: Callable[[str], None] | None = None,
) -> AsyncIterator[LinkedTerminal]:
    """A PC connected to ``terminal``, paired with ``roles`` ([]: as a stranger)."""
    known = KnownTerminals(folder)
    if roles:
        terminal.pairs[PC_KEY.public] = list(roles)
        known.put(entry(terminal, roles))
    settings = Settings(known, PC_KEY, "Till 1", said)
    terminal.run()
    try:
        target = Target(path="/dev/cable", serial=serial)
        line = CableLine(terminal.cable)
        async with connect(target, settings, stranger, line) as there:
            yield there
    finally:
        await terminal.stop()


class ServerPipe(PcPipe):
    """The terminal's end of connections that come one after another."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.fresh = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader, self.writer = reader, writer
        self.fresh.set()

    async def read(self, most: int) -> bytes:
        if self.reader is None:
            self.fresh.clear()
            await self.fresh.wait()
        reader = self.reader
        assert reader is not None
        try:
            data = await reader.read(most)
        except OSError:
            data = b""
        if not data and self.reader is reader:
            self.reader = None
        if not data:
            raise PipeClosed("the PC went away")
        return data

    async def write(self, data: bytes) -> None:
        if self.writer is None:
            raise PipeClosed("nobody is there")
        try:
            self.writer.write(data)
            await self.writer.drain()
        except (OSError, RuntimeError):
            raise PipeClosed("the PC went away") from None


class Served:
    """A PcTerminal on 127.0.0.1 in a thread of its own, for commands that run a loop of theirs.

    with Served(lambda pipe: PcTerminal(..., pipe=pipe)) as served: ... served.target
    """

    def __init__(self, make: Callable[[PcPipe], PcTerminal]) -> None:
        self._make = make
        self._up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="served terminal")
        self._over: asyncio.Event
        self.terminal: PcTerminal
        self.target = ""

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        pipe = ServerPipe()
        self.terminal = self._make(pipe)
        self.terminal.run()
        server = await asyncio.start_server(pipe.serve, "127.0.0.1", 0)
        self.target = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._up.set()
        await self._over.wait()
        await self.terminal.stop()
        server.close()
        if pipe.writer is not None:
            pipe.writer.close()
            with contextlib.suppress(OSError):
                await pipe.writer.wait_closed()
        await server.wait_closed()
