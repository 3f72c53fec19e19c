"""The terminal's own journal, its reading for PCs, and the PC's store, through power cuts and
damaged, missing and old segments."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from firmware.link.services import SERVICES, CallRefused, check
from firmware.payment.journal import fold
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from firmware.services.link_calls import Call as Served
from firmware.services.link_journal import LinkJournal
from host_tools.pc_link.calls import Call, CallFailed, Terminal
from host_tools.store import database
from host_tools.store.database import Store
from host_tools.store.models import Alarm, Payment, Record
from host_tools.store.rebuild import rebuild
from host_tools.store.sync import Synced, sync
from tests.support import journal_script
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault

OUTCOMES = (r.OUTCOME_APPROVED, r.OUTCOME_DECLINED, r.OUTCOME_REVERSE)


class _Handled(Served):
    def __init__(self, arguments: dict[int, Any]) -> None:
        self.arguments = arguments
        self.most_message = 65536
        self.said: list[dict[int, Any]] = []
        self.ended: dict[int, Any] = {}

    async def item(self, value: dict[int, Any]) -> None:
        self.said.append(value)

    async def end(self, value: dict[int, Any]) -> None:
        self.ended = value


class _Asked(Call):
    def __init__(self, service: str, handler: Any, arguments: dict[int, Any]) -> None:
        self._schema = SERVICES[service]
        self._served = _Handled(check(self._schema[1], arguments))
        self._handler = handler

    async def items(self) -> AsyncIterator[dict[int, Any]]:
        await self._run()
        for item in self._served.said:
            assert self._schema[2] is not None
            yield check(self._schema[2], item)

    async def result(self) -> dict[int, Any]:
        if not self._served.ended:
            await self._run()
        return check(self._schema[3], self._served.ended)

    async def _run(self) -> None:
        try:
            await self._handler(self._served)
        except CallRefused as error:
            raise CallFailed(error.code, error.code, error.details) from None

    async def cancel(self) -> None:
        pass


class Shop(Terminal):
    """A terminal's journal on a disk that a test may spoil."""

    serial = "T1"
    board = "virtual"
    firmware = "1"
    fingerprint = "0" * 16

    def __init__(self, draw: random.Random, segment_bytes: int = 3000) -> None:
        self.draw = draw
        self.files = MemoryFiles()
        self.vault = NotedVault()
        self._bytes = segment_bytes
        self.journal = Journal(self.files, self.vault, segment_bytes)

    async def boot(self) -> None:
        self.journal = Journal(self.files, self.vault, self._bytes)
        await self.journal.open()
        if self.journal.state.unconfirmed:
            await self.journal.append(r.CONFIRMED, {r.K_WHO: "supervisor"})
        await self.settle()

    async def settle(self) -> None:
        """What is owed goes first."""
        if self.journal.state.debt is not None:
            await self.reverse(self.journal.state.debt.stan)

    async def reverse(self, stan: int) -> None:
        await self.journal.append(r.REVERSAL_SENT, {r.K_STAN: stan, r.K_ATTEMPT: 1})
        await self.journal.append(r.REVERSED, {r.K_STAN: stan, r.K_CODE: "00"})

    async def open(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 0
    ) -> Call:
        if service == "hello":

            async def hello(call: Served) -> None:
                head = self.journal.head()
                told = {3: head[0], 4: head[1], 5: head[2]}
                await call.end({1: ["sync"], 6: [], 7: False, 8: True} | told)

            return _Asked(service, hello, {})
        handlers = LinkJournal(self.journal, self.files).handlers()
        return _Asked(service, handlers[service], arguments or {})

    # -- what may happen

    async def pay(self) -> None:
        state, draw = self.journal.state, self.draw
        stan, outcome = state.stan, draw.choice(OUTCOMES)
        await self.settle()
        request = journal_script.request(stan, draw.randrange(1, 9999), state.batch)
        await self.journal.reserve()
        await self.journal.append(r.INTENT, {r.K_STAN: stan, r.K_TYPE: "sale"}, sync=False)
        await self.journal.append(r.REQUEST, request)
        if draw.randrange(10) == 0:
            return  # what comes next is a power cut or a reversal
        answer = journal_script.answer(stan, outcome != r.OUTCOME_DECLINED)
        await self.journal.append(r.ANSWER, answer)
        await self.journal.append(r.COMMIT, journal_script.commit(stan, outcome))
        if outcome == r.OUTCOME_REVERSE:
            await self.reverse(stan)
            return
        await self.journal.append(
            r.PRINTED, {r.K_STAN: stan, r.K_COPY: r.COPY_MERCHANT}, sync=bool(draw.randrange(2))
        )

    async def close_batch(self) -> None:
        await self.settle()
        await self.journal.append(r.BATCH_CLOSED, {r.K_BATCH: self.journal.state.batch})

    async def cut(self) -> None:
        self.files = self.files.after_cut(self.draw.choice(("lost", "kept", "torn")))
        await self.boot()

    def segments(self) -> list[str]:
        return sorted(name for name in self.files.now if name.startswith("j"))

    async def damage(self) -> None:
        name = self.draw.choice(self.segments())
        data = bytearray(self.files.now[name])
        data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        self.files.now[name] = self.files.durable[name] = bytes(data)
        await self.boot()

    async def lose(self) -> None:
        name = self.draw.choice(self.segments())
        del self.files.now[name]
        self.files.durable.pop(name, None)
        await self.boot()

    async def shorten(self) -> None:
        name = self.segments()[-1]
        data = self.files.now[name]
        self.files.now[name] = self.files.durable[name] = data[: self.draw.randrange(len(data))]
        await self.boot()


