"""What a page or a script may ask of a machine: ``{"do": verb, ...}``.

Every request is checked here whole; UserError says what is wrong with one.
"""

import ast
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from host_tools.acquirer.rules import RuleError
from host_tools.emulator.machine import OFF, ROOT, Machine
from host_tools.errors import UserError

MAX_REQUEST = 4096
MAX_KEYS = 64
MAX_WAIT_S = 120

#: Rules offered on the page: (name, title in the trace, kind, argument).
RULES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("honest", "answer honestly", "honest", {}),
    ("decline-51", "decline: 51 not enough funds", "decline", {"code": "51"}),
    ("decline-55", "decline: 55 wrong PIN", "decline", {"code": "55"}),
    ("late", "answer after 5 s", "late", {"ms": 5000}),
    ("lose", "lose the request", "lose", {}),
    ("drop", "book it, lose the answer", "drop", {}),
    ("close", "close the connection", "close", {}),
    ("garble", "garble the answer", "garble", {}),
    ("wrong-mac", "wrong MAC", "wrong_mac", {}),
    ("wrong-arpc", "wrong ARPC", "wrong_arpc", {}),
    ("wrong-stan", "wrong STAN", "wrong_stan", {}),
    ("split", "send the answer byte by byte", "split", {"ms": 5}),
    ("script", "script: unblock the PIN", "script", {"script": "pin_unblock"}),
    ("refuse", "ask to sign in again (A0)", "refuse", {"code": "A0"}),
]


@cache
def screens() -> frozenset[str]:
    """The names of screens that the terminal can show, as its own source has them."""
    sources = sorted((ROOT / "firmware" / "ui").glob("*screens.py"))
    trees = [ast.parse(source.read_text(encoding="utf-8")) for source in sources]
    made = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {
        call.args[0].value
        for call in made
        if isinstance(call.func, ast.Name) and call.func.id == "Screen" and call.args
        and isinstance(call.args[0], ast.Constant)
    }  # fmt: skip
    return frozenset(str(name) for name in names) | {str(OFF["screen"])}


