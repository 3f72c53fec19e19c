"""A PC's end of the link for tests of the terminal's: session, requests, pairing.

It has a pipe given to it: in memory (``Cable``) or the far end of the rack's serial line
(``RackCable``), on virtual time.
"""

import contextlib
import random
from typing import Any

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.hal.pc_pipe import PcPipe, PipeClosed
from firmware.link import packets
from firmware.link.delivery import PcEnd
from firmware.link.pairing import PcPairing
from firmware.link.runner import Runner, StreamOver
from firmware.link.session import CREDIT, MOST_MESSAGE, NAME, VERSION, PcSession
from firmware.link.streams import END, ERROR, ITEM, Stream, StreamRefused
from host_tools.emulator.chips.serial_line import SerialLine

LOOK_MS = 2


class Cable:
    """Two ways of bytes in memory; ``pull`` takes what is under way along."""

    def __init__(self) -> None:
        self.plugged = True
        self.ways = [bytearray(), bytearray()]
        self.filled = [aio.Event(), aio.Event()]
        #: Everything that the PC wrote, for who listens in.
        self.seen = bytearray()

    def pull(self) -> None:
        self.plugged = False
        for way, event in zip(self.ways, self.filled, strict=True):
            way.clear()
            event.set()

    def plug(self) -> None:
        self.plugged = True
        for event in self.filled:
            event.set()


class Plug(PcPipe):
    """One end of it: 0 the terminal's, 1 the PC's."""

    def __init__(self, cable: Cable, end: int) -> None:
        self.cable = cable
        self.end = end

    async def read(self, most: int) -> bytes:
        cable, way = self.cable, self.cable.ways[self.end]
        while not way:
            if not cable.plugged:
                raise PipeClosed("unplugged")
            cable.filled[self.end].clear()
            await cable.filled[self.end].wait()
        got = bytes(way[:most])
        del way[:most]
        return got

    async def write(self, data: bytes) -> None:
        cable = self.cable
        if not cable.plugged:
            raise PipeClosed("unplugged")
        cable.ways[1 - self.end] += data
        if self.end:
            cable.seen += data
        cable.filled[1 - self.end].set()
        await aio.sleep_ms(1 + len(data) // 1000)

    async def reopen(self) -> None:
        if not self.cable.plugged:
            raise PipeClosed("unplugged")


class RackCable(PcPipe):
    """The PC's end of the rack's serial line."""

    def __init__(self, line: SerialLine) -> None:
        self.line = line

    async def read(self, most: int) -> bytes:
        while True:
            if self.line.unplugged:
                raise PipeClosed("unplugged")
            data = self.line.take()
            if data:
                return data
            await aio.sleep_ms(LOOK_MS)

    async def write(self, data: bytes) -> None:
        if self.line.unplugged:
            raise PipeClosed("unplugged")
        self.line.feed(data)
        await aio.sleep_ms(0)

    async def reopen(self) -> None:
        if self.line.unplugged:
            raise PipeClosed("unplugged")


class PcSide:
    """A PC. ``events``: what became of its session; ``reason`` of the CLOSE that ended it."""

    def __init__(
        self,
        pipe: "Plug | RackCable",
        key: int = 1,
        name: str = "Office PC",
        once: bool = True,
        most: int = 65536,
    ) -> None:
        self.key = KeyPair(bytes([key]) * 32)
        self.draw = random.Random(key)
        self.events: list[str] = []
        self.reason: int | None = None
        self.ready = aio.Event()
        self.over = aio.Event()
        own = {NAME: name, VERSION: "1", MOST_MESSAGE: most, CREDIT: 65536}
        self.session = PcSession(
            PcEnd(), self.key, own, self.draw.randbytes, lambda serial, key: True
        )
        self.runner = Runner(self.session, pipe, pipe.reopen, self._heard, once=once)
        self._task: aio.Task | None = None

    def _heard(self, what: str, error: Any) -> None:
        self.events.append(what)
        if what == "ready":
            self.ready.set()
        if what == "ended":
            self.reason = getattr(error, "reason", None)
            self.over.set()

    async def connect(self) -> "PcSide":
        """Open a session and wait until both are known."""
        self.ready.clear()
        self.over.clear()
        self.session.connect(aio.ticks_ms())
        self._task = aio.spawn("pc", self.runner.run())
        await aio.first(("ready", self.ready.wait()), ("over", self.over.wait()))
        return self

    async def leave(self) -> None:
        """Close the session and stop."""
        if self._task is not None:
            self.session.close(packets.DONE)
            self.runner.wake()
            if not self._task.done.is_set():
                await aio.sleep_ms(50)
            self._task.cancel()
            await self._task.done.wait()
            self._task = None

    def open(self, service: str, arguments: Any = None, deadline_ms: int = 0) -> Stream:
        """Begin a request."""
        assert self.session.streams is not None
        stream = self.session.streams.open(service, deadline_ms, arguments or {})
        self.runner.wake()
        return stream

    def cancel(self, stream: Stream) -> None:
        stream.cancel()
        self.runner.wake()

    async def rest(self, stream: Stream) -> list[tuple[int, Any]]:
        """All messages to the last."""
        got = []
        while True:
            try:
                got.append(await self.runner.receive(stream))
            except StreamOver:
                return got

    async def ask(self, service: str, arguments: Any = None, deadline_ms: int = 0) -> Any:
        """The END's map, or (code, details) of an ERROR; ITEMs are dropped."""
        kind, value = (await self.rest(self.open(service, arguments, deadline_ms)))[-1]
        return value if kind == END else tuple(value)

    async def pair(self, roles: list[str], code: Any, spoil: Any = None) -> Any:
        """Ask to be paired. ``code()``: the six digits that somebody types. The roles, or the
        ERROR's (code, details). ``spoil(step, message)``: another message than the due one."""
        machine = PcPairing(
            self.session.hash, self.draw.randbytes(16), self.draw.randbytes(32), roles
        )
        machine.step("begin")
        stream = self.open("pair_ask", {1: roles})

        async def say(step: str, messages: Any) -> None:
            for kind, value in messages:
                if spoil is not None:
                    value = spoil(step, value)
                with contextlib.suppress(StreamRefused):  # the terminal's last word is there
                    await self.runner.send(stream, kind, value)

        async def hear() -> Any:
            kind, value = await self.runner.receive(stream)
            if kind == ERROR:
                raise _Said(tuple(value))
            return kind, value

        try:
            await say("challenge", machine.step("commitment", (await hear())[1]))
            machine.step("share", (await hear())[1])
            await say("proof", machine.step("code", await code()))
            kind, value = await hear()
            assert kind == ITEM
            machine.step("reveal", value)
            await say("done", machine.step("kept"))
            kind, value = await hear()
            assert kind == END
            machine.step("paired", value)
        except _Said as said:
            return said.answer
        assert machine.state == "paired"
        return machine.roles


class _Said(Exception):
    def __init__(self, answer: Any) -> None:
        self.answer = answer
