"""A modem of four serial functions, as a Quectel EC25 is, under the kernel's option driver."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.serial_again import ReopenedSerial
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.usb_linux import DEVICES, UsbPort
from firmware.buses.wire import BusError
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.modem_pty import EchoEnd
from tests.rig.guest.gadget import Gadget
from tests.rig.guest.waiting import until
from tests.support.modem_rig import EchoCarrier

#: Interfaces 2 and 3 of an EC25 speak AT; we call on the last one.
AT, CALL = 2, 3
VENDOR, PRODUCT = 0x2C7C, 0x0125
LIMIT_MS = 55000


class UsbModem:
    """The virtual modem behind the gadget's serial functions."""

    def __init__(self) -> None:
        self.gadget = Gadget([f"gser.{number}" for number in range(4)], VENDOR, PRODUCT)
        self.chip = AtModemChip(lambda: time.monotonic_ns() // 1000, "ec25", 2, EchoEnd)
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
                said = chip.transfer(2, (512).to_bytes(2, "big"))[0]
            if said:
                os.write(number, said)

    def _left(self, port: int) -> None:
        """The bus let go of us: a modem takes that for a restart."""
        if port == 1:
            with self.lock:
                self.resets += 1
                self.chip.act("usb")

    def plug(self) -> None:
        self.gadget.plug()
        until(lambda: all(map(there, range(4))), "four serial ports")

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
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


@pytest.fixture
def usb(need: Callable[..., None]) -> Iterator[UsbModem]:
    need("dummy_hcd", "libcomposite", "usb_f_serial", "option")
    usb = UsbModem()
    try:
        usb.plug()
        yield usb
    finally:
        usb.close()


def run(story: Callable[[AtModem, EchoCarrier], Awaitable[None]], restart: bool = False) -> None:
    """``restart``: the board can take the modem from the bus."""

    async def main() -> None:
        carrier = EchoCarrier()
        ports = [ReopenedSerial(partial(opened, number)) for number in (AT, CALL)]
        modem = AtModem(
            ports[0], carrier, "internet", data_port=ports[1],
            usb=UsbPort(place()) if restart else None,
        )  # fmt: skip
        try:
            await aio.deadline(LIMIT_MS, story(modem, carrier), "the story")  # type: ignore[arg-type]
        finally:
            for one in ports:
                await one.close()

    aio.run(main())


async def started(modem: AtModem) -> None:
    """As the supervisor does it: again while the modem boots."""
    while True:
        try:
            return await modem.start(40_000)
        except BearerMute:
            await aio.sleep_ms(1000)


def test_up_with_an_address_and_answers_during_the_call(usb: UsbModem) -> None:
    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        await modem.start(40_000)
        assert await carrier.alive(5000)
        status = await modem.status()
        assert (status.state, status.address) == (bearer.UP, "10.64.0.7")
        assert status.operator == "OPEN MOBILE" and status.bars > 0
        assert await carrier.alive(5000)
        await modem.stop()
        assert (await modem.status()).state == bearer.DOWN

    run(story)


def test_a_modem_pulled_out_of_its_call_is_mute_and_comes_back(usb: UsbModem) -> None:
    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        await modem.start(40_000)
        usb.gadget.unplug()
        until(lambda: not there(AT), "the end of the ports")
        assert (await modem.status()).cause == "mute"
        await modem.stop()
        with pytest.raises(BearerMute, match="serial port"):
            await modem.start(10_000)
        usb.plug()
        await started(modem)
        assert await carrier.alive(5000)
        await modem.stop()

    run(story)


def test_a_silent_modem_is_taken_from_the_bus_and_given_back(usb: UsbModem) -> None:
    """The kernel's ``authorized`` file: the ladder's rung between commands and the power key."""

    async def story(modem: AtModem, carrier: EchoCarrier) -> None:
        assert "usb" in modem.levels
        await modem.start(40_000)
        with usb.lock:
            usb.chip.faults.mute = True
            usb.chip.faults.cured_by = frozenset({"usb"})
        assert (await modem.status()).cause == "mute"
        before = usb.resets
        await modem.reset("usb", 60_000)
        assert usb.resets == before + 1
        assert (await modem.status()).state == bearer.UP
        assert await carrier.alive(5000)
        await modem.stop()

    run(story, restart=True)
