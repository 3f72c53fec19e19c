"""A register's payment on a disk that fails at one of its records: what is told is true."""

import asyncio

import pytest

from tests.device.test_journal_faults import JOURNAL, _again, _ended, _fail
from tests.device.test_register import REF, tell
from tests.support.faulty_disk import KEPT, LOST
from tests.support.handheld import Handheld
from tests.support.till import Till

BOTH_FATES = pytest.mark.parametrize("fate", [LOST, KEPT], ids=["lost", "kept"])


@BOTH_FATES
@pytest.mark.parametrize("after", ["ANSWER", "COMMIT"])
def test_an_outcome_that_the_disk_did_not_take_is_unknown(after: str, fate: int) -> None:
    async def story(t: Handheld, till: Till) -> None:
        failed = _fail(t, "fsync", JOURNAL, after)
        asked = till.start()
        await t.until("present_card")
        t.insert("no-cvm")
        assert (await till.result(asked))[2] == "unknown" and failed
        await t.press("enter")
        t.remove()
        await _ended(t, 900)
        await _again(t, fate, "")
        await t.until("idle", "question", "result")
        for _ in range(5):
            await asyncio.sleep(10)
            if t.screen["screen"] != "idle":
                await t.press("enter")
        told, outcome = await till.state()
        states = [state for _, _, state in t.books()]
        assert told == "final" and [outcome] == states, (outcome, states)
        assert outcome == ("approved" if after == "COMMIT" and fate == KEPT else "reversed")
        assert (await till.result(till.start()))[2] == outcome
        assert len(t.messages("0200")) == 1

    tell(story)


@BOTH_FATES
def test_a_cancellation_that_the_disk_did_not_take_is_not_told(fate: int) -> None:
    async def story(t: Handheld, till: Till) -> None:
        failed = _fail(t, "fsync", JOURNAL, "UNCHARGED")
        asked = till.start()
        await t.until("present_card")
        await t.press("cancel")
        code, _ = await till.error(asked)
        assert code == "failed" and failed
        await _ended(t)
        await _again(t, fate, "")
        await t.until("idle", "message")
        assert await till.state(REF) == (("none", "") if fate == LOST else ("final", "cancelled"))
        assert not t.messages("0200")

    tell(story)


def test_taken_back_on_a_disk_that_fails_charges_nobody() -> None:
    async def story(t: Handheld, till: Till) -> None:
        failed = _fail(t, "fsync", JOURNAL, "UNCHARGED")
        asked = till.start()
        await t.until("present_card")
        code, _ = await till.error(till.ask("sale_abort", {1: REF}))
        assert code == "failed" and failed
        assert (await till.error(asked))[0] == "failed"
        await _ended(t)
        assert not t.messages("0200")

    tell(story)
