"""The terminal of bench_idle.py: a process of its own on virtual time.

    python -m bench.idle_life BOARD.py DATA SOCKET MINUTES

Its chips live in the parent, over the wire, on the time that each request carries. One JSON
object on stdout: ``{"cpu_ms": [...], "rss_kib": [...]}``, the CPU of each minute and VmRSS at
its end, from the sixth minute after the idle screen on: late imports are over then.
"""

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from firmware import aio, board_loader, main
from firmware.buses.wire_stream import connect
from firmware.drivers.files_posix import PosixFiles
from tests.support import virtual_time

#: Minutes of idling before the first one counts.
SETTLED = 5


def _rss_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("bench: the kernel does not tell VmRSS")


async def _life(board: dict[str, Any], data: str, socket: str, minutes: int) -> dict[str, Any]:
    shown = aio.Event()

    def on_screen(tree: dict[str, Any]) -> None:
        if tree["screen"] == "idle":
            shown.set()

    given = {"files": PosixFiles(data, inline=True)}  # threads have no virtual time
    serving = aio.spawn("terminal", main.serve(board, connect(socket), data, on_screen, given))
    await aio.first(("idle", shown.wait()), ("end", serving.done.wait()), timeout_ms=60_000)
    if not shown.is_set():
        raise SystemExit(f"bench: no idle screen: {serving.error!r}")
    await aio.sleep_ms(SETTLED * 60_000)
    cpu, rss = [], []
    for _ in range(minutes + 1):
        gc.collect()
        rss.append(_rss_kib())
        before = time.process_time()
        await aio.sleep_ms(60_000)
        cpu.append((time.process_time() - before) * 1000)
    if serving.done.is_set():
        raise SystemExit(f"bench: the terminal ended: {serving.error!r}")
    serving.cancel()
    await serving.done.wait()
    return {"cpu_ms": cpu[:-1], "rss_kib": rss}


def run(words: list[str]) -> None:
    """The process's entry point."""
    path, data, socket, minutes = words
    board = board_loader.load(path)
    limit_s = (int(minutes) + SETTLED + 5) * 60.0
    told = virtual_time.run(_life(board, data, socket, int(minutes)), limit_s)
    print(json.dumps(told))


if __name__ == "__main__":
    run(sys.argv[1:])
