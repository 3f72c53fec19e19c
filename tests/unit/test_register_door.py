"""The door of the registers' ports: who is let in, how many, and what goes wrong inside."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from host_tools.register import door as doors
from host_tools.register.door import Door
from host_tools.register.guard import Place
from host_tools.register.http_server import MOST_CONNECTIONS, BoundedServer, context_of
from host_tools.register.nexo import certificate
from host_tools.register.nexo.number_json import read
from tests.support.nexo_desk import told

#: Every address of this computer may connect.
HERE = Place("127.0.0.1", 0, (ipaddress.ip_network("127.0.0.0/8"),))
LIMIT_S = 60

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(port: int, address: str = "127.0.0.1") -> Streams:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def ended(streams: Streams) -> bytes:
    """What came until the other side hung up."""
    try:
        return await asyncio.wait_for(streams[0].read(), LIMIT_S)
    except ConnectionError:
        return b""
    finally:
        streams[1].close()


def opened(
    story: Callable[[Door, int, list[socket.socket]], Awaitable[None]],
    place: Place = HERE,
    most: int = 4,
    error: Exception | None = None,
) -> None:
    """A door behind which everybody is greeted and then waited for."""

    async def main() -> None:
        inside: list[socket.socket] = []

        async def serve(connection: socket.socket) -> None:
            inside.append(connection)
            try:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(connection, b"in")
                if error is not None:
                    raise error
                await loop.sock_recv(connection, 1)
            finally:
                inside.remove(connection)
                connection.close()

        door = Door("x", place, serve, most)
        port = door.open()
        try:
            await story(door, port, inside)
        finally:
            await door.close()
        assert inside == []

    asyncio.run(main())


async def let_in(port: int, address: str = "127.0.0.1") -> Streams:
    streams = await connect(port, address)
    assert await asyncio.wait_for(streams[0].readexactly(2), LIMIT_S) == b"in"
    return streams


def test_one_address_has_half_of_the_places_and_gets_them_back() -> None:
    async def story(door: Door, port: int, inside: list[socket.socket]) -> None:
        first, second = await let_in(port), await let_in(port)
        assert await ended(await connect(port)) == b""
        others = [await let_in(port, "127.0.0.2") for _ in range(2)]
        assert await ended(await connect(port, "127.0.0.3")) == b""
        assert len(inside) == 4
        first[1].close()
        while len(inside) == 4:
            await asyncio.sleep(0)
        again = await let_in(port)
        for one in (second, *others, again):
            one[1].close()

    opened(story)


def test_a_stranger_takes_no_place() -> None:
    async def story(door: Door, port: int, inside: list[socket.socket]) -> None:
        for _ in range(20):
            assert await ended(await connect(port, "127.0.0.9")) == b""
        assert inside == []
        (await let_in(port))[1].close()

    opened(story, Place("127.0.0.1", 0, (ipaddress.ip_network("127.0.0.1"),)))


def test_what_goes_wrong_inside_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(door: Door, port: int, inside: list[socket.socket]) -> None:
        for _ in range(3):
            assert await ended(await connect(port)) == b"in"

    opened(story, error=RuntimeError("no\nluck"))
    assert capsys.readouterr().err.count("x: RuntimeError no") == 3
    opened(story, error=BrokenPipeError("gone"))  # hung up: nothing to tell
    assert capsys.readouterr().err == ""


def test_a_system_without_descriptors_is_one_line_and_then_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doors, "_PAUSE_S", 0.01)

    async def story(door: Door, port: int, inside: list[socket.socket]) -> None:
        loop, left = asyncio.get_running_loop(), [2]
        accept = loop.sock_accept

        async def failing(listener: socket.socket) -> Any:
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return await accept(listener)

        monkeypatch.setattr(loop, "sock_accept", failing)
        (await let_in(port))[1].close()  # accepted before
        (await let_in(port))[1].close()

    opened(story)
    assert capsys.readouterr().err.splitlines() == ["x: OSError [Errno 24] Too many open files"] * 2


def test_silent_connections_do_not_fill_a_tls_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a handshake, too, one address holds half of the places and a stranger none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def main() -> None:
        certificate.make(tmp_path, "shop", ["localhost", "127.0.0.1"])
        context = context_of(tmp_path / certificate.SERVER_FILE)
        networks = (ipaddress.ip_network("127.0.0.0/29"),)
        server = BoundedServer("api", app, Place("127.0.0.1", 0, networks), context)
        await server.open()
        silent = [await connect(server.port, "127.0.0.1") for _ in range(MOST_CONNECTIONS * 2)]
        silent += [await connect(server.port, "127.0.0.9") for _ in range(MOST_CONNECTIONS)]
        hung_up = [asyncio.create_task(ended(one)) for one in silent]
        while sum(task.done() for task in hung_up) < len(silent) - MOST_CONNECTIONS // 2:
            await asyncio.sleep(0.01)
        trusted = ssl.create_default_context(cafile=tmp_path / certificate.ROOT_FILE)
        answers = []
        for path in (b"/", b"/broken"):
            streams = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=trusted, local_addr=("127.0.0.2", 0)
            )
            streams[1].write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answers.append(await ended(streams))
        assert answers[0].endswith(b"ok") and answers[1].startswith(b"HTTP/1.1 500")
        assert sum(not task.done() for task in hung_up) == MOST_CONNECTIONS // 2
        await server.close()
        await asyncio.gather(*hung_up)

    asyncio.run(main())
    told_here = capsys.readouterr().err
    assert "api: RuntimeError broken" in told_here and "Traceback" not in told_here


def test_a_failing_station_is_answered_with_500(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(desk: Any) -> None:
        async def failing(*_: Any) -> None:
            raise ArithmeticError("a fault")

        desk.station.answer = failing
        body = b'{"SaleToPOIRequest":{"MessageHeader":{}}}'
        status, answer = await desk.raw(body, x_api_key="secret")
        assert status == 500 and list(read(answer.decode())) == ["errors"]

    told(story)
    assert capsys.readouterr().err == "nexo: ArithmeticError a fault\n"
