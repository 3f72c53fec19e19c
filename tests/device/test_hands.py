"""Hands that do not do what is expected: Cancel, silence, mashed keys, cards in and out."""

import asyncio

import pytest

from tests.device.stories import sell, shown, tell
from tests.support.handheld import Handheld


async def _nothing_happened(t: Handheld) -> None:
    """Idle, no debt, nobody charged; and the next sale works."""
    await t.until("idle")
    assert not t.books()
    assert "REQUEST" not in [name for name, _ in t.journal()]
    t.remove()
    await asyncio.sleep(1)
    await t.pay("100", "no-cvm", "result")
    assert "result.approved" in t.keys_shown()
    await t.back_to_idle()
    assert t.acquirer.approved_total() == 100


@pytest.mark.parametrize("how", ["cancel", "silence"])
def test_amount_entry_ends(how: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5")
        await t.until("amount")
        if how == "cancel":
            await t.press("cancel")
        await _nothing_happened(t)

    tell(story)


@pytest.mark.parametrize("how", ["cancel", "silence"])
def test_the_card_prompt_ends(how: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "enter")
        await t.until("present_card")
        if how == "cancel":
            await t.press("cancel")
        await _nothing_happened(t)

    tell(story)


@pytest.mark.parametrize("how", ["cancel", "silence", "tear"])
@pytest.mark.parametrize("card", ["approve", "offline-pin", "two-apps", "confirm-app"])
def test_a_question_of_the_card_ends(card: str, how: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "enter")
        await t.until("present_card")
        t.insert(card)
        await t.until("pin", "choose", "question")
        if how == "tear":
            t.remove()
            if t.screen["screen"] != "pin":
                await t.press("enter")
        elif how == "cancel":
            await t.press("cancel")
        await t.until("remove_card", "result", "message", "idle")
        if t.screen["screen"] in ("result", "message"):
            await t.press("enter")
        if t.screen["screen"] == "remove_card":
            t.remove()
        await t.until("idle")
        assert t.acquirer.approved_total() == 0
        assert not [name for name, _ in t.journal() if name == "REQUEST"]
        await _nothing_happened(t)

    tell(story)


def test_a_card_pulled_during_pin_entry_ends_it_within_a_second() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "00", "enter")
        await t.until("present_card")
        t.insert("approve")
        await t.until("pin")
        await t.press("1", "2")
        t.remove()
        await t.until("result", limit_s=1)
        assert {"result.cancelled", "sale.torn", "charged.no"} <= t.keys_shown()
        await t.press("3", "4", "enter")
        await t.until("idle")
        assert "REQUEST" not in [name for name, _ in t.journal()]

    tell(story)


def test_cancel_after_the_request_left_is_answered_and_changes_nothing() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("late", ms=10_000, mti="0200")
        await t.power_on()
        await t.pay("1234", "no-cvm", "progress")
        await t.when(lambda tree: "sale.stage.waiting" in t.keys_shown(), "the wait")
        await t.until("progress")
        await t.when(lambda tree: t.messages("0200") != [], "the request at the bank")
        await t.press("cancel")
        await t.when(lambda tree: "sale.cancel_not_now" in t.keys_shown(), "the refusal")
        await t.press("enter", "5", "clear", "menu", "cancel")
        await t.until("result")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert [state for _, _, state in t.books()] == ["approved"]

    tell(story)


def test_a_card_taken_out_while_the_bank_thinks_is_reversed() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("late", ms=5_000, mti="0200")
        await t.power_on()
        await t.pay("1234", "no-cvm", "progress")
        await t.when(lambda tree: t.messages("0200") != [], "the request at the bank")
        t.remove()
        await t.when(lambda tree: "result.reversed" in t.keys_shown(), "reversed")
        assert "sale.torn" in t.keys_shown()
        await t.back_to_idle()
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story)


def test_keys_mashed_all_the_way_start_nothing_afterwards() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("1", "enter")
        await t.until("present_card")
        t.insert("no-cvm")
        for _ in range(6):
            await t.press("5", "enter", "5", "up", "down")
        await t.until("remove_card")
        await t.press("5", "enter")
        t.remove()
        await t.until("idle")
        await asyncio.sleep(3)
        assert t.screen["screen"] == "idle"
        assert len(t.messages("0200")) == 1

    tell(story)


def test_amounts_of_zero_and_beyond_the_limit_are_refused() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("enter")
        await t.until("amount")
        await t.press("enter")
        await t.until("message")
        assert "sale.amount.zero" in t.keys_shown()
        await t.until("amount")
        await t.press(*"10001", "00")
        await t.until("message")
        assert "sale.amount.too_large" in t.keys_shown()
        await t.until("amount")
        assert "100.01" in t.text
        await t.press("clear", "clear", "clear", "clear", "clear", "enter")
        await t.until("message")
        assert "sale.amount.zero" in t.keys_shown()
        await t.until("amount")
        await t.press("cancel")
        await t.until("idle")

    tell(story, largest_amount=100_000)


def test_a_card_in_the_slot_first_asks_for_the_amount() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.insert("approve")
        await t.until("amount")
        await t.press("cancel")
        await t.until("remove_card")
        await asyncio.sleep(20)
        assert t.screen["screen"] == "remove_card", "a card that stays starts nothing again"
        t.remove()
        await t.until("idle")
        t.insert("approve")
        await t.until("amount")
        await t.pay("700", "approve", "result")
        assert "result.approved" in t.keys_shown()
        await t.until("question")
        await t.press("cancel")
        await t.until("remove_card")
        await asyncio.sleep(60)
        assert t.screen["screen"] == "remove_card"
        t.remove()
        await t.until("idle")
        assert t.paper.count("7.00") == 1, "no cardholder copy"

    tell(story)


