"""The device process alone: from exec to the idle screen, and resident memory.

Start: from just before the process is made until it tells its idle screen,
after splash, the self-test of every device, recovery and key check; nothing
is subtracted. The first start of all is left out: it may compile the sources.
Memory: VmRSS of the idle device, shared pages included.
"""

import asyncio
import statistics
import subprocess
import sys
import time

from bench import device
from bench.device import Row
from host_tools.emulator.machine import ROOT

#: Packages below this share of all imports' time are summed up as the rest.
LEAST_SHARE = 0.02
#: The list of tried imports also has those that the device did without.
_MEMORY = """
import sys
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError:
        pass
print(open("/proc/self/status").read())
"""


def _bare() -> tuple[float, float]:
    """(seconds to start and end, RSS in MB) of an interpreter that does nothing."""
    spent = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", ""], check=True)
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent), _with([])


def _with(modules: list[str]) -> float:
    """RSS in MB of a fresh interpreter that has imported ``modules``."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, *modules],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("bench: the kernel does not tell VmRSS")


async def _starts(count: int) -> tuple[float, float]:
    """(median seconds to idle, median RSS in MB after a second of idling)."""
    seconds, memory = [], []
    async with device.off() as machine:
        await device.start(machine)
        await machine.power_cut()
        for _ in range(count):
            seconds.append(await device.start(machine))
            await asyncio.sleep(1)
            memory.append(device.resident_mb(device.process_id(machine)))
            await machine.power_cut()
    return statistics.median(seconds), statistics.median(memory)


async def _imports() -> dict[str, tuple[float, list[str]]]:
    """Package: (ms of its own modules, modules in order) as the device imports them."""
    async with device.off() as machine:
        machine.interpreter = (sys.executable, "-X", "importtime")
        await device.start(machine)
        await machine.power_cut()
        lines, machine.printed_stderr = machine.printed_stderr, []
    found: dict[str, tuple[float, list[str]]] = {}
    for line in lines:
        own, _, name = line.removeprefix("import time:").split("|")
        if not own.strip().isdigit():
            continue
        package = name.strip().split(".")[0]
        spent, modules = found.get(package, (0.0, []))
        found[package] = (spent + int(own) / 1000, [*modules, name.strip()])
    return found


def rows(quick: bool = False) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim); ``quick``: one start."""
    bare_s, bare_mb = _bare()
    seconds, memory = asyncio.run(_starts(1 if quick else 7))
    out: list[Row] = [
        ("process start to idle screen (peer: python -c '')", seconds, bare_s, "s",
         seconds / bare_s, "under 0.5 s"),
        ("resident memory, idle (peer: python -c '')", memory, bare_mb, "MB", memory / bare_mb,
         "under 45 MB"),
    ]  # fmt: skip
    packages = asyncio.run(_imports())
    total = sum(spent for spent, _ in packages.values())
    rest = 0.0
    for package in sorted(packages, key=lambda name: -packages[name][0]):
        spent, modules = packages[package]
        if spent < LEAST_SHARE * total:
            rest += spent
            continue
        name = f"import {package}, {len(modules)} modules"
        out.append((f"{name}: time (peer: all imports)", spent, total, "ms", spent / total, "-"))
        if package != "site":
            grown = _with([one for one in modules if one != "firmware.main"]) - bare_mb
            out.append(
                (f"{name}: memory with all they need (peer: idle)", grown, memory, "MB",
                 grown / memory, "-")
            )  # fmt: skip
    out.append(("import of the rest: time (peer: all imports)", rest, total, "ms",
                rest / total, "-"))  # fmt: skip
    return out


if __name__ == "__main__":
    for row in rows():
        print(row)
