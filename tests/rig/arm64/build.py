"""The arm64 guest, built as the other one is (tests/rig/build.py).

    python -m tests.rig.arm64.build        print where the guest is

Kernel, device tree and first file system are what the boot loader of a Pi would
load; the SD card is one file system. Nothing of another processor is run here.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.rig.build import CannotBuild, Recipe


def _furnish(tree: Path, kernel: str) -> None:
    """Modules come out of the first file system only."""
    shutil.rmtree(tree / "usr/lib/modules")


RECIPE = Recipe(
    title="arm64 guest",
    prefix="arm64-",
    architecture="arm64",
    emulator=("qemu-system-aarch64", "qemu-system-arm"),
    packages=("linux-image-arm64", "busybox-static", "python3"),
    wheels=("rpi-lgpio>=0.6",),
    platforms=(
        "manylinux_2_34_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ),
    # The SD controller with its supply, the file system, what the panel is made with, the
    # timer that restarts and stops the chip.
    modules=("crc32c_generic", "ext4", "fixed", "bcm2835", "cuse", "bcm2835_wdt"),
    disk_mib=512,  # QEMU takes SD cards with a power of two of bytes
    furnish=_furnish,
    device_tree="broadcom/bcm2837-rpi-zero-2-w.dtb",  # as Debian's kernel describes the board
)


if __name__ == "__main__":
    try:
        print(RECIPE.prepare().folder)
    except CannotBuild as error:
        sys.exit(f"rig: {error}")
