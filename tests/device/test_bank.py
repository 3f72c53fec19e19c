"""Every way in which the bank can misbehave (docs/acquirer.md), by the rules of money."""

from typing import Any

import pytest

from firmware.payment.journal import records as r
from tests.device.stories import menu, sell, shown, tell
from tests.support.handheld import Handheld

CODES = (
    "01",
    "03",
    "05",
    "12",
    "13",
    "14",
    "30",
    "41",
    "43",
    "51",
    "54",
    "57",
    "61",
    "62",
    "65",
    "75",
    "91",
    "94",
    "96",
    "97",
    "98",
)


@pytest.mark.parametrize("code", CODES)
def test_a_decline_says_why_and_charges_nobody(code: str) -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("decline", code=code)
        await t.power_on()
        await sell(t)
        assert {"result.declined", "charged.no"} <= t.keys_shown()
        assert code in t.text
        await t.back_to_idle()
        assert [state for _, _, state in t.books()] == ["declined"]
        assert not t.messages("0400")
        assert "DECLINED" in t.paper

    tell(story)


REVERSED: list[tuple[str, dict[str, Any], str]] = [
    ("late", {"ms": 90_000}, "98"),
    ("drop", {}, "98"),
    ("lose", {}, "98"),
    ("close", {}, "98"),
    ("garble", {}, "98"),
    ("wrong_amount", {}, "96"),
    ("wrong_stan", {}, "98"),
    ("wrong_mac", {}, "A0"),
    ("missing_mac", {}, "A0"),
    ("partial", {"percent": 50}, "96"),
]


@pytest.mark.parametrize(("kind", "arguments", "reason"), REVERSED)
def test_what_is_not_a_clean_answer_is_reversed(
    kind: str, arguments: dict[str, Any], reason: str
) -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule(kind, mti="0200", **arguments)
        await t.power_on()
        await sell(t)
        assert shown(t, "result.unknown")
        assert {"result.reversed", "charged.no"} <= t.keys_shown()
        await t.back_to_idle()
        assert len(t.messages("0200")) <= 1, "never twice"
        (request,) = [body for name, body in t.journal() if name == "REQUEST"]
        stan = request[r.K_STAN]
        kinds = t.records(stan)
        assert kinds[:2] == ["INTENT", "REQUEST"]
        assert kinds[-4:] == ["COMMIT", "REVERSAL_SENT", "REVERSED", "PRINTED"]
        reversal = t.messages("0400")[-1]["fields"]
        assert reversal["11"] == f"{stan:06d}"
        assert int(reversal["4"]) == 1234
        assert reversal["39"] == reason
        assert "64" in reversal
        assert [state for _, _, state in t.books()] in (["reversed"], ["orphan"])
        assert t.acquirer.approved_total() == 0
        assert "REVERSED" in t.paper
        await t.pay("500", "approve", "result")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert t.acquirer.approved_total() == 500

    tell(story)


@pytest.mark.parametrize(
    ("kind", "arguments"), [("duplicate", {}), ("split", {"ms": 20}), ("late", {"ms": 5_000})]
)
def test_an_odd_but_whole_answer_is_taken(kind: str, arguments: dict[str, Any]) -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule(kind, mti="0200", **arguments)
        await t.power_on()
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert [state for _, _, state in t.books()] == ["approved"]

    tell(story)


@pytest.mark.parametrize("code", ["77", "99", "A0"])
def test_it_signs_in_once_by_itself_and_then_shows_the_refusal(code: str) -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("refuse", code=code, times=2, mti="0200")
        await t.power_on()
        await sell(t)
        assert {"result.declined", "charged.no"} <= t.keys_shown()
        await t.press("enter")
        await t.when(lambda tree: shown(t, "sign_in.again"), "keys renewed")
        await t.back_to_idle()
        assert len(t.messages("0800")) == 2
        await sell(t)
        assert "result.declined" in t.keys_shown()
        await t.back_to_idle()
        assert len(t.messages("0800")) == 2, "a second refusal is shown, not looped"
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        stans = [row["fields"]["11"] for row in t.messages("0200")]
        assert len(set(stans)) == 3, "each payment is a new one"

    tell(story)


def test_a_reversal_under_old_keys_signs_in_and_goes_again() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0200")
        t.acquirer.rule("refuse", code="A0", mti="0400")
        await t.power_on()
        await sell(t)
        assert "result.reversed" in t.keys_shown()
        await t.back_to_idle()
        assert len(t.messages("0800")) == 2
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story)


