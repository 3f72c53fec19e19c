"""A host's name asked by a socket of our own, where lwIP tells its name server."""

import socket
import sys

from firmware import aio
from firmware.buses import tcp_mpy
from firmware.buses.raw_net import NameUnknown

HOST = "bank.test"


class _Network:
    """What a chip's ``network`` says."""

    @staticmethod
    def ipconfig(what: str) -> str:
        if what != "dns":
            raise ValueError(what)
        return "127.0.0.1"


def _bound(kind: int) -> "tuple[socket.socket, int]":
    """A socket on a free port: not every port of MicroPython tells which it took."""
    sock = socket.socket(socket.AF_INET, kind)
    for port in range(42000, 42400):
        try:
            sock.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        except OSError:
            continue
        sock.setblocking(False)
        return sock, port
    raise AssertionError("no free port")


def _answer(question: bytes, ident: int = 0) -> bytes:
    """127.0.0.1, which holds for a minute."""
    first = bytes((question[0] ^ ident,)) + question[1:2]
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
    return first + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + record


async def _story() -> None:
    names, dns_port = _bound(socket.SOCK_DGRAM)
    host, port = _bound(socket.SOCK_STREAM)
    host.listen(4)
    tcp_mpy._DNS_PORT = dns_port
    asked = []

    async def serve() -> None:
        while True:
            await aio.readable(names)
            question, sender = names.recvfrom(512)
            asked.append(question)
            if len(asked) > 1 and b"\4bank" in question:
                names.sendto(_answer(question, 1), sender)  # somebody else's number
                names.sendto(_answer(question), sender)

    serving = aio.spawn("name server", serve())
    net = tcp_mpy.TcpMpy()
    for _ in range(2):
        connection = await net.connect(HOST, port)
        assert connection.name_ms >= 0
        connection.close()
    assert len(asked) == 2  # the first was lost; the answer holds
    net.doubt(HOST)
    (await net.connect(HOST, port)).close()
    assert len(asked) == 3
    (await net.connect("127.0.0.1", port)).close()
    assert len(asked) == 3
    try:
        await net.connect("other.test", port)
        raise AssertionError("nobody knows it")
    except NameUnknown as error:
        assert "no name server answers" in str(error)
    assert len(asked) == 7
    serving.cancel()
    await serving.done.wait()
    names.close()
    host.close()


def test_a_name_is_asked_for_without_holding_the_interpreter() -> None:
    before = sys.modules.get("network")
    sys.modules["network"] = _Network  # type: ignore[assignment]  # it has what is used
    try:
        aio.run(_story())
    finally:
        if before is None:
            del sys.modules["network"]
        else:
            sys.modules["network"] = before
        tcp_mpy._DNS_PORT = 53
