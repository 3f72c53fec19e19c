"""A register beside a whole handheld: its requests go to the terminal's own handlers.

The handlers run in the terminal's life, so a power cut ends them with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from firmware.app import boot, register
from firmware.app.terminal import Terminal
from firmware.errors import TillError
from firmware.link.services import FAILED, RESULT, SERVICES, CallRefused, check
from firmware.services.link_calls import Call
from tests.support.faulty_disk import PowerCut
from tests.support.handheld import Handheld

DIGEST = bytes(range(32))
NAME = "Kasse 1"
CNY = 156

_booted: list[Terminal] = []
_boot = boot.boot


async def _noted(*given: Any) -> Terminal:
    _booted[:] = [await _boot(*given)]
    return _booted[0]


setattr(boot, "boot", _noted)  # noqa: B010 - how a test reaches the terminal of the life


class Asked(Call):
    """One request. ``items``: states told so far; ``ended``: its END; ``refused``: the ERROR."""

    key = bytes(32)
    name = "PC of the shop"
    roles = ("register", "service")

    def __init__(self, service: str, arguments: dict[int, Any]) -> None:
        self.service = service
        self.arguments = check(SERVICES[service][1], arguments)
        self.items: list[Any] = []
        self.ended: dict[int, Any] = {}
        self.refused: tuple[str, dict[int, Any]] | None = None
        self.died = False
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def item(self, value: dict[int, Any]) -> None:
        schema = SERVICES[self.service][2]
        assert schema is not None and not self.over
        self.items.append(check(schema, value)[1])
        self.news.set()

    async def end(self, value: dict[int, Any]) -> None:
        assert not self.over
        self.ended = check(SERVICES[self.service][3], value)
        if self.service == "sale_start":
            check(RESULT, value)
        self.news.set()

    @property
    def over(self) -> bool:
        """Whether it was answered, or its terminal died."""
        return bool(self.ended) or self.refused is not None or self.died

    async def serve(self, handler: Callable[[Call], Awaitable[None]]) -> None:
        """Run the handler as the link does."""
        try:
            await handler(self)
        except CallRefused as error:
            self.refused = (error.code, error.details)
        except TillError as error:
            self.refused = (FAILED, {1: error.text_key, 2: str(error)})
        except (PowerCut, asyncio.CancelledError):
            self.died = True
            raise
        finally:
            self.news.set()


class Till:
    """The register's end."""

    def __init__(self, t: Handheld) -> None:
        self.t = t
        self._handlers: dict[str, Any] = {}
        self._of: Terminal | None = None

    @property
    def terminal(self) -> Terminal:
        """Of the present life."""
        return _booted[0]

    def ask(self, service: str, arguments: dict[int, Any]) -> Asked:
        """Send a request; it is answered while the loop runs."""
        if self._of is not self.terminal:
            self._of = self.terminal
            self._handlers = register.handlers(self.terminal)
        asked = Asked(service, arguments)
        assert self.t.life is not None
        asked.task = self.t.life.start(asked.serve(self._handlers[service]))
        asked.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return asked

    def start(
        self,
        reference: str = "till-1:1",
        amount: int = 1234,
        digest: bytes = DIGEST,
        currency: int = CNY,
        kind: str = "sale",
        name: str = NAME,
    ) -> Asked:
        """Ask for a payment."""
        given: dict[int, Any] = {1: reference, 2: digest, 3: amount, 4: currency, 5: kind}
        if name:
            given[6] = name
        return self.ask("sale_start", given)

    async def over(self, asked: Asked, limit_s: float = 400.0) -> Asked:
        """Wait for the answer. PowerCut when the power goes first."""
        deadline = asyncio.get_running_loop().time() + limit_s
        while not asked.over:
            asked.news.clear()
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"no answer; told {asked.items}, shown: {self.t.text}"
            try:
                await asyncio.wait_for(asked.news.wait(), min(left, 1.0))
            except TimeoutError:
                await self.t.when(lambda tree: True, "power")
        if asked.died:
            raise PowerCut("the terminal")
        return asked

    async def until(self, asked: Asked, state: str) -> None:
        """Wait until the payment has told ``state``."""
        while state not in asked.items:
            assert not asked.over, (asked.items, asked.ended, asked.refused)
            asked.news.clear()
            await asyncio.wait_for(asked.news.wait(), 300)

    async def result(self, asked: Asked) -> dict[int, Any]:
        """Its END."""
        await self.over(asked)
        assert asked.ended, asked.refused
        return asked.ended

    async def error(self, asked: Asked) -> tuple[str, dict[int, Any]]:
        """Its ERROR."""
        await self.over(asked)
        assert asked.refused is not None, asked.ended
        return asked.refused

    async def state(self, reference: str = "till-1:1") -> tuple[str, str]:
        """(state, outcome) of sale_state."""
        told = await self.told(reference)
        return told[1], told.get(2, {}).get(2, "")

    async def told(self, reference: str = "till-1:1") -> dict[int, Any]:
        """The whole answer of sale_state; its result is what the table says."""
        told = await self.result(self.ask("sale_state", {1: reference}))
        if 2 in told:
            check(RESULT, told[2])
        return told

    async def abort(self, reference: str = "till-1:1") -> str:
        """The answer of sale_abort."""
        return str((await self.result(self.ask("sale_abort", {1: reference})))[1])

    async def pay(self, asked: Asked, card: str) -> dict[int, Any]:
        """The customer pays; the payment's result."""
        await self.t.until("present_card")
        self.t.insert(card)
        await self.t.pins(list(self.t.deck.cards[card].typed), "result")
        return await self.result(asked)
