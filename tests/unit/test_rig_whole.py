"""The whole rig: how tests are shared out, run at once, and made into one result."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.rig import __main__ as rig
from tests.rig import build, run, shares, slots
from tests.rig.shares import ARM64, LAST_ACT, UNKNOWN_S


def test_shares_are_about_equally_long() -> None:
    wanted = {"a": 90.0, "b": 80.0, "c": 40.0, "d": 30.0, "e": 20.0}
    assert shares.share_out(wanted, 2) == [["a", "d", "e"], ["b", "c"]]
    assert shares.share_out(wanted, 1) == [["a", "b", "c", "d", "e"]]


def test_each_file_and_the_last_act_run_once() -> None:
    for with_arm64 in (True, False):
        parts = shares.shares(2, with_arm64)
        assert sorted(file for part in parts for file in part.files) == shares.files()
        assert [part.last_act for part in parts].count(True) == 1


def test_a_guest_with_less_to_do_leaves_its_place_to_the_arm64_one() -> None:
    def took(part: shares.Share) -> float:
        known = {**dict.fromkeys(shares.files(), UNKNOWN_S), **shares.weighed()}
        return sum(known[file] for file in part.files) + known[LAST_ACT] * part.last_act

    less, more = sorted(map(took, shares.shares(2, arm64=True)))
    longest_test = max(seconds for name, seconds in shares.weighed().items() if name != ARM64)
    assert abs(less + shares.weighed()[ARM64] - more) < longest_test
    assert less < more


def test_what_was_weighed_is_there() -> None:
    """A file that went takes its weight along; a new one counts as the mean until it is weighed."""
    known = shares.weighed()
    assert set(known) - {ARM64, LAST_ACT} <= set(shares.files())
    assert {ARM64, LAST_ACT} <= set(known)


def _python(name: str, code: str, *arguments: str) -> slots.Job:
    return slots.Job(name, (sys.executable, "-c", code, *arguments))


def test_what_waits_begins_when_one_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The first ends only after the third began, and that one only after the second ended."""
    mark = str(tmp_path / "third")
    until = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    jobs = [
        _python("one", until, mark),
        _python("two", "import os, sys; sys.exit(3 if not os.path.exists(sys.argv[1]) else 4)",
                mark),
        _python("three", "import sys; print('here'); open(sys.argv[1], 'w')", mark),
    ]  # fmt: skip
    assert slots.run(jobs, 2) == [0, 3, 0]
    assert capfd.readouterr().out == "[three] here\n"


def test_no_program_is_left_behind_when_the_run_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(*_: object, **__: object) -> None:
        raise BrokenPipeError

    note = tmp_path / "pid"
    code = ("import os, sys, threading; open(sys.argv[1], 'w').write(str(os.getpid()));"
            "print('up', flush=True); threading.Event().wait(600)")  # fmt: skip
    monkeypatch.setattr("builtins.print", unheard)
    with pytest.raises(ExceptionGroup):
        slots.run([_python("guest", code, str(note)), _python("next", "")], 1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_run_that_is_stopped_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for why in (KeyboardInterrupt, asyncio.CancelledError):

        def whole(_: bool, why: type[BaseException] = why) -> int:
            raise why

        monkeypatch.setattr(rig, "whole", whole)
        monkeypatch.setattr(sys, "argv", ["rig"])
        assert rig.main() == 1
        assert capsys.readouterr().out == "rig: FAILED: stopped\n"


def test_the_guests_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, each in ((1, "1"), (2, "1"), (4, "2"), (64, "2")):
        monkeypatch.setattr(rig.os, "cpu_count", lambda processors=processors: processors)
        *guests, other = rig.plan(2, with_arm64=True)
        for job in guests:
            assert job.command[job.command.index("--cpus") + 1] == each
        assert other.name == ARM64
    assert [job.name for job in rig.plan(2, with_arm64=False)] == ["guest-1", "guest-2"]


def test_one_result_names_guest_and_test(tmp_path: Path) -> None:
    report = rig.Report()
    results = {
        "guest-1": {"wrong": "", "passed": ["a.one", "a.two"], "failed": [], "skipped": []},
        "guest-2": {"wrong": "pytest in the guest ended with 1", "passed": [],
                    "failed": ["b.one"], "skipped": ["b.two: no module"]},
        ARM64: {"wrong": "", "took_s": 32},
    }  # fmt: skip
    for name, result in results.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(result))
        report.add(name, int(bool(result["wrong"])), tmp_path / name)
    assert report.passed == ["[guest-1] a.one", "[guest-1] a.two", f"[arm64] {rig.ARM64_TEST}"]
    assert not report.good
    assert report.lines([("a.py one", 12.4)], 200.4) == [
        "12 s: a.py one",
        "skipped [guest-2] b.two: no module",
        "FAILED: [guest-2] b.one",
        "FAILED: [guest-2] pytest in the guest ended with 1",
        "3 passed, 1 failed, 1 skipped; 200 s in all",
    ]


