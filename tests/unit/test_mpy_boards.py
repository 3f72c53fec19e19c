"""Boards under MicroPython: what their files may say, their manifests freeze, their pages tell."""

import ast
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from firmware.board_loader import Capabilities
from host_tools import board_file, board_rules
from tests.house.sources import ROOT, portable
from tests.support import rig

NAMES = sorted(
    path.parent.name
    for path in board_rules.BOARDS.glob("*/board.toml")
    if (path.parent / "manifest.py").exists()
)
EACH = pytest.mark.parametrize("name", NAMES)
#: Reach software chips; the wire's own errors belong to every bus.
OF_THE_WIRE = {
    "wire_bus", "wire_call", "wire_card", "wire_input", "wire_net", "wire_stream", "wire_wlan",
    "trng_wire", "link_report",
}  # fmt: skip


class Manifest:
    """MicroPython's manifest tool, as its documentation describes it: notes what it is told."""

    def __init__(self) -> None:
        self.required: list[str] = []
        self.included: list[str] = []
        self.frozen: dict[str, Path] = {}

    def run(self, path: Path) -> None:
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            names = {"include": self.include, "require": self.required.append,
                     "package": self.package, "module": self.module}  # fmt: skip
            exec(compile(path.read_text(encoding="utf-8"), path, "exec"), names)
        finally:
            os.chdir(before)

    def include(self, name: str) -> None:
        if name.startswith("$("):
            self.included.append(name)
        else:
            self.run(Path(name).resolve())

    def package(self, name: str, files: Iterable[str], base_path: str, opt: int) -> None:
        for file in files:
            path = (Path(base_path) / name / file).resolve()
            assert path.is_file() and opt == 1
            self.frozen[f"{name}/{file}"] = path

    def module(self, name: str, opt: int) -> None:
        assert Path(name).is_file() and opt == 1
        self.frozen[name] = Path(name).resolve()


def _manifest(name: str) -> Manifest:
    manifest = Manifest()
    manifest.run(board_rules.BOARDS / name / "manifest.py")
    return manifest


@EACH
def test_the_image_has_what_runs_there_and_nothing_else(name: str) -> None:
    manifest = _manifest(name)
    wanted = {each for each in portable() if Path(each).stem not in OF_THE_WIRE}
    assert set(manifest.frozen) == wanted | {"main.py"}
    assert len(manifest.included) == 1
    for path in manifest.frozen.values():
        compile(path.read_text(encoding="utf-8"), path, "exec")


