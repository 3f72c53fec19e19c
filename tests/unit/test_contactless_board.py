"""A board with a contactless reader: its file, its capability, its chip on the rack."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from firmware import board_loader
from firmware.hal.card_reader import ReaderMissing
from firmware.hal.contactless import NoTap
from host_tools import board_file
from host_tools.emulator import deck
from tests.support import rig
from tests.support.virtual_time import run

PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"
I2C = {"driver": "pn532", "bus": "i2c0", "address": 0x24}
UART = {"driver": "wire_serial", "wire": "nfc_uart", "baud": 115200}
SPI = {"driver": "wire_spi", "wire": "nfc_spi"}


def table(device: dict[str, Any], **buses: dict[str, Any]) -> dict[str, Any]:
    """The virtual board's file with a reader on it."""
    board = copy.deepcopy(board_file.read(board_file.find("virtual")))
    board["contactless"] = device
    del board["bus"]["uart3"]  # of its own
    board["bus"].update(buses)
    return board


@pytest.mark.parametrize(
    "board",
    [table(I2C), table({**I2C, "bus": "nfc"}, nfc=UART), table({**I2C, "bus": "nfc"}, nfc=SPI)],
    ids=["i2c", "serial", "spi"],
)
def test_the_reader_answers_on_every_bus_of_the_rack(board: dict[str, Any], tmp_path: Path) -> None:
    if board["contactless"]["bus"] == "nfc":
        del board["contactless"]["address"]
    board["contactless"].update(reset_bus="gpio", reset_pin=20)
    assert board_file.check(board) == []

    async def main() -> None:
        rack = rig.rack(board)
        data = board_file.compiled(board, "0.1.0", 0)
        devices = await board_loader.build(data, rack, str(tmp_path))
        assert devices.failures == [] and devices.capabilities.has_contactless
        rack.nfc.put(deck.load().cards["two-apps"].make_card())
        channel = await devices.contactless.wait_tap(1000)
        data_, sw, _ = await channel.transmit(PPSE)
        assert sw == 0x9000 and data_.count(b"\xa0\x00\x00\x03\x33") == 2
        await devices.contactless.close()

    run(main())


def test_a_chip_that_hangs_is_pulsed_by_its_reset_pin(tmp_path: Path) -> None:
    board = table({**I2C, "reset_bus": "gpio", "reset_pin": 20})

    async def main() -> None:
        rack = rig.rack(board)
        pulses: list[int] = []

        def reset(op: int, payload: bytes) -> tuple[bytes, int]:
            if op == 1 and payload[0] == 20:
                pulses.append(payload[1])
                if not payload[1]:
                    rack.nfc.stalled = False
                    rack.nfc.reset()
            return plain(op, payload)

        plain = rack.pins.transfer
        rack.pins.transfer = reset  # type: ignore[method-assign]  # RSTPDN, low is reset
        data = board_file.compiled(board, "0.1.0", 0)
        devices = await board_loader.build(data, rack, str(tmp_path))
        rack.nfc.put(deck.load().cards["approve"].make_card())
        rack.nfc.stalled = True
        with pytest.raises(ReaderMissing):
            await devices.contactless.wait_tap(1000)
        assert pulses == [1]
        channel = await devices.contactless.wait_tap(1000)
        assert pulses == [1, 0, 1, 1]
        assert (await channel.transmit(PPSE))[1] == 0x9000

    run(main())


def test_a_pc_sc_reader_is_one_too(tmp_path: Path) -> None:
    board = table({"driver": "pcsc_tap", "bus": "slot0"})
    assert board_file.check(board) == []

    async def main() -> None:
        data = board_file.compiled(board, "0.1.0", 0)
        devices = await board_loader.build(data, rig.rack(board), str(tmp_path))
        with pytest.raises(NoTap):
            await devices.contactless.wait_tap(100)

    run(main())


def test_a_board_without_one_says_so() -> None:
    board = board_file.compiled(board_file.read(board_file.find("virtual")), "0.1.0", 0)
    board.pop("contactless", None)
    capabilities = board_loader.Capabilities(board)
    assert not capabilities.has_contactless
    assert board_loader.Devices(board).contactless is None


@pytest.mark.parametrize(
    ("board", "problem"),
    [
        (table({**I2C, "address": 0x68}), "contactless.address: 0x68 of bus 'i2c0' belongs to"),
        (table({**I2C, "bus": "slot0"}), "allowed (serial or i2c or spi): i2c0"),
        (table({**I2C, "bus": "nfc"}, nfc=SPI), "'nfc' is no I2C bus and has no addresses"),
        (table({"driver": "pn532", "bus": "nfc"}, nfc={**UART, "baud": 9600}), "115200 baud"),
        (table({**I2C, "reset_bus": "gpio", "reset_pin": 14}), "already belongs to"),
        (table({**I2C, "reset_pin": 20}), "reset_bus and reset_pin go together"),
        (table({**I2C, "reset_bus": "i2c0", "reset_pin": 20}), "allowed (pins): gpio"),
        (table({"driver": "pn533", "bus": "i2c0"}), "allowed: pcsc_tap, pn532"),
    ],
)
def test_what_is_wrong_with_it_is_named(board: dict[str, Any], problem: str) -> None:
    said = board_file.check(board)
    assert any(problem in line and "contactless" in line for line in said), said
