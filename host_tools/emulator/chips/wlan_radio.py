"""Chip: a Wi-Fi radio in station mode, and the access points around it.

Wire kind "wlan":

==  =============================================  ==============================================
op  payload                                        answer
==  =============================================  ==============================================
1   on (1), or empty to ask                        whether it is on (1)
2   empty                                          any number of: length of the name (1), name,
                                                   BSSID (6), channel (1), dBm + 128 (1),
                                                   security (1), hidden (1)
3   WPA3 only (1), length of the name (1), name,   empty
    key
4   empty                                          empty
5   empty                                          state (1), dBm + 128 (1), IPv4 address (4)
==  =============================================  ==============================================
"""

from collections.abc import Callable
from dataclasses import dataclass

from host_tools.emulator.chips.errors import ChipError

#: States of op 5.
IDLE, JOINING, NO_ADDRESS, UP, WRONG_KEY, NOT_FOUND, FAILED, LOST = range(8)
#: Securities: none, WPA2-PSK, WPA3-SAE, both.
OPEN, WPA2, WPA3, WPA2_WPA3 = 0, 3, 6, 7
#: How long each step takes, in us.
FOUND_US, KEYS_US, ADDRESS_US = 400_000, 600_000, 500_000
REFUSED_US, SEARCHED_US, BEACONS_US = 2_000_000, 3_000_000, 6_000_000


@dataclass
class AccessPoint:
    """``gives_address``: whether its DHCP server answers."""

    ssid: str
    key: str = ""
    security: int = WPA2
    dbm: int = -60
    channel: int = 6
    bssid: bytes = b"\x02\x00\x00\x00\x00\x01"
    hidden: bool = False
    on: bool = True
    gives_address: bool = True


class WlanRadio:
    """``clock_us``: injected time. ``air``: who is around."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self.air: list[AccessPoint] = []
        self.on = False
        self.mute = False
        #: Joins that were begun.
        self.joins = 0
        self._wish: tuple[str, str, bool] | None = None
        self._since_us = 0
        self._gone_us: int | None = None
        self._held = IDLE

    def _heard(self, ssid: str, wpa3_only: bool) -> AccessPoint | None:
        fitting = [
            ap for ap in self.air
            if ap.on and ap.ssid == ssid
            and (not wpa3_only or ap.security in (WPA3, WPA2_WPA3))
        ]  # fmt: skip
        return max(fitting, key=lambda ap: ap.dbm, default=None)

    @property
    def hears(self) -> bool:
        """Whether the access point of its network is in the air now."""
        return self._wish is not None and self._heard(self._wish[0], self._wish[2]) is not None

    def state(self) -> tuple[int, int]:
        """(state, dBm) now."""
        if self._wish is None:
            return self._held, -100
        ssid, key, wpa3_only = self._wish
        ap = self._heard(ssid, wpa3_only)
        now = self._clock_us()
        past = now - self._since_us
        if self._held == UP:
            if ap is not None and ap.key != key:  # given another one, it sends all away
                return self._end(LOST, 0, 0)
            return self._watch(ap, now)
        if ap is None:
            return self._end(NOT_FOUND, past, SEARCHED_US)
        if (ap.security == OPEN) != (key == ""):
            return self._end(FAILED, past, FOUND_US)
        if key != ap.key:
            return self._end(WRONG_KEY, past, REFUSED_US)
        if past < FOUND_US + KEYS_US:
            return JOINING, ap.dbm
        if past < FOUND_US + KEYS_US + ADDRESS_US or not ap.gives_address:
            return NO_ADDRESS, ap.dbm
        self._held = UP
        return UP, ap.dbm

    def _watch(self, ap: AccessPoint | None, now: int) -> tuple[int, int]:
        """Joined: lost once no beacon came for so long."""
        if ap is not None:
            self._gone_us = None
            return UP, ap.dbm
        if self._gone_us is None:
            self._gone_us = now
        if now - self._gone_us < BEACONS_US:
            return UP, -95
        self._wish, self._held = None, LOST
        return LOST, -100

    def _end(self, state: int, past: int, after: int) -> tuple[int, int]:
        if past < after:
            return JOINING, -100
        self._wish, self._held = None, state
        return state, -100

    def switch(self, on: bool) -> None:
        """On or off."""
        self.on = on
        if not on:
            self._forget()

    def lose(self) -> None:
        """The access point sends the station away."""
        if self._held == UP:
            self._end(LOST, 0, 0)

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if self.mute:
            raise ChipError("wlan: the radio does not answer")
        if op == 1 and len(payload) < 2:
            if payload:
                self.switch(bool(payload[0]))
            return bytes((self.on,)), 0
        if op == 5 and not payload:
            state, dbm = self.state()
            address = bytes((192, 168, 4, 20)) if state == UP else bytes(4)
            return bytes((state, dbm + 128)) + address, 0
        if not self.on:
            raise ChipError("wlan: the radio is off")
        if op == 2 and not payload:
            return b"".join(self._told(ap) for ap in self.air if ap.on), 2_000_000
        if op == 3 and len(payload) > 2:
            end = 2 + payload[1]
            self._forget()
            self._wish = payload[2:end].decode(), payload[end:].decode(), bool(payload[0])
            self._since_us = self._clock_us()
            self.joins += 1
        elif op == 4 and not payload:
            self._forget()
        else:
            raise ChipError(f"wlan: operation {op} with {len(payload)} bytes")
        return b"", 0

    def _forget(self) -> None:
        self._wish, self._held, self._gone_us = None, IDLE, None

    @staticmethod
    def _told(ap: AccessPoint) -> bytes:
        name = b"" if ap.hidden else ap.ssid.encode()
        end = bytes((ap.channel, ap.dbm + 128, ap.security, ap.hidden))
        return bytes((len(name),)) + name + ap.bssid + end
