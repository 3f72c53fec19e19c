"""What no code foresaw, and a panel that dies: nothing ends without a word."""

import asyncio

import pytest

from firmware import main
from firmware.app import menu
from firmware.hal.display import DisplayError
from firmware.services.host_session import HostSession
from host_tools.emulator.chips.errors import ChipError
from tests.device.stories import shown, tell
from tests.support.handheld import Handheld


class _DeadPanel:
    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        raise ChipError("no acknowledge")


def _dead_panel(t: Handheld) -> object:
    """Take the panel off its bus; what was there."""
    honest = t.rack._seats["panel"]
    t.rack._seats["panel"] = _DeadPanel()
    return honest


async def _ended(t: Handheld, limit_s: float) -> BaseException | None:
    """Wait for the firmware's own end; what ended it."""
    assert t._task is not None
    await asyncio.wait([t._task], timeout=limit_s)
    assert t._task.done(), t.text
    return t._task.exception()


def test_a_defect_in_a_flow_ends_with_a_screen_and_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(t: object) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setitem(menu._ACTIONS, "menu.about", broken)

    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("menu")
        await t.until("menu")
        await t.press("8")
        await t.until("message")
        assert {"error.crash", "error.crash.do"} <= t.keys_shown()
        assert t.rack.lamps.state()["error"]
        assert isinstance(await _ended(t, 30), KeyError)

    tell(story)


def test_the_process_reports_a_defect_and_exits_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "4761" * 4  # what an error carries may be anybody's

    def broken(given: dict[str, str]) -> None:
        raise KeyError(words)

    monkeypatch.setattr(main, "_run", broken)
    with pytest.raises(SystemExit) as ended:
        main.main(["--board", "b.py", "--data", "."])
    assert ended.value.code == main.DEFECT
    told = capsys.readouterr().err
    assert told.startswith("till: terminal: defect ")
    assert "in broken" in told and words not in told


def test_a_background_task_that_fails_is_noted_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = HostSession.retry_debts
    failures = [IndexError("once")]

    async def flaky(self: HostSession) -> None:
        if failures:
            raise failures.pop()
        await honest(self)

    monkeypatch.setattr(HostSession, "retry_debts", flaky)

    async def story(t: Handheld) -> None:
        t.acquirer.rule("drop", mti="0200")
        await t.power_on()
        await t.pay("1234", "no-cvm", "progress")
        await t.when(lambda tree: bool(t.books()), "the bank to book")
        await t.power_off()
        t.remove()
        failures.append(IndexError("again"))
        await t.power_on(
            "result",
        )
        assert "result.reversed" in t.keys_shown()
        assert [body[36] for kind, body in t.journal() if kind == "NOTICE"] == ["defect", "defect"]

    tell(story)
    assert "IndexError" in capsys.readouterr().err


def test_a_background_task_that_always_fails_ends_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(self: HostSession) -> None:
        raise IndexError("always")

    monkeypatch.setattr(HostSession, "retry_debts", broken)

    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.pay("1234", "no-cvm")
        assert "result.approved" in t.keys_shown(), "a sale does not need it"
        await t.back_to_idle()
        assert isinstance(await _ended(t, 120), IndexError)
        assert shown(t, "error.crash")

    tell(story)


@pytest.mark.parametrize("when", ["progress", "result"])
def test_a_panel_that_dies_in_a_payment_stops_nothing_that_was_sent(
    when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.pay("1234", "no-cvm", when)
        if when == "progress":
            await t.when(lambda tree: bool(t.messages("0200")), "the request to leave")
        honest = _dead_panel(t)
        await asyncio.sleep(20)
        t.remove()
        await asyncio.sleep(40)
        assert [row[1:] for row in t.books()] == [(1234, "approved")]
        assert t.paper.count("CNY 12.34") == 2, "paper needs no panel"
        assert t.rack.lamps.state()["error"]
        t.rack._seats["panel"] = honest
        await t.until("idle")
        await asyncio.sleep(60)
        assert "idle.prompt" in t.keys_shown()
        assert not t.rack.lamps.state()["error"]

    tell(story)
    assert "till: display: " in capsys.readouterr().err


def test_a_panel_that_dies_before_the_request_aborts_the_payment() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press(*"1234")
        honest = _dead_panel(t)
        await t.press("5", "enter")
        t.insert("no-cvm")
        await asyncio.sleep(20)
        assert t.books() == []
        t.rack._seats["panel"] = honest
        t.remove()
        await asyncio.sleep(90)
        await t.until("idle")
        assert t.books() == []

    tell(story)


def test_a_panel_that_stays_dead_ends_the_terminal_by_name() -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        _dead_panel(t)
        assert isinstance(await _ended(t, 200), DisplayError)

    tell(story)
