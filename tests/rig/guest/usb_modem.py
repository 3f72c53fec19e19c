"""A USB device that poses as a Quectel EC25: the virtual modem behind four serial functions."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.usb_linux import DEVICES
from firmware.buses.wire import BusError
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.net import Endpoint
from host_tools.emulator.modem_pty import EchoEnd
from tests.rig.guest.gadget import Gadget
from tests.rig.guest.waiting import until

#: Interfaces 2 and 3 of an EC25 speak AT; we call on the last one. The others are its maker's
#: diagnosis, and positions.
AT, CALL = 2, 3
SILENT = (0, 1)
VENDOR, PRODUCT = 0x2C7C, 0x0125


class UsbModem:
    """The virtual modem behind the gadget's serial functions."""

    def __init__(self, far: Callable[[], Endpoint] = EchoEnd) -> None:
        """``far``: what is at the end of a call."""
        self.gadget = Gadget([f"gser.{number}" for number in range(4)], VENDOR, PRODUCT)
        self.chip = AtModemChip(lambda: time.monotonic_ns() // 1000, "ec25", 2, far)
        # Real seconds are waited for here: it boots and registers faster than any modem.
        self.chip.words = replace(self.chip.words, boot_ms=1500)
        self.chip.register_us = 200_000
        self.lock = threading.Lock()
        self._stopping = threading.Event()
        #: Ends of the call port that the host took away; one is a restart.
        self.resets = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(port, function), daemon=True)
            for port, function in enumerate((AT, CALL))
        ]
        self._threads += [
            threading.Thread(target=self._ignore, args=(function,), daemon=True)
            for function in SILENT
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self, port: int, function: int) -> None:
        """Carry bytes of one function; what hangs it up is opened anew."""
        while not self._stopping.is_set():
            number = os.open(f"/dev/ttyGS{function}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                tty.setraw(number)
                self._carry(port, number)
            except OSError:
                self._left(port)
            finally:
                os.close(number)

    def _carry(self, port: int, number: int) -> None:
        """What the host does not fetch waits, and nothing comes after it."""
        waiting = b""
        while not self._stopping.is_set():
            heard = b""
            if select.select([number], [], [], 0.005)[0]:
                heard = os.read(number, 512)
                if not heard:
                    raise OSError("hung up")
            with self.lock:
                chip = self.chip.port(port)
                if heard:
                    chip.transfer(1, heard)
                if not waiting:
                    waiting = chip.transfer(2, (512).to_bytes(2, "big"))[0]
            if waiting:
                try:
                    waiting = waiting[os.write(number, waiting) :]
                except BlockingIOError:
                    pass

    def _ignore(self, function: int) -> None:
        """Take what comes, and say nothing."""
        while not self._stopping.is_set():
            number = os.open(f"/dev/ttyGS{function}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                tty.setraw(number)
                while not self._stopping.is_set():
                    if select.select([number], [], [], 0.1)[0] and not os.read(number, 512):
                        break
            except OSError:
                pass
            finally:
                os.close(number)

    def _left(self, port: int) -> None:
        """The bus let go of us: a modem takes that for a restart."""
        if port == 1:
            with self.lock:
                self.resets += 1
                self.chip.act("usb")

    def plug(self) -> None:
        self.gadget.plug()
        until(lambda: all(map(there, range(4))), "four serial ports")

    def unplug(self) -> None:
        """Pull it out, whatever is under way; harmless twice."""
        if self.gadget.plugged:
            self.gadget.unplug()

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for number in range(2):
            self.chip.port(number).end_call()
        self.gadget.close()


def port(number: int) -> str:
    """The device file of an interface, as udev's by-path names find it: numbers change
    when the old ports are still open. BusError when there is none."""
    for name in Path(DEVICES).glob(f"*:1.{number}/ttyUSB*"):
        if (name.parent / "../idVendor").read_text().strip() == f"{VENDOR:04x}":
            return f"/dev/{name.name}"
    raise BusError(f"no serial port at interface {number}")


def there(number: int) -> bool:
    """Whether an interface has its device file."""
    try:
        return Path(port(number)).exists()
    except (BusError, OSError):
        return False


def place() -> str:
    """Where on the bus the modem is, by its vendor."""
    for vendor in Path(DEVICES).glob("*/idVendor"):
        if vendor.read_text().strip() == f"{VENDOR:04x}":
            return vendor.parent.name
    raise AssertionError("no modem on the bus")


def opened(number: int) -> LinuxSerial:
    """The port of an interface. BusError."""
    return LinuxSerial(port(number), 115200)
