"""Module ``network`` of the virtual microcontroller: its Wi-Fi in station mode, and PPP.

As MicroPython 1.25's documentation has it ("class WLAN", "class PPP"), with the differences of
the two ports: numbers of states and securities; rp2 takes ``security`` in ``connect``
and knows no ``reconnects``, esp32 the other way round, and retries for ever unless told
otherwise. Sockets are the computer's own (``socket.py``), and go where lwIP has its
way out: Wi-Fi takes it when its radio is switched on, PPP when it connects, and the end
of PPP leaves none (cyw43-driver, ``cyw43_cb_tcpip_init``; extmod/network_ppp_lwip.c;
lwIP, ``netif_remove``). ESP-IDF gives it to Wi-Fi again at its next address; here both
ports are as strict.
"""

from host_tools.emulator.chips.ppp import PppEnd
from host_tools.emulator.mpy import mcu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: States of the radio's wire, in the order of their numbers, as each port calls them.
_STATES = {
    "rp2": (0, 1, 2, 3, -3, -2, -1, 0),
    "esp32": (1000, 1001, 1001, 1010, 202, 201, 203, 200),
}
_codes = _STATES[mcu.port()]
STAT_IDLE, STAT_CONNECTING, _, STAT_GOT_IP, STAT_WRONG_PASSWORD, STAT_NO_AP_FOUND = _codes[:6]
_UP, _FAILURES = 3, (4, 5, 6, 7)
_country = [""]
_WIFI = "wifi"
#: Who has the way out: _WIFI, a PPP, or nobody.
_route: "list[Any]" = []
#: Not empty once this start of the chip has switched its radio on.
_switched_on: "list[bool]" = []


def way_out() -> str:
    """The link by which a connection would leave: "wifi", "mobile", "" for none."""
    if not _route:
        return ""
    if _route[0] is _WIFI:
        return _WIFI if mcu.transfer("wlan", 5, b"")[0] == _UP else ""
    return "mobile" if _route[0].isconnected() else ""


def _take_way_out(who: "Any") -> None:
    _route[:] = [who]


def _leave_way_out(who: "Any") -> None:
    if _route and _route[0] is who:
        _route.clear()


def country(code: "str | None" = None) -> str:
    """Get or set the regulatory domain."""
    if code is not None:
        if len(code) != 2:
            raise ValueError("country must be two letters")
        _country[0] = code
    return _country[0]


