"""Builds the devices of a board from its compiled data (docs/boards.md).

The one place beside main that knows every driver by name. A driver that
cannot start is a named failure in ``Devices.failures`` and its device is
None: nothing falls back to another driver.
"""

import sys

from firmware.board_buses import BUSES
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.wire import Wire

    Settings = dict[str, Any]
    #: Gives the device that ``settings`` describe, from what stands already.
    Maker = Callable[["Bench", Settings], Any]

_CPYTHON = sys.implementation.name == "cpython"

#: Order of building: a device may stand on those before it.
KINDS = (
    "display", "entropy", "files", "keypad", "vault", "pin_entry", "clock", "power", "tamper",
    "indicators", "printer", "card_reader", "contactless", "scanner", "stripe", "restart",
    "network", "pc_pipe", "pc_net", "watchdog",
)  # fmt: skip


class BoardError(TillError):
    """The board's data cannot be used: unknown driver, missing setting, missing bus."""

    text_key = "error.board"


class Capabilities:
    """What the app may ask of its board."""

    def __init__(self, board: "Settings") -> None:
        printer = board.get("printer", {})
        self.has_printer = "printer" in board
        self.columns = int(printer.get("columns", 0))
        self.cutter = bool(printer.get("cutter", False))
        self.has_network = "network" in board
        self.has_battery = "power" in board
        #: No payment begins on a battery with less; a board says otherwise.
        self.least_percent = int(board.get("power", {}).get("least_percent", 10))
        self.has_tamper = "tamper" in board
        self.has_card_reader = "card_reader" in board
        self.has_contactless = "contactless" in board
        self.has_scanner = "scanner" in board
        self.has_stripe = "stripe" in board
        self.has_pc_pipe = "pc_pipe" in board
        pad = board.get("keypad", {})
        self.keys = [key for line in pad.get("keys", []) for key in line if key]
        self.keys += sorted(set(pad.get("codes", {}).values()))
        #: The chips are software: said on the screen and on every receipt.
        self.emulated = bool(board.get("emulated", False))
        #: Test bundles are accepted: said on the screen and on every receipt.
        self.test_trust = bool(board.get("trust", {}).get("test", False))


class Devices:
    """The devices of a board by contract; None where it has none, or where it failed."""

    def __init__(self, board: "Settings") -> None:
        self.display: "Any" = None
        self.keypad: "Any" = None
        self.printer: "Any" = None
        self.card_reader: "Any" = None
        self.contactless: "Any" = None
        self.scanner: "Any" = None
        self.stripe: "Any" = None
        self.pin_entry: "Any" = None
        self.network: "Any" = None
        self.indicators: "Any" = None
        self.power: "Any" = None
        self.tamper: "Any" = None
        self.clock: "Any" = None
        self.files: "Any" = None
        self.entropy: "Any" = None
        self.vault: "Any" = None
        self.pc_pipe: "Any" = None
        self.pc_net: "Any" = None
        self.watchdog: "Any" = None
        self.restart: "Any" = None
        #: The links' last rung (services/last_rung.py), where the board can restart.
        self.last_rung: "Any" = None
        self.capabilities = Capabilities(board)
        #: Hear of each step of the links (app/link_log.py, services/link_report.py).
        self.step_listeners: "list[Callable[[Any], None]]" = []
        #: (kind, driver, error) of each device that could not start.
        self.failures: "list[tuple[str, str, TillError]]" = []


