"""The terminal as the flows see it: its devices, its books, what blocks it."""

import sys

from firmware import aio
from firmware.errors import TillError
from firmware.hal.clock import ClockError
from firmware.hal.display import DisplayError
from firmware.hal.indicators import LAMPS
from firmware.payment.journal import records
from firmware.payment.journal.journal import Journal
from firmware.payment.money import Currency, Money
from firmware.services import calendar
from firmware.services.counters import Counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.aio import Task
    from firmware.app.pc_link import PcLink
    from firmware.hal.mobile import ShortMessage
    from firmware.services.host_session import HostSession
    from firmware.services.provision import Provision
    from firmware.services.register import Order, Register
    from firmware.services.self_test import Result
    from firmware.ui.tree import Screen
    from firmware.ui.view import View


#: Who the journal's LOCKOUT, RELEASED and CONFIRMED records name.
SUPERVISOR = "supervisor"


class Terminal:
    """Everything that a flow needs; made by ``app/boot.py``."""

    def __init__(self, devices: "Any", view: "View", board: "dict[str, Any]") -> None:
        self.devices = devices
        self.view = view
        self.board = board
        self.journal = Journal(devices.files, devices.vault)
        self.counters = Counters(self.journal, devices, board)
        self.provision: "Provision | None" = None
        self.session: "HostSession | None" = None
        self.results: "list[Result]" = []
        #: Text keys of what stands against taking payments; empty when ready.
        self.blocked: "list[str]" = []
        self.test = False
        #: Hears the kernel's trace as JSON lines; None without a debug link that asks.
        self.on_trace: "Callable[[list[str]], None] | None" = None
        #: Whether it asks for a full one.
        self.full_trace = False
        #: Text key of what the card reader complains of; "" while it answers.
        self.reader_fault = ""
        #: Whether the idle screen has seen the slot empty since it came up: a card in it
        #: then begins a sale, and one from before is asked out first.
        self.slot_free = False
        #: Text key of what the idle screen says of the printer, "" for nothing, and when
        #: it was asked (``aio.ticks_ms``).
        self.printer_trouble = ""
        self.printer_asked: "int | None" = None
        #: Sequence of the newest journal record of which the merchant was told: what
        #: was reversed behind his back since is told at the idle screen.
        self.told = 0
        #: Whether the idle screen names the debt before its other notices: they take
        #: turns, for only the first has room.
        self.debt_first = False
        #: Short messages by their link (app/sms_menu.py), the newest first.
        self.messages: "dict[str, list[ShortMessage]]" = {}
        #: What takes a register's payments; None until the first (app/register.py). It sets
        #: ``asked`` when one waits for the idle screen.
        self.register: "Register | None" = None
        self.asked = aio.Event()
        #: Whether one would be taken: the merchant is at nothing of his own.
        self.free = False
        #: The register's payment at work, None while the merchant is at his own; the amount
        #: that he has keyed, 0 for none yet.
        self.order: "Order | None" = None
        self.keyed = 0
        #: What serves PCs (app/pc_link.py); None where the board has no pipe to one.
        self.pc_link: "PcLink | None" = None
        #: What no code foresaw, found beside the flows: the idle screen ends with it.
        self.defect: "Exception | None" = None
        #: Hear of a device's failure (kind, error); they must not raise.
        self.failure_listeners: "list[Callable[[str, TillError], None]]" = []

    @property
    def currency(self) -> Currency:
        """The merchant's currency. NotProvisioned is refused long before."""
        assert self.provision is not None
        merchant = self.provision.merchant
        return Currency.by_number(merchant.currency)

    def amount_text(self, minor: int) -> str:
        """An amount as the screen shows it."""
        return Money(minor, self.currency).format()

    def owed_text(self, request: "dict[int, Any]") -> str:
        """The amount of a journalled request, in the currency it was asked in."""
        currency = Currency.by_number(request[records.K_CURRENCY])
        return Money(request[records.K_AMOUNT], currency).format()

    async def now(self) -> int:
        """Unix seconds, UTC. ClockError, also for a clock that was never found."""
        if self.devices.clock is None:
            raise ClockError("no clock")
        return int(await self.devices.clock.now())

    async def local_time(self) -> "tuple[int, int, int, int, int, int]":
        """(year, month, day, hour, minute, second) in the merchant's zone."""
        offset = self.provision.terminal.utc_offset if self.provision is not None else 0
        return calendar.civil(await self.now() + offset * 60)

    async def moment(self) -> "tuple[int, int, int, int, int, int] | None":
        """``local_time``, None where the clock is dead: for what must not wait for it."""
        try:
            return await self.local_time()
        except ClockError:
            return None

    async def battery_low(self) -> bool:
        """Whether too little is left to begin a payment. A gauge that does not answer
        keeps nobody from paying."""
        if self.devices.power is None:
            return False
        try:
            supply = await self.devices.power.status()
        except TillError as error:
            self.note_failure("power", error)
            return False
        return bool(supply.low(self.devices.capabilities.least_percent))

    async def keep_counters(self) -> None:
        """Journal what the counters counted. What cannot be written stops no payment:
        its own records tell what does."""
        try:
            await self.counters.keep()
        except TillError as error:
            self.note_failure("files", error)

    async def tell_end(self, code: str) -> None:
        """Journal that this life ends by itself (``Counters.end``), if that can be."""
        try:
            await self.counters.end(code)
        except TillError as error:
            print("till: journal: " + str(error), file=sys.stderr)

    async def show_result(self, screen: "Screen") -> None:
        """Show what is committed already. A panel that does not answer keeps neither
        sound nor paper back; the idle screen deals with it."""
        try:
            await self.view.show(screen)
        except DisplayError as error:
            self.note_failure("display", error)

    async def sound(self, name: str) -> None:
        """A sound, if the terminal can; a broken buzzer stops nobody."""
        if self.devices.indicators is not None:
            try:
                await self.devices.indicators.sound(name)
            except TillError as error:
                self.note_failure("indicators", error)

    async def lamps(self, *on: str) -> None:
        """Light these lamps and no other."""
        if self.devices.indicators is None:
            return
        try:
            for name in LAMPS:
                await self.devices.indicators.lamp(name, name in on)
        except TillError as error:
            self.note_failure("indicators", error)

    def begin(self) -> None:
        """The merchant begins something of his own: a register that waits is told so."""
        self.free = False
        if self.register is not None:
            self.register.turn_away()

    def tell_register(self, state: str) -> None:
        """How far a payment has come, if a register asked for it."""
        if self.order is not None:
            self.order.tell(state)

    async def settle(self, reason: str = "", outcome: str = records.OUTCOME_CANCELLED) -> None:
        """The payment at work has ended: a register that asked for it may know
        (``Order.settle``)."""
        if self.order is not None:
            await self.order.settle(reason, outcome)

    def note_end(self, task: "Task") -> None:
        """Take note of what ended a task beside the flow. A device's error meets the
        flow itself at its next use; what no code foresaw ends the terminal's life
        as soon as no payment is in flight."""
        if isinstance(task.error, Exception) and not isinstance(task.error, TillError):
            self.defect = task.error

    @property
    def may_journal(self) -> bool:
        """Whether a record that no payment needs may be kept: the journal opened whole."""
        return "error.journal_blocked" not in self.blocked and "error.storage" not in self.blocked

    def note_failure(self, kind: str, error: TillError) -> None:
        """Keep a device's latest failure for the self-test page and the PC."""
        for listener in self.failure_listeners:
            listener(kind, error)
        for result in self.results:
            if result.kind == kind:
                result.state = "fail"
                result.text_key = error.text_key
                result.detail = str(error)
