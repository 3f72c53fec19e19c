"""HTTP bounded in size and time: one request a connection, from known addresses only."""

import asyncio
import ssl
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from host_tools.errors import UserError
from host_tools.register.guard import Place, listening
from host_tools.texts import said

#: How long a TLS handshake and a request's head may take.
HANDSHAKE_S, HEAD_S = 10.0, 10.0
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
        self._name = name
        self._app = app
        self._place = place
        self._context = context
        self._head_s = head_s
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self.port = place.port

    async def open(self) -> None:
        """Begin. UserError: the address is taken, or not ours."""
        place, head_s = self._place, self._head_s
        config = uvicorn.Config(
            self._app,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
        )
        config.load()
        state = self._state

        class Connection(H11Protocol):
            """One request from an address in the list, whose head comes in time."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if not place.admits(transport.get_extra_info("peername")):
                    transport.abort()
                    return
                self.loop.call_later(head_s, self._late)

            def _late(self) -> None:
                begun: object = self.cycle
                if begun is None:
                    self.transport.abort()

        listener = listening(self._name, place)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(config, state, {}),
            sock=listener,
            ssl=self._context,
            ssl_handshake_timeout=None if self._context is None else HANDSHAKE_S,
        )

    async def close(self) -> None:
        """End; requests at work break off."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await self._server.wait_closed()
