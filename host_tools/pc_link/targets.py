"""What the user calls a terminal, and the pipe that leads there.

``/dev/ttyACM0``, ``COM5``, ``tcp://host:port`` name a place; anything else is a terminal's
serial number, looked for on USB, where it was last, and on the network. With nothing said it
is OPENTILL_LINK, else the one terminal that is plugged in.
"""

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from host_tools.errors import UserError
from host_tools.pc_link import discovery
from host_tools.pc_link.discovery import Port, Service
from host_tools.pc_link.known import KnownTerminals
from host_tools.pc_link.pipes import Line, PortAbsent, SerialPipe, TcpPipe
from host_tools.texts import said

_WINDOWS_PORT = re.compile(r"(\\\\\.\\)?COM[1-9][0-9]{0,2}", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A place: ``path`` of a serial port, or ``host`` and ``port``. ``usb``: the port is looked
    for by this first. ``serial``: the terminal that must answer there, "" for any."""

    path: str = ""
    host: str = ""
    port: int = 0
    usb: str = ""
    serial: str = ""

    @property
    def text(self) -> str:
        """As the user would say it."""
        if self.host:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"tcp://{host}:{self.port}"
        return self.path

    def pipe(self) -> Line:
        """A pipe to it, not open yet."""
        if self.host:
            return TcpPipe(self.host, self.port)
        return SerialPipe(self.find)

    def find(self, list_ports: Callable[[], list[Port]] | None = None) -> str:
        """The port's path today: by its USB serial number if it has one. PortAbsent."""
        if self.usb:
            for one in (list_ports or discovery.usb_ports)():
                if one.usb == self.usb:
                    return one.path
        if os.name == "posix" and not os.path.exists(self.path):
            raise PortAbsent(f"{self.path}: no such port")
        return self.path


def parse(text: str) -> Target | None:
    """The place that ``text`` names; None when it is a serial number. UserError."""
    if text.lower().startswith("tcp://"):
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port or parts.path not in ("", "/") or parts.username:
            raise UserError(
                said("{target}: give host and port, such as tcp://192.168.1.7:4455", target=text)
            )
        return Target(host=host, port=port)
    if _WINDOWS_PORT.fullmatch(text) or os.sep in text or text.startswith("/"):
        return Target(path=text)
    return None


async def resolve(
    text: str,
    known: KnownTerminals,
    list_ports: Callable[[], list[Port]] | None = None,
    browse: Callable[[], Awaitable[list[Service]]] | None = None,
) -> Target:
    """Where to reach what ``text`` names, "" for the only one. UserError says what there is.
    ``list_ports`` and ``browse``: other lists than this computer's (``discovery``)."""
    list_ports = list_ports or discovery.usb_ports
    browse = browse or discovery.on_network
    text = text or os.environ.get("OPENTILL_LINK", "")
    if not text:
        return _only(known, list_ports())
    target = parse(text)
    if target is not None:
        usb = [one.usb for one in list_ports() if one.path == target.path]
        return replace(target, usb=usb[0]) if usb else target
    entry = known.get(text)
    for one in list_ports():
        if one.serial == text or (entry is not None and entry.usb and entry.usb == one.usb):
            return Target(path=one.path, usb=one.usb, serial=text)
    place = parse(entry.place) if entry is not None and entry.place else None
    if place is not None and not place.host and os.path.exists(place.path):
        return replace(place, serial=text)
    for service in await browse():
        if service.serial == text:
            return Target(host=service.host, port=service.port, serial=text)
    if place is not None and place.host:
        return replace(place, serial=text)
    raise UserError(
        said("no terminal {serial} on a cable or on the network; plug it in or turn it on, "
             "`till devices` shows what there is", serial=text)
    )  # fmt: skip


def _only(known: KnownTerminals, ports: list[Port]) -> Target:
    likely = [one for one in ports if one.likely]
    if len(likely) == 1:
        return Target(path=likely[0].path, usb=likely[0].usb)
    if len(likely) > 1:
        paths = ", ".join(one.path for one in likely)
        raise UserError(said("several terminals are plugged in ({paths}): say which", paths=paths))
    entries = [one for one in known.all() if one.place]
    if len(entries) == 1:
        place = parse(entries[0].place)
        if place is not None:
            return replace(place, serial=entries[0].serial)
    raise UserError(
        said("no terminal is plugged in; say which one: a port, tcp://host:port or its serial "
             "number (`till devices` shows what there is)")
    )  # fmt: skip
