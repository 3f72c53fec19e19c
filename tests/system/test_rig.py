"""``make rig`` as one test: drivers against a real kernel in QEMU (docs/rig.md)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.rig import build, run

pytestmark = pytest.mark.rig


def test_the_rig() -> None:
    """Every test in the guest passes; what it skipped is told with its reason."""
    if build.why_not():
        pytest.skip(build.why_not())
    done = subprocess.run(
        [sys.executable, "-m", "tests.rig.run"], cwd=build.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    result = json.loads((run.OUT / "result.json").read_text())
    for skipped in result["skipped"]:
        print(f"skipped in the guest: {skipped}")
    assert result["passed"] and not result["failed"]
