"""Panel, clock, gauge and contactless reader on /dev/i2c-7: our buses, smbus2 and luma as a board
uses them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from firmware import aio
from firmware.buses.i2c_linux import LinuxI2c
from firmware.buses.luma_bus import luma_i2c
from firmware.buses.wire import BusError
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.max17048 import Max17048
from firmware.drivers.oled import Oled
from firmware.drivers.pn532 import Pn532
from firmware.drivers.pn532_port import I2cPn532
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.hal.card_reader import ReaderMissing
from firmware.hal.clock import ClockError
from firmware.hal.display import DisplayError
from host_tools.emulator import deck
from host_tools.emulator.chips import ds3231, max17048, pn532
from host_tools.emulator.chips.ssd1306 import OledChip
from tests.rig.guest.cuse_i2c import I2cDevice, OledOnI2c
from tests.support import virtual_time
from tests.support.handheld import Handheld

PORT = 7
NOW = 1_795_248_000
PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


class Bus:
    """The three chips of the virtual handheld and the device that they answer at."""

    def __init__(self) -> None:
        self.panel = OledChip()
        self.clock = ds3231.Ds3231(lambda: 0, NOW)
        self.gauge = max17048.Max17048()
        self.device = I2cDevice(PORT, [OledOnI2c(self.panel), self.clock, self.gauge])


@pytest.fixture
def bus(need: Callable[..., None]) -> Iterator[Bus]:
    need("cuse")
    bus = Bus()
    yield bus
    bus.device.close()


def idle_and_menu() -> list[bytes]:
    """What the virtual handheld shows, pixel by pixel."""
    frames: list[bytes] = []

    async def story() -> None:
        handheld = Handheld()
        await handheld.power_on()
        frames.append(handheld.rack.display.frame())
        await handheld.press("menu")
        await handheld.until("menu")
        frames.append(handheld.rack.display.frame())
        await handheld.power_off()

    virtual_time.run(story())
    return frames


def test_the_idle_screen_reaches_the_panel_pixel_by_pixel(bus: Bus) -> None:
    frames = idle_and_menu()
    assert frames[0] != frames[1] and any(frames[0])

    async def story() -> None:
        panel = Oled(luma_i2c(PORT, 0x3C), "ssd1306", 128, 64, 0)
        for frame in [*frames, frames[0]]:
            await panel.show(frame)
            assert bus.panel.frame() == frame
        assert bus.panel.on and bus.panel.unknown == []
        before = bus.panel.data_bytes
        await panel.show(frames[0])
        assert bus.panel.data_bytes == before, "nothing changed, nothing is sent"
        bus.panel.mute = True
        with pytest.raises(DisplayError, match="display: "):
            await panel.show(frames[1])

    aio.run(aio.deadline(50000, story(), "the panel"))


def test_clock_and_gauge_answer_beside_each_other(bus: Bus) -> None:
    async def story() -> None:
        i2c = LinuxI2c(PORT)
        clock, gauge = Ds3231(i2c, 0x68), Max17048(i2c, 0x36)
        assert await clock.now() == NOW
        await clock.set(NOW + 86_400)
        assert await clock.now() == NOW + 86_400
        bus.clock.lose_power()
        with pytest.raises(ClockError, match="lost power"):
            await clock.now()
        status = await gauge.status()
        assert (status.percent, status.millivolts) == (84, 3980)
        i2c.close()

    aio.run(story())


def test_an_address_where_nobody_is_is_named(bus: Bus) -> None:
    i2c = LinuxI2c(PORT)
    with pytest.raises(BusError, match=r"i2c bus 7, address 0x50: .*Remote I/O"):
        i2c.transfer(0x50, b"\x00", 1)
    with pytest.raises(ClockError, match="0x69"):
        Ds3231(i2c, 0x69)
    i2c.close()


def test_a_bus_that_goes_away_is_named(bus: Bus) -> None:
    i2c = LinuxI2c(PORT)
    clock = Ds3231(i2c, 0x68)
    bus.device.close()
    with pytest.raises(ClockError, match="i2c bus 7"):
        aio.run(clock.now())
    with pytest.raises(BusError, match="i2c bus 7"):
        LinuxI2c(PORT)
    i2c.close()


class Antenna:
    """A PN532 on the bus, and the driver above it."""

    def __init__(self) -> None:
        self.chip = pn532.Pn532(lambda: time.monotonic_ns() // 1000)
        self.device = I2cDevice(PORT, [pn532.Pn532I2c(self.chip)])
        self.i2c = LinuxI2c(PORT)
        self.reader = Pn532Reader(Pn532(I2cPn532(self.i2c)))


@pytest.fixture
def antenna(need: Callable[..., None]) -> Iterator[Antenna]:
    need("cuse")
    antenna = Antenna()
    yield antenna
    antenna.i2c.close()
    antenna.device.close()


def test_a_tap_answers_select_ppse(antenna: Antenna) -> None:
    async def story() -> None:
        assert await antenna.reader.check() == "PN532 1.6"
        antenna.chip.put(deck.load().cards["approve"].make_card())
        channel = await antenna.reader.wait_tap(20_000)
        data, sw, _ = await channel.transmit(PPSE)
        assert sw == 0x9000 and b"2PAY.SYS.DDF01" in data
        assert antenna.chip.exchanges == [PPSE] and antenna.chip.violations == []
        await antenna.reader.close()

    aio.run(aio.deadline(50_000, story(), "the tap"))


def test_a_reader_that_is_not_there_is_named_and_found_again(antenna: Antenna) -> None:
    async def story() -> None:
        antenna.chip.unplugged = True
        with pytest.raises(ReaderMissing, match=r"i2c bus 7, address 0x24: .*Remote I/O"):
            await antenna.reader.check()
        antenna.chip.unplugged = False
        assert await antenna.reader.check() == "PN532 1.6"
        antenna.device.close()
        with pytest.raises(ReaderMissing, match="i2c bus 7"):
            await antenna.reader.check()
        await antenna.reader.close()

    aio.run(aio.deadline(50_000, story(), "the reader"))
