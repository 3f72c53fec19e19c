"""Conformance of hal.pc_pipe: what every pipe to a PC must do."""

import asyncio
import errno
import os
import pty
import random
import tty
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.wire import BusError
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.pc_serial import PcSerial
from firmware.hal.pc_pipe import PipeClosed
from tests.support import rig
from tests.support.virtual_time import run

DATA = random.Random(3).randbytes(20_000)


async def _read(pipe: PcSerial, count: int, most: int = 1000) -> bytes:
    data = b""
    while len(data) < count:
        data += await pipe.read(most)
    return data


def test_all_bytes_go_both_ways_over_the_wire() -> None:
    async def main() -> None:
        rack = rig.rack()
        pipe = PcSerial(WireSerial(rack, "pc", 115200))
        rack.pc.feed(DATA)
        sending = aio.spawn("send", pipe.write(DATA))
        assert await _read(pipe, len(DATA)) == DATA
        await sending.join()
        await aio.sleep_ms(2000)
        assert rack.pc.take() == DATA

    run(main())


def test_a_cancelled_read_loses_nothing() -> None:
    async def main() -> None:
        rack = rig.rack()
        pipe = PcSerial(WireSerial(rack, "pc", 115200))
        got = b""
        for at in range(0, 600, 30):
            name, part = await aio.first(("data", pipe.read(7)), timeout_ms=3)
            got += part if name == "data" else b""
            rack.pc.feed(DATA[at : at + 30])
        got += await _read(pipe, 600 - len(got))
        assert got == DATA[:600]

    run(main())


def test_two_writers_do_not_mix() -> None:
    async def main() -> None:
        rack = rig.rack()
        pipe = PcSerial(WireSerial(rack, "pc", 115200))
        one = aio.spawn("a", pipe.write(b"a" * 9000))
        await aio.sleep_ms(2)  # the port takes a part at a time: now it is half way
        await pipe.write(b"b" * 9000)
        await one.join()
        await aio.sleep_ms(5000)
        assert rack.pc.take() == b"a" * 9000 + b"b" * 9000

    run(main())


def test_an_unplugged_pc_is_named_and_may_come_back() -> None:
    async def main() -> None:
        rack = rig.rack()
        pipe = PcSerial(WireSerial(rack, "pc", 115200))
        rack.pc.unplugged = True
        with pytest.raises(PipeClosed, match="unplugged"):
            await pipe.read(1)
        with pytest.raises(PipeClosed, match="unplugged"):
            await pipe.write(b"x")
        rack.pc.unplugged = False
        rack.pc.feed(b"back")
        assert await _read(pipe, 4) == b"back"
        await pipe.close()
        await pipe.close()
        with pytest.raises(PipeClosed):
            await pipe.read(1)
        with pytest.raises(PipeClosed):
            await pipe.write(b"x")

    run(main())


def test_the_linux_port_over_a_pseudo_terminal() -> None:
    """Real clock: a pseudo-terminal is a file of the kernel's."""

    async def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        pipe = PcSerial(LinuxSerial(os.ttyname(slave), 115200))
        loop = asyncio.get_running_loop()
        try:
            got = bytearray()
            done = asyncio.Event()

            def readable() -> None:
                got.extend(os.read(master, 65536))
                if len(got) >= len(DATA):
                    done.set()

            loop.add_reader(master, readable)
            await pipe.write(DATA)
            await done.wait()
            assert bytes(got) == DATA
            loop.remove_reader(master)
            for at in range(0, len(DATA), 1000):
                os.write(master, DATA[at : at + 1000])
                assert await _read(pipe, 1000) == DATA[at : at + 1000]
            name, _ = await aio.first(("data", pipe.read(10)), timeout_ms=30)
            assert name == "timeout"
            os.write(master, b"after the cancelled read")
            assert await _read(pipe, 24, 5) == b"after the cancelled read"
        finally:
            await pipe.close()
            os.close(master)
            os.close(slave)
        await pipe.close()
        with pytest.raises(PipeClosed):
            await pipe.read(1)

    aio.run(main())


def test_a_linux_port_that_went_away_is_named_and_found_again(tmp_path: Path) -> None:
    """A plug that is pulled hangs the port up for good; one of the same name comes back."""
    path = tmp_path / "port"

    def plug() -> tuple[int, int]:
        master, slave = pty.openpty()
        tty.setraw(slave)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(slave))
        return master, slave

    def unplug(ends: tuple[int, int]) -> None:
        for end in ends:
            os.close(end)

    async def main() -> None:
        ends = plug()
        pipe = PcSerial(LinuxSerial(str(path), 115200))
        try:
            for _ in range(3):
                os.write(ends[0], b"here")
                assert await _read(pipe, 4) == b"here"
                unplug(ends)
                path.unlink()
                with pytest.raises(PipeClosed):
                    await pipe.read(1)
                for _ in range(2):
                    with pytest.raises(PipeClosed, match="No such file"):
                        await pipe.write(b"x")
                ends = plug()
                await pipe.write(b"back")
                assert os.read(ends[0], 4) == b"back"
        finally:
            await pipe.close()
            unplug(ends)

    aio.run(main())


def test_a_usb_device_without_modem_lines_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a device refuses the request for DTR and RTS (EPIPE); other errors are told."""
    from serial import serialposix

    refusal = errno.EPIPE
    kernel = serialposix.fcntl.ioctl

    def ioctl(number: int, request: int, *more: object) -> object:
        if request in (serialposix.TIOCMBIS, serialposix.TIOCMBIC):
            raise OSError(refusal, os.strerror(refusal))
        return kernel(number, request, *more)

    monkeypatch.setattr(serialposix.fcntl, "ioctl", ioctl)

    async def main() -> None:
        nonlocal refusal
        master, slave = pty.openpty()
        tty.setraw(slave)
        try:
            port = LinuxSerial(os.ttyname(slave), 115200)
            assert await port.write(b"AT") == 2
            assert os.read(master, 2) == b"AT"
            await port.close()
            refusal = errno.EIO
            with pytest.raises(BusError, match="Input/output error"):
                LinuxSerial(os.ttyname(slave), 115200)
        finally:
            os.close(master)
            os.close(slave)

    aio.run(main())


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(BusError, match="/dev/no-such-port"):
        LinuxSerial("/dev/no-such-port", 115200)
