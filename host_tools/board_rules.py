"""What a board file may say: every table, driver and setting, and what each may be."""

import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from host_tools.key_codes import CODES

BOARDS = Path(__file__).resolve().parents[1] / "boards"
#: Format of the compiled module.
FORMAT = 1

KEYS = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "00", ".",
    "cancel", "clear", "enter", "menu", "up", "down", "feed", "func",
)  # fmt: skip
LANGUAGES = ("en", "zh")

Board = dict[str, Any]
_INPUT = re.compile(r"/dev/input/[!-~]{1,180}|[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")


class Rule(NamedTuple):
    """What one setting may be. ``check`` returns what is allowed when a value is not."""

    check: Callable[[Any], str | None]
    required: bool = True


def _integer(low: int, high: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a whole number from {low} to {high}"

    return check


def _one_of(*values: Any) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = any(type(value) is type(v) and value == v for v in values)
        return None if good else "one of " + ", ".join(map(repr, values))

    return check


def _text(shortest: int, longest: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, str) and shortest <= len(value) <= longest and value.isprintable()
        return None if good else f"text of {shortest} to {longest} characters"

    return check


def _apn(value: Any) -> str | None:
    good = isinstance(value, str) and re.fullmatch("[A-Za-z0-9.-]{1,100}", value)
    return None if good else "an APN of letters, digits, dots and hyphens"


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _hex(count: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, str) and len(value) == 2 * count
        good = good and all(c in "0123456789abcdefABCDEF" for c in value)
        return None if good else f"{2 * count} hexadecimal digits"

    return check


def _pin_list(value: Any, most: int = 16) -> str | None:
    good = isinstance(value, list) and 1 <= len(value) <= most
    good = good and all(_integer(0, 255)(pin) is None for pin in value)
    return None if good else f"a list of 1 to {most} pin numbers from 0 to 255"


def _pins(value: Any) -> str | None:
    return _pin_list(value, 64)


def key_map(value: Any) -> str | None:
    good = isinstance(value, list) and all(isinstance(line, list) for line in value)
    if good:
        names = [name for line in value for name in line]
        good = all(isinstance(name, str) and (name == "" or name in KEYS) for name in names)
    return None if good else 'rows of key names, "" for none, of: ' + " ".join(KEYS)


def key_codes(value: Any) -> str | None:
    good = isinstance(value, dict) and 1 <= len(value) <= 64
    good = good and all(code in CODES and key in KEYS for code, key in value.items())
    return (
        None
        if good
        else "a table from key codes to key names; codes: "
        + " ".join(sorted(CODES))
        + "; names: "
        + " ".join(KEYS)
    )


def _pin_steps(value: Any) -> str | None:
    good = isinstance(value, list) and 1 <= len(value) <= 8
    good = good and all(isinstance(step, list) and len(step) == 2 for step in value)
    if good:
        good = all(
            _integer(0, 1)(level) is None and _integer(0, 20000)(ms) is None for level, ms in value
        )
    if good and sum(ms for _, ms in value) <= 20000:
        return None
    return "a list of 1 to 8 pairs, level and milliseconds, of 20000 ms in all"


def _command(value: Any) -> str | None:
    good = isinstance(value, list) and 1 <= len(value) <= 8
    if good and all(isinstance(word, str) and 0 < len(word) <= 200 for word in value):
        return None
    return "a list of 1 to 8 texts: a program and its arguments"


def _input_devices(value: Any) -> str | None:
    good = (
        isinstance(value, list) and 1 <= len(value) <= 8 and len(set(map(str, value))) == len(value)
    )
    good = good and all(isinstance(name, str) and _INPUT.fullmatch(name) for name in value)
    return None if good else "a list of paths in /dev/input or of vendor:product, as in 1a86:e026"


@cache
def printer_profiles() -> dict[str, Board]:
    """Settings of printers by name (``boards/printers.toml``)."""
    return tomllib.loads((BOARDS / "printers.toml").read_text(encoding="utf-8"))


def _printer_profile(value: Any) -> str | None:
    good = isinstance(value, str) and value in printer_profiles()
    return None if good else "one of " + ", ".join(sorted(printer_profiles()))


def with_profile(printer: Any) -> Any:
    """The printer's table with the settings of its profile where it has none of its own."""
    name = printer.get("profile") if isinstance(printer, dict) else None
    if not isinstance(name, str) or name not in printer_profiles():
        return printer
    return {**printer_profiles()[name], **printer}


def _languages(value: Any) -> str | None:
    good = isinstance(value, list) and value and len(set(map(str, value))) == len(value)
    good = good and all(name in LANGUAGES for name in value)
    return None if good else "a list of languages of: " + " ".join(LANGUAGES)


PIN = Rule(_integer(0, 255))
_optional_pin = Rule(_integer(0, 255), required=False)
_level = Rule(_integer(0, 1), required=False)
_least_percent = Rule(_integer(0, 50), required=False)
_cutoff_mv = Rule(_integer(1000, 20000), required=False)
_baud = Rule(_one_of(1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600))
_bus = Rule(_text(1, 30))
_wire = Rule(_text(1, 30))
_address = Rule(_integer(0x08, 0x77), required=False)
_port = Rule(_integer(0, 7))
_i2c_hz = Rule(_integer(10_000, 1_000_000), required=False)
_flag = Rule(_boolean, required=False)
_path = Rule(_text(1, 200), required=False)

BOARD_RULES: dict[str, Rule] = {
    "name": Rule(_text(1, 40)),
    "title": Rule(_text(1, 60)),
    "class": Rule(_text(1, 40)),
    "serial": Rule(_text(1, 20)),
    "emulated": Rule(_boolean, required=False),
    "micropython": Rule(_text(1, 10), required=False),
    "languages": Rule(_languages),
}
TRUST_RULES = {"provisioning_key": Rule(_hex(32)), "test": Rule(_boolean)}
_interval = Rule(_integer(0, 999_999_999), required=False)
#: After how much a part is due for service; 0 for never (firmware/services/counters.py).
MAINTENANCE_RULES = {
    "paper_m": Rule(_integer(0, 999_999), required=False),
    "cuts": _interval,
    "inserts": _interval,
    "swipes": _interval,
}

#: Bus driver: (what kind of bus it gives, its settings).
BUSES: dict[str, tuple[str, dict[str, Rule]]] = {
    "wire_display": ("display", {"wire": _wire}),
    "wire_pins": ("pins", {"wire": _wire, "pins": Rule(_integer(1, 256))}),
    "wire_i2c": ("i2c", {"wire": _wire}),
    "wire_spi": ("spi", {"wire": _wire}),
    "wire_serial": ("serial", {"wire": _wire, "baud": _baud}),
    "wire_card": ("card", {"wire": _wire}),
    "wire_net": ("net", {"wire": _wire}),
    "wire_wlan": (
        "net",
        {
            "wire": _wire,
            "net_wire": _wire,
            "ssid": Rule(_text(1, 32)),
            "key": Rule(_text(8, 63), required=False),
            "security": Rule(_one_of("auto", "wpa3", "open"), required=False),
        },
    ),
    "wire_call": ("net", {}),
    "wire_trng": ("trng", {"wire": _wire}),
    "wire_input": ("input", {"wire": _wire}),
    "luma_i2c": ("display", {"port": Rule(_integer(0, 31)), "address": Rule(_integer(8, 0x77))}),
    "luma_spi": (
        "display",
        {
            "port": Rule(_integer(0, 7)),
            "device": Rule(_integer(0, 3)),
            "dc_pin": PIN,
            "reset_pin": PIN,
        },
    ),
    "linux_i2c": ("i2c", {"port": Rule(_integer(0, 31))}),
    "linux_spi": (
        "spi",
        {
            "port": Rule(_integer(0, 7)),
            "device": Rule(_integer(0, 3)),
            "hz": Rule(_integer(100_000, 5_000_000), required=False),
        },
    ),
    "usb_printer": ("serial", {"path": Rule(_text(1, 200))}),
    "linux_serial": ("serial", {"path": Rule(_text(1, 200)), "baud": _baud, "flow": _flag}),
    "rpi_pins": ("pins", {}),
    "sysfs_pwm": ("pwm", {"chip": Rule(_integer(0, 31))}),
    "evdev": ("input", {"devices": Rule(_input_devices)}),
    "serial_card": (
        "card",
        {
            "bus": _bus,
            "pins_bus": _bus,
            "present_pin": PIN,
            "power_pin": PIN,
            "reset_pin": PIN,
            "present_level": _level,
            "power_level": _level,
            "reset_level": _level,
            "echo": _flag,
        },
    ),
    "pcsc": ("card", {"reader": Rule(_text(0, 100), required=False)}),
    "tcp": ("net", {}),
    "mpy_pins": ("pins", {"pins": Rule(_integer(1, 64)), "reserved": Rule(_pins, required=False)}),
    "mpy_i2c": ("i2c", {"port": _port, "scl": PIN, "sda": PIN, "hz": _i2c_hz}),
    "mpy_spi": (
        "spi",
        {
            "port": _port,
            "sck": PIN,
            "mosi": PIN,
            "miso": PIN,
            "select": PIN,
            "hz": Rule(_integer(100_000, 80_000_000)),
            "mode": Rule(_integer(0, 3), required=False),
        },
    ),
    "mpy_serial": ("serial", {"port": _port, "baud": _baud, "tx": PIN, "rx": PIN}),
    "mpy_usb_serial": ("serial", {}),
    "mpy_wlan": (
        "net",
        {
            "ssid": Rule(_text(1, 32)),
            "key": Rule(_text(8, 63), required=False),
            "security": Rule(_one_of("auto", "wpa3", "open"), required=False),
            "country": Rule(_text(2, 2), required=False),
        },
    ),
    "i2c_display": ("display", {"bus": _bus, "address": _address}),
    "spi_display": (
        "display",
        {"bus": _bus, "pins_bus": _bus, "dc_pin": PIN, "reset_pin": _optional_pin},
    ),
}

#: Bus driver: the buses that it stands on, by setting, and their kind.
BUS_ON_BUS: dict[str, dict[str, str]] = {
    "i2c_display": {"bus": "i2c"},
    "serial_card": {"bus": "serial", "pins_bus": "pins"},
    "spi_display": {"bus": "spi", "pins_bus": "pins"},
}

_OLED = {
    "bus": _bus,
    "width": Rule(_one_of(128)),
    "height": Rule(_one_of(64, 32)),
    "column_offset": Rule(_integer(0, 4), required=False),
}
_SUFFIX = Rule(_one_of("enter", "tab", "none"), required=False)
_LAYOUT = Rule(_one_of("us", "uk", "de", "fr"), required=False)
_SCANNER = {
    "bus": _bus, "suffix": _SUFFIX, "prefix": Rule(_text(0, 8), required=False), "aim": _flag
}  # fmt: skip
_STRIPE = {"bus": _bus, "suffix": _SUFFIX, "lrc": _flag}
_ESCPOS = {
    "bus": _bus,
    "profile": Rule(_printer_profile, required=False),
    "dots": Rule(_one_of(384, 576)),
    "columns": Rule(_one_of(32, 48)),
    "buffer": Rule(_integer(2048, 65536), required=False),
    "chinese": Rule(_one_of("gb18030", "gbk", "utf8", "raster"), required=False),
    "latin": _flag,
    "qr": Rule(_one_of("native", "raster"), required=False),
    "cutter": _flag,
    "answers": _flag,
}
#: Where a chip answers on an I2C bus unless told otherwise.
I2C_ADDRESSES = {"ds3231": 0x68, "max17048": 0x36, "pn532": 0x24}
_LINK = {"rank": Rule(_integer(0, 9), required=False), "metered": _flag, "warm": _flag}
_INTERFACE = {"interface": Rule(_text(1, 15)), **_LINK}
_MOBILE = {
    "apn": Rule(_apn),
    "roaming": _flag,
    "usb": Rule(_text(1, 40), required=False),
    "power_bus": Rule(_text(1, 30), required=False),
    "power_pin": _optional_pin,
    "power_steps": Rule(_pin_steps, required=False),
    **_LINK,
}
#: Link: driver: (bus kinds by setting, settings). They stand behind the network "links".
LINKS: dict[str, tuple[dict[str, str], dict[str, Rule]]] = {
    "cable": (
        {},
        {**_INTERFACE, "kind": Rule(_one_of("ethernet", "wifi", "mobile"), required=False)},
    ),
    "wire_cable": ({"bus": "net"}, {"bus": _bus, **_LINK}),
    "wire_wifi": ({"bus": "net"}, {"bus": _bus, **_LINK}),
    "wire_modem": (
        {"bus": "serial", "data_bus": "serial", "call_bus": "net"},
        {
            "bus": _bus,
            "data_bus": Rule(_text(1, 30), required=False),
            "call_bus": _bus,
            "apn": Rule(_apn),
            "roaming": _flag,
            **_LINK,
        },
    ),
    "nm_cable": ({}, _INTERFACE),
    "nm_wifi": ({}, _INTERFACE),
    "mpy_wifi": ({"bus": "net"}, {"bus": _bus, **_LINK}),
    "mm_modem": ({"power_bus": "pins"}, {**_MOBILE, "modem": Rule(_text(1, 100), required=False)}),
    "at_modem": (
        {"bus": "serial", "data_bus": "serial", "power_bus": "pins"},
        {**_MOBILE, "bus": _bus, "data_bus": Rule(_text(1, 30), required=False)},
    ),
}
#: Device: driver: (bus kinds by setting, settings); " or " parts kinds that all fit.
DEVICES: dict[str, dict[str, tuple[dict[str, str], dict[str, Rule]]]] = {
    "display": {
        "ssd1306": ({"bus": "display"}, {**_OLED, "column_offset": Rule(_one_of(0), False)}),
        "ssd1309": ({"bus": "display"}, {**_OLED, "column_offset": Rule(_one_of(0), False)}),
        "sh1106": ({"bus": "display"}, {**_OLED, "height": Rule(_one_of(64))}),
        "ssd1322": (
            {"bus": "display"},
            {"bus": _bus, "width": Rule(_one_of(256, 128)), "height": Rule(_one_of(64))},
        ),
        "st7789": (
            {"bus": "display"},
            {
                "bus": _bus,
                "width": Rule(_one_of(320, 280, 240)),
                "height": Rule(_one_of(240)),
                "column_offset": Rule(_integer(0, 80), required=False),
                "ink": Rule(_hex(3), required=False),
                "paper": Rule(_hex(3), required=False),
            },
        ),
    },
    "keypad": {
        "key_matrix": (
            {"bus": "pins"},
            {
                "bus": _bus,
                "rows": Rule(_pin_list),
                "columns": Rule(_pin_list),
                "keys": Rule(key_map),
            },
        ),
        "key_device": ({"bus": "input"}, {"bus": _bus, "codes": Rule(key_codes)}),
    },
    "printer": {
        "escpos": ({"bus": "serial"}, _ESCPOS),
        "escpos_net": (
            {"bus": "net"},
            {
                **_ESCPOS,
                "host": Rule(_text(1, 253)),
                "port": Rule(_integer(1, 65535), required=False),
            },
        ),
    },
    "clock": {
        "ds3231": ({"bus": "i2c"}, {"bus": _bus, "address": _address, "rtc": _flag}),
        "linux_rtc": ({}, {"path": _path}),
        "system": ({}, {}),
        "mpy_rtc": ({}, {}),
    },
    "power": {
        "max17048": (
            {"bus": "i2c", "mains_bus": "pins"},
            {
                "bus": _bus,
                "address": _address,
                "mains_bus": Rule(_text(1, 30), required=False),
                "mains_pin": _optional_pin,
                "mains_level": _level,
                "least_percent": _least_percent,
                "cutoff_mv": _cutoff_mv,
            },
        ),
        "linux_power": (
            {},
            {
                "battery": Rule(_text(1, 60), required=False),
                "least_percent": _least_percent,
                "cutoff_mv": _cutoff_mv,
            },
        ),
    },
    "tamper": {
        "tamper_pin": ({"bus": "pins"}, {"bus": _bus, "pin": PIN, "open_level": _level}),
    },
    "indicators": {
        "lamps": (
            {"bus": "pins", "buzzer_bus": "pwm"},
            {
                "bus": _bus,
                "ready": _optional_pin,
                "busy": _optional_pin,
                "ok": _optional_pin,
                "error": _optional_pin,
                "buzzer": _optional_pin,
                "buzzer_bus": Rule(_text(1, 30), required=False),
            },
        )
    },
    "card_reader": {
        "chip_reader": ({"bus": "card"}, {"bus": _bus}),
        "alpar_reader": (
            {"bus": "serial"},
            {
                "bus": _bus,
                "volts": Rule(_one_of("5", "3", "1.8"), required=False),
                "pps": _flag,
            },
        ),
    },
    "contactless": {
        "pn532": (
            {"bus": "serial or i2c or spi", "reset_bus": "pins"},
            {
                "bus": _bus,
                "address": _address,
                "reset_bus": Rule(_text(1, 30), required=False),
                "reset_pin": _optional_pin,
            },
        ),
        "pcsc_tap": ({"bus": "card"}, {"bus": _bus}),
    },
    "scanner": {
        "serial_scanner": ({"bus": "serial"}, _SCANNER),
        "key_scanner": ({"bus": "input"}, {**_SCANNER, "layout": _LAYOUT}),
    },
    "stripe": {
        "serial_stripe": ({"bus": "serial"}, _STRIPE),
        "key_stripe": ({"bus": "input"}, {**_STRIPE, "layout": _LAYOUT}),
    },
    "pin_entry": {"pin_pad": ({}, {})},
    "network": {
        "links": (
            {},
            {
                "beacon": Rule(_text(1, 253), required=False),
                "beacon_port": Rule(_integer(1, 65535), required=False),
            },
        ),
        "tls_link": (
            {"bus": "net"},
            {"bus": _bus, "kind": Rule(_one_of("ethernet", "wifi", "mobile"), required=False)},
        ),
    },
    "entropy": {
        "trng": ({"bus": "trng"}, {"bus": _bus}),
        "linux": ({}, {}),
        "mpy": ({}, {"radio": _flag}),
    },
    "files": {"folder": ({}, {})},
    "vault": {
        "soft_vault": (
            {},
            {
                "counter": Rule(_one_of("tpm"), required=False),
                "counter_path": _path,
                "counter_index": Rule(_integer(0x01800000, 0x01BFFFFF), required=False),
                "notes_per_step": Rule(_integer(1, 1024), required=False),
            },
        )
    },
    "pc_pipe": {"pc_serial": ({"bus": "serial"}, {"bus": _bus, "small": _flag})},
    "pc_net": {
        "pc_tcp": ({}, {"port": Rule(_integer(1, 65535)), "announce": _flag}),
        "pc_rfcomm": ({}, {"channel": Rule(_integer(1, 30))}),
    },
    "restart": {
        "system": ({}, {"command": Rule(_command, required=False)}),
        "mpy_reset": ({}, {}),
    },
    "watchdog": {
        "linux_watchdog": (
            {},
            {"path": _path, "timeout_s": Rule(_integer(5, 3600), required=False)},
        ),
        "mpy_watchdog": ({}, {"timeout_ms": Rule(_integer(1000, 8388), required=False)}),
    },
}
