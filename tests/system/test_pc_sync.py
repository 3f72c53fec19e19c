"""Two real ends: the emulator's terminal, and ``till sync``, ``backup`` and ``restore``."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "tests" / "support" / "sync_emulated.py"
LIMIT_S = 240


def test_a_shop_syncs_backs_up_and_restores_on_another_pc(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(STORY), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-m", "host_tools.till", "emulate", "--port", "0", "--state", "signed-in",
         "--command", command],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENTILL_HOME": str(tmp_path / "home"),
             "OPENTILL_LANGUAGE": "en"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
