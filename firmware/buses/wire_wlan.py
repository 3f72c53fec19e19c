"""A software Wi-Fi radio on the wire: kinds "wlan" and "net" (firmware/buses/wire.py)."""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.buses.wire_net import WireConnection, WireNet
from firmware.buses.wlan import (
    FAILED,
    JOINING,
    MUTE,
    NOT_FOUND,
    STOPPED,
    UP,
    WRONG_KEY,
    Wlan,
    WlanError,
    bars,
    strongest,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wire import Wire

_SWITCH, _SCAN, _JOIN, _LEAVE, _ASK = 1, 2, 3, 4, 5
#: What the radio's states mean, in their order.
_STATES = (STOPPED, JOINING, JOINING, UP, WRONG_KEY, NOT_FOUND, FAILED, STOPPED)
_NO_ADDRESS = 2
#: Behind a name in what a scan found: BSSID, channel, dBm, security, hidden.
_POINT = 10


class WireWlan(WireNet, Wlan):
    """The radio on bus ``radio`` of ``wire``; its connections are on bus ``net``."""

    def __init__(
        self, wire: "Wire", radio: str, net: str, ssid: str, key: str = "", security: str = "auto"
    ) -> None:
        super().__init__(wire, net)
        self._radio = radio
        self.choose(ssid, key, security)

    def _told(self, op: int, payload: bytes = b"") -> bytes:
        try:
            return self._wire.transfer(self._radio, op, payload)[0]
        except BusError as error:
            raise WlanError(str(error), MUTE) from None

    def _now(self) -> "tuple[int, int, bytes]":
        """(number of the state, dBm, address). WlanError."""
        told = self._told(_ASK)
        if len(told) != 6 or told[0] >= len(_STATES):
            raise WlanError("wlan: the radio gave no valid state", MUTE)
        return told[0], told[1] - 128, told[2:]

    def state(self) -> str:
        return _STATES[self._now()[0]]

    def begin(self) -> None:
        self._begun_ms = aio.ticks_ms()
        self.switch(True)
        self.leave()
        name = self.ssid.encode()
        wpa3 = self.security == "wpa3"
        self._told(_JOIN, bytes((wpa3, len(name))) + name + self._key.encode())

    def _lacks_address(self) -> bool:
        try:
            return self._now()[0] == _NO_ADDRESS
        except WlanError:
            return False

    def leave(self) -> None:
        try:
            self._told(_LEAVE)
        except WlanError:  # it is off, or gone: then it is in no network
            pass

    def switch(self, on: bool) -> None:
        self._told(_SWITCH, bytes((on,)))

    def address(self) -> str:
        try:
            number, _, address = self._now()
        except WlanError:  # it was lost in between
            return ""
        return ".".join([str(byte) for byte in address]) if _STATES[number] == UP else ""

    def scan(self) -> "list[tuple[str, int, bool]]":
        self.switch(True)
        told = self._told(_SCAN)
        found = []
        at = 0
        while at < len(told):
            end = at + 1 + told[at]
            if end + _POINT > len(told):
                raise WlanError("wlan: the radio gave half an access point", MUTE)
            try:
                name = str(told[at + 1 : end], "utf-8")
            except (UnicodeError, ValueError):
                name = ""  # one that no screen can show
            if name:
                found.append((name, told[end + 7] - 128, told[end + 8] == 0))
            at = end + _POINT
        return strongest(found)

    async def link(self) -> "tuple[bool, int]":
        number, dbm, _ = self._now()
        if _STATES[number] == UP:
            return True, bars(dbm)
        self._begin_again()
        return False, 0

    async def connect(self, host: str, port: int) -> WireConnection:
        """TCP connect, after joining if need be. BusError."""
        await self.join()
        return await super().connect(host, port)
