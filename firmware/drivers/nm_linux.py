"""NetworkManager over D-Bus: its devices, profiles and activations; Ethernet as a bearer.

Numbers and names are those of NetworkManager's D-Bus interface (nm-dbus-interface.h,
stable since 1.0; tried against 1.42). Who may do this is polkit's to say: the
terminal runs as root, or a rule lets its user control the network.
"""

import socket
import struct
from collections.abc import Coroutine
from typing import Any

from firmware import aio
from firmware.buses.dbus_linux import (
    CALL_MS,
    DBus,
    ServiceRefused,
    Signals,
    items,
    number,
    table,
    text,
    until,
    variant,
)
from firmware.buses.wire import BusError
from firmware.errors import Timeout
from firmware.hal.bearer import (
    DEGRADED,
    DOWN,
    STATUS_MS,
    UP,
    Bearer,
    BearerError,
    BearerMute,
    BearerStatus,
    NoAddress,
    NoService,
    PasswordRefused,
)
from firmware.hal.wifi import StaticIp

SERVICE = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
SETTINGS = SERVICE + ".Settings"
PROFILE = SERVICE + ".Settings.Connection"
DEVICE = SERVICE + ".Device"
ACTIVE = SERVICE + ".Connection.Active"
IP4 = SERVICE + ".IP4Config"
ETHERNET = "802-3-ethernet"
NONE = "/"

#: NMDeviceState.
UNMANAGED, UNAVAILABLE, DISCONNECTED, PREPARE = 10, 20, 30, 40
NEED_AUTH, SECONDARIES, ACTIVATED, STATE_FAILED = 60, 90, 100, 120
#: NMDeviceStateReason: no secrets; no address by DHCP (5, 15 to 17); the network is not there.
NO_SECRETS, SSID_NOT_FOUND = 7, 53
NO_ADDRESS = (5, 15, 16, 17)
#: NMActiveConnectionState.
ACTIVE_UP, ACTIVE_ENDED = 2, 4
#: Profiles looked through; a terminal has a handful.
PROFILES = 64
_COUNTERS = "/sys/class/net"

Profile = dict[str, dict[str, Any]]


class Cause:
    """What a device's signals said of its activation: ``cause`` of CAUSES, or ""."""

    def __init__(self) -> None:
        self.cause = ""
        self.detail = ""

    def hear(self, told: "tuple[str, list[Any]] | None") -> None:
        """Take a signal of the device; what is no change of state says nothing."""
        if told is None or told[0] != "StateChanged":
            return
        if len(told[1]) != 3 or not all(isinstance(value, int) for value in told[1]):
            return
        state, _, reason = told[1]
        if state == NEED_AUTH or reason == NO_SECRETS:
            self.cause, self.detail = "denied", "the password is refused"
        elif reason == SSID_NOT_FOUND:
            self.cause, self.detail = "no_service", "the network is not in the air"
        elif reason in NO_ADDRESS:
            self.cause, self.detail = "no_address", "no address by DHCP"
        elif state == STATE_FAILED and not self.cause:
            self.detail = f"NetworkManager gave the connection up, reason {reason}"

    def error(self, detail: str) -> BearerError:
        """The error of an activation that failed."""
        if self.cause == "denied":
            return PasswordRefused(self.detail)
        if self.cause == "no_service":
            return NoService(self.detail)
        if self.cause == "no_address":
            return NoAddress(self.detail)
        return BearerError(self.detail or detail)


