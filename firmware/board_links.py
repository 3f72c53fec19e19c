"""Makes the links of a board, and what chooses among them: the third part of ``board_loader``.

A link is a bearer, the network through it, and its place among the others.
"""

import sys

from firmware.errors import TillError
from firmware.hal.network import NetworkLink, TlsConfig
from firmware.services.link_probe import Beacon, TlsProbe, WayProbe
from firmware.services.link_supervisor import LinkSupervisor, Way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.board_loader import Bench, Settings
    from firmware.buses.data_line import Carrier
    from firmware.buses.raw_net import RawNet
    from firmware.hal.bearer import Bearer
    from firmware.hal.network import Stream
    from firmware.services.recovery_ladder import Step

_CPYTHON = sys.implementation.name == "cpython"


class _Question:
    """What each link is asked: the host that payments go to, once one has gone there.

    It needs no secret and carries none: the handshake is begun without our certificate,
    and a host that refuses us for it was reached. ``beacon``: who is asked when he is
    silent, where the board names somebody. Made before anything is paid: it lives on.
    """

    def __init__(self, ways: "list[Way]", beacon: "Beacon | None") -> None:
        self._ways = ways
        self._beacon = beacon
        self._tls = TlsConfig([], "", [], b"", "")
        self._probe = TlsProbe("", 0, self._tls)
        self._asks = [WayProbe(way, self._probe).ask for way in ways]

    def aim(self, host: str, port: int, tls: "TlsConfig") -> None:
        """Ask for this host from now on."""
        self._tls.trust, self._tls.server_name = tls.trust, tls.server_name
        self._probe.aim(host, port)
        for way, ask in zip(self._ways, self._asks):
            way.probe = ask
        if self._beacon is not None:
            self._beacon.begin(tls)


class Links(LinkSupervisor):
    """Asks through each link for the host that payments go to (``_Question``)."""

    def __init__(
        self,
        ways: "list[Way]",
        beacon: "Beacon | None" = None,
        on_step: "Callable[[Step], None] | None" = None,
    ) -> None:
        super().__init__(ways, None, on_step)
        self._question = _Question(ways, beacon)

    async def connect(self, host: str, port: int, tls: "TlsConfig", timeout_ms: int) -> "Stream":
        self._question.aim(host, port, tls)
        return await super().connect(host, port, tls, timeout_ms)


def _supervisor(
    ways: "list[Way]", beacon: "Beacon | None", on_step: "Callable[[Step], None]"
) -> LinkSupervisor:
    if _CPYTHON or len(ways) == 1:
        return Links(ways, beacon, on_step)
    from firmware.services.links_in_turn import LinksInTurn

    question = _Question(ways, beacon)

    class OneStack(LinksInTurn):
        """As ``Links``, where one link is up at a time."""

        async def connect(
            self, host: str, port: int, tls: "TlsConfig", timeout_ms: int
        ) -> "Stream":
            question.aim(host, port, tls)
            return await super().connect(host, port, tls, timeout_ms)

    return OneStack(ways, None, on_step)


def make_links(bench: "Bench", s: "Settings") -> LinkSupervisor:
    """The supervisor of the board's links, watching. A link that cannot be made is a
    failure of its own; BoardError or whatever the last one said when none can."""
    ways: "list[Way]" = []
    failure: "TillError | None" = None
    tables = bench.tables("link")
    beacon = Beacon(s["beacon"], s.get("beacon_port", 443)) if "beacon" in s else None
    for name in sorted(tables):
        link = tables[name]
        try:
            bearer = bench.make(_BEARERS, "link " + name, link)
        except TillError as error:
            failure = error
            bench.devices.failures.append(("network", str(link.get("driver", "")), error))
            continue
        ways.append(
            Way(
                name,
                bearer,
                _through(bench, link, bearer),
                None,
                link.get("rank", 0),
                bool(link.get("metered", False)),
                bool(link.get("warm", True)),
                beacon.ask if beacon is not None else None,
            )
        )
    if not ways:
        from firmware.board_loader import BoardError

        raise failure or BoardError("the board has no links")
    devices = bench.devices

    def on_step(step: "Step") -> None:
        for listener in devices.step_listeners:
            listener(step)

    links = _supervisor(sorted(ways, key=lambda way: way.rank), beacon, on_step)
    if devices.restart is not None and devices.clock is not None and devices.files is not None:
        from firmware.services.last_rung import LastRung

        devices.last_rung = LastRung(devices.clock, devices.files)
        links.restart_by(devices.last_rung.ask)
    links.start()
    return links


