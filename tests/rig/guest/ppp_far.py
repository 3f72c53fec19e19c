"""The far end of a call: Debian's pppd in a network of its own, with an echo and bad weather."""

from __future__ import annotations

import os
import subprocess
import tty
from contextlib import suppress
from pathlib import Path

from firmware import aio
from firmware.buses.raw_net import RawConnection
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError
from tests.rig.guest.waiting import until

FAR, NEAR, SERVER, PORT = "10.64.0.1", "10.64.0.7", "10.64.0.53", 7777
ECHO = f"""
import socket
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", {PORT}))
listener.listen()
while True:
    line, _ = listener.accept()
    try:
        while data := line.recv(4096):
            line.sendall(data.upper())
    except OSError:
        pass
"""


class FarNetwork:
    """What is behind ``number``, the near end of a pseudo-terminal; ``more``: pppd's options."""

    def __init__(self, *more: str) -> None:
        self.number, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.number, False)
        self.pppd = subprocess.Popen(
            ["busybox", "unshare", "-n", "pppd", os.ttyname(self._slave), "nodetach", "local",
             "nocrtscts", "nolock", "silent", f"{FAR}:{NEAR}", "ms-dns", SERVER, "nodefaultroute",
             *(more or ("noauth",))],
        )  # fmt: skip
        self._echo: subprocess.Popen[bytes] | None = None
        ours = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(self._space) != ours, "a network of its own")

    @property
    def _space(self) -> Path:
        return Path(f"/proc/{self.pppd.pid}/ns/net")

    def _inside(self, *command: str) -> list[str]:
        return ["busybox", "nsenter", f"--net={self._space}", *command]

    def serve(self) -> None:
        """An echo in that network, letters in capitals."""
        self._echo = subprocess.Popen(self._inside("python3", "-c", ECHO))

    def weather(self, delay_ms: int, jitter_ms: int, loss: int) -> None:
        """What comes from there is late, and ``loss`` of a hundred packets do not come."""
        netem = ["/sbin/tc", "qdisc", "replace", "dev", "ppp0", "root", "netem", "delay",
                 f"{delay_ms}ms", f"{jitter_ms}ms", "loss", f"{loss}%"]  # fmt: skip
        subprocess.run(self._inside(*netem), check=True)

    def close(self) -> None:
        """It is gone, without a word on the line."""
        for one in (self.pppd, self._echo):
            if one is not None:
                one.kill()
                one.wait()
        os.close(self.number)
        os.close(self._slave)


class CallEnd:
    """A network at the end of a modem's call, as the virtual modem wants it."""

    def __init__(self) -> None:
        self.network = FarNetwork()
        self._waiting = b""

    @property
    def closed(self) -> bool:
        """Whether the far end hung up: its PPP ended."""
        return self.network.pppd.poll() is not None

    def feed(self, data: bytes) -> None:
        """Bytes of the call."""
        self._waiting += data
        self._push()

    def _push(self) -> None:
        with suppress(BlockingIOError):
            while self._waiting:
                self._waiting = self._waiting[os.write(self.network.number, self._waiting) :]

    def take(self) -> bytes:
        """What comes back."""
        self._push()
        try:
            return os.read(self.network.number, 4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """The call ended."""
        self.network.close()


async def reached(interface: str) -> RawConnection:
    """The echo, once it is there."""
    while True:
        try:
            return await TcpLinux(interface).connect(FAR, PORT)
        except BusError:
            await aio.sleep_ms(200)


async def goes_through(stream: RawConnection, count: int) -> None:
    """Bytes there and back, none lost."""
    await stream.write((b"over ppp" * count)[:count])
    heard = b""
    while len(heard) < count:
        heard += await stream.read(4096)
    assert heard == (b"OVER PPP" * count)[:count]
