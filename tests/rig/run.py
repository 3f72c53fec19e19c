"""Boot one guest of the rig once and run tests/rig/guest in it.

    python -m tests.rig.run                      all tests, and the last act
    python -m tests.rig.run -k printer -x        arguments go to pytest in the guest
    python -m tests.rig.run tests/rig/guest/test_i2c.py
    python -m tests.rig.run --limit 3600 -m soak     the storms of re-plugs
    python -m tests.rig.run --shell              a shell in the guest instead

Leaves console.txt, junit.xml, result.json and the daemons' logs in build/rig, or in a folder
there that ``--out`` names. Ends with 0 only when the guest said so itself: a guest that hangs,
panics or says nothing for too long has failed. ``make rig`` shares the tests out among several
of these (tests/rig/__main__.py).
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.rig import build

OUT = build.ROOT / "build" / "rig"
#: The first process of the guest.
INIT = Path(__file__).with_name("init")
#: All of it, and between two lines of the console, by the host's clock.
LIMIT_S, SILENCE_S = 600, 150
#: A guest under KVM that has not greeted by then never will.
PROBE_S = 20
MEMORY_MIB = 1024
#: Processors of a guest that runs alone.
CPUS = 2
KERNEL = (
    "console=ttyS0 quiet panic=1 oops=panic mitigations=off no_timer_check sysrq_always_enabled"
)
#: To QEMU's console: a break on the serial line, and the kernel's request to show blocked tasks.
ASK_BLOCKED = b"\x01bw"
GUEST_TESTS = "tests/rig/guest"
#: The storms run when they are asked for: -m soak.
NO_SOAK = ["-m", "not soak"]
UP = "rig: the guest is up"
HANGS = "the guest hangs"
RESET = "softdog: Initiating system reboot"
WATCHDOG = "the guest's own watchdog"
PANIC = re.compile(r"Kernel panic - not syncing: .*")


@dataclass
class Boot:
    """What came of one start of the guest."""

    lines: list[str] = field(default_factory=list)
    #: Seconds until the guest was up, None if it never was.
    up_s: float | None = None
    took_s: float = 0
    #: Why it was ended from outside or by itself, "" for a proper end.
    trouble: str = ""


def command(
    guest: build.Guest,
    first: Path,
    shared: Path,
    accelerator: str,
    more: str,
    patient: bool = False,
    cpus: int = CPUS,
) -> list[str]:
    """QEMU's command line; the disk is written to a snapshot that is thrown away.

    ``cpus``: how many processors it has. ``patient``: the guest's clock counts what its one
    processor did, two nanoseconds an instruction, so that a machine that is busy otherwise
    makes no time-outs in it.
    """
    host_cpu = accelerator == "kvm"
    counted = patient and not host_cpu
    return [
        build.RECIPE.emulator[0],
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", accelerator if host_cpu else f"tcg,thread={'single' if counted else 'multi'}",
        *(["-icount", "shift=1,sleep=on"] if counted else []),
        "-cpu", "host" if host_cpu else "max,la57=off", "-smp", "1" if counted else str(cpus),
        "-m", str(MEMORY_MIB),
        "-kernel", str(guest.kernel), "-initrd", str(first), "-append", f"{KERNEL} {more}",
        "-drive", f"file={guest.disk},format=raw,if=virtio,snapshot=on",
        "-device", "virtio-rng-pci",
        # A cable that ends in QEMU: nothing of this machine's network is behind it.
        "-netdev", "user,id=lan,restrict=on",
        "-device", "virtio-net-pci,netdev=lan,romfile=",
        "-virtfs", f"local,path={build.ROOT},mount_tag=till,security_model=none,readonly=on,"
                   "multidevs=remap",
        "-virtfs", f"local,path={shared},mount_tag=out,security_model=none,multidevs=remap",
        "-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console",
        "-mon", "chardev=console",
    ]  # fmt: skip


def watch(process: subprocess.Popen[bytes], limit_s: float, silence_s: float, show: bool) -> Boot:
    """Follow the console until the guest ends or one of the two times is over."""
    boot = Boot()
    # A guest that never stops talking waits for us, not the other way round.
    lines: queue.Queue[str | None] = queue.Queue(1000)

    def read() -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            lines.put(raw.decode(errors="replace").rstrip())
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began = time.monotonic()
    try:
        _follow(boot, lines, limit_s, silence_s, show)
        if boot.trouble.startswith(HANGS) and process.stdin is not None:
            process.stdin.write(ASK_BLOCKED)
            process.stdin.flush()
            _follow(boot, lines, min(20, silence_s), min(5, silence_s), show)
    finally:  # also when somebody stops us: no guest is left behind
        process.kill()
        process.wait()
        _drain(reader, lines)
    boot.took_s = time.monotonic() - began
    return boot


def _drain(reader: threading.Thread, lines: queue.Queue[str | None]) -> None:
    """Let the reader of a guest that is gone come to its end."""
    deadline = time.monotonic() + 5
    while reader.is_alive() and time.monotonic() < deadline:
        while not lines.empty():
            lines.get_nowait()
        reader.join(0.05)


def _follow(
    boot: Boot, lines: queue.Queue[str | None], limit_s: float, silence_s: float, show: bool
) -> None:
    began = time.monotonic()
    while True:
        left = began + limit_s - time.monotonic()
        if left <= 0:
            boot.trouble = boot.trouble or f"the guest did not end within {limit_s:.0f} s"
            return
        try:
            line = lines.get(timeout=min(left, silence_s))
        except queue.Empty:
            if left > silence_s:
                boot.trouble = boot.trouble or f"{HANGS}: nothing said for {silence_s:.0f} s"
                return
            continue
        if line is None:
            return
        boot.lines.append(line)
        if show:
            print(line, flush=True)
        if line == UP:
            boot.up_s = time.monotonic() - began
        panic = PANIC.search(line)
        if panic and not boot.trouble:
            boot.trouble = panic.group()


def kvm_works(guest: build.Guest, first: Path, shared: Path) -> bool:
    """Whether a guest under KVM greets in time; asked once for each start of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    known = build.CACHE / f"kvm-{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    if not known.exists():
        probe = command(guest, first, shared, "kvm", "rig.probe")
        with subprocess.Popen(
            probe, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            boot = watch(process, PROBE_S, PROBE_S, show=False)
        known.write_text("yes" if "rig: alive" in boot.lines else "no")
    return known.read_text() == "yes"


def tests_of(junit: Path) -> dict[str, list[str]]:
    """Names of tests by outcome; those skipped with their reason."""
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    if not junit.exists():
        return found
    for case in ElementTree.parse(junit).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            found["failed"].append(name)
        elif skipped is not None:
            found["skipped"].append(f"{name}: {skipped.get('message')}")
        else:
            found["passed"].append(name)
    return found


def judge(boot: Boot, shared: Path) -> str:
    """What is wrong with a run, "" if nothing is."""
    status = shared / "status"
    if boot.trouble:
        return boot.trouble
    if boot.up_s is None:
        return "the guest did not start"
    if not status.exists():
        return "the guest ended before its tests did"
    said = status.read_text().strip()
    return "" if said == "0" else f"pytest in the guest ended with {said}"


def watchdog(boot: Boot, shared: Path) -> tuple[str, str]:
    """Outcome and name of the last act (tests/rig/watchdog.py)."""
    note = shared / "watchdog"
    said = note.read_text() if note.exists() else "it did not run"
    if said.startswith("skipped"):
        return "skipped", f"{WATCHDOG}: {said.removeprefix('skipped: ')}"
    if said == "fed" and any(RESET in line for line in boot.lines):
        return "passed", WATCHDOG
    return "failed", f"{WATCHDOG}: {said}, and then no reset" if said == "fed" else said


def _job(what: str, arguments: list[str], last_act: bool) -> str:
    return (
        f"RIG_DO={what}\nRIG_ARGS={shlex.quote(shlex.join(arguments))}\n"
        f"RIG_WATCHDOG={'yes' if last_act else 'no'}\n"
    )


def run(arguments: list[str], asked: argparse.Namespace) -> int:
    """Build if need be, boot, test, report; the exit status. ``arguments``: of pytest in the
    guest; ``asked``: those of ``main``."""
    out, limit_s, patient = OUT / asked.out, asked.limit, asked.patient
    began = time.monotonic()
    guest = build.RECIPE.prepare()
    built_s = time.monotonic() - began
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="opentill-rig-") as name:
        shared = Path(name)
        first = shared / "initramfs"
        first.write_bytes(guest.first(INIT))
        accelerator = "kvm" if kvm_works(guest, first, shared) else "tcg"
        chosen = [one for one in arguments if one.startswith(GUEST_TESTS)]
        pytest_arguments = [
            *([] if chosen else [GUEST_TESTS]), *([] if "-m" in arguments else NO_SOAK),
            "-v", "--color=no", "-p", "no:cacheprovider", "--junitxml=/out/junit.xml",
            "--durations=12",
            *arguments,
        ]  # fmt: skip
        last_act = asked.last_act or not arguments  # a chosen test needs no reset
        job = _job("shell" if asked.shell else "tests", pytest_arguments, last_act)
        (shared / "job").write_text(job)
        print(f"rig: booting under {accelerator}", flush=True)
        start = command(guest, first, shared, accelerator, "", patient, asked.cpus)
        if asked.shell:
            return subprocess.call(start)
        with subprocess.Popen(
            start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            boot = watch(process, limit_s, limit_s / 2 if patient else SILENCE_S, show=True)
        wrong = judge(boot, shared)
        tests = tests_of(shared / "junit.xml")
        if last_act and not wrong:
            outcome, what = watchdog(boot, shared)
            tests[outcome].append(what)
            wrong = what if outcome == "failed" else ""
        (out / "console.txt").write_text("\n".join(boot.lines) + "\n")
        for old in out.glob("*.log"):
            old.unlink()
        for kept in [*shared.glob("*.log"), *shared.glob("junit.xml")]:
            shutil.copyfile(kept, out / kept.name)
    result = {
        "wrong": wrong, "accelerator": accelerator, "built_s": round(built_s, 1),
        "up_s": boot.up_s and round(boot.up_s, 1), "took_s": round(boot.took_s, 1), **tests,
    }  # fmt: skip
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    for skipped in tests["skipped"]:
        print(f"rig: skipped {skipped}")
    counts = ", ".join(f"{len(names)} {outcome}" for outcome, names in tests.items())
    print(f"rig: {counts}; up after {result['up_s']} s, {result['took_s']} s in all, {accelerator}")
    if wrong:
        print(f"rig: FAILED: {wrong}")
    return 1 if wrong else 0


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rig.run", description=__doc__)
    parser.add_argument("--shell", action="store_true", help="a shell in the guest, no tests")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for all of it")
    parser.add_argument(
        "--patient", action="store_true",
        help="for a busy machine: the guest's clock counts its instructions",
    )  # fmt: skip
    parser.add_argument("--cpus", type=int, default=CPUS, help="processors of the guest")
    parser.add_argument("--out", default="", help="folder under build/rig for what it leaves")
    parser.add_argument(
        "--last-act", action="store_true", help="starve the watchdog though tests were chosen"
    )
    asked, rest = parser.parse_known_args(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return run(rest, asked)
    except build.CannotBuild as error:
        print(f"rig: FAILED: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
