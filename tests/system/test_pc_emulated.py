"""Two real ends: ``till emulate``'s terminal, and ``till`` on the PC that pairs with it."""

import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "tests" / "support" / "pair_emulated.py"
LIMIT_S = 240


@pytest.mark.parametrize("pipe", [[], ["--pc-port", "0"]], ids=["pty", "tcp"])
def test_pairs_and_asks_with_every_command(pipe: list[str], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    command = shlex.join([sys.executable, str(STORY), str(bundle)])
    done = subprocess.run(
        [sys.executable, "-m", "host_tools.till", "emulate", "--port", "0", "--state", "signed-in",
         *pipe, "--command", command],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENTILL_HOME": str(tmp_path / "home"),
             "OPENTILL_LANGUAGE": "en"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(bundle) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert "VT000001" in whole and "problem" not in whole, whole
