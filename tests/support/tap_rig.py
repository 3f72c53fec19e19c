"""A contactless reader on a wire of its own, with the driver that ships on it: a PN532 on
each of its buses, and one that poses as a slot (PC/SC)."""

from __future__ import annotations

import asyncio

from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireI2c, WireSerial, WireSpi
from firmware.buses.wire_card import WireCardSlot
from firmware.drivers.late_reader import LateReader
from firmware.drivers.pn532 import Pn532
from firmware.drivers.pn532_port import I2cPn532, Pn532Port, SerialPn532, SpiPn532
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.drivers.slot_tap import SlotTap
from firmware.hal.contactless import ContactlessReader
from host_tools.emulator.chips import pn532
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.field_slot import FieldSlot
from host_tools.emulator.chips.i2c import I2cBus

BUSES = ("serial", "i2c", "spi")


def clock_us() -> int:
    """The running loop's clock."""
    return int(asyncio.get_running_loop().time() * 1_000_000)


class TapRig(Wire):
    """``chip`` and its hands below, ``reader`` above. Make it inside a loop."""

    def __init__(self, bus: str) -> None:
        self.chip = pn532.Pn532(clock_us)
        self.transfers = 0
        self._seats = {
            "serial": self.chip.serial,
            "i2c": I2cBus([self.chip.i2c]),
            "spi": self.chip.spi,
        }
        port = self._port(bus)
        self.reader: ContactlessReader = LateReader(lambda: Pn532Reader(Pn532(port)))

    def _port(self, bus: str) -> Pn532Port:
        if bus == "serial":
            return SerialPn532(WireSerial(self, bus, 115200))
        if bus == "i2c":
            return I2cPn532(WireI2c(self, bus))
        return SpiPn532(WireSpi(self, bus))

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        self.transfers += 1
        try:
            return self._seats[bus].transfer(op, payload)  # type: ignore[attr-defined,no-any-return]
        except ChipError as error:
            raise BusError(str(error)) from None


class SlotRig(Wire):
    """The same hands on a reader that poses as a slot."""

    def __init__(self) -> None:
        self.chip = FieldSlot()
        self.reader: ContactlessReader = SlotTap(WireCardSlot(self, "card"))

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        try:
            return self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None
