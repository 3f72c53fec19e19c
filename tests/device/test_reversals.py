"""Reversals that end outside the sale: sent at once, told, printed once."""

import asyncio
from typing import Any

from tests.device.stories import menu, owe, shown, tell
from tests.support.handheld import Handheld


def _idle(t: Handheld, key: str) -> bool:
    """Whether an idle screen with this text key was shown since power-on."""
    return any(
        tree["screen"] == "idle" and key in {node.get("key") for node in tree["nodes"]}
        for tree in t.screens
    )


def _kinds(t: Handheld) -> list[str]:
    return [kind for kind, _ in t.journal()]


def test_a_reversal_owed_leaves_at_once_after_boot_and_is_told() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        await t.power_on("")
        loop = asyncio.get_running_loop()
        await t.when(lambda tree: _idle(t, "idle.reversal_owed"), "the debt named")
        begun = loop.time()
        await t.when(lambda tree: _idle(t, "idle.reversing"), "the attempt named")
        assert loop.time() - begun < 1, "on the virtual clock: no back-off before the first"
        tree = await t.until("result")
        assert loop.time() - begun < 4, "the idle screen is woken, it does not poll"
        assert {"result.reversed", "charged.no", "unknown.reversed"} <= t.keys_shown()
        assert "12.34" in str(tree)
        await t.when(lambda _: "PRINTED" in _kinds(t), "the slip")
        assert t.screen["screen"] == "result", "it stands until a key"
        await t.press("enter")
        await t.until("idle")
        assert "idle.prompt" in t.keys_shown()
        assert t.paper.count("NOT CHARGED") == 1
        assert "NOT CHARGED" in t.paper
        assert "DUPLICATE" not in t.paper
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story)


def test_the_slip_says_what_the_request_said() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        await t.power_on("result")
        await t.when(lambda tree: "PRINTED" in _kinds(t), "the slip")
        (request,) = [body for kind, body in t.journal() if kind == "REQUEST"]
        slip = t.paper
        for word in ("CNY 12.34", "000002", request[16], "A000000333010101", "MERCHANT COPY"):
            assert word in slip, word

    tell(story)


def test_a_digit_ends_the_result_and_begins_the_next_sale() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        await t.power_on("result")
        await t.press(*"4200")
        await t.when(
            lambda tree: tree["screen"] == "amount" and "42.00" in str(tree), "every digit taken"
        )

    tell(story)


def test_a_card_still_in_the_slot_is_asked_out_once_the_reversal_was_told() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.insert("no-cvm")
        await t.power_on("result")
        assert "result.reversed" in t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        await t.when(lambda _: "idle.card_left" in t.keys_shown(), "the notice", 1)
        assert "idle.prompt" not in t.keys_shown()
        await t.press("4")
        await t.until("remove_card")
        t.remove()
        await t.until("amount")

    tell(story)


def test_the_result_gives_way_by_itself() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        await t.power_on("result")
        await t.until("idle", limit_s=70)
        assert "idle.prompt" in t.keys_shown()
        await asyncio.sleep(60)
        assert t.screen["screen"] == "idle", "told once"

    tell(story)


def test_a_reversal_before_the_next_sale_is_told_before_its_card() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0400", times=None)
        await owe(t)
        await t.power_on("idle")
        await t.when(lambda tree: len(t.messages("0400")) > 1, "the back-off")
        await t.when(lambda tree: "idle.reversal_owed" in t.keys_shown(), "idle again")
        t.acquirer.rules.clear()
        t.screens.clear()
        await t.press("5")
        await t.until("result")
        assert "result.reversed" in t.keys_shown()
        waits = [tree for tree in t.screens if tree["screen"] == "progress"]
        assert waits
        for tree in waits:
            assert "sale.stage.reversing" in {node.get("key") for node in tree["nodes"]}
            assert "12.34" in str(tree)
        assert not [tree for tree in t.screens if tree["screen"] == "amount"]
        await t.press("6", "00")  # the rest of what was begun: half an amount is none
        assert t.screen["screen"] == "result"
        await t.press("enter")
        tree = await t.until("amount")
        assert "0.00" in str(tree)
        await t.press("6", "00", "enter")
        tree = await t.until("present_card")
        assert "6.00" in str(tree)
        assert t.paper.count("NOT CHARGED") == 1

    tell(story, answer_timeout_ms=3_000)


