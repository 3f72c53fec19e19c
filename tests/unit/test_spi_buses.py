"""SPI and long I2C reads: on the wire, and Linux's against a stand-in for spidev."""

import sys
import types
from typing import Any

import pytest

from firmware.buses.spi_linux import LinuxSpi
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_bus import WireI2c, WireSpi
from host_tools import board_file
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.i2c import I2cBus


class _Echo:
    """Gives back what was sent, each byte one higher; the first as it left."""

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        if op != 1:
            raise ChipError(f"echo: operation {op}")
        return bytes(byte + 1 & 0xFF for byte in payload), 7


class _Memory:
    """An I2C chip that counts up from what was written last."""

    address = 0x51

    def __init__(self) -> None:
        self.at = 0

    def exchange(self, write: bytes, read: int) -> bytes:
        self.at = write[-1] if write else self.at
        return bytes(self.at + i & 0xFF for i in range(read))


class _Seat(Wire):
    def __init__(self, chip: Any) -> None:
        self.chip = chip
        self.cut = 0

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        try:
            answer, busy = self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None
        return answer[: len(answer) - self.cut], busy


def test_spi_on_the_wire() -> None:
    seat = _Seat(_Echo())
    spi = WireSpi(seat, "spi")
    assert spi.transfer(b"\x01\xff\x00") == b"\x02\x00\x01"
    assert spi.busy_us == 7
    seat.cut = 1
    with pytest.raises(BusError, match="2 bytes instead of 3"):
        spi.transfer(b"abc")


@pytest.mark.parametrize("count", [1, 255, 256, 300, 1000])
def test_i2c_reads_of_any_length(count: int) -> None:
    i2c = WireI2c(_Seat(I2cBus([_Memory()])), "i2c")
    assert i2c.transfer(0x51, b"\x05", count) == bytes(5 + i & 0xFF for i in range(count))
    with pytest.raises(BusError, match="no acknowledge"):
        i2c.transfer(0x52, b"\x05", count)


def test_i2c_counts_that_no_transfer_has() -> None:
    i2c = WireI2c(_Seat(I2cBus([_Memory()])), "i2c")
    for address, count in ((128, 1), (-1, 1), (0x51, -1), (0x51, 65536)):
        with pytest.raises(ValueError, match="out of range"):
            i2c.transfer(address, b"", count)
    for op, payload in ((0, b"\x51\x01"), (3, b"\x51\x00\x01"), (1, b"\x51"), (2, b"\x51\x01")):
        with pytest.raises(ChipError, match="operation"):
            I2cBus([_Memory()]).transfer(op, payload)


class FakeSpidev(types.ModuleType):
    """spidev as its documentation describes it."""

    def __init__(self) -> None:
        super().__init__("spidev")
        fake = self
        self.broken = False
        self.opened: list[tuple[int, int]] = []

        class SpiDev:
            mode = -1
            max_speed_hz = 0

            def open(self, port: int, device: int) -> None:
                if port != 0:
                    raise FileNotFoundError(2, "No such file or directory")
                fake.opened.append((port, device))

            def xfer2(self, data: list[int]) -> list[int]:
                if fake.broken:
                    raise OSError(5, "Input/output error")
                assert self.mode == 0 and self.max_speed_hz == 500_000
                if len(data) > 4096:
                    raise OverflowError("Argument list size exceeds 4096 bytes.")
                return [byte ^ 0xFF for byte in data]

            def close(self) -> None:
                fake.opened.pop()

        self.SpiDev = SpiDev


def test_spi_by_spidev(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSpidev()
    monkeypatch.setitem(sys.modules, "spidev", fake)
    bus = LinuxSpi(0, 1, 500_000)
    assert fake.opened == [(0, 1)] and bus.blocking
    assert bus.transfer(b"\x00\x0f") == b"\xff\xf0"
    with pytest.raises(BusError, match=r"spi 0\.1: .*exceeds 4096"):
        bus.transfer(bytes(4097))
    fake.broken = True
    with pytest.raises(BusError, match=r"spi 0\.1: .*Input/output error"):
        bus.transfer(b"\x00")
    bus.close()
    assert fake.opened == []
    with pytest.raises(BusError, match=r"spi 3\.0: .*No such file"):
        LinuxSpi(3, 0)


def test_spi_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(BusError, match="spidev is not installed"):
        LinuxSpi(0, 0)


def _with_spi(**devices: int) -> list[str]:
    board = board_file.read(board_file.find("rpi-zero-2w"))
    for name, device in devices.items():
        board["bus"][name] = {"driver": "linux_spi", "port": 0, "device": device}
    return [line for line in board_file.check(board) if "no device uses" not in line]


def test_the_header_pins_of_spi_belong_to_it() -> None:
    assert _with_spi(nfc=0) == _with_spi(panel_two=1, nfc=0) == []
    both = _with_spi(one=1, two=1)
    assert len(both) == 1 and "pin 7" in both[0] and "bus.one.device" in both[0]