def _top_imports(path: Path) -> set[str]:
    """Modules of the firmware that importing ``path`` imports."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("firmware"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@EACH
def test_no_frozen_module_needs_one_that_is_left_out(name: str) -> None:
    frozen = _manifest(name).frozen
    modules = {file[:-3].replace("/", ".").removesuffix(".__init__") for file in frozen}
    left_out = {
        path.relative_to(ROOT).as_posix()[:-3].replace("/", ".")
        for path in (ROOT / "firmware").rglob("*.py")
    } - modules  # fmt: skip
    against = {
        (file, needed)
        for file, path in frozen.items()
        for needed in _top_imports(path) & left_out
        if not needed.endswith("__init__")
    }
    assert against == set()


@EACH
def test_micropython_lib_packages_are_those_that_the_buses_import(name: str) -> None:
    drivers = {bus["driver"] for bus in rig.board(name)["bus"].values()}
    wanted = ["usb-device-cdc"] if "mpy_usb_serial" in drivers else []
    assert _manifest(name).required == wanted


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in board_rules.BOARDS.glob("*/board.toml"))
)
def test_every_board_has_its_capabilities(name: str) -> None:
    board = rig.board(name)
    can = Capabilities(board)
    for kind in ("printer", "network", "card_reader", "contactless", "scanner", "stripe"):
        assert getattr(can, "has_" + kind) == (kind in board), kind
    assert can.columns == (board["printer"]["columns"] if can.has_printer else 0)
    assert set("0123456789") | {"enter", "cancel", "clear"} <= set(can.keys)
    assert can.emulated == bool(board.get("emulated"))
    assert can.test_trust == board["trust"]["test"]


@EACH
def test_a_boards_page_tells_what_it_cannot_do(name: str) -> None:
    folder = board_rules.BOARDS / name
    page = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## Building", "## What it cannot do", "## What ran"):
        assert heading in page
    settings: dict[str, Any] = board_file.read(folder / "board.toml")
    assert settings["board"]["micropython"] in page


def _changed(name: str, path: str, value: Any) -> list[str]:
    board = board_file.read(board_file.find(name))
    *tables, key = path.split(".")
    at = board
    for table in tables:
        at = at.setdefault(table, {})
    at[key] = value
    return board_file.check(board)


WRONG_BOARDS: list[tuple[str, Any, list[str]]] = [
    ("bus.uart0.tx", 2, ["bus.uart0.tx", "pin 2", "bus.i2c1.sda"]),
    ("bus.uart0.tx", 6, ["keypad.rows[0]", "pin 6", "bus.uart0.tx"]),
    ("bus.uart0.tx", 23, ["bus.uart0.tx", "pin 23", "bus.gpio.reserved"]),
    ("bus.uart0.tx", 30, ["bus.uart0.tx", "pin 30", "allowed: 0 to 29"]),
    ("bus.uart1.port", 0, ["bus.uart1.port", "port 0 of mpy_serial", "bus.uart0.port"]),
    ("bus.uart1.port", None, ["bus.uart1.port", "is None"]),
    ("bus.i2c1.hz", 5, ["bus.i2c1.hz", "is 5"]),
    ("bus.panel.bus", "gpio", ["bus.panel.bus", "another kind of bus", "allowed (i2c): i2c1"]),
    ("bus.panel.bus", "spi0", ["bus.panel.bus", "there is no such bus"]),
    ("bus.gpio.reserved", 23, ["bus.gpio.reserved", "a list of 1 to 64 pin numbers"]),
    ("bus.gpio.reserved", [16], ["indicators.ready", "pin 16", "bus.gpio.reserved"]),
    ("bus.wlan.key", "short", ["bus.wlan.key", "text of 8 to 63"]),
    ("bus.wlan.security", "wep", ["bus.wlan.security", "'auto', 'wpa3', 'open'"]),
    ("watchdog.timeout_ms", 9000, ["watchdog.timeout_ms", "1000 to 8388"]),
    ("entropy.radio", 1, ["entropy.radio", "true or false"]),
    ("bus.spi0", {"driver": "mpy_spi"}, ["bus.spi0.sck", "is missing"]),
    ("bus.uart0", 5, ["bus.uart0", "must be a table"]),
]


@pytest.mark.parametrize(("path", "value", "parts"), WRONG_BOARDS)
def test_a_wrong_wiring_names_both_owners(path: str, value: Any, parts: list[str]) -> None:
    problems = _changed("rp2350-pico2w", path, value)
    assert any(all(part in problem for part in parts) for problem in problems), problems


def test_a_panels_pins_on_spi_belong_to_it() -> None:
    board = board_file.read(board_file.find("rp2350-pico2w"))
    board["bus"]["spi0"] = {
        "driver": "mpy_spi", "port": 0, "sck": 26, "mosi": 27, "miso": 28, "select": 20,
        "hz": 20_000_000,
    }  # fmt: skip
    board["bus"]["panel"] = {
        "driver": "spi_display", "bus": "spi0", "pins_bus": "gpio", "dc_pin": 21, "reset_pin": 22
    }  # fmt: skip
    assert board_file.check(board) == [
        "board: power.mains_pin: pin 22 of bus 'gpio' already belongs to bus.panel.reset_pin",
        "board: tamper.pin: pin 21 of bus 'gpio' already belongs to bus.panel.dc_pin",
        "board: indicators.buzzer: pin 20 of bus 'gpio' already belongs to bus.spi0.select",
    ]
