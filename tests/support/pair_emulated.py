"""A day with a PC on the emulator: till emulate --state signed-in --command "python3 THIS".

Pairs by the terminal's keys and the six digits of its screen, as two people would, then asks
with each command. Prints what each said; exits 0 when all went well.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import Any

LIMIT_S = 120
SUPERVISOR = "123456"


def do(**wish: Any) -> Any:
    """Ask the emulator's page for one action; the state after it."""
    request = urllib.request.Request(
        os.environ["OPENTILL_URL"] + "do",
        json.dumps(wish).encode(),
        {"Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))


def till(*words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "host_tools.till", *words],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    print("$ till", *words, flush=True)
    print(done.stdout + done.stderr, flush=True)
    assert done.returncode == code, done.returncode
    return done.stdout


def begun(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "host_tools.till", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def pair(*words: str) -> None:
    """The merchant opens the pairing and agrees; the code goes from one screen to the other."""
    do(do="wait", screen="idle", seconds=60)
    do(do="press", keys=["menu"])
    do(do="wait", screen="menu", seconds=60)
    do(do="press", keys=["up", "enter", "enter"])  # the PC's page is the last of the menu
    do(do="wait", screen="secret", seconds=30)
    do(do="press", keys=[*SUPERVISOR, "enter"])
    do(do="wait", screen="pair_wait", seconds=30)
    pairing = begun("pair", "--code", *words)
    do(do="wait", screen="pair_asks", seconds=60)
    do(do="press", keys=["enter"])
    do(do="wait", screen="pair_roles", seconds=30)
    do(do="press", keys=["enter"])
    state = do(do="wait", screen="pair_code", seconds=60)
    shown = "".join(node.get("text", "") for node in state["screen"]["nodes"])
    code = "".join(char for char in shown if char.isdigit())[:6]
    said, _ = pairing.communicate(code + "\n", timeout=LIMIT_S)
    print(said, flush=True)
    assert pairing.returncode == 0, pairing.returncode
    do(do="wait", screen="pair_done", seconds=30)
    do(do="press", keys=["enter", "cancel", "cancel"])


def test_sale() -> None:
    """A payment to practise, with a card; the bank books nothing."""
    before = do(do="wait", screen="idle", seconds=60)["ledger"]
    trying = begun("test-sale", "1234")
    do(do="wait", screen="present_card", seconds=60)
    do(do="insert", card="approve")
    said, _ = trying.communicate(timeout=LIMIT_S)
    print(said, flush=True)
    assert trying.returncode == 0 and "No money moved" in said, said
    do(do="remove")
    assert do(do="wait", screen="idle", seconds=60)["ledger"] == before


def watch() -> None:
    """Follows the screen over a pulled cable and a power cut until Ctrl-C."""
    watching = begun("watch", "--topic", "screen", "--json")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["tree"]["screen"] == "idle"
    do(do="switch", name="pc", value=False)
    assert "waiting for the cable" in watching.stdout.readline()
    do(do="press", keys=["menu"])
    do(do="wait", screen="menu", seconds=30)
    do(do="switch", name="pc", value=True)
    assert "Connected again" in watching.stdout.readline()
    assert json.loads(watching.stdout.readline())["tree"]["screen"] == "menu"
    do(do="power_cut")
    do(do="power_on")
    do(do="wait", screen="idle", seconds=90)
    shown = []
    while "idle" not in shown:
        line = watching.stdout.readline()
        assert line, shown
        shown.append(json.loads(line)["tree"]["screen"] if line[0] == "{" else line.strip())
    assert "Connected anew." in shown, shown
    watching.send_signal(signal.SIGINT)
    said, _ = watching.communicate(timeout=LIMIT_S)
    assert watching.returncode == 130 and "Traceback" not in said, (watching.returncode, said)


def main() -> None:
    till("status", code=1)
    pair("--role", "sync", "--role", "service", "--role", "register")
    do(do="wait", screen="idle", seconds=60)
    status = json.loads(till("status", "--json"))
    assert status["state"] == "ready" and status["roles"] == ["sync", "register", "service"]
    till("status", "--language", "zh")
    assert "idle" in till("screen")
    till("log")
    till("config", "get")
    till("doctor")
    till("devices", "--no-network")
    told = json.loads(till("support-bundle", "--json", "--out", sys.argv[1]))
    assert told["incident"]
    test_sale()
    watch()
    do(do="switch", name="pc", value=False)
    till("status", code=1)
    do(do="switch", name="pc", value=True)
    till("status")
    till("unpair", "--list")
    till("unpair", "--json")
    till("status", code=1)


if __name__ == "__main__":
    main()
