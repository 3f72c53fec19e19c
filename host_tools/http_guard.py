"""Who may use the small servers on loopback: this computer's own programs and pages.

A page of another site can send requests to 127.0.0.1, also under a name of its
own that it re-binds to that address. Its Host or its Origin gives it away.
"""

import re

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST = re.compile(rb"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
#: Nothing from elsewhere, and no frame around the page (a click on it is a key press).
HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' data:; "
    b"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}


class Guard:
    """Answers 403 to a Host that is not loopback's and to another Origin (a
    WebSocket is refused), and says in every answer what may be done with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # A script joins the address, which ends with a slash, as it likes.
        scope = {**scope, "path": "/" + scope["path"].lstrip("/")}
        reason = _objection(dict(scope["headers"]))
        if reason and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], *HEADERS.items()]
            await send(message)

        app = JSONResponse({"error": reason}, 403) if reason else self._app
        await app(scope, receive, sent)


def _objection(headers: dict[bytes, bytes]) -> str:
    """What speaks against answering; "" for nothing."""
    host, origin = headers.get(b"host", b""), headers.get(b"origin")
    if not _HOST.fullmatch(host):
        return "only for this computer: ask for 127.0.0.1 or localhost"
    if origin is not None and origin != b"http://" + host:
        return "another origin"
    return ""
