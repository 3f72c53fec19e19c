"""Runs the firmware from a mapped ROMFS image under MicroPython and notes its heap.

    micropython -X heapsize=N memory_boot.py IMAGE NOTES -m firmware.main ...

At each idle screen a line is added to NOTES: bytes in use after a collection,
and the largest block that can be had. Runs under MicroPython only.
"""

import gc
import sys

import ffi
import uctypes
import vfs


def mapped(path):
    """The file as memory outside the heap, as flash is on a microcontroller."""
    libc = ffi.open("libc.so.6")
    opened = libc.func("i", "open", "si")(path, 0)
    size = libc.func("i", "lseek", "iii")(opened, 0, 2)
    read_only, private = 1, 2
    at = libc.func("P", "mmap", "Piiiii")(0, size, read_only, private, opened, 0)
    return uctypes.bytearray_at(at, size)


def largest():
    """The largest block that can be allocated, to 256 bytes."""
    low, high = 0, gc.mem_free() + 256
    while high - low > 256:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            high = middle
        gc.collect()
    return low


vfs.mount(vfs.VfsRom(mapped(sys.argv[1])), "/rom")
sys.path[:] = ["/rom", ".frozen"]
gc.collect()
gc.threshold(16384)
empty = gc.mem_alloc()

from firmware.buses.wire_stream import StreamWire  # noqa: E402 - after the mount

transfer = StreamWire.transfer


def noting(self, bus, op, payload):
    """Note the heap whenever the idle screen has been shown."""
    if bus == "debug" and b'"idle"' in payload:
        gc.collect()
        used = gc.mem_alloc()
        with open(sys.argv[2], "a") as notes:
            notes.write(str(empty) + " " + str(used) + " " + str(largest()) + "\n")
    return transfer(self, bus, op, payload)


StreamWire.transfer = noting

from firmware.main import main  # noqa: E402 - after the mount

main(sys.argv[5:])
