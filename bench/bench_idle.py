"""The idle terminal over an hour of virtual time: CPU of each minute, and what its memory grows.

The device is a process of its own with the code that ships, on the virtual board's chips over the
wire; its clock and theirs move only when nothing can run, so that an hour takes minutes. CPU is
the device process's alone (user and kernel): looks at keys, card, case and network, the clock on
the screen, printer and battery, and the wire's own system calls, which a real board has not.
Memory is VmRSS after a garbage collection, an hour after the start minus five minutes after it.

Waiting itself costs nothing here; with a real clock each sleep is a system call more, which
bench_sale.py has in its row of the idle device.

The aims: 1 % of one core, which is 600 ms a minute, and a growth of no more than 256 KiB an hour:
a terminal that is switched on in the morning has grown by less than 4 MiB in the evening.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from host_tools import board_file
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.emulator.deck import load
from host_tools.emulator.rack import DEFAULT_TIME, Rack, load_board
from host_tools.emulator.rack_server import RackServer, WireClock

Row = tuple[str, float, float, str, float, str]

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 60
CPU_AIM_MS, GROWTH_AIM_KIB = 600.0, 256.0
#: For a machine that others load.
LIMIT_S = 3600


async def _life(minutes: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="opentill-bench-") as scratch:
        folder = Path(scratch)
        (folder / "data").mkdir(mode=0o700)
        table = board_file.read(board_file.find("virtual"))
        data = board_file.compiled(table, "0.1.0", DEFAULT_TIME - 86_400)
        (folder / "board.py").write_text(board_file.module_text(data), encoding="utf-8")
        bank = InProcessAcquirer(load(), now=lambda: DEFAULT_TIME)
        bundle, factory = bank.enrol(data["serial"], host="bank.test", languages=("en", "zh"))
        (folder / "data" / "bundle.cbor").write_bytes(bundle)
        (folder / "data" / "factory.cbor").write_bytes(factory)
        clock = WireClock()
        server = RackServer(Rack(clock, 1, load_board(), DEFAULT_TIME), clock)
        await server.listen_unix(str(folder / "wire"))
        words = [str(folder / "board.py"), str(folder / "data"), str(folder / "wire")]
        device = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.idle_life", *words, str(minutes),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            said, complaints = await asyncio.wait_for(device.communicate(), LIMIT_S)
        finally:
            if device.returncode is None:
                device.kill()
            await server.close()
            bank.close()
    if device.returncode or complaints:
        last = complaints.decode(errors="replace").strip().splitlines()[-1:]
        raise SystemExit(f"bench: the idle device ended with {device.returncode}: {last}")
    told: dict[str, list[float]] = json.loads(said)
    return told


def rows(minutes: int = MINUTES) -> list[Row]:
    """(name, ours, peer, unit, ratio, aim)."""
    told = asyncio.run(_life(minutes))
    median, most = statistics.median(told["cpu_ms"]), max(told["cpu_ms"])
    rss = told["rss_kib"]
    allowed = GROWTH_AIM_KIB * minutes / 60
    return [
        (f"CPU of an idle minute, median of {minutes} in virtual time (peer: the aim)", median,
         CPU_AIM_MS, "ms", median / CPU_AIM_MS, f"at most {CPU_AIM_MS:g} ms"),
        ("CPU of an idle minute, the busiest (peer: the median)", most, median, "ms",
         most / median, "reported"),
        (f"memory after {minutes} idle minutes (peer: before them)", rss[-1], rss[0], "KiB",
         rss[-1] / rss[0], f"at most {allowed:g} KiB more"),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(row)
