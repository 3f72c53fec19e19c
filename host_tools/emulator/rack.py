"""The rack: every chip of a virtual board, wired as its board file says.

A Rack is a Wire in-process: ``transfer(bus, op, payload)`` gives the chip's
answer and the time that the real bus would have been busy.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from firmware.buses.wire import BusError, Wire
from host_tools.emulator.chips.alpar import AlparChip
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.bare_contacts import BareContacts
from host_tools.emulator.chips.call_network import CallNetwork
from host_tools.emulator.chips.card_slot import CardSlotChip
from host_tools.emulator.chips.debug_port import DebugPort
from host_tools.emulator.chips.ds3231 import Ds3231
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.escpos_printer import EscposPrinter
from host_tools.emulator.chips.hid_keys import HidKeys
from host_tools.emulator.chips.i2c import I2cBus
from host_tools.emulator.chips.key_matrix import KeyMatrix
from host_tools.emulator.chips.max17048 import Max17048
from host_tools.emulator.chips.mcu import Mcu
from host_tools.emulator.chips.net import Endpoint, NetChip
from host_tools.emulator.chips.panel_buses import I2cPanel, SpiPanel
from host_tools.emulator.chips.pins import Lamps, PinBank, Switch
from host_tools.emulator.chips.pn532 import Pn532
from host_tools.emulator.chips.serial_line import SerialLine
from host_tools.emulator.chips.ssd1306 import OledChip
from host_tools.emulator.chips.ssd1322 import Ssd1322
from host_tools.emulator.chips.st7789 import St7789
from host_tools.emulator.chips.trng import Trng
from host_tools.emulator.chips.wlan_net import WlanNet
from host_tools.emulator.chips.wlan_radio import OPEN, WPA2, WPA3, AccessPoint, WlanRadio

#: What the virtual clock chip shows when nobody says otherwise: 2026-11-21 08:00:00 UTC.
DEFAULT_TIME = 1_795_248_000

BOARDS = Path(__file__).resolve().parents[2] / "boards"


class Chip(Protocol):
    """What sits on one bus."""

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer; ChipError says why not."""


def load_board(name: str = "virtual") -> dict[str, Any]:
    """The data of a board in ``boards/``."""
    with open(BOARDS / name / "board.toml", "rb") as file:
        return tomllib.load(file)


