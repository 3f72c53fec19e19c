"""HTTP bounded in size and time: one request a connection, from known addresses only."""

import asyncio
import socket
import ssl
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from host_tools.errors import UserError
from host_tools.register.door import Door, complain
from host_tools.register.guard import Place
from host_tools.texts import said

#: How long a TLS handshake, a request's head and the end of TLS may take.
HANDSHAKE_S, HEAD_S, SHUTDOWN_S = 10.0, 10.0, 5.0
MOST_CONNECTIONS = 32


def context_of(path: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with the key and certificates in ``path``. UserError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            said(
                "{path}: no certificate with its key ({error}); run till register setup",
                path=path,
                error=error,
            )
        ) from None
    return context


class _Complaining:
    """What an application raises is one line on standard error."""

    def __init__(self, name: str, app: ASGIApp) -> None:
        self._name = name
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - told in one line, whatever it is
            complain(self._name, error)


class _Connection(H11Protocol):
    """One request whose head comes in time. ``gone``: it has ended."""

    def __init__(self, config: uvicorn.Config, state: ServerState, head_s: float) -> None:
        super().__init__(config, state, {})
        self._head_s = head_s
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self._head_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()

    def _late(self) -> None:
        begun: object = self.cycle
        if begun is None:
            self.transport.abort()


class BoundedServer:
    """Listens while it is open. ``name``: the table or command that set it up, for errors;
    ``context``: None for plain HTTP; ``port``: where. The application answers each request
    with ``connection: close``."""

    def __init__(
        self,
        name: str,
        app: ASGIApp,
        place: Place,
        context: ssl.SSLContext | None,
        head_s: float = HEAD_S,
    ) -> None:
        # A request whose client hung up is at work still: they are counted, too.
        self._config = uvicorn.Config(
            _Complaining(name, app),
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS + 1,
        )
        self._door = Door(name, place, self._serve, MOST_CONNECTIONS)
        self._context = context
        self._head_s = head_s
        self._state = ServerState()
        self.port = place.port

    async def open(self) -> None:
        """Begin. UserError: the address is taken, or not ours."""
        self._config.load()
        self.port = self._door.open()

    async def close(self) -> None:
        """End; requests at work break off."""
        await self._door.close()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)

    async def _serve(self, connection: socket.socket) -> None:
        secure = self._context is not None
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: _Connection(self._config, self._state, self._head_s),
            connection,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_S if secure else None,
            ssl_shutdown_timeout=SHUTDOWN_S if secure else None,
        )
        try:
            await protocol.gone.wait()
        finally:
            transport.abort()
            await protocol.gone.wait()