def parse(text: str | bytes) -> dict[str, Any]:
    """A request from its JSON. UserError."""
    if len(text) > MAX_REQUEST:
        raise UserError(f"a request has at most {MAX_REQUEST} bytes")
    try:
        wish = json.loads(text)
    except RecursionError:
        raise UserError("the request is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"not JSON: {error}") from None
    if not isinstance(wish, dict) or not isinstance(wish.get("do"), str):
        raise UserError('a request is an object with "do"')
    return wish


class Actions:
    """Carries out requests on one machine."""

    def __init__(self, machine: Machine) -> None:
        self._m = machine
        self._verbs: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "key_down": self._key_down,
            "key_up": self._key_up,
            "press": self._press,
            "insert": self._insert,
            "remove": self._remove,
            "tap": self._tap,
            "swipe": self._swipe,
            "scan": self._scan,
            "tear": self._tear,
            "tear_paper": self._tear_paper,
            "power_cut": self._power_cut,
            "power_on": self._power_on,
            "switch": self._switch,
            "link": self._link,
            "rule": self._rule,
            "wait": self._wait,
        }

    async def act(self, wish: dict[str, Any]) -> None:
        """Carry out one request. UserError."""
        verb = self._verbs.get(wish["do"])
        if verb is None:
            raise UserError(f"no action {wish['do']!r}; known: {', '.join(self._verbs)}")
        await verb(wish)

    # ---- hands --------------------------------------------------------------------

    def _known_key(self, name: Any) -> str:
        names = self._m.rack.keys.names
        if not isinstance(name, str) or name not in names:
            raise UserError(f"no key {name!r}; the keypad has {', '.join(names)}")
        return name

    async def _key_down(self, wish: dict[str, Any]) -> None:
        await self._m.key_down(self._known_key(wish.get("key")))

    async def _key_up(self, wish: dict[str, Any]) -> None:
        await self._m.key_up(self._known_key(wish.get("key")))

    async def _press(self, wish: dict[str, Any]) -> None:
        keys = wish["keys"] if "keys" in wish else [wish.get("key")]
        if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
            raise UserError(f'"keys" is a list of 1 to {MAX_KEYS} key names')
        await self._m.press(*[self._known_key(key) for key in keys])

    async def _insert(self, wish: dict[str, Any]) -> None:
        self._m.insert(_text(wish, "card"))

    async def _tap(self, wish: dict[str, Any]) -> None:
        self._m.tap_card(_text(wish, "card"))

    async def _swipe(self, wish: dict[str, Any]) -> None:
        self._m.swipe(_text(wish, "card"))

    async def _scan(self, wish: dict[str, Any]) -> None:
        self._m.scan(_text(wish, "text"))

    async def _remove(self, wish: dict[str, Any]) -> None:
        self._m.remove()

    async def _tear(self, wish: dict[str, Any]) -> None:
        armed = wish.get("value", True)
        if not isinstance(armed, bool):
            raise UserError('"value" of tear is true or false')
        self._m.tear(armed)

    async def _tear_paper(self, wish: dict[str, Any]) -> None:
        self._m.tear_paper()

    async def _power_cut(self, wish: dict[str, Any]) -> None:
        await self._m.power_cut()

    async def _power_on(self, wish: dict[str, Any]) -> None:
        await self._m.power_on()

    # ---- bench --------------------------------------------------------------------

    async def _switch(self, wish: dict[str, Any]) -> None:
        rack, name, value = self._m.rack, _text(wish, "name"), wish.get("value")
        if name == "battery":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
                raise UserError('"value" of battery is 0 to 100')
            rack.gauge.percent = value
        elif not isinstance(value, bool):
            raise UserError('"value" of a switch is true or false')
        elif name == "pc":
            await self._m.pc.plug(value)
        elif name == "network":
            self._m.switch_network(value)
        elif name == "paper":
            rack.printer.paper_out = not value
        elif name == "cover":
            rack.printer.cover_open = value
        elif name == "tamper":
            rack.tamper.set(not value)
        elif name == "mains":
            rack.mains.set(value)
        else:
            known = "network, paper, cover, tamper, mains, battery, pc"
            raise UserError(f"no switch {name!r}; known: {known}")
        self._m.note("switch", f"{name}: {json.dumps(value)}")

    async def _link(self, wish: dict[str, Any]) -> None:
        """A link's condition, or how well it is heard."""
        links, name = self._m.links, _text(wish, "name")
        if "signal" in wish:
            set_to = _text(wish, "signal")
            links.strength(name, set_to)
        else:
            set_to = _text(wish, "condition")
            links.set(name, set_to)
        self._m.note("link", f"{name}: {set_to}")

    async def _rule(self, wish: dict[str, Any]) -> None:
        """A rule of the page by its name, or any of docs/acquirer.md by its kind."""
        if "name" in wish:
            name = _text(wish, "name")
            found = [rule for rule in RULES if rule[0] == name]
            if not found:
                raise UserError(f"no rule {name!r}; known: {', '.join(r[0] for r in RULES)}")
            _, title, kind, arguments = found[0]
        else:
            kind = _text(wish, "kind")
            arguments = {key: wish[key] for key in wish if key not in ("do", "kind")}
            title = kind
        try:
            self._m.acquirer.rule(kind, **arguments)
        except RuleError as error:
            raise UserError(str(error)) from None
        self._m.note("bank rule for the next payment", title)

    async def _wait(self, wish: dict[str, Any]) -> None:
        """Until one of the screens is shown, or a link is in a state."""
        seconds = wish.get("seconds", 10)
        whole = isinstance(seconds, int) and not isinstance(seconds, bool)
        if not whole or not 0 <= seconds <= MAX_WAIT_S:
            raise UserError(f'"seconds" is 0 to {MAX_WAIT_S}')
        if "link" in wish:
            await self._m.link_is(_text(wish, "link"), _text(wish, "state"), seconds)
            return
        names = wish.get("screen")
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise UserError('"screen" is the name of a screen, or a list of names')
        unknown = [name for name in names if name not in screens()]
        if unknown:
            raise UserError(f"no screen {unknown[0]!r}; known: {', '.join(sorted(screens()))}")
        await self._m.screen(*names, timeout_s=seconds)


def _text(wish: dict[str, Any], name: str) -> str:
    value = wish.get(name)
    if not isinstance(value, str):
        raise UserError(f'"{name}" is missing or not text')
    return value
