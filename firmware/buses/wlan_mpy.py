"""RawNet on a microcontroller's Wi-Fi, by MicroPython's ``network.WLAN``.

Joining is begun and then looked at: no call but ``scan`` waits. The port's own
endless retries are switched off, because with them a wrong password looks like
an access point that is slow (esp32's quick reference, "WLAN").
"""

from firmware import aio
from firmware.buses.tcp_mpy import MpyConnection, TcpMpy
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What ``state`` says.
UP, JOINING, STOPPED, WRONG_KEY, NOT_FOUND, FAILED = (
    "up", "joining", "stopped", "wrong_key", "not_found", "failed",
)  # fmt: skip
#: Of a WlanError alone: the radio does not answer; joined, but no address came.
MUTE, NO_ADDRESS = "mute", "no_address"
#: In words, for error texts.
_WORDS = {
    WRONG_KEY: "the access point refuses the password",
    NOT_FOUND: "the network is not there, or asks for another security",
    FAILED: "joining failed",
    STOPPED: "the connection was lost",
}
#: Reasons of esp32 beside those with names (esp_wifi_types.h, wifi_err_reason_t): the
#: handshake timed out, as it does with a wrong key; nothing of the wanted kind is there.
_ESP_KEY, _ESP_NOT_FOUND = (15, 204), (210, 211, 212)
#: How long joining may take, how often it is looked at, and the rest between two
#: attempts that nobody asked for.
JOIN_MS, LOOK_MS, REST_MS = 20000, 100, 15000


class WlanError(BusError):
    """The network was not joined. ``state``: why."""

    text_key = "error.network_link"

    def __init__(self, detail: str = "", state: str = FAILED) -> None:
        super().__init__(detail)
        self.state = state


