"""What is owed survives new bundles, dead clocks, refusals, full disks and cuts."""

import asyncio
from typing import Any

import pytest

from firmware.payment.journal import records
from host_tools.acquirer.ledger import Terminal
from tests.device.stories import menu, owe, sell, shown, tell
from tests.support.handheld import BANK_HOST, Handheld

SUPERVISOR = "123456"


def _bundle(t: Handheld, **wishes: Any) -> bytes:
    """A new bundle for this device."""
    if "terminal_id" in wishes:
        with t.acquirer.ledger.session() as session:
            row = session.get(Terminal, "10000001")
            assert row is not None
            row.serial = "replaced"
            session.commit()
    bundle, _ = t.acquirer.enrol(
        t.board["serial"], languages=("en", "zh"), host=BANK_HOST, **wishes
    )
    return bytes(bundle)


def _install(t: Handheld, bundle: bytes) -> None:
    """Put it in the old one's place."""
    snapshot = t.disk.snapshot()
    snapshot["bundle.cbor"] = bundle
    t.disk.restore(snapshot)


def _of(t: Handheld, mti: str, field: str) -> list[str]:
    return [str(message["fields"].get(field)) for message in t.messages(mti)]


def _bodies(t: Handheld, kind: str) -> list[dict[int, Any]]:
    return [body for name, body in t.journal() if name == kind]


async def _supervise(t: Handheld) -> None:
    """The supervisor's code, then Yes."""
    await menu(t, 7)
    await t.until("secret")
    await t.press(*SUPERVISOR, "enter")
    await t.until("question")
    await t.press("enter")


def test_a_bundle_of_another_merchant_waits_for_the_debt() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        _install(t, _bundle(t, merchant_id="OTHERMERCHANT99"))
        await t.power_on()
        assert "error.bundle_debt" in t.keys_shown()
        await t.when(lambda _: "idle.reversal_owed" in t.keys_shown(), "the debt beside it")
        await asyncio.sleep(400)
        assert not t.messages("0400"), "no reversal under ids that are not the request's"
        assert not shown(t, "charged.no")
        await t.power_off()
        _install(t, _bundle(t))
        await t.power_on("result")
        assert "result.reversed" in t.keys_shown()
        assert _of(t, "0400", "42") == _of(t, "0200", "42")
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story)


def test_a_supervisor_releases_what_the_old_terminal_owed() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        _install(t, _bundle(t, terminal_id="NEWTERM2", currency=392, exponent=0))
        await t.power_on()
        assert "error.bundle_debt" in t.keys_shown()
        await menu(t, 7)
        await t.until("secret")
        await t.press(*SUPERVISOR, "enter")
        await t.until("question")
        assert "12.34" in t.text, "in the currency of the payment"
        await t.press("enter")
        await t.when(lambda _: "release.restart" in t.keys_shown(), "what to do next")
        assert "CNY 12.34" in t.paper
        assert "10000001" in t.paper
        await t.power_off()
        await t.power_on()
        assert "idle.prompt" in t.keys_shown()

    tell(story)


def test_not_found_settles_no_reversal_of_a_request_without_ids() -> None:
    """A journal of before requests kept them: 25 may mean other ids."""

    async def story(t: Handheld) -> None:
        from firmware.payment.journal import fold

        kept, fold.Debt.__init__ = fold.Debt.__init__, _without_ids  # type: ignore[method-assign]
        try:
            await owe(t)
            t.acquirer.rule("refuse", mti="0400", code="25", times=1)
            await t.power_on()
            await t.when(lambda _: len(t.messages("0400")) == 1, "the first attempt")
            await t.when(lambda _: len(t.messages("0400")) == 2, "another")
            await t.until("result")
        finally:
            fold.Debt.__init__ = kept  # type: ignore[method-assign]
        assert [body[records.K_CODE] for body in _bodies(t, "REVERSED")] == ["00"]

    tell(story)


def _without_ids(self: Any, sequence: int, request: dict[int, Any]) -> None:
    self.sequence = sequence
    self.request = {
        key: request[key]
        for key in request
        if key not in (records.K_TERMINAL_ID, records.K_MERCHANT_ID)
    }
    self.answer = None
    self.phase = 1
    self.reason = records.REASON_NO_ANSWER
    self.attempts = 0
    self.scripts = b""
    self.emv = {}


def test_a_dead_clock_keeps_no_reversal_back() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.rack.rtc.mute = True
        await t.power_on()
        assert "error.clock" in t.keys_shown()
        await t.until("result")
        assert "result.reversed" in t.keys_shown()
        assert [state for _, _, state in t.books()] == ["reversed"]
        (record,) = _bodies(t, "REVERSED")
        assert records.K_TIME not in record
        await t.press("enter")
        await t.until("idle")
        await menu(t, 2)
        await t.until("message")
        assert "network.signed_in" in t.keys_shown()

    tell(story)


