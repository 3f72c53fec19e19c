"""The page that shows a machine, and the small HTTP interface behind it.

``GET /`` the page, ``/live`` a WebSocket with everything that changes,
``GET /state`` and ``POST /do`` for scripts (``till emulate --command``). It
listens on loopback and answers only requests that name it by a loopback
host, so that no web page elsewhere can press keys.
"""

import asyncio
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from host_tools.acquirer.rules import RuleError
from host_tools.emulator.chips.paper import Paper
from host_tools.emulator.machine import Machine
from host_tools.emulator.tap import Entry, mask_pan
from host_tools.errors import UserError

STATIC = Path(__file__).with_name("static")
TICK_S = 0.03
MAX_REQUEST = 4096
TRACE_KEPT = 300
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]

#: Rules offered on the page: (title, kind, argument).
RULES: list[tuple[str, str, dict[str, Any]]] = [
    ("answer honestly", "honest", {}),
    ("decline: 51 not enough funds", "decline", {"code": "51"}),
    ("decline: 55 wrong PIN", "decline", {"code": "55"}),
    ("answer after 5 s", "late", {"ms": 5000}),
    ("lose the request", "lose", {}),
    ("book it, lose the answer", "drop", {}),
    ("close the connection", "close", {}),
    ("garble the answer", "garble", {}),
    ("wrong MAC", "wrong_mac", {}),
    ("wrong ARPC", "wrong_arpc", {}),
    ("wrong STAN", "wrong_stan", {}),
    ("send the answer byte by byte", "split", {"ms": 5}),
    ("script: unblock the PIN", "script", {"script": "pin_unblock"}),
    ("ask to sign in again (A0)", "refuse", {"code": "A0"}),
]


