"""A terminal as the PC's tools see it, with a journal whose frames the firmware's own code
built. What it answers can be spoilt, so it is as hostile as a test likes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from firmware.cbor import encode
from firmware.link.services import SERVICES, check
from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from host_tools.pc_link.calls import Call, CallFailed, Terminal
from tests.support import journal_script

Item = dict[int, Any]


class Kept:
    """A frame, and the chain before it."""

    def __init__(
        self, epoch: int, sequence: int, raw: bytes, before: bytes, salvaged: bool
    ) -> None:
        self.epoch = epoch
        self.sequence = sequence
        self.raw = raw
        self.before = before
        self.salvaged = salvaged


class JournalTerminal(Terminal):
    """``kept``: its frames in order. ``piece``: frames of an item at most. ``oldest``: the first
    sequence that it still has. ``spoil``: what becomes of an item; ``lost_after``: the link is
    lost for good behind that many items. ``acks``: what the PC acknowledged; ``on_ack`` is
    called before the answer."""

    board = "virtual"
    firmware = "1.2.3"
    fingerprint = "00112233445566ff"

    def __init__(self, serial: str = "T1", piece: int = 7) -> None:
        self.serial = serial
        self.piece = piece
        self.kept: list[Kept] = []
        self.epoch, self.sequence, self.chain = 1, 0, segment.genesis(1)
        self.stan = 1
        self.oldest = 0
        self.clock: int | None = 1_800_000_000
        self.spoil: Callable[[Item], Item | None] = lambda item: item
        self.end: Callable[[Item], Item] = lambda end: end
        self.lost_after = -1
        self.acks: list[tuple[int, int, bytes]] = []
        self.on_ack: Callable[[], None] = lambda: None
        self.asked: list[tuple[str, Item]] = []
        self.grew = asyncio.Event()

    # -- its journal

    def add(self, kind: int, body: Any, salvaged: bool = False, version: int = 1) -> int:
        """Append a record; ``body``: a map, or bytes as they stand. Its sequence."""
        raw_body = body if isinstance(body, bytes) else encode(body)
        self.sequence += 1
        critical = r.critical(kind) if r.known(kind) else False
        raw = segment.build(kind, critical, self.sequence, 0, self.chain, raw_body)
        if version != 1:
            head = raw[:2] + bytes((version,)) + raw[3:-4]
            raw = head + (segment.crc32(head) & 0xFFFFFFFF).to_bytes(4, "big")
        self.kept.append(Kept(self.epoch, self.sequence, raw, self.chain, salvaged))
        self.chain = segment.chain(self.chain, raw)
        self.grew.set()
        return self.sequence

    def new_epoch(self, sequence: int | None = None) -> None:
        """What damage does: a new chain, behind ``sequence``; frames from there on are lost."""
        self.epoch += 1
        if sequence is not None:
            self.sequence = sequence
            self.kept = [one for one in self.kept if one.sequence <= sequence]
        self.chain = segment.genesis(self.epoch)
        self.add(r.DAMAGE, {r.K_CODE: "damage"})

    def sale(
        self, outcome: str = r.OUTCOME_APPROVED, amount: int = 1234, batch: int = 1, **more: Any
    ) -> int:
        """A payment as the app journals it, up to its commit; its STAN. ``more``: keys of the
        request, by their names in records.py."""
        stan, self.stan = self.stan, self.stan % 999999 + 1
        extra = {getattr(r, name): value for name, value in more.items()}
        self.add(r.INTENT, {r.K_STAN: stan, r.K_TYPE: "sale"})
        self.add(r.REQUEST, journal_script.request(stan, amount, batch) | extra)
        self.add(r.ANSWER, journal_script.answer(stan, outcome != r.OUTCOME_DECLINED))
        self.add(r.COMMIT, journal_script.commit(stan, outcome))
        return stan

    def reverse(self, stan: int) -> None:
        """Its reversal, acknowledged."""
        self.add(r.REVERSAL_SENT, {r.K_STAN: stan, r.K_ATTEMPT: 1})
        self.add(r.REVERSED, {r.K_STAN: stan, r.K_CODE: "00", r.K_TIME: 1_800_000_100})

    def sales(self, count: int) -> None:
        """``count`` payments, of which each fifth is declined and each seventh reversed."""
        for number in range(1, count + 1):
            if number % 5 == 0:
                self.sale(r.OUTCOME_DECLINED)
            elif number % 7 == 0:
                self.reverse(self.sale(r.OUTCOME_REVERSE))
            else:
                self.sale(amount=number)

    # -- what a PC asks

    async def open(self, service: str, arguments: Item | None = None, deadline_ms: int = 0) -> Call:
        check(SERVICES[service][1], arguments or {})
        self.asked.append((service, arguments or {}))
        call: Call = getattr(self, "_" + service)(arguments or {})
        return call

    def _head(self) -> Item:
        return {1: self.sequence, 2: self.epoch, 3: self.chain}

    def _hello(self, _: Item) -> Call:
        told = {
            1: ["sync"], 3: self.sequence, 4: self.epoch, 5: self.chain, 6: [], 7: False, 8: True,
        }  # fmt: skip
        if self.clock is not None:
            told[2] = self.clock
        return Played("hello", [], told)

    def _journal_read(self, arguments: Item) -> Call:
        after = arguments[1]
        if after > self.sequence:
            return Played("journal_read", [], CallFailed("fork", "fork", {1: self.sequence}))
        if after + 1 < self.oldest:
            return Played("journal_read", [], CallFailed("old", "expired", {1: self.oldest}))
        items = [self.spoil(item) for item in self._pieces(after)]
        sent = [item for item in items if item is not None]
        end: Item | CallFailed = self.end(self._head())
        if self.lost_after >= 0:
            sent, end = sent[: self.lost_after], CallFailed("lost", "lost")
        return Played("journal_read", sent, end)

    def _pieces(self, after: int) -> list[Item]:
        items: list[Item] = []
        for one in self.kept:
            if one.sequence <= after or one.sequence < self.oldest:
                continue
            before = items[-1] if items else None
            joins = before is not None and not one.salvaged and 5 not in before
            joins = joins and before is not None and before["of"] == one.epoch
            if before is not None and joins and before["count"] < self.piece:
                before[3] += one.raw
                before["count"] += 1
                continue
            item: dict[Any, Any] = {1: one.sequence, 2: one.epoch, 3: one.raw, 4: one.before}
            if one.salvaged:
                item[4] = one.before[:8] + bytes(24)
                item[5] = True
            item |= {"of": one.epoch, "count": 1}
            items.append(item)
        return [{key: item[key] for key in item if isinstance(key, int)} for item in items]

    def _journal_ack(self, arguments: Item) -> Call:
        self.on_ack()
        cursor = (arguments[1], arguments[2], arguments[3])
        ends = [(one.sequence, one.epoch, segment.chain(one.before, one.raw)) for one in self.kept]
        if cursor not in ends:
            return Played("journal_ack", [], CallFailed("fork", "fork", {1: self.sequence}))
        self.acks.append(cursor)
        return Played("journal_ack", [], {})

    def _watch(self, _: Item) -> Call:
        return Watched(self)


class Played(Call):
    """``items`` and then ``end``; both are checked against the table, as the link does."""

    def __init__(self, service: str, items: list[Item], end: "Item | CallFailed") -> None:
        _, _, self._item, self._end = SERVICES[service]
        self._items = items
        self._last = end

    async def items(self) -> AsyncIterator[Item]:
        while self._items:
            assert self._item is not None
            item = self._items.pop(0)
            yield check(self._item, item)
            await asyncio.sleep(0)
        await self.result()

    async def result(self) -> Item:
        if isinstance(self._last, CallFailed):
            raise self._last
        return check(self._end, self._last)

    async def cancel(self) -> None:
        self._items = []


class Watched(Call):
    """An item whenever the journal grows; ends with the link."""

    def __init__(self, terminal: JournalTerminal) -> None:
        self._terminal = terminal
        self.cancelled = False

    async def items(self) -> AsyncIterator[Item]:
        while True:
            await self._terminal.grew.wait()
            self._terminal.grew.clear()
            yield {1: "journal", 2: {1: self._terminal.sequence}}

    async def cancel(self) -> None:
        self.cancelled = True
