"""A register's request until the card prompt stands on the terminal.

Over a pseudo-terminal: a paired PC and the emulator's terminal, two processes, by the wall
clock, from the request on the PC until the emulator's page, asked over HTTP, has the prompt.
The first of a terminal's life imports the flow and is a row of its own.

On the virtual clock, whose time moves only when nothing can run: its milliseconds are the
terminal's own waits on the way, CPU is all that the process spent, the emulated chips and the
picture on the panel among it; the link is not in it.

Each payment is taken back at the prompt; that, and the way back to the idle screen, are not
counted.
"""

import asyncio
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.run import Row
from tests.device.stories import sell
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.till import Till

DAY = Path(__file__).resolve().parent / "register_day.py"
#: As shops want it: the prompt is there when the cashier looks up.
AIM_MS = 50
AIM = f"under {AIM_MS} ms"


async def _prompts(count: int) -> tuple[list[float], list[float]]:
    """(virtual ms, CPU ms) of each request; the first, with its imports, apart."""
    t = Handheld()
    till = Till(t)
    loop = asyncio.get_running_loop()
    waited, spent = [], []
    await t.power_on()
    await sell(t)
    await t.back_to_idle()
    for at in range(count + 1):
        before, cpu = loop.time(), time.process_time()
        till.start(f"till-1:{at}")
        await t.until("present_card")
        waited.append((loop.time() - before) * 1000)
        spent.append((time.process_time() - cpu) * 1000)
        if await till.abort(f"till-1:{at}") != "aborted":
            raise SystemExit("bench: a payment was not taken back")
        await t.until("idle")
        await asyncio.sleep(1)
    await t.power_off()
    return waited[1:], spent[1:]


def _over_the_link(count: int) -> list[float]:
    """Milliseconds of each request of a paired PC, the life's first one first."""
    with tempfile.TemporaryDirectory(prefix="opentill-bench-") as folder:
        told = Path(folder) / "told.json"
        command = shlex.join([sys.executable, str(DAY), str(count + 1), str(told)])
        root = DAY.parents[1]
        done = subprocess.run(
            [sys.executable, "-m", "host_tools.till", "emulate", "--port", "0",
             "--state", "signed-in", "--command", command],
            cwd=root, capture_output=True, text=True, timeout=240, check=False,
            env={**os.environ, "PYTHONPATH": str(root), "OPENTILL_HOME": folder,
                 "OPENTILL_LANGUAGE": "en"},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit("bench: " + done.stdout[-500:] + done.stderr[-500:])
        took: list[float] = json.loads(told.read_text())
        return took


def linked(count: int) -> list[Row]:
    """The rows over the link."""
    first, *later = _over_the_link(count)
    way = statistics.median(later)
    return [
        ("register request to card prompt, over the link (peer: the aim)", way, AIM_MS, "ms",
         way / AIM_MS, AIM),
        ("register request to card prompt, first of a life (peer: the later ones)", first, way,
         "ms", first / way, "reported"),
    ]  # fmt: skip


def alone(count: int) -> list[Row]:
    """The rows on the virtual clock."""
    waited, spent = virtual_time.run(_prompts(count))
    ours, cpu = max(statistics.median(waited), 0.001), statistics.median(spent)
    return [
        ("register request to card prompt, the terminal's waits (peer: the aim)", ours, AIM_MS,
         "ms", ours / AIM_MS, AIM),
        ("register request to card prompt, CPU with emulated chips (peer: the aim)", cpu, AIM_MS,
         "ms", cpu / AIM_MS, AIM),
    ]  # fmt: skip


def rows(count: int = 20) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    return linked(count) + alone(count)


if __name__ == "__main__":
    for row in rows():
        print(row)
