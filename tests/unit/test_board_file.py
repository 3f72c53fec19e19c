"""Board files: every board is valid; wrong ones name file, key and allowed values."""

import copy
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import board_buses, board_loader
from firmware.hal.keypad import KeypadGone
from host_tools import board_file, board_rules
from tests.support import rig
from tests.support.virtual_time import run

GOOD = board_file.read(board_file.find("virtual"))


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The virtual board with one setting changed, or removed for None."""
    board = copy.deepcopy(GOOD)
    *tables, key = path.split(".")
    at = board
    for table in tables:
        at = at.setdefault(table, {})
    if value is None:
        at.pop(key, None)
    else:
        at[key] = value
    return board


@pytest.mark.parametrize("path", sorted(board_rules.BOARDS.glob("*/board.toml")), ids=str)
def test_every_board_of_the_house_is_valid(path: Path) -> None:
    board = board_file.read(path)
    assert board["board"]["name"] == path.parent.name


def test_the_virtual_board_takes_the_published_test_key() -> None:
    import json

    keys = json.loads((board_rules.BOARDS / "test_keys.json").read_text())
    assert GOOD["trust"] == {"provisioning_key": keys["provisioning_public"], "test": True}


def test_the_two_virtual_boards_differ_in_their_panel_only() -> None:
    other = board_file.read(board_file.find("virtual-sh1106"))
    assert other["display"] == {**GOOD["display"], "driver": "sh1106", "column_offset": 2}
    for board in (other, dict(GOOD)):
        board.pop("display")
        board.pop("board")
    without = {k: v for k, v in GOOD.items() if k not in ("display", "board")}
    assert other == without


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("display.driver", "ili9341", ["display.driver", "'ili9341'", "ssd1309, ssd1322, st7789"]),
        ("display.driver", None, ["display.driver", "is missing", "sh1106, ssd1306"]),
        ("display.driver", ["ssd1306"], ["display.driver", "allowed"]),
        ("display.width", 100, ["display.width", "is 100", "one of 128"]),
        ("display.width", None, ["display.width", "is missing", "one of 128"]),
        ("display.column_offset", 2, ["display.column_offset", "is 2", "one of 0"]),
        ("display.colour", "red", ["display.colour", "no such setting", "column_offset"]),
        ("display.bus", "gpio", ["display.bus", "another kind of bus", "allowed (display): panel"]),
        ("display.bus", "spi", ["display.bus", "there is no such bus", "panel"]),
        ("display", 5, ["display: must be a table"]),
        ("bus.panel.driver", "can", ["bus.panel.driver", "'can'", "wire_display"]),
        ("bus.uart1.baud", 12345, ["bus.uart1.baud", "is 12345", "115200"]),
        ("bus.uart1.baud", "fast", ["bus.uart1.baud", "'fast'"]),
        ("bus.spare", {"driver": "tcp"}, ["bus.spare", "no device uses this bus"]),
        ("bus", [], ["bus", "must be a table"]),
        ("keypad.rows", [0, 1, 2, 3, 40], ["keypad.rows[4]", "pin 40", "allowed: 0 to 31"]),
        ("keypad.rows", [0, 1, 2, 3, 9], ["indicators.ready", "pin 9", "keypad.rows[4]"]),
        ("keypad.rows", "0", ["keypad.rows", "a list of 1 to 16 pin numbers"]),
        ("keypad.rows", [0, 1, 2], ["keypad.keys", "3 rows of 4 names"]),
        ("keypad.keys", [["1", "ok"]], ["keypad.keys", "of: 0 1 2"]),
        ("keypad.keys", [["1", "1"]], ["keypad.keys", "'1' is there twice", "missing: 0 2 3"]),
        ("indicators.buzzer", 14, ["tamper.pin", "indicators.buzzer"]),
        ("watchdog", {"driver": "linux_watchdog", "timeout_s": 2}, ["watchdog.timeout_s", "5 to"]),
        ("restart", {"driver": "system", "command": []}, ["restart.command", "1 to 8"]),
        ("indicators.buzzer_bus", "gpio", ["indicators.buzzer_bus", "another kind of bus", "pwm"]),
        ("display.ink", "white", ["display.ink", "no such setting"]),
        ("printer.profile", "90-gbk", ["printer.profile", "58-gb18030, 58-gbk", "80-utf8"]),
        ("printer.host", "x", ["printer.host", "no such setting"]),
        ("printer.driver", "escpos_net", ["printer.host", "is missing", "allowed (net): net0"]),
        ("printer.answers", "no", ["printer.answers", "true or false"]),
        ("scanner.suffix", "etx", ["scanner.suffix", "'enter', 'tab', 'none'"]),
        ("scanner.driver", "camera", ["scanner.driver", "key_scanner, serial_scanner"]),
        ("scanner.layout", "us", ["scanner.layout", "no such setting", "aim, bus, prefix, suffix"]),
        ("stripe.layout", "dvorak", ["stripe.layout", "'us', 'uk', 'de', 'fr'"]),
        ("stripe.bus", "uart2", ["stripe.bus", "another kind of bus", "allowed (input): usb1"]),
        ("stripe.lrc", 1, ["stripe.lrc", "true or false"]),
        ("bus.usb1", {"driver": "evdev", "devices": ["usb"]}, ["bus.usb1.devices", "1a86:e026"]),
        ("bus.usb1", {"driver": "evdev", "devices": ["1:2", "1:2"]}, ["bus.usb1.devices"]),
        ("bus.usb1", {"driver": "evdev"}, ["bus.usb1.devices", "is missing"]),
        ("power.mains_pin", 0, ["power.mains_pin", "keypad.rows[0]"]),
        ("power.mains_pin", None, ["power.mains_pin", "go together"]),
        ("power.address", 0x90, ["power.address", "is 144", "from 8 to 119"]),
        ("printer.columns", 48, ["printer.columns", "must be 32 for 384 dots"]),
        ("printer.chinese", "big5", ["printer.chinese", "'gb18030', 'gbk', 'utf8', 'raster'"]),
        ("printer.buffer", 100, ["printer.buffer", "from 2048 to 65536"]),
        ("printer.cutter", 1, ["printer.cutter", "true or false"]),
        ("tamper.pin", -1, ["tamper.pin", "is -1"]),
        ("tamper.pin", True, ["tamper.pin", "is True"]),
        ("trust.provisioning_key", "zz", ["trust.provisioning_key", "64 hexadecimal digits"]),
        ("trust.test", "yes", ["trust.test", "true or false"]),
        ("maintenance", {"paper_m": -1}, ["maintenance.paper_m", "0 to 999999"]),
        ("maintenance", {"paper": 1}, ["maintenance.paper", "cuts, inserts, paper_m, swipes"]),
        ("maintenance", 7, ["maintenance", "must be a table"]),
        ("power.cutoff_mv", 3, ["power.cutoff_mv", "1000 to 20000"]),
        ("trust", None, ["trust.provisioning_key", "is missing"]),
        ("board.languages", ["en", "tlh"], ["board.languages", "of: en zh"]),
        ("board.serial", "", ["board.serial", "1 to 20 characters"]),
        ("board.name", "a\nb", ["board.name", "text of"]),
        ("vault", None, ["vault", "is missing"]),
        ("entropy", None, ["entropy", "is missing"]),
        ("teleporter", {}, ["teleporter", "no such table", "display"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_key_and_allowed_values(
    path: str, value: Any, parts: list[str]
) -> None:
    problems = board_file.check(_changed(path, value), "x/board.toml")
    assert problems
    assert all(problem.startswith("x/board.toml: ") for problem in problems)
    text = "\n".join(problems)
    for part in parts:
        assert part in text, text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tamper.pin", 999),
        ("tamper.pin", 200),
        ("tamper.pin", -1),
        ("tamper.pin", "3"),
        ("keypad.rows", [999, 1, 2, 3, 4]),
        ("keypad.rows", [40, 1, 2, 3, 4]),
        ("power.mains_pin", 256),
        ("bus.panel.driver", "can"),
        ("bus.panel.driver", ["can"]),
    ],
)
def test_one_mistake_is_told_once(path: str, value: Any) -> None:
    assert len(board_file.check(_changed(path, value))) == 1


def test_header_pins_that_a_linux_bus_takes_are_taken() -> None:
    board = copy.deepcopy(board_file.read(board_file.find("rpi-zero-2w")))
    board["tamper"]["pin"] = 3
    board["indicators"]["ok"] = 15
    board["keypad"]["rows"][0] = 28
    text = "\n".join(board_file.check(board))
    assert "tamper.pin: pin 3 of bus 'header' already belongs to I2C port 1" in text
    assert "indicators.ok: pin 15 of bus 'header' already belongs to bus.uart0.path" in text
    assert "keypad.rows[0]: pin 28 is not on bus 'header'; allowed: 0 to 27" in text


@pytest.mark.parametrize("name", sorted(board_rules.printer_profiles()))
def test_a_printer_profile_fills_what_the_board_leaves_open(name: str) -> None:
    board = copy.deepcopy(GOOD)
    board["printer"] = {
        "driver": "escpos_net", "bus": "net0", "host": "10.0.0.9", "profile": name, "buffer": 8192,
    }  # fmt: skip
    board["bus"].pop("uart1")
    assert board_file.check(board) == []
    made = board_file.compiled(board, "0.0.0", 1_700_000_000)["printer"]
    assert made == {**board_rules.printer_profiles()[name], **board["printer"]}
    assert board_loader.Capabilities({"printer": made}).columns == (32 if name[0] == "5" else 48)


@pytest.mark.parametrize(
    "panel",
    [
        {"driver": "ssd1309", "width": 128, "height": 64},
        {"driver": "ssd1322", "width": 256, "height": 64},
        {"driver": "st7789", "width": 320, "height": 240, "ink": "ffb000", "paper": "001830"},
        {"driver": "st7789", "width": 240, "height": 240, "column_offset": 80},
    ],
    ids=lambda panel: f"{panel['driver']}-{panel['width']}",
)
def test_a_board_may_have_another_panel(panel: dict[str, Any], tmp_path: Path) -> None:
    async def main() -> None:
        board = copy.deepcopy(GOOD)
        board["display"] = {**panel, "bus": "panel"}
        assert board_file.check(board) == []
        data = board_file.compiled(board, "0.0.0", 1_700_000_000)
        rack = rig.rack(data)
        devices = await board_loader.build(data, rack, str(tmp_path))
        assert devices.failures == []
        frame = bytes([0x0F]) * (panel["width"] * panel["height"] // 8)
        await devices.display.show(frame)
        assert rack.display.frame() == frame

    run(main())


NUMBER_BLOCK = {
    **{f"KEY_KP{i}": str(i) for i in range(10)},
    "KEY_KPENTER": "enter", "KEY_ENTER": "enter", "KEY_BACKSPACE": "clear", "KEY_ESC": "cancel",
}  # fmt: skip


def _with_devices() -> dict[str, Any]:
    board = copy.deepcopy(GOOD)
    board["bus"]["block"] = {"driver": "evdev", "devices": ["1a2c:0e24", "/dev/input/by-path/keys"]}
    board["keypad"] = {"driver": "key_device", "bus": "block", "codes": dict(NUMBER_BLOCK)}
    return board


def test_a_keypad_by_key_codes_is_compiled_to_numbers() -> None:
    board = _with_devices()
    assert [p for p in board_file.check(board) if not p.startswith("board: bus.")] == []
    data = board_file.compiled(board, "0.0.0", 1_700_000_000)
    assert data["keypad"]["codes"][96] == data["keypad"]["codes"][28] == "enter"
    assert data["keypad"]["codes"][79] == "1"
    assert board["keypad"]["codes"] == NUMBER_BLOCK
    assert set(board_loader.Capabilities(data).keys) == {*"0123456789", "enter", "clear", "cancel"}
    board["keypad"]["codes"].pop("KEY_ESC")
    assert "keypad.codes: keys that every terminal needs are missing: cancel" in "\n".join(
        board_file.check(board)
    )
    for codes in ({"KEY_1": "one"}, {"KEY_NONE": "1"}, {}, [], {"KEY_1": ["1"]}, "KEY_1"):
        board["keypad"]["codes"] = codes
        assert "keypad.codes" in "\n".join(board_file.check(board))


def test_input_devices_that_are_not_here_are_named(tmp_path: Path) -> None:
    from tests.support import event_pipes

    if event_pipes.why_not():
        pytest.skip(event_pipes.why_not())

    async def main() -> None:
        data = board_file.compiled(_with_devices(), "0.0.0", 1_700_000_000)
        devices = await board_loader.build(data, rig.rack(), str(tmp_path))
        assert "keypad" not in [kind for kind, _, _ in devices.failures]  # they may come
        with pytest.raises(KeypadGone, match="no input device 1a2c:0e24, /dev/input/by-path/keys"):
            await devices.keypad.check()

    run(main())


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(), st.just([]),
    st.lists(st.integers(0, 300), max_size=3), st.dictionaries(st.text(max_size=3), st.integers()),
    st.just([["1"]]), st.just([[1]]),
)  # fmt: skip
PATHS = sorted(
    {f"{t}.{k}" for t, table in GOOD.items() for k in table}
    | set(GOOD)
    | {f"bus.{b}.{k}" for b, bus in GOOD["bus"].items() for k in bus}
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), max_size=4))
def test_any_values_are_judged_without_a_traceback(changes: list[tuple[str, Any]]) -> None:
    board = copy.deepcopy(GOOD)
    for path, value in changes:
        *tables, key = path.split(".")
        at: Any = board
        for table in tables:
            at = at.get(table) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at[key] = value
    assert isinstance(board_file.check(board), list)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is missing"),
        (b"[board", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b"a = 1\n" + b"#" * 70000, "larger than 64 KiB"),
        (b"x = " + b"[" * 5000, "is not TOML"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(content)
    with pytest.raises(board_file.BoardFileError, match=says) as caught:
        board_file.read(path)
    assert str(path) in str(caught.value)


def test_a_board_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        board_file.BoardFileError, match=r"boards: .*virtual, virtual-links, virtual-sh1106"
    ):
        board_file.find("vitrual")
    with pytest.raises(board_file.BoardFileError, match="No such file"):
        board_file.read(Path("/no/such/board.toml"))


def _till(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "host_tools.till", "board", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=board_rules.BOARDS.parent,
    )


def test_the_command_checks_and_builds(tmp_path: Path) -> None:
    assert _till("check").returncode == 0
    out = tmp_path / "board.py"
    assert _till("build", "virtual", "--out", str(out), "--serial", "T-42").returncode == 0
    board = board_loader.load(str(out))
    assert board["serial"] == "T-42"
    assert board["languages"] == ["zh", "en"]
    assert board["display"] == GOOD["display"]
    assert board["built"] > 1_700_000_000
    bad = tmp_path / "bad.toml"
    good = board_rules.BOARDS / "virtual/board.toml"
    bad.write_text(good.read_text().replace("ssd1306", "vga"))
    for words in (("check", str(bad)), ("build", str(bad), "--out", str(out))):
        done = _till(*words)
        assert done.returncode == 1
        assert f"{bad}: display.driver: is 'vga'; allowed: sh1106, ssd1306" in done.stderr
        assert "Traceback" not in done.stderr
    assert _till("build", "virtual", "--out", "/no/such/folder/x.py").returncode == 1
    assert _till("build", "virtual", "--out", str(out), "--serial", "x" * 30).returncode == 1


@pytest.mark.parametrize(
    "text",
    ["", "x", "\nBOARD = ", "\nBOARD = {", "\nBOARD = []", "\nBOARD = {'format': 2}",
     "\nBOARD = __import__('os')", "\nBOARD = open('/etc/passwd')"],
)  # fmt: skip
def test_a_damaged_module_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.py"
    path.write_text(text)
    with pytest.raises(board_loader.BoardError, match=r"b\.py"):
        board_loader.load(str(path))
    with pytest.raises(board_loader.BoardError, match="none"):
        board_loader.load(str(tmp_path / "none.py"))


def test_every_driver_of_the_schema_has_a_maker_and_the_other_way_round() -> None:
    assert set(board_rules.BUSES) == set(board_buses.BUSES)
    assert {kind: set(drivers) for kind, drivers in board_rules.DEVICES.items()} == {
        kind: set(drivers) for kind, drivers in board_loader._DRIVERS.items()
    }
    assert set(board_loader.KINDS) == set(board_rules.DEVICES)


@pytest.mark.parametrize("name", ["virtual", "virtual-sh1106"])
def test_the_virtual_boards_devices_all_start(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board(name)
        devices = await board_loader.build(board, rig.rack(board), str(tmp_path))
        assert devices.failures == []
        for kind in board_loader.KINDS:
            assert (getattr(devices, kind) is not None) == (kind in board)
        assert devices.capabilities.columns == 32
        assert devices.capabilities.has_printer
        assert devices.capabilities.emulated

    run(main())


def test_a_dead_chip_fails_its_own_device_only(tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board()
        rack = rig.rack(board)
        rack.display.mute = True
        rack.rtc.mute = True
        devices = await board_loader.build(board, rack, str(tmp_path))
        assert [(kind, driver) for kind, driver, _ in devices.failures] == [
            ("display", "ssd1306"),
            ("clock", "ds3231"),
        ]
        assert devices.display is None
        assert devices.power is not None

    run(main())


def test_linux_buses_that_are_not_here_are_named_failures(tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board()
        board["bus"]["panel"] = {"driver": "luma_i2c", "port": 29, "address": 0x3C}
        board["bus"]["i2c0"] = {"driver": "linux_i2c", "port": 29}
        board["bus"]["gpio"] = {"driver": "rpi_pins"}
        board["bus"]["uart1"] = {"driver": "linux_serial", "path": "/dev/nowhere", "baud": 9600}
        devices = await board_loader.build(board, rig.rack(), str(tmp_path))
        failed = {kind: str(error) for kind, _, error in devices.failures}
        assert "I2C device not found" in failed["display"]
        assert "/dev/i2c-29" in failed["clock"] or "No such file" in failed["clock"]
        assert "RPi.GPIO does not work here" in failed["keypad"]
        assert failed["tamper"] == failed["keypad"]
        assert "/dev/nowhere" in failed["printer"]
        assert failed["pin_entry"] == "needs the keypad, which did not start"

    run(main())


def test_the_other_reader_that_a_boards_page_describes_fits_the_board() -> None:
    folder = board_rules.BOARDS / "rpi-zero-2w"
    page = (folder / "README.md").read_text(encoding="utf-8")
    (added,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    board = tomllib.loads((folder / "board.toml").read_text(encoding="utf-8") + "\n" + added)
    assert board_file.check(board) == [] and board["contactless"]["driver"] == "pn532"
    for left_out in (board, board["bus"]):
        left_out.pop("card_reader", None)
        left_out.pop("reader", None)
    assert board_file.check(board) == []
