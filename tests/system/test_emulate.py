"""``till emulate`` and ``till demo`` as processes: states, endings, exit codes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TILL = [sys.executable, "-m", "host_tools.till"]
LIMIT_S = 90
SHOW = (
    "import os, urllib.request as u; "
    "print('STATE ' + u.urlopen(os.environ['OPENTILL_URL'] + 'state').read().decode())"
)
#: What a command that acts on the page's interface begins with.
DO = """
import json, os, urllib.request as u
url = os.environ['OPENTILL_URL']
def do(**wish):
    head = {'Content-Type': 'application/json'}
    made = u.Request(url + 'do', json.dumps(wish).encode(), head)
    return json.load(u.urlopen(made))
"""


def till(
    *words: str, cwd: Path | None = None, limit_s: int = LIMIT_S
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TILL, *words], cwd=cwd or ROOT, env=environment(), capture_output=True, text=True,
        timeout=limit_s, check=False,
    )  # fmt: skip


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run_command(
    code: str, *words: str, limit_s: int = LIMIT_S
) -> "subprocess.CompletedProcess[str]":
    command = shlex.join([sys.executable, "-c", code])
    return till("emulate", "--port", "0", "--command", command, *words, limit_s=limit_s)


def shown(*words: str) -> dict[str, Any]:
    """The state that a command finds."""
    ended = run_command(SHOW, *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    line = next(line for line in ended.stdout.splitlines() if line.startswith("STATE "))
    table: dict[str, Any] = json.loads(line[6:])
    return table


def keys(state: dict[str, Any]) -> set[str]:
    return {node["key"] for node in state["screen"]["nodes"] if node.get("key")}


@contextmanager
def served(*words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running ``till emulate`` and the address that it printed."""
    process = subprocess.Popen(
        [*TILL, "emulate", *words], cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                yield process, found.group()
                break
        else:
            raise AssertionError(f"no address: {process.communicate()}")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_fresh_is_a_terminal_that_nobody_has_set_up() -> None:
    assert "error.not_provisioned" in keys(shown("--state", "fresh"))


def test_ready_waits_for_an_amount() -> None:
    state = shown()
    assert "idle.prompt" in keys(state)
    assert state["ledger"] == []


def test_signed_in_has_keys_that_the_bank_knows_of(tmp_path: Path) -> None:
    assert "idle.prompt" in keys(shown("--state", "signed-in", "--data", str(tmp_path)))
    from host_tools.acquirer.place import Place

    place = Place.open(tmp_path / "bank", create=False)
    terminals = place.ledger.terminals()
    place.close()
    assert [row["signed_in"] for row in terminals] == [True]


def test_reversal_owed_owes_until_the_network_is_back() -> None:
    code = (
        DO + "first = json.load(u.urlopen(url + 'state'))\n"
        "shown = json.dumps(first['screen'])  # between two attempts, or in one\n"
        "assert 'idle.reversal_owed' in shown or 'idle.reversing' in shown, first\n"
        "assert first['ledger'][0]['state'] == 'approved' and not first['network'], first\n"
        "do(do='switch', name='network', value=True)\n"
        "told, hand = False, {'idle': '1', 'result': 'enter', 'amount': '1 enter'}\n"
        "while True:\n"
        "    last = json.load(u.urlopen(url + 'state'))\n"
        "    screen = last['screen']['screen']\n"
        "    told = told or 'charged.no' in json.dumps(last['screen'])\n"
        "    if screen == 'present_card':\n"
        "        break\n"
        "    if screen in hand:\n"
        "        do(do='press', keys=hand[screen].split())\n"
        "assert told and last['ledger'][0]['state'] == 'reversed', last\n"
    )
    ended = run_command(code, "--state", "reversal-owed")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_paper_out_has_no_paper() -> None:
    assert shown("--state", "paper-out")["paper"] is False


def test_clock_skewed_says_that_the_clock_is_wrong() -> None:
    assert "error.clock_wrong" in keys(shown("--state", "clock-skewed"))


def test_the_language_reaches_boot_and_idle() -> None:
    state = shown("--language", "zh", "--state", "fresh")
    texts = json.dumps(state["screen"], ensure_ascii=False)
    assert re.search(r"[\u4e00-\u9fff]", texts)
    assert not re.search(
        r"[\u4e00-\u9fff]", json.dumps(shown("--state", "fresh")["screen"], ensure_ascii=False)
    )


def test_the_address_joins_with_a_slash_or_without() -> None:
    code = (
        "import json, os, urllib.error, urllib.request as u\n"
        "url = os.environ['OPENTILL_URL']\n"
        "assert url.endswith('/'), url\n"
        "for path in ('state', '/state'):\n"
        "    assert 'screen' in json.load(u.urlopen(url + path))\n"
        "wish = json.dumps({'do': 'wait', 'screen': 'idol', 'seconds': 100}).encode()\n"
        "try:\n"
        "    u.urlopen(u.Request(url + '/do', wish, {'Content-Type': 'application/json'}))\n"
        "except urllib.error.HTTPError as refused:\n"
        "    said = json.load(refused)['error']\n"
        "    assert 'no screen' in said and 'present_card' in said, said\n"
        "else:\n"
        "    raise SystemExit('not refused')\n"
    )
    ended = run_command(code, "--state", "fresh")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_is_not_run_by_a_shell() -> None:
    command = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1:])"]) + " $HOME '*'"
    ended = till("emulate", "--port", "0", "--state", "fresh", "--command", command)
    assert ended.returncode == 0
    assert "['$HOME', '*']" in ended.stdout


