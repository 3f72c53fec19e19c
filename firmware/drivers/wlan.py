"""Bearer: a Wi-Fi radio that the terminal has for itself (``buses/wlan.py``)."""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.buses.wlan import (
    JOINING,
    MUTE,
    NO_ADDRESS,
    NOT_FOUND,
    UP,
    WRONG_KEY,
    WlanError,
    bars,
)
from firmware.hal import bearer
from firmware.hal.bearer import (
    DEGRADED,
    DOWN,
    Bearer,
    BearerError,
    BearerMute,
    BearerStatus,
    NoAddress,
    NoService,
    PasswordRefused,
)
from firmware.hal.wifi import (
    OPEN,
    WPA2_WPA3,
    WPA3,
    KnownNetwork,
    StaticIp,
    WifiNetwork,
    WifiNetworks,
    check_join,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wlan import Wlan

#: The radio's rest between off and on.
REST_MS = 500
#: State of the radio: cause of hal.bearer.
_CAUSES = {JOINING: "searching", NOT_FOUND: "no_service", WRONG_KEY: "denied"}
#: State of a WlanError: what it is to whoever wanted the link.
_ERRORS: "dict[str, type[BearerError]]" = {
    WRONG_KEY: PasswordRefused, NOT_FOUND: NoService, MUTE: BearerMute, NO_ADDRESS: NoAddress
}  # fmt: skip


class WlanBearer(Bearer, WifiNetworks):
    """One network on the station interface: the board's, or the one that was joined since."""

    kind = "wifi"
    levels = ("bearer", "radio")
    keeps = False
    joins_static = False

    def __init__(self, wlan: "Wlan") -> None:
        self._wlan = wlan
        self._boards = wlan.chosen()
        self._started = False
        self._lacked = "no_carrier"  # cause of the last start that failed
        self._lock = aio.Lock()
        self._joining = 0  # how many wait to join, or do

    async def status(self) -> BearerStatus:
        try:
            state = self._wlan.state()
            if state != UP:
                cause = "stopped" if not self._started else _CAUSES.get(state, self._lacked)
                return BearerStatus(DOWN, self.kind, 0, cause)
            _, heard = await self._wlan.link()
        except BusError:
            return BearerStatus(DOWN, self.kind, 0, "mute")
        status = BearerStatus(bearer.UP if heard else DEGRADED, self.kind, heard)
        status.operator = self._wlan.ssid
        status.address = self._wlan.address()
        return status

    async def start(self, timeout_ms: int) -> None:
        if self._joining:
            raise NoService("somebody is joining a network")
        async with self._lock:
            await self._start(timeout_ms)

    async def _start(self, timeout_ms: int) -> None:
        self._started = True
        self._lacked = "no_carrier"
        try:
            await self._wlan.join(timeout_ms)
        except WlanError as error:
            kind = _ERRORS.get(error.state, BearerError)
            if kind is not BearerMute:  # whether it answers is asked each time
                self._lacked = kind.cause
            raise kind(str(error)) from None

    async def stop(self) -> None:
        self._started = False
        self._wlan.leave()

    async def reset(self, level: str, timeout_ms: int) -> None:
        if level not in self.levels:
            raise ValueError("Wi-Fi has no reset " + level)
        if self._joining:
            raise NoService("somebody is joining a network")
        async with self._lock:
            self._wlan.leave()
            if level == "radio":
                try:
                    self._wlan.switch(False)
                    await aio.sleep_ms(REST_MS)
                    self._wlan.switch(True)
                except WlanError as error:
                    raise BearerMute(str(error)) from None
            await self._start(timeout_ms)

    async def wipe(self) -> None:
        """RAM only: the board's own password is in its file."""
        self.know(None)

    # ---- networks -----------------------------------------------------------------

    def know(self, network: "KnownNetwork | None") -> None:
        """The network to join from the next ``start`` on, None for the board's."""
        before = self._wlan.chosen()
        self._choose(network)
        if self._wlan.chosen() != before:
            self._wlan.leave()  # whoever waits for the old one need not

    def _choose(self, network: "KnownNetwork | None") -> None:
        if network is None:
            self._wlan.choose(self._boards[0], self._boards[1], self._boards[2])
            return
        check_join(network.ssid, network.security, network.password)
        security = {OPEN: "open", WPA3: "wpa3"}.get(network.security, "auto")
        try:
            name = str(network.ssid, "utf-8")
        except (UnicodeError, ValueError):
            raise ValueError("this radio joins networks with a name in UTF-8 only") from None
        self._wlan.choose(name, network.password, security)

    async def scan(self, timeout_ms: int) -> "list[WifiNetwork]":
        """What is in the air now; holds everything else while it looks (``Wlan.scan``)."""
        try:
            seen = self._wlan.scan()
            up = self._wlan.state() == UP
        except WlanError as error:
            raise BearerMute(str(error)) from None
        found = []
        for name, dbm, free in seen:
            one = WifiNetwork(name.encode(), OPEN if free else WPA2_WPA3, bars(dbm))
            one.known = name == self._wlan.ssid
            one.active = one.known and up
            found.append(one)
        return found

    async def known(self) -> "list[bytes]":
        return [self._wlan.ssid.encode()]

    async def join(
        self,
        ssid: bytes,
        security: str,
        password: str,
        timeout_ms: int,
        hidden: bool = False,
        static: "StaticIp | None" = None,
    ) -> None:
        if static is not None:
            raise ValueError("this radio takes its address by DHCP only")
        before = self._wlan.chosen()
        try:
            self._choose(KnownNetwork(ssid, security, password))
        except WlanError as error:
            raise BearerError(str(error)) from None
        self._joining += 1
        self._wlan.leave()
        joined = False
        try:
            async with self._lock:
                self._wlan.leave()
                await self._start(timeout_ms)
            joined = True
        finally:
            self._joining -= 1
            if not joined:
                self._wlan.leave()
                self._wlan.choose(before[0], before[1], before[2])

    async def forget(self, ssid: bytes) -> bool:
        if ssid != self._wlan.ssid.encode() or self._wlan.chosen() == self._boards:
            return False
        self.know(None)
        return True
