"""Mobile data through ModemManager (the modem) and NetworkManager (its network).

ModemManager has the modem alone: SIM, registration, signal, short messages and
resets are asked of it, and no AT command of ours goes there. The connection is
activated by NetworkManager, which gives its interface an address in whatever way
the modem wants (PPP, DHCP, fixed). Numbers and names are those of the D-Bus
interfaces (ModemManager-enums.h; tried against ModemManager 1.20).
"""

from typing import TYPE_CHECKING, Any

from firmware import aio
from firmware.buses.dbus_linux import (
    DBus,
    ServiceRefused,
    items,
    number,
    table,
    text,
    until,
    variant,
)
from firmware.buses.wire import BusError
from firmware.drivers import nm_linux as nm
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
    NoService,
    RegistrationDenied,
    SimMissing,
    SimPinNeeded,
    SimPukNeeded,
)
from firmware.hal.mobile import ASKS_PIN, Mobile, MobileSettings, ShortMessage, SimStatus
from firmware.hal.mobile import MUTE as SIM_MUTE

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from firmware.buses.data_line import Restart

SERVICE = "org.freedesktop.ModemManager1"
ROOT = "/org/freedesktop/ModemManager1"
MODEM = SERVICE + ".Modem"
MODEM_3GPP = MODEM + ".Modem3gpp"
MESSAGING = MODEM + ".Messaging"
SIM = SERVICE + ".Sim"
SMS = SERVICE + ".Sms"

#: MMModemState.
FAILED, LOCKED, DISABLED, ENABLED, SEARCHING = -1, 2, 3, 6, 7
#: MMModemStateFailedReason.
SIM_MISSING, SIM_ERROR = 2, 3
#: MMModemLock: unknown, none; PIN; PUK. PIN2 and PUK2 lock nothing that we use.
LOCK_PIN, LOCK_PUK = 2, 4
UNLOCKED = (1, 3, 5)
#: MMModem3gppRegistrationState.
HOME, REG_SEARCHING, DENIED, ROAMING = 1, 2, 3, 5
#: MMModemPowerState.
POWER_LOW, POWER_ON = 2, 3
#: MMSmsState.
RECEIVED = 3
#: Percent above which there is one bar more.
BARS = (5, 30, 55, 80)

LOOK_MS = 1000
ENABLE_MS = 30000
RESET_MS = 10000
#: A modem that restarts leaves the bus within this, or does not leave it.
LEAVE_MS = 8000
REST_MS = 1000
#: As the AT driver (``at_modem``): looks that must all say "denied"; a PIN is tried by
#: itself only while the SIM has all its tries; messages taken at once.
DENIALS = 4
ALL_TRIES = 3
MESSAGES = 16

Modem = dict[str, dict[str, Any]]