def _through(bench: "Bench", link: "Settings", bearer: "Bearer") -> NetworkLink:
    """TLS by the bearer's own network; of those that the system keeps by its interface
    alone, where the system can tell one from another."""
    if link["driver"] in _OWN_NET:
        return _tls(bench.bus(link[_OWN_NET[link["driver"]]]), bearer.kind)
    if _CPYTHON:
        from firmware.buses.tcp_linux import TcpLinux

        return _tls(TcpLinux(lambda: bearer.interface, lambda: bearer.dns), bearer.kind)
    from firmware.buses.tcp_mpy import TcpMpy

    return _tls(TcpMpy(), bearer.kind)


def _tls(net: "RawNet", kind: str) -> NetworkLink:
    if _CPYTHON:
        from firmware.drivers.tls_link import TlsLink

        return TlsLink(net, kind)
    from firmware.drivers.tls_link_mpy import TlsLinkMpy

    return TlsLinkMpy(net, kind)


#: Links whose network is a bus of the board, and the setting that names it.
_OWN_NET = {
    "mpy_wifi": "bus", "wire_cable": "bus", "wire_wifi": "bus", "wire_modem": "call_bus"
}  # fmt: skip


def _cable(bench: "Bench", s: "Settings") -> "Any":
    from firmware.buses.tcp_linux import TcpLinux
    from firmware.drivers.cable import Cable

    cable = Cable(TcpLinux(s["interface"]), s.get("kind", "ethernet"))
    cable.interface = s["interface"]
    return cable


def _wire_cable(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.cable import Cable

    return Cable(bench.bus(s["bus"]))


def _nm_cable(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.nm_linux import NmCable

    return NmCable(_system_bus(bench), s["interface"])


def _nm_wifi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.wifi_linux import NmWifi

    return NmWifi(_system_bus(bench), s["interface"])


def _mm_modem(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.mm_linux import MmModem

    return MmModem(
        _system_bus(bench),
        s["apn"],
        roaming=bool(s.get("roaming", True)),
        which=s.get("modem", ""),
        usb=_usb(s),
        power=_power(bench, s),
    )


def _wifi(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.wlan import WlanBearer

    return WlanBearer(bench.bus(s["bus"]))


def _at_modem(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.at_modem import AtModem

    carrier: "Carrier"
    if _CPYTHON:
        from firmware.buses.ppp_linux import PppCarrier

        port = _port(bench, s["bus"])
        data = _port(bench, s["data_bus"]) if "data_bus" in s else None
        carrier = PppCarrier()
    else:
        from firmware.buses.ppp_mpy import MpyPpp

        # A peripheral of the chip neither goes nor comes back.
        port = bench.bus(s["bus"])
        data = bench.bus(s["data_bus"]) if "data_bus" in s else None
        carrier = MpyPpp(data or port)
    return AtModem(
        port,
        carrier,
        s["apn"],
        data_port=data,
        roaming=bool(s.get("roaming", True)),
        usb=_usb(s),
        power=_power(bench, s),
    )


def _wire_modem(bench: "Bench", s: "Settings") -> "Any":
    from firmware.drivers.at_modem import AtModem

    return AtModem(
        _port(bench, s["bus"]),
        bench.bus(s["call_bus"]),
        s["apn"],
        data_port=_port(bench, s["data_bus"]) if "data_bus" in s else None,
        roaming=bool(s.get("roaming", True)),
    )


def _port(bench: "Bench", name: str) -> "Any":
    """A modem's serial port: opened anew after each failure, for it goes with the modem."""
    from firmware.buses.serial_again import ReopenedSerial
    from firmware.buses.wire import BusError

    def opened() -> "Any":
        try:
            return bench.new_bus(name)
        except TillError as error:
            raise BusError(str(error)) from None

    return ReopenedSerial(opened)


def _usb(s: "Settings") -> "Any":
    if "usb" not in s:
        return None
    from firmware.buses.usb_linux import UsbPort

    return UsbPort(s["usb"])


def _power(bench: "Bench", s: "Settings") -> "Any":
    """The pin of a modem's power key or supply, held as its maker wants it."""
    if "power_pin" not in s:
        return None
    from firmware.buses.pin_restart import PinRestart

    steps = tuple([(level, ms) for level, ms in s["power_steps"]])
    return PinRestart(bench.bus(s["power_bus"]), s["power_pin"], steps)


def _system_bus(bench: "Bench") -> "Any":
    """One connection to the system's D-Bus for all links."""
    from firmware.buses.dbus_linux import DBus

    if bench.dbus is None:
        bench.dbus = DBus()
    return bench.dbus


_BEARERS: "dict[str, Callable[[Bench, Settings], Any]]" = {
    "cable": _cable,
    "nm_cable": _nm_cable,
    "nm_wifi": _nm_wifi,
    "mm_modem": _mm_modem,
    "at_modem": _at_modem,
    "mpy_wifi": _wifi,
    "wire_cable": _wire_cable,
    "wire_wifi": _wifi,
    "wire_modem": _wire_modem,
}
