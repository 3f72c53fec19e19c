"""One start of the arm64 guest, and what came of it."""

from __future__ import annotations

import compileall
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from py_compile import PycInvalidationMode

from host_tools import board_file
from tests.rig import build, cpio
from tests.rig.arm64 import board
from tests.rig.arm64.build import RECIPE
from tests.rig.run import watch
from tests.support import virtual_time
from tests.support.handheld import BANK_HOST, NOW, Handheld

OUT = build.ROOT / "build" / "rig" / "arm64"
#: The first process of the guest.
INIT = Path(__file__).with_name("init")
#: All of it, and between two lines of the console, by the host's clock.
LIMIT_S, SILENCE_S = 900, 450
#: The mini UART, as on the board; the other one is Bluetooth's.
KERNEL = "console=ttyS1,115200 quiet panic=1 oops=panic"
#: What of the source tree goes into the guest.
SOURCES = ("firmware", "host_tools", "boards", "tests/__init__.py", "tests/rig/__init__.py",
           "tests/rig/arm64", "tests/rig/guest")  # fmt: skip


@dataclass
class Result:
    """``wrong``: what is, "" if nothing is. Times in seconds."""

    wrong: str = ""
    #: By the host: QEMU's start until the guest's own system is up, and all.
    up_s: float | None = None
    took_s: float = 0
    #: From power-on, by the guest's clock: each thing reached.
    reached: list[tuple[float, str]] = field(default_factory=list)
    #: By the guest's clock: the terminal's start until its idle screen; a Python that does nothing.
    start_s: float | None = None
    python_s: float | None = None
    frame: str = ""
    #: Pins of the header that are driven high.
    high: list[int] = field(default_factory=list)


@dataclass
class Expected:
    """What a virtual handheld shows, and what a terminal needs to show the same."""

    frame: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)


def expected() -> Expected:
    """The idle screen of the virtual board with the same panel."""
    found = Expected()

    async def story() -> None:
        handheld = Handheld(board.VIRTUAL, provisioned=False)
        serial = handheld.board["serial"]
        bundle, factory = handheld.acquirer.enrol(serial, languages=("en", "zh"), host=BANK_HOST)
        found.files = {"bundle.cbor": bundle, "factory.cbor": factory}
        for name, content in found.files.items():
            handheld.put(name, content)
        await handheld.power_on()
        found.frame = handheld.rack.display.frame()
        await handheld.power_off()

    virtual_time.run(story())
    compiled = board_file.compiled(board.table(), "0.1.0", NOW - 86_400)
    found.files["board.py"] = board_file.module_text(compiled).encode()
    return found


def _sources(given: dict[str, bytes]) -> bytes:
    """The source tree as an archive, compiled ahead of time as on a terminal."""
    with tempfile.TemporaryDirectory(prefix="opentill-arm64-") as name:
        tree = Path(name)
        for part in SOURCES:
            source, target = build.ROOT / part, tree / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
        compileall.compile_dir(
            str(tree), quiet=2, stripdir=str(tree), prependdir="/till",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
        files = {f"till/given/{name}": content for name, content in given.items()}
        paths = sorted(tree.rglob("*"))
        folders = ["till", "till/given"]
        folders += [f"till/{path.relative_to(tree)}" for path in paths if path.is_dir()]
        for path in paths:
            if path.is_file():
                files[f"till/{path.relative_to(tree)}"] = path.read_bytes()
        return cpio.archive(files, {"till/tests/rig/arm64/guest_init"}, folders)


def command(guest: build.Guest, first: Path) -> list[str]:
    """QEMU's command line; what is written to the SD card is thrown away.

    The guest's clock counts instructions, two nanoseconds each: a machine that is busy
    otherwise makes no time-outs in it, and its times are the same on every machine.
    """
    return [
        RECIPE.emulator[0], "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-M", "raspi3b", "-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on",
        "-kernel", str(guest.kernel), "-dtb", str(guest.device_tree), "-initrd", str(first),
        "-append", KERNEL, "-drive", f"file={guest.disk},format=raw,if=sd,snapshot=on",
        "-serial", "null", "-chardev", "stdio,id=console,mux=on,signal=off",
        "-serial", "chardev:console", "-mon", "chardev=console",
    ]  # fmt: skip


def boot(limit_s: float = LIMIT_S) -> Result:
    """Build if need be, boot, compare. CannotBuild."""
    wanted = expected()
    guest = RECIPE.prepare()
    with tempfile.TemporaryDirectory(prefix="opentill-rig-") as name:
        first = Path(name) / "initramfs"
        first.write_bytes(guest.first(INIT) + _sources(wanted.files))
        with subprocess.Popen(
            command(guest, first), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            seen = watch(process, limit_s, SILENCE_S, show=True)
    result = read(seen.lines)
    result.up_s, result.took_s = seen.up_s, seen.took_s
    result.wrong = seen.trouble or judge(result, wanted.frame)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "console.txt").write_text("\n".join(seen.lines) + "\n")
    (OUT / "result.json").write_text(json.dumps(asdict(result), indent=1) + "\n")
    return result


def read(lines: list[str]) -> Result:
    """What the guest said."""
    result = Result()
    for line in lines:
        if found := re.fullmatch(r"rig: at ([0-9.]+) s: (.+)", line):
            result.reached.append((float(found[1]), found[2]))
        elif found := re.fullmatch(r"rig: start to idle: ([0-9.]+) s", line):
            result.start_s = float(found[1])
        elif found := re.fullmatch(r"rig: python3 -c pass: ([0-9.]+) s", line):
            result.python_s = float(found[1])
        elif found := re.fullmatch(r"rig: panel: ([0-9a-f]+)", line):
            result.frame += found[1]
        elif found := re.fullmatch(r"rig: pin high: ([0-9]+)", line):
            result.high.append(int(found[1]))
    return result


def judge(result: Result, wanted: bytes) -> str:
    """What is wrong with a guest that ended by itself, "" if nothing is."""
    if result.up_s is None:
        return "the guest did not start"
    if not result.frame:
        return "the idle screen was not reached"
    frame = bytes.fromhex(result.frame)
    if frame != wanted:
        return "the panel shows another picture than the emulator's"
    lamp = board.table()["indicators"]["ready"]
    if result.high != [lamp]:
        return f"of the header's pins {result.high} are high instead of {lamp}"
    return ""


def _rows(frame: bytes) -> Iterator[str]:
    """A picture of 128 columns as text, "#" for light."""
    for y in range(len(frame) // 128 * 8):
        page = frame[y // 8 * 128 : y // 8 * 128 + 128]
        yield "".join("#" if byte >> y % 8 & 1 else "." for byte in page)


def told(result: Result) -> list[str]:
    """The result for people."""
    lines = [f"power on to {what}: {at:.1f} s" for at, what in result.reached]
    if result.start_s is not None and result.python_s is not None:
        lines.append(f"start to idle {result.start_s} s, python3 -c pass {result.python_s} s")
    if result.wrong:
        lines += list(_rows(bytes.fromhex(result.frame)))
        lines.append(f"FAILED: {result.wrong}")
    else:
        lines.append("the idle screen is the emulator's, pixel by pixel")
    return [*lines, f"{result.took_s:.0f} s in all by this machine's clock"]
