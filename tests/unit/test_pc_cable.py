"""The virtual terminal's cable to a PC: pseudo-terminal and TCP, pulled out and put in."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from host_tools.emulator.chips.serial_line import SerialLine
from host_tools.emulator.pc_cable import PcCable
from host_tools.errors import UserError


def line() -> SerialLine:
    made = SerialLine(lambda: time.monotonic_ns() // 1000)
    made.baud = 921600
    return made


async def until(good: Callable[[], bool]) -> None:
    while not good():
        await asyncio.sleep(0.002)


def is_in(cable: PcCable) -> bool:
    return cable.plugged


def read(terminal: SerialLine, got: bytearray) -> None:
    got += terminal.transfer(2, (4096).to_bytes(2, "big"))[0]


def play(story: Callable[[SerialLine, PcCable], Awaitable[None]]) -> None:
    async def main() -> None:
        terminal = line()
        cable = PcCable(terminal)
        try:
            await asyncio.wait_for(story(terminal, cable), 60)
        finally:
            await cable.close()
        assert cable.target == "" and not cable.plugged

    asyncio.run(main())


async def both_ways(
    terminal: SerialLine, write: Callable[[bytes], object], told: bytearray
) -> None:
    """20 kB towards the terminal, 6 kB from it."""
    got = bytearray()
    sent = bytes(range(256)) * 80
    write(sent)

    def arrived() -> bool:
        read(terminal, got)
        return len(got) >= len(sent)

    await until(arrived)
    assert got == sent
    said = bytes(range(255, -1, -1)) * 24
    at = 0
    while at < len(said):
        at += int.from_bytes(terminal.transfer(1, said[at : at + 1000])[0], "big")
        await asyncio.sleep(0.002)
    await until(lambda: len(told) >= len(said))
    assert told == said


def test_a_pseudo_terminal_keeps_its_name_over_a_pulled_cable(tmp_path: Path) -> None:
    async def story(terminal: SerialLine, cable: PcCable) -> None:
        loop = asyncio.get_running_loop()
        await cable.open(tmp_path / "pc")
        assert cable.target == str(tmp_path / "pc") and cable.plugged
        for _ in range(2):
            port = os.open(cable.target, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            told = bytearray()

            def hear(port: int = port, told: bytearray = told) -> None:
                told += os.read(port, 4096)

            loop.add_reader(port, hear)
            rest = bytearray()

            def write(data: bytes, port: int = port, rest: bytearray = rest) -> None:
                rest += data
                try:
                    del rest[: os.write(port, rest)]
                except BlockingIOError:
                    pass
                if rest:
                    loop.call_later(0.002, write, b"", port, rest)

            await both_ways(terminal, write, told)
            loop.remove_reader(port)
            await cable.plug(False)
            assert not is_in(cable) and not (tmp_path / "pc").exists()
            with pytest.raises(OSError):
                os.write(port, b"gone")
            os.close(port)
            await cable.plug(False)  # harmless twice
            await cable.plug(True)

    play(story)
    assert not (tmp_path / "pc").is_symlink()


def test_a_port_takes_one_pc_and_keeps_its_number(tmp_path: Path) -> None:
    async def story(terminal: SerialLine, cable: PcCable) -> None:
        await cable.open(tmp_path / "pc", 0)
        number = int(cable.target.rpartition(":")[2])
        assert cable.target == f"tcp://127.0.0.1:{number}"
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            told = bytearray()

            async def listen(reader: asyncio.StreamReader = reader, told: bytearray = told) -> None:
                while data := await reader.read(4096):
                    told += data

            listening = asyncio.create_task(listen())
            await both_ways(terminal, writer.write, told)
            second, late = await asyncio.open_connection("127.0.0.1", number)
            assert await second.read() == b"", "a cable has one end"
            late.close()
            await cable.plug(False)
            await listening
            writer.close()
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", number)
            await cable.plug(True)
        with pytest.raises(UserError, match="cannot be had"):
            await PcCable(line()).open(tmp_path / "other", number)

    play(story)


def test_what_nobody_reads_does_not_hold_the_terminal(tmp_path: Path) -> None:
    async def story(terminal: SerialLine, cable: PcCable) -> None:
        await cable.open(tmp_path / "pc")
        for _ in range(100):
            terminal.transfer(1, bytes(1000))
            await asyncio.sleep(0.002)
        await until(lambda: terminal.coming == 0)

    play(story)