class Bench:
    """Where devices are put together: the wire, the data folder, buses by name."""

    def __init__(
        self, board: "Settings", wire: "Wire | None", data_dir: str, devices: Devices
    ) -> None:
        self.data_dir = data_dir
        self.devices = devices
        self._board = board
        self._wire = wire
        #: The system's D-Bus, once a link asked for it.
        self.dbus: "Any" = None
        self._buses: "dict[str, Any]" = {}
        self._failed: "dict[str, TillError]" = {}

    def wire(self) -> "Wire":
        """The wire to software chips. BoardError when this terminal has none."""
        if self._wire is None:
            raise BoardError("the board is on a wire and none was given")
        return self._wire

    def bus(self, name: str) -> "Any":
        """The bus of that name, opened at first use. BoardError, BusError."""
        if name in self._failed:
            raise self._failed[name]
        if name not in self._buses:
            try:
                self._buses[name] = self.new_bus(name)
            except TillError as error:
                self._failed[name] = error
                raise
        return self._buses[name]

    def new_bus(self, name: str) -> "Any":
        """The bus of that name, opened for the caller alone. BoardError, BusError."""
        settings = self._board.get("bus", {}).get(name)
        if settings is None:
            raise BoardError("the board has no bus " + name)
        return self.make(BUSES, "bus " + name, settings)

    def announced(self) -> "tuple[str, str]":
        """Serial number and board, as a network may be told."""
        return str(self._board["serial"]), str(self._board["name"])

    def tables(self, kind: str) -> "Settings":
        """The board's tables of a kind by name; {} for none."""
        tables: "Settings" = self._board.get(kind, {})
        return tables

    def make(self, table: "dict[str, Maker]", what: str, settings: "Settings") -> "Any":
        """What ``settings`` describe, by its driver in ``table``. BoardError, BusError."""
        return _make(table, what, self, settings)

    def need(self, kind: str) -> "Any":
        """A device built before. BoardError when it is not there."""
        device = getattr(self.devices, kind)
        if device is None:
            raise BoardError("needs the " + kind + ", which did not start")
        return device


def _make(table: "dict[str, Maker]", what: str, bench: Bench, settings: "Settings") -> "Any":
    """Call the maker of ``settings``' driver; whatever it lacks is a BoardError."""
    driver = str(settings.get("driver", ""))
    maker = table.get(driver)
    if maker is None:
        known = ", ".join(sorted(table))
        raise BoardError(what + ": no driver " + repr(driver) + "; there are " + known)
    try:
        return maker(bench, settings)
    except KeyError as error:
        raise BoardError(
            what + " (" + driver + "): setting " + str(error) + " is missing"
        ) from None
    except (ImportError, ValueError, TypeError, OSError) as error:
        raise BoardError(what + " (" + driver + "): " + str(error)) from None


# Devices


def _oled(bench: Bench, s: "Settings") -> "Any":
    arguments = [
        bench.bus(s["bus"]), s["driver"], s["width"], s["height"], s.get("column_offset", 0)
    ]  # fmt: skip
    pixels = s["driver"] in ("ssd1322", "st7789")
    if pixels:
        arguments += [int(s.get("ink", "ffffff"), 16), int(s.get("paper", "000000"), 16)]
    if _CPYTHON:
        from firmware.drivers.oled import Oled

        return Oled(*arguments)
    if pixels:
        from firmware.drivers.panel_bare import BarePanel

        return BarePanel(*arguments)
    from firmware.drivers.oled_bare import BareOled

    return BareOled(*arguments)


