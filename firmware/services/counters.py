"""Counters of wear and of starts, and what is due for service by them.

The devices count while they run; here their counts are added to the journal's
totals. ``keep`` writes what changed as one unsynced record, before a payment's
intent: the payment's own sync makes it durable (docs/maintenance.md).
"""

from firmware import aio
from firmware.hal.power import PowerError
from firmware.payment.journal import records as r

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.payment.journal.fold import State
    from firmware.payment.journal.journal import Journal
    from firmware.payment.journal.recovery import Recovered

#: Names by number, as slips, screens and ``till doctor`` have them.
NAMES = {
    r.C_PAPER: "paper",
    r.C_CUTS: "cuts",
    r.C_INSERTS: "inserts",
    r.C_TAPS: "taps",
    r.C_SWIPES: "swipes",
    r.C_BOOTS: "boots",
    r.C_ENDS: "ends",
    r.C_BROWN_OUTS: "brown_outs",
}
#: Counter: (setting of the board's [maintenance], what it is unless set, how much of
#: the counter one of the setting is). Sources in docs/maintenance.md.
LIMITS = {
    r.C_PAPER: ("paper_m", 37_500, 1000),
    r.C_CUTS: ("cuts", 500_000, 1),
    r.C_INSERTS: ("inserts", 100_000, 1),
    r.C_SWIPES: ("swipes", 300_000, 1),
}
#: Before a setting's name: the journal's setting of it, which counts before the board's.
REMIND = "remind."


class Due:
    """A part that is due: ``used`` since its last service, at ``limit`` or above."""

    def __init__(self, number: int, used: int, limit: int) -> None:
        self.number = number
        self.used = used
        self.limit = limit

    @property
    def text_key(self) -> str:
        """What the merchant is told; ``text_key + ".do"``: what to do."""
        return "service." + NAMES[self.number]


class Tally:
    """What the counters say. ``books``: where the folded state is; ``begin`` once it is."""

    def __init__(
        self, books: "Journal | Recovered", devices: "Any", board: "dict[str, Any]"
    ) -> None:
        self._books = books
        self._devices = devices
        self._limits = board.get("maintenance", {})
        self._base: "dict[int, int]" = {}

    def begin(self) -> None:
        """From now on count on from the journal's totals."""
        self._base = dict(self._books.state.counters)

    def totals(self) -> "dict[int, int | None]":
        """Every counter; None where nothing of this board could ever count it."""
        found: "dict[int, int | None]" = {}
        since = self._since_start()
        for number in NAMES:
            if number in (r.C_BOOTS, r.C_ENDS):
                found[number] = self._books.state.counters.get(number, 0)
            elif number in since:
                found[number] = min(self._base.get(number, 0) + since[number], r.MAX_COUNT)
            else:
                found[number] = self._base.get(number)
        return found

    def _since_start(self) -> "dict[int, int]":
        """What the devices have counted since they were built."""
        devices = self._devices
        since: "dict[int, int]" = {}
        if devices.printer is not None:
            since[r.C_PAPER] = devices.printer.fed_mm
            if devices.capabilities.cutter:
                since[r.C_CUTS] = devices.printer.cuts
        if devices.card_reader is not None:
            since[r.C_INSERTS] = devices.card_reader.inserts
        if devices.contactless is not None:
            since[r.C_TAPS] = devices.contactless.taps
        if devices.stripe is not None:
            since[r.C_SWIPES] = devices.stripe.swipes
        if devices.power is not None and devices.power.brown_outs is not None:
            since[r.C_BROWN_OUTS] = devices.power.brown_outs
        return since

    def due(self) -> "list[Due]":
        """Parts whose interval is over, in the order of ``LIMITS``."""
        found = []
        serviced = self._books.state.serviced
        totals = self.totals()
        for number in sorted(LIMITS):
            name, usual, unit = LIMITS[number]
            limit = self._limits.get(name, usual)
            kept = self._books.state.settings.get(REMIND + name)
            limit = (limit if kept is None else kept) * unit
            total = totals[number]
            if total is not None and limit:
                used = total - serviced.get(number, 0)
                if used >= limit:
                    found.append(Due(number, used, limit))
        return found


class Counters(Tally):
    """The counters of a terminal that runs, which its journal keeps."""

    def __init__(self, journal: "Journal", devices: "Any", board: "dict[str, Any]") -> None:
        super().__init__(journal, devices, board)
        self._journal = journal
        #: Whether the journal was told of this start: it is then told of the end as well.
        self.started = False

    async def keep(self) -> None:
        """Journal what changed, to become durable with the next record that is synced.
        JournalError, FilesError."""
        told = self._journal.state.counters
        totals = self.totals()
        changed: "dict[int, int]" = {}
        for number in totals:
            total = totals[number]
            if total is not None and total > told.get(number, 0):
                changed[number] = total
        if changed:
            await self._journal.append(r.COUNTERS, {r.K_COUNTS: changed}, sync=False)

    async def end(self, code: str) -> None:
        """This life ends by itself: not by a power cut. ``code``: why, at most 24
        characters. JournalError, FilesError."""
        if self.started and not self._journal.broken:
            self.started = False
            await self.keep()
            await self._journal.append(r.ENDED, {r.K_CODE: code})

    async def serviced(self, number: int, who: str, now: "int | None") -> None:
        """A part was serviced: its interval begins anew, its total goes on. ``now``:
        Unix seconds, None where the clock is dead. JournalError, FilesError."""
        body: "dict[int, Any]" = {r.K_WHO: who, r.K_COUNTS: {number: self.totals()[number]}}
        if now is not None:
            body[r.K_TIME] = now
        await self._journal.append(r.SERVICED, body)

    async def watch(self) -> None:
        """Look at a supply whose dips are short, for as long as the terminal serves."""
        power = self._devices.power
        while True:
            await aio.sleep_ms(power.watch_ms)
            try:
                await power.status()
            except PowerError:
                pass  # the idle screen asks too, and says so


def cut_off(state: "State", running: bool) -> int:
    """Starts that no told end followed, by the journal's folded state; ``running``: the
    last of them may still be told."""
    starts = state.counters.get(r.C_BOOTS, 0) - (1 if running else 0)
    return max(starts - state.counters.get(r.C_ENDS, 0), 0)