class MmModem(Bearer, Mobile):
    """The modem that ModemManager has: the first one, or that whose equipment identifier
    (IMEI) or device path is ``which``.

    ``pin``: the SIM's, "" for none. ``user``, ``password``: the network's, mostly "".
    ``roaming``: whether to use a foreign network. ``usb``, ``power``: ways to restart
    it from outside, where the board has them.
    """

    kind = "mobile"

    def __init__(
        self,
        bus: DBus,
        apn: str,
        pin: str = "",
        roaming: bool = True,
        which: str = "",
        user: str = "",
        password: str = "",
        usb: "Restart | None" = None,
        power: "Restart | None" = None,
    ) -> None:
        self._bus = bus
        self._nm = nm.NetworkManager(bus)
        #: What is wanted, and what the connection was made with.
        self._settings = self._used = MobileSettings(apn, user, password, roaming)
        self._pin = pin
        self._which = which
        self._restarts: dict[str, Restart | None] = {"usb": usb, "power": power}
        self.levels = ("bearer", "radio", "modem")
        for level in ("usb", "power"):
            if self._restarts[level] is not None:
                self.levels += (level,)
        self._lock = aio.Lock()
        self._refused = ""  # a PIN that this SIM did not take
        self._cause = "stopped"

    # ---- contract -----------------------------------------------------------------

    async def status(self) -> BearerStatus:
        try:
            return await aio.deadline(STATUS_MS, self._status())
        except (BusError, BearerMute, Timeout):
            self.interface = ""
            return BearerStatus(DOWN, self.kind, 0, "mute")

    async def start(self, timeout_ms: int) -> None:
        async with self._lock:
            await self._bounded(timeout_ms, self._start())

    async def stop(self) -> None:
        async with self._lock:
            try:
                path, _ = await self._modem()
                await self._hang_up(path)
            except (BusError, BearerError):
                pass  # who is not there is not up either
            self._cause = "stopped"

    async def reset(self, level: str, timeout_ms: int) -> None:
        if level not in self.levels:
            raise ValueError("the modem has no reset " + level)
        async with self._lock:
            await self._bounded(timeout_ms, self._reset(level))

    async def _bounded(self, timeout_ms: int, act: "Coroutine[Any, Any, None]") -> None:
        """Run ``act``; whatever ends it is a BearerError with its cause."""
        self._cause = "mute"
        try:
            await nm.bounded(timeout_ms, act, "the modem")
        except BearerError as error:
            failure = error
            if error.cause == "no_carrier" and self._cause in ("searching", "no_service"):
                failure = NoService("no registration in time", self._cause == "searching")
            elif error.cause == "no_carrier" and self._cause == "mute":
                failure = BearerMute("no modem in time: " + str(error))
            self._cause = failure.cause
            raise failure from None

    # ---- up and down --------------------------------------------------------------

    async def _start(self) -> None:
        self._cause = "mute"
        path = await self._found()
        await self._unlock(path)
        self._cause = "no_carrier"
        await self._enable(path)
        await self._register(path)
        device = await self._device(path)

        async def available() -> int:
            state = number(await self._nm.device(device), "State")
            return state if state > nm.UNAVAILABLE else 0

        if await until(available) != nm.ACTIVATED or self._used is not self._settings:
            await self._connect(device)
        self._cause = ""

    async def _found(self) -> str:
        """Until ModemManager has the modem and its SIM is read; the caller bounds it."""

        async def look() -> str:
            try:
                path, interfaces = await self._modem()
            except BearerMute:
                return ""
            values = interfaces[MODEM]
            # Unknown and initialising: what it says now is not yet true.
            return "" if 0 <= number(values, "State") < LOCKED else path

        found: str = await until(look, look_ms=LOOK_MS)
        return found

    async def _modem(self) -> tuple[str, Modem]:
        """Path and interfaces of our modem. BearerMute when there is none."""
        objects = await self._bus.objects(SERVICE, ROOT)
        for path in sorted(objects):
            values = objects[path].get(MODEM)
            if values is None:
                continue
            names = ("", text(values, "EquipmentIdentifier"), text(values, "Device"))
            if self._which in names:
                return path, objects[path]
        raise BearerMute("ModemManager has no modem " + self._which)

    async def _values(self, path: str, interface: str = MODEM) -> dict[str, Any]:
        return await self._bus.properties(SERVICE, path, interface)

    async def _enable(self, path: str) -> None:
        if number(await self._values(path), "State") < ENABLED:
            await self._bus.call(SERVICE, path, MODEM, "Enable", "b", [True], timeout_ms=ENABLE_MS)

    async def _connect(self, device: str) -> None:
        """Activate a profile with today's settings; older ones of ours are replaced."""
        before = await self._nm.profiles("gsm")
        settings = nm.profile("gsm", "opentill mobile", "", autoconnect=False)
        # Both at once is refused for a modem that has no dual stack.
        settings["ipv6"] = {"method": variant("s", "ignore")}
        wanted = self._used = self._settings
        settings["gsm"] = {"home-only": variant("b", not wanted.roaming)}
        if wanted.apn:
            settings["gsm"]["apn"] = variant("s", wanted.apn)
            for name, value in (("username", wanted.user), ("password", wanted.password)):
                if value:
                    settings["gsm"][name] = variant("s", value)
        else:  # by the SIM's operator, from the system's table; excludes the other three
            settings["gsm"]["auto-config"] = variant("b", True)
        signals = await self._nm.listen(device)
        try:
            profile = await self._nm.add(settings)
            await self._delete_ours(before)
            active = await self._nm.activate(profile, device)
            await self._nm.wait_up(active, signals, nm.Cause())
        finally:
            await self._bus.unlisten(signals)

    async def _delete_ours(self, profiles: list[tuple[str, nm.Profile]]) -> None:
        for path, one in profiles:
            if text(table(one, "connection"), "id") == "opentill mobile":
                await self._nm.delete(path)

    async def _device(self, path: str) -> str:
        """NetworkManager's device of the modem; the caller bounds the wait for it."""
        found: str = await until(lambda: self._nm.device_by_udi(path), look_ms=LOOK_MS)
        return found

    async def _hang_up(self, path: str) -> None:
        device = await self._nm.device_by_udi(path)
        if device:
            await self._nm.disconnect(device)

    # ---- SIM ----------------------------------------------------------------------

    @property
    def settings(self) -> MobileSettings:
        """What the next connection is made with."""
        return self._settings

    def set_up(self, settings: MobileSettings, pin: str) -> None:
        """From the next ``start`` on."""
        self._settings, self._pin = settings, pin

    async def wipe(self) -> None:
        """NetworkManager keeps the access point's password in its profile."""
        self._pin = self._refused = ""
        self._settings = MobileSettings(self._settings.apn, roaming=self._settings.roaming)

        async def forget() -> None:
            await self._delete_ours(await self._nm.profiles("gsm"))

        try:
            await nm.bounded(15000, forget(), "the modem")
        except BearerError:
            pass  # the service is gone; docs/threat-model.md says what that leaves

    async def sim(self) -> SimStatus:
        """The SIM's state now."""
        found: list[SimStatus] = []

        async def ask() -> None:
            path, _ = await self._modem()
            values = await self._values(path)
            state = self._sim(values)
            found.append(SimStatus(state, self._tries(values) if state == ASKS_PIN else None))

        try:
            await nm.bounded(15000, ask(), "the modem")
        except BearerError:
            return SimStatus(SIM_MUTE)
        return found[0]

    def _sim(self, values: dict[str, Any]) -> str:
        """ "ready", or a cause of CAUSES."""
        if number(values, "State") == FAILED:
            reason = number(values, "StateFailedReason")
            return {SIM_MISSING: "no_sim", SIM_ERROR: "sim_fault"}.get(reason, "mute")
        lock = number(values, "UnlockRequired")
        if lock == LOCK_PIN:
            return "sim_pin"
        if lock == LOCK_PUK:
            return "sim_puk"
        return "ready" if lock in UNLOCKED or number(values, "State") > LOCKED else "sim_fault"

    def _sim_error(self, state: str) -> BearerError:
        detail = "the SIM is not ready: " + state
        if state == "sim_puk":
            return SimPukNeeded(detail)
        if state == "sim_pin":
            return SimPinNeeded(detail)
        if state == "mute":
            return BearerMute("ModemManager could not start the modem")
        error = SimMissing(detail)
        error.cause = state
        return error

    def _tries(self, values: dict[str, Any]) -> "int | None":
        tries = table(values, "UnlockRetries").get(LOCK_PIN)
        return tries if isinstance(tries, int) and not isinstance(tries, bool) else None

    async def _unlock(self, path: str) -> None:
        values = await self._values(path)
        state = self._sim(values)
        if state == "ready":
            return
        self._cause = state
        if state != "sim_pin":
            raise self._sim_error(state)
        if not self._pin:
            raise SimPinNeeded("the SIM asks for a PIN and none is set")
        tries = self._tries(values)
        if tries is None:
            raise SimPinNeeded("the modem does not say how many tries are left: enter it by hand")
        if tries < ALL_TRIES:
            raise SimPinNeeded("a wrong PIN was tried before, " + str(tries) + " tries left")
        await self._enter(path, values, self._pin, tries)

    async def tries_left(self) -> "int | None":
        """PIN entries that the SIM still takes; None when the modem does not say. BusError,
        BearerMute."""
        path, _ = await self._modem()
        return self._tries(await self._values(path))

    async def _enter(
        self, path: str, values: dict[str, Any], pin: str, tries: "int | None"
    ) -> None:
        # With all tries left it was another SIM that refused, or the answer was lost.
        if pin == self._refused and tries != ALL_TRIES:
            raise SimPinNeeded("this PIN was refused before")
        self._refused = pin
        try:
            await self._bus.call(
                SERVICE, text(values, "Sim"), SIM, "SendPin", "s", [pin], timeout_ms=RESET_MS
            )
        except ServiceRefused:
            if self._sim(await self._values(path)) == "sim_puk":
                raise SimPukNeeded("the SIM is locked") from None
            raise SimPinNeeded("the SIM refused its PIN") from None  # no detail: it may name it
        self._refused = ""

        async def unlocked() -> bool:
            now = await self._values(path)
            # It starts the modem anew once the SIM is open, and refuses all until then.
            started = number(now, "State") == FAILED or number(now, "State") > LOCKED
            return started and self._sim(now) == "ready"

        await until(unlocked, look_ms=LOOK_MS)

    async def enter_pin(self, pin: str) -> None:
        """A PIN that somebody typed just now. Tried once, and not at all when one
        try is left. SimPinNeeded, SimPukNeeded; ValueError for what is no PIN."""
        if not 4 <= len(pin) <= 8 or pin.strip("0123456789"):
            raise ValueError("a SIM's PIN has 4 to 8 digits")
        async with self._lock:
            await self._bounded(30000, self._by_hand(pin))

    async def _by_hand(self, pin: str) -> None:
        path = await self._found()
        values = await self._values(path)
        state = self._sim(values)
        if state == "sim_pin":
            tries = self._tries(values)
            if tries is not None and tries < 2:
                raise SimPinNeeded("one try is left: the operator's shop must help")
            await self._enter(path, values, pin, tries)
            self._pin = pin
        elif state != "ready":
            raise self._sim_error(state)
        self._cause = "stopped"

    # ---- registration -------------------------------------------------------------

    async def _register(self, path: str) -> None:
        """Until registered; the caller bounds it."""
        denials = 0
        while True:
            state = number(await self._values(path, MODEM_3GPP), "RegistrationState")
            if state == HOME or (state == ROAMING and self._settings.roaming):
                self._cause = "no_carrier"
                return
            if state == ROAMING:
                raise NoService("only a foreign network, and roaming is off")
            denials = denials + 1 if state == DENIED else 0
            if denials >= DENIALS:
                raise RegistrationDenied("the network refuses this SIM")
            self._cause = "searching" if state == REG_SEARCHING else "no_service"
            await aio.sleep_ms(LOOK_MS)

    # ---- resets -------------------------------------------------------------------

    async def _reset(self, level: str) -> None:
        restart = self._restarts.get(level)
        try:
            path, _ = await self._modem()
            self._cause = "no_carrier"
            await self._hang_up(path)
        except (BusError, BearerMute):
            if restart is None:
                raise
            path = ""  # who is not there can still be restarted from outside
        if restart is not None:
            await restart.cycle()
            await self._leave(path)
        elif level == "radio":
            await self._toggle_radio(path)
        elif level == "modem":
            await self._bus.call(SERVICE, path, MODEM, "Reset", timeout_ms=RESET_MS)
            await self._leave(path)
        await self._start()

    async def _toggle_radio(self, path: str) -> None:
        await self._bus.call(SERVICE, path, MODEM, "Enable", "b", [False], timeout_ms=ENABLE_MS)
        for power in (POWER_LOW, POWER_ON):
            try:
                await self._bus.call(
                    SERVICE, path, MODEM, "SetPowerState", "u", [power], timeout_ms=RESET_MS
                )
            except ServiceRefused:
                pass  # not every plugin can; disabled and enabled it was
            await aio.sleep_ms(REST_MS)

    async def _leave(self, path: str) -> None:
        """Until a modem that restarts has left the bus, if it does so at all."""

        async def gone() -> bool:
            return path not in await self._bus.objects(SERVICE, ROOT)

        await aio.first(("gone", until(gone, look_ms=REST_MS)), timeout_ms=LEAVE_MS)

    # ---- what is known ------------------------------------------------------------

    async def _status(self) -> BearerStatus:
        path, interfaces = await self._modem()
        values = interfaces[MODEM]
        network = interfaces.get(MODEM_3GPP, {})
        registration = number(network, "RegistrationState")
        status = BearerStatus(DOWN, self.kind)
        quality = (items(values, "SignalQuality", int) or [0])[0]
        status.bars = sum(1 for least in BARS if quality > least)
        status.operator = text(network, "OperatorName")
        status.roaming = registration == ROAMING
        device = await self._nm.device_by_udi(path)
        found = await self._nm.device(device) if device else {}
        self.interface = text(found, "IpInterface")
        if number(found, "State") == nm.ACTIVATED:
            registered = registration in (HOME, ROAMING)
            status.cause = "" if registered else "searching"
            status.state = UP if registered and status.bars else DEGRADED
            status.address, status.dns = await self._nm.addresses(found)
            self.dns = status.dns
            status.sent, status.received = nm.counters(self.interface)
            return status
        self.dns = ()
        sim = self._sim(values)
        if sim != "ready":
            status.cause = sim
        elif self._cause == "stopped":
            status.cause = "stopped"
        elif number(values, "State") < ENABLED or registration in (HOME, ROAMING):
            status.cause = "no_carrier"
        else:
            status.cause = {DENIED: "denied", REG_SEARCHING: "searching"}.get(
                registration, "no_service"
            )
        return status

    # ---- short messages -----------------------------------------------------------

    async def messages(self) -> list[ShortMessage]:
        """At most MESSAGES at once; those that are no text are deleted as well.
        ModemManager puts the parts of a long one together."""
        found: list[ShortMessage] = []
        async with self._lock:
            try:
                await nm.bounded(30000, self._take_messages(found), "the modem")
            except BearerError:
                if not found:
                    raise
        return found

    async def _take_messages(self, found: list[ShortMessage]) -> None:
        path, _ = await self._modem()
        listed = await self._bus.answer(list, SERVICE, path, MESSAGING, "List")
        for sms in items({"List": listed}, "List", str)[:MESSAGES]:
            values = await self._values(sms, SMS)
            if number(values, "State") != RECEIVED:
                continue
            message = None
            try:
                stamp = text(values, "Timestamp")[:19].replace("T", " ")
                message = ShortMessage(text(values, "Number"), text(values, "Text"), 1, 1, stamp)
            except BusError:
                pass  # not a text for us; it must not fill the SIM
            await self._bus.call(SERVICE, path, MESSAGING, "Delete", "o", [sms])
            if message is not None:
                found.append(message)
