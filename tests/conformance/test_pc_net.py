"""Conformance of hal.pc_pipe for listening sockets: TCP, and RFCOMM as far as its socket can be
had here. Real clock: sockets are the kernel's."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable

import pytest

from firmware import aio
from firmware.drivers import pc_tcp
from firmware.drivers.pc_rfcomm import PcRfcomm
from firmware.drivers.pc_tcp import PcTcp
from firmware.hal.pc_pipe import PipeClosed

DATA = random.Random(4).randbytes(200_000)


Call = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def play(story: Callable[[PcTcp, Call], Awaitable[None]]) -> None:
    async def main() -> None:
        pipe = PcTcp(0)
        opening = aio.spawn("open", pipe.read(1))
        while not pipe.port:
            await aio.sleep_ms(1)
        opening.cancel()
        await opening.done.wait()

        async def call() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", pipe.port)

        try:
            await asyncio.wait_for(story(pipe, call), 60)
        finally:
            await pipe.close()
            await pipe.close()
        with pytest.raises(PipeClosed):
            await pipe.read(1)
        with pytest.raises(PipeClosed):
            await pipe.write(b"x")

    asyncio.run(main())


async def got(pipe: PcTcp, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await pipe.read(1000)
    return data


def test_all_bytes_go_both_ways_and_a_pc_may_come_back() -> None:
    async def story(pipe: PcTcp, call: Call) -> None:
        for _ in range(2):
            reader, writer = await call()
            writer.write(DATA)
            assert await got(pipe, len(DATA)) == DATA
            sending = aio.spawn("send", pipe.write(DATA))
            assert await reader.readexactly(len(DATA)) == DATA
            await sending.join()
            name, _ = await aio.first(("data", pipe.read(1)), timeout_ms=20)
            assert name == "timeout"
            writer.write(b"after the cancelled read")
            assert await got(pipe, 24) == b"after the cancelled read"
            writer.close()
            with pytest.raises(PipeClosed):
                await pipe.read(1)
            with pytest.raises(PipeClosed):
                await pipe.write(b"x")

    play(story)


def test_a_second_caller_waits_for_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(pipe: PcTcp, call: Call) -> None:
        _, first = await call()
        first.write(b"here")
        assert await got(pipe, 4) == b"here"
        reading = aio.spawn("read", got(pipe, 5))
        late, writer = await call()
        assert await late.read() == b"", "hung up on"
        writer.close()
        first.write(b"still")
        assert await reading.join() == b"still"
        monkeypatch.setattr(pc_tcp, "SILENT_MS", 0)
        reading = aio.spawn("read", pipe.read(10))
        _, second = await call()
        with pytest.raises(PipeClosed, match="silent"):
            await reading.join()
        second.write(b"mine")
        assert await got(pipe, 4) == b"mine"
        first.close()
        second.close()

    play(story)


def test_a_pc_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pc_tcp, "STALLED_MS", 50)

    async def story(pipe: PcTcp, call: Call) -> None:
        _, writer = await call()
        writer.write(b"x")
        assert await pipe.read(1) == b"x"
        with pytest.raises(PipeClosed, match="nothing"):
            await pipe.write(bytes(100_000_000))
        with pytest.raises(PipeClosed):
            await pipe.read(1)
        writer.close()

    play(story)


def test_a_port_that_is_taken_is_named() -> None:
    async def main() -> None:
        with socket.create_server(("", 0)) as taken:
            pipe = PcTcp(taken.getsockname()[1])
            for _ in range(2):
                with pytest.raises(PipeClosed, match="in use"):
                    await pipe.read(1)
            await pipe.close()

    asyncio.run(main())


def test_without_bluetooth_it_is_named() -> None:
    """Where the kernel has Bluetooth it listens; where not, the error is one of the pipe's."""

    async def main() -> None:
        pipe = PcRfcomm(7)
        try:
            name, _ = await aio.first(("read", pipe.read(1)), timeout_ms=50)
            assert name == "timeout"
        except PipeClosed as error:
            assert str(error)
        await pipe.close()

    asyncio.run(main())
