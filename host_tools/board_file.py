"""Reads, checks and compiles board files.

Every setting is checked against a schema; an error names the file, the key
and what is allowed. Pins belong to one owner each; a conflict names both.
"""

import pprint
import tomllib
from pathlib import Path
from typing import Any

from host_tools.board_rules import (
    BOARD_RULES,
    BOARDS,
    BUS_ON_BUS,
    BUSES,
    DEVICES,
    FORMAT,
    I2C_ADDRESSES,
    LINKS,
    MAINTENANCE_RULES,
    PIN,
    TRUST_RULES,
    Board,
    Rule,
    key_codes,
    key_map,
    with_profile,
)
from host_tools.errors import UserError
from host_tools.key_codes import CODES


class BoardFileError(UserError):
    """A board file is wrong; the text names file, key and allowed values."""


#: Ports on pins 14 and 15 of a Raspberry Pi's header.
_HEADER_UARTS = ("/dev/serial0", "/dev/ttyAMA0", "/dev/ttyS0")
#: Without these no terminal boots to more than an error.
NEEDED = ("display", "keypad", "clock", "entropy", "files", "vault")
#: Device: devices that it stands on.
STANDS_ON = {"pin_entry": ("keypad", "vault"), "vault": ("files", "entropy")}


class _Check:
    def __init__(self, where: str, board: Board) -> None:
        self._where = where
        self._board = board
        self.problems: list[str] = []
        #: (bus, pin): the setting that owns it.
        self._owners: dict[tuple[str, int], str] = {}

    def say(self, key: str, problem: str) -> None:
        self.problems.append(f"{self._where}: {key}: {problem}")

    def table(self, key: str, value: Any, rules: dict[str, Rule]) -> bool:
        """Check the settings of one table; False when it is not a table."""
        if not isinstance(value, dict):
            self.say(key, "must be a table")
            return False
        for name in sorted(set(value) - set(rules) - {"driver"}):
            self.say(f"{key}.{name}", "no such setting; allowed: " + ", ".join(sorted(rules)))
        for name, rule in rules.items():
            if name not in value:
                if rule.required:
                    self.say(f"{key}.{name}", "is missing; it must be " + _allowed(rule))
                continue
            allowed = rule.check(value[name])
            if allowed is not None:
                self.say(f"{key}.{name}", f"is {value[name]!r}, must be {allowed}")
        return True

    def driver(self, key: str, value: Any, known: Any) -> str | None:
        """The driver of a table if it is a known one."""
        if not isinstance(value, dict):
            self.say(key, "must be a table")
            return None
        name = value.get("driver")
        if not isinstance(name, str) or name not in known:
            said = "is missing" if "driver" not in value else f"is {name!r}"
            self.say(f"{key}.driver", f"{said}; allowed: " + ", ".join(sorted(known)))
            return None
        return name

    def run(self) -> None:
        board = self._board
        known = {"board", "trust", "maintenance", "bus", "link", *DEVICES}
        for name in sorted(set(board) - known):
            self.say(name, "no such table; allowed: " + ", ".join(sorted(known)))
        self.table("board", board.get("board", {}), BOARD_RULES)
        self.table("trust", board.get("trust", {}), TRUST_RULES)
        self.table("maintenance", board.get("maintenance", {}), MAINTENANCE_RULES)
        buses = board.get("bus", {})
        if not isinstance(buses, dict):
            self.say("bus", "must be a table of buses")
            buses = {}
        used: set[str] = set()
        for name, value in buses.items():
            driver = self.driver(f"bus.{name}", value, BUSES)
            if driver is not None:
                self.table(f"bus.{name}", value, BUSES[driver][1])
                used |= self._stands_on(f"bus.{name}", value, BUS_ON_BUS.get(driver, {}), buses)
                self._bus_pins(name, driver, value)
                self._chip_pins(name, driver, value)
        for kind in NEEDED:
            if kind not in board:
                self.say(kind, "is missing; every board has " + ", ".join(NEEDED))
        for kind, drivers in DEVICES.items():
            if kind in board:
                used |= self._device(kind, board[kind], drivers, buses)
        used |= self._links(buses)
        for name in sorted(set(buses) - used):
            self.say(f"bus.{name}", "no device uses this bus")

    def _links(self, buses: Board) -> set[str]:
        """The links behind the network; the buses that they name."""
        network = self._board.get("network")
        wanted = isinstance(network, dict) and network.get("driver") == "links"
        links = self._board.get("link", {})
        if not isinstance(links, dict) or bool(links) != wanted:
            self.say("link", 'tables of links and the network\'s driver "links" go together')
            return set()
        used = set()
        for name, value in links.items():
            driver = self.driver(f"link.{name}", value, LINKS)
            if driver is not None:
                kinds, rules = LINKS[driver]
                self.table(f"link.{name}", value, rules)
                used |= self._stands_on(f"link.{name}", value, kinds, buses)
                self._power_key(f"link.{name}", value, buses)
        return used

    def _power_key(self, link: str, value: Board, buses: Board) -> None:
        """The pin of a modem's power key or supply."""
        settings = ("power_bus", "power_pin", "power_steps")
        named = [setting for setting in settings if setting in value]
        if named and len(named) < len(settings):
            self.say(link, ", ".join(settings) + " go together")
        elif named and isinstance(value["power_bus"], str):
            self._claim(value["power_bus"], value["power_pin"], f"{link}.power_pin", buses)

    def _device(self, kind: str, value: Any, drivers: Any, buses: Board) -> set[str]:
        if kind == "printer":
            value = with_profile(value)
        driver = self.driver(kind, value, drivers)
        if driver is None:
            return (
                {str(v) for k, v in value.items() if k.endswith("bus")}
                if isinstance(value, dict)
                else set()
            )
        kinds, rules = drivers[driver]
        self.table(kind, value, rules)
        for other in STANDS_ON.get(kind, ()):
            if other not in self._board:
                self.say(kind, f"{driver} stands on the {other}, which the board lacks")
        used = self._stands_on(kind, value, kinds, buses)
        self._pins(kind, value, buses)
        self._address(kind, driver, value, buses)
        self._pace(kind, driver, value, buses)
        self._sizes(kind, value)
        return used

    def _stands_on(self, owner: str, value: Any, kinds: dict[str, str], buses: Board) -> set[str]:
        """The buses that a device, or another bus, names; each must be of its kind."""
        if not isinstance(value, dict):
            return set()
        used = set()
        for setting, wanted in kinds.items():
            name = value.get(setting)
            if not isinstance(name, str):
                continue
            used.add(name)
            bus = buses.get(name)
            fitting = sorted(
                n for n, b in buses.items() if isinstance(b, dict)
                and isinstance(b.get("driver"), str)
                and BUSES.get(b["driver"], ("", {}))[0] in wanted.split(" or ")
            )  # fmt: skip
            if isinstance(bus, dict) and bus.get("driver") not in list(BUSES):
                continue  # said of the bus
            if bus is None or name not in fitting:
                said = "there is no such bus" if bus is None else "is another kind of bus"
                choice = ", ".join(fitting) or "none is defined"
                self.say(f"{owner}.{setting}", f"{name!r}: {said}; allowed ({wanted}): {choice}")
        return used

    def _claim(self, bus: str, pin: Any, owner: str, buses: Board) -> None:
        if PIN.check(pin) is not None:
            return  # said by the schema
        table = buses.get(bus)
        count = table.get("pins") if isinstance(table, dict) else None
        if table is not None and isinstance(table, dict) and table.get("driver") == "rpi_pins":
            count = 28
        if isinstance(count, int) and not isinstance(count, bool) and pin >= count:
            self.say(owner, f"pin {pin} is not on bus {bus!r}; allowed: 0 to {count - 1}")
        other = self._owners.setdefault((bus, pin), owner)
        if other != owner:
            self.say(owner, f"pin {pin} of bus {bus!r} already belongs to {other}")

    def _bus_pins(self, name: str, driver: str, value: Board) -> None:
        """Header pins that a Linux bus takes for itself."""
        buses = self._board["bus"]
        header = next(
            (n for n, b in buses.items() if isinstance(b, dict) and b.get("driver") == "rpi_pins"),
            None,
        )
        if header is None:
            return
        if driver in ("linux_i2c", "luma_i2c") and value.get("port") == 1:
            for pin in (2, 3):
                self._claim(header, pin, "I2C port 1", buses)
        elif driver == "linux_serial" and value.get("path") in _HEADER_UARTS:
            for pin in (14, 15):
                self._claim(header, pin, f"bus.{name}.path", buses)
        elif driver in ("luma_spi", "linux_spi"):
            if value.get("port") == 0:
                for pin in (9, 10, 11):
                    self._claim(header, pin, "SPI port 0", buses)
                if value.get("device") in (0, 1):
                    self._claim(header, 8 - value["device"], f"bus.{name}.device", buses)
            for setting in ("dc_pin", "reset_pin"):
                self._claim(header, value.get(setting), f"bus.{name}.{setting}", buses)

    def _chip_pins(self, name: str, driver: str, value: Any) -> None:
        """Pins and peripherals that a bus of a microcontroller takes for itself."""
        buses = self._board["bus"]
        if not isinstance(value, dict):
            return
        chip = next(
            (n for n, b in buses.items() if isinstance(b, dict) and b.get("driver") == "mpy_pins"),
            None,
        )
        if driver == "mpy_pins":
            reserved = value.get("reserved")
            for pin in reserved if isinstance(reserved, list) else []:
                self._claim(name, pin, f"bus.{name}.reserved", buses)
        elif driver in ("mpy_i2c", "mpy_spi", "mpy_serial"):
            owner, port = f"bus.{name}.port", value.get("port")
            if isinstance(port, int):
                other = self._owners.setdefault((driver, port), owner)
                if other != owner:
                    self.say(owner, f"port {port} of {driver} already belongs to {other}")
            for setting in ("scl", "sda", "sck", "mosi", "miso", "select", "tx", "rx"):
                if setting in value and chip is not None:
                    self._claim(chip, value[setting], f"bus.{name}.{setting}", buses)
        elif driver in ("spi_display", "serial_card") and isinstance(value.get("pins_bus"), str):
            for setting in ("dc_pin", "present_pin", "power_pin", "reset_pin"):
                if setting in value:
                    on = value["pins_bus"]
                    self._claim(on, value[setting], f"bus.{name}.{setting}", buses)

    def _pins(self, kind: str, value: Board, buses: Board) -> None:
        bus = value.get("bus")
        if isinstance(bus, str):
            for setting in ("pin", "ready", "busy", "ok", "error", "buzzer"):
                if setting in value:
                    on = value.get("buzzer_bus", bus) if setting == "buzzer" else bus
                    self._claim(on, value[setting], f"{kind}.{setting}", buses)
            for setting in ("rows", "columns"):
                lines = value.get(setting)
                for i, pin in enumerate(lines if isinstance(lines, list) else []):
                    self._claim(bus, pin, f"{kind}.{setting}[{i}]", buses)
        for one in ("mains", "reset"):
            on, pin = value.get(f"{one}_bus"), value.get(f"{one}_pin")
            if isinstance(on, str) and pin is not None:
                self._claim(on, pin, f"{kind}.{one}_pin", buses)
            elif (f"{one}_bus" in value) != (f"{one}_pin" in value):
                self.say(f"{kind}.{one}_pin", f"{one}_bus and {one}_pin go together")

    def _address(self, kind: str, driver: str, value: Board, buses: Board) -> None:
        """One chip at each I2C address; other buses have none."""
        name = value.get("bus")
        if driver not in I2C_ADDRESSES or not isinstance(name, str):
            return
        bus = buses.get(name)
        if not isinstance(bus, dict):
            return  # said above
        bus_kind = BUSES.get(str(bus.get("driver")), ("", {}))[0]
        address = value.get("address", I2C_ADDRESSES[driver])
        if bus_kind == "i2c" and isinstance(address, int):
            owner = self._owners.setdefault((f"I2C {name}", address), kind)
            if owner != kind:
                self.say(f"{kind}.address", f"{address:#04x} of bus {name!r} belongs to {owner}")
        elif bus_kind in ("serial", "spi"):
            if "address" in value:
                self.say(f"{kind}.address", f"bus {name!r} is no I2C bus and has no addresses")
            if bus.get("baud", 115200) != 115200:
                self.say(f"{kind}.bus", f"{driver} talks at 115200 baud, bus {name!r} at another")

    def _pace(self, kind: str, driver: str, value: Board, buses: Board) -> None:
        """A coprocessor for cards begins at one baud rate, and is left at it."""
        bus = buses.get(str(value.get("bus")))
        if driver == "alpar_reader" and isinstance(bus, dict) and bus.get("baud", 38400) != 38400:
            self.say(
                f"{kind}.bus", f"{driver} talks at 38400 baud, bus {value['bus']!r} at another"
            )

    def _sizes(self, kind: str, value: Board) -> None:
        if kind == "keypad" and key_codes(value.get("codes")) is None:
            self._lacking("keypad.codes", list(value["codes"].values()))
        elif kind == "keypad" and key_map(value.get("keys")) is None:
            keys, rows, columns = value["keys"], value.get("rows"), value.get("columns")
            if isinstance(rows, list) and isinstance(columns, list):
                fits = len(keys) == len(rows) and all(len(k) == len(columns) for k in keys)
                if not fits:
                    self.say("keypad.keys", f"must have {len(rows)} rows of {len(columns)} names")
            names = [name for line in keys for name in line if name]
            for name in sorted({name for name in names if names.count(name) > 1}):
                self.say("keypad.keys", f"key {name!r} is there twice")
            self._lacking("keypad.keys", names)
        if kind == "printer":
            dots, columns = value.get("dots"), value.get("columns")
            if isinstance(dots, int) and isinstance(columns, int) and dots != 12 * columns:
                self.say("printer.columns", f"is {columns}, must be {dots // 12} for {dots} dots")

    def _lacking(self, setting: str, names: list[str]) -> None:
        lacking = [k for k in (*"0123456789", "cancel", "clear", "enter") if k not in names]
        if lacking:
            self.say(setting, "keys that every terminal needs are missing: " + " ".join(lacking))


