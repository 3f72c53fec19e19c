"""PC pipe: a port of TCP on the shop's network (Linux).

One PC at a time. The link above knows who it is and lets nobody read along; what this port
keeps out is only a second caller while the first one talks.
"""

import socket

from firmware import aio
from firmware.hal.pc_pipe import PcPipe, PipeClosed

#: A caller who was silent for so long makes room for the next; the link's own pings come
#: more often.
SILENT_MS = 15_000
#: A PC that takes nothing for so long has gone.
STALLED_MS = 15_000


class PcSocket(PcPipe):
    """A listening socket, opened at the first read."""

    reliable = True

    def __init__(self) -> None:
        self._server: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._heard = 0
        self._closed = False
        self._sending = aio.Lock()

    def _listen(self) -> socket.socket:
        """A socket that listens. OSError."""
        raise NotImplementedError

    def _prepare(self, peer: socket.socket) -> None:
        """Set up a caller's socket. OSError."""

    async def read(self, most: int) -> bytes:
        """Wait for a PC, then for its bytes. PipeClosed when it hung up, or another took its
        place; a later read may find one."""
        while True:
            if self._closed:
                raise PipeClosed("the pipe was closed here")
            server = self._opened()
            peer = self._peer
            if peer is None:
                await aio.readable(server)
                self._accept(server)
                continue
            try:
                data = peer.recv(most)
            except (BlockingIOError, InterruptedError):
                who, _ = await aio.first(
                    ("peer", aio.readable(peer)), ("caller", aio.readable(server))
                )
                if who == "caller":
                    self._called(server)
                continue
            except OSError as error:
                self._drop()
                raise PipeClosed(error.strerror or str(error)) from None
            if not data:
                self._drop()
                raise PipeClosed("the PC hung up")
            self._heard = aio.ticks_ms()
            return data

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. PipeClosed."""
        async with self._sending:
            view = memoryview(data)
            while view:
                peer = self._peer
                if peer is None:
                    raise PipeClosed("no PC is there")
                try:
                    view = view[peer.send(view, socket.MSG_NOSIGNAL) :]
                except (BlockingIOError, InterruptedError):
                    name, _ = await aio.first(("room", aio.writable(peer)), timeout_ms=STALLED_MS)
                    if name == "timeout":
                        self._hang_up(peer)
                except OSError as error:
                    raise PipeClosed(error.strerror or str(error)) from None

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        self._closed = True
        self._drop()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _opened(self) -> socket.socket:
        if self._server is None:
            try:
                server = self._listen()
            except OSError as error:
                raise PipeClosed(error.strerror or str(error)) from None
            server.setblocking(False)
            self._server = server
        return self._server

    def _accept(self, server: socket.socket) -> None:
        """Take the next caller, if he is still there."""
        try:
            peer, _ = server.accept()
            peer.setblocking(False)
            self._prepare(peer)
        except OSError:
            return
        self._peer = peer
        self._heard = aio.ticks_ms()

    def _called(self, server: socket.socket) -> None:
        """Somebody calls while a PC is there. PipeClosed when he takes a silent one's place."""
        if aio.elapsed_ms(self._heard) >= SILENT_MS:
            self._drop()
            self._accept(server)
            raise PipeClosed("another PC called, and this one was silent")
        try:
            server.accept()[0].close()
        except OSError:
            pass  # he has gone already

    def _hang_up(self, peer: socket.socket) -> None:
        """End a connection that both directions may wait at: the reader finds out."""
        try:
            peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is down already
        raise PipeClosed("the PC takes nothing")

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None


class PcTcp(PcSocket):
    """``port``: of every address that the terminal has. ``announced``: serial number and board
    to tell the network by mDNS; None: it is told nothing."""

    def __init__(self, port: int, announced: "tuple[str, str] | None" = None) -> None:
        super().__init__()
        self._port = port
        self._announced = announced
        self._announcing: aio.Task | None = None

    @property
    def port(self) -> int:
        """The port listened on, 0 before the first read."""
        return 0 if self._server is None else int(self._server.getsockname()[1])

    def _listen(self) -> socket.socket:
        server = socket.create_server(("", self._port), backlog=2)
        if self._announced is not None and self._announcing is None:
            from firmware.drivers.mdns_linux import announce

            port = server.getsockname()[1]
            self._announcing = aio.spawn("mDNS", announce(*self._announced, port))
        return server

    def _prepare(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def close(self) -> None:
        """Close, and say goodbye to the network. Never raises, may be called twice."""
        await super().close()
        if self._announcing is not None:
            self._announcing.cancel()
            await self._announcing.done.wait()
            self._announcing = None
