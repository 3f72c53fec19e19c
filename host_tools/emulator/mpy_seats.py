"""What a MicroPython board has wired to which virtual chip, for the proxies in ``mpy/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Folder of the modules ``machine`` and ``network``.
FOLDER = Path(__file__).with_name("mpy")
#: Device that stands on a serial port: its seat in the rack.
SERIAL = {
    "printer": "printer",
    "pc_pipe": "pc",
    "scanner": "scanner",
    "card_reader": "reader",
}
#: The same of a modem's ports.
MODEM = {"bus": "modem", "data_bus": "modem_data"}


def seats(board: Mapping[str, Any]) -> dict[str, str]:
    """Peripheral of the microcontroller: seat of the rack."""
    found = {"pins": "gpio", "mcu": "mcu", "wlan": "wlan", "usb": "pc"}
    buses = board["bus"]
    for name, bus in buses.items():
        driver, port = bus["driver"], bus.get("port")
        if driver == "mpy_i2c":
            found[f"i2c{port}"] = "i2c"
        elif driver == "mpy_spi":
            found[f"spi{port}"] = "spi"
        elif driver == "mpy_serial":
            for kind, seat in SERIAL.items():
                stands_on = board.get(kind, {}).get("bus")
                if name in _below(stands_on, buses):
                    bare = buses.get(stands_on, {}).get("driver") == "serial_card"
                    found[f"uart{port}"] = "contacts" if bare else seat
            for link in board.get("link", {}).values():
                for setting, seat in MODEM.items():
                    if link["driver"] == "at_modem" and link.get(setting) == name:
                        found[f"uart{port}"] = seat
    return found


def _below(name: Any, buses: Mapping[str, Any]) -> list[str]:
    """A bus and those that it stands on."""
    found = []
    while isinstance(name, str) and name not in found:
        found.append(name)
        name = buses.get(name, {}).get("bus")
    return found


def environment(board: Mapping[str, Any], wire: str, port: str) -> dict[str, str]:
    """What a MicroPython process needs to be the microcontroller of ``board``: the rack
    is at ``wire``, ``port`` is "rp2" or "esp32"."""
    pairs = [f"{name}={seat}" for name, seat in sorted(seats(board).items())]
    return {
        "OPENTILL_WIRE": wire,
        "OPENTILL_SEATS": ",".join(pairs),
        "OPENTILL_PORT": port,
        "MICROPYPATH": f".frozen:{FOLDER}:{ROOT}",
    }
