"""Our whole firmware on the board that the guest is (boards/qemu-x86_64), to its idle screen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tools import board_file
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.emulator.chips.ssd1306 import OledChip
from host_tools.emulator.deck import load
from tests.rig.guest.cuse_i2c import I2cDevice, OledOnI2c
from tests.rig.guest.gadget import Gadget
from tests.rig.guest.test_input import Keyboard
from tests.rig.guest.test_pcsc import SOCKET, Daemon
from tests.rig.guest.test_usb_printer import NODE, UsbChip
from tests.rig.guest.waiting import until

BOARD = "qemu-x86_64"
MODULES = (
    "cuse", "uinput", "evdev", "dummy_hcd", "libcomposite", "usb_f_acm", "usb_f_printer", "usblp",
    "rtc_cmos", "softdog", "virtio_net",
)  # fmt: skip
#: Codes of linux/input-event-codes.h.
KEY_ESC, KEY_KPASTERISK = 1, 55


class Machine:
    """What hangs on the board, and the terminal's program. ``board``: as compiled."""

    def __init__(self, folder: Path) -> None:
        self.table = board_file.read(board_file.find(BOARD))
        self.panel = OledChip()
        self._panel = I2cDevice(self.table["bus"]["panel"]["port"], [OledOnI2c(self.panel)])
        self.keyboards = {
            name: Keyboard(self.table["bus"][name]["devices"][0], f"usb-1.{at}")
            for at, name in enumerate(("pad", "scanner", "swipe"), 1)
        }
        self._gadget = Gadget(["acm.0", "printer.0"])
        self._printer = UsbChip()
        self._gadget.plug()
        until(NODE.exists, "the printer's node")
        self._printer.attach()
        SOCKET.parent.mkdir(exist_ok=True)
        self.slot = Daemon()
        subprocess.run(["busybox", "ifconfig", "eth0", "10.0.2.15", "up"], check=True)
        self._data = folder / "data"
        self._data.mkdir()
        self._board = folder / "board.py"
        compiled = board_file.compiled(self.table, "0.1.0", int(time.time()) - 86_400)
        self._board.write_text(board_file.module_text(compiled))
        acquirer = InProcessAcquirer(load())
        names = ("bundle.cbor", "factory.cbor")
        for name, content in zip(names, acquirer.enrol(compiled["serial"]), strict=True):
            (self._data / name).write_bytes(content)
        acquirer.close()
        self._screens = folder / "screens"
        self._program: subprocess.Popen[bytes] | None = None
        self._said = folder / "said"

    def start(self) -> None:
        """Power on."""
        with self._screens.open("wb") as screens, self._said.open("wb") as said:
            self._program = subprocess.Popen(
                [sys.executable, "-m", "tests.rig.guest.terminal", self._board, self._data],
                stdout=screens, stderr=said,
            )  # fmt: skip

    def screens(self) -> list[dict[str, Any]]:
        """All screens so far."""
        return [json.loads(line) for line in self._screens.read_text().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def until(self, name: str) -> dict[str, Any]:
        """The screen of that name, once it is there."""
        assert self._program is not None

        def shown() -> bool:
            assert self._program is not None
            assert self._program.poll() is None, self._said.read_text()
            screens = self.screens()
            return bool(screens) and screens[-1]["screen"] == name

        try:
            until(shown, name, 60)
        except TimeoutError as error:
            raise AssertionError(
                f"{error}: {self.screens()[-1:]} {self._said.read_text()}"
            ) from None
        return self.screens()[-1]

    def stop(self) -> int:
        """End it in order; its exit code."""
        assert self._program is not None
        os.kill(self._program.pid, signal.SIGINT)
        return self._program.wait(20)

    def close(self) -> None:
        """All plugs out."""
        if self._program is not None and self._program.poll() is None:
            self._program.kill()
            self._program.wait()
        self.slot.stop()
        for keyboard in self.keyboards.values():
            keyboard.unplug()
        self._printer.close()
        self._gadget.close()
        self._panel.close()
        subprocess.run(["rmmod", "softdog"], check=False)


@pytest.fixture
def machine(need: Callable[..., None], tmp_path: Path) -> Iterator[Machine]:
    need(*MODULES)
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def test_the_whole_firmware_boots_to_its_idle_screen(machine: Machine) -> None:
    machine.start()
    machine.until("idle")
    until(lambda: any(machine.panel.frame()), "a picture")
    machine.keyboards["pad"].press(KEY_KPASTERISK)
    machine.until("menu")
    machine.keyboards["pad"].press(KEY_ESC)
    idle = machine.until("idle")
    print(idle)
    assert machine.panel.unknown == []
    assert machine.stop() == 130
