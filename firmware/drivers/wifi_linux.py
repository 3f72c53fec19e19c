"""Wi-Fi through NetworkManager: a bearer, and the networks it may use.

Which of several known networks is used is NetworkManager's choice. A wrong
password is told from an access point that went away by what the service
reports: it asks for another password (and nobody has one), or it does not
find the network. The password goes to NetworkManager alone, which keeps it in
a file that only root can read; nothing of ours holds it or says it.
"""

from typing import Any

from firmware import aio
from firmware.buses.dbus_linux import (
    DBus,
    ServiceRefused,
    Signals,
    flag,
    items,
    number,
    octets,
    table,
    text,
    until,
    variant,
)
from firmware.buses.wire import BusError
from firmware.drivers import nm_linux as nm
from firmware.hal.bearer import BearerError, BearerStatus, NoService
from firmware.hal.wifi import (
    OPEN,
    OTHER,
    WPA2,
    WPA2_WPA3,
    WPA3,
    StaticIp,
    WifiNetwork,
    WifiNetworks,
    check_join,
    ssid_name,
)

WIRELESS = nm.DEVICE + ".Wireless"
ACCESS_POINT = nm.SERVICE + ".AccessPoint"
KIND = "802-11-wireless"
SECURITY = "802-11-wireless-security"

#: NM80211ApFlags and NM80211ApSecurityFlags: privacy; shared key; SAE; OWE in transition,
#: which an old station sees as open.
PRIVACY = 0x1
PSK, SAE, OWE_TRANSITION = 0x100, 0x400, 0x1000
#: Percent above which there is one bar more, as NetworkManager's own tools draw them.
BARS = (5, 30, 55, 80)
#: A scan takes some seconds; the service refuses one soon after the last.
SCAN_AGAIN_MS = 10000
#: Access points looked at.
SEEN = 64
#: The radio's rest between off and on.
REST_MS = 1000


def bars(percent: int) -> int:
    """Bars of a signal, 0 to 4."""
    return sum(1 for least in BARS if percent > least)


def security(flags: int, wpa: int, rsn: int) -> str:
    """What protects an access point, by its flags."""
    if rsn & SAE:
        return WPA2_WPA3 if rsn & PSK else WPA3
    if rsn & PSK:
        return WPA2
    if not flags & PRIVACY and not wpa and not rsn & ~OWE_TRANSITION:
        return OPEN
    return OTHER


