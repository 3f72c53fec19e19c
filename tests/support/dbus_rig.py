"""A D-Bus of our own, with Debian's real services on it or services that a test plays."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.buses.wire import BusError
from host_tools.emulator.chips.at_modem import AtModemChip

SCRIPT = Path(__file__).with_name("dbus.sh")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "dbus"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


@cache
def why_not() -> str:
    """Why Debian's services cannot run here, "" if they can. Fetches them at first."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "NetworkManager in namespaces of its own needs Linux and root"
    for tool in ("unshare", "ip", "flock", "apt-get", "dpkg"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        done = subprocess.run([str(SCRIPT), "prepare"], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "Debian's services could not be fetched within five minutes"
    return f"Debian's services are not there: {done.stderr.strip()[-300:]}" * bool(done.returncode)


class PrivateBus:
    """A dbus-daemon at ``address`` that nobody else knows, from construction to ``close``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="opentill-dbus-"))
        self.address = f"unix:path={self.folder}/bus"
        (self.folder / "bus.conf").write_text(CONFIG.format(folder=self.folder))
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self.start()

    def start(self) -> None:
        """Start the bus, again after ``stop``; it listens when this returns."""
        command = ["dbus-daemon", "--nofork", "--print-address",
                   f"--config-file={self.folder}/bus.conf"]  # fmt: skip
        with (self.folder / "bus.log").open("wb") as log:
            program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        self._programs["bus"] = program
        assert program.stdout is not None
        with program.stdout:
            if not program.stdout.readline():
                raise RuntimeError("dbus-daemon did not start")

    async def run(self, service: str, name: str) -> None:
        """Start a service of dbus.sh, and wait until it has ``name`` on the bus."""
        with (self.folder / f"{service}.log").open("wb") as log:
            self._programs[service] = subprocess.Popen(
                [str(SCRIPT), service, str(self.folder)], stdout=log, stderr=log
            )
        bus = DBus(self.address)

        async def there() -> None:
            daemon = "org.freedesktop.DBus"
            while not (
                await bus.call(daemon, "/org/freedesktop/DBus", daemon, "NameHasOwner", "s", [name])
            )[0]:
                if self._programs[service].poll() is not None:
                    raise RuntimeError(f"{service} ended: {self.log(service)}")
                await aio.sleep_ms(50)

        try:
            await aio.deadline(30_000, there(), service)
        finally:
            await bus.close()

    def log(self, service: str) -> str:
        """What a service said, its last part."""
        return (self.folder / f"{service}.log").read_text(errors="replace")[-2000:]

    def stop(self, service: str = "bus") -> None:
        """End a service, or the bus itself."""
        program = self._programs.pop(service, None)
        if program is None:
            return
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        if service == "bus":
            (self.folder / "bus").unlink(missing_ok=True)

    def close(self) -> None:
        """End all of it."""
        for service in reversed(list(self._programs)):
            self.stop(service)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def private_bus() -> Iterator[PrivateBus]:
    """A bus for one test."""
    bus = PrivateBus()
    try:
        yield bus
    finally:
        bus.close()


class ModemSocket:
    """A virtual modem's port on a Unix socket, as ModemManager's test interface wants it."""

    def __init__(self, chip: AtModemChip, path: Path) -> None:
        self.chip = chip
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(2)
        self._listener.setblocking(False)
        self._task = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            line, _ = await loop.sock_accept(self._listener)
            line.setblocking(False)
            with line, suppress(OSError):
                await self._carry(loop, line)
            # A port that is closed lets DTR fall, and that ends its call (V.250, 6.2.9).
            self.chip.port(0).end_call()

    async def _carry(self, loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
        port = self.chip.port(0)
        while True:
            try:
                said = await asyncio.wait_for(loop.sock_recv(line, 512), 0.01)
                if not said:
                    return
                port.transfer(1, said)
            except TimeoutError:
                pass
            told = port.transfer(2, (512).to_bytes(2, "big"))[0]
            if told:
                await loop.sock_sendall(line, told)

    async def close(self) -> None:
        """The modem is gone."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._listener.close()


# ---- played services ----------------------------------------------------------------------


class Refused(Exception):
    """A method's error: its D-Bus name and text."""


Handler = Callable[..., tuple[str, list[Any]]]
Properties = dict[str, Variant]


class Played:
    """A service whose objects and methods a test makes.

    ``objects``: path, interface, property. ``methods``: (interface, member) to a
    function of the path and the arguments, which gives signature and results or
    raises Refused. Faults: members in ``silent`` are not answered, those in
    ``late_s`` so much later, and as many answers as ``hold`` says are kept back
    and then given in the wrong order.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, dict[str, Properties]] = {}
        self.methods: dict[tuple[str, str], Handler] = {}
        self.silent: set[str] = set()
        self.late_s: dict[str, float] = {}
        self.hold = 0
        #: Members called, in order.
        self.called: list[str] = []
        self._held: list[Message] = []
        self._bus: Any = None

    async def appear(self, address: str) -> None:
        """Take the name on the bus."""
        self._bus = await MessageBus(bus_address=address).connect()
        self._bus.add_message_handler(self._take)
        await self._bus.request_name(self.name)

    async def vanish(self) -> None:
        """Leave the bus, as a service that crashed."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            await bus.wait_for_disconnect()

    def signal(self, path: str, interface: str, member: str, types: str, *body: Any) -> None:
        """Tell everybody."""
        if self._bus is not None:
            self._bus.send(Message.new_signal(path, interface, member, types, list(body)))

    def later(self, seconds: float, act: Callable[..., None], *args: Any) -> None:
        """Do something soon."""
        asyncio.get_running_loop().call_later(seconds, act, *args)

    def _take(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        member = message.member or ""
        self.called.append(member)
        if member in self.silent:
            return True
        try:
            signature, body = self._answer(message)
            reply = Message.new_method_return(message, signature, body)
        except Refused as error:
            reply = Message.new_error(message, *error.args)
        self.later(self.late_s.get(member, 0), self._send, reply)
        return True

    def _send(self, reply: Message) -> None:
        if self.hold:
            self._held.append(reply)
            if len(self._held) < self.hold:
                return
            self.hold, held, self._held = 0, self._held, []
        else:
            held = [reply]
        for one in reversed(held):
            if self._bus is not None:
                self._bus.send(one)

    def _answer(self, message: Message) -> tuple[str, list[Any]]:
        key = (message.interface, message.member)
        if key in self.methods:
            return self.methods[key](message.path, *message.body)
        if message.member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self.objects]
        known = self.objects.get(message.path or "")
        if known is None:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", "no such object")
        if message.member == "GetAll":
            return "a{sv}", [known.get(message.body[0], {})]
        if message.member == "Set":
            interface, name, value = message.body
            known[interface][name] = value
            return "", []
        raise Refused("org.freedesktop.DBus.Error.UnknownMethod", "no such method")


async def gone(bus: DBus, call: tuple[Any, ...]) -> str:
    """The BusError of a call that must fail."""
    try:
        await bus.call(*call)
    except BusError as error:
        return str(error)
    raise AssertionError("it was answered")