@pytest.mark.parametrize("kind", ["masked", "full"])
def test_a_full_trace_is_for_who_asks(kind: str) -> None:
    code = (
        DO + "do(do='press', keys=['1', '00', 'enter'])\n"
        "do(do='wait', screen='present_card', seconds=60)\n"
        "do(do='insert', card='approve')\n"
        "do(do='wait', screen='pin', seconds=60)\n"
        "print('TRACE ' + json.dumps(u.urlopen(url + 'trace').read().decode()))\n"
    )
    ended = run_command(code, "--trace", kind)
    assert (ended.returncode, ended.stderr) == (0, "")
    line = next(line for line in ended.stdout.splitlines() if line.startswith("TRACE "))
    entries = [json.loads(one) for one in json.loads(line[6:]).splitlines()]
    assert {"apdu", "bit", "rule", "stage"} <= {entry["t"] for entry in entries}
    assert ("6299990000000000012" in json.dumps(entries)) is (kind == "full")


@pytest.mark.parametrize("code", [0, 7])
def test_the_commands_exit_code_is_passed_on(code: int) -> None:
    assert run_command(f"raise SystemExit({code})", "--state", "fresh").returncode == code


def test_a_command_that_a_signal_ended_or_that_is_none() -> None:
    ended = run_command("import os; os.kill(os.getpid(), 15)", "--state", "fresh")
    assert ended.returncode == 128 + 15
    ended = till("emulate", "--port", "0", "--state", "fresh", "--command", "no-such-command-x")
    assert ended.returncode == 127
    assert ended.stderr == "till emulate: no-such-command-x: no such command\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_and_says_so(number: int) -> None:
    with served("--port", "0") as (process, address):
        assert json.load(urllib.request.urlopen(address + "state"))["powered"]
        terminals = children(process.pid)
        assert len(terminals) == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert err == ""
    assert out.rstrip().endswith("Ending.")
    assert all(gone(pid) for pid in terminals)


def test_a_signal_while_it_starts_ends_it_as_well() -> None:
    process = subprocess.Popen(
        [*TILL, "emulate", "--port", "0"], cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert "Starting" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, err) == (0, "")


def test_the_terminal_does_not_outlive_a_killed_emulator() -> None:
    with served("--port", "0") as (process, _):
        terminals = children(process.pid)
        process.kill()
        process.wait()
        while not all(gone(pid) for pid in terminals):
            os.sched_yield()


