"""Bearer: a 4G modem spoken to by AT commands (families in ``modem_scripts``).

On Linux where ModemManager is absent, and on MicroPython. With a second port
the modem answers questions during a call; with one port the last answers
stand while a call is open, for leaving data mode would stall what it carries.
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers import modem_scripts as scripts
from firmware.drivers import sms_pdu
from firmware.drivers.at_channel import AtChannel
from firmware.drivers.at_engine import AtError, Command
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
    SimPinNeeded,
    SimPukNeeded,
)
from firmware.hal.mobile import ASKS_PIN, READY, Mobile, MobileSettings, ModemInCall, SimStatus
from firmware.hal.mobile import MUTE as SIM_MUTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from firmware.buses.data_line import Carrier, Restart
    from firmware.buses.serial_port import SerialPort
    from firmware.hal.mobile import ShortMessage

#: How often registration is asked for, and how long a SIM may be busy after power-on.
LOOK_MS = 1000
SIM_MS = 10000
#: +CFUN reads and writes the radio; dialling asks the network.
RADIO_MS = 15000
DIAL_MS = 20000
#: The radio's rest between off and on.
REST_MS = 1000
#: Looks that must all say "denied": a network may refuse once and take us next.
DENIALS = 4
#: A PIN is tried by itself only while the SIM has all its tries.
ALL_TRIES = 3
#: Messages taken at once.
MESSAGES = 16


class AtModem(Bearer, Mobile):
    """The modem at ``port``, its calls at ``data_port`` or at ``port`` too.

    ``carrier`` makes a network of a call. ``pin``: the SIM's, "" for none.
    ``roaming``: whether to use a foreign network. ``usb``, ``power``: ways to
    restart it from outside, where the board has them.
    """

    kind = "mobile"

    def __init__(
        self,
        port: "SerialPort",
        carrier: "Carrier",
        apn: str,
        pin: str = "",
        data_port: "SerialPort | None" = None,
        roaming: bool = True,
        usb: "Restart | None" = None,
        power: "Restart | None" = None,
    ) -> None:
        self._line = AtChannel(port, scripts.URCS)
        self._call = self._line
        if data_port is not None:
            self._call = AtChannel(data_port, scripts.URCS)
        self._carrier = carrier
        self._settings = MobileSettings(apn, roaming=roaming)
        self._used: "MobileSettings | None" = None  # what the call was made with
        self._pin = pin
        self._restarts: "dict[str, Restart | None]" = {"usb": usb, "power": power}
        self.levels = ("bearer", "radio", "modem")
        for level in ("usb", "power"):
            if self._restarts[level] is not None:
                self.levels += (level,)
        self._lock = aio.Lock()
        self.family = scripts.GENERIC
        self.model = ""
        self._ready = False  # echo off, family known, since the last restart
        self._up = False
        self._refused = ""  # a PIN that this SIM did not take
        self._cause = "stopped"
        self._last = BearerStatus(DOWN, self.kind, 0, "stopped")

    # ---- contract -----------------------------------------------------------------

    async def status(self) -> BearerStatus:
        if self._lock.locked():
            return self._told()  # while it is started or reset nobody is asked
        async with self._lock:
            answers = self._line.answers
            try:
                await aio.deadline(STATUS_MS, self._renew())
            except Timeout:
                if self._line.answers == answers:
                    self._cause = "mute"
                elif self._cause == "mute":
                    self._cause = "stopped"  # slow is not mute
            return self._told()

    async def start(self, timeout_ms: int) -> None:
        async with self._lock:
            await self._bounded(timeout_ms, self._start())

    async def stop(self) -> None:
        async with self._lock:
            try:
                await self._stop()
            except (BusError, AtError, BearerError):
                # Nothing answers: then nothing is up either.
                self._call.restart()
            self._cause = "stopped"
            self._last = BearerStatus(DOWN, self.kind, self._last.bars, "stopped")

    async def reset(self, level: str, timeout_ms: int) -> None:
        if level not in self.levels:
            raise ValueError("the modem has no reset " + level)
        async with self._lock:
            await self._bounded(timeout_ms, self._reset(level))

    async def _bounded(self, timeout_ms: int, act: "Coroutine[Any, Any, None]") -> None:
        """Run ``act``; whatever ends it is a BearerError with its cause."""
        try:
            await aio.deadline(timeout_ms, act, "the modem")
            return
        except BearerError as error:
            failure = error
        except Timeout as error:
            failure = BearerError(str(error))
            if self._cause in ("searching", "no_service"):
                failure = NoService("no registration in time", self._cause == "searching")
            elif self._cause == "mute":
                failure = BearerMute("the modem did not answer in time")
        except AtError as error:
            failure = BearerError(str(error))
        except BusError as error:
            failure = BearerMute(str(error))
            self._ready = False
        if not self._up:
            self._cause = failure.cause
        raise failure

    # ---- up and down --------------------------------------------------------------

    async def _start(self) -> None:
        if self._up and self._call.in_data and self._used is self._settings:
            return
        self._up = False
        # It may have restarted by itself: nothing of before is taken for granted.
        self._ready = False
        await self._carrier.down()
        await self._prepare()
        await self._unlock()
        await self._define()
        await self._register()
        if self._call is self._line:
            await self._look()  # the last time before the call takes the port
        else:
            try:
                await self._reach(self._call)
            except BusError:
                # After a restart the port of before is dead; its next use opens it anew.
                await self._reach(self._call)
            await self._call.need(Command(b"ATE0"))
        answer = await self._call.ask(scripts.DIAL, DIAL_MS)
        if not answer.ok:
            raise BearerError("the network took no call: " + scripts.ascii_text(answer.result))
        try:
            self._last.address = await self._carrier.up(self._call)
        except BusError as error:
            raise BearerError("no network in the call: " + str(error)) from None
        self.interface, self.dns = self._carrier.interface, self._carrier.dns
        self._up = True
        self._cause = ""

    async def _stop(self) -> None:
        self._up = False
        await self._carrier.down()
        if self._call.in_data and await self._call.leave_call():
            await self._call.ask(scripts.HANG_UP, 5000)
        else:
            self._call.restart()

    async def _reach(self, line: AtChannel) -> None:
        """In step, even if the modem still has a call of an earlier life."""
        if line.in_data:
            if await line.leave_call():
                await line.ask(scripts.HANG_UP, 5000)
                return
            line.restart()
        try:
            await line.sync()
        except BearerMute:
            await line.break_in()
            await line.sync()
            await line.ask(scripts.HANG_UP, 5000)

    async def _prepare(self) -> None:
        self._cause = "mute"
        await self._reach(self._line)
        if self._ready:
            return
        line = self._line
        for text in (b"ATE0", b"ATV1", b"AT+CMEE=1"):
            await line.need(Command(text))
        model = await line.ask(Command(b"AT+CGMM", b""))
        name = scripts.model_of(model.lines)
        self.model = scripts.ascii_text(name)
        self.family = scripts.family_of(name)
        for text in scripts.QUIET:
            await line.ask(Command(text))  # a modem without one of the domains says ERROR
        self._ready = True

    async def _define(self) -> None:
        self._cause = "no_carrier"
        answer = await self._line.ask(scripts.CONTEXTS)
        self._used = self._settings
        apn = self._used.apn
        if not scripts.has_context(answer.lines, apn):
            await self._line.need(scripts.context(apn), 5000)

    # ---- SIM ----------------------------------------------------------------------

    @property
    def settings(self) -> MobileSettings:
        """What the next connection is made with."""
        return self._settings

    def set_up(self, settings: MobileSettings, pin: str) -> None:
        """From the next ``start`` on. ValueError for a login that PPP cannot say."""
        self._carrier.login(settings.user, settings.password)
        self._settings, self._pin = settings, pin

    async def wipe(self) -> None:
        self._pin = self._refused = ""
        self._carrier.login("", "")
        self._settings = MobileSettings(self._settings.apn, roaming=self._settings.roaming)

    async def sim(self) -> SimStatus:
        """The SIM's state now."""
        started = self._lock.locked() and self._cause in ("searching", "no_service", "no_carrier")
        if self._up or started:
            return SimStatus(READY)  # it was read, and nobody may ask meanwhile
        found: "list[SimStatus]" = []
        async with self._lock:
            try:
                await self._bounded(SIM_MS + 5000, self._ask_sim(found))
            except BearerError:
                return SimStatus(SIM_MUTE)
        return found[0]

    async def _ask_sim(self, found: "list[SimStatus]") -> None:
        before = self._cause
        await self._prepare()
        state = await self._sim()
        tries = await self.tries_left() if state == ASKS_PIN else None
        found.append(SimStatus(state, tries))
        self._sim_said(state, before)

    def _sim_said(self, state: str, before: str) -> None:
        """An open SIM says nothing of what kept its modem from the network."""
        if state != READY:
            self._cause = state
        elif before in ("", "searching", "no_service", "denied", "no_carrier"):
            self._cause = before
        else:
            self._cause = "stopped"

    async def _sim(self) -> str:
        started = aio.ticks_ms()
        while True:
            state = scripts.sim_state(await self._line.ask(scripts.PIN_STATE, 5000))
            if state not in ("busy", "no_sim", "sim_fault"):
                return state
            # After power-on a SIM is "not inserted" or "failed" until it is read.
            if aio.elapsed_ms(started) >= SIM_MS:
                return "sim_fault" if state == "busy" else state
            await aio.sleep_ms(LOOK_MS)

    async def _unlock(self) -> None:
        state = await self._sim()
        if state == "ready":
            return
        self._cause = state
        if state != "sim_pin":
            raise scripts.sim_error(state, "the SIM is not ready: " + state)
        if not self._pin:
            raise SimPinNeeded("the SIM asks for a PIN and none is set")
        tries = await self.tries_left()
        if tries is None:
            raise SimPinNeeded("the modem does not say how many tries are left: enter it by hand")
        if tries < ALL_TRIES:
            raise SimPinNeeded("a wrong PIN was tried before, " + str(tries) + " tries left")
        await self._enter(self._pin, tries)

    async def tries_left(self) -> "int | None":
        """PIN entries that the SIM still takes; None when the modem does not say."""
        if self.family.tries is None:
            return None
        text, prefix = self.family.tries
        answer = await self._line.ask(Command(text, prefix))
        return scripts.tries_left(self.family, answer.lines)

    async def _enter(self, pin: str, tries: "int | None") -> None:
        # With all tries left it was another SIM that refused, or the answer was lost.
        if pin == self._refused and tries != ALL_TRIES:
            raise SimPinNeeded("this PIN was refused before")
        self._refused = pin
        answer = await self._line.ask(scripts.enter_pin(pin), 5000)
        state = await self._sim()
        if state == "sim_puk":
            raise SimPukNeeded("the SIM is locked")
        if not answer.ok or state != "ready":
            raise SimPinNeeded("the SIM refused its PIN")
        self._refused = ""

    async def enter_pin(self, pin: str) -> None:
        """A PIN that somebody typed just now. Tried once, and not at all when one
        try is left. SimPinNeeded, SimPukNeeded; ValueError for what is no PIN."""
        scripts.enter_pin(pin)
        async with self._lock:
            await self._bounded(30000, self._by_hand(pin))

    async def _by_hand(self, pin: str) -> None:
        before = self._cause
        await self._prepare()
        state = await self._sim()
        if state == ASKS_PIN:
            tries = await self.tries_left()
            if tries is not None and tries < 2:
                raise SimPinNeeded("one try is left: the operator's shop must help")
            await self._enter(pin, tries)
            self._pin = pin
        elif state != READY:
            raise scripts.sim_error(state, "the SIM is not ready: " + state)
        self._sim_said(READY, before)

    # ---- registration -------------------------------------------------------------

    async def _stat(self) -> int:
        stats = []
        for command in scripts.REGISTRATION:
            answer = await self._line.ask(command)
            if answer.ok:
                stats.append(scripts.registration(answer.lines))
                if stats[-1] in (scripts.HOME, scripts.ROAMING):
                    break
        return scripts.best_registration(stats)

    async def _register(self) -> None:
        """Until registered; the caller bounds it."""
        denials = 0
        while True:
            stat = await self._stat()
            if self._allowed(stat):
                self._cause = "no_carrier"
                return
            if stat == scripts.ROAMING:
                raise NoService("only a foreign network, and roaming is off")
            denials = denials + 1 if stat == scripts.DENIED else 0
            if denials >= DENIALS:
                raise RegistrationDenied("the network refuses this SIM")
            self._cause = "searching" if stat == scripts.SEARCHING else "no_service"
            await aio.sleep_ms(LOOK_MS)

    def _allowed(self, stat: int) -> bool:
        return stat == scripts.HOME or (stat == scripts.ROAMING and self._settings.roaming)

    # ---- resets -------------------------------------------------------------------

    async def _reset(self, level: str) -> None:
        self._up = False
        await self._carrier.down()
        self._cause = "mute"
        if level == "bearer":
            await self._stop()
        elif level == "radio":
            await self._reach(self._line)
            await self._line.need(Command(b"AT+CFUN=4"), RADIO_MS)
            await aio.sleep_ms(REST_MS)
            await self._line.need(Command(b"AT+CFUN=1"), RADIO_MS)
        elif level == "modem":
            await self._reach(self._line)
            await self._line.need(Command(self.family.reset), 5000)
            await self._boot()
        else:
            restart = self._restarts[level]
            assert restart is not None
            await restart.cycle()
            await self._boot()
        await self._start()

    async def _boot(self) -> None:
        self._ready = False
        self._call.restart()
        await aio.sleep_ms(REST_MS)
        # Half as long again as it should take: what is silent then stays so.
        await self._line.wait_boot(self.family.boot_ms * 3 // 2)

    # ---- what is known ------------------------------------------------------------

    async def _renew(self) -> None:
        if self._up and (not self._call.in_data or self._carrier.lost()):
            self._up = False
            self._cause = "no_carrier"
        if not self._line.in_data:
            try:
                await self._look()
            except (BusError, BearerMute):
                self._cause = "mute"
            except AtError:
                self._cause = self._cause or "mute"

    def _told(self) -> BearerStatus:
        """What was told last, with what is known of the call."""
        status = self._last
        status.cause = self._cause
        if self.family.counters is None:
            status.sent, status.received = self._carrier.counters()
        status.dns = self.dns = self._carrier.dns if self._up else ()
        self.interface = self._carrier.interface if self._up else ""
        if not self._up:
            status.state = DOWN
            status.address = ""
        elif self._cause or status.bars == 0:
            status.state = DEGRADED
        else:
            status.state = UP
        return status

    async def _look(self) -> None:
        """Ask everything that changes. AtError, BearerMute, BusError."""
        if not self._ready:
            await self._prepare()
        stat = await self._stat()
        status = BearerStatus(DOWN, self.kind)
        status.roaming = stat == scripts.ROAMING
        if self._up:
            registered = stat in (scripts.HOME, scripts.ROAMING)
            self._cause = "" if registered else "searching"
        elif self._cause == "mute":
            self._cause = "stopped"
        elif self._cause in ("searching", "no_service", "denied") and self._allowed(stat):
            self._cause = "no_carrier"  # what a start looked for in vain is there now
        for text, prefix in self.family.signal:
            answer = await self._line.ask(Command(text, prefix))
            found = scripts.bars(answer.lines) if answer.ok else None
            if found is not None:
                status.bars = found
                break
        status.operator = scripts.operator((await self._line.ask(scripts.OPERATOR, 5000)).lines)
        status.address = scripts.address((await self._line.ask(scripts.ADDRESS)).lines)
        if not status.address:
            status.address = self._last.address
        if self.family.counters is not None:
            text, prefix = self.family.counters
            found_counts = scripts.counters((await self._line.ask(Command(text, prefix))).lines)
            status.sent, status.received = found_counts
        self._last = status

    # ---- short messages -----------------------------------------------------------

    async def messages(self) -> "list[ShortMessage]":
        """At most MESSAGES at once; those that are no readable message are deleted as
        well. With one port only between calls: ModemInCall."""
        found: "list[ShortMessage]" = []
        async with self._lock:
            try:
                await self._bounded(30000, self._take_messages(found))
            except BearerError:
                if not found:
                    raise
        return found

    async def _take_messages(self, found: "list[ShortMessage]") -> None:
        if self._line.in_data:
            raise ModemInCall("the modem's only port carries a call")
        if not self._ready:
            await self._prepare()
        await self._line.need(scripts.PDU_MODE)
        listed = await self._line.need(scripts.LIST_MESSAGES, 10000)
        for index, digits in scripts.messages(listed.lines)[:MESSAGES]:
            try:
                found.append(sms_pdu.parse(digits))
            except ValueError:
                pass  # not a text for us; it must not fill the SIM
            await self._line.ask(scripts.delete_message(index), 5000)
