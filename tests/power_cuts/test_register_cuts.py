"""Power cuts in a payment that a register started: at every durable barrier, at the bank's
commit and elsewhere. What ``sale_state`` says afterwards is what the bank's books say, what
was told before is never taken back, and nobody pays twice."""

import os
import random
import zlib
from typing import Any

import pytest

from tests.support import virtual_time
from tests.support.cut_story import AMOUNT, Cut, Day, Played, Story, play
from tests.support.till import Till

pytestmark = pytest.mark.no_cover

SEED = int(os.environ.get("OPENTILL_SEED", "1"))
REF = "till-1:1"
#: Drawn beside the barriers, for each story.
MORE = 3
STORIES = (
    Story("approved", "online-pin"),
    Story("declined", "decline"),
    Story("answer lost", "online-pin", rule="drop"),
    Story("card refuses", "host-yes-card-no"),
)
#: What the bank's books say of a payment under each outcome.
BOOKED = {
    "approved": {"approved"},
    "declined": {"", "declined"},
    "cancelled": {""},
    "reversed": {"", "reversed", "orphan", "declined"},
}
by_name = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


class RegisterDay(Day):
    """The day's first payment is a register's."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.till = Till(self.t)
        #: The result that the register read before the cut.
        self.answered: dict[int, Any] = {}

    async def sale(self) -> None:
        """As the story's, but the amount comes from the register."""
        asked = self.till.start(REF, int(AMOUNT))
        try:
            await self.t.until("present_card")
            self.t.insert(self.story.card)
            await self.t.pins(list(self.t.deck.cards[self.story.card].typed), "result")
            await self.till.result(asked)
            await self._to_idle()
        finally:
            self.answered = asked.ended

    async def recover(self) -> None:
        """The register asks, and sends its request once more, as soon as the screen is up."""
        await super().recover()
        await self._agrees()

    async def next_sale(self) -> None:
        """Its reversal goes before, if one was still owed."""
        await super().next_sale()
        outcome = await self._agrees()
        assert outcome != "unknown"

    async def _agrees(self) -> str:
        """sale_state, the books and what was told before are one; the outcome."""
        told = await self.till.told(REF)
        outcome = told.get(2, {}).get(2, "")
        before = self.answered.get(2, "")
        assert told[1] in ("none", "final")
        if before == "unknown":
            assert outcome in ("unknown", "reversed"), outcome
        elif before:
            assert outcome == before, (before, outcome)
        booked = {
            str(row["state"])
            for row in self.t.acquirer.transactions()
            if int(row["amount"]) == int(AMOUNT)
        }
        assert len(booked) <= 1, booked
        state = "".join(booked)
        if outcome == "unknown":
            assert self.t.journal() and not self.patient
        elif outcome:
            assert state in BOOKED[outcome], (outcome, state)
        else:
            assert state == "", "a reference that nobody knows was charged"
        if outcome:
            sent = len(self.t.messages("0200"))
            again = await self.till.result(self.till.start(REF, int(AMOUNT)))
            assert again == (await self.till.told(REF))[2]
            assert len(self.t.messages("0200")) == sent
        return str(outcome)


def _play(story: Story, cuts: "list[Cut]", fates: int, patient: bool) -> Played:
    try:
        return virtual_time.run(play(story, cuts, fates, patient, RegisterDay))
    except BaseException as error:
        error.add_note(f"{story.name!r}, {cuts}, fates {fates}, patient {patient}")
        raise


@by_name
def test_the_register_learns_the_truth_after_a_cut(story: Story) -> None:
    draw = random.Random(SEED ^ zlib.crc32(story.name.encode()))
    log = _play(story, [], 0, True).log
    telling = [
        n
        for n, what in enumerate(log, 1)
        if "fsync" in what or what in ("send", "receive", "bank has committed")
    ]
    assert len([n for n in telling if "fsync" in log[n - 1]]) >= 6, log
    for event in telling + draw.sample(range(1, len(log) + 1), MORE):
        cut = Cut(event, draw.random() < 0.5)
        played = _play(story, [cut], draw.randrange(4), draw.random() < 0.7)
        assert played.struck == 1