def test_a_reversal_that_cannot_be_sent_is_said_before_any_amount() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0400", times=None)
        await owe(t)
        await t.power_on("idle")
        await t.when(lambda tree: len(t.messages("0400")) > 1, "the back-off")
        await t.when(lambda tree: "idle.reversal_owed" in t.keys_shown(), "idle again")
        t.screens.clear()
        await t.press("5")
        await t.until("message")
        assert not shown(t, "sale.amount.prompt")
        await t.press("enter")
        await t.until("idle")

    tell(story, answer_timeout_ms=3_000)


def test_unknown_left_by_the_merchant_is_told_once_it_is_reversed() -> None:
    async def story(t: Handheld) -> None:
        await t.left_unknown()
        assert not shown(t, "result.reversed")
        t.acquirer.rules.clear()
        await t.until("result", limit_s=400)
        assert {"result.reversed", "charged.no"} <= t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        assert t.paper.count("NOT CHARGED") == 1

    tell(story)


def test_the_power_failing_around_the_slip_leaves_it_owed() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.rack.printer.paper_out = True
        await t.power_on("question")
        assert "error.printer_paper" in t.keys_shown()
        await t.power_off()
        assert "PRINTED" not in _kinds(t)
        t.rack.printer.paper_out = False
        await t.power_on("result")
        assert {"result.reversed", "charged.no"} <= t.keys_shown()
        await t.press("enter")
        await t.until("question")
        assert "idle.print_owed" in t.keys_shown()
        await t.press("enter")
        await t.when(lambda tree: "PRINTED" in _kinds(t), "the slip")
        assert "DUPLICATE" in t.paper
        await t.power_off()
        await t.power_on("idle")
        await asyncio.sleep(20)
        assert not shown(t, "result.reversed"), "told and printed: no more is owed"

    tell(story)


def test_reprint_last_gives_the_reversal_and_not_an_older_payment() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.pay("4200", "no-cvm")
        await t.back_to_idle()
        await t.power_off()
        await owe(t)
        await t.power_on("result")
        await t.press("enter")
        await t.until("idle")
        before = len(t.paper)
        await menu(t, 1)
        await t.until("printing")
        await t.until("idle")
        again = t.paper[before:]
        assert "REVERSED" in again
        assert "12.34" in again
        assert "42.00" not in again
        assert "DUPLICATE" in again

    tell(story)


def test_declined_and_reversed_results_say_which_key_goes_on() -> None:
    def hinted(tree: dict[str, Any]) -> bool:
        return any(node["name"] == "hint_enter" and node["text"] == "OK" for node in tree["nodes"])

    async def story(t: Handheld) -> None:
        t.acquirer.rule("refuse", code="51", mti="0200")
        await t.power_on()
        await t.pay("1234", "no-cvm")
        assert "result.declined" in t.keys_shown()
        assert hinted(t.screen)
        assert "Not enough funds" in t.text
        await t.back_to_idle()
        t.acquirer.rule("drop", mti="0200")
        await t.pay("1234", "no-cvm", "result")
        assert hinted(t.screen)
        await t.when(lambda tree: "result.reversed" in t.keys_shown(), "reversed")
        assert hinted(t.screen)

    tell(story)


def test_a_debt_of_a_damaged_journal_waits_for_the_supervisor() -> None:
    """It may be none: the record that ended it can be what was lost."""

    async def story(t: Handheld) -> None:
        await owe(t)
        old = t.disk.snapshot()
        await t.power_on("result")
        await t.press("enter")
        await t.until("idle")
        await t.power_off()
        mixed = t.disk.snapshot()
        for name in mixed:
            if name.endswith(".seg"):
                mixed[name] = old.get(name, b"")
        t.disk.restore(mixed)
        sent = len(t.messages("0400"))
        await t.power_on()
        assert "error.journal_confirm" in t.keys_shown()
        await asyncio.sleep(600)
        assert len(t.messages("0400")) == sent
        await menu(t, 7)
        await t.until("secret")
        await t.press(*"123456", "enter")
        await t.when(lambda _: len(t.messages("0400")) > sent, "the reversal")

    tell(story)