async def synced(store: Store, shop: Shop) -> Synced:
    return await sync(store, shop, clock=lambda: 1_800_000_000)


def open_batch(store: Store, batch: int) -> tuple[int, int]:
    """Count and sum of the approved payments of a batch."""
    with store.read() as connection:
        query = select(func.count(), func.coalesce(func.sum(Payment.amount), 0))
        where = query.where(Payment.batch == batch, Payment.outcome == "approved")
        count, amount = connection.execute(where).one()
        return count, amount


@pytest.mark.parametrize("seed", range(6))
def test_both_folds_agree_through_power_cuts(seed: int) -> None:
    async def run() -> None:
        shop, store = Shop(random.Random(seed)), database.open("sqlite://")
        await shop.boot()
        for _ in range(40):
            await shop.draw.choice((shop.pay, shop.pay, shop.pay, shop.cut, shop.close_batch))()
            if shop.draw.randrange(3):
                continue
            done = await synced(store, shop)
            head = shop.journal.head()
            assert (done.alarms, done.place) == ([], head if head[0] else (0, 0, b""))
            state = shop.journal.state
            there = [one.amount for one in state.transactions if one.status == fold.APPROVED]
            assert open_batch(store, state.batch) == (len(there), sum(there))
        assert rebuild(store) == []
        store.close()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(12))
def test_damage_never_stops_a_sync_for_good(seed: int) -> None:
    async def run() -> None:
        shop, store = Shop(random.Random(seed)), database.open("sqlite://")
        await shop.boot()
        for _ in range(14):
            for _ in range(shop.draw.randrange(6)):
                await shop.pay()
            await shop.draw.choice((shop.damage, shop.lose, shop.shorten, shop.cut))()
            if shop.draw.randrange(2):
                continue
            done = await synced(store, shop)
            assert not done.stopped, (done.alarms, shop.journal.head())
            assert done.place == shop.journal.head()
            again = await synced(store, shop)
            assert (again.new, again.stopped) == (0, False), again
        await shop.pay()
        done = await synced(store, shop)
        assert not done.stopped and done.new >= 2
        found = rebuild(store)
        assert [one for one in found if one.code == "edited"] == [], found
        with store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(Record)) > 20
            assert set(connection.scalars(select(Alarm.code))) <= {
                "gap", "damage", "lost", "orphan", "late",
            }  # fmt: skip
        store.close()

    asyncio.run(run())
