"""A ledger leaves one emulated terminal, or comes onto another:

till emulate --command "python3 THIS out|in FOLDER"
"""

import json
import sys
from pathlib import Path

from tests.support.pair_emulated import SUPERVISOR, do, pair, till


def _pay(amount: str) -> None:
    do(do="wait", screen="idle", seconds=60)
    do(do="press", keys=[*amount, "enter"])
    do(do="wait", screen="present_card", seconds=60)
    do(do="insert", card="no-cvm")
    do(do="wait", screen="result", seconds=60)
    do(do="remove")
    do(do="press", keys=["enter"])
    do(do="wait", screen="idle", seconds=120)


def main() -> None:
    way, folder = sys.argv[1], Path(sys.argv[2])
    file, word = str(folder / "old.ledger"), ["--passphrase-file", str(folder / "word")]
    (folder / "word").write_text("correct horse battery\n")
    pair("--role", "sync", "--role", "service")
    do(do="wait", screen="idle", seconds=60)
    if way == "out":
        _pay("1234")
        told = json.loads(till("backup", "--terminal", "auto", "--out", file, *word, "--json"))
        assert told["lines"] == 1 and told["totals"] == {"156": 1234} and told["open"] == []
        till("backup", "--check", file, *word, "--language", "zh")
        till("restore", file, "--terminal", "auto", *word, code=1)  # it has payments
        till("restore", file, *word, code=2)
        return
    status = json.loads(till("status", "--json"))
    assert status["totals"] == [], status
    till("restore", file, "--terminal", "auto", *word)
    status = json.loads(till("status", "--json"))
    assert status["totals"] == [["sale", 156, 1, 1234]], status
    assert status["blocked"] == ["error.journal_restored"], status
    do(do="press", keys=["menu"])
    do(do="wait", screen="menu", seconds=30)
    do(do="press", keys=["7"])
    do(do="wait", screen="secret", seconds=30)
    do(do="press", keys=[*SUPERVISOR, "enter"])
    do(do="wait", screen="idle", seconds=120)
    _pay("100")
    status = json.loads(till("status", "--json"))
    assert status["totals"] == [["sale", 156, 2, 1334]], status
    sync = json.loads(till("sync", "--json").splitlines()[0])
    assert sync["complete"] and sync["alarms"] == [], sync


if __name__ == "__main__":
    main()
