"""The OLED drivers' exact bytes, and what the start of the display imports."""

import subprocess
import sys

import pytest

from firmware.buses.display_bus import DisplayBus
from firmware.buses.wire_bus import WireDisplay
from firmware.drivers.oled import Oled
from firmware.drivers.oled_bare import BareOled
from firmware.drivers.panel_bare import BarePanel
from tests.support import rig
from tests.support.virtual_time import run


class _Recorder(DisplayBus):
    """Keeps what is sent as (kind, bytes)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def command(self, *commands: int) -> None:
        self.sent.append(("command", bytes(commands)))

    def data(self, data: bytes | bytearray | list[int]) -> None:
        self.sent.append(("data", bytes(data)))

    def commands(self) -> bytes:
        return b"".join(part for kind, part in self.sent if kind == "command")


SSD1306 = bytes.fromhex("AED580A83FD300408D142000A1C8DA12D9F1DB40A4A6")
SH1106 = bytes.fromhex("AE2010B0C8001040A1A6A83FA4D300D5F0D922DA12DB208D14")


@pytest.mark.parametrize(("controller", "init"), [("ssd1306", SSD1306), ("sh1106", SH1106)])
@pytest.mark.parametrize("driver", [Oled, BareOled])
def test_initialisation_bytes(driver: type[Oled], controller: str, init: bytes) -> None:
    bus = _Recorder()
    driver(bus, controller, 128, 64, 0)
    assert bus.commands().startswith(init)
    assert bus.sent[-1] == ("command", b"\xaf")  # on only when the memory is blank
    assert sum(len(part) for kind, part in bus.sent if kind == "data") == 1024


@pytest.mark.parametrize("controller", ["ssd1306", "ssd1309", "sh1106"])
def test_the_bare_driver_brings_the_panel_up_as_luma_does(controller: str) -> None:
    ours, luma = _Recorder(), _Recorder()
    BareOled(ours, controller, 128, 64, 2)
    Oled(luma, controller, 128, 64, 2)
    assert sorted(ours.commands()) == sorted(luma.commands())
    assert ours.sent[0] == luma.sent[0]


@pytest.mark.parametrize(
    ("controller", "width", "window"), [("ssd1322", 256, b"\x15"), ("st7789", 240, b"\x2a")]
)
def test_the_bare_panels_come_up_as_lumas_do(controller: str, width: int, window: bytes) -> None:
    """Command by command with its arguments, until the picture begins; then on."""
    ours, luma = _Recorder(), _Recorder()
    BarePanel(ours, controller, width, 64)
    Oled(luma, controller, width, 64)
    picture = ours.sent.index(("command", window))
    assert ours.sent[:picture] == luma.sent[:picture]
    assert ours.sent[-1] == luma.sent[-1]


@pytest.mark.parametrize(("offset", "column"), [(0, b"\x00\x10"), (2, b"\x02\x10")])
def test_page_and_column_bytes_of_one_change(offset: int, column: bytes) -> None:
    async def main() -> None:
        bus = _Recorder()
        oled = Oled(bus, "sh1106", 128, 64, offset)
        bus.sent.clear()
        frame = bytearray(1024)
        frame[5 * 128] = 0x81
        await oled.show(frame)
        assert bus.sent == [("command", b"\xb5" + column), ("data", b"\x81")]

    run(main())


def test_a_wrong_size_or_controller_is_refused() -> None:
    for driver in (Oled, BareOled):
        with pytest.raises(ValueError, match="no controller"):
            driver(_Recorder(), "ili9341", 128, 64, 0)
    with pytest.raises(ValueError, match="Unsupported"):
        Oled(_Recorder(), "ssd1306", 100, 60, 0)
    with pytest.raises(ValueError, match="rows"):
        BareOled(_Recorder(), "ssd1306", 128, 60, 0)
    with pytest.raises(ValueError, match="rows"):
        BareOled(_Recorder(), "sh1106", 128, 32, 0)


def test_a_wrong_column_offset_is_seen() -> None:
    """The two-column shift of SH1106 modules is what the board file's value is for."""

    async def main() -> None:
        data = rig.board("virtual-sh1106")
        rack = rig.rack(data)
        frame = bytes([0xFF] + [0] * 1023)
        wrong = Oled(WireDisplay(rack, "panel"), "sh1106", 128, 64, 0)
        await wrong.show(frame)
        assert rack.display.frame() != frame
        right = Oled(WireDisplay(rack, "panel"), "sh1106", 128, 64, 2)
        await right.show(frame)
        assert rack.display.frame() == frame

    run(main())


def test_a_blocking_bus_is_served_in_a_thread() -> None:
    import threading

    from firmware import aio

    class Slow(_Recorder):
        blocking = True
        threads: set[int] = set()

        def data(self, data: bytes | bytearray | list[int]) -> None:
            super().data(data)
            self.threads.add(threading.get_ident())

    async def main() -> None:
        bus = Slow()
        oled = Oled(bus, "ssd1306", 128, 64, 0)
        bus.threads.clear()
        await oled.show(bytes([1] * 1024))
        assert bus.threads and threading.get_ident() not in bus.threads

    aio.run(main())


def test_the_display_does_not_import_what_it_does_not_need() -> None:
    code = (
        "import sys; from firmware.drivers.oled import Oled; before = set(sys.modules);"
        "assert not any(m.startswith(('luma', 'PIL')) for m in before), 'imported too early';"
        "from firmware.buses.display_bus import DisplayBus\n"
        "class Bus(DisplayBus):\n"
        "    def command(self, *c): pass\n"
        "    def data(self, d): pass\n"
        "Oled(Bus(), 'ssd1306', 128, 64, 0)\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "assert not new & {'numpy', 'smbus2', 'RPi', 'spidev', 'tkinter'}, new\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
