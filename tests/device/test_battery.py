"""A battery that might not last: no payment begins, what is owed is settled."""

import pytest

from tests.device.stories import menu, owe, sell, shown, tell
from tests.support.handheld import Handheld

LOW, ENOUGH = 9, 10


def _battery(t: Handheld, percent: int, mains: bool = False) -> None:
    t.rack.gauge.percent = percent
    t.rack.mains.set(mains)


@pytest.mark.parametrize(
    ("percent", "mains", "refused"),
    [(LOW, False, True), (0, False, True), (ENOUGH, False, False), (LOW, True, False)],
)
def test_a_payment_begins_only_with_enough_charge(percent: int, mains: bool, refused: bool) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        _battery(t, percent, mains)
        if refused:
            await t.press("1")
            await t.until("message")
            assert "error.battery_low.do" in t.keys_shown()
            assert [name for name, _ in t.journal() if name in ("INTENT", "REQUEST")] == []
            assert t.messages() == []
        else:
            await sell(t)
            assert "result.approved" in t.keys_shown()

    tell(story)


def test_the_idle_screen_says_so_before_anybody_asks() -> None:
    async def story(t: Handheld) -> None:
        _battery(t, LOW)
        await t.power_on()
        await t.when(lambda _: "error.battery_low" in t.keys_shown(), "the notice")
        _battery(t, LOW, mains=True)
        await t.when(lambda _: "error.battery_low" not in t.keys_shown(), "no notice")

    tell(story)


def test_a_battery_that_sinks_during_the_amount_stops_before_the_card() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("1", "2")
        await t.until("amount")
        _battery(t, LOW)
        await t.press("enter")
        await t.until("message")
        assert "error.battery_low" in t.keys_shown()
        assert not shown(t, "sale.card.prompt") and t.messages("0200") == []

    tell(story)


def test_a_battery_that_sinks_with_the_request_out_changes_nothing() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.pay("1234", "no-cvm", "progress")
        _battery(t, LOW)
        await t.until("result")
        assert "result.approved" in t.keys_shown()
        assert [book[2] for book in t.books()] == ["approved"]

    tell(story)


def test_a_reversal_and_a_reprint_need_no_charge() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        _battery(t, LOW)
        await t.power_on("result")
        assert "unknown.reversed" in t.keys_shown()
        await t.when(lambda _: "REVERSED" in t.paper, "the slip")
        await t.press("enter")
        await t.until("idle")
        before = len(t.paper)
        await menu(t, 1)
        await t.when(lambda _: "DUPLICATE" in t.paper[before:], "the reprint")

    tell(story)


def test_a_gauge_that_does_not_answer_keeps_nobody_from_paying() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        _battery(t, LOW)
        t.rack.gauge.mute = True
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)
