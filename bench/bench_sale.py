"""An approved chip sale: the device's own CPU and its durable barriers.

Counted: all CPU (user and kernel, every thread) of the device process from the
first key of the amount to the idle screen, split by bench/waits.py in the same
run into *work* and *waiting*. Work: debouncing keys, screens, 20-odd APDUs, card
authentication, PIN block, TLS handshake, message, journal, two receipts, the
questions to the printer while it prints, and the emulator's debug link.
Waiting, which is left out: looks at keys, card, printer and network that found
no news and led straight to the next pause, with the event loop's share in them.
A look that brought news is work, and so is a whole turn of the event loop in
which anything but fruitless looks ran.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import device, waits
from bench.bench_display import theirs
from bench.device import Row
from tests.support import virtual_time
from tests.support.handheld import Handheld


async def _idle_rate(machine: Any, seconds: float) -> float:
    """CPU ms that the idle device uses in a second."""
    pid = device.process_id(machine)
    await asyncio.sleep(0.3)
    begin, before = time.perf_counter(), device.cpu_ms(pid)
    await asyncio.sleep(seconds)
    return (device.cpu_ms(pid) - before) / (time.perf_counter() - begin)


async def _sales(count: int) -> tuple[float, float]:
    """CPU ms of a sale (work, waiting): those of the sale with the median work."""
    with tempfile.TemporaryDirectory(prefix="opentill-bench-") as folder:
        sums = Path(folder) / "sums"
        sums.write_bytes(bytes(waits.SUMS.size))
        runs = []
        async with device.off((sys.executable, waits.__file__, str(sums))) as machine:
            await device.start(machine)
            await device.sale(machine)  # late imports and key agreement happen once
            for _ in range(count):
                work, waiting = waits.read(sums)
                await device.sale(machine)
                end = waits.read(sums)
                runs.append((end[0] - work, end[1] - waiting))
    return sorted(runs)[len(runs) // 2]


async def _key(machine: Any, key: str, rate: float) -> tuple[float, int, bytes, bytes]:
    """(CPU ms, bytes on the bus, frame before, frame after) of a key press.

    CPU from the moment the key goes down until the last byte of its new screen
    is at the display, less what the idle device uses in that time.
    """
    pid = device.process_id(machine)
    panel = machine.rack.display
    transfer = panel.transfer
    count = 0
    at: list[tuple[float, float]] = []

    def tapped(op: int, payload: bytes) -> Any:
        nonlocal count
        if op != 3:  # whose parts come by one by one
            count += len(payload) + 2
        at.append((device.cpu_ms(pid), time.perf_counter()))
        return transfer(op, payload)

    frame = panel.frame()
    panel.transfer = tapped
    try:
        begin, before = time.perf_counter(), device.cpu_ms(pid)
        await machine.press(key)
        await asyncio.sleep(0.1)
    finally:
        panel.transfer = transfer
    if not at:
        raise SystemExit("bench: no byte went to the display")
    spent = at[-1][0] - before - rate * (at[-1][1] - begin)
    return spent, count, frame, panel.frame()


async def _device(sales: int, keys: int) -> list[Row]:
    work, waiting = await _sales(sales)
    async with device.off() as machine:
        await device.start(machine)
        rate = await _idle_rate(machine, 2.0)
        await machine.press("1")
        await machine.screen("amount")
        pressed = []
        for at in range(keys):
            # A digit and back: the amount keeps its length.
            pressed.append(await _key(machine, "2" if at % 2 == 0 else "clear", rate))
        await machine.press("cancel")
    key = statistics.median(row[0] for row in pressed)
    sent = statistics.median(row[1] for row in pressed)
    frames = pressed[-1][2], pressed[-1][3]
    their_bytes, their_ms = await theirs(frames, 10)
    return [
        ("CPU of an approved sale, outside waits (peer: the aim)", work, 30.0, "ms", work / 30,
         "under 30 ms"),
        ("CPU of an approved sale, waits included (peer: outside)", work + waiting, work, "ms",
         (work + waiting) / work, "reported"),
        ("CPU of the idle device (peer: all of one core)", rate, 1000.0, "ms/s", rate / 1000,
         "reported"),
        ("key press to bytes on the display, CPU (peer: luma's display() alone)", key, their_ms,
         "ms", key / their_ms, "under 5 ms"),
        ("key press, bytes on the display bus (peer: luma's display())", sent, their_bytes,
         "bytes", sent / their_bytes, "below 1"),
    ]  # fmt: skip


def barriers() -> int:
    """Durable barriers of the second sale of a life, on the simulated disk: every
    fsync of a file or of the folder from the first key to the idle screen."""
    counted = 0

    async def story() -> None:
        nonlocal counted
        t = Handheld()
        await t.power_on()
        for _ in range(2):
            before = t.disk.barriers
            await t.pay("1234", "approve")
            await t.back_to_idle()
            counted = t.disk.barriers - before
        if [row[2] for row in t.books()] != ["approved", "approved"]:
            raise SystemExit("bench: a sale was not approved")
        await t.power_off()

    virtual_time.run(story())
    return counted


def rows(quick: bool = False) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim); ``quick``: one sale, two keys."""
    found = asyncio.run(_device(1 if quick else 5, 2 if quick else 20))
    most = barriers()
    found.append(
        ("durable barriers of a whole sale, receipts included", most, 6, "barriers",
         most / 6, "at most 1")
    )  # fmt: skip
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)
