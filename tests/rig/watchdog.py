"""Last act of a run: the watchdog is fed, then starved, and resets the guest.

Runs in the guest after the tests. What it gets to write tells the host how far
it came; a guest that is still there at the end was not reset.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

NOTE = Path("/out/watchdog")
MARGIN_S = 3


def main() -> int:
    done = subprocess.run(
        ["modprobe", "softdog", f"soft_margin={MARGIN_S}"], capture_output=True, text=True
    )
    if done.returncode:
        NOTE.write_text(f"skipped: {done.stderr.strip()}")
        return 0
    wait = threading.Event().wait
    with open("/dev/watchdog", "wb", buffering=0) as watchdog:
        for _ in range(4 * MARGIN_S):
            watchdog.write(b".")
            wait(0.5)
        NOTE.write_text("fed")
        print("rig: the watchdog is starved now", flush=True)
        wait(MARGIN_S * 10)
    NOTE.write_text("the guest was not reset")
    return 1


if __name__ == "__main__":
    sys.exit(main())
