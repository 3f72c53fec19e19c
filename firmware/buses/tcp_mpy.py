"""RawNet on MicroPython's ``socket``: lwIP on boards, the kernel on unix.

Name resolution blocks the interpreter where the port has no other way.
"""

import socket

from firmware import aio
from firmware.buses.raw_net import NameUnknown, NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EAGAIN = 11
_EALREADY = (114, 37)
_EINPROGRESS = (115, 119, 36)
_EISCONN = (106, 127, 56)


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


class TcpMpy(RawNet):
    """``interface``: a ``network`` object with ``isconnected`` and ``status``,
    or None where the operating system keeps the link (unix port)."""

    def __init__(self, interface: "Any" = None) -> None:
        self._interface = interface

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

    async def connect(self, host: str, port: int) -> MpyConnection:
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
