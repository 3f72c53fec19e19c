"""The kernel's USB printer class (usblp) without a kernel: each opening of /dev/usb/lp0 is one
end of a socket pair, and a printer's chip reads the other.

Stands in for ``os`` in the driver's module: the file and its kind are the kernel's to make.
What is read, written and waited for goes through real descriptors.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from types import SimpleNamespace
from typing import Any

import pytest

from firmware.buses import usb_printer_linux
from host_tools.emulator.chips.escpos_printer import EscposPrinter

PATH = "/dev/usb/lp0"
#: What usblp holds for a printer that takes nothing (two buffers of 4 KiB), as the kernel
#: counts it for a socket.
HELD = 8192
#: How often the printer looks for bytes.
LOOK_S = 0.001


class UsbLp:
    """One printer at ``PATH``. Its chip is ``chip``."""

    def __init__(self, chip: EscposPrinter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chip = chip
        self.chip.baud = self.chip.host_baud = 921600
        self.plugged = True
        self._end: socket.socket | None = None
        self._waiting = b""
        self._carrying: asyncio.Task[None] | None = None
        monkeypatch.setattr(usb_printer_linux, "os", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def stat(self, path: str) -> Any:
        """As ``os.stat``, as far as the driver asks."""
        if path != PATH or not self.plugged:
            raise FileNotFoundError(2, "No such file or directory", path)
        return SimpleNamespace(st_mode=stat.S_IFCHR)

    def open(self, path: str, flags: int) -> int:
        """As ``os.open``; one at a time."""
        self.stat(path)
        self._hear(1 << 20)  # all of it, and that the one before closed the file
        if self._end is not None:
            raise OSError(16, "Device or resource busy")
        ours, self._end = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD)
        for end in (ours, self._end):
            end.setblocking(False)
        if self._carrying is None:
            self._carrying = asyncio.get_running_loop().create_task(self._carry())
        return ours.detach()

    def _hear(self, most: int) -> None:
        """Take what was written, and note the end of it."""
        while self._end is not None and len(self._waiting) < most:
            try:
                heard = self._end.recv(4096)
            except BlockingIOError:
                return
            except ConnectionResetError:
                heard = b""  # closed with an answer unread
            if not heard:
                self._drop()
            self._waiting += heard

    def _drop(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None

    async def _carry(self) -> None:
        try:
            while True:
                self._hear(HELD)
                taken = int.from_bytes(self.chip.transfer(1, self._waiting)[0], "big")
                self._waiting = self._waiting[taken:]
                said = self.chip.transfer(2, (4096).to_bytes(2, "big"))[0]
                if said and self._end is not None:
                    try:
                        self._end.send(said)
                    except BrokenPipeError:
                        self._drop()
                await asyncio.sleep(LOOK_S)
        finally:
            self._drop()

    def unplug(self) -> None:
        """Out, whatever is under way."""
        self.plugged = False
        self._waiting = b""
        self._drop()

    def plug(self) -> None:
        """In again."""
        self.plugged = True
