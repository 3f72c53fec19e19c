"""``make rig`` as one test: drivers against real kernels in QEMU (docs/rig.md)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.rig import build, run

pytestmark = pytest.mark.rig


def _result(*arguments: str) -> dict[str, list[str]]:
    """The rig's own result; what it skipped is told with its reason."""
    command = [sys.executable, "-m", "tests.rig", *arguments]
    done = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    result: dict[str, list[str]] = json.loads((run.OUT / "result.json").read_text())
    for skipped in result["skipped"]:
        print(f"skipped in the guest: {skipped}")
    assert result["passed"] and not result["failed"]
    return result


@pytest.fixture(scope="module")
def _guest() -> None:
    """Build it if it is not cached; skip with the reason where that cannot be."""
    try:
        build.RECIPE.prepare()
    except build.CannotBuild as error:
        pytest.skip(f"no guest for the rig: {error}")


@pytest.mark.usefixtures("_guest")
def test_the_rig() -> None:
    """Every test in the guests passes."""
    _result()


@pytest.mark.soak
@pytest.mark.usefixtures("_guest")
def test_storms_of_replugs() -> None:
    """PC link, printer and scanner pulled out at any moment and plugged in again."""
    assert len(_result("--limit", "3600", "-m", "soak")["passed"]) == 3
