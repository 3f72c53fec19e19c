"""A training sale: every step, no money."""

import asyncio
from typing import Any

import pytest

from firmware.app import dialogs
from tests.device.stories import sell, shown
from tests.device.test_register import tell
from tests.support.handheld import Handheld
from tests.support.till import Till

MONEY = ("REQUEST", "ANSWER", "COMMIT", "PRINTED", "UNCHARGED", "UNSENT")


def _train(till: Till, amount: int = 500) -> Any:
    return till.ask("test_sale", {1: amount})


def _money(t: Handheld) -> list[str]:
    """Records that a payment would leave."""
    return [
        kind
        for kind, body in t.journal()
        if kind in MONEY or (kind == "INTENT" and body[3] == "sale")
    ]


def test_it_walks_the_steps_and_leaves_no_money_anywhere() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await sell(t)
        await t.back_to_idle()
        money, totals = _money(t), dict(till.terminal.journal.state.totals)
        paper = len(t.paper)
        asked = _train(till)
        await t.until("present_card")
        assert "TRAINING" in t.text and "5.00" in t.text
        t.insert("approve")
        await till.over(asked)
        steps: list[str] = asked.items
        assert steps == ["amount", "card", "host", "print"]
        assert asked.ended == {1: "done", 2: ""}
        await t.until("message")
        assert "training.done" in t.keys_shown() and not shown(t, "sale.pin.prompt")
        slip = t.paper[paper:]
        assert slip.count("TRAINING") == 2 and "练习" in slip and "CNY 5.00" in slip
        assert "NOT A REAL PAYMENT" in slip and "APPROVED" not in slip
        await t.back_to_idle()
        assert _money(t) == money and till.terminal.journal.state.totals == totals
        assert len(t.messages("0200")) == 1 and t.acquirer.approved_total() == 1234
        assert await till.state("") == ("none", "")

    tell(story)


def test_in_chinese_and_before_the_first_sign_in() -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = _train(till)
        await t.until("present_card")
        assert "练习" in t.text
        t.insert("mute")
        await till.over(asked)
        assert asked.items == ["amount", "card", "print"] and asked.ended[1] == "done"
        assert not t.messages()

    tell(story, languages=("zh", "en"))


@pytest.mark.parametrize("how", ["key", "PC", "silence"])
def test_it_ends_when_somebody_gives_up(how: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = _train(till)
        await t.until("present_card")
        if how == "key":
            await t.press("cancel")
        elif how == "PC":
            assert asked.task is not None
            asked.task.cancel()
        if how != "PC":
            await till.over(asked)
            reasons = {"key": "error.cancelled", "silence": "error.timeout"}
            assert asked.ended == {1: "cancelled", 2: reasons[how]}
        await t.until("idle")
        assert not t.paper
        assert (await till.pay(till.start(), "no-cvm"))[2] == "approved"

    tell(story)


def test_it_takes_the_terminal_as_a_payment_does() -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = _train(till)
        await t.until("present_card")
        assert await till.error(till.start()) == ("busy", {1: "", 2: 500})
        assert (await till.error(_train(till)))[0] == "busy"
        assert await till.abort() == "none"
        await t.press("cancel")
        await till.over(asked)
        await t.until("idle")
        payment = till.start()
        await t.until("present_card")
        assert await till.error(_train(till)) == ("busy", {1: "till-1:1", 2: 1234})
        assert await till.abort() == "aborted" and payment is not None
        await t.until("idle")
        asked = _train(till, 999999999999)
        assert (await till.error(asked))[0] == "amount"

    tell(story)


def test_an_acquirer_that_is_away_is_named() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await sell(t)
        await t.back_to_idle()
        t.rack.net.link(False)
        asked = _train(till)
        await t.until("present_card")
        t.insert("approve")
        await till.over(asked)
        assert asked.ended[1] == "failed" and asked.ended[2].startswith("error.network")
        await asyncio.sleep(dialogs.MESSAGE_MS / 1000)
        await t.back_to_idle()

    tell(story)