def test_a_clock_that_never_started_keeps_no_reversal_back() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.acquirer.rule("drop", mti="0400", times=1)
        t.board["clock"] = {**t.board["clock"], "driver": "no-such"}
        await t.power_on()
        assert "error.clock" in t.keys_shown()
        await t.when(lambda _: "idle.reversing" in t.keys_shown(), "the debt beside it")
        await t.until("result")
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story)


async def _scripts_owed(t: Handheld) -> None:
    await t.power_on()
    await t.pay("1234", "script-put-data")
    await t.back_to_idle()


def test_script_results_refused_for_want_of_keys_sign_in_and_repeat() -> None:
    async def story(t: Handheld) -> None:
        await _scripts_owed(t)
        t.acquirer.rule("refuse", mti="0620", code="A0", times=1)
        await t.pay("4200", "no-cvm")
        assert "result.approved" in t.keys_shown()
        assert len(t.messages("0620")) == 2
        assert len(_bodies(t, "SCRIPT_DONE")) == 1

    tell(story)


def test_script_results_refused_for_ever_show_the_code_and_are_released() -> None:
    async def story(t: Handheld) -> None:
        await _scripts_owed(t)
        t.acquirer.rule("refuse", mti="0620", code="30", times=None)
        await t.pay("4200", "no-cvm", "message")
        assert "error.scripts_refused" in t.keys_shown()
        assert "30" in t.text
        await t.back_to_idle()
        await _supervise(t)
        await t.when(lambda _: "SCRIPT RESULTS GIVEN UP" in t.paper, "the slip")
        await t.until("idle")
        (released,) = _bodies(t, "RELEASED")
        assert released[records.K_STAN] == _bodies(t, "REQUEST")[0][records.K_STAN]
        assert "MAY HAVE BEEN CHARGED" not in t.paper
        await t.pay("4200", "no-cvm")
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_a_skipped_slip_never_says_that_a_payment_is_done_which_is_not() -> None:
    async def skipped(t: Handheld) -> str:
        await t.when(lambda tree: "hint.retry" in t.keys_shown(), "the printer's trouble")
        await t.press("cancel")
        await t.when(lambda tree: tree["screen"] == "message", "what was kept")
        (key,) = [one for one in t.keys_shown() if one in KEPT]
        return key

    KEPT = {"print.kept", "print.skipped"} | {
        "print.kept." + kind for kind in ("declined", "unknown", "reversed", "other")
    }

    async def story(t: Handheld) -> None:
        await t.power_on()
        t.rack.printer.paper_out = True
        t.acquirer.rule("refuse", code="51", mti="0200", times=1)
        await t.pay("100", "no-cvm")
        await t.press("enter")
        assert await skipped(t) == "print.kept.declined"
        await t.back_to_idle()
        t.acquirer.rule("drop", mti="0200", times=1)
        t.acquirer.rule("drop", mti="0400", times=None)
        await t.pay("200", "no-cvm", "question")
        assert await skipped(t) == "print.kept.unknown"
        t.acquirer.rules.clear()
        await t.when(lambda _: "result.reversed" in t.keys_shown(), "reversed")
        await t.press("enter")
        assert await skipped(t) == "print.kept.reversed"
        await t.back_to_idle()
        await t.pay("300", "no-cvm")
        assert await skipped(t) == "print.kept"
        await t.back_to_idle()

    tell(story, answer_timeout_ms=3_000)


async def _released(t: Handheld) -> None:
    """A debt released by the supervisor while there is no paper."""
    await owe(t)
    t.acquirer.rule("drop", mti="0400", times=None)
    t.rack.printer.paper_out = True
    await t.power_on()
    await _supervise(t)
    await t.when(lambda _: "RELEASED" in [kind for kind, _ in t.journal()], "the release")


def test_the_slip_of_a_release_is_owed_across_a_cut_and_reprinted() -> None:
    async def story(t: Handheld) -> None:
        await _released(t)
        await t.power_off()
        t.rack.printer.paper_out = False
        assert "REVERSAL RELEASED" not in t.paper
        await t.power_on("question")
        assert "idle.print_owed" in t.keys_shown()
        await t.press("enter")
        await t.when(lambda _: "REVERSAL RELEASED" in t.paper, "the slip")
        await t.until("idle")
        assert "CNY 12.34" in t.paper
        assert "DUPLICATE" in t.paper
        before = t.paper.count("REVERSAL RELEASED")
        await menu(t, 1)
        await t.when(lambda _: t.paper.count("REVERSAL RELEASED") > before, "the reprint")
        await t.until("idle")
        await t.power_off()
        await t.power_on()
        assert not shown(t, "idle.print_owed"), "printed: no more is owed"

    tell(story, answer_timeout_ms=3_000)