@pytest.mark.parametrize(
    ("result", "status", "said"),
    [
        (None, -9, "[guest-1] ended with -9 and left no result"),
        ({"wrong": "", "passed": ["a.one"]}, 1, "[guest-1] ended with 1"),
        ({"wrong": "the guest hangs"}, 1, "[guest-1] the guest hangs"),
    ],
)
def test_a_guest_that_did_not_end_well_is_no_success(
    result: dict[str, object] | None, status: int, said: str, tmp_path: Path
) -> None:
    if result is not None:
        (tmp_path / "result.json").write_text(json.dumps(result))
    report = rig.Report(passed=["[guest-2] a.two"])
    report.add("guest-1", status, tmp_path)
    assert report.wrong == [said] and not report.good


def test_an_arm64_screen_that_differs_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"wrong": "another picture"}')
    report = rig.Report()
    report.add(ARM64, 1, tmp_path)
    assert report.failed == [f"[arm64] {rig.ARM64_TEST}"]
    assert report.wrong == ["[arm64] another picture"]


def test_nothing_that_ran_is_no_success() -> None:
    assert not rig.Report().good


def test_times_are_those_of_the_files(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuite><testcase classname="tests.rig.guest.test_a" name="one" time="1.5"/>'
        '<testcase classname="tests.rig.guest.test_a" name="two" time="2"/></testsuite>'
    )
    assert rig.times([junit]) == {"test_a.py": {"one": 1.5, "two": 2.0}}


def test_weights_are_kept_as_they_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "weights.json"
    table.write_text('{"arm64": 5, "last act": 22, "test_gone.py": 3}')
    monkeypatch.setattr(shares, "WEIGHTS", table)
    monkeypatch.setattr(run, "OUT", tmp_path)
    rig.keep({"test_a.py": {"one": 1.5, "two": 2.04}}, with_arm64=False)
    assert shares.weighed() == {"arm64": 5, "last act": 22, "test_a.py": 3.5}
    (tmp_path / "arm64").mkdir()
    (tmp_path / "arm64/result.json").write_text('{"took_s": 31.96}')
    rig.keep({"test_b.py": {"one": 1}}, with_arm64=True)
    assert shares.weighed() == {"arm64": 32.0, "last act": 22, "test_b.py": 1}


def test_where_no_guest_can_be_had_the_rig_is_skipped_if_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    for arguments, status, said in (
        (["--if-possible"], 0, "rig: skipped: the rig's guest is built on Linux on x86-64 only\n"),
        ([], 1, "rig: FAILED: the rig's guest is built on Linux on x86-64 only\n"),
    ):
        monkeypatch.setattr(sys, "argv", ["rig", *arguments])
        assert rig.main() == status
        assert capsys.readouterr().out == said


def test_anything_else_goes_to_one_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def one_guest(arguments: list[str]) -> int:
        given.append(arguments)
        return 0

    monkeypatch.setattr(run, "main", one_guest)
    monkeypatch.setattr(sys, "argv", ["rig", "-k", "printer", "--limit", "900"])
    assert rig.main() == 0 and given == [["-k", "printer", "--limit", "900"]]