def _key_matrix(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.key_matrix import KeyMatrix

    keypad = KeyMatrix(bench.bus(s["bus"]), s["rows"], s["columns"], s["keys"])
    keypad.start()
    return keypad


def _key_device(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.key_device import KeyDevice

    keypad = KeyDevice(bench.bus(s["bus"]), s["codes"])
    keypad.start()
    return keypad


def _escpos(bench: Bench, s: "Settings") -> "Any":
    return _on_port(bench.bus(s["bus"]), s)


def _escpos_net(bench: Bench, s: "Settings") -> "Any":
    from firmware.buses.net_port import NetPort

    return _on_port(NetPort(bench.bus(s["bus"]), s["host"], s.get("port", 9100)), s)


def _on_port(port: "Any", s: "Settings") -> "Any":
    from firmware.drivers.escpos import EscposPrinter
    from firmware.drivers.escpos_encode import Profile

    profile = Profile(
        s["columns"],
        s["dots"],
        s.get("chinese", "raster"),
        bool(s.get("latin", True)),
        s.get("qr", "native"),
        bool(s.get("cutter", False)),
        bool(s.get("answers", True)),
    )
    return EscposPrinter(port, profile, s.get("buffer", 4096))


def _ds3231(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.ds3231 import Ds3231

    chip = Ds3231(bench.bus(s["bus"]), s.get("address", 0x68))
    if not s.get("rtc", False):
        return chip
    from firmware.drivers.rtc_mpy import ClockBesideRtc

    return ClockBesideRtc(chip)


def _linux_rtc(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.rtc_linux import LinuxRtc

    return LinuxRtc(s.get("path", "/dev/rtc0"))


def _linux_power(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.power_linux import LinuxPower

    return LinuxPower(s.get("battery", ""), cutoff_mv=s.get("cutoff_mv", 0))


def _linux_watchdog(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.watchdog_linux import LinuxWatchdog

    return LinuxWatchdog(s.get("path", "/dev/watchdog"), s.get("timeout_s", 60))


def _mpy_watchdog(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.watchdog_mpy import MpyWatchdog

    return MpyWatchdog(s.get("timeout_ms", 8000))


def _system_restart(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.restart_linux import COMMAND, LinuxRestarter

    return LinuxRestarter(tuple(s.get("command", COMMAND)))


def _mpy_restart(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.restart_mpy import MpyRestarter

    return MpyRestarter()


def _mpy_rtc(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.rtc_mpy import MpyRtc

    return MpyRtc()


def _system_clock(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.system_clock import SystemClock

    return SystemClock()


def _max17048(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.max17048 import CUTOFF_MV, Max17048

    pins = bench.bus(s["mains_bus"]) if "mains_bus" in s else None
    pin, level = s.get("mains_pin", -1), s.get("mains_level", 0)
    cutoff_mv = s.get("cutoff_mv", CUTOFF_MV)
    return Max17048(bench.bus(s["bus"]), s.get("address", 0x36), pins, pin, level, cutoff_mv)


def _tamper_pin(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.tamper_pin import TamperPin

    return TamperPin(bench.bus(s["bus"]), s["pin"], s.get("open_level", 1))


def _lamps(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.lamps import LampsAndBuzzer
    from firmware.hal.indicators import LAMPS

    lamps: "dict[str, int]" = {}
    for name in LAMPS:
        if name in s:
            lamps[name] = s[name]
    waves = bench.bus(s["buzzer_bus"]) if "buzzer_bus" in s else None
    return LampsAndBuzzer(bench.bus(s["bus"]), lamps, s.get("buzzer"), waves)


def _chip_reader(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.chip_reader import ChipReader

    return ChipReader(bench.bus(s["bus"]))


def _alpar_reader(bench: Bench, s: "Settings") -> "Any":
    from firmware.buses.alpar import AlparSlot
    from firmware.drivers.chip_reader import ChipReader

    volts, pps = s.get("volts", "5"), bool(s.get("pps", False))
    return ChipReader(AlparSlot(bench.bus(s["bus"]), volts, pps))


def _pn532(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.late_reader import LateReader

    bus = bench.bus(s["bus"])
    restart: "Any" = None
    if "reset_bus" in s:
        from firmware.buses.pin_restart import PinRestart

        restart = PinRestart(bench.bus(s["reset_bus"]), s["reset_pin"], ((0, 20), (1, 20)))
    return LateReader(lambda: _pn532_on(bus, restart, s))


def _pn532_on(bus: "Any", restart: "Any", s: "Settings") -> "Any":
    """The reader's driver, which is loaded for its first question."""
    from firmware.buses.i2c import I2c
    from firmware.buses.spi import Spi
    from firmware.drivers import pn532_port
    from firmware.drivers.pn532 import Pn532
    from firmware.drivers.pn532_reader import Pn532Reader

    port: "pn532_port.Pn532Port"
    if isinstance(bus, I2c):
        port = pn532_port.I2cPn532(bus, s.get("address", pn532_port.ADDRESS))
    elif isinstance(bus, Spi):
        port = pn532_port.SpiPn532(bus)
    else:
        port = pn532_port.SerialPn532(bus)
    return Pn532Reader(Pn532(port, restart))


def _pcsc_tap(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.slot_tap import SlotTap

    return SlotTap(bench.bus(s["bus"]))


def _serial_lines(bench: Bench, s: "Settings", most: int) -> "Any":
    from firmware.drivers.lines import SerialLines

    prefix = s.get("prefix", "").encode()
    return SerialLines(bench.bus(s["bus"]), most, s.get("suffix", "enter"), prefix)


def _key_lines(bench: Bench, s: "Settings", most: int) -> "Any":
    from firmware.drivers.key_lines import KeyLines

    suffix, prefix = s.get("suffix", "enter"), s.get("prefix", "").encode()
    return KeyLines(bench.bus(s["bus"]), most, suffix, prefix, s.get("layout", "us"))


def _scanner(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.line_scanner import MOST, LineScanner

    lines = _serial_lines if s["driver"] == "serial_scanner" else _key_lines
    return LineScanner(lines(bench, s, MOST), bool(s.get("aim", False)))


def _stripe(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.line_stripe import LineStripe
    from firmware.drivers.stripe_tracks import MOST

    lines = _serial_lines if s["driver"] == "serial_stripe" else _key_lines
    return LineStripe(lines(bench, s, MOST), bool(s.get("lrc", False)))


def _pin_pad(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.pin_pad import PinPad

    return PinPad(bench.need("keypad"), bench.need("vault").pins)


def _tls_link(bench: Bench, s: "Settings") -> "Any":
    kind = s.get("kind", "ethernet")
    if _CPYTHON:
        from firmware.drivers.tls_link import TlsLink

        return TlsLink(bench.bus(s["bus"]), kind)
    from firmware.drivers.tls_link_mpy import TlsLinkMpy

    return TlsLinkMpy(bench.bus(s["bus"]), kind)


def _links(bench: Bench, s: "Settings") -> "Any":
    from firmware.board_links import make_links

    return make_links(bench, s)


def _trng(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.trng_wire import WireTrng

    wire, bus = bench.bus(s["bus"])
    return WireTrng(wire, bus)


def _entropy_linux(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.entropy_linux import LinuxEntropy

    return LinuxEntropy()


def _entropy_mpy(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.entropy_mpy import MpyEntropy

    return MpyEntropy(bool(s.get("radio", False)))


def _folder(bench: Bench, s: "Settings") -> "Any":
    if _CPYTHON:
        from firmware.drivers.files_posix import PosixFiles

        return PosixFiles(bench.data_dir)
    from firmware.drivers.files_mpy import MpyFiles

    return MpyFiles(bench.data_dir)


def _soft_vault(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.soft_vault import SoftVault
    from firmware.drivers.vault_position import NOTES_PER_STEP

    counter = None
    if "counter" in s:
        from firmware.drivers.tpm_linux import INDEX, TpmCounter

        counter = TpmCounter(s.get("counter_path", "/dev/tpmrm0"), s.get("counter_index", INDEX))
    every = s.get("notes_per_step", NOTES_PER_STEP)
    return SoftVault(bench.need("files"), bench.need("entropy"), None, counter, every)


def _pc_serial(bench: Bench, s: "Settings") -> "Any":
    from firmware.drivers.pc_serial import PcSerial

    return PcSerial(bench.bus(s["bus"]))


def _pc_socket(bench: Bench, s: "Settings") -> "Any":
    if s["driver"] == "pc_rfcomm":
        from firmware.drivers.pc_rfcomm import PcRfcomm

        return PcRfcomm(s["channel"])
    from firmware.drivers.pc_tcp import PcTcp

    return PcTcp(s["port"], bench.announced() if s.get("announce", False) else None)


_DRIVERS: "dict[str, dict[str, Maker]]" = {
    "display": {
        "ssd1306": _oled,
        "ssd1309": _oled,
        "sh1106": _oled,
        "ssd1322": _oled,
        "st7789": _oled,
    },
    "keypad": {"key_matrix": _key_matrix, "key_device": _key_device},
    "printer": {"escpos": _escpos, "escpos_net": _escpos_net},
    "clock": {
        "ds3231": _ds3231,
        "linux_rtc": _linux_rtc,
        "system": _system_clock,
        "mpy_rtc": _mpy_rtc,
    },
    "power": {"max17048": _max17048, "linux_power": _linux_power},
    "tamper": {"tamper_pin": _tamper_pin},
    "indicators": {"lamps": _lamps},
    "card_reader": {"chip_reader": _chip_reader, "alpar_reader": _alpar_reader},
    "contactless": {"pn532": _pn532, "pcsc_tap": _pcsc_tap},
    "scanner": {"serial_scanner": _scanner, "key_scanner": _scanner},
    "stripe": {"serial_stripe": _stripe, "key_stripe": _stripe},
    "pin_entry": {"pin_pad": _pin_pad},
    "network": {"tls_link": _tls_link, "links": _links},
    "entropy": {"trng": _trng, "linux": _entropy_linux, "mpy": _entropy_mpy},
    "files": {"folder": _folder},
    "vault": {"soft_vault": _soft_vault},
    "pc_pipe": {"pc_serial": _pc_serial},
    "pc_net": {"pc_tcp": _pc_socket, "pc_rfcomm": _pc_socket},
    "restart": {"system": _system_restart, "mpy_reset": _mpy_restart},
    "watchdog": {"linux_watchdog": _linux_watchdog, "mpy_watchdog": _mpy_watchdog},
}


async def build(
    board: "Settings",
    wire: "Wire | None",
    data_dir: str,
    given: "dict[str, Any] | None" = None,
) -> Devices:
    """The devices of ``board``. Never raises for a device: see ``failures``.

    ``given`` has ready devices by kind, used in place of the board's own
    (a simulated disk, an in-memory network).
    """
    devices = Devices(board)
    bench = Bench(board, wire, data_dir, devices)
    for kind in KINDS:
        if given is not None and kind in given:
            setattr(devices, kind, given[kind])
        elif kind in board:
            try:
                setattr(devices, kind, _make(_DRIVERS[kind], kind, bench, board[kind]))
            except TillError as error:
                devices.failures.append((kind, str(board[kind].get("driver", "")), error))
    return devices


def load(path: str) -> "Settings":
    """The data of a module made by ``till board build``. BoardError."""
    scope: "dict[str, Any]" = {}
    try:
        with open(path) as file:
            text = file.read(65536)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise BoardError("board file " + path + ": " + str(error)) from None
    mark = "\nBOARD = "
    at = text.find(mark)
    if at < 0:
        raise BoardError("board file " + path + " was not made by till board build")
    try:
        # Literals only: without builtins an expression can call nothing.
        exec("BOARD = " + text[at + len(mark) :], {"__builtins__": {}}, scope)  # noqa: S102
    except Exception as error:  # noqa: BLE001 - whatever the damage, it has one name
        raise BoardError("board file " + path + " is damaged: " + str(error)) from None
    board = scope.get("BOARD")
    if not isinstance(board, dict) or board.get("format") != 1:
        raise BoardError("board file " + path + " has another format")
    for key in _damaged(board):
        raise BoardError("board file " + path + " is damaged: " + key + "; build it again")
    return board


def _damaged(board: "Settings") -> "list[str]":
    """Keys without which nothing can boot, missing or of another type."""
    wrong = []
    for key in ("name", "serial", "version"):
        if not isinstance(board.get(key), str):
            wrong.append(key)
    for key in KINDS + ("bus", "link", "trust", "maintenance"):
        if not isinstance(board.get(key, {}), dict):
            wrong.append(key)
    if not isinstance(board.get("built"), int):
        wrong.append("built")
    languages = board.get("languages")
    if not isinstance(languages, list) or not languages:
        wrong.append("languages")
    else:
        for language in languages:
            if language not in ("en", "zh"):
                wrong.append("languages")
    return wrong
