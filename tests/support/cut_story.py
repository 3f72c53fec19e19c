"""Sales with the power cut anywhere, and what must be true afterwards.

A ``Story`` is one sale on the whole device. ``play`` tells it with the power
cut at given events (of the disk, the card, the connection, the bank, the
printer), lets the terminal recover, takes one more payment, and holds the
journal, the bank's books, the screens and the paper against each other.
"""

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal import fold, recovery
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.faulty_disk import KEPT, LOST, TORN, ZEROS, FaultyDisk, PowerCut
from tests.support.handheld import Handheld
from tests.support.vault_parts import SeededEntropy

AMOUNT, NEXT_AMOUNT = "1234", "4200"
NEXT_CARD = "no-cvm"
#: Heads every slip.
SHOP = "OpenTill Test Shop"
#: The printer has its own supply: it prints what it holds before the terminal is back.
PRINTER_S = 10
#: What a power cut may leave in the journal; anything else needs explaining.
HARMLESS = {"torn_tail", "unfinished_segment"}


class Story(NamedTuple):
    """``card`` of the deck pays; ``rule``: how the bank misbehaves; ``first_use``:
    the terminal has never signed in, nor even booted."""

    name: str
    card: str
    rule: str = ""
    first_use: bool = False


STORIES = (
    Story("first use, approved", "online-pin", first_use=True),
    Story("approved", "online-pin"),
    Story("declined", "decline"),
    Story("answer lost", "online-pin", rule="drop"),
    Story("issuer script", "script-put-data"),
    Story("card refuses", "host-yes-card-no"),
)


class Cut(NamedTuple):
    """Power goes before or after the ``event``-th event, counted from 1."""

    event: int
    before: bool


class Played(NamedTuple):
    """``log``: the story's events, one line each; ``struck``: the cuts that struck."""

    log: list[str]
    struck: int


class Fates:
    """Fates of unsynced items: all lost, all kept, or drawn."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(seed)

    def __call__(self, disk: FaultyDisk) -> tuple[int, ...]:
        if self._seed in (LOST, KEPT):
            return (self._seed,) * disk.pending
        names = disk.pending_names()
        fates = (LOST, KEPT, ZEROS, TORN)
        return tuple(self._random.choice(fates[:2] if name else fates) for name in names)


async def play(
    story: Story,
    cuts: "list[Cut]",
    fates: int,
    patient: bool = True,
    day: "type[Day] | None" = None,
) -> Played:
    """The story with these power cuts (the second one in the recovery).

    ``fates``: 0 loses and 1 keeps all that was unsynced, others draw.
    ``patient``: wait until the background task has reversed what is owed;
    else the next payment has to. ``day``: what else is done and must be true.
    """
    t = Handheld(answer_timeout_ms=3_000)
    try:
        return await _play(t, story, cuts, (day or Day)(t, story, Fates(fates), patient))
    finally:
        await t.power_off()


async def begin(t: Handheld, story: Story) -> None:
    """What goes before the story: the bank's rule, a terminal that has signed in."""
    if story.rule:
        t.acquirer.rule(story.rule, amount=int(AMOUNT))
    if not story.first_use:
        await t.power_on()
        await _sign_in(t)


async def finish(t: Handheld, day: "Day") -> None:
    """What comes after it: one more payment, and everything must agree."""
    await day.next_sale()
    await t.power_off(Fates(KEPT))
    await day.check()


async def _play(t: Handheld, story: Story, cuts: "list[Cut]", day: "Day") -> Played:
    await begin(t, story)
    first = t.disk.events
    struck = 0
    step = day.sale
    while True:
        if struck < len(cuts):
            cut = cuts[struck]
            (t.disk.cut_before if cut.before else t.disk.cut_after)(cut.event)
        try:
            await step()
            break
        except PowerCut:
            struck += 1
            if struck == 1:
                log = t.disk.log[first:]
            await day.lose_power()
            step = day.recover
    t.disk.cut_never()
    if not struck:
        log = t.disk.log[first:]
    await finish(t, day)
    return Played(log, struck)


async def _sign_in(t: Handheld) -> None:
    await t.press("menu")
    await t.until("menu")
    await t.press("2")
    await t.until("message")
    await t.press("enter")
    await t.until("idle")


