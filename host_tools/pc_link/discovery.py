"""Which terminals there may be: serial ports of USB, and the shop's network by mDNS.

Nothing is opened here, and what a device says of itself is a hint and no more: who a terminal
is shows in the handshake.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: USB's vendor and product of terminals' ports: Linux's serial gadgets, MicroPython's on
#: RP2350 and ESP32-S3, and the vendor that boards without their own number use (pid.codes).
_LIKELY = {(0x0525, 0xA4A7), (0x1D6B, 0x0104), (0x2E8A, 0x0005), (0x303A, 0x4001), (0x303A, 0x1001)}
_OPEN_VENDOR = 0x1209
_WORD = "opentill"
#: The service that a terminal announces; keys of its TXT record.
SERVICE = "_opentill._tcp.local."
_SERIAL, _BOARD = b"serial", b"board"
#: What is read of a stranger's words.
_MOST = 32
#: How many answers are taken before a network counts as hostile.
_MOST_FOUND = 256


@dataclass(frozen=True)
class Port:
    """A serial port of USB. ``usb``: "1209:0001:SERIAL", by which it is found again after
    it was plugged in elsewhere; "" without a serial number. ``likely``: looks like a
    terminal's."""

    path: str
    usb: str
    serial: str
    product: str
    likely: bool


@dataclass(frozen=True)
class Service:
    """A terminal that announces itself on the network."""

    host: str
    port: int
    serial: str
    board: str


def printable(value: object, most: int = _MOST) -> str:
    """A stranger's word for a screen: short, without control characters."""
    text = "".join(char if char.isprintable() else "?" for char in str(value or "")[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def usb_ports(list_ports: "Callable[[], Any] | None" = None) -> list[Port]:
    """Serial ports on USB, those that look like a terminal's first."""
    if list_ports is None:
        from serial.tools import list_ports as tools

        list_ports = tools.comports
    found = []
    for one in list_ports():
        if one.vid is None:
            continue
        product = printable(one.product or one.description)
        serial = printable(one.serial_number)
        names = f"{one.manufacturer or ''} {one.product or ''}".lower()
        likely = _WORD in names or (one.vid, one.pid) in _LIKELY or one.vid == _OPEN_VENDOR
        usb = f"{one.vid:04x}:{one.pid or 0:04x}:{serial}" if serial else ""
        found.append(Port(str(one.device), usb, serial, product, likely))
    return sorted(found, key=lambda port: (not port.likely, port.path))


async def on_network(seconds: float = 1.5) -> list[Service]:
    """Terminals that answer within ``seconds``; [] without a network."""
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    names: list[str] = []

    def heard(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        fresh = state_change is ServiceStateChange.Added and name not in names
        if fresh and len(names) < _MOST_FOUND:
            names.append(name)

    try:
        mdns = AsyncZeroconf()
    except OSError:
        return []
    try:
        browser = AsyncServiceBrowser(mdns.zeroconf, SERVICE, handlers=[heard])
        await asyncio.sleep(seconds)
        await browser.async_cancel()
        infos = [AsyncServiceInfo(SERVICE, name) for name in names]
        await asyncio.gather(*(one.async_request(mdns.zeroconf, 1000) for one in infos))
        return _services(infos)
    finally:
        await mdns.async_close()


def _services(infos: "list[Any]") -> list[Service]:
    found = set()
    for info in infos:
        addresses = info.parsed_scoped_addresses()
        if not addresses or not info.port:
            continue
        words = {
            key: printable((info.properties.get(key) or b"").decode("ascii", "replace"))
            for key in (_SERIAL, _BOARD)
        }
        found.add(Service(addresses[0], info.port, words[_SERIAL], words[_BOARD]))
    return sorted(found, key=lambda one: (one.serial, one.host, one.port))
