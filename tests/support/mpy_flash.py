"""Runs the firmware under MicroPython with its storage on a littlefs of its own.

    micropython mpy_flash.py IMAGE -m firmware.main --board BOARD --data FOLDER ...

IMAGE is a flash of BLOCKS blocks in a file, which outlives the process: what was
programmed before a power cut is there after it. FOLDER's files (the provisioning)
are copied in when the flash is new. Runs under MicroPython only.
"""

import os
import sys

import vfs

BLOCKS, BLOCK = 256, 4096
ROOT = "/flash"


class FileFlash:
    """Block device of MicroPython's extended interface (``vfs.AbstractBlockDev``)."""

    def __init__(self, path):  # type: ignore[no-untyped-def]
        self._file = open(path, "r+b", 0)  # noqa: SIM115 - for as long as the process lives

    def readblocks(self, block, buffer, offset=0):  # type: ignore[no-untyped-def]
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):  # type: ignore[no-untyped-def]
        self._file.seek(block * BLOCK + offset)
        self._file.write(buffer)

    def ioctl(self, op, arg):  # type: ignore[no-untyped-def]
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:  # erase
            self.writeblocks(arg, b"\xff" * BLOCK)
        return 0


def mounted(image, folder):  # type: ignore[no-untyped-def]
    """Mount the flash, made and filled if it is new."""
    try:
        flash = FileFlash(image)
        vfs.mount(vfs.VfsLfs2(flash), ROOT)
        return
    except OSError:  # none yet
        with open(image, "wb") as file:
            for _ in range(BLOCKS):
                file.write(b"\xff" * BLOCK)
    flash = FileFlash(image)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), ROOT)
    for name in os.listdir(folder):
        with open(folder + "/" + name, "rb") as source, open(ROOT + "/" + name, "wb") as target:
            target.write(source.read())


words = sys.argv[4:]
at = words.index("--data") + 1
mounted(sys.argv[1], words[at])
words[at] = ROOT

from firmware.main import main  # noqa: E402 - after the mount

main(words)
