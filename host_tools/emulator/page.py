"""The page that shows a machine, and the small HTTP interface behind it.

``GET /`` the page, ``/live`` a WebSocket with everything that changes,
``GET /state``, ``GET /trace`` and ``POST /do`` for scripts (``till emulate --command``). It
listens on loopback and answers only requests that name it by a loopback
host and come from no other origin, so that no web page elsewhere can press
keys or read along.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from host_tools import http_json
from host_tools.decoders.common import mask_pan
from host_tools.emulator import actions, texts
from host_tools.emulator.machine import Machine
from host_tools.emulator.roll import Roll
from host_tools.emulator.tap import Entry
from host_tools.errors import UserError
from host_tools.http_guard import Guard

STATIC = Path(__file__).with_name("static")
TICK_S = 0.03
TRACE_KEPT = 600
LEDGER_ROWS = 40
QUEUE = 2000


class Viewer:
    """One browser: what it has not been sent yet, and the keys that it holds down."""

    def __init__(self, first: Sequence[dict[str, Any]]) -> None:
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        for message in first:
            self.queue.put_nowait(message)
        self.held: set[str] = set()

    def put(self, message: dict[str, Any]) -> bool:
        """False when the browser does not keep up; it is hung up on and may come back."""
        if self.queue.qsize() > QUEUE:
            self.end()
            return False
        self.queue.put_nowait(message)
        return True

    def end(self) -> None:
        """Hang up after what waits."""
        self.queue.put_nowait(None)


class Page:
    """Serves one machine to any number of browsers."""

    def __init__(self, machine: Machine) -> None:
        self._m = machine
        self._actions = actions.Actions(machine)
        self._viewers: set[Viewer] = set()
        self._trace: list[Entry] = []
        self._last: dict[str, Any] = {}
        self._sounds = -1
        self._booked = True
        self._ledger_rows: list[dict[str, str]] = []
        self._roll = Roll(machine.rack.printer.paper)
        machine.listeners.append(self._hear)
        machine.rack.debug.on_tree.append(self._screen)
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/state", self._state_json),
                Route("/trace", self._trace_lines),
                Route("/do", self._do_json, methods=["POST"]),
                WebSocketRoute("/live", self._live),
                Mount("/", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Guard)],
            exception_handlers={HTTPException: http_json.refused},
        )

    def close(self) -> None:
        """Hang up on every browser."""
        for viewer in self._viewers:
            viewer.end()

    # ---- towards the browsers -----------------------------------------------------

    def _hear(self, entry: Entry) -> None:
        self._booked = self._booked or entry["kind"] == "iso"
        self._trace.append(entry)
        del self._trace[:-TRACE_KEPT]
        self._send({"type": "trace", "entry": entry})

    def _screen(self, tree: dict[str, Any]) -> None:
        """Each screen at once, for it may not stand until the next look."""
        self._last["screen"] = {"type": "screen", "tree": tree}
        self._send(self._last["screen"])

    def _send(self, message: dict[str, Any]) -> None:
        self._viewers = {viewer for viewer in self._viewers if viewer.put(message)}

    async def watch(self) -> None:
        """Look at the chips and tell what changed; runs until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(TICK_S)

    def look(self) -> None:
        """Tell the browsers what changed since the last look."""
        self._m.rack.printer.text()  # lets the paper come out as far as it is by now
        if self._booked:  # the books change only when a message came
            self._booked, self._ledger_rows = False, self.ledger()
        for message in self._now():
            kind = message["type"]
            if self._last.get(kind) != message:
                self._last[kind] = message
                self._send(message)
        for news in (self._roll.news(), self._new_sound()):
            if news is not None:
                self._send(news)

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
            {"type": "state", "state": self.state()},
            {"type": "ledger", "rows": self._ledger_rows},
            {"type": "screen", "tree": self._m.tree},
        ]

    def state(self) -> dict[str, Any]:
        """Switches, card, power: what scripts may ask."""
        rack, ended = self._m.rack, self._m.ended
        return {
            "powered": self._m.powered,
            "ended": None if ended is None else {"code": ended[0], "said": ended[1]},
            "card": self._m.inserted,
            "tapped": self._m.tapped,
            "tear": self._m.armed,
            "zone": self._m.zone,
            "network": self._m.network,
            "links": self._m.links.state(),
            "paper": not rack.printer.paper_out,
            "cover": rack.printer.cover_open,
            "tamper": not rack.tamper.closed,
            "mains": rack.mains.closed,
            "battery": rack.gauge.percent,
            "pc": self._m.pc.plugged,
            "pc_target": self._m.pc.target,
            "rules_waiting": len(self._m.acquirer.rules.waiting()),
        }

    def ledger(self) -> list[dict[str, str]]:
        """The bank's latest transactions."""
        return [
            {
                "stan": str(row["stan"]),
                "amount": f"{row['amount'] // 100}.{row['amount'] % 100:02d}",
                "card": str(row["masked_pan"])[-4:],
                "state": str(row["state"]),
                "code": str(row["response"]),
            }
            for row in self._m.acquirer.transactions()[-LEDGER_ROWS:]
        ]

    def _new_sound(self) -> dict[str, Any] | None:
        """Tones since the last look, even those that have ended by now."""
        heard = self._m.rack.lamps.heard
        if heard and heard[-1][0] == self._sounds:
            return None
        new = [frequency for at, frequency in heard if at > self._sounds]
        self._sounds = heard[-1][0] if heard else 0
        if not new or not self._m.powered:
            return None
        return {"type": "sound", "tones": [f for f in new if f], "sounding": bool(new[-1])}

    def _hello(self) -> list[dict[str, Any]]:
        cards = [
            {
                "name": name,
                "title": spec.title["en"],
                "title_zh": spec.title["zh"],
                "pan": mask_pan(spec.pan),
                "pins": list(spec.typed),
            }
            for name, spec in self._m.deck.cards.items()
        ]
        rules = [rule[0] for rule in actions.RULES]
        board = self._m.board
        return [
            {"type": "hello", "cards": cards, "rules": rules, "board": board["board"]["title"],
             "keys": board["keypad"]["keys"],
             "links": self._m.links.kinds(), "language": self._m.language,
             "texts": {name: texts.texts(name) for name in texts.languages()}},
            *self._now(),
            self._roll.so_far(),
            *({"type": "trace", "entry": entry} for entry in self._trace),
        ]  # fmt: skip

    # ---- requests -----------------------------------------------------------------

    async def _index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    def _whole_state(self) -> dict[str, Any]:
        return {
            **self.state(),
            "screen": self._m.tree,
            "ledger": self.ledger(),
            "paper_text": self._m.rack.printer.text(),
        }

    async def _state_json(self, request: Request) -> Response:
        return JSONResponse(self._whole_state())

    async def _trace_lines(self, request: Request) -> Response:
        """The kernel's own trace: one JSON object a line."""
        return PlainTextResponse(self._m.kernel_lines(), media_type="application/x-ndjson")

    async def _do_json(self, request: Request) -> Response:
        body = await http_json.body(request, actions.MAX_REQUEST)
        try:
            await self._actions.act(actions.parse(body))
        except UserError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(self._whole_state())

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        self.look()
        viewer = Viewer(self._hello())
        self._viewers.add(viewer)
        reader = asyncio.create_task(self._read(socket, viewer))
        try:
            while True:
                message = await viewer.queue.get()
                if message is None:
                    break
                await socket.send_text(json.dumps(message))
        except (WebSocketDisconnect, RuntimeError, OSError):
            pass  # the browser went away
        finally:
            self._viewers.discard(viewer)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            for key in viewer.held:
                self._m.rack.keys.release(key)  # nobody is left to lift the finger
            with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
                await socket.close(1001)

    async def _read(self, socket: WebSocket, viewer: Viewer) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                viewer.end()
                return
            try:
                wish = actions.parse(message.get("text") or message.get("bytes") or b"")
                await self._actions.act(wish)
            except UserError as error:
                self._m.note("refused", str(error)[:200])
                continue
            if wish["do"] == "key_down":
                viewer.held.add(wish["key"])
            elif wish["do"] == "key_up":
                viewer.held.discard(wish["key"])
