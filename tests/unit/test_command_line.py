"""How every ``till`` command ends: exit codes, one line of advice, streams that break."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import typer

from host_tools import board_file, board_rules, clauses
from host_tools.acquirer import enrol
from host_tools.command_line import command_app, guarded, run
from host_tools.commands import emulate
from host_tools.errors import UserError
from host_tools.till import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TILL = [sys.executable, "-m", "host_tools.till"]
LIMIT_S = 60
#: Commands that end by themselves, with output.
ENDING = (
    "decode tvr 0000048000",
    "decode --help",
    "emv replay docs/examples/recording.json",
    "emv oda --json docs/examples/oda.json",
    "encode 8583 {\"mti\":\"0800\",\"fields\":{}}",
    "board check",
    "--help",
)  # fmt: skip


def shell(command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["sh", "-c", command.replace("till ", " ".join(TILL) + " ")],
        cwd=ROOT, input=stdin, capture_output=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip


def till(*words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*TILL, *words], cwd=ROOT, input=stdin, capture_output=True, check=False, timeout=LIMIT_S
    )


def _subcommands(name: str) -> list[list[str]]:
    module = __import__(COMMANDS[name][0], fromlist=["app"])
    command = typer.main.get_command(module.app)
    inner = getattr(command, "commands", {})
    return [[name], *([name, sub] for sub in inner)]


@pytest.mark.parametrize(
    "words", [w for name in COMMANDS for w in _subcommands(name)], ids=" ".join
)
def test_help_is_plain_and_fits(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module = __import__(COMMANDS[words[0]][0], fromlist=["app"])
    command = typer.main.get_command(module.app)
    context = command.make_context(f"till {words[0]}", ["x"], resilient_parsing=True)
    if len(words) > 1:
        command = command.commands[words[1]]  # type: ignore[attr-defined]
        context = command.make_context(words[1], [], parent=context, resilient_parsing=True)
    context.terminal_width = 80
    text = command.get_help(context)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not re.search(r"`|\*\*|\[/|<bool>|completion|\\b|\x08", text)
    listed = [line for line in text.splitlines() if re.match(r"  (--|\S+ +--)", line)]
    assert listed or "--help" in text


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("decode", "give a command: tlv, 8583"),
        ("decode nothing", "No such command 'nothing'"),
        ("decode tlv", "give the input"),
        ("decode tlv --dialect unionpay 00", "No such option: --dialect"),
        ("decode 8583 --dialect foo 00", "only unionpay"),
        ("decode tlv 5A00 5A00", "unexpected extra argument"),
        ("emv replay", "give a file"),
        ("emv oda one two", "unexpected extra argument"),
        ("acquirer run --port 80000", "'--port'"),
        ("board build virtual", "Missing option '--out'"),
        ("emulate --seed many", "'--seed'"),
    ],
)
def test_a_wrong_command_line_exits_2_with_one_line(words: str, advice: str) -> None:
    done = till(*words.split())
    assert (done.returncode, done.stdout) == (2, b"")
    line = done.stderr.decode()
    assert line.count("\n") == 1 and advice in line
    assert re.search(r"\(see till [\w ]+ --help\)", line)


def test_errors_are_json_where_json_was_asked_for() -> None:
    for words, code in (
        ("decode tlv --json", 2),
        ("decode 8583 --lines --dialect foo", 2),
        ("emv oda --lines file", 2),
        ("emv replay --json", 2),
        ("emv replay --json docs", 1),
        ("acquirer ledger --json --state docs", 1),
    ):
        done = till(*words.split())
        assert (done.returncode, done.stderr) == (code, b"")
        document = json.loads(done.stdout)
        assert set(document) == {"error", "offset"} and document["error"]


@pytest.mark.parametrize("words", ENDING)
def test_streams_that_break_make_no_traceback(words: str) -> None:
    quoted = shlex.join(words.split())
    left = shell(f"till {quoted} | true")
    assert left.stderr == b""
    full = shell(f"till {quoted} > /dev/full")
    assert full.returncode == 1
    assert full.stderr.count(b"\n") == 1 and b"No space left" in full.stderr
    closed = shell(f"till {quoted} >&- <&-")
    assert (closed.returncode, closed.stderr) == (0, b"")


@pytest.mark.parametrize(
    "words",
    [
        "emv replay {}",
        "emv oda {}",
        "board check {}",
        "acquirer accounts --state {}",
        "board build virtual --out {}/x/board.py",
        "acquirer enrol --serial A --state /proc/none --out {}",
    ],
)
@pytest.mark.parametrize("what", ["missing", "folder", "binary"])
def test_files_that_cannot_be_used_are_named(words: str, what: str, tmp_path: Path) -> None:
    place = tmp_path / what
    if what == "folder":
        place.mkdir()
    elif what == "binary":
        place.write_bytes(bytes(range(256)))
    done = till(*words.format(place).split())
    assert done.returncode == 1
    assert done.stderr.startswith(b"till ") and b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("board check", "till board: no board file under {}"),
        ("board build virtual --out {}/board.py", "boards: none, for there is no board file"),
        ("doctor virtual", "boards: none, for there is no board file under {}"),
        ("acquirer enrol --serial A --out {0} --state {0}", "{}/test_keys.json: no published"),
        ("emv clauses", "{}/clauses.csv is not there: run this in OpenTill's source tree"),
    ],
)
def test_a_tree_without_its_data_is_named(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(board_rules, "BOARDS", tmp_path)
    monkeypatch.setattr(board_file, "BOARDS", tmp_path)
    monkeypatch.setattr(clauses, "TABLE", tmp_path / "clauses.csv")
    monkeypatch.setattr(
        enrol.TestKeys, "load", partial(enrol.TestKeys.load, tmp_path / "test_keys.json")
    )
    name, *rest = words.format(tmp_path).split()
    app = __import__(COMMANDS[name][0], fromlist=["app"]).app
    assert run(app, f"till {name}", rest) == 1
    errors = capsys.readouterr().err
    assert said.format(tmp_path) in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("around", "platform", "terminal", "opened"),
    [
        ({"DISPLAY": ":0"}, "linux", True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, True),
        ({}, "darwin", True, True),
        ({}, "linux", True, False),  # logged in from elsewhere
        ({"DISPLAY": ":0"}, "linux", False, False),  # a script reads what is printed
        ({}, "darwin", False, False),
    ],
)
def test_a_browser_is_opened_on_a_desktop_only(
    around: dict[str, str], platform: str, terminal: bool, opened: bool,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(emulate.webbrowser, "open", asked.append)
    emulate._announce("http://127.0.0.1:8000/", "/dev/pts/7")
    assert asked == ["http://127.0.0.1:8000/"] * opened
    assert "http://127.0.0.1:8000/" in capsys.readouterr().out


def test_ctrl_c_ends_quietly() -> None:
    process = subprocess.Popen(
        [*TILL, "decode", "tvr", "--lines"], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"0000000000\n")
    process.stdin.flush()
    assert process.stdout.readline()  # it has started
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, errors) == (130, b"")


def test_errors_of_every_kind_have_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> int:
        def work() -> None:
            raise error

        return guarded(work, "till x", [])

    assert fail(UserError("mend it")) == 1
    assert capsys.readouterr().err == "till x: mend it\n"
    assert fail(typer.Exit(7)) == 7
    assert fail(typer.Abort()) == fail(KeyboardInterrupt()) == 130
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())
    assert command_app("x").info.help == "x"


def test_version() -> None:
    assert re.fullmatch(rb"till \d+\.\d+\.\d+\n", till("--version").stdout)
