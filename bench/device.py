"""The device process, measured from outside: what the kernel says of it.

The process is ``python -m firmware.main`` as ``till emulate`` runs it; chips,
cards, paper and bank live in this process and are not counted.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from host_tools.emulator import scripted
from host_tools.emulator.machine import Machine, running

Row = tuple[str, float, float, str, float, str]


def cpu_ms(pid: int) -> float:
    """CPU of all threads so far, ms: nanoseconds of the scheduler, not clock ticks.

    A thread that has ended is missed; the device's threads live as long as it does.
    """
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


def resident_mb(pid: int) -> float:
    """Resident memory, millions of bytes, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("bench: the kernel does not tell VmRSS")


def process_id(machine: Machine) -> int:
    """Of the device."""
    if machine.process_id is None:
        raise SystemExit("bench: the device is off")
    return machine.process_id


@contextlib.asynccontextmanager
async def off(interpreter: Sequence[str] = (sys.executable,)) -> AsyncIterator[Machine]:
    """A provisioned machine with bank and chips ready, the device still off."""
    with tempfile.TemporaryDirectory(prefix="opentill-bench-") as folder:
        machine = Machine(Path(folder), interpreter=interpreter)
        scripted.before_power(machine, "ready")
        async with running(machine, start=False):
            await machine.open()
            yield machine
        if machine.printed_stderr:
            raise SystemExit("bench: the device complained: " + machine.printed_stderr[0])


async def start(machine: Machine) -> float:
    """Power on; seconds from before exec until the idle screen is up."""
    machine.rack.debug.tree = None
    shown: list[float] = []

    def hear(tree: dict[str, object]) -> None:
        if tree.get("screen") == "idle" and not shown:
            shown.append(time.perf_counter())

    machine.rack.debug.on_tree.append(hear)
    begin = time.perf_counter()
    await machine.power_on()
    await machine.screen("idle", timeout_s=20)
    machine.rack.debug.on_tree.remove(hear)
    return shown[0] - begin


async def sale(machine: Machine, amount: str = "1234", card: str = "approve") -> None:
    """One sale from the first key to the idle screen, card taken out. SystemExit
    unless the bank has booked it."""
    before = len(machine.acquirer.transactions())
    tree = await scripted.pay(machine, amount, card, ("question", "message", "idle"))
    if tree["screen"] == "question":
        await machine.press("enter")
        await machine.screen("remove_card", timeout_s=20)
        machine.remove()
    await machine.screen("idle", timeout_s=20)
    booked = machine.acquirer.transactions()
    if len(booked) != before + 1 or booked[-1]["state"] != "approved":
        raise SystemExit("bench: the sale was not approved")
