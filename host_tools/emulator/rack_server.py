"""Serves a rack to devices in other processes over the wire's frames.

One server, any number of clients one after another or at once (a terminal
that restarts, a second interpreter); the chips are the same for all. With a
``WireClock`` the chips live on the time that requests carry, in lock-step
with the device; without one the rack keeps its own clock.
"""

import asyncio
import contextlib
import os
from pathlib import Path

from firmware.buses.wire import BusError
from host_tools.emulator.rack import Rack

MAX_FRAME = 65535


class WireClock:
    """A clock that follows the greatest time seen in a request."""

    def __init__(self, start_us: int = 0) -> None:
        self._now = start_us

    def __call__(self) -> int:
        """Now, in us."""
        return self._now

    def follow(self, time_us: int) -> None:
        """Move forward to ``time_us``; never back."""
        self._now = max(self._now, time_us)


class FrameError(Exception):
    """A request that is not a frame of the wire."""


def decode_request(body: bytes) -> tuple[str, int, int, bytes]:
    """(bus, op, time_us, payload) of a request's body."""
    if not body or len(body) < 10 + body[0] or body[0] == 0:
        raise FrameError("request is too short")
    end = 1 + body[0]
    try:
        bus = body[1:end].decode("ascii")
    except UnicodeDecodeError:
        raise FrameError("bus name is not ASCII") from None
    return bus, body[end], int.from_bytes(body[end + 1 : end + 9], "big"), body[end + 9 :]


def encode_answer(status: int, busy_us: int, payload: bytes) -> bytes:
    """One answer frame; a payload that does not fit becomes an error."""
    if len(payload) > MAX_FRAME - 5:
        status, payload = 1, b"wire: answer does not fit a frame"
    body = bytes((status,)) + min(busy_us, 0xFFFFFFFF).to_bytes(4, "big") + payload
    return len(body).to_bytes(2, "big") + body


class RackServer:
    """Listens on a Unix socket, or on a loopback TCP port, or both."""

    def __init__(self, rack: Rack, clock: WireClock | None = None) -> None:
        self.rack = rack
        self._clock = clock
        self._servers: list[asyncio.Server] = []
        self._peers: set[asyncio.StreamWriter] = set()

    async def listen_unix(self, path: str) -> None:
        """Listen on ``path``, which only the owner may open."""
        Path(path).unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            self._servers.append(await asyncio.start_unix_server(self._serve, path))
        finally:
            os.umask(old)

    async def listen_tcp(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; returns the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def answer(self, body: bytes) -> bytes:
        """The answer frame to one request's body."""
        try:
            bus, op, time_us, payload = decode_request(body)
        except FrameError as error:
            return encode_answer(1, 0, f"wire: {error}".encode())
        if self._clock is not None:
            self._clock.follow(time_us)
        try:
            data, busy = self.rack.transfer(bus, op, payload)
        except BusError as error:
            return encode_answer(1, 0, str(error).encode())
        return encode_answer(0, busy, data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peers.add(writer)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                writer.write(self.answer(await reader.readexactly(size)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the device hung up: it was switched off
        finally:
            self._peers.discard(writer)
            writer.close()

    async def close(self) -> None:
        """Stop listening and hang up."""
        for server in self._servers:
            server.close()
        for writer in list(self._peers):
            writer.close()
        for server in self._servers:
            with contextlib.suppress(ConnectionError):
                await server.wait_closed()
        self._servers.clear()
