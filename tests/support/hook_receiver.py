"""A receiver of webhooks, written from docs/api.md alone: it takes what is signed and fresh."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any


class Receiver:
    """``answers``: statuses of the next requests, then 204; ``taken``: deliveries once each."""

    def __init__(self, secret: str, now: float) -> None:
        self.secret = secret
        self.now = now
        self.answers: list[str] = []
        self.taken: dict[str, Any] = {}
        self.refused: list[str] = []
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b"\r\n")[0])
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        named = {key.decode().lower(): value.decode() for key, value in fields.items()}
        body = await reader.readexactly(int(named["content-length"]))
        status = self.answers.pop(0) if self.answers else "204 Taken"
        if status.startswith("2"):
            self._take(named, body)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    def _take(self, named: dict[str, str], body: bytes) -> None:
        stamp = named["opentill-timestamp"]
        right = hmac.digest(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        if named["opentill-signature"] != "v1=" + right.hex():
            self.refused.append("signature")
        elif abs(int(stamp) - self.now) > 300:
            self.refused.append("old")
        else:
            self.taken[named["opentill-delivery"]] = json.loads(body)


@contextlib.asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[int]:
    """Its port."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
