"""Panel, clock and gauge on /dev/i2c-7: our buses, smbus2 and luma as a board uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from firmware import aio
from firmware.buses.i2c_linux import LinuxI2c
from firmware.buses.luma_bus import luma_i2c
from firmware.buses.wire import BusError
from firmware.drivers.ds3231 import Ds3231
from firmware.drivers.max17048 import Max17048
from firmware.drivers.oled import Oled
from firmware.hal.clock import ClockError
from firmware.hal.display import DisplayError
from host_tools.emulator.chips import ds3231, max17048
from host_tools.emulator.chips.ssd1306 import OledChip
from tests.rig.guest.cuse_i2c import I2cDevice, OledOnI2c
from tests.support import virtual_time
from tests.support.handheld import Handheld

PORT = 7
NOW = 1_795_248_000


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
