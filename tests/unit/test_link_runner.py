"""firmware.link.runner: two ends over pipes that break, on virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.hal.pc_pipe import PcPipe, PipeClosed
from firmware.link import packets
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.runner import Runner, StreamOver
from firmware.link.session import (
    BOARD,
    CREDIT,
    MOST_MESSAGE,
    MOST_STREAMS,
    NAME,
    SERIAL,
    VERSION,
    PcSession,
    TerminalSession,
)
from firmware.link.streams import END, ERROR, ITEM, REQUEST, StreamRefused
from tests.support.virtual_time import run

TERMINAL = {
    SERIAL: "T1", BOARD: "b", VERSION: "1", MOST_MESSAGE: 65536, CREDIT: 65536, MOST_STREAMS: 4,
}  # fmt: skip
PC = {NAME: "PC", VERSION: "1", MOST_MESSAGE: 65536, CREDIT: 65536}


class Cable:
    """Two ways of bytes; ``pull`` takes what is under way along."""

    def __init__(self) -> None:
        self.plugged = True
        self.ways = [bytearray(), bytearray()]
        self.filled = [aio.Event(), aio.Event()]
        self.passed = 0
        #: Pulled once so many bytes have passed.
        self.pull_at: int | None = None

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


class Plug(PcPipe):
    """One end of it."""

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
        if cable.plugged and cable.pull_at is not None:
            data = data[: max(0, cable.pull_at - cable.passed)]
        if not cable.plugged:
            raise PipeClosed("unplugged")
        cable.ways[1 - self.end] += data
        cable.filled[1 - self.end].set()
        cable.passed += len(data)
        await aio.sleep_ms(1 + len(data) // 1000)
        if cable.pull_at is not None and cable.passed >= cable.pull_at:
            cable.pull()
            raise PipeClosed("unplugged")

    async def reopen(self) -> None:
        if not self.cable.plugged:
            raise PipeClosed("unplugged")


class Both:
    """A terminal that serves, a PC that asks."""

    def __init__(self) -> None:
        draw = random.Random(1)
        self.cable = Cable()
        self.events: list[str] = []
        self.terminal = Runner(
            TerminalSession(TerminalEnd(), KeyPair(bytes(32)), TERMINAL, draw.randbytes),
            Plug(self.cable, 0),
        )
        plug = Plug(self.cable, 1)
        self.ready = aio.Event()
        session = PcSession(PcEnd(), KeyPair(b"\x01" * 32), PC, draw.randbytes, lambda *_: True)
        self.pc = Runner(session, plug, plug.reopen, self._heard, once=True)
        self.connect = session.connect
        self.calls = self.refused = 0

    def _heard(self, what: str, error: Any) -> None:
        self.events.append(what)
        self.ready.set()

    async def serve(self) -> None:
        """Each request gets its argument back, as often as it says."""
        while True:
            stream = await self.terminal.accept()
            kind, (_, _, arguments) = await self.terminal.receive(stream)
            assert kind == REQUEST
            self.calls += 1
            try:
                for number in range(arguments[1]):
                    await self.terminal.send(stream, ITEM, {1: number, 2: arguments[2]})
                await self.terminal.send(stream, END, {})
            except StreamRefused:
                self.refused += 1

    async def ask(self, times: int, payload: bytes) -> list[Any]:
        assert self.pc.session.streams is not None
        stream = self.pc.session.streams.open("echo", 0, {1: times, 2: payload})
        self.pc.wake()
        got: list[Any] = []
        while True:
            try:
                got.append(await self.pc.receive(stream))
            except StreamOver:
                return got


def play(story: Callable[[Both], Awaitable[None]]) -> None:
    async def main() -> None:
        both = Both()
        tasks = [
            aio.spawn("terminal", both.terminal.run()),
            aio.spawn("serve", both.serve()),
            aio.spawn("pc", both.pc.run()),
        ]
        both.connect(aio.ticks_ms())
        both.pc.wake()
        await both.ready.wait()
        assert both.events == ["ready"]
        await story(both)
        for task in tasks:
            task.cancel()
            await task.done.wait()
        assert [task.error for task in tasks] == [None] * 3

    run(main())


def test_requests_are_answered() -> None:
    async def story(both: Both) -> None:
        asked = [aio.spawn(str(n), both.ask(n, bytes(3000))) for n in (1, 40, 0)]
        for task, times in zip(asked, (1, 40, 0), strict=True):
            got = await task.join()
            assert got[-1] == (END, {}) and len(got) == times + 1
            assert [value[1] for _, value in got[:-1]] == list(range(times))

    play(story)


@pytest.mark.parametrize("seed", range(12))
def test_a_cable_pulled_at_any_byte_costs_nothing(seed: int) -> None:
    async def story(both: Both) -> None:
        draw = random.Random(seed)
        asking = aio.spawn("ask", both.ask(60, bytes(2000)))
        for _ in range(6):
            both.cable.pull_at = both.cable.passed + draw.randrange(1, 20_000)
            while both.cable.plugged and not asking.done.is_set():
                await aio.sleep_ms(5)
            await aio.sleep_ms(draw.randrange(3000))
            both.cable.plug()
            await aio.sleep_ms(draw.randrange(2000))
        got = await asking.join()
        assert [value.get(1) for _, value in got] == [*range(60), None]
        assert both.calls == 1
        assert both.events.count("lost") == both.events.count("resumed") > 0

    play(story)


def test_a_cable_that_stays_out_ends_what_was_asked() -> None:
    async def story(both: Both) -> None:
        asking = aio.spawn("ask", both.ask(2000, bytes(2000)))
        await aio.sleep_ms(300)
        both.cable.pull()
        got = await asking.join()
        assert got[-1] == (ERROR, ["lost", {}])
        assert both.events[-1] == "ended"
        await aio.sleep_ms(10_000)
        assert both.refused == 1, "nor does the terminal go on"

    play(story)


def test_the_terminals_end_of_the_session_is_heard() -> None:
    async def story(both: Both) -> None:
        both.terminal.session.close(packets.REVOKED)
        both.terminal.wake()
        await aio.sleep_ms(500)
        assert both.events == ["ready", "ended"]

    play(story)


def test_a_slow_reader_holds_the_sender_back() -> None:
    async def story(both: Both) -> None:
        assert both.pc.session.streams is not None
        stream = both.pc.session.streams.open("echo", 0, {1: 500, 2: bytes(4000)})
        both.pc.wake()
        await aio.sleep_ms(60_000)
        assert both.cable.passed < 120_000, "credit and backlog, no more"
        count = 0
        while True:
            try:
                kind, _ = await both.pc.receive(stream)
            except StreamOver:
                break
            count += kind == ITEM
        assert count == 500

    play(story)
