"""A Wi-Fi radio in station mode and the one network that it joins, whoever's radio it is.

Joining is begun and then looked at; nothing here waits inside the radio.
"""

from firmware import aio
from firmware.buses.wire import BusError

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
#: How long joining may take, how often it is looked at, and the rest between two
#: attempts that nobody asked for.
JOIN_MS, LOOK_MS, REST_MS = 20000, 100, 15000


class WlanError(BusError):
    """The network was not joined. ``state``: why."""

    text_key = "error.network_link"

    def __init__(self, detail: str = "", state: str = FAILED) -> None:
        super().__init__(detail)
        self.state = state


def bars(dbm: int) -> int:
    """Bars of a signal, by their usual steps: -55, -65, -75, -85 dBm."""
    return max(0, min(4, (dbm + 95) // 10))


class Wlan:
    """Beside it stands a ``RawNet``, of the same object.

    ``security``: "auto" takes the best that radio and access point both know of WPA2
    and WPA3, "wpa3" nothing less, "open" a network without a key.
    """

    ssid = ""
    security = "auto"
    _key = ""
    _begun_ms = -1

    def choose(self, ssid: str, key: str, security: str) -> None:
        """The network to join from the next ``begin`` on. ValueError; WlanError when the
        radio cannot do what ``security`` wants."""
        if security not in ("auto", "wpa3", "open"):
            raise ValueError("no Wi-Fi security " + security)
        if bool(key) != (security != "open"):
            raise ValueError("a Wi-Fi key goes with every security but open")
        self._prepare(security)
        self.ssid = ssid
        self.security = security
        self._key = key

    def _prepare(self, security: str) -> None:
        """What the radio needs for ``security``. WlanError."""

    def chosen(self) -> "tuple[str, str, str]":
        """The network that is joined: name, key, security."""
        return self.ssid, self._key, self.security

    def state(self) -> str:
        """What the radio says now. WlanError when it does not answer."""
        raise NotImplementedError

    def begin(self) -> None:
        """Begin to join. WlanError."""
        raise NotImplementedError

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
        """Whether only an address is missing, where the radio tells."""
        raise NotImplementedError

    def _begin_again(self) -> None:
        """Join again what was lost or never joined, not too often. WlanError."""
        if self._begun_ms < 0 or aio.elapsed_ms(self._begun_ms) >= REST_MS:
            self.begin()

    def leave(self) -> None:
        """Leave the network, or end joining it. Never raises."""
        raise NotImplementedError

    def switch(self, on: bool) -> None:
        """The radio on or off. WlanError."""
        raise NotImplementedError

    def address(self) -> str:
        """The address as text, "" without one."""
        raise NotImplementedError

    def scan(self) -> "list[tuple[str, int, bool]]":
        """(name, dBm, open) of the networks around, the strongest first, hidden ones
        without. WlanError."""
        raise NotImplementedError

    async def link(self) -> "tuple[bool, int]":
        """(joined, bars); begins to join again what was lost or never joined."""
        raise NotImplementedError


def strongest(seen: "list[tuple[str, int, bool]]") -> "list[tuple[str, int, bool]]":
    """Of each name its strongest access point, the strongest first."""
    best: "dict[str, tuple[str, int, bool]]" = {}
    for one in seen:
        if one[0] not in best or one[1] > best[one[0]][1]:
            best[one[0]] = one
    return sorted(best.values(), key=lambda found: -found[1])
