"""RawNet on MicroPython's ``socket``: lwIP on boards, the kernel on unix.

A chip's ``getaddrinfo`` holds the interpreter until lwIP gives up (extmod/modlwip.c), and
with it the watchdog's feeder: a name is asked for here, of the server that lwIP was
given (``network.ipconfig("dns")``). Where there is no such function, as on unix, the
port resolves.
"""

import socket

from firmware import aio
from firmware.buses.raw_net import NameUnknown, NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.buses.link_names import LinkNames

_EAGAIN = 11
_EALREADY = (114, 37)
_EINPROGRESS = (115, 119, 36)
_EISCONN = (106, 127, 56)
_DNS_PORT = 53
#: More than any answer that is taken.
_DATAGRAM = 513


def _code(error: OSError) -> int:
    return int(error.args[0]) if error.args else 0


class MpyConnection(RawConnection):
    """One connected socket."""

    def __init__(self, sock: "Any") -> None:
        self._sock = sock
        self._open = True

    async def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if not self._open:
                raise (BusError if at else NothingSent)("connection is closed")
            try:
                at += self._sock.send(data[at:])
            except OSError as error:
                if _code(error) != _EAGAIN:
                    raise (BusError if at else NothingSent)(
                        "send: error " + str(_code(error))
                    ) from None
                await aio.writable(self._sock)

    async def read(self, most: int) -> bytes:
        while True:
            if not self._open:
                raise BusError("connection is closed")
            try:
                data: bytes = self._sock.recv(most)
                return data
            except OSError as error:
                if _code(error) != _EAGAIN:
                    raise BusError("receive: error " + str(_code(error))) from None
            await aio.readable(self._sock)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._sock.close()


def name_servers() -> "tuple[str, ...]":
    """What lwIP was given by the interface that came up last; none where nobody says."""
    try:
        from network import ipconfig

        server = str(ipconfig("dns"))
    except (ImportError, OSError, ValueError, TypeError):
        return ()
    return (server,) if server.count(".") == 3 and server != "0.0.0.0" else ()


def _literal(host: str) -> bool:
    """Whether ``host`` is an address, so that nobody need be asked."""
    return ":" in host or all(sign in "0123456789." for sign in host)


class UdpMpy:
    """A UDP socket by the stack's one way out. OSError."""

    def __init__(self, interface: str) -> None:
        self._sock: "Any" = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        # A port's own form of an address, and whose it is.
        self._asked: "list[tuple[Any, tuple[str, int]]]" = []

    def send(self, data: bytes, server: "tuple[str, int]") -> None:
        """Send one datagram."""
        address = socket.getaddrinfo(server[0], server[1], 0, socket.SOCK_DGRAM)[0][-1]
        self._asked.append((address, server))
        self._sock.sendto(data, address)

    async def receive(self) -> "tuple[bytes, tuple[str, int]]":
        """Wait for one."""
        while True:
            try:
                data, sender = self._sock.recvfrom(_DATAGRAM)
            except OSError as error:
                if _code(error) != _EAGAIN:
                    raise
                await aio.readable(self._sock)
                continue
            for address, server in self._asked:
                if address == sender:
                    return data, server
            return data, ("", 0)

    def close(self) -> None:
        """Close at once."""
        self._sock.close()


class TcpMpy(RawNet):
    """``interface``: a ``network`` object with ``isconnected`` and ``status``,
    or None where the operating system keeps the link (unix port)."""

    def __init__(self, interface: "Any" = None) -> None:
        self._interface = interface
        self._names: "LinkNames | None" = None

    async def link(self) -> "tuple[bool, int]":
        if self._interface is None:
            return True, 4
        if not self._interface.isconnected():
            return False, 0
        try:
            rssi = int(self._interface.status("rssi"))
        except (OSError, ValueError, TypeError):  # a wired interface has none
            return True, 4
        # Usual steps of a bar: -55, -65, -75, -85 dBm.
        return True, max(0, min(4, (rssi + 95) // 10))

    async def _addresses(self, host: str) -> "list[str]":
        """What to connect to: the host itself where the port resolves. BusError."""
        servers = () if _literal(host) else name_servers()
        if not servers:
            return [host]
        if self._names is None:
            from firmware.buses.link_names import LastGood, LinkNames

            self._names = LinkNames(LastGood(), UdpMpy, _DNS_PORT)
        return await self._names.addresses(host, "", servers)

    def doubt(self, host: str) -> None:
        if self._names is not None:
            self._names.doubt(host)

    async def connect(self, host: str, port: int) -> MpyConnection:
        began = aio.ticks_ms()
        addresses = await self._addresses(host)
        name_ms = aio.elapsed_ms(began)
        failure: "BusError | None" = None
        connected = False
        try:
            for one in addresses:
                try:
                    found = await self._connect(one, port)
                except BusError as error:
                    failure = failure or error
                    continue
                if one != host:
                    found.name_ms = name_ms
                connected = True
                return found
        finally:
            if not connected:  # also when the caller's time was up
                self.doubt(host)
        raise failure or BusError("name " + host + " has no address")

    async def _connect(self, host: str, port: int) -> MpyConnection:
        try:
            address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        except (OSError, IndexError):
            raise NameUnknown("name " + host + " is unknown") from None
        try:
            sock: Any = socket.socket(address[0], socket.SOCK_STREAM)
        except OSError as error:  # a stack has few of them
            raise BusError("no socket: error " + str(_code(error))) from None
        try:
            sock.setblocking(False)
            await self._connected(sock, address[-1], host, port)
        except BaseException:
            sock.close()
            raise
        return MpyConnection(sock)

    @staticmethod
    async def _connected(sock: "Any", address: "Any", host: str, port: int) -> None:
        """Asking again is how a port without SO_ERROR tells what became of it."""
        while True:
            try:
                sock.connect(address)
                return
            except OSError as error:
                code = _code(error)
                if code in _EISCONN:
                    return
                if code not in _EINPROGRESS and code not in _EALREADY:
                    raise BusError(
                        "no connection to " + host + " port " + str(port) + ": error " + str(code)
                    ) from None
            await aio.writable(sock)
