"""Follows a terminal's journal into the database, by cursor, each record once.

The order is what makes it safe to break off anywhere: a piece is durable here, with the cursor
behind it, before the terminal hears of it. Whatever was cut off is asked for again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from host_tools.errors import UserError
from host_tools.pc_link.calls import Call, CallFailed, Terminal
from host_tools.store import intake
from host_tools.store.database import Store
from host_tools.store.intake import BEHIND, BROKEN, FORK, Place, Taken, Told

T = TypeVar("T")

EXPIRED = "expired"
#: Bytes of frames that one transaction takes, the pause that ends one before, and pieces that
#: wait for the next.
_MOST_BYTES, _PAUSE_S, _MOST_WAITING = 1 << 18, 0.02, 16
#: The terminal hears after so many records, and at the end.
_ACKNOWLEDGE_EVERY = 4096
#: Requests for one sync: a terminal that needs more makes a fool of us.
_MOST_REQUESTS = 64
_ALL = 1 << 30
#: Alarms that one sync tells; the database has the others.
_MOST_TOLD = 256


@dataclass
class Synced:
    """What a sync did. ``new`` records came, ``known`` came again; the records now end at
    ``place``. ``stopped``: an alarm ended it before the terminal's end was reached."""

    serial: str
    terminal_id: int = 0
    new: int = 0
    known: int = 0
    place: Place = intake.START
    head: int = 0
    acknowledged: int = 0
    clock_offset_s: int | None = None
    alarms: list[Told] = field(default_factory=list)
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "serial": self.serial,
            "new": self.new,
            "known": self.known,
            "epoch": self.place.epoch,
            "sequence": self.place.sequence,
            "head": self.head,
            "acknowledged": self.acknowledged,
            "clock_offset_s": self.clock_offset_s,
            "alarms": [one._asdict() | {"text": one.text} for one in self.alarms],
            "complete": not self.stopped,
        }


#: An item, the error that ended them, or their end.
_News = dict[int, Any] | UserError | None

#: Hears how many records are here, and how many there are to come.
Progress = Callable[[int, int], None]


