"""Panels and a contactless reader on /dev/spidev by CUSE, with D/C and reset on gpio-sim by
rpi-lgpio: spidev, luma and our buses as a board uses them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from firmware import aio
from firmware.buses.display_bus import DisplayBus
from firmware.buses.display_spi import SpiDisplay
from firmware.buses.luma_bus import luma_spi
from firmware.buses.pins_rpi import RpiPins
from firmware.buses.spi_linux import LinuxSpi
from firmware.buses.wire import BusError
from firmware.drivers.oled import Oled
from firmware.drivers.pn532 import Pn532
from firmware.drivers.pn532_port import SpiPn532
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.hal.card_reader import ReaderMissing
from firmware.hal.display import DisplayError
from firmware.text.texts import Texts
from firmware.ui import screens
from firmware.ui.view import View
from host_tools.emulator import deck
from host_tools.emulator.chips import pn532
from host_tools.emulator.chips.ssd1322 import Ssd1322
from host_tools.emulator.chips.st7789 import St7789
from tests.rig.guest.cuse_spi import BUFFER, PanelOnSpi, Pn532OnSpi, SpiDevice
from tests.rig.guest.far import Far
from tests.rig.guest.gpio_sim import Header, raspberry_pi

Need = Callable[..., None]
PORT, DEVICE, DC, RESET = 0, 0, 25, 24
#: Panels by controller and size. Eight lines of the second are more than one transfer takes.
GREY, COLOUR = ("ssd1322", 256, 64), ("st7789", 320, 240)
#: Bytes of memory that eight dots below each other take.
COLUMN = {"ssd1322": 4, "st7789": 16}
#: With a column that stands alone an ST7789 gets its place: first and last column, and row.
PLACE = 8
Panel = tuple[str, int, int]
PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


@pytest.fixture
def header(need: Need, monkeypatch: pytest.MonkeyPatch) -> Iterator[Header]:
    need("cuse", "gpio-sim")
    with raspberry_pi(monkeypatch) as header:
        yield header


class _Panel:
    """In the process of the chips: a panel on the bus."""

    def __init__(self, header: Header, kind: Panel) -> None:
        controller, *size = kind
        self.panel = Ssd1322(*size) if controller == "ssd1322" else St7789(*size)
        self.device = SpiDevice(PORT, DEVICE, PanelOnSpi(self.panel, header, DC, RESET))


class Desk:
    """The two ways to the panel that a board may name. ``far``: a _Panel."""

    def __init__(self, header: Header, kind: Panel) -> None:
        self._kind = kind
        self.far = Far(lambda: _Panel(header, kind))

    def bus(self, driver: str) -> DisplayBus:
        """As ``firmware.board_buses`` makes them."""
        if driver == "luma_spi":
            return luma_spi(PORT, DEVICE, DC, RESET)
        return SpiDisplay(LinuxSpi(PORT, DEVICE, 8_000_000), RpiPins(), DC, RESET)

    def driver(self, driver: str) -> Oled:
        """The driver on it."""
        return Oled(self.bus(driver), *self._kind, 0)

    def frame(self) -> bytes:
        """What the panel shows."""
        frame: bytes = self.far.call("panel.frame")
        return frame

    def sent(self) -> int:
        """Bytes so far that were no commands."""
        sent: int = self.far.get("panel.data_bytes")
        return sent

    def needed(self, old: bytes, new: bytes) -> tuple[int, int]:
        """Bytes of what changed: the dots alone, and at most with all that tells their place.
        An SSD1322 has its dots in groups of four columns, and one group between two others
        costs no more than a place of their own."""
        controller, width, _ = self._kind
        changed = [at for at in range(len(new)) if old[at] != new[at]]
        least = len(changed) * COLUMN[controller]
        if controller == "st7789":
            alone = [at for at in changed if at % width == 0 or at - 1 not in changed]
            return least, least + len(alone) * PLACE
        return least, len({at // 4 for at in changed}) * (2 * 4 * COLUMN[controller] + 4)


@pytest.fixture
def desk(header: Header, request: pytest.FixtureRequest) -> Iterator[Desk]:
    desk = Desk(header, getattr(request, "param", GREY))
    yield desk
    desk.far.call("device.close")
    desk.far.close()


@pytest.mark.parametrize(
    ("driver", "desk"),
    [("luma_spi", GREY), ("spi_display", GREY), ("luma_spi", COLOUR), ("spi_display", COLOUR)],
    indirect=["desk"],
    ids=["luma-grey", "ours-grey", "luma-colour", "ours-colour"],
)
def test_the_idle_screen_reaches_the_panel_pixel_by_pixel(desk: Desk, driver: str) -> None:
    async def story() -> None:
        panel = desk.driver(driver)
        view = View(panel, Texts("zh"))
        for clock in ("16:00", "16:01"):
            shown, sent = view.frame, desk.sent()
            await view.show(screens.idle(clock, 3, 84, True, "OpenTill", None, True))
            assert any(view.frame) and desk.frame() == view.frame
        assert desk.far.get("panel.on") and desk.far.get("panel.unknown") == []
        least, most = desk.needed(shown, view.frame)
        assert 0 < least <= desk.sent() - sent <= most, "of the new minute no more than that"
        sent = desk.sent()
        await panel.show(view.frame)
        assert desk.sent() == sent, "nothing changed, nothing is sent"

    aio.run(aio.deadline(100_000, story(), "the panel"))


@pytest.mark.parametrize("driver", ["luma_spi", "spi_display"])
def test_a_bus_that_goes_away_in_mid_transfer_is_named(desk: Desk, driver: str) -> None:
    frame = bytes([0xA5] * 2048)

    async def story() -> None:
        panel = desk.driver(driver)
        await panel.show(frame)
        desk.far.set("device.pull_after", desk.far.get("device.bytes") + 2500)
        before = desk.far.get("panel.data_bytes")
        with pytest.raises(DisplayError, match=r"display: .*(abort|not connected|No such device)"):
            await panel.show(bytes(2048))
        sent = desk.far.get("panel.data_bytes") - before
        assert 2000 < sent <= 2500, "it went in the middle of a picture"
        for again in (panel.show(bytes(2048)), panel.restart()):
            with pytest.raises(DisplayError, match="display: "):
                await again

    aio.run(aio.deadline(50_000, story(), "the panel"))
    desk.far.call("device.close")
    with pytest.raises(BusError, match=r"SPI device not found|No such file"):
        desk.bus(driver)


@pytest.mark.parametrize("driver", ["luma_spi", "spi_display"])
def test_a_controller_that_stalls_is_named_and_comes_back(desk: Desk, driver: str) -> None:
    frame = bytes([0x3C] * 2048)

    async def story() -> None:
        panel = desk.driver(driver)
        desk.far.set("device.stalled", True)
        with pytest.raises(DisplayError, match=r"display: .*timed out"):
            await panel.show(frame)
        desk.far.set("device.stalled", False)
        await panel.restart()
        await panel.show(frame)
        assert desk.frame() == frame

    aio.run(aio.deadline(50_000, story(), "the panel"))


@pytest.mark.parametrize("driver", ["luma_spi", "spi_display"])
def test_pins_that_are_not_there_are_named(
    desk: Desk, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from RPi import GPIO

    GPIO.cleanup()
    monkeypatch.setenv("RPI_LGPIO_CHIP", "99")
    with pytest.raises(BusError, match="can not open gpiochip"):
        desk.bus(driver)


def test_a_transfer_that_is_too_long_is_refused_by_name(desk: Desk) -> None:
    spi = LinuxSpi(PORT, DEVICE)
    assert spi.transfer(bytes(BUFFER)) == b"\xff" * BUFFER
    with pytest.raises(BusError, match=r"spi 0\.0: "):
        spi.transfer(bytes(BUFFER + 1))
    spi.close()


class _Antenna:
    """In the process of the chips: a PN532 on the bus."""

    def __init__(self) -> None:
        self.chip = pn532.Pn532(lambda: time.monotonic_ns() // 1000)
        self.device = SpiDevice(PORT, DEVICE, Pn532OnSpi(self.chip.spi))

    def put(self, card: str) -> None:
        """Hold a card of the deck to the antenna."""
        self.chip.put(deck.load().cards[card].make_card())

    def exchange(self, there: bool) -> None:
        """The PN532 is on the bus, or another chip whose output is low whatever is sent."""
        self.device.chip = Pn532OnSpi(self.chip.spi) if there else _Low()


class _Low:
    def select(self, data: bytes) -> bytes:
        """Zeros."""
        return bytes(len(data))


class Antenna:
    """The driver above it. ``far``: an _Antenna."""

    def __init__(self) -> None:
        self.far = Far(_Antenna)
        self.reader = Pn532Reader(Pn532(SpiPn532(LinuxSpi(PORT, DEVICE))))


@pytest.fixture
def antenna(need: Need) -> Iterator[Antenna]:
    need("cuse")
    antenna = Antenna()
    yield antenna
    antenna.far.call("device.close")
    antenna.far.close()


def test_a_tap_answers_select_ppse(antenna: Antenna) -> None:
    async def story() -> None:
        assert await antenna.reader.check() == "PN532 1.6"
        antenna.far.call("put", "approve")
        channel = await antenna.reader.wait_tap(20_000)
        data, sw, _ = await channel.transmit(PPSE)
        assert sw == 0x9000 and b"2PAY.SYS.DDF01" in data
        assert antenna.far.get("chip.exchanges") == [PPSE]
        assert antenna.far.get("chip.violations") == []
        await antenna.reader.close()

    aio.run(aio.deadline(50_000, story(), "the tap"))


def test_a_reader_that_is_not_there_or_another_chip_is_named(antenna: Antenna) -> None:
    async def story() -> None:
        antenna.far.set("chip.unplugged", True)
        with pytest.raises(ReaderMissing, match="pn532"):
            await antenna.reader.check()
        antenna.far.set("chip.unplugged", False)
        antenna.far.call("exchange", False)
        with pytest.raises(ReaderMissing, match="pn532"):
            await antenna.reader.check()
        antenna.far.call("exchange", True)
        assert await antenna.reader.check() == "PN532 1.6", "and is found again"
        await antenna.reader.close()

    aio.run(aio.deadline(50_000, story(), "the reader"))


def test_the_bus_goes_away_in_the_middle_of_an_apdu(antenna: Antenna) -> None:
    async def story() -> None:
        antenna.far.call("put", "approve")
        channel = await antenna.reader.wait_tap(20_000)
        antenna.far.set("device.pull_after", antenna.far.get("device.bytes") + 10)
        with pytest.raises(ReaderMissing, match=r"spi 0\.0: "):
            await channel.transmit(PPSE)
        assert antenna.far.get("chip.exchanges") == [], "half an APDU reaches no card"
        with pytest.raises(ReaderMissing, match=r"spi 0\.0: "):
            await antenna.reader.check()
        await antenna.reader.close()

    aio.run(aio.deadline(50_000, story(), "the tap"))


def test_a_bus_that_is_not_there_is_named() -> None:
    with pytest.raises(BusError, match=r"spi 3\.0: .*No such file"):
        LinuxSpi(3, 0)