class MpyWlan(TcpMpy):
    """The station interface and the one network that it joins.

    ``security``: "auto" takes the best that chip and access point both know of WPA2
    and WPA3, "wpa3" nothing less, "open" a network without a key. ``country``: two
    letters (ISO 3166), which decide the channels; "" leaves the port's own.
    """

    def __init__(self, ssid: str, key: str = "", security: str = "auto", country: str = "") -> None:
        """WlanError when the chip has no radio, or cannot do what ``security`` wants."""
        try:
            import network
        except ImportError:
            raise WlanError("this MicroPython has no network") from None
        self._network: "Any" = network
        self.choose(ssid, key, security)
        try:
            if country:
                network.country(country)
            nic: "Any" = network.WLAN(network.WLAN.IF_STA)
        except (AttributeError, ValueError, OSError) as error:
            raise WlanError("wlan: " + str(error)) from None
        super().__init__(nic)
        self._nic = nic
        self._begun_ms = -1

    def choose(self, ssid: str, key: str, security: str) -> None:
        """The network to join from the next ``begin`` on. ValueError; WlanError when the
        chip cannot do what ``security`` wants."""
        if security not in ("auto", "wpa3", "open"):
            raise ValueError("no Wi-Fi security " + security)
        if bool(key) != (security != "open"):
            raise ValueError("a Wi-Fi key goes with every security but open")
        wanted: "dict[str, int]" = {}
        if security == "wpa3":
            try:
                wanted["security"] = self._network.WLAN.SEC_WPA3
            except AttributeError as error:
                raise WlanError("wlan: " + str(error)) from None
        self.ssid = ssid
        self.security = security
        self._key = key
        self._wanted = wanted

    def chosen(self) -> "tuple[str, str, str]":
        """The network that is joined: name, key, security."""
        return self.ssid, self._key, self.security

    def state(self) -> str:
        """What the radio says now. WlanError when it does not answer."""
        names = self._network
        try:
            if self._nic.isconnected():
                return UP
            code = self._nic.status()
        except OSError as error:
            raise WlanError("wlan: " + str(error), MUTE) from None
        # After "connecting" cyw43 says "no address yet", which has no name in Python.
        if code in (names.STAT_CONNECTING, names.STAT_CONNECTING + 1):
            return JOINING
        if code == names.STAT_WRONG_PASSWORD or code in _ESP_KEY:
            return WRONG_KEY
        if code == names.STAT_NO_AP_FOUND or code in _ESP_NOT_FOUND:
            return NOT_FOUND
        return STOPPED if code == names.STAT_IDLE else FAILED

    def begin(self) -> None:
        """Begin to join. WlanError."""
        self._begun_ms = aio.ticks_ms()
        nic = self._nic
        try:
            nic.active(True)
            try:
                nic.config(reconnects=0)
            except ValueError:  # cyw43 tries once and knows no such word
                pass
            self.leave()  # of what was before; ports differ in whether that is an error
            if self._key:
                nic.connect(self.ssid, self._key, **self._wanted)
            else:
                nic.connect(self.ssid)
        except TypeError:
            raise WlanError("this port cannot be told to use WPA3 only") from None
        except (OSError, ValueError) as error:
            raise WlanError("wlan: " + str(error), MUTE) from None

    async def join(self, timeout_ms: int = JOIN_MS) -> None:
        """Until joined, with an address. WlanError with its cause."""
        began = aio.ticks_ms()
        if self.state() not in (UP, JOINING):
            self.begin()
        while True:
            state = self.state()
            if state == UP:
                return
            if state != JOINING:
                self.leave()
                raise WlanError("wlan " + self.ssid + ": " + _WORDS[state], state)
            if aio.elapsed_ms(began) >= timeout_ms:
                lacks = NO_ADDRESS if self._lacks_address() else FAILED
                self.leave()
                raise WlanError("wlan " + self.ssid + ": no connection in time", lacks)
            await aio.pause_ms(LOOK_MS)

    def _lacks_address(self) -> bool:
        """Whether only an address is missing; esp32 does not tell."""
        try:
            code: int = self._nic.status()
        except OSError:
            return False
        lacks: bool = code == self._network.STAT_CONNECTING + 1
        return lacks

    def leave(self) -> None:
        """Leave the network, or end joining it. Never raises."""
        try:
            self._nic.disconnect()
        except OSError:  # it was not in one
            pass

    def switch(self, on: bool) -> None:
        """The radio on or off. WlanError."""
        try:
            self._nic.active(on)
        except OSError as error:
            raise WlanError("wlan: " + str(error), MUTE) from None

    def address(self) -> str:
        """The address as text, "" without one."""
        try:
            return str(self._nic.ipconfig("addr4")[0]) if self._nic.isconnected() else ""
        except OSError:  # it was lost in between
            return ""

    def scan(self) -> "list[tuple[str, int, bool]]":
        """(name, dBm, open) of the networks around, the strongest first, hidden ones
        without. What kind of key one wants is told differently by each port.

        Holds the interpreter for up to 10 s (cyw43), so only while no payment runs
        and no shorter watchdog. WlanError.
        """
        self.switch(True)
        try:
            seen = self._nic.scan()
        except OSError as error:
            raise WlanError("wlan: " + str(error)) from None
        best: "dict[str, tuple[str, int, bool]]" = {}
        for each in seen:
            try:
                name = str(bytes(each[0]), "utf-8")
            except (UnicodeError, ValueError):
                continue  # a name that no screen can show
            if name and (name not in best or each[3] > best[name][1]):
                best[name] = (name, each[3], each[4] == 0)
        return sorted(best.values(), key=lambda found: -found[1])

    async def link(self) -> "tuple[bool, int]":
        """(joined, bars); begins to join again what was lost or never joined."""
        if self.state() == UP:
            return await super().link()
        if self._begun_ms < 0 or aio.elapsed_ms(self._begun_ms) >= REST_MS:
            self.begin()
        return False, 0

    async def connect(self, host: str, port: int) -> MpyConnection:
        """TCP connect, after joining if need be. BusError."""
        await self.join()
        return await super().connect(host, port)