class Page:
    """Serves one machine to any number of browsers."""

    def __init__(self, machine: Machine) -> None:
        self._m = machine
        self._viewers: set[asyncio.Queue[dict[str, Any]]] = set()
        self._trace: list[Entry] = []
        self._last: dict[str, Any] = {}
        self._paper_rows = 0
        self._paper: Paper | None = None
        machine.listeners.append(self._hear)
        machine.rack.debug.on_tree.append(lambda tree: self._send({"type": "screen", "tree": tree}))
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/state", self._state_json),
                Route("/do", self._do_json, methods=["POST"]),
                WebSocketRoute("/live", self._live),
                Mount("/", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)],
        )

    # ---- towards the browsers -----------------------------------------------------

    def _hear(self, entry: Entry) -> None:
        self._trace.append(entry)
        del self._trace[:-TRACE_KEPT]
        self._send({"type": "trace", "entry": entry})

    def _send(self, message: dict[str, Any]) -> None:
        for viewer in list(self._viewers):
            if viewer.full():  # a browser that does not read: it will reconnect and catch up
                self._viewers.discard(viewer)
            else:
                viewer.put_nowait(message)

    async def watch(self) -> None:
        """Look at the chips and tell what changed; runs until cancelled."""
        while True:
            for message in self._now():
                kind = message["type"]
                if self._last.get(kind) != message:
                    self._last[kind] = message
                    self._send(message)
            strip = self._new_paper()
            if strip is not None:
                self._send(strip)
            await asyncio.sleep(TICK_S)

    def _now(self) -> list[dict[str, Any]]:
        rack = self._m.rack
        frame = {
            "type": "frame",
            "width": rack.display.width,
            "height": rack.display.height,
            "on": rack.display.on and self._m.powered,
            "data": base64.b64encode(rack.display.frame()).decode(),
        }
        lamps = rack.lamps.state() if self._m.powered else dict.fromkeys(rack.lamps.state(), False)
        return [
            frame,
            {"type": "lamps", "lamps": lamps},
            {"type": "sound", "frequency": rack.lamps.frequency if self._m.powered else 0},
            {"type": "state", "state": self.state()},
            {"type": "ledger", "rows": self.ledger()},
        ]

    def state(self) -> dict[str, Any]:
        """Switches, card, power: what scripts may ask."""
        rack = self._m.rack
        return {
            "powered": self._m.powered,
            "card": self._m.inserted,
            "network": rack.net.up,
            "paper": not rack.printer.paper_out,
            "cover": rack.printer.cover_open,
            "tamper": not rack.tamper.closed,
            "mains": rack.mains.closed,
            "battery": rack.gauge.percent,
        }

    def ledger(self) -> list[dict[str, str]]:
        """The bank's latest transactions."""
        return [
            {
                "stan": str(row["stan"]),
                "amount": f"{row['amount'] // 100}.{row['amount'] % 100:02d}",
                "state": str(row["state"]),
                "code": str(row["code"]),
            }
            for row in self._m.acquirer.transactions()[-8:]
        ]

    def _new_paper(self) -> dict[str, Any] | None:
        paper = self._m.rack.printer.paper
        reset = paper is not self._paper
        start = 0 if reset else self._paper_rows
        if len(paper.rows) == start and not reset:
            return None
        self._paper, self._paper_rows = paper, len(paper.rows)
        return {"type": "paper", "reset": reset, "strips": _strips(paper, start)}

    def _hello(self) -> list[dict[str, Any]]:
        cards = [
            {
                "name": name,
                "title": spec.title["en"],
                "pan": mask_pan(spec.pan),
                "pin": "" if not spec.typed else " then ".join(spec.typed),
            }
            for name, spec in self._m.deck.cards.items()
        ]
        rules = [{"name": str(at), "title": rule[0]} for at, rule in enumerate(RULES)]
        paper = self._m.rack.printer.paper
        return [
            {"type": "deck", "cards": cards, "rules": rules},
            *self._now(),
            {"type": "screen", "tree": self._m.tree},
            {"type": "paper", "reset": True, "strips": _strips(paper, 0)},
            *({"type": "trace", "entry": entry} for entry in self._trace),
        ]

    # ---- requests -----------------------------------------------------------------

    async def _index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-store"})

    async def _state_json(self, request: Request) -> Response:
        paper = self._m.rack.printer.text()
        return JSONResponse(
            {
                **self.state(),
                "screen": self._m.tree,
                "ledger": self.ledger(),
                "paper_text": paper,
            }
        )

    async def _do_json(self, request: Request) -> Response:
        # A form post from another site cannot carry this content type.
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return JSONResponse({"error": "send application/json"}, 415)
        body = await request.body()
        try:
            if len(body) > MAX_REQUEST:
                raise UserError("the request is too long")
            await self.act(json.loads(body))
        except (UserError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"ok": True})

    async def _live(self, socket: WebSocket) -> None:
        origin = socket.headers.get("origin", "")
        if origin and origin.split("//")[-1] != socket.headers.get("host", ""):
            await socket.close(1008)
            return
        await socket.accept()
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(2000)
        for message in self._hello():
            queue.put_nowait(message)
        self._viewers.add(queue)
        reader = asyncio.create_task(self._read(socket))
        try:
            while not reader.done():
                getter = asyncio.create_task(queue.get())
                done, _ = await asyncio.wait({getter, reader}, return_when="FIRST_COMPLETED")
                if getter in done:
                    await socket.send_text(json.dumps(getter.result()))
                else:
                    getter.cancel()
        except (WebSocketDisconnect, RuntimeError):
            pass  # the browser went away
        finally:
            self._viewers.discard(queue)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await reader

    async def _read(self, socket: WebSocket) -> None:
        while True:
            try:
                text = await socket.receive_text()
            except (WebSocketDisconnect, KeyError):
                return
            try:
                if len(text) > MAX_REQUEST:
                    raise UserError("the request is too long")
                await self.act(json.loads(text))
            except (UserError, ValueError) as error:
                self._m.note("refused", str(error))

    async def act(self, wish: Any) -> None:
        """Carry out one request of a page or script. UserError says what is wrong."""
        if not isinstance(wish, dict) or not isinstance(wish.get("do"), str):
            raise UserError('a request is an object with "do"')
        verb = wish["do"]
        if verb in ("key_down", "key_up", "press"):
            await self._key(verb, wish.get("key"))
        elif verb == "insert":
            self._m.insert(str(wish.get("card")))
        elif verb == "remove":
            self._m.remove()
        elif verb == "tear":
            self._m.tear()
        elif verb == "power_cut":
            await self._m.power_cut()
        elif verb == "power_on":
            await self._m.power_on()
        elif verb == "switch":
            self._switch(wish.get("name"), wish.get("value"))
        elif verb == "rule":
            self._rule(wish)
        else:
            raise UserError(f"no action {verb!r}")

    async def _key(self, verb: str, name: Any) -> None:
        keys = self._m.rack.keys
        if name not in keys.names:
            raise UserError(f"no key {name!r}; the keypad has {', '.join(keys.names)}")
        if verb == "press":
            await self._m.press(name)
        elif verb == "key_down":
            keys.press(name)
        else:
            keys.release(name)

    def _switch(self, name: Any, value: Any) -> None:
        rack = self._m.rack
        if name == "battery":
            if not isinstance(value, int) or not 0 <= value <= 100:
                raise UserError("battery is 0 to 100")
            rack.gauge.percent = value
        elif not isinstance(value, bool):
            raise UserError("a switch is true or false")
        elif name == "network":
            rack.net.link(value)
        elif name == "paper":
            rack.printer.paper_out = not value
        elif name == "cover":
            rack.printer.cover_open = value
        elif name == "tamper":
            rack.tamper.set(not value)
        elif name == "mains":
            rack.mains.set(value)
        else:
            raise UserError(f"no switch {name!r}")
        self._m.note("switch", f"{name}: {value}")

    def _rule(self, wish: dict[str, Any]) -> None:
        name = str(wish.get("name", ""))
        if not name.isdigit() or int(name) >= len(RULES):
            raise UserError(f"no rule {name!r}")
        title, kind, arguments = RULES[int(name)]
        try:
            self._m.acquirer.rule(kind, **arguments)
        except RuleError as error:
            raise UserError(str(error)) from None
        self._m.note("bank rule for the next payment", title)


def _strips(paper: Paper, start: int) -> list[dict[str, str]]:
    """The rows from ``start`` as one PNG with the printed text as its description."""
    rows = paper.rows[start:]
    if not rows:
        return []
    part = Paper(paper.dots)
    part.add(rows)
    image: Image.Image = part.image()
    out = io.BytesIO()
    image.convert("1").save(out, "PNG")
    text = paper.text()[-400:]
    return [{"png": base64.b64encode(out.getvalue()).decode(), "text": text}]