def _allowed(rule: Rule) -> str:
    return rule.check(None) or "given"


def known() -> list[str]:
    """Names of the boards that are here, in order."""
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def find(board: str) -> Path:
    """The file of a board's name, of a folder, or a file itself."""
    path = Path(board)
    if path.is_dir():
        path = path / "board.toml"
    if path.is_file():
        return path
    named = BOARDS / board / "board.toml"
    if "/" not in board and named.is_file():
        return named
    boards = ", ".join(known()) or f"none, for there is no board file under {BOARDS}"
    raise BoardFileError(f"no board or file {board!r}; boards: {boards}")


def read(path: Path) -> Board:
    """The board file at ``path``, checked whole. BoardFileError lists every problem."""
    try:
        if path.stat().st_size > 65536:
            raise BoardFileError(f"{path}: is larger than 64 KiB")
        board = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise BoardFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BoardFileError(f"{path}: is not UTF-8 at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BoardFileError(f"{path}: is not TOML: {error}") from None
    problems = check(board, str(path))
    if problems:
        raise BoardFileError("\n".join(problems))
    return board


def check(board: Board, where: str = "board") -> list[str]:
    """Every problem of a board's data, each naming file, key and allowed values."""
    checker = _Check(where, board)
    checker.run()
    return checker.problems


def compiled(board: Board, version: str, built: int, serial: str | None = None) -> Board:
    """The data that the firmware reads: the board table's settings at the top."""
    data = {name: value for name, value in board.items() if name != "board"}
    data.update(board["board"])
    data["emulated"] = board["board"].get("emulated", False)
    data["serial"] = serial or board["board"]["serial"]
    data["version"] = version
    data["built"] = built
    data["format"] = FORMAT
    if "printer" in data:
        data["printer"] = with_profile(data["printer"])
    pad = data["keypad"]
    if "codes" in pad:
        data["keypad"] = {**pad, "codes": {CODES[code]: key for code, key in pad["codes"].items()}}
    return data


def module_text(data: Board) -> str:
    """A Python module of literals."""
    return (
        f'"""Board {data["name"]}. Made by `till board build`; do not edit."""\n\n'
        f"BOARD = {pprint.pformat(data, width=96, sort_dicts=True)}\n"
    )