class WLAN:
    """The station interface."""

    IF_STA, IF_AP = 0, 1
    #: cyw43's and ESP-IDF's numbers of WPA3-SAE.
    SEC_WPA3 = 0x01000004 if mcu.port() == "rp2" else 6

    def __init__(self, interface: int = 0) -> None:
        if interface != WLAN.IF_STA:
            raise ValueError("only the station interface is wired")
        self._retries = True  # esp32's default
        self._again = b""

    def active(self, on: "bool | None" = None) -> bool:
        """Ask without argument, else switch."""
        told = mcu.transfer("wlan", 1, b"" if on is None else bytes((on,)))[0] == 1
        if on and not _switched_on:
            _switched_on.append(True)
            _take_way_out(_WIFI)
        elif on is not None and not on:
            _switched_on.clear()
            _leave_way_out(_WIFI)
        return told

    def config(self, **wanted: int) -> None:
        """Set parameters."""
        for name, value in wanted.items():
            if mcu.port() != "esp32" or name != "reconnects":
                raise ValueError("unknown config param")
            self._retries = value != 0

    def connect(self, ssid: str, key: str = "", **wanted: int) -> None:
        """Begin to join."""
        if wanted and (mcu.port() != "rp2" or list(wanted) != ["security"]):
            raise TypeError("extra keyword arguments given")
        only = wanted.get("security") == WLAN.SEC_WPA3
        name = ssid.encode()
        self._again = bytes((only, len(name))) + name + key.encode()
        mcu.transfer("wlan", 3, self._again)

    def disconnect(self) -> None:
        """Leave."""
        self._again = b""
        if self.active():
            mcu.transfer("wlan", 4, b"")

    def _told(self) -> bytes:
        told = mcu.transfer("wlan", 5, b"")
        if told[0] in _FAILURES and self._again and mcu.port() == "esp32" and self._retries:
            mcu.transfer("wlan", 3, self._again)
            told = b"\x01" + told[1:]
        return told

    def status(self, what: str = "") -> int:
        """State of the link, or "rssi"."""
        told = self._told()
        if what == "rssi":
            return told[1] - 128
        if what:
            raise ValueError("unknown status param")
        return _codes[told[0]]

    def isconnected(self) -> bool:
        """Whether there is an address."""
        return self._told()[0] == _UP

    def ipconfig(self, what: str) -> "tuple[str, str]":
        """("192.168.4.20", "255.255.255.0") for "addr4"."""
        if what != "addr4":
            raise ValueError("unknown config param")
        return ".".join([str(part) for part in self._told()[2:6]]), "255.255.255.0"

    def scan(self) -> "list[tuple[Any, ...]]":
        """(name, BSSID, channel, dBm, security, hidden) of each network."""
        told = mcu.transfer("wlan", 2, b"")
        found = []
        at = 0
        while at < len(told):
            end = at + 1 + told[at]
            rest = told[end : end + 10]
            found.append(
                (told[at + 1 : end], rest[:6], rest[6], rest[7] - 128, rest[8], bool(rest[9]))
            )
            at = end + 10
        return found


class PPP:
    """PPP on a UART. What lwIP does by interrupt and timer is done when it is asked how
    things stand; an image without PPP has no such class."""

    SEC_NONE, SEC_PAP, SEC_CHAP = 0, 1, 2
    _INACTIVE, _ACTIVE, _ERROR, _CONNECTING, _CONNECTED = range(5)

    def __init__(self, stream: "Any") -> None:
        self._stream = stream
        self._end: "PppEnd | None" = None

    def connect(self, security: int = 0, user: str = "", key: str = "") -> None:
        """Begin to agree."""
        if self._end is not None and not self._end.ended:
            raise OSError(mcu.EALREADY)
        if security not in (PPP.SEC_NONE, PPP.SEC_PAP):
            raise ValueError("invalid auth")
        _take_way_out(self)
        self._stream.irq(self.poll, self._stream.IRQ_RXIDLE)
        self._end = PppEnd(mcu.now_ms, login=(user, key) if security else None)
        self._end.begin()
        self.poll()

    def poll(self, _stream: "Any" = None) -> int:
        """Take what came, send what is due."""
        end = self._end
        if end is None:
            return -1
        got = 0
        while data := self._stream.read(256):
            end.feed(data)
            got += len(data)
        out = end.take()
        if out:
            self._stream.write(out)
        if end.ended:
            _leave_way_out(self)
        return got

    def disconnect(self) -> None:
        """Begin to end it."""
        if self._end is not None:
            self._end.hang_up()
            self.poll()

    def status(self) -> int:
        """State, or a negative error of lwIP (ppp.h): -7 a refused login, -9 no answer."""
        self.poll()
        end = self._end
        if end is None:
            return PPP._INACTIVE
        if end.ended:
            return {"authentication refused": -7, "no answer": -9}.get(end.ended, PPP._INACTIVE)
        return PPP._CONNECTED if end.up else PPP._CONNECTING

    def isconnected(self) -> bool:
        """Whether there is an address."""
        return self.status() == PPP._CONNECTED

    def ipconfig(self, what: str) -> "tuple[str, str]":
        """("10.64.0.7", "255.255.255.255") for "addr4"."""
        if what != "addr4" or self._end is None:
            raise ValueError("unknown config param")
        return ".".join([str(part) for part in self._end.address]), "255.255.255.255"
