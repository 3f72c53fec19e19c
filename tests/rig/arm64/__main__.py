"""Boot Debian's arm64 kernel on QEMU's Raspberry Pi to our idle screen.

    python -m tests.rig.arm64 [--limit SECONDS]

The kernel has the device tree of a Raspberry Pi Zero 2 W, its system is on an SD card. Leaves
console.txt and result.json in build/rig/arm64; ends with 0 when the picture on the panel is
the emulator's, pixel by pixel.
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.rig.arm64 import run
from tests.rig.build import CannotBuild


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rig.arm64", description=__doc__)
    parser.add_argument("--limit", type=float, default=run.LIMIT_S, help="seconds for all of it")
    limit = parser.parse_args().limit
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        result = run.boot(limit)
    except CannotBuild as error:
        print(f"rig: FAILED: {error}")
        return 1
    for line in run.told(result):
        print(f"rig: {line}")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
