"""What ``till demo`` complains of when the terminal and the bank do not agree."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from host_tools.command_line import run
from host_tools.commands import demo
from tests.device.stories import tell
from tests.support.handheld import Handheld


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("", ""),
        ("UPDATE transactions SET amount = 1235", "the bank booked 1235 minor units, not 1234"),
        ("UPDATE transactions SET state = 'reversed'", "0 approved payments of 1, not one"),
        ("DELETE FROM transactions", "0 approved payments of 0, not one"),
        ("UPDATE transactions SET auth_code = 'ZZZZZZ'", "the receipt does not show"),
        ("UPDATE transactions SET rrn = '999999999999'", "the receipt does not show"),
    ],
)
def test_a_ledger_that_disagrees_is_complained_of(change: str, said: str) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.pay(demo.AMOUNT, "approve")
        await t.back_to_idle()
        with t.acquirer.ledger.engine.begin() as books:
            if change:
                books.execute(text(change))
        machine: Any = SimpleNamespace(acquirer=t.acquirer, printed_stderr=[])
        complaint = demo._complaint(machine, t.paper)
        assert said in complaint and bool(said) == bool(complaint)

    tell(story)


def test_a_complaint_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def sold(*_: Any) -> str:
        return "the ledger disagrees"

    monkeypatch.setattr(demo, "_sale", sold)
    assert run(demo.app, "till demo", ["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "till demo: the ledger disagrees\n"
