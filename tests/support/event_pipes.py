"""Input devices without a kernel driver: python-evdev reads ``struct input_event`` from
named pipes. Only what needs the driver (its ioctls) is answered here."""

from __future__ import annotations

import asyncio
import importlib
import os
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from host_tools.emulator.chips.hid_keys import CAME, GONE, HidKeys

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


class PipeDevice:
    """One event node; ``plug`` makes it, ``unplug`` takes it away under its reader."""

    def __init__(
        self, kernel: Kernel, name: str, vendor: int, product: int, phys: str, keys: bool = True
    ) -> None:
        self.kernel = kernel
        self.path = kernel.folder / name
        self.info = (3, vendor, product, 0x110, f"device {vendor:04x}", phys, "")
        self.keys = keys
        self.grabbed_by: int | None = None
        self._writer = -1
        self.plug()

    @property
    def plugged(self) -> bool:
        """Whether it is in the folder."""
        return self._writer >= 0

    def plug(self) -> None:
        """Appear in the folder."""
        os.mkfifo(self.path)
        self._writer = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.kernel.devices[_identity(self._writer)] = self

    def unplug(self) -> None:
        """Disappear: the reader meets the end of the pipe."""
        self.grabbed_by = None
        self.kernel.devices.pop(_identity(self._writer))
        self.path.unlink()
        os.close(self._writer)
        self._writer = -1

    def send(self, *events: tuple[int, int, int]) -> None:
        """Events (type, code, value) as the kernel writes them: whole ones."""
        for kind, code, value in events:
            os.write(self._writer, EVENT.pack(1, 2, kind, code, value))

    def type(self, *codes: int) -> None:
        """Press and release each key."""
        for code in codes:
            self.send((EV_KEY, code, 1), (EV_SYN, 0, 0), (EV_KEY, code, 0), (EV_SYN, 0, 0))

    def close(self) -> None:
        """Take it away if it is there."""
        if self.plugged:
            self.unplug()


class TypedKeys:
    """A chip's keyboards as event nodes in a folder of their own, each of another make: what it
    types goes into them when it is due, and its plugs are theirs. Needs a running loop."""

    def __init__(self, kernel: Kernel, chip: HidKeys, sources: int, name: str) -> None:
        self.folder = kernel.folder / name
        self.folder.mkdir()
        self._chip = chip
        #: As a board file names them.
        self.products = [f"0c2e:{0x0B61 + at:04x}" for at in range(sources)]
        self._devices = [
            PipeDevice(kernel, f"{name}/event{at}", 0x0C2E, 0x0B61 + at, f"usb-1.{at}/input0")
            for at in range(sources)
        ]
        self._task = asyncio.get_running_loop().create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            answer = self._chip.transfer(1, b"")[0]
            for at in range(0, len(answer), 4):
                device, code = self._devices[answer[at]], answer[at + 1 : at + 3]
                if answer[at + 3] == GONE:
                    device.unplug()
                elif answer[at + 3] == CAME:
                    device.plug()
                elif device.plugged:
                    device.send((EV_KEY, int.from_bytes(code, "big"), answer[at + 3]))
                    device.send((EV_SYN, 0, 0))
            await asyncio.sleep(0.001)

    def close(self) -> None:
        """All plugs out. Harmless twice."""
        self._task.cancel()
        for device in self._devices:
            device.close()


class Kernel:
    """Answers evdev's ioctls for the pipes; everything else is evdev's own code."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.devices: dict[tuple[int, int], PipeDevice] = {}
        module: Any = importlib.import_module("evdev.device")
        self._own = module._input
        monkeypatch.setattr(module, "_input", self)
        monkeypatch.setattr(module, "os", ReadOnly())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def _device(self, number: int) -> PipeDevice:
        try:
            return self.devices[_identity(number)]
        except KeyError:
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
        if flag and holder not in (None, number) and self._holds(holder, device):
            raise OSError(16, "Device or resource busy")
        device.grabbed_by = number if flag else None

    def _holds(self, holder: int | None, device: PipeDevice) -> bool:
        """Whether ``holder`` is still an open descriptor of the node."""
        try:
            return holder is not None and self.devices.get(_identity(holder)) is device
        except OSError:
            return False


class ReadOnly:
    """``os`` for a user who may only read event nodes; so a pipe's end is heard of."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int) -> int:
        """As ``os.open``, without the right to write."""
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return os.open(path, flags)


def _identity(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino
