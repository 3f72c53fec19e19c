"""A card's contacts on a bare serial port: faults of card and line, and a whole chip sale on a
board that has nothing else."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import aio
from firmware.buses import contact_slot, serial_linux
from firmware.buses.contact_slot import ContactSlot
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.serial_mpy import MpySerial
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from host_tools import board_file, board_wiring
from host_tools.emulator import deck, mpy_seats
from host_tools.emulator.chips import bare_contacts
from host_tools.emulator.chips.card import Card
from host_tools.emulator.rack import BOARDS
from tests.support import mcu, rig, virtual_time
from tests.support.bare_wire import POWER, BareWire, reader_with
from tests.support.handheld import Handheld
from tests.unit.test_card_protocols import SELECT, T0, T1, with_check


def card(protocol: int = 0, name: str = "approve", **fields: Any) -> Card:
    made = deck.load().cards[name].make_card()
    made.protocol = protocol
    for field, value in fields.items():
        setattr(made, field, value)
    return made


# ---- on the line ----------------------------------------------------------------------


def talk(work: Callable[[Any, ContactSlot, BareWire], Awaitable[None]], **how: Any) -> BareWire:
    reader, slot, wire = reader_with(**how)

    async def whole() -> None:
        await work(reader, slot, wire)

    virtual_time.run(whole())
    return wire


def powered(wire: BareWire) -> bool:
    return wire.pins.levels[POWER[0]] == POWER[1]


@pytest.mark.parametrize("protocol", [0, 1])
def test_inverse_convention_and_speeds(protocol: int) -> None:
    quick = bytes.fromhex("3BF01300001000") if not protocol else with_check("3BF01300009101 31FE45")

    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        for inverse in (False, True):
            for answers in ([], [quick]):
                wire.chip.inverse = inverse
                normal = T1 if protocol else T0
                first = b"\x3f" if inverse else b"\x3b"
                wire.chip.atrs = [first + (answers or [normal])[0][1:]]
                wire.chip.slot.insert(card(protocol))
                channel = await reader.power_on()
                assert channel.atr == wire.chip.atrs[0]
                assert wire.chip.line.baud == (38400 if answers else 9600)
                data, sw, _ = await channel.transmit(SELECT)
                assert sw == 0x9000 and data[:1] == b"\x6f"
                await reader.power_off()
                assert not powered(wire) and not wire.chip.slot.powered

    talk(work)


def test_a_second_chance_by_warm_reset() -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card())
        wire.chip.atrs = [b"\x3b\x25\x25OPENT", b"\x3b\x25\x25OPENT"]
        channel = await reader.power_on()
        assert wire.chip.resets == 2 and (await channel.transmit(SELECT))[1] == 0x9000
        for bad in (
            b"\x3b\xe0\x00\x00\x20\xff",
            b"\x3b" + b"\xff" * 40,
            b"\x11\x22",
            with_check("3BE0000001"),
        ):
            wire.chip.atrs = [bad]
            with pytest.raises(CardMute):
                await reader.power_on()
            assert not powered(wire)

    talk(work)


@pytest.mark.parametrize("bytewise", [False, True])
def test_t0_at_the_characters(bytewise: bool) -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.faults.bytewise = bytewise
        wire.chip.slot.insert(card(faults=[{"at": 1, "kind": "late", "ms": 3000}]))
        channel = await reader.power_on()
        data, sw, elapsed = await channel.transmit(SELECT)  # NULL after NULL
        assert sw == 0x9000 and data[:1] == b"\x6f" and elapsed >= 3_000_000
        assert (await channel.transmit(bytes.fromhex("00200080")))[1] == 0x6700
        assert wire.chip.tpdus[0] == SELECT[:-1]

    talk(work)


def test_more_time_in_t1() -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card(1, faults=[{"at": 1, "kind": "late", "ms": 12000}]))
        channel = await reader.power_on()
        data, sw, elapsed = await channel.transmit(SELECT)
        assert sw == 0x9000 and data[:1] == b"\x6f" and elapsed >= 12_000_000

    talk(work)


@pytest.mark.parametrize("protocol", [0, 1])
def test_guard_time_between_characters(protocol: int) -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        slow = bytes.fromhex("3B600014") if not protocol else with_check("3BE0001481 31FE45")
        wire.chip.atrs = [slow]
        wire.chip.slot.insert(card(protocol))
        channel = await reader.power_on()
        _, sw, elapsed = await channel.transmit(SELECT)
        assert sw == 0x9000 and elapsed >= 13 * (12 + 20) * 104

    talk(work)


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize(
    "fault",
    [
        {"silent": True},
        {"truncated": 3},
        {"noise": b"\x00\xff\x13"},
        {"deaf_echo": True},
        {"other_echo": 1},
        {"storm": True},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_faults_end_in_time_by_name_and_without_power(protocol: int, fault: dict[str, Any]) -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card(protocol))
        channel = await reader.power_on()
        wire.chip.faults = bare_contacts.Faults(**fault)
        began = aio.ticks_ms()
        with pytest.raises(CardMute):
            await channel.transmit(SELECT)
        assert aio.elapsed_ms(began) <= contact_slot.MOST_BUSY_MS + 3000
        assert not powered(wire)
        began = aio.ticks_ms()
        if "silent" in fault or "noise" in fault:
            with pytest.raises(CardMute):
                await reader.power_on()
            assert aio.elapsed_ms(began) <= 10_000
        wire.chip.faults = bare_contacts.Faults()
        again = await reader.power_on()
        assert (await again.transmit(SELECT))[1] == 0x9000

    talk(work)


@pytest.mark.parametrize("fault", [{"procedure": 0x11}, {"out_of_turn": True}], ids=str)
def test_a_t0_card_out_of_step(fault: dict[str, Any]) -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card())
        channel = await reader.power_on()
        wire.chip.faults = bare_contacts.Faults(**fault)
        with pytest.raises(CardMute):
            await channel.transmit(SELECT)
        assert not powered(wire)

    talk(work)


def test_t1_mends_what_is_broken_and_gives_up_what_stays_broken() -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card(1))
        channel = await reader.power_on()
        wire.chip.faults.deaf = 1
        assert (await channel.transmit(SELECT))[1] == 0x9000
        commands = wire.chip.slot.commands
        wire.chip.faults.deaf = 2
        assert (await channel.transmit(SELECT))[1] == 0x9000
        assert wire.chip.slot.commands == commands + 1
        wire.chip.faults.deaf = 9
        with pytest.raises(CardMute):
            await channel.transmit(SELECT)
        wire.chip.faults = bare_contacts.Faults(abort=True)
        again = await reader.power_on()
        with pytest.raises(CardMute, match="aborts"):
            await again.transmit(SELECT)

    talk(work)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(0, 3))
def test_spoilt_blocks_are_mended_or_named(seed: int, garbled: int, truncated: int) -> None:
    """Two bad blocks in a row are borne wherever they are bad, in their length too."""

    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.slot.insert(card(1))
        channel = await reader.power_on()
        wire.chip.faults.garbled = garbled
        wire.chip.faults.truncated = truncated
        began = aio.ticks_ms()
        try:
            data, sw, _ = await channel.transmit(SELECT)
        except CardMute:
            assert max(garbled, truncated) == 3
            assert aio.elapsed_ms(began) <= contact_slot.MOST_BUSY_MS
            assert not powered(wire)
            return
        assert sw == 0x9000 and data[:1] == b"\x6f"
        assert wire.chip.slot.commands == 1

    talk(work, seed=seed)


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("when_ms", [0, 5, 30, 120, 400])
def test_torn_or_unplugged_in_mid_command(protocol: int, when_ms: int) -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        for unplugged in (False, True):
            wire.chip.slot.insert(card(protocol, faults=[{"at": 1, "kind": "late", "ms": 700}]))
            channel = await reader.power_on()

            async def hand(unplugged: bool = unplugged) -> None:
                await aio.sleep_ms(when_ms)
                wire.broken = unplugged
                if not unplugged:
                    wire.chip.slot.remove()

            pull = aio.spawn("hand", hand())
            began = aio.ticks_ms()
            with pytest.raises(ReaderMissing if unplugged else CardRemoved):
                await channel.transmit(SELECT)
            assert aio.elapsed_ms(began) <= when_ms + 300
            await pull.join()
            wire.broken = False
        again = await reader.power_on()
        assert (await again.transmit(bytes.fromhex("80CA9F3600")))[1] == 0x6985

    talk(work)


def test_a_port_that_does_not_hear_itself() -> None:
    async def work(reader: Any, slot: ContactSlot, wire: BareWire) -> None:
        wire.chip.faults.deaf_echo = True
        wire.chip.slot.insert(card())
        channel = await reader.power_on()
        assert (await channel.transmit(SELECT))[1] == 0x9000

    talk(work, echo=False)


class FakePort:
    """pyserial's port, which keeps what it is set to. A pseudo-terminal would keep no parity."""

    def __init__(self, path: str, baud: int, **how: Any) -> None:
        if how["parity"] == "S":
            raise termios.error(22, "Invalid argument")
        self.modes = [(baud, how["parity"], how["stopbits"])]
        self._parity: str = how["parity"]
        self.baudrate, self.stopbits = baud, how["stopbits"]

    @property
    def parity(self) -> str:
        return self._parity

    @parity.setter
    def parity(self, value: str) -> None:
        if value == "S":
            raise termios.error(22, "Invalid argument")
        self._parity = value

    def reset_input_buffer(self) -> None:
        raise termios.error(5, "Input/output error")  # its plug was pulled

    def cancel_write(self) -> None:
        """Nothing is being written."""

    def close(self) -> None:
        """Nothing is open."""


def test_the_linux_port_changes_pace_and_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakePort] = []

    def opened(*args: Any, **how: Any) -> FakePort:
        made.append(FakePort(*args, **how))
        return made[-1]

    monkeypatch.setattr(serial_linux, "_port_class", lambda: opened)

    async def work() -> None:
        port = LinuxSerial("/dev/tty", 9600)
        try:
            assert made[0].modes == [(9600, "N", 1)]
            port.set_mode(38400, "odd", 2)
            assert (made[0].baudrate, made[0].parity, made[0].stopbits) == (38400, "O", 2)
            assert port.baud == 38400
            with pytest.raises(BusError, match="Input/output"):
                port.drop_input()
            port._lose(port._port)
            port.set_mode(9600, "even", 2)
            port._live()
            assert made[1].modes == [(9600, "E", 2)]
            with pytest.raises(BusError, match="Invalid"):
                port.set_mode(9600, "strange", 2)
            port._lose(port._port)
            with pytest.raises(BusError, match="Invalid"):
                await port.read(1, 100)
        finally:
            await port.close()

    asyncio.run(work())


@pytest.mark.parametrize("port", ["rp2", "esp32"])
def test_a_microcontrollers_port_changes_its_mode_and_keeps_its_buffers(port: str) -> None:
    async def work() -> None:
        rack = rig.rack()
        with mcu.installed(rack, {"pins": "gpio", "uart1": "pc"}, port):
            serial = MpySerial(1, 9600, 4, 5)
            rack.pc.feed(b"early")
            await aio.sleep_ms(20)
            serial.set_mode(38400, "odd", 2)
            assert rack.pc.baud == serial.baud == 38400
            rack.pc.feed(bytes(1500))
            await aio.sleep_ms(500)
            assert len(await serial.read(2000, 0)) >= 1500
            with pytest.raises(BusError, match="parity"):
                serial.set_mode(9600, "strange", 2)
            rack.pc.unplugged = True
            with pytest.raises(BusError, match="uart 1"):
                serial.set_mode(9600, "even", 2)
            await serial.close()
            with pytest.raises(BusError, match="closed"):
                serial.set_mode(9600, "even", 2)

    virtual_time.run(work())


def test_the_card_of_a_microcontrollers_board_is_at_its_contacts(tmp_path: Path) -> None:
    board = board_file.read(board_file.find(str(board_with_contacts(tmp_path))))
    board["bus"]["slot_uart"] = {"driver": "mpy_serial", "port": 1, "baud": 9600, "tx": 4, "rx": 5}
    assert mpy_seats.seats(board)["uart1"] == "contacts"


def test_a_port_of_one_mode_says_so() -> None:
    with pytest.raises(BusError, match="one mode"):
        SerialPort().set_mode(9600, "even", 2)


# ---- on a board ------------------------------------------------------------------------

CONTACTS = """
[bus.slot0]
driver = "serial_card"
bus = "slot_uart"
pins_bus = "gpio"
present_pin = 16
power_pin = 17
reset_pin = 18

[bus.slot_uart]
driver = "wire_serial"
wire = "contacts"
baud = 9600
"""


def board_with_contacts(folder: Path, old: str = "", new: str = "") -> Path:
    """The virtual board with bare contacts in place of the slot on the wire."""
    text = (BOARDS / "virtual" / "board.toml").read_text(encoding="utf-8")
    slot = '[bus.slot0]\ndriver = "wire_card"\nwire = "card"\n'
    assert text.count(slot) == 1
    text = text.replace(slot, CONTACTS)
    assert old in text
    (folder / "board.toml").write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.mark.parametrize("protocol", [0, 1])
def test_a_whole_chip_sale(tmp_path: Path, protocol: int) -> None:
    async def work() -> None:
        hand = Handheld(board=str(board_with_contacts(tmp_path)))
        await hand.power_on()
        hand.insert("cda").protocol = protocol
        hand.remove()
        await hand.pay("1234", "cda")
        assert "12.34" in hand.text
        await hand.back_to_idle()
        assert "12.34" in hand.paper
        assert hand.rack.contacts is not None
        assert any(sent[1] == 0xAE for sent in hand.rack.contacts.tpdus)  # GENERATE AC
        await hand.power_off()

    virtual_time.run(work())


def test_the_board_file_knows_its_pins(tmp_path: Path) -> None:
    board = board_file.read(board_file.find(str(board_with_contacts(tmp_path))))
    found = [(one.signal, one.end) for one in board_wiring.wires(board)]
    assert ("present", "GPIO16") in found and ("RESET", "GPIO18") not in found
    board_with_contacts(tmp_path, "power_pin = 17", "power_pin = 13")
    with pytest.raises(board_file.BoardFileError, match=r"pin 13 .* already belongs to"):
        board_file.read(tmp_path / "board.toml")
    board_with_contacts(tmp_path, 'pins_bus = "gpio"', 'pins_bus = "i2c0"')
    with pytest.raises(board_file.BoardFileError, match="another kind of bus"):
        board_file.read(tmp_path / "board.toml")