def test_the_slip_of_confirmed_damage_is_owed_across_a_cut() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await sell(t)
        await t.back_to_idle()
        await t.power_off()
        damaged = t.disk.snapshot()
        (name,) = [one for one in damaged if one.endswith(".seg")]
        whole = bytearray(damaged[name])
        whole[len(whole) * 2 // 3] ^= 0xFF
        damaged[name] = bytes(whole)
        t.disk.restore(damaged)
        t.rack.printer.paper_out = True
        await t.power_on()
        assert "error.journal_confirm" in t.keys_shown()
        await menu(t, 7)
        await t.until("secret")
        await t.press(*SUPERVISOR, "enter")
        await t.when(lambda _: "CONFIRMED" in [kind for kind, _ in t.journal()], "confirmed")
        await t.power_off()
        t.rack.printer.paper_out = False
        await t.power_on("question")
        while "JOURNAL DAMAGE" not in t.paper:
            await t.press("enter")
            await asyncio.sleep(5)
        assert "10000001" in t.paper

    tell(story)


def test_many_unprinted_slips_are_all_kept_and_printed_from_the_menu() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.rack.printer.paper_out = True
        amounts = [str(100 * n) for n in range(1, 11)]
        for amount in amounts:
            await t.pay(amount, "no-cvm")
            await t.when(lambda tree: "hint.retry" in t.keys_shown(), "the printer's trouble")
            await t.press("cancel")
            await t.back_to_idle()
        t.rack.printer.paper_out = False
        await t.power_off()
        await t.power_on("question")
        await t.press("cancel")
        await t.until("idle")
        await menu(t, 1)
        await t.until("question")
        await t.press("enter")
        await t.until("idle")
        for amount in amounts:
            assert "CNY " + amount[:-2] + "." + amount[-2:] in t.paper
        assert t.paper.count("MERCHANT COPY") == len(amounts)

    tell(story)


def test_no_payment_begins_that_could_push_a_slip_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.services.host_session.MOST_PRINTS_OWED", 2)

    async def story(t: Handheld) -> None:
        await t.power_on()
        t.rack.printer.paper_out = True
        for _ in range(2):
            await t.pay("100", "no-cvm")
            await t.when(lambda tree: "hint.retry" in t.keys_shown(), "the trouble")
            await t.press("cancel")
            await t.back_to_idle()
        await t.pay("100", "no-cvm", "message")
        assert "error.prints_owed" in t.keys_shown()
        t.rack.printer.paper_out = False
        await t.back_to_idle()
        await menu(t, 1)
        await t.until("question")
        await t.press("enter")
        await t.until("idle")
        await t.pay("100", "no-cvm")
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_a_supervisor_gives_up_slips_that_a_broken_printer_owes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firmware.services.host_session.MOST_PRINTS_OWED", 2)

    async def story(t: Handheld) -> None:
        await t.power_on()
        await menu(t, 7)
        await t.until("message")
        assert "release.none" in t.keys_shown()  # nothing stands in the way yet
        await t.back_to_idle()
        t.rack.printer.paper_out = True
        for _ in range(2):
            await t.pay("100", "no-cvm")
            await t.when(lambda tree: "hint.retry" in t.keys_shown(), "the trouble")
            await t.press("cancel")
            await t.back_to_idle()
        await menu(t, 7)
        await t.press(*SUPERVISOR, "enter")
        await t.when(lambda tree: "release.slips" in t.keys_shown(), "the question")
        assert "Give up 2" in t.text
        await t.press("enter")
        await t.until("idle")
        assert t.journal()[-3][1][records.K_CODE] == "slips_given_up"
        await t.power_off()
        await t.power_on()
        await t.pay("100", "no-cvm")
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_a_terminal_without_a_printer_is_asked_about_no_paper() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.board["printer"] = {**t.board["printer"], "driver": "no-such"}
        await t.power_on("result")
        await t.press("enter")
        await t.until("idle")
        await sell(t)
        await t.back_to_idle()
        await t.power_off()
        t.remove()
        await t.power_on()
        await asyncio.sleep(60)
        assert not shown(t, "idle.print_owed")
        assert not shown(t, "result.reversed"), "told once"
        assert not shown(t, "print.stage")

    tell(story)


def test_a_full_disk_names_the_debt_and_reverses_it_as_far_as_it_fits() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.disk.capacity = t.disk._used() + 10
        await t.power_on()
        assert "error.storage_full" in t.keys_shown()
        await t.when(lambda _: "idle.reversal_owed" in t.keys_shown(), "the debt beside it")
        await t.power_off()
        t.disk.capacity = t.disk._used() + 2_000
        await t.power_on("result")
        assert [state for _, _, state in t.books()] == ["reversed"]

    tell(story, answer_timeout_ms=3_000)


def test_the_menu_says_at_once_that_it_waits_for_the_acquirer() -> None:
    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0400", times=None)
        await owe(t)
        await t.power_on()
        for item in (2, 6):
            sent = len(t.messages("0400"))
            await t.when(lambda _, n=sent: len(t.messages("0400")) > n, "an attempt", 900)  # type: ignore[misc]
            await menu(t, item)
            await asyncio.sleep(1)
            assert t.screen["screen"] == "progress"
            await t.until("message")
            await t.press("enter")
            await t.until("idle")

    tell(story, answer_timeout_ms=10_000)
