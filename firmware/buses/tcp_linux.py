"""RawNet on the Linux kernel's TCP, by non-blocking sockets (CPython).

A link that knows its own name servers asks those, through itself (link_names.py). For
one that does not the system resolves: that blocks, so it runs in one thread. A literal
address needs neither.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable

from firmware import aio
from firmware.buses.link_names import LastGood, LinkNames
from firmware.buses.names_linux import in_table, is_server, names_of
from firmware.buses.raw_net import NameUnknown, NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError
from firmware.errors import Timeout

_NET = "/sys/class/net"
#: netdevice(7): an interface's address.
_SIOCGIFADDR = 0x8915

#: One address of several may be a black hole; the next gets its turn after this.
_ADDRESS_MS = 5000
#: The system may ask servers that cannot be reached for a long time: what was good
#: before is taken after this.
_SYSTEM_MS = 2000


def _why(error: OSError) -> str:
    return error.strerror or str(error)


class TcpConnection(RawConnection):
    """One connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._open = True

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        at = 0
        while at < len(view):
            if not self._open:
                raise (BusError if at else NothingSent)("connection is closed")
            try:
                at += self._sock.send(view[at:], socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                await aio.writable(self._sock)
            except OSError as error:
                raise (BusError if at else NothingSent)(_why(error)) from None

    async def read(self, most: int) -> bytes:
        while True:
            if not self._open:
                raise BusError("connection is closed")
            try:
                return self._sock.recv(most)
            except (BlockingIOError, InterruptedError):
                await aio.readable(self._sock)
            except OSError as error:
                raise BusError(_why(error)) from None

    def close(self) -> None:
        if self._open:
            self._open = False
            self._sock.close()


class TcpLinux(RawNet):
    """``interface``: the bearer's name ("eth0"): connections leave by it alone, whatever
    other routes there are; or "" for any but loopback. A function gives the name of a
    bearer whose interface changes, and "" while it has none: then nothing leaves.

    ``servers``: gives the link's own name servers now. While there are none, names are
    resolved by the system, whichever interface that uses.
    """

    def __init__(
        self,
        interface: "str | Callable[[], str]" = "",
        servers: Callable[[], tuple[str, ...]] = tuple,
        names: Callable[[LastGood], LinkNames] = names_of,
    ) -> None:
        self._named = interface
        self._servers = servers
        self._kept = LastGood()
        self._names = names(self._kept)
        self._resolver: aio.Worker | None = None

    def _interface(self) -> str:
        """The one to leave by; "" for any. BusError."""
        if isinstance(self._named, str):
            return self._named
        name = self._named()
        if not name:
            raise BusError("this link has no interface now")
        return name

    async def link(self) -> tuple[bool, int]:
        try:
            name = self._interface()
        except BusError:
            return False, 0
        names = [name] if name else self._interfaces()
        up = any(self._is_up(name) for name in names)
        return up, 4 if up else 0

    def address(self) -> str:
        try:
            name = self._interface()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                request = struct.pack("16sH14x", name.encode(), socket.AF_INET)
                answer = fcntl.ioctl(asked, _SIOCGIFADDR, request)
        except (BusError, OSError, struct.error):
            return ""  # it is not there, or has no address
        return socket.inet_ntoa(answer[20:24])

    @staticmethod
    def _interfaces() -> list[str]:
        try:
            return [name for name in os.listdir(_NET) if name != "lo"]
        except OSError:
            return []

    @staticmethod
    def _is_up(name: str) -> bool:
        try:
            with open(f"{_NET}/{name}/operstate", encoding="ascii") as file:
                state = file.read().strip()
        except OSError:
            return False
        if state != "unknown":  # point-to-point links do not know
            return state == "up"
        try:
            with open(f"{_NET}/{name}/carrier", encoding="ascii") as file:
                return file.read().strip() == "1"
        except OSError:
            return False

    def doubt(self, host: str) -> None:
        self._names.doubt(host)

    async def connect(self, host: str, port: int) -> TcpConnection:
        failure = f"{host} has no address"
        name = self._interface()
        started = aio.ticks_ms()
        addresses = await self._resolve(host, port, name)
        name_ms = aio.elapsed_ms(started)
        found: TcpConnection | None = None
        try:
            for family, address in addresses:
                try:
                    opening = self._open(family, address, name)
                    found = await aio.deadline(_ADDRESS_MS, opening, "connecting")
                except (BusError, Timeout) as error:
                    failure = str(error)
                else:
                    found.name_ms = name_ms
                    return found
        finally:
            if found is None:  # also when the caller's time was up
                self._names.doubt(host)
        raise BusError(f"no connection to {host} port {port}: {failure}")

    async def _resolve(
        self, host: str, port: int, interface: str
    ) -> list[tuple[int, tuple[str, int]]]:
        try:
            return self._lookup(host, port, socket.AI_NUMERICHOST)
        except UnicodeError as error:
            raise NameUnknown(f"name {host} is malformed: {error}") from None
        except OSError:
            pass  # a name
        servers = tuple(one for one in self._servers() if is_server(one)) if interface else ()
        if not servers:
            return await self._by_system(host, port)
        named = in_table(host) or await self._names.addresses(host, interface, servers)
        return self._literals(named, port)

    def _literals(self, named: list[str], port: int) -> list[tuple[int, tuple[str, int]]]:
        found = []
        for literal in named:
            try:
                found += self._lookup(literal, port, socket.AI_NUMERICHOST)
            except OSError:
                pass  # of a family that this system does not have
        return found

    async def _by_system(self, host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        if self._resolver is None:
            self._resolver = aio.Worker("resolver")
        asking = self._resolver.call(self._lookup, host, port, 0)
        known = self._kept.any(host)
        try:
            named, found = await aio.first(
                ("found", asking), timeout_ms=_SYSTEM_MS if known else None
            )
        except socket.gaierror as error:
            if error.errno != socket.EAI_AGAIN or not known:
                raise NameUnknown(f"name {host} is unknown: {error}") from None
            named = "timeout"
        except (OSError, UnicodeError) as error:
            raise NameUnknown(f"name {host} is unknown: {error}") from None
        if named == "timeout":
            return self._literals(known, port)
        self._kept.keep(host, [address[0] for _, address in found], 0)
        return list(found)

    @staticmethod
    def _lookup(host: str, port: int, flags: int) -> list[tuple[int, tuple[str, int]]]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]  # addresses of TCP begin (host, port)

    @staticmethod
    async def _open(family: int, address: tuple[str, int], interface: str) -> TcpConnection:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            raise BusError(_why(error)) from None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if interface:
                # socket(7): allowed to everybody since Linux 5.7.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            code = sock.connect_ex(address)
            if code in (errno.EINPROGRESS, errno.EINTR):
                await aio.writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise BusError(os.strerror(code))
        except OSError as error:
            sock.close()
            raise BusError(_why(error)) from None
        except BaseException:
            sock.close()
            raise
        return TcpConnection(sock)
