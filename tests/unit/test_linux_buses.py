"""Linux buses against stand-ins for the libraries and the hardware that is not here."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from luma.core.interface import serial

from firmware.buses.i2c_linux import LinuxI2c
from firmware.buses.luma_bus import luma_i2c, luma_spi
from firmware.buses.pins import IN, IN_PULLUP, OUT
from firmware.buses.pins_rpi import RpiPins
from firmware.buses.wire import BusError
from host_tools.emulator.chips.ds3231 import Ds3231
from host_tools.emulator.chips.ssd1322 import Ssd1322
from tests.support.pi_parts import FakeGpio, PanelSpidev


@pytest.fixture
def gpio(monkeypatch: pytest.MonkeyPatch) -> FakeGpio:
    return FakeGpio(monkeypatch)


def test_raspberry_pi_pins(gpio: FakeGpio) -> None:
    pins = RpiPins()
    assert ("mode", gpio.BCM) in gpio.done
    pins.mode(4, OUT)
    pins.mode(5, IN_PULLUP)
    pins.mode(6, IN)
    assert gpio.done[-3:] == [
        ("setup", 4, gpio.OUT, {"initial": gpio.LOW}),
        ("setup", 5, gpio.IN, {"pull_up_down": gpio.PUD_UP}),
        ("setup", 6, gpio.IN, {"pull_up_down": gpio.PUD_OFF}),
    ]
    pins.write(4, 1)
    assert pins.read(4) == 1
    pins.pwm(4, 2400, 50)
    pins.pwm(4, 1200, 50)
    pins.pwm(4, 0, 0)
    assert gpio.done[-4:] == [
        ("wave", 4, 2400, 50), ("silent", 4), ("wave", 4, 1200, 50), ("silent", 4),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no pin mode"):
        pins.mode(4, 9)
    for act in (lambda: pins.mode(99, OUT), lambda: pins.write(99, 1), lambda: pins.read(99)):
        with pytest.raises(BusError, match="pin 99: not"):
            act()


def test_no_raspberry_pi_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "RPi", None)
    with pytest.raises(BusError, match=r"RPi\.GPIO does not work here"):
        RpiPins()


def test_what_only_lgpio_raises_is_named(gpio: FakeGpio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error derives from Exception alone, so it passed every hand."""

    class Error(Exception):
        pass

    def fails(*_: Any, **__: Any) -> None:
        raise Error("can not open gpiochip")

    lgpio = types.ModuleType("lgpio")
    lgpio.error = Error  # type: ignore[attr-defined]  # as the real module has it
    monkeypatch.setitem(sys.modules, "lgpio", lgpio)
    pins = RpiPins()
    for name in ("setup", "output", "input"):
        monkeypatch.setattr(gpio, name, fails)
    for act in (lambda: pins.mode(4, OUT), lambda: pins.write(4, 1), lambda: pins.read(4)):
        with pytest.raises(BusError, match="pin 4: can not open"):
            act()
    monkeypatch.setattr(gpio, "setmode", fails)
    with pytest.raises(BusError, match="pins: can not open gpiochip"):
        RpiPins()


def test_lgpio_does_not_take_the_terminal_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to the folder of its pipes when it is loaded, and stays there."""
    for name in ("RPi", "RPi.GPIO"):  # set first, so that what is imported here is undone too
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    (tmp_path / "RPi").mkdir()
    (tmp_path / "RPi/__init__.py").write_text("")
    (tmp_path / "RPi/GPIO.py").write_text(
        "import os\nos.chdir(os.environ['LG_WD'])\nBCM = 11\nsetwarnings = setmode = print\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LG_WD", raising=False)
    monkeypatch.chdir(tmp_path)
    RpiPins()
    assert Path.cwd() == tmp_path


class _Message:
    def __init__(self, address: int, data: bytes, count: int) -> None:
        self.address, self.data, self.count = address, data, count

    def __iter__(self) -> Any:
        return iter(self.data)


def test_i2c_by_smbus2(monkeypatch: pytest.MonkeyPatch) -> None:
    import smbus2

    chip = Ds3231(lambda: 0, 1_795_248_000)

    class Bus:
        def __init__(self, port: int) -> None:
            assert port == 1

        def i2c_rdwr(self, *messages: _Message) -> None:
            write = b""
            for message in messages:
                if message.address != chip.address:
                    raise OSError(121, "Remote I/O error")
                if message.count:
                    message.data = chip.exchange(write, message.count)
                    return
                write = message.data
            chip.exchange(write, 0)

        def close(self) -> None:
            pass

    class Messages:
        @staticmethod
        def write(address: int, data: bytes) -> _Message:
            return _Message(address, data, 0)

        @staticmethod
        def read(address: int, count: int) -> _Message:
            return _Message(address, b"", count)

    monkeypatch.setattr(smbus2, "SMBus", Bus)
    monkeypatch.setattr(smbus2, "i2c_msg", Messages)
    bus = LinuxI2c(1)
    assert bus.transfer(0x68, b"\x00", 3) == bytes((0x00, 0x00, 0x08))
    assert bus.transfer(0x68, b"\x0e\x00", 0) == b""
    assert bus.transfer(0x68, b"\x0e", 1) == b"\x00"
    with pytest.raises(BusError, match=r"i2c bus 1, address 0x36: .*Remote I/O error"):
        bus.transfer(0x36, b"\x02", 2)
    with pytest.raises(ValueError, match="writes or reads"):
        bus.transfer(0x68, b"", 0)
    bus.close()


def test_i2c_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BusError, match="i2c bus 29"):
        LinuxI2c(29)
    with pytest.raises(BusError, match="not found"):
        luma_i2c(29, 0x3C)
    monkeypatch.setitem(sys.modules, "smbus2", None)
    with pytest.raises(BusError, match="smbus2 is not installed"):
        LinuxI2c(1)
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(BusError, match="display"):
        luma_spi(9, 9, 24, 25)


def test_lumas_own_spi_interface_resets_the_panel(
    gpio: FakeGpio, monkeypatch: pytest.MonkeyPatch
) -> None:
    PanelSpidev(Ssd1322(), gpio, 24, 25, monkeypatch)
    held: list[tuple[int, float]] = []
    monkeypatch.setattr(serial, "sleep", lambda s: held.append((gpio.levels[25], s)))
    luma_spi(0, 0, 24, 25)
    # Low for 10 us at least, then 120 ms, in which an ST7789 that was awake hears nothing.
    assert [level for level, _ in held] == [0, 1]
    assert held[0][1] >= 0.00001 and held[1][1] >= 0.12
    with pytest.raises(BusError, match="display: SPI device not found"):
        luma_spi(0, 1, 24, 25)
    with pytest.raises(BusError, match="display: pin 99: not allowed"):
        luma_spi(0, 0, 99, 25)


def test_two_packages_for_the_same_pins_are_refused(
    gpio: FakeGpio, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed side by side one has overwritten the other's files, whichever came last."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("RPi.GPIO", "rpi-lgpio"):
        RpiPins()
        folder = tmp_path / (name.replace("-", "_") + "-0.9.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\n")
    with pytest.raises(BusError, match=r"RPi\.GPIO and rpi-lgpio are both installed"):
        RpiPins()
