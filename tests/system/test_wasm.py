"""Codecs, crypto, kernel, host messages and journal under MicroPython's WebAssembly build.

That build has no asyncio.run (tests/support/wasm_asyncio.py stands in), no
cryptolib, no SHA-1 and no tls: the portable implementations take over.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "@micropython/micropython-webassembly-pyscript"
#: That build has no sockets.
NEEDS_SOCKETS = ("test_tcp_mpy",)
MODULES = sorted(
    f"tests.portable.{path.stem}"
    for path in (ROOT / "tests/portable").glob("test_*.py")
    if path.stem not in NEEDS_SOCKETS
)


def package_dir() -> Path:
    """The npm package, installed into the cache on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "wasm"
    folder = cache / "node_modules" / PACKAGE
    if not (folder / "micropython.mjs").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(cache),
                PACKAGE,
            ],
            check=True,
            timeout=300,
        )
    return folder


@pytest.mark.node
def test_portable_modules_run_in_the_webassembly_build() -> None:
    assert shutil.which("node"), "install node (18 or newer)"
    done = subprocess.run(
        [
            "node",
            str(ROOT / "tests/support/wasm_runner.mjs"),
            str(package_dir()),
            str(ROOT),
            *MODULES,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    assert last.endswith(", 0 failed") and not last.startswith("0 passed"), last
