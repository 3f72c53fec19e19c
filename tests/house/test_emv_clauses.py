"""docs/emv-clauses.csv: every branch of the kernel is a row, every row has a test."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from host_tools import clauses
from host_tools.commands.emv import app


def test_every_clause_has_tests_that_exist() -> None:
    rows = clauses.read()
    assert len(rows) > 150
    assert [row.tag for row in clauses.untested(rows)] == []
    assert clauses.missing_tests(rows) == []


def test_every_tag_in_the_kernel_is_a_row() -> None:
    tags = {row.tag for row in clauses.read()}
    code = clauses.tags_in_code()
    assert len(code) > 100
    missing = [
        tag for tag in code if tag not in tags and not any(t.startswith(tag + " ") for t in tags)
    ]
    assert missing == []


def test_the_command_names_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "clauses.csv"
    head = "book,clause,letter,paraphrase,tests,note\n"
    monkeypatch.setattr(clauses, "TABLE", table)
    monkeypatch.setattr(clauses.read, "__defaults__", (table,))
    runner = CliRunner()
    table.write_text(head + "B3,10.1,a,one,,\n", encoding="utf-8")
    result = runner.invoke(app, ["clauses"])
    assert result.exit_code == 0 and "B3 10.1 a" in result.stdout
    table.write_text(head + "B3,10.1,a,one,unit/none.py::test_x,\n", encoding="utf-8")
    assert runner.invoke(app, ["clauses", "--json"]).exit_code == 1
    for bad in (
        "book\n",
        head + "B3,1,a\n",
        head + "B3,1,a,x,,,,\n",
        head + "B3,1,a,x,,\nB3,1,a,y,,\n",
    ):
        table.write_text(bad, encoding="utf-8")
        assert runner.invoke(app, ["clauses"]).exit_code == 1
    table.unlink()
    assert runner.invoke(app, ["clauses", "--json"]).exit_code == 1