class Rack(Wire):
    """All chips of one virtual terminal. They outlive its restarts.

    ``seed`` makes randomness (key bounce, random number generator)
    repeatable; a seeded generator says that it is not genuine.
    """

    def __init__(
        self,
        clock_us: Callable[[], int],
        seed: int | None,
        board: Mapping[str, Any] | None = None,
        unix_seconds: int | None = DEFAULT_TIME,
    ) -> None:
        board = _filled(board)
        self.board = board
        self._clock_us = clock_us
        self.transfers = 0
        panel, pad, paper = board["display"], board["keypad"], board["printer"]
        lamps, uart = board["indicators"], board["bus"][board["printer"]["bus"]]
        self.display = _panel(panel)
        self.pins = PinBank(clock_us)
        self.keys = KeyMatrix(self.pins, clock_us, pad["rows"], pad["columns"], pad["keys"], seed)
        self.printer = EscposPrinter(
            clock_us, paper["dots"], uart["baud"], charset=_charset(paper.get("chinese", "none"))
        )
        names = [name for name in ("ready", "busy", "ok", "error") if name in lamps]
        self.lamps = Lamps(
            self.pins, clock_us, {name: lamps[name] for name in names}, lamps.get("buzzer")
        )
        self.tamper = Switch(self.pins, board["tamper"]["pin"], closed=True)
        self.mains = Switch(self.pins, board["power"]["mains_pin"], closed=True)
        self.rtc = Ds3231(clock_us, unix_seconds)
        self.gauge = Max17048()
        self.trng = Trng(seed)
        self.net = NetChip(clock_us)
        self.modem = AtModemChip(clock_us, "ec25", ports=2, seed=seed or 0)
        self.pc = SerialLine(clock_us)
        self.scanner = SerialLine(clock_us)
        self.swipe = HidKeys(clock_us)
        self.slot = CardSlotChip()
        self.nfc = Pn532(clock_us)
        self.contacts: BareContacts | None = None
        self.coprocessor = AlparChip(clock_us, self.slot, seed or 0)
        self.mcu = Mcu(clock_us)
        self.radio = WlanRadio(clock_us)
        self.wlan_net = WlanNet(clock_us, self.radio, self._dial)
        self.debug = DebugPort()
        self._seats: dict[str, Chip] = {
            "panel": self.display,
            "gpio": self.pins,
            "printer": self.printer,
            "i2c": I2cBus([self.rtc, self.gauge, self.nfc.i2c]),
            "net": self.net,
            "trng": self.trng,
            "modem": self.modem.port(0),
            "modem_data": self.modem.port(1),
            "pc": self.pc,
            "card": self.slot,
            "nfc_uart": self.nfc.serial,
            "nfc_spi": self.nfc.spi,
            "reader": self.coprocessor,
            "scanner": self.scanner,
            "swipe": self.swipe,
            "mcu": self.mcu,
            "wlan": self.radio,
            "wlan_net": self.wlan_net,
            "debug": self.debug,
        }
        self._wire_panel(board)
        self._wire_contacts(board)
        self._wire_links(board)

    def _dial(self, host: str, port: int) -> Endpoint | None:
        """Behind each link is what is behind ``net``."""
        return self.net.dial(host, port)

    def _wire_links(self, board: Mapping[str, Any]) -> None:
        """The access point of the board's Wi-Fi, and a network behind its modem's calls."""
        for bus in board["bus"].values():
            if bus["driver"] == "wire_wlan":
                kind = {"open": OPEN, "wpa3": WPA3}.get(bus.get("security", ""), WPA2)
                self.radio.air.append(AccessPoint(bus["ssid"], bus.get("key", ""), kind))
            elif bus["driver"] == "wire_call":
                self.modem.dial = lambda: CallNetwork(self._dial)

    def _wire_contacts(self, board: Mapping[str, Any]) -> None:
        """The slot's card on the serial port and pins of a board without a card controller."""
        for bus in board["bus"].values():
            if bus["driver"] == "serial_card":
                present, power, reset = (
                    (bus[f"{name}_pin"], bus.get(f"{name}_level", 0))
                    for name in ("present", "power", "reset")
                )
                self.contacts = self._seats["contacts"] = BareContacts(
                    self._clock_us, self.pins, present, power, reset, self.slot,
                    board["bus"][bus["bus"]]["baud"],
                )  # fmt: skip

    def _wire_panel(self, board: Mapping[str, Any]) -> None:
        """The panel on the I2C or SPI bus that a microcontroller's board gives it."""
        bus = board["bus"].get(board["display"].get("bus"), {})
        if bus.get("driver") == "i2c_display":
            panel = I2cPanel(self.display, bus.get("address", 0x3C))
            self._seats["i2c"] = I2cBus([self.rtc, self.gauge, self.nfc.i2c, panel])
        elif bus.get("driver") == "spi_display":
            select = board["bus"][bus["bus"]].get("select")
            self._seats["spi"] = SpiPanel(self.display, self.pins, bus["dc_pin"], select)

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer: (answer, busy time in us). BusError."""
        self.transfers += 1
        seat = self._seats.get(bus)
        if seat is None:
            raise BusError(f"no bus {bus!r}; the rack has {', '.join(sorted(self._seats))}")
        try:
            return seat.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None

    def lose_power(self) -> None:
        """The terminal is dead: what has its supply goes dark and forgets its connections."""
        self.display.transfer(1, b"\xae")
        self.net.cut()
        self.radio.switch(False)
        self.modem.hang_up()
        self.debug.forget()

    def now_us(self) -> int:
        """The injected clock."""
        return self._clock_us()


def _filled(board: Mapping[str, Any] | None) -> dict[str, Any]:
    """``board`` with the virtual board's chips in the places that it leaves empty: the
    rack has every chip, whether the terminal's board knows of it or not."""
    whole = load_board()
    if board is not None:
        buses = {**whole["bus"], **board.get("bus", {})}
        whole.update(board)
        whole["bus"] = buses
    return whole


def _panel(panel: Mapping[str, Any]) -> OledChip | Ssd1322 | St7789:
    size, offset = (panel["width"], panel["height"]), panel.get("column_offset", 0)
    if panel["driver"] == "ssd1322":
        return Ssd1322(*size)
    if panel["driver"] == "st7789":
        return St7789(*size, offset)
    return OledChip(*size, panel["driver"], offset)


def _charset(chinese: str) -> str:
    return {"gb18030": "gb18030", "gbk": "gbk", "utf8": "utf-8"}.get(chinese, "")
