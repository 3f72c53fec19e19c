"""Debian's pppd under the PPP carrier: the kernel's PPP at both ends, the far one in a
network of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.data_line import DataLine
from firmware.buses.ppp_linux import PppCarrier
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError
from tests.rig.guest.ppp_far import FAR, NEAR, PORT, SERVER, FarNetwork, goes_through, reached
from tests.rig.guest.waiting import Story, until


class _Number:
    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


class FarEnd(DataLine):
    """A call to a network."""

    def __init__(self, *more: str) -> None:
        self.network = FarNetwork(*more)
        self._master = self.network.number

    async def read(self, most: int) -> bytes:
        while True:
            try:
                return os.read(self._master, most)
            except BlockingIOError:
                await aio.readable(_Number(self._master))
            except OSError:
                return b""

    async def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await aio.writable(_Number(self._master))
            except OSError as error:
                raise BusError(str(error)) from None


@pytest.fixture
def far(need: Callable[..., None]) -> Iterator[Callable[..., FarEnd]]:
    if shutil.which("pppd") is None:
        pytest.skip("the guest has no pppd")
    need("ppp_generic", "ppp_async")
    ends: list[FarEnd] = []

    def made(*more: str) -> FarEnd:
        ends.append(FarEnd(*more))
        return ends[-1]

    yield made
    for end in ends:
        end.network.close()


Near = Callable[..., PppCarrier]


def play(story: Callable[[Near], Story]) -> None:
    """Run ``story``, which gets a maker of carriers; these are down at the end."""

    async def main() -> None:
        made: list[PppCarrier] = []

        def near(user: str = "", password: str = "") -> PppCarrier:
            made.append(PppCarrier(user, password))
            return made[-1]

        try:
            await aio.deadline(50_000, story(near), "the story")
        finally:
            for one in made:
                await one.down()

    aio.run(main())


def test_addresses_name_servers_and_bytes_both_ways(far: Callable[..., FarEnd]) -> None:
    async def story(near: Near) -> None:
        line = far()
        carrier = near()
        assert await carrier.up(line) == NEAR
        name = carrier.interface
        assert name.startswith("ppp") and carrier.dns[0] == SERVER
        assert Path(f"/sys/class/net/{name}").exists()
        routes = Path("/proc/net/route").read_text()
        assert any(row.split()[:2] == [name, "00000000"] for row in routes.splitlines())
        line.network.serve()
        assert await TcpLinux(name).link() == (True, 4)
        stream = await reached(name)
        await goes_through(stream, 4000)
        stream.close()
        assert carrier.lost() == ""
        await carrier.down()
        assert not Path(f"/sys/class/net/{name}").exists()

    play(story)


def test_late_lost_and_no_packets(far: Callable[..., FarEnd]) -> None:
    async def story(near: Near) -> None:
        line = far()
        carrier = near()
        await carrier.up(line)
        line.network.serve()
        line.network.weather(300, 150, 15)
        stream = await reached(carrier.interface)
        await goes_through(stream, 20_000)
        line.network.weather(0, 0, 100)
        await stream.write(b"is anybody there")
        silent, _ = await aio.first(("an answer", stream.read(16)), timeout_ms=3000)
        assert silent == "timeout"
        with pytest.raises(BusError):
            await TcpLinux(carrier.interface).connect(FAR, PORT)
        assert carrier.lost() == ""  # that nothing comes is the probe's to find out
        line.network.weather(20, 0, 0)
        assert await stream.read(16) == b"IS ANYBODY THERE"
        stream.close()

    play(story)


def test_a_wrong_password_is_named(far: Callable[..., FarEnd]) -> None:
    secrets = Path("/etc/ppp/chap-secrets")
    secrets.write_text('"shop" * "right one" *\n')

    async def story(near: Near) -> None:
        auth = ("auth", "require-chap", "refuse-pap")
        with pytest.raises(BusError, match="refuses user name or password"):
            await near("shop", "wrong one").up(far(*auth))
        carrier = near("shop", "right one")
        assert await carrier.up(far(*auth)) == NEAR
        await carrier.down()

    play(story)


def test_a_far_end_that_ends_the_link_is_noticed(far: Callable[..., FarEnd]) -> None:
    async def story(near: Near) -> None:
        line = far()
        carrier = near()
        await carrier.up(line)
        line.network.pppd.terminate()
        while not carrier.lost():
            await aio.sleep_ms(50)
        await carrier.down()
        again = far()
        assert await carrier.up(again) == NEAR
        await carrier.down()
        until(lambda: not list(Path("/sys/class/net").glob("ppp*")), "the end of the interface")

    play(story)


@pytest.fixture
def quick() -> Iterator[None]:
    """Our pppd asks again after a second instead of three, by the system's options."""
    system = Path("/etc/ppp/options")
    before = system.read_text()
    system.write_text(before + "\nlcp-restart 1\n")
    yield
    system.write_text(before)


@pytest.mark.usefixtures("far", "quick")
def test_a_call_without_ppp_is_no_agreement() -> None:
    class Silent(DataLine):
        async def read(self, most: int) -> bytes:
            await aio.Event().wait()
            return b""

        async def write(self, data: bytes) -> None:
            pass

    async def story(near: Near) -> None:
        with pytest.raises(BusError, match=r"PPP: no agreement"):
            await near().up(Silent())

    play(story)