async def sync(
    store: Store,
    terminal: Terminal,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Synced:
    """Take what ``terminal`` has and the database has not. CallFailed, UserError; what was
    taken before either is here and stays."""
    return await _Sync(store, terminal, progress, clock).run()


async def follow(
    store: Store,
    terminal: Terminal,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Synced]:
    """Sync, and again whenever the terminal's journal grows, until an alarm stops it.
    CallFailed, UserError."""
    watch = await terminal.open("watch", {1: ["journal"]})
    try:
        synced = await sync(store, terminal, progress, clock)
        yield synced
        if synced.stopped:
            return
        async for _ in watch.items():
            synced = await sync(store, terminal, progress, clock)
            if synced.new or synced.alarms:
                yield synced
            if synced.stopped:
                return
    finally:
        await watch.cancel()


async def _in_thread(work: Callable[[], T]) -> T:
    """``work`` beside the link, which must not wait for a disk. When this is cancelled the
    work is still waited for: a transaction ends before the connection is given back."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class _Sync:
    def __init__(
        self,
        store: Store,
        terminal: Terminal,
        progress: Progress | None,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._terminal = terminal
        self._progress = progress
        self._clock = clock
        self._synced = Synced(terminal.serial)
        self._begun = 0
        #: The beginning of a new epoch is looked for further and further back, and where the
        #: terminal does not keep it, the epoch is taken as it comes.
        self._step = 1
        self._accept = False

    async def run(self) -> Synced:
        synced = self._synced
        head = await self._begin()
        after = self._after(head)
        for _ in range(_MOST_REQUESTS):
            if await self._level(head):
                break
            before = synced.place
            try:
                found = await self._read(after)
            except CallFailed as error:
                after = self._oldest(error, after)
                continue
            if synced.stopped:
                break
            if found is None:
                after = self._further_back(after)
                continue
            if synced.place == before and found != before:
                await self._stop(Told(BROKEN, f"{before.sequence} < {found.sequence}"))
                break
            head = found
            after = self._after(head)
        else:
            await self._stop(Told(BROKEN, "endless"))
        await self._acknowledge()
        return synced

    async def _begin(self) -> Place:
        """Who it is, and how far its journal goes."""
        terminal, synced = self._terminal, self._synced
        hello = await terminal.ask("hello")
        now = int(self._clock())
        if 2 in hello:
            synced.clock_offset_s = hello[2] - now
        who = intake.Who(
            terminal.serial,
            terminal.board,
            terminal.firmware,
            terminal.fingerprint,
            synced.clock_offset_s,
        )
        number, taken = await self._change(lambda connection: intake.begin(connection, who, now))
        synced.terminal_id = number
        self._add(taken)
        self._begun = taken.place.sequence
        return Place(hello[3], hello[4], hello[5])

    async def _level(self, head: Place) -> bool:
        """Whether there is nothing to ask for: all up to ``head`` is here, or must not be."""
        synced, place = self._synced, self._synced.place
        synced.head = head.sequence
        if synced.stopped or head == place or (not head.sequence and not place.sequence):
            return True
        if (head.epoch, head.sequence) == (place.epoch, place.sequence):
            await self._stop(Told(FORK, str(place.sequence), place.sequence))
        elif (head.epoch, head.sequence) < (place.epoch, place.sequence):
            there, here = f"{head.epoch}.{head.sequence}", f"{place.epoch}.{place.sequence}"
            await self._stop(Told(BEHIND, f"{there} < {here}"))
        return synced.stopped

    def _after(self, head: Place) -> int:
        """The sequence behind which to ask. A terminal that lost records goes on below what
        is here, in a new epoch."""
        return min(self._synced.place.sequence, max(0, head.sequence - 1))

    def _further_back(self, after: int) -> int:
        if not after:
            self._accept = True
        self._step *= 4
        return max(0, after - self._step)

    def _oldest(self, error: CallFailed, after: int) -> int:
        """Where to go on when the terminal no longer keeps what was asked for."""
        oldest = error.details.get(1)
        told = error.code == EXPIRED and not self._accept
        if not told or not isinstance(oldest, int) or oldest <= after + 1:
            raise error
        self._accept = True
        return oldest - 1

    async def _read(self, after: int) -> Place | None:
        """One ``journal_read``; the terminal's head after it, None when an epoch's beginning
        lies further back, or an alarm stopped it."""
        call = await self._terminal.open("journal_read", {1: after, 2: _ALL})
        whole = False
        try:
            whole = await self._take(call)
            if not whole:
                return None
            end = await call.result()
        except CallFailed:
            whole = True  # it has ended
            raise
        finally:
            if not whole:
                await call.cancel()
        return Place(end[1], end[2], end[3])

    async def _take(self, call: Call) -> bool:
        """Store what comes; whether it came to its end."""
        waiting: asyncio.Queue[_News] = asyncio.Queue(_MOST_WAITING)
        fetching = asyncio.create_task(_fetch(call, waiting))
        try:
            while True:
                items, last = await _gather(waiting)
                if items and await self._keep(items):
                    return False
                if isinstance(last, UserError):
                    raise last
                if last is None:
                    return True
        finally:
            fetching.cancel()
            await asyncio.wait({fetching})

    async def _keep(self, items: list[dict[int, Any]]) -> bool:
        """One transaction; whether nothing more of this request is wanted."""
        number, now, accept = self._synced.terminal_id, int(self._clock()), self._accept
        taken = await self._change(
            lambda connection: intake.Intake(connection, number, now, accept).take(items)
        )
        self._add(taken)
        if taken.back or taken.stopped:
            return True
        if self._synced.place.sequence - self._synced.acknowledged >= _ACKNOWLEDGE_EVERY:
            await self._acknowledge()
        return self._synced.stopped

    def _add(self, taken: Taken) -> None:
        synced = self._synced
        synced.place = taken.place
        synced.new += taken.new
        synced.known += taken.known
        synced.stopped = synced.stopped or taken.stopped
        room = _MOST_TOLD - len(synced.alarms)
        synced.alarms += [one for one in taken.alarms[:room] if one not in synced.alarms]
        if self._progress is not None and synced.head:
            self._progress(taken.place.sequence - self._begun, max(0, synced.head - self._begun))

    async def _acknowledge(self) -> None:
        """Tell the terminal what is durable here."""
        synced, place = self._synced, self._synced.place
        if not place.sequence or (synced.stopped and not synced.new):
            return
        try:
            arguments = {1: place.sequence, 2: place.epoch, 3: place.chain}
            await self._terminal.ask("journal_ack", arguments)
        except CallFailed as error:
            if error.code != FORK:
                raise
            await self._stop(Told(FORK, str(place.sequence), place.sequence))
            return
        synced.acknowledged = place.sequence
        number = synced.terminal_id
        await self._change(
            lambda connection: intake.acknowledged(connection, number, place.sequence)
        )

    async def _stop(self, told: Told) -> None:
        """An alarm that ends this sync."""
        synced, now = self._synced, int(self._clock())
        synced.stopped = True
        if told not in synced.alarms:
            synced.alarms.append(told)
        await self._change(
            lambda connection: intake.note(connection, synced.terminal_id, [told], now)
        )

    async def _change(self, work: Callable[[Connection], T]) -> T:
        return await _in_thread(lambda: self._store.change(work))


async def _fetch(call: Call, waiting: "asyncio.Queue[_News]") -> None:
    """Take items off the link while others are being stored."""
    try:
        async for item in call.items():
            await waiting.put(item)
    except UserError as error:
        await waiting.put(error)
    else:
        await waiting.put(None)


async def _gather(
    waiting: "asyncio.Queue[_News]",
) -> "tuple[list[dict[int, Any]], _News]":
    """What comes without a pause, up to a transaction's worth, and why no more does: None at
    the end, an error, or the last item where more may."""
    news = await waiting.get()
    items: list[dict[int, Any]] = []
    size = 0
    while isinstance(news, dict):
        items.append(news)
        size += len(news[3])
        if size >= _MOST_BYTES:
            break
        try:
            async with asyncio.timeout(_PAUSE_S if waiting.empty() else None):
                news = await waiting.get()
        except TimeoutError:
            break
    return items, news
