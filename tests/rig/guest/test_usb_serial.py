"""The PC pipe over real USB: a CDC-ACM gadget, both ends ours, and the plug pulled in between."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.wire import BusError
from firmware.drivers.pc_serial import PcSerial
from firmware.hal.pc_pipe import PipeClosed
from tests.rig.guest.gadget import Gadget
from tests.rig.guest.waiting import Story, tell, until

PC, TERMINAL = Path("/dev/ttyACM0"), Path("/dev/ttyGS0")
BAUD = 115200
LIMIT_MS = 100_000
STORM, STORM_MS = 100, 1_150_000
#: For what follows one re-plug.
STEP_MS = 30_000


@pytest.fixture
def gadget(need: Callable[..., None]) -> Iterator[Gadget]:
    need("dummy_hcd", "libcomposite", "usb_f_acm", "cdc_acm")
    gadget = Gadget(["acm.0"])
    yield gadget
    gadget.close()


def plug(gadget: Gadget) -> None:
    until(lambda: not PC.exists(), "the end of the PC's port")  # the kernel takes its time
    gadget.plug()
    until(PC.exists, "the PC's port")


async def read_exactly(pipe: PcSerial, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await pipe.read(count - len(data))
    return data


async def goes_through(one: PcSerial, other: PcSerial, size: int) -> None:
    """Random bytes both ways at once, not one lost or changed."""
    first, second = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    _, _, heard, heard_back = await aio.gather(
        one.write(first), other.write(second), read_exactly(other, size), read_exactly(one, size)
    )
    assert heard == first
    assert heard_back == second


class Ends:
    """Opens ports; closes all of them in the end (the kernel frees no function before)."""

    def __init__(self) -> None:
        self._opened: list[PcSerial] = []

    def open(self, path: Path) -> PcSerial:
        self._opened.append(PcSerial(LinuxSerial(str(path), BAUD)))
        return self._opened[-1]

    async def close(self) -> None:
        for pipe in self._opened:
            await pipe.close()


def run(story: Callable[[Ends], Story], limit_ms: int = LIMIT_MS) -> None:
    async def main() -> None:
        ends = Ends()
        try:
            await aio.deadline(limit_ms, story(ends), "the story")
        finally:
            await ends.close()

    aio.run(main())


@pytest.mark.parametrize("size", [1, 64, 4096, 65536])
def test_bytes_cross_both_ways(gadget: Gadget, size: int) -> None:
    """64 and 4096 are whole packets: a transfer that ends on one is not held back."""
    plug(gadget)

    async def story(ends: Ends) -> None:
        pc, terminal = ends.open(PC), ends.open(TERMINAL)
        await goes_through(pc, terminal, size)

    run(story)


async def ended(pipe: PcSerial) -> str:
    """Read up to the error that says that the other end went away."""
    with pytest.raises(PipeClosed) as error:
        while True:
            await pipe.read(4096)
    return str(error.value)


async def found_back(pc: PcSerial, terminal: PcSerial) -> None:
    """Both pipes again, on a new connection; what was under way on the old one is dropped.

    A port is opened by the first call and forgets what came before, whenever that is done: a
    mark is sent again until it is heard, and then nothing more may come.
    """
    mark = b"<new connection>"
    for sender, receiver in ((terminal, pc), (pc, terminal)):
        heard = b""
        while mark not in heard:
            await sender.write(mark)
            heard += await heard_within(receiver, 200)
    for pipe in (pc, terminal):
        while await heard_within(pipe, 200):
            pass
    await goes_through(pc, terminal, 512)


async def told(reading: aio.Task, writing: aio.Task) -> None:
    """Wait until one of the two heard that the plug is out: it is said once. Who reads then may
    have opened the port anew, and wait for the next connection."""
    while not reading.done.is_set() and not isinstance(writing.error, PipeClosed):
        await aio.sleep_ms(10)


async def heard_within(pipe: PcSerial, timeout_ms: int) -> bytes:
    """What comes next, b"" for nothing in time."""
    name, data = await aio.first(("data", pipe.read(4096)), timeout_ms=timeout_ms)
    return data if name == "data" else b""


def test_a_plug_pulled_in_mid_transfer_is_named_and_mended(gadget: Gadget) -> None:
    """Each end says it once by name; the same two pipes work on after the plug is back."""
    plug(gadget)

    async def story(ends: Ends) -> None:
        pc, terminal = ends.open(PC), ends.open(TERMINAL)
        flood = aio.spawn("flood", terminal.write(bytes(1 << 20)))
        assert await pc.read(4096)
        waiting = [aio.spawn("waiting", ended(pipe)) for pipe in (pc, terminal)]
        await aio.sleep_ms(0)  # both have begun
        gadget.unplug()
        assert "ttyACM0" in await waiting[0].join()
        assert "ttyGS0" in await waiting[1].join()
        with pytest.raises(PipeClosed, match="ttyACM0"):
            await pc.write(b"hello")
        with pytest.raises(BusError, match="serial port /dev/ttyACM0"):
            ends.open(PC)
        flood.cancel()
        plug(gadget)
        await found_back(pc, terminal)

    run(story)


def test_ten_replugs(gadget: Gadget) -> None:
    """What a loose plug does, to two programs that keep their pipes."""
    plug(gadget)

    async def story(ends: Ends) -> None:
        pc, terminal = ends.open(PC), ends.open(TERMINAL)
        await goes_through(pc, terminal, 512)
        for _ in range(10):
            waiting = [aio.spawn("waiting", ended(pipe)) for pipe in (pc, terminal)]
            await aio.sleep_ms(0)  # both have begun
            gadget.unplug()
            for end in waiting:
                await end.join()
            plug(gadget)
            await found_back(pc, terminal)

    run(story)


@pytest.mark.soak
def test_a_storm_of_replugs(gadget: Gadget) -> None:
    """At any moment of what goes both ways; after each the same two pipes are whole again."""
    draw = random.Random(1)
    plug(gadget)

    async def story(ends: Ends) -> None:
        pc, terminal = ends.open(PC), ends.open(TERMINAL)
        for number in range(1, STORM + 1):
            floods = [
                aio.spawn("flood", pipe.write(draw.randbytes(draw.randrange(1, 1 << 16))))
                for pipe in (pc, terminal)
            ]
            waiting = [aio.spawn("waiting", ended(pipe)) for pipe in (pc, terminal)]
            await aio.sleep_ms(draw.randrange(60))
            gadget.unplug()
            for end, flood in zip(waiting, floods, strict=True):
                await aio.deadline(STEP_MS, told(end, flood), f"the end of connection {number}")
                end.cancel()
                flood.cancel()
            plug(gadget)
            await aio.deadline(STEP_MS, found_back(pc, terminal), f"re-plug {number}")
            if number % 25 == 0:
                tell(f"{number} re-plugs of the PC's cable")

    run(story, STORM_MS)
