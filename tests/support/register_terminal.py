"""A terminal as a register's PC sees it: the core rules of docs/register.md, in memory.

Stands behind ``host_tools.pc_link.calls.Terminal``. Each message is checked against the table
of services, both ways.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from firmware.link import services
from host_tools.acquirer.rules import REGISTER_ENDINGS
from host_tools.pc_link.calls import Call, CallFailed, Terminal

PAN = "622848******0014"


@dataclass
class Sale:
    """A payment at work. ``sent``: its request has left."""

    reference: str
    digest: bytes
    amount: int
    currency: int
    state: str = "reserved"
    sent: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class RegisterTerminal(Terminal):
    """``go``: while it is not set, customers think; ``go_online``: while it is not set, the
    host does. ``connected``: the link; a call at work when it is lost fails with *lost*."""

    serial = "OT-0001"
    board = "virtual"
    firmware = "0.1.0"
    fingerprint = "0011223344556677"

    def __init__(self, currency: int = 978, roles: tuple[str, ...] = ("register",)) -> None:
        self.currency = currency
        self.roles = list(roles)
        self.go, self.go_online = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.go_online.set()
        self.connected = True
        self.started: list[dict[int, Any]] = []
        self.asked: list[str] = []
        self.sale: Sale | None = None
        self.keyed = 0
        self.blocked = ""
        #: reference: (digest, RESULT)
        self.results: dict[str, tuple[bytes, dict[int, Any]]] = {}
        self.last = ""
        self._stan = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()

    def cut(self) -> None:
        """Lose the link: calls at work fail, new ones too until ``mend``."""
        self.connected = False
        self._lost.set()

    def mend(self) -> None:
        """The link is back."""
        self.connected = True
        self._lost = asyncio.Event()

    async def reach(self, lost: Terminal | None = None) -> Terminal:
        """A gate's way to this terminal."""
        self._alive()
        return self

    async def open(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 0
    ) -> Call:
        self._alive()
        schema = services.SERVICES[service][1]
        given = services.check(schema, arguments or {})
        self.asked.append(service)
        if not services.allows(service, self.roles):
            raise CallFailed("not allowed", services.NOT_ALLOWED)
        answer = getattr(self, "_" + service)(given)
        return _Call(self, service, answer, self._lost)

    def power_cut(self) -> None:
        """Everything that was not durable is gone; a request that had left is reversed."""
        self.cut()
        sale, self.sale = self.sale, None
        for task in self._tasks:
            task.cancel()
        if sale is not None:
            self._end(sale, "reversed" if sale.sent else "cancelled", "register.power")

    def forget(self) -> None:
        """The payment at work is over, and its result made room for later ones."""
        sale = self.sale
        assert sale is not None
        for task in self._tasks:
            task.cancel()
        self._end(sale, "approved", "")
        del self.results[sale.reference]

    def _alive(self) -> None:
        if not self.connected:
            raise CallFailed("the link to the terminal is lost", services.LOST)

    async def _hello(self, _given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        yield {
            1: self.roles, 3: 0, 4: 1, 5: bytes(32), 6: [],
            7: self.sale is not None or bool(self.keyed), 8: True,
        }  # fmt: skip

    async def _status(self, _given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        yield {
            1: "blocked" if self.blocked else "ready", 2: [], 5: "error.printer_paper", 6: "eth",
            8: 3, 9: [], 10: False, 11: 5, 12: 5, 14: True, 16: "MERCHANT0000001", 17: "en",
        }  # fmt: skip

    async def _totals(self, _given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        done = [r for _, r in self.results.values() if r[2] == "approved"]
        rows = [["sale", self.currency, len(done), sum(r[3] for r in done)]] if done else []
        yield {1: 3, 2: rows}

    async def _sale_start(self, given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        reference, digest = given[1], given[2]
        if self.sale is not None and self.sale.reference == reference:
            if self.sale.digest != digest:
                raise CallFailed("conflict", "conflict")
        elif reference in self.results:
            if self.results[reference][0] != digest:
                raise CallFailed("conflict", "conflict")
            yield self.results[reference][1]
            return
        else:
            self._fit(given)
            self.started.append(given)
            self.last = reference
            self.sale = Sale(reference, digest, given[3], given[4])
            task = asyncio.create_task(self._pay(self.sale))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        sale = self.sale
        yield {1: sale.state}
        await sale.over.wait()
        yield {1: "final"}
        if reference not in self.results:
            raise CallFailed("no longer kept", services.FAILED, {1: "error.journal", 2: ""})
        yield self.results[reference][1]

    def _fit(self, given: dict[int, Any]) -> None:
        if self.blocked:
            raise CallFailed("blocked", services.FAILED, {1: self.blocked, 2: ""})
        if self.keyed:
            raise CallFailed("busy", services.BUSY, {1: "", 2: self.keyed})
        if self.sale is not None:
            raise CallFailed("busy", services.BUSY, {1: self.sale.reference, 2: self.sale.amount})
        if given[5] != "sale":
            raise CallFailed("kind", "kind")
        if given[4] != self.currency:
            raise CallFailed("currency", "currency", {1: self.currency})

    async def _pay(self, sale: Sale) -> None:
        sale.state = "card"
        await self.go.wait()
        sale.state, sale.sent = "online", True
        await self.go_online.wait()
        code = REGISTER_ENDINGS.get(sale.amount % 1000, "00")
        self._end(sale, "approved" if code == "00" else "declined", "", code)

    def _end(self, sale: Sale, outcome: str, reason: str, code: str = "") -> None:
        result: dict[int, Any] = {
            1: sale.reference, 2: outcome, 3: sale.amount, 4: sale.currency, 5: reason, 20: True,
        }  # fmt: skip
        if sale.sent:
            self._stan += 1
            result |= {
                7: self._stan, 8: 3, 9: PAN, 10: "UnionPay Credit", 11: "A000000333010102",
                12: "contact", 15: "20261122010203", 18: "MERCHANT0000001", 19: "TERM0001",
            }  # fmt: skip
            if code:
                result |= {14: f"{self._stan:012}", 16: code}
            if outcome == "approved":
                result |= {6: 40, 13: "A1B2C3"}
        self.results[sale.reference] = (sale.digest, services.check(services.RESULT, result))
        if self.sale is sale:
            self.sale = None
        sale.over.set()

    async def _sale_state(self, given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        reference = given[1] or self.last
        digest = self.results.get(reference, (None,))[0]
        if self.sale is not None and self.sale.reference == reference:
            digest = self.sale.digest
        if digest is not None and given.get(2, digest) != digest:
            raise CallFailed("conflict", "conflict")
        if self.sale is not None and self.sale.reference == reference:
            yield {1: "progress"}
        elif reference in self.results:
            yield {1: "final", 2: self.results[reference][1]}
        else:
            yield {1: "none"}

    async def _sale_abort(self, given: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
        sale = self.sale
        if sale is None or sale.reference != given[1]:
            yield {1: "final" if given[1] in self.results else "none"}
        elif sale.sent:
            yield {1: "late"}
        else:
            for task in self._tasks:
                task.cancel()
            self._end(sale, "cancelled", "register.aborted")
            yield {1: "aborted"}


class _Call(Call):
    def __init__(
        self,
        terminal: RegisterTerminal,
        service: str,
        answer: AsyncIterator[dict[int, Any]],
        lost: asyncio.Event,
    ) -> None:
        _, _, self._item, self._end = services.SERVICES[service]
        self._answer = answer
        self._lost = lost
        self._last: dict[int, Any] | None = None

    async def items(self) -> AsyncIterator[dict[int, Any]]:
        while self._last is None:
            value = await self._next()
            if value is None:
                return
            yield value

    async def result(self) -> dict[int, Any]:
        while self._last is None:
            await self._next()
        return self._last

    async def _next(self) -> dict[int, Any] | None:
        """The next ITEM; None at its END."""
        coming = asyncio.ensure_future(anext(self._answer))
        losing = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait((coming, losing), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise CallFailed("the link to the terminal is lost", services.LOST)
            value: dict[int, Any] = coming.result()
        finally:
            coming.cancel()
            losing.cancel()
        if self._item is not None and set(value) == {1} and isinstance(value[1], str):
            return services.check(self._item, value)
        self._last = services.check(self._end, value)
        return None

    async def cancel(self) -> None:
        return None
