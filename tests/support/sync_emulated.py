"""A shop's evening on the emulator: till emulate --state signed-in --command "python3 THIS DIR".

Pairs, takes payments, syncs them over a pulled cable, backs up, and restores on another PC, whose
sync then has nothing left to do. Prints what each command said; exits 0 when all went well.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.pair_emulated import LIMIT_S, begun, do, pair, till

WORD = "correct horse battery"


def pay(amount: str, pin: str = "1234") -> None:
    do(do="wait", screen="idle", seconds=60)
    do(do="press", keys=[*amount, "enter"])
    do(do="wait", screen="present_card", seconds=60)
    do(do="insert", card="approve")
    do(do="wait", screen="pin", seconds=60)
    do(do="press", keys=[*pin, "enter"])
    do(do="wait", screen="result", seconds=60)
    do(do="remove")
    do(do="press", keys=["enter"])
    do(do="wait", screen="idle", seconds=120)


def synced(*words: str, code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(till("sync", "--json", *words, code=code).splitlines()[0])
    return told


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "word").write_text(WORD + "\n")
    word = ["--passphrase-file", str(folder / "word")]
    till("sync", code=1)  # a stranger gets nothing
    pair("--role", "sync", "--role", "service")
    do(do="wait", screen="idle", seconds=60)
    first = synced()
    assert first["complete"] and first["new"] > 0 and first["alarms"] == [], first
    assert synced()["new"] == 0
    pay("1234")
    second = synced()
    assert second["new"] >= 5 and second["acknowledged"] == second["sequence"], second
    till("sync", "--language", "zh")

    watching = begun("sync", "--watch", "--json")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["complete"]
    do(do="switch", name="pc", value=False)
    pay("5000")
    do(do="switch", name="pc", value=True)
    new = 0
    while new < 5:
        line = watching.stdout.readline()
        print(line, flush=True)
        new += json.loads(line)["new"] if line.startswith("{") else 0
    watching.send_signal(signal.SIGINT)
    said, _ = watching.communicate(timeout=LIMIT_S)
    assert watching.returncode == 130 and "Traceback" not in said, said

    till("sync", "--rebuild")
    till("sync", "--alarms")
    out, other = str(folder / "shop.till"), f"sqlite:///{folder / 'other.sqlite'}"
    till("backup", "--out", out, *word)
    till("backup", "--check", out, *word)
    till("restore", out, *word, "--database", other)
    till("restore", out, *word, "--database", other, code=1)
    assert synced("--database", other)["new"] == 0
    told = till("report", "brand", "--test", "--from", "2020", "--to", "2099", "--json")
    assert '"net": 6234' in told, told  # both payments, approved
    ledger = str(folder / "terminal.ledger")
    till("backup", "--terminal", "auto", "--out", ledger, *word)
    till("backup", "--check", ledger, *word)
    till("restore", ledger, *word, code=2)
    said = till("restore", ledger, "--terminal", "auto", *word, code=1)  # it has payments
    assert "supervisor" not in said


if __name__ == "__main__":
    main()
