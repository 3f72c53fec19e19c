"""The portable part of the firmware under real MicroPython (Debian trixie's unix port)."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    f"tests.portable.{path.stem}" for path in (ROOT / "tests/portable").glob("test_*.py")
)


def unpacked(arch: str) -> str:
    """Path of the interpreter, unpacked into the cache on first use."""
    made = subprocess.run(
        ["bash", str(ROOT / "tests/support/micropython.sh"), arch],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.mark.micropython
@pytest.mark.parametrize("arch", ["amd64", "i386"])
@pytest.mark.parametrize("module", MODULES)
def test_portable_tests_pass_under_micropython(arch: str, module: str) -> None:
    done = subprocess.run(
        [unpacked(arch), "-X", "heapsize=32M", "tests/support/mpy_runner.py", str(ROOT), module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "MICROPYPATH": ".frozen:" + str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    assert last.endswith(", 0 failed") and not last.startswith("0 passed"), last