def test_a_card_from_before_the_power_came_is_asked_out_first() -> None:
    async def story(t: Handheld) -> None:
        t.insert("approve")
        await t.power_on()
        await t.when(lambda _: "idle.card_left" in t.keys_shown(), "the notice")
        assert "idle.prompt" not in t.keys_shown()
        await t.press("4")
        await t.until("remove_card")
        await t.press("2", "enter")
        t.remove()
        await t.until("amount")
        assert "0.00" in t.text
        await t.pay("4200", "no-cvm", "result")
        assert "result.approved" in t.keys_shown()
        assert [amount for _, amount, _ in t.books()] == [4200]

    tell(story)


def test_a_card_put_in_while_the_menu_stands_is_asked_out_first() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("menu")
        await t.until("menu")
        t.insert("approve")
        await t.press("cancel")
        await t.when(lambda _: "idle.card_left" in t.keys_shown(), "the notice")
        t.remove()
        await t.when(lambda _: "idle.prompt" in t.keys_shown(), "ready", 1)
        t.insert("approve")
        await t.until("amount", limit_s=1)
        await t.press("cancel")

    tell(story)


def test_a_card_put_in_just_as_the_idle_screen_is_renewed_begins_a_sale() -> None:
    """Whichever moment of the renewal it meets."""

    async def story(t: Handheld) -> None:
        await t.power_on()
        for wait in range(18):
            await asyncio.sleep(4.5 + wait / 20)
            t.insert("approve")
            await t.until("amount", limit_s=1)
            await t.press("cancel")
            await t.until("remove_card")
            t.remove()
            await t.until("idle")

    tell(story)


def test_two_applications_are_chosen_by_a_digit() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "00", "enter")
        await t.until("present_card")
        t.insert("two-apps")
        await t.until("choose")
        assert "My debit card | My credit card" in t.text  # preferred names, 9F12
        await t.press("2")
        await t.pins(["1234"], "result")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert "A000000333010102" in t.paper
        assert "My credit card" in t.paper
        assert "UnionPay Credit" not in t.paper

    tell(story)


@pytest.mark.parametrize("bypass", [True, False])
def test_a_pin_can_be_left_out_only_where_the_bundle_lets_it(bypass: bool) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "00", "enter")
        await t.until("present_card")
        t.insert("bypass-allowed")
        await t.until("pin")
        assert ("hint.bypass" in t.keys_shown()) == bypass
        await t.press("enter")
        if bypass:
            await t.until("result")
            assert {"result.approved", "result.signature"} <= t.keys_shown()
            await t.back_to_idle()
        else:
            await asyncio.sleep(2)
            assert t.screen["screen"] == "pin"
            await t.press("cancel")
            await t.until("remove_card")
            t.remove()
            await t.until("idle")

    tell(story, pin_bypass=bypass)


def test_the_pin_is_asked_for_three_times_at_most() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "00", "enter")
        await t.until("present_card")
        t.insert("approve")
        await t.pins(["9999", "9998"], "result")
        for digits in (["9998"], ["9997"]):
            assert "host.55" in t.keys_shown()
            await t.until("pin")
            assert "sale.pin.wrong" in t.keys_shown()
            await t.pins(digits, "result")
        assert "result.declined" in t.keys_shown()
        await t.back_to_idle()
        sent = t.messages("0200")
        assert len(sent) == 3
        assert len({row["fields"]["11"] for row in sent}) == 3
        assert t.acquirer.approved_total() == 0

    tell(story)


# ---- the network at every point ---------------------------------------------------


@pytest.mark.parametrize("card", ["no-cvm", "approve"])
def test_no_network_charges_nobody_and_comes_back(card: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t, "100", card)
        await t.back_to_idle()
        t.rack.net.link(False)
        await sell(t, "200", card)
        assert {"result.cancelled", "charged.no"} <= t.keys_shown()
        await t.back_to_idle()
        t.rack.net.link(True)
        await sell(t, "300", card)
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 400
        assert not t.messages("0400"), "nothing had left"

    tell(story)


@pytest.mark.parametrize("sent", [1, 200, 900, 1_500, 2_000, 2_600])
@pytest.mark.parametrize("silently", [False, True])
def test_a_line_that_breaks_at_any_byte_ends_in_one_payment_or_none(
    sent: int, silently: bool
) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t, "100")
        await t.back_to_idle()
        t.rack.net.cut_silently = silently
        t.rack.net.cut_after_sent = sent
        await t.pay("200", "no-cvm", "result", "message")
        t.rack.net.cut_after_sent = None
        await t.when(lambda tree: not _owes(t), "no debt left", 900)
        await t.back_to_idle()
        states = [state for _, amount, state in t.books() if amount == 200]
        said = "approved" if _approved_twice(t) else "not"
        assert states in ([], ["reversed"], ["orphan"]) if said == "not" else states == ["approved"]
        assert not shown(t, "error.internal")

    tell(story)


def _owes(t: Handheld) -> bool:
    names = [name for name, _ in t.journal()]
    ended = names.count("REVERSED") + names.count("UNSENT")
    ended += len([b for n, b in t.journal() if n == "COMMIT" and b[30] != "reverse"])
    return names.count("REQUEST") > ended


def _approved_twice(t: Handheld) -> bool:
    return [b[30] for n, b in t.journal() if n == "COMMIT"].count("approved") == 2
