"""Any order of registers' words, the merchant's and the bank's: each reference is charged once at
most, what was told stays true, and what was taken back never leaves."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import aio
from firmware.errors import Cancelled
from firmware.link.services import RESULT, SERVICES, CallRefused, check
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from firmware.services.link_calls import Call
from firmware.services.register import Register, RegisterCalls
from tests.support.journal_script import answer, commit, request
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault
from tests.support.virtual_time import run

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["start"] * 4 + ["abort"] * 2 + ["state", "take", "take", "leave", "leave", "approve"]
            + ["decline", "wrong pin", "lose", "reversed", "give up", "end", "end", "key", "idle"]
            + ["unplug", "restart"]
        ),
        st.integers(0, 3),
    ),
    max_size=40,
)  # fmt: skip


class Asked(Call):
    """sale_start of one register; ``told``: its END."""

    name = "PC"

    def __init__(self, reference: str, digest: bytes) -> None:
        self.service = "sale_start"
        self.arguments = {1: reference, 2: digest, 3: 1234, 4: 156, 5: "sale"}
        self.told: dict[int, Any] = {}

    async def item(self, value: dict[int, Any]) -> None:
        schema = SERVICES["sale_start"][2]
        assert schema is not None
        check(schema, value)

    async def end(self, value: dict[int, Any]) -> None:
        self.told = check(RESULT, value)


class Shop:
    """A terminal as its register sees it, the flow played by hand."""

    def __init__(self) -> None:
        self.files, self.vault = MemoryFiles(), NotedVault()
        self.calls: list[tuple[Asked, asyncio.Task[None]]] = []
        #: reference -> outcome last told; requests that left; taken back and told so.
        self.told: dict[str, str] = {}
        self.sent: dict[str, int] = {}
        self.back: set[str] = set()
        self.approved: dict[str, int] = {}

    async def boot(self) -> None:
        """A life: what it told before stands in the journal alone."""
        for _, task in self.calls:
            task.cancel()
        await asyncio.sleep(0)
        self.calls = []
        self.journal = Journal(self.files, self.vault)
        assert (await self.journal.open()).trading == "ok"
        self.t: Any = SimpleNamespace(
            journal=self.journal, blocked=[], currency=SimpleNamespace(number=156), free=True,
            provision=SimpleNamespace(terminal=SimpleNamespace(largest_amount=99999)), keyed=0,
            asked=aio.Event(), test=True, note_failure=lambda kind, error: None,
        )  # fmt: skip
        self.services = RegisterCalls(self.t)
        self.register: Register = self.services.register

    # ---- what a register says

    async def start(self, number: int) -> None:
        call = Asked(f"till:{number // 2}", bytes([number % 2]) * 32)
        handler = self.services.handlers()["sale_start"]

        async def serve() -> None:
            try:
                await handler(call)
            except CallRefused as error:
                assert error.code in ("busy", "conflict"), error.code

        self.calls.append((call, asyncio.create_task(serve())))

    async def abort(self, number: int) -> None:
        reference = f"till:{number // 2}"
        said = await self.register.abort(reference)
        if said == "aborted":
            self.back.add(reference)
            assert self.outcome(reference) == "cancelled", "durable before it is told"
        elif said == "none":
            assert reference not in self.sent and reference not in self.told

    async def state(self, number: int) -> None:
        said = await self.register.state(f"till:{number // 2}")
        if said[1] == "final":
            self.hear(check(RESULT, said[2]))

    async def unplug(self, number: int) -> None:
        for _, task in self.calls[-1:]:
            task.cancel()

    # ---- what the terminal does

    async def take(self, number: int) -> None:
        if self.t.free and self.register.next is not None:
            self.register.take()
            self.t.free = False

    async def leave(self, number: int) -> None:
        order = self.register.order
        if order is None or self.journal.state.debt is not None:
            return
        if order.final and not order.aborted.is_set():  # the flow has shown its end
            return
        stan = self.journal.state.stan
        try:
            await self.journal.append(
                r.INTENT, {r.K_STAN: stan, r.K_TYPE: "sale", **order.keys}, sync=False
            )
            order.leave()
        except (Cancelled, r.JournalError):
            assert order.aborted.is_set()
            return
        assert order.reference not in self.back, "taken back, and sent"
        await self.journal.append(r.REQUEST, {**request(stan), **order.keys})
        self.sent[order.reference] = self.sent.get(order.reference, 0) + 1

    async def _ended(self, outcome: str) -> bool:
        debt, order = self.journal.state.debt, self.register.order
        if debt is None or order is None or debt.phase != 1:
            return False
        await self.journal.append(r.ANSWER, answer(debt.stan, outcome != "declined"))
        await self.journal.append(r.COMMIT, commit(debt.stan, outcome))
        if outcome == "approved":
            self.approved[order.reference] = self.approved.get(order.reference, 0) + 1
        return True

    async def approve(self, number: int) -> None:
        if await self._ended("approved"):
            await self._order().settle()

    async def decline(self, number: int) -> None:
        if await self._ended("declined"):
            await self._order().settle()

    async def wrong_pin(self, number: int) -> None:
        if await self._ended("declined"):
            self._order().again()

    async def lose(self, number: int) -> None:
        if await self._ended("reverse"):
            await self._order().settle()

    async def reversed(self, number: int) -> None:
        """Also of a debt that an earlier life left."""
        debt, order = self.journal.state.debt, self.register.order
        if debt is not None and (order is None or order.final):
            await self.journal.append(r.REVERSAL_SENT, {r.K_STAN: debt.stan, r.K_ATTEMPT: 1})
            await self.journal.append(r.REVERSED, {r.K_STAN: debt.stan})

    async def give_up(self, number: int) -> None:
        order = self.register.order
        if order is not None and self.journal.state.debt is None:
            await order.settle("error.cancelled")

    async def end(self, number: int) -> None:
        order = self.register.order
        if order is not None and order.final:
            self.register.done(order)
            self.t.free = True

    async def key(self, number: int) -> None:
        if self.register.order is None:
            self.t.free = False
            self.register.turn_away()

    async def idle(self, number: int) -> None:
        if self.register.order is None:
            self.t.free = True

    async def restart(self, number: int) -> None:
        await self.boot()

    # ---- what must be true

    def _order(self) -> Any:
        assert self.register.order is not None
        return self.register.order

    def outcome(self, reference: str) -> str:
        one = self.journal.state.registered.find(reference)
        return one.outcome if one is not None else ""

    def hear(self, result: dict[int, Any]) -> None:
        """A result was told: the one before, if there was one, was the same."""
        reference, outcome = result[1], result[2]
        before = self.told.get(reference, outcome)
        assert outcome == before or (before, outcome) == ("unknown", "reversed"), (before, outcome)
        assert (outcome == "approved") == (self.approved.get(reference, 0) == 1)
        self.told[reference] = outcome

    def check(self) -> None:
        for call, _ in self.calls:
            if call.told:
                self.hear(call.told)
                call.told = {}
        assert all(count == 1 for count in self.approved.values()), self.approved
        orders = [one for one in (self.register.order, self.register.next) if one is not None]
        assert len(orders) < 2 or orders[0].final


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_order_of_words_charges_twice_or_takes_a_word_back(steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        shop = Shop()
        await shop.boot()
        for name, number in [*steps, ("restart", 0), ("state", 0), ("state", 2)]:
            await getattr(shop, name.replace(" ", "_"))(number)
            for _ in range(4):
                await asyncio.sleep(0)
            shop.check()
        for _, task in shop.calls:
            task.cancel()

    run(main())


def test_who_reads_after_many_later_payments_is_refused_by_name() -> None:
    async def main() -> None:
        shop = Shop()
        await shop.boot()
        stalled = asyncio.Event()

        class Slow(Asked):
            async def item(self, value: dict[int, Any]) -> None:
                await stalled.wait()

        slow = asyncio.ensure_future(
            shop.services.handlers()["sale_start"](Slow("till:slow", bytes(32)))
        )
        await asyncio.sleep(0)
        assert await shop.register.abort("till:slow") == "aborted"
        for number in range(40):
            body = {r.K_AMOUNT: 1, r.K_CURRENCY: 156, r.K_OUTCOME: "cancelled", r.K_REASON: "x"}
            names = {r.K_REFERENCE: f"till:{number}", r.K_DIGEST: bytes(32)}
            await shop.journal.append(r.UNCHARGED, body | names, sync=False)
        stalled.set()
        with pytest.raises(r.JournalError, match="no longer kept"):
            await slow

    run(main())


def test_the_play_itself_can_pay() -> None:
    async def main() -> None:
        shop = Shop()
        await shop.boot()
        for name in ("start", "take", "leave", "approve", "end", "restart", "start", "state"):
            await getattr(shop, name)(0)
            for _ in range(4):
                await asyncio.sleep(0)
            shop.check()
        assert shop.told == {"till:0": "approved"} and shop.sent == {"till:0": 1}

    run(main())
