"""Last act of a run: the watchdog is fed, then starved, and resets the guest.

Runs in the guest after the tests, with the terminal's own driver. What it gets
to write tells the host how far it came; a guest that is still there at the end
was not reset.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from firmware import aio
from firmware.drivers.watchdog_linux import LinuxWatchdog

NOTE = Path("/out/watchdog")
MARGIN_S = 5


async def starve() -> None:
    watchdog = LinuxWatchdog("/dev/watchdog", MARGIN_S)
    await watchdog.start()
    for _ in range(4 * MARGIN_S):
        await watchdog.feed()
        await aio.sleep_ms(500)
    NOTE.write_text("fed")
    print("rig: the watchdog is starved now", flush=True)
    await aio.sleep_ms(5000 * MARGIN_S)


def main() -> int:
    done = subprocess.run(["modprobe", "softdog"], capture_output=True, text=True)
    if done.returncode:
        NOTE.write_text(f"skipped: {done.stderr.strip()}")
        return 0
    aio.run(starve())
    NOTE.write_text("the guest was not reset")
    return 1


if __name__ == "__main__":
    sys.exit(main())
