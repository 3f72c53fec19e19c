"""Input devices without a kernel driver: python-evdev reads ``struct input_event`` from
a pseudo-terminal. Only what needs the driver (its ioctls) is answered here."""

from __future__ import annotations

import fcntl
import importlib
import os
import struct
import subprocess
import sys
import termios
import tty
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("evdev.sh")
EVENT = struct.Struct("llHHi")
EV_SYN, EV_KEY, SYN_DROPPED = 0, 1, 3


@cache
def why_not() -> str:
    """Why python-evdev cannot be had here, "" if it can. Builds it into the cache at first."""
    try:
        importlib.import_module("evdev")
        return ""
    except ImportError:
        pass
    if not sys.platform.startswith("linux"):
        return "evdev is Linux only"
    try:
        done = subprocess.run(
            [str(SCRIPT), sys.executable], capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"python-evdev cannot be built: {error}"
    if done.returncode:
        return "python-evdev does not build: " + done.stderr.strip()[-300:]
    sys.path.append(done.stdout.strip())
    return ""


class PtyDevice:
    """One event node; ``plug`` makes it, ``unplug`` takes it away under its reader."""

    def __init__(
        self, kernel: Kernel, name: str, vendor: int, product: int, phys: str, keys: bool = True
    ) -> None:
        self.kernel = kernel
        self.path = kernel.folder / name
        self.info = (3, vendor, product, 0x110, f"device {vendor:04x}", phys, "")
        self.keys = keys
        self.grabbed_by: int | None = None
        self._master = self._slave = -1
        self.plug()

    def plug(self) -> None:
        """Appear in the folder."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        node = os.ttyname(self._slave)
        self.kernel.devices[node] = self
        self.path.symlink_to(node)

    def unplug(self) -> None:
        """Disappear: the reader's next read fails."""
        self.grabbed_by = None
        self.kernel.devices.pop(os.ttyname(self._slave))
        self.path.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = -1

    def send(self, *events: tuple[int, int, int]) -> None:
        """Events (type, code, value) as the kernel writes them."""
        for kind, code, value in events:
            os.write(self._master, EVENT.pack(1, 2, kind, code, value))

    def unread(self) -> int:
        """Bytes that wait for the reader. A pseudo-terminal holds 4095, no whole events."""
        answer = fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

    def type(self, *codes: int) -> None:
        """Press and release each key."""
        for code in codes:
            self.send((EV_KEY, code, 1), (EV_SYN, 0, 0), (EV_KEY, code, 0), (EV_SYN, 0, 0))

    def close(self) -> None:
        """Take it away if it is there."""
        if self._master >= 0:
            self.unplug()


class Kernel:
    """Answers evdev's ioctls for pseudo-terminals; everything else is evdev's own code."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.devices: dict[str, PtyDevice] = {}
        module: Any = importlib.import_module("evdev.device")
        self._own = module._input
        monkeypatch.setattr(module, "_input", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def _device(self, number: int) -> PtyDevice:
        try:
            return self.devices[os.ttyname(number)]
        except (OSError, KeyError):
            raise OSError(25, "Inappropriate ioctl for device") from None

    def ioctl_devinfo(self, number: int) -> tuple[object, ...]:
        return self._device(number).info

    def ioctl_EVIOCGVERSION(self, number: int) -> int:
        return 0x010001

    def ioctl_EVIOCGEFFECTS(self, number: int) -> int:
        return 0

    def ioctl_capabilities(self, number: int) -> dict[int, list[int]]:
        return {0: [0, 1], 1: list(range(1, 120))} if self._device(number).keys else {0: [0], 3: []}

    def ioctl_EVIOCGRAB(self, number: int, flag: int) -> None:
        device = self._device(number)
        holder = device.grabbed_by
        if flag and holder is not None and _open(holder, number):
            raise OSError(16, "Device or resource busy")
        device.grabbed_by = number if flag else None


def _open(holder: int, number: int) -> bool:
    """Whether ``holder`` is still an open descriptor of the same node."""
    try:
        fcntl.fcntl(holder, fcntl.F_GETFD)
        return holder != number and os.ttyname(holder) == os.ttyname(number)
    except OSError:
        return False
