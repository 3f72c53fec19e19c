"""Debian's pppd under the PPP carrier: the kernel's PPP at both ends, the far one in a
network of its own."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tty
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.data_line import DataLine
from firmware.buses.ppp_linux import PppCarrier
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError
from tests.rig.guest.waiting import until

CLONE_NEWNET = 0x40000000
FAR, NEAR, SERVER = "10.64.0.1", "10.64.0.7", "10.64.0.53"
ECHO = """
import socket
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 7777))
listener.listen()
while True:
    line, _ = listener.accept()
    while data := line.recv(4096):
        line.sendall(data.upper())
"""


class _Number:
    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


class FarEnd(DataLine):
    """A call whose far end is another pppd; ``more``: its options."""

    def __init__(self, *more: str) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        libc = ctypes.CDLL(None, use_errno=True)
        self.pppd = subprocess.Popen(
            ["pppd", os.ttyname(slave), "nodetach", "local", "nocrtscts", "nolock", "silent",
             f"{FAR}:{NEAR}", "ms-dns", SERVER, "nodefaultroute", *(more or ("noauth",))],
            preexec_fn=lambda: libc.unshare(CLONE_NEWNET),
        )  # fmt: skip
        self._slave = slave
        self._libc = libc
        self._echo: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """An echo at the far end, in its network."""
        libc, space = self._libc, os.open(f"/proc/{self.pppd.pid}/ns/net", os.O_RDONLY)
        self._echo = subprocess.Popen(
            ["python3", "-c", ECHO], preexec_fn=lambda: libc.setns(space, CLONE_NEWNET)
        )
        os.close(space)

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

    def close(self) -> None:
        for one in (self.pppd, self._echo):
            if one is not None:
                one.kill()
                one.wait()
        os.close(self._master)
        os.close(self._slave)


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
        end.close()


Near = Callable[..., PppCarrier]


def play(story: Callable[[Near], Awaitable[None]]) -> None:
    """Run ``story``, which gets a maker of carriers; these are down at the end."""

    async def main() -> None:
        made: list[PppCarrier] = []

        def near(*login: str) -> PppCarrier:
            made.append(PppCarrier(*login))
            return made[-1]

        try:
            await aio.deadline(50_000, story(near), "the story")  # type: ignore[arg-type]  # an async function's
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
        line.serve()
        net = TcpLinux(name)
        assert await net.link() == (True, 4)
        while True:
            try:
                stream = await net.connect(FAR, 7777)
                break
            except BusError:
                await aio.sleep_ms(200)
        await stream.write(b"over ppp" * 500)
        heard = b""
        while len(heard) < 4000:
            heard += await stream.read(4096)
        assert heard == b"OVER PPP" * 500
        stream.close()
        assert carrier.lost() == ""
        await carrier.down()
        assert not Path(f"/sys/class/net/{name}").exists()

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
        line.pppd.terminate()
        while not carrier.lost():
            await aio.sleep_ms(50)
        await carrier.down()
        again = far()
        assert await carrier.up(again) == NEAR
        await carrier.down()
        until(lambda: not list(Path("/sys/class/net").glob("ppp*")), "the end of the interface")

    play(story)


@pytest.mark.usefixtures("far")
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