class Day:
    """The story's life and lives, and what was said in them."""

    def __init__(self, t: Handheld, story: Story, fates: Fates, patient: bool) -> None:
        self.t = t
        self.story = story
        self.fates = fates
        self.patient = patient
        #: Where the paper stood at each loss of power.
        self.paper_ends: list[int] = []
        self.told: list[dict[str, Any]] = []
        #: What boots that came as far as the idle screen must have found and written down.
        self.expected: set[str] = set()

    # ---- what happens ---------------------------------------------------------------

    async def sale(self) -> None:
        """From the idle screen to the idle screen."""
        if self.story.first_use:
            await self.t.power_on()
        await self.t.pay(AMOUNT, self.story.card)
        await self._to_idle()

    async def _to_idle(self) -> None:
        """The cardholder's copy too, the card back; then nothing is to do."""
        t = self.t
        while True:
            tree = await t.until("question", "result", "message", "remove_card", "idle")
            if tree["screen"] == "idle":
                return
            if tree["screen"] == "remove_card":
                t.remove()
            else:
                await t.press("enter")
            await t.when(_other(tree), "the next screen")

    async def lose_power(self) -> None:
        """The terminal is dead: see what it had said, take the card, reboot the disk."""
        t = self.t
        self.told += t.screens
        await t.power_off(self.fates)
        t.remove()
        await asyncio.sleep(PRINTER_S)
        self.paper_ends.append(len(t.paper))
        twin = t.disk.clone()
        vault = SoftVault(twin.files(), SeededEntropy())
        await vault.open()
        found = await recovery.recover(twin.files(), vault)
        self.notices = {notice.code for notice in found.notices + found.damage}
        assert self.notices <= HARMLESS and not found.blocked, (self.notices, t.disk.log[-8:])
        self.debt = found.state.debt
        slots = await vault.status()
        # Each enrolment draws another terminal master key: that there is one counts.
        keys = [(name, "" if name == "tmk" else slots[name].kcv) for name in slots]
        self.vault_left = (sorted(keys), await vault.key_set(), await vault.journal_position())

    async def recover(self) -> None:
        """Boot, print what is owed; patiently: reverse what is owed."""
        t = self.t
        await t.power_on("")
        first = await t.until("idle", "question")
        if first["screen"] == "idle":
            named = "idle.reversal_owed" in {node.get("key") for node in first["nodes"]}
            assert named == (self.debt is not None), t.text
        else:  # owed paper is asked about first; what is owed for it is settled
            assert self.debt is None
        self.expected |= self.notices
        await asyncio.sleep(1)  # for the question that paper is owed, or the attempt
        await self._to_idle()
        while self.patient and t.keys_shown() & {"idle.reversal_owed", "idle.reversing"}:
            await t.when(_other(t.screen), "the reversal")
            await self._to_idle()

    async def next_sale(self) -> None:
        """Trading goes on: one more payment, approved at once."""
        t = self.t
        await t.pay(NEXT_AMOUNT, NEXT_CARD)
        assert "result.approved" in t.keys_shown(), t.text
        await self._to_idle()
        self.told += t.screens

    def state(self) -> str:
        """What the cut left for the next life to find: equal texts, equal recoveries.

        The vault counts by what it holds: wrapped, its bytes differ at each write.
        """
        t = self.t
        disk = t.disk.snapshot()
        plain = {name: disk[name] for name in disk if name.endswith((".seg", ".ckp"))}
        books = [
            (row["stan"], row["state"], row["script_results"]) for row in t.acquirer.transactions()
        ]
        return repr((sorted(disk), plain, self.vault_left, books, t.acquirer.ledger.terminals()))

    # ---- what must be true ----------------------------------------------------------

    @staticmethod
    def _counters_only_rise(records: "list[r.Record]", state: fold.State) -> None:
        """Each start is counted, and no count goes back whatever a cut took with it."""
        counted = {r.C_BOOTS: len([one for one in records if one.kind == r.BOOT])}
        for one in records:
            for number, total in one.body.get(r.K_COUNTS, {}).items():
                assert total > counted.get(number, 0), (number, total)
                counted[number] = total
        assert state.counters == counted and counted[r.C_INSERTS] > 0

    async def check(self) -> None:
        """Journal, bank, screens and paper agree. AssertionError says where not."""
        t = self.t
        disk = t.disk
        vault = SoftVault(disk.files(), SeededEntropy())
        await vault.open()
        journal = Journal(disk.files(), vault)
        report = await journal.open()
        assert report.trading == "ok"
        records = await journal.read(0, 1000)
        state = journal.state
        assert state.debt is None and not state.scripts_owed
        assert await vault.key_set() == state.key_set and state.signed_in
        self._counters_only_rise(records, state)
        named = {
            code for one in records if one.kind == r.BOOT for code in one.body.get(r.K_NOTICES, [])
        }
        assert self.expected <= named, (self.expected, named)

        books = {int(row["stan"]): row for row in t.acquirer.transactions()}
        assert t.acquirer.ledger.inconsistencies() == []
        self._agree(state, books)
        self._requests()
        self._told(books)
        self._slips(books)
        self._reversals(records)
        self._scripts(records, books)

    def _agree(self, state: fold.State, books: "dict[int, dict[str, Any]]") -> None:
        ours = {one.stan: one.amount for one in state.transactions if one.status == fold.APPROVED}
        theirs = {
            stan: row["approved_amount"]
            for stan, row in books.items()
            if row["state"] == "approved"
        }
        assert ours == theirs, (ours, theirs)
        assert sum(count_amount[1] for count_amount in state.totals.values()) == sum(ours.values())
        assert sum(theirs.values()) == self.t.acquirer.approved_total()
        assert int(NEXT_AMOUNT) in theirs.values()

    def _requests(self) -> None:
        """No financial request twice; a STAN belongs to one message."""
        came = [m for m in self.t.acquirer.ledger.messages(1000) if m["direction"] == "in"]
        fresh = [m["fields"]["11"] for m in came if m["mti"] != "0400"]
        assert len(fresh) == len(set(fresh)), fresh
        sales = {m["fields"]["11"] for m in came if m["mti"] == "0200"}
        assert {m["fields"]["11"] for m in came if m["mti"] == "0400"} <= sales | self.orphans()

    def orphans(self) -> "set[str]":
        """Reversals whose original never reached the bank: rightly sent, nothing booked."""
        return {row["stan"] for row in self.t.acquirer.transactions() if row["state"] == "orphan"}

    def _told(self, books: "dict[int, dict[str, Any]]") -> None:
        """A customer who read "approved" has paid, and nothing took it back."""
        paid = [row["approved_amount"] for row in books.values() if row["state"] == "approved"]
        for tree in self.told:
            keys = {node.get("key") for node in tree["nodes"]}
            if tree["screen"] != "result" or "result.approved" not in keys:
                continue
            texts = " ".join(str(node.get("text")) for node in tree["nodes"])
            amounts = [int(x) * 100 + int(y) for x, y in re.findall(r"(\d+)\.(\d\d)\b", texts)]
            assert len(amounts) == 1 and amounts[0] in paid, (texts, paid)

    def _slips(self, books: "dict[int, dict[str, Any]]") -> None:
        """As ``_told`` for paper; and what is printed again is a DUPLICATE."""
        paper = self.t.paper
        merchant: list[int] = []
        for match in re.finditer(r"VOUCHER NO.*?(\d{6})\b.*?(?=VOUCHER NO|\Z)", paper, re.S):
            stan, slip = int(match.group(1)), match.group(0).split(SHOP)[0]
            head = paper[paper.rfind(SHOP, 0, match.start()) : match.start()]
            if re.search(r"^ *APPROVED", slip, re.M):
                assert books[stan]["state"] == "approved", slip
            elif "NOT CHARGED" in slip:
                assert stan not in books or books[stan]["state"] != "approved", slip
            life = sum(1 for end in self.paper_ends if end <= match.start())
            again = "DUPLICATE" in head + slip
            if "APPROVED" in slip and self._committed_in(stan) < life:
                assert again, head + slip
            if "MERCHANT COPY" in slip and "APPROVED" in slip:
                merchant.append(stan)
                assert merchant.count(stan) == 1 or again, head + slip
        owed = [stan for stan, row in books.items() if row["state"] == "approved"]
        assert set(owed) == set(merchant), (owed, merchant)

    def _reversals(self, records: "list[Any]") -> None:
        """Whoever sold is told of every reversal: amount and "not charged" on the
        screen, one slip, and what came out twice is a DUPLICATE."""
        for one in records:
            if one.kind != r.REVERSED:
                continue
            stan, amount = one.body[r.K_STAN], one.body[r.K_RECEIPT]["amount_text"]
            assert any(_says_not_charged(tree, amount) for tree in self.told), (stan, amount)
            slips = [slip for slip in _slips_of(self.t.paper, stan) if "REVERSED" in slip]
            assert slips, (stan, self.t.paper)
            assert sum("DUPLICATE" not in slip for slip in slips) <= 1, slips

    def _committed_in(self, stan: int) -> int:
        """The life in which the sale of ``stan`` was made: the story's, or the last."""
        last = max(int(row["stan"]) for row in self.t.acquirer.transactions())
        return len(self.paper_ends) if stan == last else 0

    def _scripts(self, records: "list[Any]", books: "dict[int, dict[str, Any]]") -> None:
        for one in records:
            if one.kind == r.COMMIT and r.K_SCRIPT_RESULTS in one.body:
                results = books[one.body[r.K_STAN]]["script_results"]
                assert bytes(one.body[r.K_SCRIPT_RESULTS]).hex() in results.lower()


def _slips_of(paper: str, stan: int) -> "list[str]":
    """The slips with this voucher number, each from the shop's name to the next."""
    parts = re.split(rf"(?=^.*{SHOP})", paper, flags=re.M)
    return [part for part in parts if re.search(rf"VOUCHER NO.*?{stan:06d}\b", part, re.S)]


def _says_not_charged(tree: "dict[str, Any]", amount: str) -> bool:
    keys = {node.get("key") for node in tree["nodes"]}
    texts = " ".join(str(node.get("text")) for node in tree["nodes"])
    return tree["screen"] == "result" and "charged.no" in keys and amount in texts


def _other(tree: "dict[str, Any]") -> "Callable[[dict[str, Any]], bool]":
    """Whether anything was drawn since ``tree``."""
    return lambda shown: shown is not tree
