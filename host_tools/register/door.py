"""Connections to a register's port: known addresses, a bounded number, before anything is said."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable

from host_tools.pc_link.discovery import printable
from host_tools.register.guard import Place, listening

#: How long nobody is let in after the system could not.
_PAUSE_S = 1.0

Serve = Callable[[socket.socket], Awaitable[None]]


def complain(name: str, error: BaseException) -> None:
    """One line on standard error about what went wrong here."""
    print(f"{name}: {type(error).__name__} {printable(str(error), 200)}", file=sys.stderr)


class Door:
    """Listens while it is open. ``serve``: one connection to its end, which it closes; ``most``:
    connections at once, half of them from one address. Others are hung up on as they come."""

    def __init__(self, name: str, place: Place, serve: Serve, most: int) -> None:
        self._name = name
        self._place = place
        self._serve = serve
        self._most = most
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._served: dict[asyncio.Task[None], str] = {}

    def open(self) -> int:
        """Begin; the port. UserError: the address is taken, or not ours."""
        self._listener = listening(self._name, self._place)
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._listener))
        port: int = self._listener.getsockname()[1]
        return port

    async def close(self) -> None:
        """End; connections break off."""
        if self._accepting is None or self._listener is None:
            return
        tasks = [self._accepting, *self._served]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                complain(self._name, error)
                await asyncio.sleep(_PAUSE_S)
                continue
            if self._admits(peer):
                task = asyncio.create_task(self._one(connection))
                self._served[task] = peer[0]
                task.add_done_callback(self._served.pop)
            else:
                connection.close()
            await asyncio.sleep(0)  # however many come, those inside are served

    def _admits(self, peer: object) -> bool:
        if not isinstance(peer, tuple) or not self._place.admits(peer):
            return False
        held = list(self._served.values())
        return len(held) < self._most and held.count(peer[0]) < self._most // 2

    async def _one(self, connection: socket.socket) -> None:
        try:
            await self._serve(connection)
        except OSError:
            pass  # hung up, late, or no TLS
        except Exception as error:  # noqa: BLE001 - one connection's fault ends no other
            complain(self._name, error)