def test_a_taken_port_is_passed_over() -> None:
    words = ("--port", "18370", "--state", "fresh")
    with served(*words) as (_, first), served(*words) as (_, second):
        assert first != second
        assert json.load(urllib.request.urlopen(second + "state"))["powered"]


def test_a_kept_folder_goes_on_where_it_ended(tmp_path: Path) -> None:
    pay = (
        DO + "do(do='press', keys=['1', '00', 'enter'])\n"
        "do(do='wait', screen='present_card', seconds=60)\n"
        "do(do='insert', card='approve')\n"
        "do(do='wait', screen='pin', seconds=60)\n"
        "do(do='press', keys=['1', '2', '3', '4', 'enter'])\n"
        "do(do='wait', screen='question', seconds=60)\n"
        "do(do='press', key='cancel')\n"
        "do(do='wait', screen='remove_card', seconds=60)\n"
        "do(do='remove')\n"
        "print('STATE ' + json.dumps(do(do='wait', screen='idle', seconds=60)))\n"
    )
    books = []
    for _ in range(2):
        ended = run_command(pay, "--data", str(tmp_path))
        assert (ended.returncode, ended.stderr) == (0, "")
        line = next(line for line in ended.stdout.splitlines() if line.startswith("STATE "))
        books.append([(row["stan"], row["state"]) for row in json.loads(line[6:])["ledger"]])
    assert len(books[0]) == 1 and len(books[1]) == 2
    assert books[1][0] == books[0][0]
    assert books[1][1][0] > books[1][0][0]  # the trace numbers went on
    memory = json.loads((tmp_path / "cards.json").read_text())
    assert memory["approve"]
    ended = till("emulate", "--data", str(tmp_path), "--state", "fresh", "--command", "true")
    assert ended.returncode == 1
    assert "needs an empty folder" in ended.stderr
    (tmp_path / "cards.json").write_text("[1")
    ended = till("emulate", "--data", str(tmp_path), "--command", "true")
    assert ended.returncode == 1
    assert "cards.json" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--port", "x"), 2),
        (("--port", "65536"), 2),
        (("--no-such",), 2),
        (("surplus",), 2),
        (("--state", "tired"), 1),
        (("--language", "fr"), 1),
        (("--trace", "all"), 1),
        (("--board", "nope"), 1),
        (("--board", "rpi-zero-2w"), 1),
        (("--command", "'"), 1),
        (("--data", "/proc/nothing"), 1),
    ],
)
def test_a_bad_argument_is_one_line(words: tuple[str, ...], code: int) -> None:
    ended = till("emulate", *words)
    assert ended.returncode == code
    assert ended.stderr.startswith("till emulate: ")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_the_demo_takes_a_sale_and_leaves_its_pictures(tmp_path: Path) -> None:
    ended = till("demo", "--out", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "The sale is approved, and the bank's ledger agrees." in ended.stdout
    for words in ("[iso] 0200 to bank", "9F26 Application Cryptogram", "CNY 12.34", "result"):
        assert words in ended.stdout
    assert "6299990000000000012" not in ended.stdout
    with Image.open(tmp_path / "receipt.png") as receipt:
        assert receipt.width >= 384 and receipt.height > 800
    assert len(list(tmp_path.glob("screen-*-pin.png"))) >= 2


@pytest.mark.parametrize("card", ["decline", "card-declines"])
def test_the_demo_fails_when_the_sale_is_not_approved(tmp_path: Path, card: str) -> None:
    ended = till("demo", "--out", str(tmp_path), "--card", card)
    assert ended.returncode == 1
    assert ended.stderr.startswith("till demo: ")
    assert ended.stderr.count("\n") == 1


def test_the_demo_names_a_card_that_there_is_not(tmp_path: Path) -> None:
    ended = till("demo", "--out", str(tmp_path), "--card", "gold")
    assert ended.returncode == 1
    first, *names = ended.stderr.splitlines()
    assert first.endswith("no card 'gold'; the deck has:")
    assert len(names) > 5 and all(len(line) <= 80 for line in names)
    assert "approve" in names[0].split() and "no-pse" in names[-1].split()