def test_an_unresolved_payment_stays_unknown_and_is_reversed_in_view() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0200")
        t.acquirer.rule("drop", mti="0400", times=2)
        await t.power_on()
        await t.pay("1234", "no-cvm", "result")
        await t.when(lambda tree: "UNKNOWN" in t.paper, "the slip")
        assert {"result.unknown", "charged.unknown"} <= t.keys_shown() or shown(t, "result.unknown")
        await t.when(lambda tree: "result.reversed" in t.keys_shown(), "the reversal", 900)
        await t.back_to_idle()
        assert [state for _, _, state in t.books()] == ["reversed"]
        assert t.paper.index("UNKNOWN") < t.paper.index("REVERSED")

    tell(story)


def test_signing_in_before_a_sale_is_one_stage_with_its_amount() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("5", "00", "enter")
        await t.until("present_card")
        waits = [tree for tree in t.screens if tree["screen"] == "progress"]
        assert waits
        for tree in waits:
            assert "sale.stage.signing_in" in {node.get("key") for node in tree["nodes"]}
            assert "5.00" in str(tree)

    tell(story)


def test_payments_wait_for_the_debt_and_the_retries_outlive_a_restart() -> None:
    async def story(t: Handheld) -> None:
        await t.left_unknown()
        await t.when(lambda tree: "idle.reversal_owed" in t.keys_shown(), "the notice")
        t.insert("approve")
        await t.press("5", "00", "enter")
        await t.until("message")
        assert "idle.reversal_owed" in t.keys_shown()
        assert len(t.messages("0200")) == 1, "no payment before the debt"
        await t.power_off()
        t.remove()
        await t.power_on()
        t.acquirer.rules.clear()
        await t.when(lambda tree: [s for _, _, s in t.books()] == ["reversed"], "reversed", 900)
        (stan,) = {row["fields"]["11"] for row in t.messages("0400")}
        await t.when(lambda tree: t.records(int(stan))[-1] == "PRINTED", "the journal")
        times = [row["time"] for row in t.messages("0400")]
        assert times == sorted(times)

    tell(story)


@pytest.mark.parametrize("script", ["put_data", "pin_unblock", "application_block", "pin_change"])
def test_script_results_go_before_the_next_payment(script: str) -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("script", script=script)
        await t.power_on()
        await sell(t)
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        assert not t.messages("0620")
        await sell(t, card="approve")
        await t.back_to_idle()
        order = [row["mti"] for row in t.messages("0200", "0620")]
        assert order == ["0200", "0620", "0200"]
        assert [name for name, _ in t.journal()].count("SCRIPT_DONE") == 1

    tell(story)


def test_a_supervisor_releases_a_debt_on_paper_and_in_the_journal() -> None:
    async def story(t: Handheld) -> None:
        await t.left_unknown()
        await menu(t, 7)
        await t.until("secret")
        await t.press(*"123456", "enter")
        await t.until("question")
        assert "release.confirm" in t.keys_shown()
        await t.press("enter")
        await t.until("idle")
        released = [body for name, body in t.journal() if name == "RELEASED"]
        assert len(released) == 1
        assert released[0][r.K_WHO] == "supervisor"
        slip = t.paper[t.paper.index("REVERSAL RELEASED") :]
        for word in ("000002", "12.34", "supervisor", "MAY"):
            assert word in slip, (word, slip)
        t.acquirer.rules.clear()
        await sell(t, card="approve")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()

    tell(story)


def test_the_terminal_says_that_it_is_online_only() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        (request,) = t.messages("0200")
        assert "9F350121" in request["fields"]["55"].upper()

    tell(story)


def test_five_wrong_codes_lock_also_across_restarts_until_a_new_bundle() -> None:
    async def story(t: Handheld) -> None:
        await t.left_unknown()
        for attempt in range(5):
            if attempt == 3:
                await t.power_off()
                await t.power_on()
            await menu(t, 7)
            await t.until("secret")
            await t.press(*"000000", "enter")
            await t.until("message")
            assert "supervisor.wrong" in t.keys_shown()
            await t.press("enter")
            await t.until("idle")
        await t.power_off()
        await t.power_on()
        await menu(t, 7)
        await t.until("message")
        assert "supervisor.locked" in t.keys_shown()
        await t.power_off()
        bundle, _ = t.acquirer.enrol(t.board["serial"], languages=("en", "zh"), host="bank.test")
        t.put("bundle.cbor", bundle)
        await t.power_on()
        await menu(t, 7)
        await t.until("secret")

    tell(story)
