"""The whole rig: ``make rig``.

    python -m tests.rig                    all tests, shared out among guests, and the arm64 guest
    python -m tests.rig --if-possible      where no guest can be had: says why, and ends with 0
    python -m tests.rig --weigh            keeps what each file took (tests/rig/weights.json)
    python -m tests.rig -k printer -x      anything else: in one guest (tests/rig/run.py)

Two guests run at once, where this machine has as many processors, and the arm64 guest in the
place of the one that ends first. Leaves result.json in build/rig, and in a folder there for
each guest what that one left. Ends with 0 when all passed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.rig import build, run, shares, slots
from tests.rig.arm64 import build as arm64
from tests.rig.shares import ARM64

GUESTS = 2
#: Tests that are told with their times.
SLOWEST = 8
ARM64_TEST = "tests.rig.arm64: the idle screen is the emulator's"


@dataclass
class Report:
    """Tests by outcome, each after the guest it ran in; what else was wrong with a guest."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Something ran, and nothing failed."""
        return bool(self.passed) and not self.failed and not self.wrong

    def add(self, name: str, status: int, folder: Path) -> None:
        """What the guest ``name`` left in ``folder``; ``status``: its program's."""
        try:
            result = json.loads((folder / "result.json").read_text())
        except FileNotFoundError:
            self.wrong.append(f"[{name}] ended with {status} and left no result")
            return
        if name == ARM64:
            result = {"failed" if result["wrong"] else "passed": [ARM64_TEST], **result}
        for outcome in ("passed", "failed", "skipped"):
            told: list[str] = getattr(self, outcome)
            told += [f"[{name}] {test}" for test in result.get(outcome, [])]
        if result["wrong"]:
            self.wrong.append(f"[{name}] {result['wrong']}")
        elif status:
            self.wrong.append(f"[{name}] ended with {status}")

    def lines(self, slowest: Sequence[tuple[str, float]], took_s: float) -> list[str]:
        """For people, the failures next to the end."""
        told = [f"{seconds:.0f} s: {name}" for name, seconds in slowest[:SLOWEST]]
        told += [f"skipped {one}" for one in self.skipped]
        told += [f"FAILED: {one}" for one in (*self.failed, *self.wrong)]
        outcomes = ("passed", "failed", "skipped")
        counts = ", ".join(f"{len(getattr(self, one))} {one}" for one in outcomes)
        return [*told, f"{counts}; {took_s:.0f} s in all"]


def times(junits: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Seconds of each test by the name of its file."""
    found: dict[str, dict[str, float]] = {}
    for junit in junits:
        for case in ElementTree.parse(junit).iter("testcase"):
            file = f"{case.get('classname', '').rpartition('.')[2]}.py"
            found.setdefault(file, {})[str(case.get("name"))] = float(case.get("time", "0"))
    return found


def plan(guests: int, with_arm64: bool) -> list[slots.Job]:
    """The programs, in the order in which they begin."""
    cpus = max(1, (os.cpu_count() or 1) // guests)
    jobs = []
    for number, share in enumerate(shares.shares(guests, with_arm64), 1):
        name = f"guest-{number}"
        command = [sys.executable, "-m", "tests.rig.run", "--out", name,
                   "--cpus", str(min(cpus, run.CPUS))]  # fmt: skip
        command += ["--last-act"] if share.last_act else []
        command += [f"{run.GUEST_TESTS}/{file}" for file in share.files]
        jobs.append(slots.Job(name, tuple(command)))
    if with_arm64:
        jobs.append(slots.Job(ARM64, (sys.executable, "-m", "tests.rig.arm64")))
    return jobs


def keep(found: dict[str, dict[str, float]], with_arm64: bool) -> None:
    """Write the table of weights anew. What is no file of tests keeps its weight, but for an
    arm64 guest that ran."""
    sums = {file: round(sum(tests.values()), 1) for file, tests in found.items()}
    others = {name: shares.weighed()[name] for name in (ARM64, shares.LAST_ACT)}
    if with_arm64:
        others[ARM64] = round(
            json.loads((run.OUT / ARM64 / "result.json").read_text())["took_s"], 1
        )
    text = json.dumps({**others, **sums}, indent=1, sort_keys=True)
    shares.WEIGHTS.write_text(text + "\n", encoding="ascii")


def whole(weigh: bool) -> int:
    """Every test; the exit status. CannotBuild when there is no x86-64 guest."""
    began = time.monotonic()
    build.RECIPE.prepare()
    report = Report()
    try:
        arm64.RECIPE.prepare()
        with_arm64 = True
    except build.CannotBuild as error:
        report.skipped.append(f"[{ARM64}] {ARM64_TEST}: {error}")
        with_arm64 = False
    guests = min(GUESTS, os.cpu_count() or 1)
    jobs = plan(guests, with_arm64)
    for old in (*run.OUT.glob("guest-*"), run.OUT / ARM64):
        shutil.rmtree(old, ignore_errors=True)
    statuses = slots.run(jobs, guests)
    for job, status in zip(jobs, statuses, strict=True):
        report.add(job.name, status, run.OUT / job.name)
    took_s = time.monotonic() - began
    found = times(sorted(run.OUT.glob("guest-*/junit.xml")))
    slowest = [(f"{file} {name}", seconds) for file, tests in found.items()
               for name, seconds in tests.items()]  # fmt: skip
    slowest.sort(key=lambda one: -one[1])
    result = {
        "wrong": report.wrong, "took_s": round(took_s, 1), "passed": report.passed,
        "failed": report.failed, "skipped": report.skipped,
    }  # fmt: skip
    run.OUT.mkdir(parents=True, exist_ok=True)
    (run.OUT / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    for line in report.lines(slowest, took_s):
        print(f"rig: {line}")
    if weigh and report.good:
        keep(found, with_arm64)
    return 0 if report.good else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rig", description=__doc__)
    parser.add_argument("--if-possible", action="store_true", help="no guest is no failure")
    parser.add_argument("--weigh", action="store_true", help="keep what each file took")
    asked, rest = parser.parse_known_args()
    if rest:
        return run.main(rest)
    try:
        return whole(asked.weigh)
    except build.CannotBuild as error:
        print(f"rig: {'skipped' if asked.if_possible else 'FAILED'}: {error}")
        return 0 if asked.if_possible else 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("rig: FAILED: stopped")
        return 1


if __name__ == "__main__":
    sys.exit(main())
