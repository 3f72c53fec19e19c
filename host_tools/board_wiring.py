"""Which wire goes where, read from a board file: a table and a picture.

Both are made from ``board.toml`` alone, so that they cannot disagree with it.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

from host_tools.board_rules import DEVICES, Board

#: Pins of a Raspberry Pi's 40-pin header by Broadcom number.
HEADER = {
    2: 3, 3: 5, 4: 7, 14: 8, 15: 10, 17: 11, 18: 12, 27: 13, 22: 15, 23: 16, 24: 18, 10: 19,
    9: 21, 25: 22, 11: 23, 8: 24, 7: 26, 0: 27, 1: 28, 5: 29, 6: 31, 12: 32, 13: 33, 19: 35,
    16: 36, 26: 37, 20: 38, 21: 40,
}  # fmt: skip
#: Broadcom numbers of the header's buses: (signal, pin) by port.
_I2C = {0: (("SDA", 0), ("SCL", 1)), 1: (("SDA", 2), ("SCL", 3))}
_SPI = {0: (("MOSI", 10), ("MISO", 9), ("SCLK", 11)), 1: (("MOSI", 20), ("MISO", 19), ("SCLK", 21))}
_SELECT = {0: (8, 7), 1: (18, 17, 16)}
_UARTS = ("/dev/serial0", "/dev/ttyAMA0", "/dev/ttyS0")
_UART = (("TXD", 14), ("RXD", 15))
#: Drivers of buses that end in a plug or an aerial: (signal, what it goes to).
_PLUGS = {
    "evdev": ("plug", "USB"), "usb_printer": ("plug", "USB"), "pcsc": ("plug", "USB"),
    "tcp": ("plug", "network"), "linux_serial": ("plug", "serial or USB"),
    "mpy_wlan": ("aerial", "Wi-Fi of the module"), "mpy_usb_serial": ("plug", "USB of the chip"),
}  # fmt: skip
#: Links that stand on no bus of the board file: where their plug or aerial is.
_LINK_PLUGS = {
    "cable": ("plug", "network"), "nm_cable": ("plug", "network"), "nm_wifi": ("aerial", "Wi-Fi"),
    "mm_modem": ("plug", "USB modem"),
}  # fmt: skip
#: Settings of pins that are signals of the device itself.
_SIGNALS = (
    "pin", "mains_pin", "ready", "busy", "ok", "error", "buzzer", "dc_pin", "reset_pin",
)  # fmt: skip
_HEADER_DRIVERS = ("rpi_pins", "linux_i2c", "luma_i2c", "linux_spi", "luma_spi", "linux_serial")


@dataclass(frozen=True)
class Wire:
    """One wire: a device's signal and where it ends on the controller."""

    device: str
    signal: str
    end: str


def wires(board: Board) -> list[Wire]:
    """The wires of a board that ``board_file.read`` gave, bus by bus, then device by device."""
    found: list[Wire] = []
    for name, bus in board.get("bus", {}).items():
        owners = _owners(name, board)
        for signal, end in _bus_wires(bus):
            found.append(Wire(owners, signal, end))
    for link, table in board.get("link", {}).items():
        if table["driver"] in _LINK_PLUGS:
            signal, end = _LINK_PLUGS[table["driver"]]
            found.append(
                Wire(f"link {link}", signal, f"{end} {table.get('interface', '')}".strip())
            )
        if "power_pin" in table:
            header = board["bus"][table["power_bus"]]["driver"] in _HEADER_DRIVERS
            found.append(Wire(f"link {link}", "power key", _pin(table["power_pin"], header)))
    for kind in DEVICES:
        if kind in board:
            found += _device_wires(kind, board[kind], board)
    return found


def _owners(name: str, board: Board) -> str:
    """The devices and links on a bus, also through a bus that stands on it."""
    names = {name}
    for other, bus in board.get("bus", {}).items():
        if name in (bus.get("bus"), bus.get("pins_bus")):
            names.add(other)
    kinds = [kind for kind in DEVICES if kind in board and board[kind].get("bus") in names]
    for link, table in board.get("link", {}).items():
        if names & {table.get("bus"), table.get("data_bus")}:
            kinds.append(f"link {link}")
    return ", ".join(kinds)


def _bus_wires(bus: dict[str, Any]) -> list[tuple[str, str]]:
    driver = bus["driver"]
    header = driver in _HEADER_DRIVERS
    if driver in ("linux_i2c", "luma_i2c"):
        if bus["port"] in _I2C:
            return _named(_I2C[bus["port"]], header)
        return [(signal, f"/dev/i2c-{bus['port']}") for signal in ("SDA", "SCL")]
    if driver in ("linux_spi", "luma_spi") and bus["port"] in _SPI:
        select = (("CE", _SELECT[bus["port"]][bus["device"]]),)
        own = tuple((_word(key), bus[key]) for key in ("dc_pin", "reset_pin") if key in bus)
        return _named((*_SPI[bus["port"]], *select, *own), header)
    if driver == "linux_serial" and bus["path"] in _UARTS:
        return _named(_UART, header)
    if driver in _PLUGS:
        where = bus.get("path") or ", ".join(bus.get("devices", [])) or bus.get("reader", "")
        signal, end = _PLUGS[driver]
        return [(signal, f"{end} {where}".strip())]
    named = (
        "sda", "scl", "sck", "mosi", "miso", "select", "tx", "rx",
        "dc_pin", "present_pin", "power_pin", "reset_pin",
    )  # fmt: skip
    return _named(tuple((_word(key), bus[key]) for key in named if key in bus), header)


