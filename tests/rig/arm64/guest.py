"""In the arm64 guest: the chips of the board, and the terminal as a process of its own.

Prints, each on a line of its own: seconds since power-on when something was reached, the
panel's memory in hexadecimal once the idle screen is on it, and what a Python that does
nothing takes.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from host_tools.emulator.chips.ds3231 import Ds3231
from host_tools.emulator.chips.ssd1306 import OledChip
from host_tools.emulator.rack import DEFAULT_TIME, Rack, load_board
from host_tools.emulator.rack_server import RackServer
from tests.rig.arm64 import board
from tests.rig.guest.cuse_i2c import I2cDevice, OledOnI2c

#: Where the host put the compiled board and the bundle.
GIVEN = Path("/till/given")
#: On the SD card.
DATA = Path("/root/data")
WIRE = Path("/run/wire")
#: Bytes of a line of the picture: one page of the panel.
PAGE = 128
POLL_S = 0.05
#: What a Zero 2 W's boot loader tells in the device tree; QEMU's tells nothing.
REVISION = "902120"


def since_power_on() -> str:
    """Seconds, by the kernel."""
    return Path("/proc/uptime").read_text().split()[0]


def say(what: str) -> None:
    """One line for the host."""
    print(f"rig: {what}", flush=True)


def bare_python() -> float:
    """Seconds that an interpreter takes which does nothing."""
    spent = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


def pins_high(told: str) -> list[int]:
    """Pins of the header that are driven high, as the kernel tells of its one chip."""
    base = re.search(r"^gpiochip0: GPIOs (\d+)-", told, re.MULTILINE)
    first = int(base[1]) if base else 0
    return [int(pin) - first for pin in re.findall(r"gpio-(\d+) .* out hi", told)]


async def main() -> int:
    """0 when the idle screen was reached."""
    rack = Rack(lambda: time.monotonic_ns() // 1000, None, load_board(board.VIRTUAL))
    assert isinstance(rack.display, OledChip)
    # It stands still, so that the minute on the screen is always the same.
    clock = Ds3231(lambda: 0, DEFAULT_TIME)
    bus = I2cDevice(1, [OledOnI2c(rack.display), clock, rack.gauge])
    server = RackServer(rack)
    await server.listen_unix(str(WIRE))
    DATA.mkdir(mode=0o700)
    for path in GIVEN.glob("*.cbor"):
        (DATA / path.name).touch(mode=0o600)
        (DATA / path.name).write_bytes(path.read_bytes())
    say(f"at {since_power_on()} s: the terminal starts")
    began = time.monotonic()
    terminal = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware.main", "--board", str(GIVEN / "board.py"),
        "--data", str(DATA), "--wire", str(WIRE), cwd="/root",
        env={**os.environ, "RPI_LGPIO_REVISION": REVISION},
    )  # fmt: skip
    shown = ""
    while terminal.returncode is None and shown != "idle":
        await asyncio.sleep(POLL_S)
        now = str((rack.debug.tree or {}).get("screen", ""))
        if now != shown:
            say(f"at {since_power_on()} s: screen {now}")
        shown = now
    if terminal.returncode is not None:
        say(f"the terminal ended with {terminal.returncode}")
        return 1
    say(f"start to idle: {time.monotonic() - began:.2f} s")
    for node in (rack.debug.tree or {}).get("nodes", []):
        if node.get("text"):
            say(f"text: {node['text']}")
    for pin in pins_high(Path("/sys/kernel/debug/gpio").read_text()):
        say(f"pin high: {pin}")
    frame = rack.display.frame()
    for at in range(0, len(frame), PAGE):
        say(f"panel: {frame[at : at + PAGE].hex()}")
    terminal.terminate()
    await terminal.wait()
    await server.close()
    bus.close()
    say(f"python3 -c pass: {bare_python():.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
