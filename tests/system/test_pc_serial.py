"""The PC's serial pipe over a real pseudo-terminal: pyserial, its threads, and a pulled plug."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tty
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.hal.pc_pipe import PcPipe, PipeClosed, PipeError
from host_tools.pc_doctor import ports
from host_tools.pc_link import pipes
from host_tools.pc_link.connection import Settings, connect
from host_tools.pc_link.known import KnownTerminals
from host_tools.pc_link.targets import Target
from tests.support.pc_terminal import PC_KEY, Asked, PcTerminal, entry

LIMIT_S = 120


class Pty(PcPipe):
    """The terminal's end: the master of a pseudo-terminal, whose slave is linked at ``path``.
    ``pull`` takes it away as unplugging does; ``plug`` gives another one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = -1
        self.plug()

    def plug(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self.path.symlink_to(os.ttyname(slave))
        self.slave = slave

    def pull(self) -> None:
        self.path.unlink()
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.slave)
        os.close(self.master)
        self.master = -1

    async def read(self, most: int) -> bytes:
        while True:
            if self.master < 0:
                await aio.sleep_ms(20)
                raise PipeClosed("unplugged")
            try:
                return os.read(self.master, most)
            except BlockingIOError:
                await aio.sleep_ms(2)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                await aio.sleep_ms(20)

    async def write(self, data: bytes) -> None:
        while data:
            if self.master < 0:
                raise PipeClosed("unplugged")
            try:
                data = data[os.write(self.master, data) :]
            except BlockingIOError:
                await aio.sleep_ms(2)

    async def close(self) -> None:
        if self.master >= 0:
            os.close(self.slave)
            os.close(self.master)
            self.master = -1


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")


async def pieces(asked: Asked) -> None:
    for number in range(asked.arguments[2]):
        await asked.item({1: number, 2: "x" * 250})
    await asked.end({1: asked.arguments[2]})


def played(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, LIMIT_S))


def test_a_session_over_a_pseudo_terminal_that_is_unplugged_in_the_middle(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "ttyACM0"
        pty = Pty(path)
        terminal = PcTerminal({"log": pieces}, pipe=pty, pairs={PC_KEY.public: ["service"]})
        known = KnownTerminals(tmp_path)
        known.put(entry(terminal, ["service"]))
        heard: list[str] = []
        settings = Settings(known, PC_KEY, "Till", heard.append)
        terminal.run()
        try:
            async with connect(Target(path=str(path)), settings) as there:
                assert (await there.ask("log", {1: 0, 2: 200}))[1] == 200
                held = [one.pid for one in ports.holders(str(path)) or []]
                assert held == [], "it is our own process"
                call = await there.open("log", {1: 0, 2: 1000})
                got = []
                async for item in call.items():
                    got.append(item[1])
                    if item[1] == 100:
                        pty.pull()
                        pty.plug()
                assert got == list(range(1000))
                assert heard[:2] == ["lost", "resumed"]
        finally:
            await terminal.stop()
            await pty.close()

    played(story())


def test_causes_of_a_port_that_does_not_open(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "tty"
        pty = Pty(path)
        first = pipes.SerialPipe(lambda: str(path))
        second = pipes.SerialPipe(lambda: str(path))
        absent = pipes.SerialPipe(lambda: str(tmp_path / "none"))
        plain = tmp_path / "plain"
        plain.touch()
        no_port = pipes.SerialPipe(lambda: str(plain))
        try:
            await first.reopen()
            with pytest.raises(pipes.PortHeld):
                await second.reopen()
            with pytest.raises(pipes.PortAbsent):
                await absent.reopen()
            with pytest.raises(PipeError):
                await no_port.reopen()
            await first.close()
            await second.reopen()
            with pytest.raises(PipeClosed):
                await first.read(1)
            with pytest.raises(PipeClosed):
                await first.write(b"x")
        finally:
            for pipe in (first, second, absent, no_port):
                await pipe.close()
                await pipe.close()
            await pty.close()

    played(story())


def test_bytes_pass_whole_and_a_cancelled_read_takes_none(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "tty"
        pty = Pty(path)
        pipe = pipes.SerialPipe(lambda: str(path))
        blob = bytes(range(256)) * 400
        try:
            await pipe.reopen()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pipe.read(10), 0.05)
            sending = asyncio.ensure_future(pty.write(blob))
            got = b""
            while len(got) < len(blob):
                got += await pipe.read(777)
            await sending
            assert got == blob
            back = asyncio.ensure_future(pipe.write(blob))
            came = b""
            while len(came) < len(blob):
                came += await pty.read(4096)
            await back
            assert came == blob
        finally:
            await pipe.close()
            await pty.close()

    played(story())


def test_a_port_that_nobody_takes_bytes_from_counts_as_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "_WRITE_S", 0.3)

    async def story() -> None:
        pty = Pty(tmp_path / "tty")
        pipe = pipes.SerialPipe(lambda: str(tmp_path / "tty"))
        try:
            await pipe.reopen()
            with pytest.raises(PipeClosed):
                await pipe.write(bytes(1 << 20))
        finally:
            await pipe.close()
            await pty.close()

    played(story())


def test_another_process_that_has_the_port_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "tty"
        pty = Pty(path)
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f"exec 3<>{path}; echo open; exec sleep 100",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"open\n"
            found = ports.holders(str(path))
            assert found is not None and [one.pid for one in found] == [process.pid]
            assert ports.holders(str(tmp_path / "none")) == []
        finally:
            process.kill()
            await process.wait()
            await pty.close()

    played(story())
