"""A disk that fails once, at the worst write: no outcome is hidden by it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import main
from firmware.app import faults
from host_tools.emulator.chips.errors import ChipError
from tests.device.stories import owe, shown, tell
from tests.support.faulty_disk import KEPT, LOST
from tests.support.handheld import Handheld

JOURNAL, VAULT = ".seg", "vault.seq"
BOTH_FATES = pytest.mark.parametrize("fate", [LOST, KEPT], ids=["lost", "kept"])


def _kinds(t: Handheld) -> list[str]:
    return [kind for kind, _ in t.journal()]


def _fail(t: Handheld, what: str, where: str, after: str, times: int = 1) -> list[int]:
    """The next ``times`` of ``what`` on files ending in ``where`` fail once the last
    record is of the kind ``after``; what failed."""
    failed: list[int] = []

    def fault(doing: str, name: str) -> int:
        if len(failed) >= times or doing != what or not name.endswith(where):
            return 0
        if after not in _kinds(t)[-1:]:
            return 0
        failed.append(errno.EIO)
        return errno.EIO

    t.disk.fault = fault
    return failed


async def _ended(t: Handheld, limit_s: float = 60) -> BaseException | None:
    """Wait for the firmware's own end; what ended it."""
    assert t._task is not None
    await asyncio.wait([t._task], timeout=limit_s)
    assert t._task.done(), t.text
    return t._task.exception()


async def _ends_by_name(t: Handheld) -> None:
    """The terminal names its storage, says what to do and ends."""
    await t.when(lambda _: "error.journal_broken" in t.keys_shown(), "the last screen")
    assert "error.journal_broken.do" in t.keys_shown()
    assert t.rack.lamps.state()["error"]
    assert isinstance(await _ended(t), faults.JournalBroken)


async def _again(t: Handheld, fate: int, until: str = "idle") -> None:
    """Off, with everything unsynced lost or kept, and on again."""
    t.remove()
    await t.power_off(lambda disk: (fate,) * disk.pending)
    await t.power_on(until)


async def _settled(t: Handheld) -> None:
    """Answer what the terminal asks, with Enter, until nothing is left to tell."""
    for _ in range(20):
        await asyncio.sleep(10)
        if t.screen["screen"] != "idle":
            await t.press("enter")
    assert t.screen["screen"] == "idle", t.text


def _states(t: Handheld) -> list[str]:
    return [state for _, _, state in t.books()]


def _reversals_told(t: Handheld) -> tuple[int, int]:
    """(slips of a reversal, those among them marked as duplicates)"""
    return t.paper.count("NOT CHARGED"), _duplicates(t)


def _duplicates(t: Handheld) -> int:
    """Slips marked as duplicates, which they are above and below."""
    return t.paper.count("DUPLICATE") // 2


