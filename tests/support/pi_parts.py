"""Stand-ins for the libraries of a Raspberry Pi, with virtual chips behind its buses."""

from __future__ import annotations

import ctypes
import sys
import types
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import pytest
import smbus2

from firmware.buses.wire import BusError
from host_tools.emulator.chips.display_parts import DisplayChip
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.pins import IN, IN_PULLUP, OUT
from host_tools.emulator.rack import Rack

#: Where a panel is on I2C.
I2C_PORT, I2C_ADDRESS = 7, 0x3C


class FakeGpio(types.ModuleType):
    """RPi.GPIO as its documentation describes it; keeps what is done."""

    BCM, OUT, IN, LOW, PUD_UP, PUD_OFF = 11, 0, 1, 0, 22, 20

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("RPi.GPIO")
        package = types.ModuleType("RPi")
        package.GPIO = self  # type: ignore[attr-defined]  # as the real package has it
        monkeypatch.setitem(sys.modules, "RPi", package)
        monkeypatch.setitem(sys.modules, "RPi.GPIO", self)
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


class BankGpio(types.ModuleType):
    """RPi.GPIO on the pins of a rack."""

    BCM, OUT, IN, LOW, PUD_UP, PUD_OFF = 11, 0, 1, 0, 22, 20

    def __init__(self, rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("RPi.GPIO")
        package = types.ModuleType("RPi")
        package.GPIO = self  # type: ignore[attr-defined]  # as the real package has it
        monkeypatch.setitem(sys.modules, "RPi", package)
        monkeypatch.setitem(sys.modules, "RPi.GPIO", self)
        self._rack = rack
        self.PWM = lambda pin, frequency: _Wave(self, pin, frequency)

    def act(self, op: int, *payload: int) -> bytes:
        """One operation of the bank. RuntimeError."""
        try:
            return self._rack.pins.transfer(op, bytes(payload))[0]
        except ChipError as error:
            raise RuntimeError(str(error)) from None

    def setwarnings(self, on: bool) -> None:
        pass

    def setmode(self, mode: int) -> None:
        assert mode == self.BCM

    def setup(
        self, pin: int, direction: int, pull_up_down: int = PUD_OFF, initial: int | None = None
    ) -> None:
        if direction == self.IN:
            self.act(3, pin, IN_PULLUP if pull_up_down == self.PUD_UP else IN)
            return
        self.act(3, pin, OUT)
        if initial is not None:
            self.act(1, pin, initial)

    def output(self, pin: int, level: int) -> None:
        self.act(1, pin, level)

    def input(self, pin: int) -> int:
        return self.act(2, pin)[0]


class _Wave:
    def __init__(self, gpio: BankGpio, pin: int, frequency: int) -> None:
        self._gpio, self._pin, self._frequency = gpio, pin, frequency

    def start(self, duty: int) -> None:
        self._gpio.act(4, self._pin, *self._frequency.to_bytes(2, "big"), duty)

    def stop(self) -> None:
        self._gpio.act(4, self._pin, 0, 0, 0)


class RackSmbus:
    """smbus2 on the I2C bus of a rack, at ``I2C_PORT``."""

    def __init__(self, rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(smbus2, "SMBus", self._open)
        self._rack = rack

    def _open(self, port: int) -> RackSmbus:
        if port != I2C_PORT:
            raise FileNotFoundError(2, "No such file or directory")
        return self

    def i2c_rdwr(self, *messages: Any) -> None:
        write = b""
        for message in messages:
            if not message.flags & 1:  # I2C_M_RD
                write = bytes(message)
        reading = [message for message in messages if message.flags & 1]
        head = bytes((messages[0].addr,)) + (len(reading[0]) if reading else 0).to_bytes(2, "big")
        try:
            answer = self._rack.transfer("i2c", 2, head + write)[0]
        except BusError:
            raise OSError(121, "Remote I/O error") from None
        for message in reading:
            ctypes.memmove(message.buf, answer, len(message))

    def close(self) -> None:
        pass


class PanelSpidev(types.ModuleType):
    """spidev, with a panel at port 0, device 0 and its pins on the header. Nothing on this bus
    says that it heard: a panel that is mute is a controller that stalls."""

    def __init__(
        self, panel: DisplayChip, gpio: FakeGpio, dc: int, reset: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        super().__init__("spidev")
        monkeypatch.setitem(sys.modules, "spidev", self)
        self._panel, self._gpio = panel, gpio
        self._dc, self._reset = dc, reset
        self.mode = 0
        self.max_speed_hz = 0

    def SpiDev(self) -> PanelSpidev:
        return self

    def open(self, port: int, device: int) -> None:
        if (port, device) != (0, 0):
            raise FileNotFoundError(2, "No such file or directory")

    def writebytes(self, data: Sequence[int]) -> None:
        if len(data) > 4096:
            raise OverflowError("Argument list size exceeds 4096 bytes.")
        assert self.max_speed_hz and self.mode == 0
        if self._gpio.levels[self._reset]:
            try:
                self._panel.transfer(1 + self._gpio.levels[self._dc], bytes(data))
            except ChipError:
                raise OSError(110, "Connection timed out") from None

    def xfer2(self, data: Sequence[int]) -> list[int]:
        self.writebytes(data)
        return [0xFF] * len(data)

    def close(self) -> None:
        pass


class PanelSmbus:
    """smbus2, with a panel at ``I2C_PORT`` and ``I2C_ADDRESS``."""

    def __init__(self, panel: DisplayChip, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(smbus2, "SMBus", self._open)
        self._panel = panel

    def _open(self, port: int) -> PanelSmbus:
        if port != I2C_PORT:
            raise FileNotFoundError(2, "No such file or directory", f"/dev/i2c-{port}")
        return self

    def _take(self, address: int, control: int, data: bytes) -> None:
        try:
            if address != I2C_ADDRESS:
                raise ChipError("no acknowledge")
            self._panel.transfer(1 if control == 0 else 2, data)
        except ChipError:
            raise OSError(121, "Remote I/O error") from None

    def write_i2c_block_data(self, address: int, control: int, data: list[int]) -> None:
        if len(data) > 32:
            raise ValueError("Data length cannot exceed 32 bytes")
        self._take(address, control, bytes(data))

    def i2c_rdwr(self, *messages: Any) -> None:
        for message in messages:
            control, *data = list(message)
            self._take(message.addr, control, bytes(data))

    def close(self) -> None:
        pass
