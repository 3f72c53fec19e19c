"""RawNet on a microcontroller's Wi-Fi, by MicroPython's ``network.WLAN``.

Joining is begun and then looked at: no call but ``scan`` waits. The port's own
endless retries are switched off, because with them a wrong password looks like
an access point that is slow (esp32's quick reference, "WLAN").
"""

from firmware import aio
from firmware.buses.tcp_mpy import MpyConnection, TcpMpy
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
    strongest,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Reasons of esp32 beside those with names (esp_wifi_types.h, wifi_err_reason_t): the
#: handshake timed out, as it does with a wrong key; nothing of the wanted kind is there.
_ESP_KEY, _ESP_NOT_FOUND = (15, 204), (210, 211, 212)


class MpyWlan(TcpMpy, Wlan):
    """The station interface. ``country``: two letters (ISO 3166), which decide the
    channels; "" leaves the port's own."""

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

    def _prepare(self, security: str) -> None:
        wanted: "dict[str, int]" = {}
        if security == "wpa3":
            try:
                wanted["security"] = self._network.WLAN.SEC_WPA3
            except AttributeError as error:
                raise WlanError("wlan: " + str(error)) from None
        self._wanted = wanted

    def state(self) -> str:
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

    def _lacks_address(self) -> bool:
        """As far as the port tells; esp32 does not."""
        try:
            code: int = self._nic.status()
        except OSError:
            return False
        lacks: bool = code == self._network.STAT_CONNECTING + 1
        return lacks

    def leave(self) -> None:
        try:
            self._nic.disconnect()
        except OSError:  # it was not in one
            pass

    def switch(self, on: bool) -> None:
        try:
            self._nic.active(on)
        except OSError as error:
            raise WlanError("wlan: " + str(error), MUTE) from None

    def address(self) -> str:
        try:
            return str(self._nic.ipconfig("addr4")[0]) if self._nic.isconnected() else ""
        except OSError:  # it was lost in between
            return ""

    def scan(self) -> "list[tuple[str, int, bool]]":
        """What kind of key a network wants is told differently by each port. Holds the
        interpreter for up to 10 s (cyw43), so only while no payment runs and no shorter
        watchdog. WlanError."""
        self.switch(True)
        try:
            seen = self._nic.scan()
        except OSError as error:
            raise WlanError("wlan: " + str(error)) from None
        found = []
        for each in seen:
            try:
                name = str(bytes(each[0]), "utf-8")
            except (UnicodeError, ValueError):
                continue  # a name that no screen can show
            if name:
                found.append((name, each[3], each[4] == 0))
        return strongest(found)

    async def link(self) -> "tuple[bool, int]":
        if self.state() == UP:
            return await super().link()
        self._begin_again()
        return False, 0

    async def connect(self, host: str, port: int) -> MpyConnection:
        """TCP connect, after joining if need be. BusError."""
        await self.join()
        return await super().connect(host, port)
