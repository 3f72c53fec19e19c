"""Build the arm64 guest from Debian packages, once, into the cache.

    python -m tests.rig.arm64.build        print where the guest is

Kernel, device tree and first file system are what the boot loader of a Pi would
load; the SD card is one file system. Nothing of another processor is run here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig import build
from tests.rig.build import CACHE, FORMAT, UNREAD, CannotBuild

EMULATOR = "qemu-system-aarch64"
#: Debian packages in the guest, by name only.
PACKAGES = ("linux-image-arm64", "busybox-static", "python3")
#: Wheels beyond what the firmware needs to run.
WHEELS = ("rpi-lgpio>=0.6",)
PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64",
             "manylinux2014_aarch64")  # fmt: skip
#: The board, as Debian's kernel describes it.
DEVICE_TREE = "broadcom/bcm2837-rpi-zero-2-w.dtb"
#: The SD controller with its supply, the file system, what the panel is made with, the timer
#: that restarts and stops the chip.
MODULES = ("crc32c_generic", "ext4", "fixed", "bcm2835", "cuse", "bcm2835_wdt")
#: QEMU takes SD cards with a power of two of bytes.
DISK_MIB = 512


@dataclass(frozen=True)
class Guest:
    """Files that QEMU starts from."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def device_tree(self) -> Path:
        return self.folder / "board.dtb"

    @property
    def initramfs(self) -> Path:
        """Without the first process and the source tree, which are of today."""
        return self.folder / "initramfs"

    @property
    def card(self) -> Path:
        return self.folder / "disk"


def requirements() -> list[str]:
    """What pip puts into the guest."""
    return [*build.dependencies(), *WHEELS]


def cached() -> Guest | None:
    """The guest of today's lists, when it was built before."""
    guest = _guest()
    return guest if guest.card.exists() else None


def _guest() -> Guest:
    made_from = [*PACKAGES, *requirements(), *MODULES, *UNREAD, DEVICE_TREE, str(DISK_MIB),
                 str(FORMAT)]  # fmt: skip
    return Guest(
        CACHE / f"arm64-{hashlib.sha256(chr(0).join(made_from).encode()).hexdigest()[:16]}"
    )


def why_not() -> str:
    """Why a guest cannot be built or booted here, "" if it can."""
    return build.why_not(EMULATOR, cached() is not None)


def _build(guest: Guest) -> None:
    work = CACHE / f"{guest.folder.name}.new"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    tree.mkdir(parents=True)
    build.say("downloading Debian packages for arm64")
    packages = build.download(CACHE / "archives", PACKAGES, "arm64", CACHE / "lists-arm64")
    build.say(f"unpacking {len(packages)} packages")
    build.unpack(packages, tree)
    kernel = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    shutil.copyfile(tree / "boot" / f"vmlinuz-{kernel}", work / "vmlinuz")
    shutil.copyfile(tree / f"usr/lib/linux-image-{kernel}" / DEVICE_TREE, work / "board.dtb")
    (work / "initramfs").write_bytes(build.first_file_system(tree, kernel, MODULES))
    for part in (*UNREAD, "usr/lib/modules", f"usr/lib/linux-image-{kernel}"):
        shutil.rmtree(tree / part, ignore_errors=True)
    build.furnish(tree)
    build.say("installing Python packages")
    build.add_wheels(tree, requirements(), PLATFORMS)
    build.compile_python(tree)
    (work / "packages.txt").write_text("".join(sorted(f"{path.name}\n" for path in packages)))
    build.say("writing the SD card")
    build.write_disk(tree, work / "disk.new", DISK_MIB)
    shutil.rmtree(tree)
    (work / "disk.new").rename(work / "disk")
    shutil.rmtree(guest.folder, ignore_errors=True)
    work.rename(guest.folder)


def prepare() -> Guest:
    """The guest, built when the cache has none of today's. CannotBuild."""
    reason = why_not()
    if reason:
        raise CannotBuild(reason)
    with build.locked():
        build.install_emulator(EMULATOR, "qemu-system-arm")
        guest = _guest()
        if not guest.card.exists():
            began = time.monotonic()
            _build(guest)
            build.say(f"arm64 guest built in {time.monotonic() - began:.0f} s")
        os.utime(guest.folder)
    return guest


if __name__ == "__main__":
    try:
        print(prepare().folder)
    except CannotBuild as error:
        sys.exit(f"rig: {error}")
