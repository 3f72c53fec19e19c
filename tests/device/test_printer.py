"""Slips: in trouble, skipped, owed, reprinted."""

import pytest

from tests.device.stories import menu, sell, tell
from tests.support.handheld import Handheld

TROUBLES = ["paper_out", "cover_open", "hot"]
KEYS = {
    "paper_out": "error.printer_paper",
    "cover_open": "error.printer_cover",
    "hot": "error.printer_hot",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_before_the_slip_is_told_and_printing_goes_on(trouble: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        setattr(t.rack.printer, trouble, True)
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.until("question")
        assert KEYS[trouble] in t.keys_shown()
        assert t.books()[0][2] == "approved", "printing gates no payment"
        await t.press("enter")  # retry, still in trouble
        await t.when(lambda tree: KEYS[trouble] in t.keys_shown(), "again")
        setattr(t.rack.printer, trouble, False)
        await t.press("enter")
        await t.when(lambda tree: "print.customer_question" in t.keys_shown(), "the second copy")
        await t.back_to_idle()
        assert t.records(2)[-2:] == ["PRINTED", "PRINTED"]
        assert "12.34" in t.paper

    tell(story)


@pytest.mark.parametrize(
    ("trouble", "key"),
    [
        ("paper_out", "idle.no_paper"),
        ("cover_open", "idle.cover_open"),
        ("mute", "idle.printer"),
    ],
)
def test_trouble_is_said_at_idle_and_stops_no_payment(trouble: str, key: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        assert "idle.prompt" in t.keys_shown()
        setattr(t.rack.printer, trouble, True)
        await t.when(lambda tree: key in t.keys_shown(), "the notice", 11)
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.until("question")
        await t.press("cancel")
        await t.back_to_idle()
        await t.when(lambda tree: key in t.keys_shown(), "the notice again", 1)
        setattr(t.rack.printer, trouble, False)
        await t.when(lambda tree: "idle.prompt" in t.keys_shown(), "all well", 70)

    tell(story)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_in_the_middle_of_a_slip_is_told(trouble: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.until("printing")
        t.rack.printer.rows_left = None
        setattr(t.rack.printer, trouble, True)
        await t.until("question")
        assert KEYS[trouble] in t.keys_shown()
        setattr(t.rack.printer, trouble, False)
        await t.press("enter")
        await t.when(lambda tree: "print.customer_question" in t.keys_shown(), "the second copy")
        await t.back_to_idle()
        assert t.records(2).count("PRINTED") == 2

    tell(story)


async def broken_off(t: Handheld) -> str:
    """A sale whose slip broke off, up to the question how it goes on. What is on paper."""
    await t.power_on()
    t.rack.printer.rows_left = 560  # past the shop's name, before the amount
    await sell(t)
    await t.when(lambda tree: "hint.retry" in t.keys_shown(), "the trouble")
    before = t.paper
    assert "TERMINAL NO" in before and "12.34" not in before
    t.rack.printer.rows_left = None
    t.rack.printer.paper_out = False
    await t.press("enter")
    await t.when(lambda tree: "print.resume" in t.keys_shown(), "the question")
    assert t.paper == before, "nothing is printed twice by itself"
    return before


@pytest.mark.parametrize("answer", ["enter", "cancel"])
def test_a_slip_that_broke_off_goes_on_or_comes_anew_as_the_merchant_says(answer: str) -> None:
    async def story(t: Handheld) -> None:
        before = await broken_off(t)
        await t.press(answer)
        await t.when(lambda tree: "print.customer_question" in t.keys_shown(), "the second copy")
        after = t.paper[len(before) :]
        assert after.count("12.34") == 1 and after.count("MERCHANT COPY") == 1
        assert ("MERCHANT NO" in after) == (answer != "enter")
        await t.press("cancel")
        await t.back_to_idle()
        assert t.records(2).count("PRINTED") == 1

    tell(story)


def test_a_slip_that_broke_off_is_owed_when_nobody_answers() -> None:
    async def story(t: Handheld) -> None:
        before = await broken_off(t)
        await t.when(lambda tree: "print.kept" in t.keys_shown(), "kept", 61)
        await t.back_to_idle()
        assert t.paper == before, "silence prints nothing"
        assert t.records(2)[-1] == "COMMIT"
        await menu(t, 1)  # reprint
        await t.until("question")
        assert "idle.print_owed" in t.keys_shown()
        await t.until("idle", limit_s=16)
        assert t.paper == before, "nor does it in the menu"
        await menu(t, 1)
        await t.until("question")
        await t.press("enter")
        await t.until("idle")
        assert "DUPLICATE" in t.paper and t.paper.count("12.34") == 1
        assert t.records(2)[-1] == "PRINTED"

    tell(story)


def test_the_customers_copy_needs_no_key() -> None:
    """It is theirs: only Cancel keeps it back, and it comes once."""

    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.when(lambda tree: "print.customer_question" in t.keys_shown(), "the second copy")
        await t.until("remove_card", limit_s=30)
        t.remove()
        await t.until("idle")
        assert t.paper.count("CARDHOLDER COPY") == t.paper.count("MERCHANT COPY") == 1

    tell(story)


def test_a_skipped_slip_is_owed_and_comes_as_a_duplicate_after_a_restart() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.rack.printer.paper_out = True
        await sell(t)
        await t.until("question")
        await t.press("cancel")
        await t.when(lambda tree: "print.kept" in t.keys_shown(), "kept")
        await t.back_to_idle()
        assert t.records(2)[-1] == "COMMIT"
        await t.power_off()
        t.rack.printer.paper_out = False
        await t.power_on("question")
        assert "idle.print_owed" in t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        assert "DUPLICATE" in t.paper
        assert "12.34" in t.paper
        assert t.records(2)[-1] == "PRINTED"

    tell(story)


def test_a_dead_printer_is_named_and_the_sale_completes() -> None:
    async def story(t: Handheld) -> None:
        t.rack.printer.mute = True
        await t.power_on()
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.until("question")
        await t.press("cancel")
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 1234

    tell(story)


@pytest.mark.parametrize(
    ("rule", "word"), [("", ""), ("decline", "DECLINED"), ("drop", "REVERSED")]
)
def test_the_last_slip_again_says_duplicate(rule: str, word: str) -> None:
    async def story(t: Handheld) -> None:
        if rule:
            t.acquirer.rule(rule, mti="0200", **({"code": "51"} if rule == "decline" else {}))
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        before = len(t.paper)
        assert "DUPLICATE" not in t.paper
        await menu(t, 1)
        await t.until("printing")
        await t.until("idle")
        again = t.paper[before:]
        assert "DUPLICATE" in again
        assert "12.34" in again
        assert word in again

    tell(story)


def test_an_unresolved_payment_reprints_as_unknown() -> None:
    async def story(t: Handheld) -> None:
        await t.left_unknown()
        before = len(t.paper)
        await menu(t, 1)
        await t.until("printing")
        await t.until("idle")
        assert "UNKNOWN" in t.paper[before:]
        assert "REVERSED" not in t.paper[before:]

    tell(story)


def test_nothing_to_reprint_is_said_and_the_feed_key_feeds() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await menu(t, 1)
        await t.until("message")
        assert "print.none" in t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        rows = len(t.rack.printer.paper.rows)
        await t.press("feed")
        await t.when(lambda tree: len(t.rack.printer.paper.rows) > rows, "paper moved")
        t.rack.printer.paper_out = True
        await t.press("feed")
        await t.until("message")
        assert "error.printer_paper" in t.keys_shown()

    tell(story)


def test_a_chinese_slip_is_chinese() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        assert "开源测试商店" in t.paper

    tell(story, languages=("zh", "en"))