class NmWifi(nm.NmLink, WifiNetworks):
    """``interface``: the Wi-Fi device's."""

    kind = "wifi"
    levels = ("bearer", "radio")

    def __init__(self, bus: DBus, interface: str) -> None:
        super().__init__(bus, interface)
        # Who looks for networks does not wait for a start, which may take its time.
        self._looking = aio.Lock()
        self._joining = 0  # how many wait to join, or do

    # ---- bearer -------------------------------------------------------------------

    async def _ready(self, device: str, signals: Signals) -> None:
        """Until a known network is in the air, with the radio on; the caller bounds it."""
        await self._radio(True)
        await super()._ready(device, signals)
        if not await self._nm.profiles(KIND):
            raise NoService("no Wi-Fi network is known")

        async def in_the_air() -> bool:
            if self._joining:
                raise NoService("somebody is joining a network")
            return bool(items(await self._nm.device(device), "AvailableConnections", str))

        await self._until_scanned(device, in_the_air, "no known network is in the air")

    async def _until_scanned(self, device: str, found: Any, otherwise: str) -> None:
        """Until ``found()``, scanning again and again. The failure by ``otherwise``."""
        self._heard.cause, self._heard.detail = "no_service", otherwise
        while True:
            await self._ask_scan(device)
            name, _ = await aio.first(("found", until(found)), timeout_ms=SCAN_AGAIN_MS)
            if name == "found":
                self._heard.cause = ""
                return

    async def _ask_scan(self, device: str) -> None:
        try:
            await self._nm.bus.call(nm.SERVICE, device, WIRELESS, "RequestScan", "a{sv}", [{}])
        except ServiceRefused:
            pass  # it scans already, or did so just now

    async def _radio(self, on: bool) -> None:
        values = await self._nm.bus.properties(nm.SERVICE, nm.ROOT, nm.SERVICE)
        if flag(values, "WirelessEnabled") != on:
            await self._nm.bus.set(nm.SERVICE, nm.ROOT, nm.SERVICE, "WirelessEnabled", "b", on)

    async def _reset(self, level: str) -> None:
        if level == "radio":
            await self._radio(False)
            await aio.sleep_ms(REST_MS)
            await self._radio(True)
            await self._start()
        else:
            await super()._reset(level)

    async def _bars(self, device: str, status: BearerStatus) -> int:
        path = text(
            await self._nm.bus.properties(nm.SERVICE, device, WIRELESS), "ActiveAccessPoint"
        )
        if path in ("", nm.NONE):
            return 0  # between two access points of one network
        try:
            point = await self._point(path)
        except ServiceRefused:
            return 0
        status.operator = ssid_name(octets(point, "Ssid"))
        return bars(number(point, "Strength"))

    async def _why(self, values: dict[str, Any]) -> str:
        if self._cause in ("stopped", "denied", "no_address"):
            return self._cause
        return "no_carrier" if items(values, "AvailableConnections", str) else "no_service"

    # ---- networks -----------------------------------------------------------------

    async def scan(self, timeout_ms: int) -> list[WifiNetwork]:
        found: dict[bytes, WifiNetwork] = {}
        async with self._looking:
            await nm.bounded(timeout_ms + 5000, self._scan(found, timeout_ms), self.interface)
        return sorted(found.values(), key=lambda one: (-one.bars, one.ssid))

    async def _scan(self, found: dict[bytes, WifiNetwork], timeout_ms: int) -> None:
        device = await self._nm.device_of(self.interface)
        await self._radio(True)
        last = number(await self._wireless(device), "LastScan")
        await self._ask_scan(device)

        async def scanned() -> bool:
            return number(await self._wireless(device), "LastScan") != last

        # Refused or late: then what is known from before is all there is.
        await aio.first(("scanned", until(scanned)), timeout_ms=timeout_ms)
        values = await self._wireless(device)
        active = text(values, "ActiveAccessPoint")
        known = [ssid for ssid, _ in await self._profiles()]
        for path in items(values, "AccessPoints", str)[:SEEN]:
            try:
                point = await self._point(path)
            except ServiceRefused:
                continue  # it went away while we looked
            ssid = octets(point, "Ssid")
            if not 1 <= len(ssid) <= 32:
                continue
            kind = security(*(number(point, name) for name in ("Flags", "WpaFlags", "RsnFlags")))
            one = WifiNetwork(ssid, kind, bars(number(point, "Strength")))
            before = found.get(ssid)
            if before is not None:
                one.active = before.active
                if before.bars > one.bars:
                    one.security, one.bars = before.security, before.bars
            one.known = ssid in known
            one.active = one.active or path == active
            found[ssid] = one

    async def known(self) -> list[bytes]:
        found: list[bytes] = []

        async def look() -> None:
            found.extend(sorted({ssid for ssid, _ in await self._profiles()}))

        async with self._looking:
            await nm.bounded(15000, look(), self.interface)
        return found

    async def forget(self, ssid: bytes) -> bool:
        gone: list[str] = []

        async def remove() -> None:
            for name, path in await self._profiles():
                if name == ssid:
                    await self._nm.delete(path)
                    gone.append(path)

        async with self._looking:
            await nm.bounded(15000, remove(), self.interface)
        return bool(gone)

    async def wipe(self) -> None:
        """NetworkManager keeps the passwords: forget every network."""

        async def remove() -> None:
            for _, path in await self._profiles():
                await self._nm.delete(path)

        try:
            await nm.bounded(15000, remove(), self.interface)
        except BearerError:
            pass  # the service is gone; docs/threat-model.md says what that leaves

    async def join(
        self,
        ssid: bytes,
        security: str,
        password: str,
        timeout_ms: int,
        hidden: bool = False,
        static: StaticIp | None = None,
    ) -> None:
        check_join(ssid, security, password)

        def settings() -> nm.Profile:
            made = nm.profile(KIND, "opentill " + ssid_name(ssid), self.interface)
            made[KIND] = {
                "ssid": variant("ay", ssid),
                "mode": variant("s", "infrastructure"),
                "hidden": variant("b", hidden),
            }
            if security != OPEN:
                # "wpa-psk" takes SAE as well where the access point offers both.
                kind = "sae" if security == WPA3 else "wpa-psk"
                made[SECURITY] = {"key-mgmt": variant("s", kind), "psk": variant("s", password)}
            if static is not None:
                nm.give_address(made, static)
            return made

        self._joining += 1
        try:
            async with self._lock:
                await self._bounded(timeout_ms, self._join(ssid, settings, hidden))
        finally:
            self._joining -= 1

    async def _join(self, ssid: bytes, settings: Any, hidden: bool) -> None:
        device = await self._nm.device_of(self.interface)
        await self._radio(True)
        before = await self._profiles()
        signals = await self._nm.listen(device)
        path = ""
        try:
            await nm.NmLink._ready(self, device, signals)
            if not hidden:

                async def seen() -> bool:
                    return await self._seen(device, ssid)

                await self._until_scanned(device, seen, "the network is not in the air")
            path = await self._nm.add(settings())
            active = await self._nm.activate(path, device)
            await self._nm.wait_up(active, signals, self._heard)
            for name, old in before:
                if name == ssid:
                    await self._nm.delete(old)
            path = ""  # joined: it is kept
        finally:
            if path:
                await self._take_back(path)
            await self._nm.bus.unlisten(signals)

    async def _take_back(self, path: str) -> None:
        """Know a network no more that was not joined."""
        try:
            await self._nm.delete(path, 500)
        except BusError:
            pass  # the service went away; the next join of that name replaces it

    async def _seen(self, device: str, ssid: bytes) -> bool:
        for path in items(await self._wireless(device), "AccessPoints", str)[:SEEN]:
            try:
                if octets(await self._point(path), "Ssid") == ssid:
                    return True
            except ServiceRefused:
                continue
        return False

    async def _wireless(self, device: str) -> dict[str, Any]:
        return await self._nm.bus.properties(nm.SERVICE, device, WIRELESS)

    async def _point(self, path: str) -> dict[str, Any]:
        return await self._nm.bus.properties(nm.SERVICE, path, ACCESS_POINT)

    async def _profiles(self) -> list[tuple[bytes, str]]:
        """Names of the known networks, and where their profiles are."""
        found = []
        for path, one in await self._nm.profiles(KIND):
            if text(table(one, "connection"), "interface-name") in ("", self.interface):
                found.append((octets(table(one, KIND), "ssid"), path))
        return found
