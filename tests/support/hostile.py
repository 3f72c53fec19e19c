"""Hostile ends for the whole-device tests: a card that lies, a merchant who must
get back to idle whatever happened, and what may never reach screen or paper."""

import random
from typing import Any

from tests.support.handheld import Handheld

#: No flow may keep the merchant longer than this, seconds: the longest
#: time-outs in a row, with every printer dialog left unanswered.
PATIENCE_S = 900.0


class HostileCard:
    """A card of the deck whose answers are spoilt now and then.

    ``rate``: chance of spoiling an answer. ``log`` keeps what was done, for
    the message of a test that fails.
    """

    def __init__(self, card: Any, draw: random.Random, rate: float) -> None:
        self._card = card
        self._draw = draw
        self._rate = rate
        self._forever = b""
        self.torn = False
        self.log: list[str] = []

    def power_on(self) -> bytes:
        self._forever = b""
        atr = bytes(self._card.power_on())
        if self._draw.random() < self._rate / 4:
            atr = self._spoil(atr)
            self.log.append(f"ATR {atr.hex()}")
        return atr

    def power_off(self) -> None:
        self._card.power_off()

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        if self._forever:
            return self._forever, 1000
        response, busy = self._card.exchange(command)
        self.torn = self._card.torn
        if self._draw.random() < self._rate:
            response = self._spoil(bytes(response))
            self.log.append(f"{command.hex()} -> {response.hex()[:80]}")
        return response, busy

    def _spoil(self, good: bytes) -> bytes:
        draw = self._draw
        body, word = bytearray(good[:-2]), good[-2:]
        way = draw.randrange(12)
        if way == 0 and body:
            for _ in range(draw.randint(1, 4)):
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        elif way == 1:
            del body[draw.randint(0, len(body)) :]
        elif way == 2:
            body += draw.randbytes(draw.randint(1, max(1, 256 - len(body))))
        elif way == 3:
            word = draw.randbytes(2)
        elif way == 4:
            body = bytearray(draw.randbytes(draw.randint(0, 256)))
        elif way == 5:
            self._forever = bytes((0x61, draw.choice((0, 0x10, 0xFF))))
            return self._forever
        elif way == 6:
            self._forever = bytes((0x6C, draw.choice((0, 0x10, 0xFF))))
            return self._forever
        elif way == 7:
            return draw.randbytes(draw.randint(0, 1))
        elif way == 8 and body:
            place = draw.randrange(len(body))
            body[place] = draw.choice((0x00, 0x1B, 0x7F, 0x80, 0xFF, 0x81, 0x84))
        elif way == 9:
            body = bytearray(b"\x70\x81\xfd" + b"\x50\x81\xfa" + b"\x1b@" * 125)
        elif way == 10:
            word = draw.choice((b"\x69\x85", b"\x6a\x81", b"\x63\xc0", b"\x62\x83", b"\x64\x00"))
            body = bytearray()
        elif body:
            at = draw.randrange(len(body))
            body[at:at] = draw.choice((b"\x00" * 8, b"\xff" * 8, bytes(body)))
            del body[256:]
        return bytes(body) + word


async def _change(t: Handheld, shown: int, patience_s: float) -> None:
    """Until something else was shown than the first ``shown`` screens."""

    def good(tree: dict[str, Any]) -> bool:
        return len(t.screens) > shown or tree["screen"] == "idle"

    await t.when(good, "any change", patience_s)


async def to_idle(t: Handheld, patience_s: float = PATIENCE_S) -> None:
    """A merchant who answers as it comes and gives the card back when asked."""
    waited = 0
    while t.screen["screen"] != "idle":
        shown = len(t.screens)
        if t.screen["screen"] == "remove_card":
            t.remove()
        elif t.screen["screen"] in ("result", "message", "question", "info", "menu", "choose"):
            await t.press("cancel" if t.screen["screen"] != "question" else "enter")
        await _change(t, shown, patience_s)
        waited += 1
        assert waited < 3000, f"no way back to idle from {t.screen['screen']}: {t.text}"


def clean_screens(t: Handheld) -> None:
    """No control character, no number of a card ever stood on the screen."""
    pans = {app.pan for spec in t.deck.cards.values() for app in spec.apps}
    for tree in t.screens:
        for node in tree["nodes"]:
            for words in [node.get("text"), *(node.get("items") or [])]:
                text = str(words or "")
                assert all(char == "\n" or char.isprintable() for char in text), (tree, text)
                assert not any(pan in text for pan in pans), tree["screen"]
    t.screens[:-1] = []
