"""Start on arm64: Debian's kernel and Python on QEMU's Raspberry Pi (docs/rig.md).

Seconds are by the guest's clock, which counts two nanoseconds for each instruction of its
four processors one after another: the same on every machine, however busy, but not a Pi's.
The guest is built at the first run.
"""

from bench.device import Row
from tests.rig.arm64 import run


def rows() -> list[Row]:
    """(name, ours, peer, unit, ratio, aim) of one start."""
    result = run.boot()
    if result.wrong:
        raise SystemExit(f"bench: {result.wrong}")
    reached = {what: at for at, what in result.reached}
    idle, kernel = reached["screen idle"], reached["first process"]
    start, bare = result.start_s or 0.0, result.python_s or 0.0
    return [
        ("arm64 guest: process start to idle screen (peer: python3 -c pass)", start, bare, "s",
         start / bare, "reported"),
        ("arm64 guest: power on to idle screen (peer: to the first process)", idle, kernel, "s",
         idle / kernel, "reported"),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in rows():
        print(row)
