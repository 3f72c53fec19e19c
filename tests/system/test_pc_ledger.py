"""``till backup`` of one terminal and ``till restore`` onto another, both emulated."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "tests" / "support" / "ledger_emulated.py"
LIMIT_S = 240


def _emulated(way: str, folder: Path) -> None:
    """Each terminal with a PC of its own: both have the serial number of the board."""
    command = shlex.join([sys.executable, str(STORY), way, str(folder)])
    done = subprocess.run(
        [sys.executable, "-m", "host_tools.till", "emulate", "--port", "0", "--state", "signed-in",
         "--command", command],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENTILL_HOME": str(folder / way),
             "OPENTILL_LANGUAGE": "en"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_ledger_moves_from_one_terminal_to_another(tmp_path: Path) -> None:
    _emulated("out", tmp_path)
    _emulated("in", tmp_path)
