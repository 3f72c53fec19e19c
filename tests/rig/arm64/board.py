"""The board that the arm64 guest is: ``rpi-zero-2w`` as far as QEMU's machine has it.

Panel, clock and gauge on I2C, lamps and switches on the header, the kernel's random numbers
are that board's own tables. QEMU's pins cannot be moved from outside and nothing is plugged
in, so keys, printer, card slot, network and the PC's port are the virtual board's chips.
"""

from __future__ import annotations

from typing import Any

from host_tools import board_file

OURS = "rpi-zero-2w"
#: The same panel, on software chips.
VIRTUAL = "virtual-sh1106"
#: Tables of the real board; its clock and gauge are on ``i2c1``.
DEVICES = ("display", "clock", "power", "tamper", "indicators", "entropy")
BUSES = ("panel", "i2c1", "header")


def table() -> dict[str, Any]:
    """The board's data, as from a file. BoardFileError."""
    board = board_file.read(board_file.find(VIRTUAL))
    real = board_file.read(board_file.find(OURS))
    board.update({name: real[name] for name in DEVICES})
    board["bus"].update({name: real["bus"][name] for name in BUSES})
    for name in ("i2c0", "trng0"):
        del board["bus"][name]
    return board
