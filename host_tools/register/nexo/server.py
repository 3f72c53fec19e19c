"""nexo over HTTPS: one POST a connection, bounded in size and time, from known registers only."""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from host_tools.errors import UserError
from host_tools.register.guard import Place, listening
from host_tools.register.nexo import number_json, sealed
from host_tools.register.nexo.messages import BadMessage
from host_tools.register.nexo.number_json import NotJson
from host_tools.register.nexo.station import Speaker, Station
from host_tools.texts import said

#: The longest body; how long a TLS handshake, a request's head and its body may take.
MOST_BODY, HANDSHAKE_S, HEAD_S, BODY_S = 65_536, 10.0, 10.0, 10.0
MOST_CONNECTIONS = 32
PATH = "/nexo"


@dataclass(frozen=True)
class Client:
    """A register: its sealing key, or the API key of one that speaks plain."""

    speaker: Speaker
    key: sealed.Key | None = None
    api_key: str = ""


class NexoApp:
    """The ASGI application around a Station."""

    def __init__(self, station: Station, clients: Sequence[Client], body_s: float = BODY_S) -> None:
        self._station = station
        self._keys = [client.key for client in clients if client.key is not None]
        self._speakers = {
            (client.key.identifier, client.key.version): client.speaker
            for client in clients
            if client.key is not None
        }
        self._plain = [
            (hashlib.sha256(client.api_key.encode()).digest(), client.speaker)
            for client in clients
            if client.api_key
        ]
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, text = await self._answered(scope, receive)
        body = text.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[int, str]:
        if scope["path"].rstrip("/") != PATH:
            return 404, _error("the path is /nexo/")
        if scope["method"] != "POST":
            return 405, _error("send POST")
        try:
            async with asyncio.timeout(self._body_s):
                raw = await _body(receive)
        except TimeoutError:
            return 408, _error("the request did not come in time")
        if raw is None:
            return 413, _error(f"at most {MOST_BODY} bytes")
        try:
            return await self._message(number_json.read(raw.decode()), dict(scope["headers"]))
        except (UnicodeDecodeError, NotJson, BadMessage) as error:
            return 400, _error(str(error))
        except sealed.NotSealed as error:
            return 401, _error(str(error))

    async def _message(self, message: Any, headers: dict[bytes, bytes]) -> tuple[int, str]:
        request = message.get("SaleToPOIRequest") if isinstance(message, dict) else None
        if not isinstance(request, dict) or len(message) != 1:
            raise BadMessage("SaleToPOIRequest is missing, or not alone")
        if "NexoBlob" not in request:
            speaker = self._known(headers.get(b"x-api-key", b""))
            if speaker is None:
                return 401, _error("send sealed messages, or the API key of a plain register")
            answer = await self._station.answer(message, speaker)
            return 200, "" if answer is None else number_json.write(answer)
        key, _, inner = sealed.opened(self._keys, request)
        speaker = self._speakers[key.identifier, key.version]
        answer = await self._station.answer(inner, speaker)
        if answer is None:
            return 200, ""
        header = answer["SaleToPOIResponse"]["MessageHeader"]
        closed = sealed.seal(key, header, number_json.write(answer))
        return 200, number_json.write({"SaleToPOIResponse": closed})

    def _known(self, api_key: bytes) -> Speaker | None:
        """The register of an API key; every key is compared, in constant time."""
        digest = hashlib.sha256(api_key).digest()
        found = None
        for known, speaker in self._plain:
            if hmac.compare_digest(known, digest):
                found = speaker
        return found


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None when it is too long."""
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise TimeoutError  # hung up: there is nobody to answer
        data += message.get("body", b"")
        if len(data) > MOST_BODY:
            return None
        if not message.get("more_body"):
            return bytes(data)


def _error(text: str) -> str:
    return number_json.write({"errors": [text]})


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


class NexoServer:
    """Listens while it is open. ``port``: where."""

    def __init__(
        self, app: NexoApp, place: Place, context: ssl.SSLContext, head_s: float = HEAD_S
    ) -> None:
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

        listener = listening("nexo", place)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(config, state, {}),
            sock=listener,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_S,
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
