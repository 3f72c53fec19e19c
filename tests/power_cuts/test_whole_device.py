"""Power cuts on the whole device: at every event of a sale, and again in the recovery.

Events are the disk's writes, syncs and renames (the vault's among them), card
resets and commands, socket sends and receipts, the bank's commits, and bytes
to the printer. The ordinary run draws from them by OPENTILL_SEED; ``make
soak`` takes all. What must be true afterwards stands in
``tests/support/cut_story.py``.
"""

import asyncio
import os
import random
import zlib

import pytest

from tests.support import virtual_time
from tests.support.cut_story import STORIES, Cut, Played, Story, play
from tests.support.cut_tree import FATES, explore
from tests.support.handheld import Handheld

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

SEED = int(os.environ.get("OPENTILL_SEED", "1"))
#: Runs for each story in the ordinary run.
ONE_DEEP, TWO_DEEP = 20, 6
#: Of the bytes to the printer and of the card's commands one in so many is drawn.
THIN = {"print": 12, "APDU": 4}
#: The first events of a recovery matter most: boot, reversal.
EARLY = 40

by_name = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


def _play(story: Story, cuts: "list[Cut]", fates: int, patient: bool) -> Played:
    try:
        return virtual_time.run(play(story, cuts, fates, patient))
    except BaseException as error:
        error.add_note(f"{story.name!r}, {cuts}, fates {fates}, patient {patient}")
        raise


def _draw(story: Story) -> random.Random:
    return random.Random(SEED ^ zlib.crc32(story.name.encode()))


def _telling(log: "list[str]", draw: random.Random) -> "list[int]":
    """Events worth a cut, numbered from 1: everything but most prints and APDUs."""
    return [n for n, what in enumerate(log, 1) if not draw.randrange(THIN.get(what, 1))]


@by_name
def test_a_cut_anywhere_leaves_no_disagreement(story: Story) -> None:
    draw = _draw(story)
    whole = _play(story, [], 0, True)
    assert not whole.struck
    telling = _telling(whole.log, draw)
    for event in draw.sample(telling, ONE_DEEP):
        cut = Cut(event, draw.random() < 0.5)
        played = _play(story, [cut], draw.randrange(1000), draw.random() < 0.5)
        assert played.struck == 1


@by_name
def test_a_second_cut_in_the_recovery_changes_nothing(story: Story) -> None:
    draw = _draw(story)
    telling = _telling(_play(story, [], 0, True).log, draw)
    twice = 0
    for _ in range(4 * TWO_DEEP):
        first = Cut(draw.choice(telling), draw.random() < 0.5)
        second = Cut(draw.randrange(1, EARLY), draw.random() < 0.5)
        fates, patient = draw.randrange(1000), draw.random() < 0.5
        twice += _play(story, [first, second], fates, patient).struck == 2
        if twice == TWO_DEEP:
            break
    assert twice >= TWO_DEEP // 2


@pytest.mark.soak
@by_name
@pytest.mark.parametrize("fates", FATES)
def test_every_cut_two_deep(story: Story, fates: str) -> None:
    events = len(_play(story, [], 0, True).log)
    tally = explore(story, FATES[fates])
    assert tally.cuts[0] == 2 * events
    assert len(tally.seen[0]) > 4 and tally.cuts[1] > len(tally.seen[0])
    print(f"{story.name}, {fates}: {tally.cuts} cuts, new {[len(seen) for seen in tally.seen]}")


def test_the_cut_reaches_every_kind_of_event() -> None:
    log = _play(STORIES[0], [], 0, True).log
    kinds = {line.split(" ")[0] for line in log}
    wanted = {"create", "write", "fsync", "rename", "card", "APDU", "connect", "send"}
    assert wanted | {"receive", "bank", "print"} <= kinds, kinds
    assert {"bank takes a message", "bank has committed"} <= set(log)


def test_nothing_of_the_firmware_runs_after_the_cut() -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        await t.press("5")
        life = t.life
        assert life is not None and life.tasks
        await t.power_off()
        assert not life.tasks
        shown, transfers, events = len(t.screens), t.rack.transfers, t.disk.events
        await asyncio.sleep(120)
        assert (len(t.screens), t.rack.transfers, t.disk.events) == (shown, transfers, events)

    virtual_time.run(story())


def test_an_old_journal_put_back_waits_for_a_supervisor() -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        await t.pay("1234", "no-cvm")
        await t.back_to_idle()
        await t.power_off()
        old = t.disk.snapshot()
        await t.power_on()
        await t.pay("1235", "no-cvm")
        await t.back_to_idle()
        await t.power_off()
        mixed = t.disk.snapshot()
        for name in mixed:
            if name.endswith(".seg"):
                mixed[name] = old.get(name, b"")
        assert mixed != t.disk.snapshot()
        t.disk.restore(mixed)
        await t.power_on()
        assert "error.journal_confirm" in t.keys_shown()
        await t.press("1", "0")  # no payment is begun
        assert t.screen["screen"] != "amount"
        assert len(t.books()) == 2
        await t.power_off()

    virtual_time.run(story())
