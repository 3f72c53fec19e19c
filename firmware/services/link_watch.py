"""``watch``: a PC hears of what changes, as it is then and never as a queue (docs/link.md).

Between two looks at a topic any number of changes are one. A PC that takes no ITEM for
``SLOW_MS`` is told ``slow``.
"""

from firmware import aio
from firmware.link import services
from firmware.link.services import BAD_ARGUMENTS, NOT_ALLOWED, CallRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from firmware.services.link_calls import Call, Handler
    from firmware.services.log_ring import LogRing

    #: Gives what the topic's service would say now.
    Look = Callable[[], Awaitable[dict[int, Any]]]

SLOW = "slow"
SLOW_MS = 30_000
#: Looks at the topics come no faster: a storm of changes costs a payment little.
LEAST_MS = 100
#: Topic: (the service that would tell it, keys that alone are no news).
_TOPICS: "dict[str, tuple[str, tuple[int, ...]]]" = {
    "journal": ("hello", ()),
    "status": ("status", (13,)),  # the clock
    "screen": ("screen", ()),
    "log": ("log", ()),
}


class LinkWatch:
    """``looks``: by topic, without ``log``, which is told line by line from ``ring``."""

    def __init__(self, looks: "dict[str, Look]", ring: "LogRing") -> None:
        self._looks = looks
        self._ring = ring
        self._waiting: "list[aio.Event]" = []

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        return {"watch": self.watch, "log": self.log}

    def changed(self) -> None:
        """Something may be new: to be called by whoever shows, journals or logs."""
        for event in self._waiting:
            event.set()

    async def watch(self, call: "Call") -> None:
        """ITEMs for ever: first what is, then what is new."""
        topics = self._topics(call)
        told: "dict[str, dict[int, Any]]" = {}
        line = self._ring.last
        event = aio.Event()
        self._waiting.append(event)
        try:
            while True:
                event.clear()
                for topic in topics:
                    if topic == "log":
                        line = await self._lines(call, line)
                        continue
                    now = await self._looks[topic]()
                    seen = {key: now[key] for key in now if key not in _TOPICS[topic][1]}
                    if told.get(topic) != seen:
                        told[topic] = seen
                        await _send(call, topic, now)
                await event.wait()
                await aio.sleep_ms(LEAST_MS)
        finally:
            self._waiting.remove(event)

    def _topics(self, call: "Call") -> "list[str]":
        topics = call.arguments[1]
        if not topics:
            raise CallRefused(BAD_ARGUMENTS, {1: "no topics"})
        for topic in topics:
            if not isinstance(topic, str) or topic not in _TOPICS or topics.count(topic) != 1:
                raise CallRefused(BAD_ARGUMENTS, {1: "topics"})
            if not services.allows(_TOPICS[topic][0], call.roles):
                raise CallRefused(NOT_ALLOWED, {1: topic})
        return list(topics)

    async def _lines(self, call: "Call", line: int) -> int:
        for number, text in self._ring.after(line, 1000):
            await _send(call, "log", {1: number, 2: text})
            line = number
        return line

    async def log(self, call: "Call") -> None:
        """Lines behind the one given, the oldest first."""
        for number, text in self._ring.after(call.arguments[1], call.arguments[2]):
            await call.item({1: number, 2: text})
        await call.end({1: self._ring.last})


async def _send(call: "Call", topic: str, what: "dict[int, Any]") -> None:
    name, _ = await aio.first(("sent", call.item({1: topic, 2: what})), timeout_ms=SLOW_MS)
    if name == "timeout":
        raise CallRefused(SLOW)