def _device_wires(kind: str, device: dict[str, Any], board: Board) -> list[Wire]:
    found = []
    for key in _SIGNALS:
        if key in device and isinstance(device[key], int):
            on = device.get("mains_bus" if key == "mains_pin" else "bus", "")
            if key == "buzzer":
                on = device.get("buzzer_bus", on)
            driver = board["bus"].get(on, {}).get("driver", "")
            if driver == "sysfs_pwm":
                found.append(Wire(kind, _word(key), f"PWM channel {device[key]}"))
            else:
                found.append(Wire(kind, _word(key), _pin(device[key], driver in _HEADER_DRIVERS)))
    driver = board["bus"].get(device.get("bus", ""), {}).get("driver", "")
    for key, word in (("rows", "row"), ("columns", "column")):
        pins = device.get(key)
        for at, pin in enumerate(pins if isinstance(pins, list) else []):
            found.append(Wire(kind, f"{word} {at + 1}", _pin(pin, driver in _HEADER_DRIVERS)))
    return found


def _named(signals: tuple[tuple[str, int], ...], header: bool) -> list[tuple[str, str]]:
    return [(signal, _pin(pin, header)) for signal, pin in signals]


def _word(setting: str) -> str:
    """ "dc_pin" as it stands on a module: DC."""
    if setting == "pin":
        return "switch"
    name = setting.removesuffix("_pin")
    return name.upper() if len(name) <= 4 and name not in ("ok", "busy") else name


def _pin(number: int, header: bool) -> str:
    if header and number in HEADER:
        return f"GPIO{number}, header pin {HEADER[number]}"
    return f"GPIO{number}"


def markdown(board: Board) -> str:
    """The table, as it stands in a board's README."""
    lines = ["| device | signal | controller |", "|---|---|---|"]
    lines += [f"| {wire.device} | {wire.signal} | {wire.end} |" for wire in wires(board)]
    return "\n".join(lines) + "\n"


#: Sizes in the picture, pixels.
_ROW, _TOP, _GAP, _LEFT, _MIDDLE, _RIGHT = 20, 46, 14, 330, 150, 300
_COLOURS = ("#1f6f5c", "#7a4b12", "#274a8a", "#8a2f4b", "#51691b", "#5a3a86", "#8a5a00", "#2f6f7a")


def svg(board: Board) -> str:
    """The picture: the controller's pins on the left, the devices on the right."""
    groups: list[tuple[str, list[Wire]]] = []
    for wire in wires(board):
        if not groups or groups[-1][0] != wire.device:
            groups.append((wire.device, []))
        groups[-1][1].append(wire)
    height = _TOP + sum(len(rows) * _ROW + _GAP + _ROW for _, rows in groups) + _GAP
    width = _LEFT + _MIDDLE + _RIGHT
    title = escape(str(board["board"]["title"]))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16" font-weight="bold">{title}</text>',
        f'<rect x="10" y="{_TOP - 10}" width="{_LEFT - 20}" height="{height - _TOP}" rx="8" '
        'fill="#eef3f1" stroke="#333333"/>',
    ]
    y = _TOP
    for at, (device, rows) in enumerate(groups):
        colour = _COLOURS[at % len(_COLOURS)]
        box = len(rows) * _ROW + _ROW
        x = _LEFT + _MIDDLE
        out.append(
            f'<rect x="{x}" y="{y}" width="{_RIGHT - 10}" height="{box}" rx="6" '
            f'fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
        )
        out.append(
            f'<text x="{x + 10}" y="{y + 15}" font-weight="bold" fill="{colour}">'
            f"{escape(device)}</text>"
        )
        for row, wire in enumerate(rows):
            line = y + _ROW + row * _ROW + 10
            out.append(
                f'<text x="{_LEFT - 22}" y="{line + 4}" text-anchor="end">'
                f"{escape(_short(wire.end))}</text>"
            )
            out.append(
                f'<path d="M{_LEFT - 10} {line}H{x}" stroke="{colour}" stroke-width="2"/>'
                f'<circle cx="{_LEFT - 10}" cy="{line}" r="3" fill="{colour}"/>'
                f'<circle cx="{x}" cy="{line}" r="3" fill="{colour}"/>'
            )
            out.append(f'<text x="{x + 10}" y="{line + 4}">{escape(wire.signal)}</text>')
        y += box + _GAP
    return "\n".join([*out, "</svg>"]) + "\n"


def _short(end: str) -> str:
    """The end of a path says which plug it is."""
    return end if len(end) <= 40 else end[:4] + "..." + end[-33:]
