"""nexo over HTTPS: one POST a connection, bounded in size and time, from known registers only."""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from host_tools.register.door import complain
from host_tools.register.nexo import number_json, sealed
from host_tools.register.nexo.messages import BadMessage
from host_tools.register.nexo.number_json import NotJson
from host_tools.register.nexo.station import Speaker, Station

#: The longest body, and how long it may take.
MOST_BODY, BODY_S = 65_536, 10.0
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
        try:
            status, text = await self._answered(scope, receive)
        except Exception as error:  # noqa: BLE001 - told in one line, whatever it is
            complain("nexo", error)
            status, text = 500, _error("the server failed; look at its messages")
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
