"""Counters of wear and of starts: counted by the devices, kept by the journal."""

import asyncio

import pytest

from firmware.app.menu import ITEMS
from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal import records as r
from firmware.payment.journal.fold import State
from firmware.payment.journal.journal import Journal
from firmware.services import counters
from tests.device.stories import menu, sell, tell
from tests.support.handheld import Handheld
from tests.support.vault_parts import SeededEntropy

#: The supervisor's code of a test bundle.
SUPERVISOR = "123456"


async def _folded(t: Handheld) -> State:
    """The state that a start would fold from the disk; the power is off."""
    files = t.disk.files()
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    journal = Journal(files, vault)
    assert (await journal.open()).trading == "ok"
    return journal.state


def _counted(t: Handheld) -> list[dict[int, int]]:
    return [body[r.K_COUNTS] for kind, body in t.journal() if kind == "COUNTERS"]


def _paper_mm(t: Handheld) -> int:
    return len(t.rack.printer.paper.rows) // 8


async def _one(t: Handheld, amount: str = "1234") -> None:
    """A sale with the cardholder's copy, and the card out."""
    await sell(t, amount)
    await t.back_to_idle()


def test_a_payment_carries_what_was_counted_before_it() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await _one(t)
        first = _paper_mm(t)
        assert _counted(t) == [{r.C_INSERTS: 1}]
        await _one(t, "55")
        (_, second) = _counted(t)
        assert second[r.C_INSERTS] == 2 and abs(second[r.C_PAPER] - first) <= first // 50
        await t.power_off()
        state = await _folded(t)
        assert state.counters == {**second, r.C_BOOTS: 1}
        await t.power_on()
        await _one(t)
        (_, _, third) = _counted(t)
        # What the last payment printed was only in RAM when the power went.
        assert third[r.C_INSERTS] == 3 and r.C_PAPER not in third
        await _one(t)
        assert _counted(t)[-1][r.C_PAPER] > second[r.C_PAPER]

    tell(story)


def test_counting_costs_a_payment_one_record_and_no_barrier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(self: counters.Counters) -> None:
        """Count nothing."""

    async def story(t: Handheld) -> None:
        spent = []
        for counting in (True, False):
            await t.power_on()
            await _one(t)
            if not counting:
                monkeypatch.setattr(counters.Counters, "keep", nothing)
            before, records = t.disk.barriers, len(t.journal())
            await _one(t)
            spent.append((t.disk.barriers - before, len(t.journal()) - records))
            await t.power_off()
        assert spent[0] == (spent[1][0], spent[1][1] + 1)

    tell(story)


def test_a_power_cut_loses_little_and_nothing_goes_back() -> None:
    async def story(t: Handheld) -> None:
        last: dict[int, int] = {}
        for _ in range(3):
            await t.power_on()
            await _one(t)
            await t.power_off()
            state = await _folded(t)
            for number, total in last.items():
                assert state.counters[number] >= total
            last = dict(state.counters)
        assert (last[r.C_BOOTS], last[r.C_INSERTS]) == (3, 3)
        assert counters.cut_off(state, False) == 3 and counters.cut_off(state, True) == 2

    tell(story)


def test_an_end_in_order_is_told() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await _one(t)
        assert t._task is not None
        t._task.cancel()  # as SIGINT does
        await asyncio.wait([t._task])
        assert t.journal()[-1] == ("ENDED", {r.K_CODE: "stopped"})
        assert abs(_counted(t)[-1][r.C_PAPER] - _paper_mm(t)) <= _paper_mm(t) // 50
        await t.power_off()
        assert counters.cut_off(await _folded(t), False) == 0
        await t.power_on()
        await t.power_off()
        assert counters.cut_off(await _folded(t), False) == 1

    tell(story)


def test_the_day_s_end_writes_what_the_last_payment_left() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await _one(t)
        paper = _paper_mm(t)
        await menu(t, 6)
        await t.until("message")
        assert abs(_counted(t)[-1][r.C_PAPER] - paper) <= paper // 50

    tell(story)


async def _counters_page(t: Handheld) -> None:
    await t.press("menu")
    await t.until("menu")
    await t.press(*["down"] * ITEMS.index("menu.counters"), "enter")
    await t.until("info")


async def _pages(t: Handheld) -> str:
    """Every line of the page that is shown, scrolled to its end."""
    words = t.text
    for _ in counters.NAMES:
        await t.press("down")
        words += t.text
    return words


def test_the_page_shows_and_prints_them() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await _one(t)
        await _one(t)
        paper = _paper_mm(t)
        await _counters_page(t)
        words = await _pages(t)
        for word in ("Inserted", "2", "Starts", "Low voltage", f"{paper // 1000}.", " m"):
            assert word in words, word
        before = len(t.paper)
        await t.press("enter")
        await t.until("printing")
        await t.until("idle")
        slip = t.paper[before:]
        for word in ("COUNTERS", "计数单", "Inserted 插卡", "Power lost 断电", "VT000001", "TEST"):
            assert word in slip, word

    tell(story)


def test_what_this_board_cannot_know_is_a_dash() -> None:
    async def story(t: Handheld) -> None:
        for kind in ("power", "stripe"):
            del t.board[kind]
        await t.power_on()
        await _counters_page(t)
        (lines,) = [node for node in t.screen["nodes"] if node["name"] == "lines"]
        told = dict(lines["items"])
        assert told["Low voltage"] == told["Swiped"] == told["Cuts"] == "-"
        assert told["Power lost"] == "0" and told["Starts"] == "1"

    tell(story)


def test_a_part_that_is_due_is_told_until_a_supervisor_notes_its_service() -> None:
    async def story(t: Handheld) -> None:
        t.board["maintenance"] = {"inserts": 2, "paper_m": 0}
        await t.power_on()
        await _one(t)
        assert "service.inserts" not in t.keys_shown()
        await _one(t)
        assert {"service.inserts", "service.inserts.do"} <= t.keys_shown()
        await _one(t)  # it keeps nobody from paying
        await menu(t, 5)
        await t.until("self_test")
        assert "Service" in await _pages(t)
        await t.press("cancel")
        await t.until("idle")
        await _counters_page(t)
        await t.press("cancel")
        await t.until("question")
        assert "service.inserts" in t.keys_shown()
        await t.press("cancel")
        await t.until("idle")
        assert "service.inserts" in t.keys_shown()
        await _note_service(t)
        (served,) = [body for kind, body in t.journal() if kind == "SERVICED"]
        assert served[r.K_WHO] == "supervisor" and served[r.K_COUNTS] == {r.C_INSERTS: 3}
        await t.until("idle")
        assert "service.inserts" not in t.keys_shown()
        await t.power_off()
        await t.power_on()
        assert "service.inserts" not in t.keys_shown()
        await _one(t)
        await _one(t)
        assert "service.inserts" in t.keys_shown()
        state = t.journal()
        assert [body[r.K_COUNTS][r.C_INSERTS] for k, body in state if k == "COUNTERS"][-1] == 5

    tell(story)


async def _note_service(t: Handheld) -> None:
    await _counters_page(t)
    await t.press("cancel")
    await t.until("question")
    await t.press("enter")
    await t.until("secret")
    await t.press(*SUPERVISOR, "enter")
    await t.until("message")
    assert "service.noted" in t.keys_shown()
    await t.press("enter")
