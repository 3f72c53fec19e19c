"""Linux buses against stand-ins for the libraries and the hardware that is not here."""

import sys
import types
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest

from firmware.buses.i2c_linux import LinuxI2c
from firmware.buses.luma_bus import LumaBus, luma_i2c, luma_spi
from firmware.buses.pins import IN, IN_PULLUP, OUT
from firmware.buses.pins_rpi import RpiPins
from firmware.buses.wire import BusError
from firmware.drivers.oled import Oled
from host_tools.emulator.chips.ds3231 import Ds3231
from host_tools.emulator.chips.ssd1306 import OledChip
from host_tools.emulator.chips.ssd1322 import Ssd1322


class FakeGpio(types.ModuleType):
    """RPi.GPIO as its documentation describes it; keeps what is done."""

    BCM, OUT, IN, LOW, PUD_UP, PUD_OFF = 11, 0, 1, 0, 22, 20

    def __init__(self) -> None:
        super().__init__("RPi.GPIO")
        self.done: list[tuple[Any, ...]] = []
        self.levels: dict[int, int] = {}
        gpio = self

        waves: WeakValueDictionary[int, Any] = WeakValueDictionary()

        class Wave:
            def __init__(self, pin: int, frequency: int) -> None:
                if pin in waves:  # stopped or not, as in both packages
                    raise RuntimeError("A PWM object already exists for this GPIO channel")
                waves[pin] = self
                self.pin, self.frequency = pin, frequency

            def start(self, duty: int) -> None:
                gpio.done.append(("wave", self.pin, self.frequency, duty))

            def stop(self) -> None:
                gpio.done.append(("silent", self.pin))

        self.PWM = Wave

    def setwarnings(self, on: bool) -> None:
        self.done.append(("warnings", on))

    def setmode(self, mode: int) -> None:
        self.done.append(("mode", mode))

    def setup(self, pin: int, direction: int, **more: int) -> None:
        if pin == 99:
            raise RuntimeError("not allowed")
        self.done.append(("setup", pin, direction, more))

    def output(self, pin: int, level: int) -> None:
        if pin == 99:
            raise RuntimeError("not set up")
        self.levels[pin] = level

    def input(self, pin: int) -> int:
        if pin == 99:
            raise RuntimeError("not set up")
        return self.levels.get(pin, 0)


@pytest.fixture
def gpio(monkeypatch: pytest.MonkeyPatch) -> FakeGpio:
    fake = FakeGpio()
    package = types.ModuleType("RPi")
    package.GPIO = fake  # type: ignore[attr-defined]  # as the real package has it
    monkeypatch.setitem(sys.modules, "RPi", package)
    monkeypatch.setitem(sys.modules, "RPi.GPIO", fake)
    return fake


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


class _Smbus:
    """What luma's i2c interface calls, with a panel behind it."""

    def __init__(self) -> None:
        self.panel = OledChip()
        self.broken = False

    def write_i2c_block_data(self, address: int, control: int, data: list[int]) -> None:
        if self.broken:
            raise OSError(121, "Remote I/O error")
        assert address == 0x3C
        self.panel.transfer(1 if control == 0 else 2, bytes(data))


def test_lumas_own_i2c_interface_drives_the_panel() -> None:
    """luma.core's interface object, its 32-byte blocks and control bytes, our page writer."""
    from luma.core.interface.serial import i2c

    from firmware import aio

    async def main() -> None:
        smbus = _Smbus()
        oled = Oled(LumaBus(i2c(bus=smbus, address=0x3C)), "ssd1306", 128, 64, 0)
        frame = bytes(range(256)) * 4
        await oled.show(frame)
        assert smbus.panel.frame() == frame
        smbus.broken = True
        from firmware.hal.display import DisplayError

        with pytest.raises(DisplayError, match="display: "):
            await oled.show(bytes(1024))

    aio.run(main())


class _Spidev(types.ModuleType):
    """What luma's spi interface calls of spidev, with a panel and its pins behind it."""

    def __init__(self, panel: Ssd1322, gpio: FakeGpio) -> None:
        super().__init__("spidev")
        self.panel, self.gpio = panel, gpio
        self.broken = False
        self.max_speed_hz = 0

    def SpiDev(self) -> "_Spidev":
        return self

    def open(self, port: int, device: int) -> None:
        if (port, device) != (0, 1):
            raise FileNotFoundError(2, "No such file or directory")

    def writebytes(self, data: list[int]) -> None:
        if self.broken:
            raise OSError(110, "Connection timed out")
        assert self.max_speed_hz and self.gpio.levels[25] == 1, "out of reset"
        self.panel.transfer(1 + self.gpio.levels[24], bytes(data))


def test_lumas_own_spi_interface_drives_the_panel(
    gpio: FakeGpio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from luma.core.interface import serial

    from firmware import aio
    from firmware.hal.display import DisplayError

    held: list[tuple[int, float]] = []
    monkeypatch.setattr(serial, "sleep", lambda s: held.append((gpio.levels[25], s)))
    spidev = _Spidev(Ssd1322(), gpio)
    monkeypatch.setitem(sys.modules, "spidev", spidev)

    async def main() -> None:
        panel = Oled(luma_spi(0, 1, 24, 25), "ssd1322", 256, 64, 0)
        # Low for 10 us at least, then 120 ms, in which an ST7789 that was awake hears nothing.
        assert [level for level, _ in held] == [0, 1]
        assert held[0][1] >= 0.00001 and held[1][1] >= 0.12
        frame = bytes(range(256)) * 8
        await panel.show(frame)
        assert spidev.panel.frame() == frame and spidev.panel.unknown == []
        spidev.broken = True
        with pytest.raises(DisplayError, match=r"display: .*timed out"):
            await panel.show(bytes(2048))

    aio.run(main())
    with pytest.raises(BusError, match="display: SPI device not found"):
        luma_spi(0, 0, 24, 25)
    with pytest.raises(BusError, match="display: pin 99: not allowed"):
        luma_spi(0, 1, 99, 25)


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
