"""Payments that a register starts, on the whole device."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.device.stories import sell, shown
from tests.device.stories import tell as tell_story
from tests.support.faulty_disk import LOST
from tests.support.handheld import Handheld
from tests.support.till import CNY, NAME, Till

REF = "till-1:1"
OTHER_DIGEST = bytes(32)
#: What the terminal is at when the second word comes.
STATES = ("reserved", "card", "pin", "online", "final")


def tell(story: Callable[[Handheld, Till], Awaitable[None]], **wishes: Any) -> None:
    """A story on a terminal that waits at the idle screen."""

    async def begun(t: Handheld) -> None:
        await t.power_on()
        await story(t, Till(t))

    tell_story(begun, **wishes)


async def _at(t: Handheld, till: Till, state: str) -> Any:
    """A payment that has come to ``state``; its answer from the bank takes a while."""
    if state == "reserved":
        t.rack.net.link(False)
        t.rack.net.link(True)
    if state == "online":
        t.acquirer.rule("late", mti="0200", ms=5_000)
    asked = till.start()
    if state == "reserved":
        await asyncio.sleep(0)
        return asked
    await t.until("present_card")
    if state == "card":
        return asked
    t.insert("approve")
    await t.until("pin")
    if state == "pin":
        return asked
    await t.press(*t.deck.cards["approve"].typed[0], "enter")
    await till.until(asked, state)
    return asked


async def _customer(t: Handheld, state: str) -> None:
    """What is left for the customer to do after ``state``."""
    if state in ("reserved", "card"):
        await t.until("present_card")
        t.insert("approve")
    if state in ("reserved", "card", "pin"):
        await t.until("pin")
        await t.press(*t.deck.cards["approve"].typed[0], "enter")


def test_an_approved_payment_is_told_before_the_paper_and_costs_no_barrier_more() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await sell(t)
        await t.back_to_idle()
        before = t.disk.barriers
        asked = till.start(REF, 4200)
        await t.until("present_card")
        assert NAME in t.text and "42.00" in t.text
        result = await till.pay(asked, "approve")
        assert "PRINTED" not in [kind for kind, _ in t.journal()][-1:], "told before the paper"
        assert asked.items == ["reserved", "card", "pin", "online", "final"]
        assert result[2] == "approved" and result[5] == ""
        assert (result[1], result[3], result[4]) == (REF, 4200, CNY)
        assert result[9].count("*") == len(result[9]) - 10
        assert result[11].startswith("A0") and result[12] == "contact" and result[16] == "00"
        assert result[13] and result[14] and result[10] and result[20] is True
        assert len(result[18]) == 15 and len(result[19]) == 8 and len(result[15]) == 14
        stan, amount, state = t.books()[-1]
        assert (int(stan), amount, state) == (result[7], 4200, "approved")
        await t.back_to_idle()
        assert t.disk.barriers - before == 6
        assert t.paper.count("CNY 42.00") == 2
        assert await till.told(REF) == {1: "final", 2: result} == await till.told("")
        assert t.text.count(REF) == 0

    tell(story)


def test_a_declined_payment_says_why_and_the_next_need_not_wait() -> None:
    async def story(t: Handheld, till: Till) -> None:
        result = await till.pay(till.start(), "decline")
        assert (result[2], result[5], result[16]) == ("declined", "host.51", "51")
        await t.until("result")
        again = till.start("till-1:2")  # the cashier does not wait for the screen
        await t.until("remove_card")
        assert await till.error(till.start("till-1:3")) == ("busy", {1: "till-1:2", 2: 1234})
        t.remove()
        result = await till.pay(again, "no-cvm")
        assert result[2] == "approved"
        await t.back_to_idle()
        assert await till.state(REF) == ("final", "declined")
        assert t.acquirer.approved_total() == 1234

    tell(story)


@pytest.mark.parametrize("how", ["cancel", "silence", "tear"])
def test_the_merchant_or_the_customer_gives_up(how: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = till.start()
        await t.until("present_card")
        if how == "tear":
            t.insert("approve")
            await t.until("pin")
            t.remove()
        elif how == "cancel":
            await t.press("cancel")
        result = await till.result(asked)
        reasons = {"cancel": "error.cancelled", "silence": "error.timeout", "tear": "sale.torn"}
        assert (result[2], result[5]) == ("cancelled", reasons[how])
        assert not t.messages("0200")
        await t.power_off(lambda disk: (LOST,) * disk.pending)
        await t.power_on()
        assert await till.state() == ("final", "cancelled"), "durable before it was told"
        assert (await till.result(till.start()))[2] == "cancelled", "the stored answer"
        assert t.screen["screen"] == "idle"

    tell(story)


@pytest.mark.parametrize("state", STATES)
def test_the_register_takes_it_back_before_the_request_and_never_after(state: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = await _at(t, till, state)
        late = state in ("online", "final")
        answer = await till.abort()
        assert answer == {"online": "late", "final": "final"}.get(state, "aborted")
        result = await till.result(asked)
        assert result[2] == ("approved" if late else "cancelled")
        if not late:
            assert result[5] == "register.aborted"
            assert await till.abort() in ("aborted", "final")
        await t.back_to_idle()
        assert t.acquirer.approved_total() == (1234 if late else 0)
        assert len(t.messages("0200")) == (1 if late else 0)
        assert await till.abort() == "final" and await till.abort("never") == "none"
        await t.power_off(lambda disk: (LOST,) * disk.pending)
        await t.power_on()
        assert await till.state() == ("final", result[2])

    tell(story)


def test_taken_back_while_the_way_to_the_bank_is_sought() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await sell(t)
        await t.back_to_idle()
        t.rack.net.link(False)
        asked = till.start()
        await t.until("present_card")
        t.insert("no-cvm")
        await till.until(asked, "online")
        assert await till.abort() == "aborted"
        assert (await till.result(asked))[2] == "cancelled"
        assert await till.error(till.start("till-1:2")) == ("busy", {1: REF, 2: 1234})
        t.rack.net.link(True)
        await t.back_to_idle()
        assert len(t.messages("0200")) == 1 and t.acquirer.approved_total() == 1234

    tell(story)


def test_taken_back_while_the_terminal_signs_in_for_a_card_that_is_there() -> None:
    async def story(t: Handheld, till: Till) -> None:
        t.acquirer.rule("late", mti="0800", ms=5_000)
        t.insert("no-cvm")
        await t.until("amount")
        asked = till.start()
        await t.until("progress")
        assert await till.abort() == "aborted"
        assert (await till.result(asked))[2] == "cancelled"
        await t.until("remove_card")
        assert not shown(t, "error.journal") and not t.messages("0200")
        assert [kind for kind, _ in t.journal()].count("UNCHARGED") == 1
        t.remove()
        await t.until("idle")
        assert (await till.pay(till.start("till-1:2"), "no-cvm"))[2] == "approved"

    tell(story, answer_timeout_ms=20_000)


def test_what_begins_to_stand_against_payments_is_told() -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = till.start()
        await asyncio.sleep(0)  # accepted, and not taken yet
        till.terminal.blocked.append("error.clock_wrong")
        result = await till.result(asked)
        assert (result[2], result[5]) == ("cancelled", "error.clock_wrong")
        await t.until("message")
        assert "error.clock_wrong" in t.keys_shown()

    tell(story)


@pytest.mark.parametrize("state", STATES)
def test_a_second_register_is_told_busy_at_once_with_what_is_pending(state: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = await _at(t, till, state)
        second = till.start("till-2:1", 99, OTHER_DIGEST)
        await asyncio.sleep(0.01)
        assert second.refused == ("busy", {1: REF, 2: 1234})
        assert await till.state("till-2:1") == ("none", "")
        await _customer(t, state)
        assert (await till.result(asked))[2] == "approved"
        await t.back_to_idle()
        t.remove()
        result = await till.pay(till.start("till-2:1", 99, OTHER_DIGEST), "no-cvm")
        assert result[2] == "approved"

    tell(story)


def test_the_merchants_own_sale_and_menu_are_never_disturbed() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await t.press("7")
        await t.until("amount")
        assert await till.error(till.start()) == ("busy", {1: "", 2: 0})
        await t.press("00", "enter")
        await t.until("present_card")
        assert await till.error(till.start()) == ("busy", {1: "", 2: 700})
        t.insert("no-cvm")
        await t.until("result")
        assert "result.approved" in t.keys_shown()
        assert (await till.error(till.start()))[0] == "busy"
        await t.back_to_idle()
        await t.press("menu")
        await t.until("menu")
        assert await till.error(till.start()) == ("busy", {1: "", 2: 0})
        await t.press("cancel")
        await t.until("idle")
        assert await till.state() == ("none", "")
        assert (await till.pay(till.start(), "approve"))[2] == "approved"
        await t.back_to_idle()

    tell(story)


def test_a_key_in_the_same_moment_is_the_merchants() -> None:
    async def story(t: Handheld, till: Till) -> None:
        t.rack.keys.type(("5",))
        for _ in range(400):  # somewhere between key down and its screen
            asked = till.start()
            await asyncio.sleep(0.001)
            if asked.refused is not None or t.screen["screen"] != "idle":
                break
            if asked.items:
                assert await till.abort() == "aborted"
        await asyncio.sleep(1)
        assert t.screen["screen"] in ("amount", "present_card", "idle")
        assert not t.messages("0200")

    tell(story)


def test_a_card_that_came_first_pays_what_the_register_asks() -> None:
    async def story(t: Handheld, till: Till) -> None:
        t.insert("no-cvm")
        await t.until("amount")
        asked = till.start()
        result = await till.result(asked)
        assert result[2] == "approved" and not shown(t, "sale.card.remove")
        await t.back_to_idle()
        t.insert("no-cvm")
        await t.until("amount")
        await t.press("8")
        assert (await till.error(till.start("till-1:2")))[0] == "busy"
        await t.press("00", "enter")
        await t.until("result")
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 1234 + 800

    tell(story)


@pytest.mark.parametrize("state", STATES)
def test_the_same_reference_follows_and_another_request_under_it_is_a_conflict(state: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = await _at(t, till, state)
        twin = till.start()
        assert await till.error(till.start(REF, 9999, OTHER_DIGEST)) == ("conflict", {})
        if state not in ("final",):
            assert await till.state() == ("progress", "")
        await _customer(t, state)
        result = await till.result(asked)
        assert await till.result(twin) == result and result[2] == "approved"
        await t.back_to_idle()
        t.remove()
        third = till.start()
        assert await till.result(third) == result and third.items == []
        assert await till.error(till.start(REF, 9999, OTHER_DIGEST)) == ("conflict", {})
        await t.power_off()
        await t.power_on()
        assert await till.result(till.start()) == result
        assert await till.error(till.start(REF, 9999, OTHER_DIGEST)) == ("conflict", {})
        assert t.acquirer.approved_total() == 1234 and len(t.messages("0200")) == 1

    tell(story)


@pytest.mark.parametrize("state", STATES)
def test_a_lost_link_stops_no_payment(state: str) -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = await _at(t, till, state)
        assert asked.task is not None
        asked.task.cancel()
        await asyncio.sleep(0.01)
        await _customer(t, state)
        await t.until("result")
        await asyncio.sleep(0.5)
        assert await till.state() == ("final", "approved")
        await t.back_to_idle()
        assert (await till.result(till.start()))[2] == "approved"
        assert t.acquirer.approved_total() == 1234

    tell(story)


def test_a_wrong_pin_is_the_same_payment() -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = till.start()
        await t.until("present_card")
        t.insert("approve")
        await t.pins(["9999"], "result")
        await t.until("pin")
        assert not asked.ended and await till.state() == ("progress", "")
        await t.pins(list(t.deck.cards["approve"].typed), "result")
        result = await till.result(asked)
        assert result[2] == "approved" and result[7] == int(t.books()[-1][0])
        assert asked.items.count("online") == 2
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 1234

    tell(story)


def test_after_a_wrong_pin_it_can_be_taken_back() -> None:
    async def story(t: Handheld, till: Till) -> None:
        asked = till.start()
        await t.until("present_card")
        t.insert("approve")
        await t.pins(["9999"], "result")
        await t.until("pin")
        assert await till.abort() == "aborted"
        assert (await till.result(asked))[2] == "cancelled"
        await t.until("remove_card")
        t.remove()
        await t.until("idle")
        assert t.acquirer.approved_total() == 0

    tell(story)


def test_a_lost_answer_is_unknown_and_then_reversed() -> None:
    async def story(t: Handheld, till: Till) -> None:
        t.acquirer.rule("drop", mti="0200")
        t.acquirer.rule("drop", mti="0400", times=2)
        asked = till.start()
        await t.until("present_card")
        t.insert("no-cvm")
        result = await till.result(asked)
        assert result[2] == "unknown" and 6 not in result
        assert await till.error(till.start("till-1:2")) == ("busy", {1: REF, 2: 1234})
        await t.until("result")
        await t.when(lambda _: "result.reversed" in t.keys_shown(), "the reversal")
        assert await till.state() == ("final", "reversed")
        assert (await till.result(till.start()))[2] == "reversed"
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 0

    tell(story, answer_timeout_ms=3_000)


def test_no_network_charges_nobody() -> None:
    async def story(t: Handheld, till: Till) -> None:
        await sell(t)
        await t.back_to_idle()
        t.rack.net.link(False)
        asked = till.start()
        await t.until("present_card")
        t.insert("no-cvm")
        result = await till.result(asked)
        assert result[2] == "cancelled" and result[5].startswith("error.network")
        t.rack.net.link(True)
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 1234

    tell(story)


def test_what_is_no_payment_here_is_refused_and_charges_nobody() -> None:
    async def story(t: Handheld, till: Till) -> None:
        assert await till.error(till.start(kind="refund")) == ("kind", {})
        assert await till.error(till.start(currency=978)) == ("currency", {1: CNY})
        code, details = await till.error(till.start(amount=999999999999))
        assert code == "amount" and 0 < details[1] < 999999999999
        for reference in ("收银台", "a\u00a0b"):
            assert (await till.error(till.start(reference)))[0] == "arguments"
        assert await till.state("") == ("none", "")
        till.terminal.blocked.append("error.clock_wrong")
        assert await till.error(till.start()) == ("failed", {1: "error.clock_wrong", 2: ""})
        till.terminal.blocked.clear()
        assert t.screen["screen"] == "idle" and not t.messages("0200")
        asked = till.start(amount=details[1], name="")
        await t.until("present_card")
        assert "PC of the shop" in t.text
        assert await till.abort() == "aborted" and asked is not None

    tell(story)


def test_forty_payments_taken_back_leave_the_last_thirty_two() -> None:
    async def story(t: Handheld, till: Till) -> None:
        for at in range(40):
            asked = till.start(f"till-1:{at}")
            assert await till.abort(f"till-1:{at}") == "aborted"
            assert (await till.result(asked))[2] == "cancelled"
            await asyncio.sleep(1)
        assert len(till.terminal.journal.state.registered.kept) == 32
        assert await till.state("till-1:8") == ("final", "cancelled")
        assert await till.state("till-1:7") == ("none", "")
        assert (await till.told(""))[2][1] == "till-1:39"

    tell(story)