@pytest.mark.parametrize("kind", ["REQUEST", "COMMIT"])
def test_a_vault_that_misses_one_note_hides_no_approval(kind: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        failed = _fail(t, "fsync", VAULT, kind)
        await t.pay("1234", "no-cvm", "result", "message")
        assert failed and "result.approved" in t.keys_shown()
        await t.back_to_idle()
        t.remove()
        assert t.paper.count("CNY 12.34") == 2
        await t.pay("4200", "no-cvm")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        await _again(t, LOST)
        assert not t.keys_shown() & {"error.journal_confirm", "idle.print_owed"}
        assert _states(t) == ["approved", "approved"]

    tell(story)


def test_no_payment_begins_before_the_vault_knows_where_the_journal_stands() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.disk.fault = lambda what, name: (
            errno.EIO if VAULT in name and "COMMIT" in _kinds(t) else 0
        )
        await t.pay("1234", "no-cvm", "result", "message")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        t.remove()
        assert t.paper.count("CNY 12.34") == 2, "the payment that was is told to its end"
        await t.pay("4200", "no-cvm", "result", "message")
        assert "error.storage" in t.keys_shown()
        await t.back_to_idle()
        t.remove()
        assert len(t.messages("0200")) == 1
        t.disk.fault = lambda what, name: 0
        await t.pay("4200", "no-cvm", "result", "message")
        assert "result.approved" in t.keys_shown(), "it heals by itself"

    tell(story)


@BOTH_FATES
def test_a_commit_that_may_not_be_durable_is_unknown_until_the_restart_tells(fate: int) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        failed = _fail(t, "fsync", JOURNAL, "COMMIT")
        await t.pay("1234", "no-cvm", "result", "message")
        assert failed
        assert {"result.unknown", "unknown.restart", "unknown.restart.do"} <= t.keys_shown()
        await asyncio.sleep(120)
        assert "result.unknown" in t.keys_shown(), "it stands until somebody has seen it"
        await t.press("enter")
        await t.until("remove_card")
        t.remove()
        await _ends_by_name(t)
        assert not shown(t, "result.approved") and not t.paper
        await _again(t, fate, "")
        await _settled(t)
        if fate == KEPT:
            assert _states(t) == ["approved"]
            assert _duplicates(t) == 1 and "CNY 12.34" in t.paper
        else:
            assert _states(t) == ["reversed"] and shown(t, "result.reversed")
            assert _reversals_told(t) == (1, 0)

    tell(story)


@BOTH_FATES
def test_a_request_that_may_not_be_durable_is_not_sent(fate: int) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        failed = _fail(t, "fsync", JOURNAL, "REQUEST")
        await t.pay("1234", "no-cvm", "result", "message")
        assert failed and "error.storage" in t.keys_shown()
        await t.press("enter")
        await t.until("remove_card")
        t.remove()
        await _ends_by_name(t)
        await _again(t, fate, "")
        await _settled(t)
        assert t.messages("0200") == [] and len(t.messages("0400")) == (fate == KEPT)

    tell(story)


def test_an_answer_that_cannot_be_written_is_unknown_and_reversed_after_the_restart() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        _fail(t, "write", JOURNAL, "REQUEST")
        await t.pay("1234", "no-cvm", "result", "message")
        assert {"result.unknown", "unknown.restart"} <= t.keys_shown()
        await t.press("enter")
        await t.until("remove_card")
        t.remove()
        await _ends_by_name(t)
        await _again(t, LOST, "result")
        assert {"result.reversed", "charged.no"} <= t.keys_shown()
        await _settled(t)
        assert _states(t) == ["reversed"] and _reversals_told(t) == (1, 0)

    tell(story)


def test_a_full_disk_at_the_commit_is_unknown_and_reversed_in_this_life() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.disk.fault = lambda what, name: (
            errno.ENOSPC
            if what == "write" and name.endswith(JOURNAL) and _kinds(t)[-1] == "ANSWER"
            else 0
        )
        await t.pay("1234", "no-cvm", "result", "message")
        assert {"result.unknown", "unknown.hold"} <= t.keys_shown()
        t.disk.fault = lambda what, name: 0
        await t.when(lambda _: "result.reversed" in t.keys_shown(), "the reversal")
        assert _states(t) == ["reversed"]

    tell(story)


async def _reversal_in_a_sale(t: Handheld) -> None:
    await t.power_on()
    t.acquirer.rule("drop", mti="0200")
    _fail(t, "fsync", JOURNAL, "REVERSED")
    await t.pay("1234", "no-cvm", "result")
    await t.when(lambda _: "unknown.restart" in t.keys_shown(), "what nobody knows")
    assert "result.unknown" in t.keys_shown()
    await t.press("enter")
    await t.until("remove_card")
    t.remove()


async def _reversal_after_boot(t: Handheld) -> None:
    await owe(t)
    await t.power_on("")
    _fail(t, "fsync", JOURNAL, "REVERSED")


@BOTH_FATES
@pytest.mark.parametrize("happens", [_reversal_in_a_sale, _reversal_after_boot])
def test_a_reversal_that_may_not_be_durable_is_told_by_the_next_life_alone(
    happens: Callable[[Handheld], Awaitable[None]], fate: int
) -> None:
    async def story(t: Handheld) -> None:
        await happens(t)
        await _ends_by_name(t)
        assert not shown(t, "result.reversed") and "NOT CHARGED" not in t.paper
        await _again(t, fate, "")
        await _settled(t)
        assert shown(t, "result.reversed")
        # A record that survived is paper of an earlier life: it comes as a duplicate.
        assert _reversals_told(t) == (1, int(fate == KEPT))
        assert _states(t) == ["reversed"]

    tell(story)


def test_a_journal_that_breaks_beside_a_payment_ends_the_terminal_by_name() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        t.disk.fault = lambda what, name: errno.EIO if name.endswith(JOURNAL) else 0
        await t.pay("1234", "no-cvm", "message")
        assert "error.storage" in t.keys_shown()
        await _ends_by_name(t)
        await _again(t, LOST)
        await t.pay("1234", "no-cvm")
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_the_process_names_the_broken_journal_and_exits_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(given: dict[str, str]) -> None:
        raise faults.JournalBroken("journal: a sync failed")

    monkeypatch.setattr(main, "_run", broken)
    with pytest.raises(SystemExit) as ended:
        main.main(["--board", "b.py", "--data", "."])
    assert ended.value.code == main.JOURNAL
    assert capsys.readouterr().err == "till: journal: a sync failed\n"


def test_a_journal_that_never_opened_is_named_and_ends_nothing() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.power_off()
        t.disk.fault = lambda what, name: errno.EIO if name.endswith(JOURNAL) else 0
        await t.power_on()
        await asyncio.sleep(60)
        assert t.screen["screen"] == "idle" and "error.storage" in t.keys_shown()

    tell(story)


class _DeadPanel:
    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        raise ChipError("no acknowledge")


def test_a_panel_that_dies_in_printer_trouble_leaves_the_reversal_to_be_told() -> None:
    async def story(t: Handheld) -> None:
        await owe(t)
        t.rack.printer.paper_out = True
        await t.power_on("question")
        honest: Any = t.rack._seats["panel"]
        t.rack._seats["panel"] = _DeadPanel()
        await t.press("cancel")  # what follows cannot be drawn
        await asyncio.sleep(20)
        t.rack.printer.paper_out = False
        t.screens.clear()
        t.rack._seats["panel"] = honest
        await t.until("result")
        assert "result.reversed" in t.keys_shown()
        await _settled(t)
        assert _reversals_told(t) == (1, 0)

    tell(story)
