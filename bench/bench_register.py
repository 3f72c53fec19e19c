"""A register's request until the card prompt stands on the terminal.

The terminal that ships, signed in and idle, on the virtual clock, whose time moves only when
nothing can run: its milliseconds are the waits on the way, CPU is all that the process spent,
the emulated chips and the picture on the panel among it. The link's own way (frames, session)
is not in it. Each payment is taken back at the prompt; that, and the way back to the idle
screen, are not counted.
"""

import asyncio
import statistics
import time

from bench.run import Row
from tests.device.stories import sell
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.till import Till

#: As shops want it: the prompt is there when the cashier looks up.
AIM_MS = 50


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


def rows(count: int = 20) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    waited, spent = virtual_time.run(_prompts(count))
    ours, cpu = max(statistics.median(waited), 0.001), statistics.median(spent)
    return [
        ("register request to card prompt, waits (peer: the aim)", ours, AIM_MS, "ms",
         ours / AIM_MS, f"under {AIM_MS} ms"),
        ("register request to card prompt, CPU with emulated chips (peer: the aim)", cpu, AIM_MS,
         "ms", cpu / AIM_MS, f"under {AIM_MS} ms"),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(row)