class NetworkManager:
    """The service on ``bus``. All its operations raise BusError."""

    def __init__(self, bus: DBus) -> None:
        self.bus = bus

    async def device_of(self, interface: str) -> str:
        """The device of a network interface. BearerMute when there is none."""
        try:
            found: str = await self.bus.answer(
                str, SERVICE, ROOT, SERVICE, "GetDeviceByIpIface", "s", [interface]
            )
        except ServiceRefused as error:
            raise BearerMute(f"NetworkManager has no device {interface}: {error}") from None
        return found

    async def device_by_udi(self, udi: str) -> str:
        """The device of hardware that another service names, such as a modem; "" for none."""
        devices = await self.bus.answer(list, SERVICE, ROOT, SERVICE, "GetDevices")
        for path in items({"GetDevices": devices}, "GetDevices", str):
            try:
                if text(await self.device(path), "Udi") == udi:
                    return str(path)
            except ServiceRefused:
                pass  # it left while we looked
        return ""

    async def device(self, path: str) -> dict[str, Any]:
        """A device's properties."""
        return await self.bus.properties(SERVICE, path, DEVICE)

    async def listen(self, device: str) -> Signals:
        """The device's changes of state."""
        return await self.bus.listen(SERVICE, device, DEVICE)

    async def disconnect(self, device: str) -> None:
        """End what is active on a device, which then does not connect by itself."""
        try:
            await self.bus.call(SERVICE, device, DEVICE, "Disconnect", timeout_ms=10000)
        except ServiceRefused:
            pass  # nothing was active

    async def activate(self, profile: str, device: str) -> str:
        """Begin to activate ``profile``, or the best one for the device (NONE). The
        active connection. BearerError when there is nothing to activate."""
        try:
            found: str = await self.bus.answer(
                str, SERVICE, ROOT, SERVICE, "ActivateConnection", "ooo", [profile, device, NONE]
            )
        except ServiceRefused as error:
            raise BearerError(str(error)) from None
        return found

    async def wait_up(self, active: str, signals: Signals, cause: Cause) -> None:
        """Until an activation has succeeded; the caller bounds it. BearerError by what
        the device's signals say when it failed."""

        async def settled() -> int:
            while (told := await signals.next(0)) is not None:
                cause.hear(told)
            try:
                values = await self.bus.properties(SERVICE, active, ACTIVE)
            except ServiceRefused:
                return ACTIVE_ENDED  # the object ends with its connection
            state = number(values, "State")
            return state if state in (ACTIVE_UP, ACTIVE_ENDED) else 0

        while not (state := await settled()):
            cause.hear(await signals.next(500))
        if state == ACTIVE_ENDED:
            # Signals may come after the end that they explain.
            while (told := await signals.next(200)) is not None:
                cause.hear(told)
            raise cause.error("NetworkManager gave the connection up")

    async def addresses(self, device: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        """IPv4 address and name servers of a device, "" and () while it has none."""
        path = text(device, "Ip4Config")
        if path in ("", NONE):
            return "", ()
        try:
            values = await self.bus.properties(SERVICE, path, IP4)
        except ServiceRefused:
            return "", ()  # it was replaced while we looked
        found = [text(one, "address") for one in items(values, "AddressData", dict)]
        servers = [text(one, "address") for one in items(values, "NameserverData", dict)]
        return (found or [""])[0], tuple(servers)

    async def profile_of(self, active: str) -> str:
        """The profile of an active connection; NONE when there is none."""
        if active in ("", NONE):
            return NONE
        try:
            return text(await self.bus.properties(SERVICE, active, ACTIVE), "Connection") or NONE
        except ServiceRefused:
            return NONE  # it ended while we looked

    # ---- profiles -------------------------------------------------------------------

    async def profiles(self, kind: str) -> list[tuple[str, Profile]]:
        """Paths and settings, without secrets, of the profiles of a kind, such as
        "802-11-wireless"; the first PROFILES are looked at."""
        paths = await self.bus.answer(
            list, SERVICE, ROOT + "/Settings", SETTINGS, "ListConnections"
        )
        found = []
        for path in items({"ListConnections": paths}, "ListConnections", str)[:PROFILES]:
            try:
                profile = await self.bus.answer(dict, SERVICE, path, PROFILE, "GetSettings")
            except ServiceRefused:
                continue  # it was deleted while we looked
            if text(table(profile, "connection"), "type") == kind:
                found.append((path, profile))
        return found

    async def add(self, profile: Profile) -> str:
        """Keep a profile on disk, where root alone reads it; its path."""
        body = [{part: dict(values) for part, values in profile.items()}]
        found: str = await self.bus.answer(
            str, SERVICE, ROOT + "/Settings", SETTINGS, "AddConnection", "a{sa{sv}}", body
        )
        return found

    async def delete(self, profile: str, timeout_ms: int = CALL_MS) -> None:
        """Forget a profile. Harmless when it is gone."""
        try:
            await self.bus.call(SERVICE, profile, PROFILE, "Delete", timeout_ms=timeout_ms)
        except ServiceRefused as error:
            if not error.name.endswith(("UnknownObject", "UnknownMethod")):
                raise


def profile(kind: str, name: str, interface: str, autoconnect: bool = True) -> Profile:
    """A profile's beginning."""
    values = {"id": variant("s", name), "type": variant("s", kind),
              "autoconnect": variant("b", autoconnect)}  # fmt: skip
    if interface:
        values["interface-name"] = variant("s", interface)
    return {"connection": values, "ipv4": {"method": variant("s", "auto")}}


def give_address(settings: Profile, static: StaticIp) -> None:
    """Put a static address into a profile, in place of DHCP."""
    # Name servers are numbers whose bytes lie in network order in memory.
    servers = [struct.unpack("=I", socket.inet_aton(one))[0] for one in static.dns]
    address = {"address": variant("s", static.address), "prefix": variant("u", static.prefix)}
    settings["ipv4"] = {
        "method": variant("s", "manual"),
        "address-data": variant("aa{sv}", [address]),
        "gateway": variant("s", static.gateway),
        "dns": variant("au", servers),
    }


def counters(interface: str) -> tuple[int, int]:
    """Bytes sent and received since the interface is there; -1 each when not known."""
    found = []
    for name in ("tx_bytes", "rx_bytes"):
        try:
            with open(f"{_COUNTERS}/{interface}/statistics/{name}", encoding="ascii") as file:
                found.append(int(file.read(32)))
        except (OSError, ValueError):
            found.append(-1)
    return found[0], found[1]


async def bounded(timeout_ms: int, act: Coroutine[Any, Any, None], what: str) -> None:
    """Run ``act``; whatever ends it is a BearerError."""
    try:
        await aio.deadline(timeout_ms, act, what)
    except Timeout as error:
        raise BearerError(str(error)) from None
    except ServiceRefused as error:
        raise BearerError(str(error)) from None
    except BusError as error:
        raise BearerMute(str(error)) from None


class NmLink(Bearer):
    """A device that NetworkManager keeps, by the name of its interface."""

    levels: "tuple[str, ...]" = ("bearer",)

    def __init__(self, bus: DBus, interface: str) -> None:
        self.interface = interface
        self._nm = NetworkManager(bus)
        self._lock = aio.Lock()
        #: Why it is not up, of CAUSES, as far as we know; the service may know better.
        self._cause = "stopped"
        self._heard = Cause()

    # ---- contract -----------------------------------------------------------------

    async def status(self) -> BearerStatus:
        try:
            return await aio.deadline(STATUS_MS, self._status())
        except (BusError, BearerMute, Timeout):
            return BearerStatus(DOWN, self.kind, 0, "mute")

    async def start(self, timeout_ms: int) -> None:
        async with self._lock:
            await self._bounded(timeout_ms, self._start())

    async def stop(self) -> None:
        async with self._lock:
            self._cause = "stopped"
            try:
                await self._nm.disconnect(await self._nm.device_of(self.interface))
            except (BusError, BearerError):
                pass  # who is not there is not up either

    async def reset(self, level: str, timeout_ms: int) -> None:
        if level not in self.levels:
            raise ValueError(self.interface + " has no reset " + level)
        async with self._lock:
            await self._bounded(timeout_ms, self._reset(level))

    async def _bounded(self, timeout_ms: int, act: Coroutine[Any, Any, None]) -> None:
        heard = self._heard = Cause()
        self._cause = "no_carrier"
        try:
            await bounded(timeout_ms, act, self.interface)
        except BearerError as error:
            failure = error
            if heard.cause and error.cause == "no_carrier":
                failure = heard.error(str(error))  # time was up before the service said no
            self._cause = failure.cause
            raise failure from None
        self._cause = ""

    # ---- up and down --------------------------------------------------------------

    async def _start(self) -> None:
        device = await self._nm.device_of(self.interface)
        signals = await self._nm.listen(device)
        try:
            values = await self._nm.device(device)
            state = number(values, "State")
            active = text(values, "ActiveConnection")
            wanted = await self._wanted()
            if wanted == NONE or wanted == await self._nm.profile_of(active):
                if state == ACTIVATED:
                    return
            else:
                active = NONE  # another profile's
            if not PREPARE <= state <= SECONDARIES or active in ("", NONE):
                await self._ready(device, signals)
                active = await self._nm.activate(wanted, device)
            await self._nm.wait_up(active, signals, self._heard)
        finally:
            await self._nm.bus.unlisten(signals)

    async def _wanted(self) -> str:
        """The profile to activate, NONE for NetworkManager's choice."""
        return NONE

    async def _ready(self, device: str, signals: Signals) -> None:
        """Until the device can be activated: it is managed, and its cable is in."""
        values = await self._nm.device(device)
        if number(values, "State") <= UNMANAGED:
            raise BearerError(f"NetworkManager does not manage {self.interface}")

        async def available() -> bool:
            return number(await self._nm.device(device), "State") > UNAVAILABLE

        await until(available, signals)

    async def _reset(self, level: str) -> None:
        await self._nm.disconnect(await self._nm.device_of(self.interface))
        await self._start()

    # ---- what is known ------------------------------------------------------------

    async def _status(self) -> BearerStatus:
        device = await self._nm.device_of(self.interface)
        values = await self._nm.device(device)
        state = number(values, "State")
        status = BearerStatus(DOWN, self.kind)
        status.sent, status.received = counters(self.interface)
        if state == ACTIVATED:
            status.bars = await self._bars(device, status)
            status.state = UP if status.bars else DEGRADED
            status.address, status.dns = await self._nm.addresses(values)
        elif state <= UNMANAGED:
            status.cause = "mute"
        elif state == NEED_AUTH:
            status.cause = "denied"
        else:
            status.cause = await self._why(values)
        self.dns = status.dns
        return status

    async def _bars(self, device: str, status: BearerStatus) -> int:
        """Bars of a device that is up, and who carries it."""
        return 4

    async def _why(self, values: dict[str, Any]) -> str:
        """The cause of a device that is not up."""
        return self._cause or "no_carrier"


class NmCable(NmLink):
    """Ethernet. Its profile is NetworkManager's own (DHCP) unless ``configure`` makes one."""

    kind = "ethernet"
    takes_static = True

    async def configure(self, static: "StaticIp | None") -> None:
        """Keep a profile with a static address, or with DHCP (None), in place of one kept
        before; it counts from the next ``start`` or ``reset``. BearerError."""
        async with self._lock:
            await bounded(15000, self._configure(static), self.interface)

    async def _configure(self, static: "StaticIp | None") -> None:
        before = await self._ours()
        settings = profile(ETHERNET, "opentill " + self.interface, self.interface)
        # Ahead of the profile that NetworkManager makes for every cable.
        settings["connection"]["autoconnect-priority"] = variant("i", 1)
        if static is not None:
            give_address(settings, static)
        await self._nm.add(settings)
        for path in before:
            await self._nm.delete(path)

    async def _ours(self) -> list[str]:
        return [
            path
            for path, one in await self._nm.profiles(ETHERNET)
            if text(table(one, "connection"), "id") == "opentill " + self.interface
        ]

    async def _wanted(self) -> str:
        return (await self._ours() or [NONE])[0]
