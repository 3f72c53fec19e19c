"""Payments that a register starts: one at a time, each reference charged once (docs/register.md).

The journal's fold is the truth about what ended; here stands only what is at work. The flow
itself is the merchant's own (app/sale.py): it takes the order from the idle screen.
"""

from firmware import aio
from firmware.errors import Cancelled, TillError
from firmware.link.services import BAD_ARGUMENTS, BUSY, FAILED, CallRefused
from firmware.payment.journal import records
from firmware.payment.journal.records import JournalError
from firmware.payment.journal.registered import BEGUN, DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.payment.journal.registered import Payment
    from firmware.services.link_calls import Call, Handler

#: States that an order tells; the last is FINAL.
RESERVED, CARD, PIN, ONLINE, FINAL = "reserved", "card", "pin", "online", "final"
#: Records from the request on in which the answer and the commit are found.
_NEAR = 8
#: Field 22, first two digits: how the card was read.
_ENTRIES = {"01": "keyed", "02": "stripe", "03": "qr", "05": "contact", "07": "contactless",
            "90": "stripe"}  # fmt: skip
#: (key of RESULT, key of the record) of what a request and an answer give.
_OF_REQUEST = (
    (9, records.K_PAN_MASKED), (15, records.K_LOCAL_TIME), (18, records.K_MERCHANT_ID),
    (19, records.K_TERMINAL_ID),
)  # fmt: skip
_OF_ANSWER = ((13, records.K_AUTH_CODE), (14, records.K_RRN), (16, records.K_RESPONSE))
_TAG_AID = 0x84


class Order:
    """What a register asked for, from its request until the terminal is free again.

    ``reference`` is "" for a training sale, which nothing keeps. ``sent``: a request to the
    acquirer is journalled or about to be, so nothing takes it back any more.
    """

    def __init__(
        self, register: "Register", reference: str, digest: bytes, amount: int, name: str
    ) -> None:
        self._register = register
        self.reference = reference
        self.digest = digest
        self.amount = amount
        #: Who asks, as the screen says it.
        self.name = name
        self.state = RESERVED
        self.sent = False
        #: Set when the register takes it back: whoever waits for a person then stops.
        self.aborted = aio.Event()
        #: Why no result can be told: the merchant was quicker, or the journal failed.
        self.error: "TillError | None" = None
        #: Steps of a training sale: (name, milliseconds), and how it ended.
        self.steps: "list[tuple[str, int]]" = []
        self.outcome = ("", "")
        self._news = aio.Event()
        self._settling = aio.Lock()

    @property
    def training(self) -> bool:
        """Whether no money is meant."""
        return not self.reference

    @property
    def final(self) -> bool:
        """Whether its end can be told."""
        return self.state == FINAL

    @property
    def keys(self) -> "dict[int, Any]":
        """What its records carry."""
        return {records.K_REFERENCE: self.reference, records.K_DIGEST: self.digest}

    def tell(self, state: str) -> None:
        """The flow has come to ``state``."""
        if self.state != FINAL:
            self.state = state
            self.wake()

    def step(self, name: str, took_ms: int) -> None:
        """A training sale has done a step."""
        self.steps.append((name, took_ms))
        self.wake()

    def wake(self) -> None:
        """There is news."""
        news, self._news = self._news, aio.Event()
        news.set()

    async def news(self) -> None:
        """Wait for the next news. Look before: there are no old ones."""
        await self._news.wait()

    def leave(self) -> None:
        """The request leaves now. Cancelled when the register was quicker: with it nothing is
        sent, ever."""
        if self.aborted.is_set():
            raise Cancelled("the register took it back")
        self.sent = True

    def again(self) -> None:
        """What was sent is declined and a new transaction begins (a wrong PIN)."""
        self.sent = False

    async def abort(self) -> bool:
        """Take it back, durably; False when it is too late. JournalError, FilesError: taken
        back, and nobody will know after a restart."""
        if self.sent or self.final:
            return False
        self.aborted.set()
        await self._end("register.aborted", records.OUTCOME_CANCELLED)
        if self.error is not None:
            raise self.error
        return True

    async def settle(self, reason: str = "", outcome: str = records.OUTCOME_CANCELLED) -> None:
        """It is over, by what the journal has of it; else nobody was charged and ``reason``,
        a text key, says why. Its end may be told from here on. Harmless twice."""
        if not self.training:
            await self._end(reason, outcome)

    async def _end(self, reason: str, outcome: str) -> None:
        async with self._settling:
            if self.final:
                return
            if not self.training:
                try:
                    await self._register.keep(self, reason, outcome)
                except TillError as error:
                    self.error = error
            self.tell(FINAL)


class Register:
    """The one place where a register's payment waits and is at work."""

    def __init__(self, terminal: "Any") -> None:
        self._t = terminal
        #: At work; and accepted, to be taken as soon as the idle screen is back.
        self.order: "Order | None" = None
        self.next: "Order | None" = None

    # ---- for the flow -------------------------------------------------------------

    def take(self) -> "Order | None":
        """The order to carry out now."""
        self.order, self.next = self.next, None
        self._t.asked.clear()
        return self.order

    def done(self, order: Order) -> None:
        """The terminal is free again."""
        self.order = None
        if not order.final:  # a defect, or the end of the terminal's life
            order.error = TillError("the flow ended")
            order.tell(FINAL)

    def turn_away(self) -> None:
        """The merchant was quicker: what waits is told busy."""
        order, self.next = self.next, None
        self._t.asked.clear()
        if order is not None:
            order.error = self._busy()
            order.tell(FINAL)

    async def keep(self, order: Order, reason: str, outcome: str) -> None:
        """Make durable that nobody was charged, unless the journal knows how it ended."""
        journal = self._t.journal
        one = journal.state.registered.find(order.reference)
        if one is not None and one.outcome != BEGUN and not order.aborted.is_set():
            return
        if one is not None and one.outcome == records.OUTCOME_CANCELLED:
            return
        body = order.keys
        body[records.K_AMOUNT] = order.amount
        body[records.K_CURRENCY] = self._t.currency.number
        body[records.K_OUTCOME] = outcome
        body[records.K_REASON] = reason
        await journal.append(records.UNCHARGED, body)

    # ---- for registers ------------------------------------------------------------

    def start(self, arguments: "dict[int, Any]", name: str) -> "Order | None":
        """The order to follow: a new one, or the one at work under this reference; None when
        it has ended long ago. CallRefused."""
        reference, digest, amount = arguments[1], arguments[2], arguments[3]
        if not all([" " <= letter <= "~" for letter in reference]):
            raise CallRefused(BAD_ARGUMENTS, {1: "reference is not printable ASCII"})
        order = self.find(reference)
        if order is not None:
            if order.digest != digest:
                raise CallRefused("conflict")
            return order
        kept = self._t.journal.state.registered.find(reference)
        if kept is not None:
            if kept.digest != digest[:DIGEST]:
                raise CallRefused("conflict")
            return None
        if arguments[5] != "sale":
            raise CallRefused("kind")
        self._fit(amount, arguments[4])
        return self._accept(Order(self, reference, digest, amount, arguments.get(6) or name))

    def train(self, amount: int) -> Order:
        """The order of a training sale. CallRefused."""
        self._fit(amount, None)
        return self._accept(Order(self, "", b"", amount, ""))

    def find(self, reference: str) -> "Order | None":
        """The order of that reference, if it is at work or waits."""
        for order in (self.next, self.order):
            if order is not None and reference and order.reference == reference:
                return order
        return None

    def _fit(self, amount: int, currency: "int | None") -> None:
        """As a keyed sale: nothing stands against payments, currency and amount are ours."""
        t = self._t
        if t.blocked:
            raise CallRefused(FAILED, {1: t.blocked[0], 2: ""})
        if currency is not None and currency != t.currency.number:
            raise CallRefused("currency", {1: t.currency.number})
        if amount > t.provision.terminal.largest_amount:
            raise CallRefused("amount", {1: t.provision.terminal.largest_amount})

    def _accept(self, order: Order) -> Order:
        if self.next is not None or not self._t.free:
            raise self._busy()
        self.next = order
        self._t.asked.set()
        return order

    def _busy(self) -> CallRefused:
        order = self.next or self.order
        if order is None:
            return CallRefused(BUSY, {1: "", 2: self._t.keyed})
        return CallRefused(BUSY, {1: order.reference, 2: order.amount})

    async def abort(self, reference: str) -> str:
        """The answer of sale_abort. JournalError, FilesError as Order.abort."""
        order = self.find(reference)
        if order is None:
            known = self._t.journal.state.registered.find(reference)
            return "none" if known is None else "final"
        if order.final and not order.aborted.is_set():
            return "final"
        if not order.final and not await order.abort():
            return "final" if order.final else "late"
        if order is self.next:  # nobody has begun it
            self.next = None
            self._t.asked.clear()
        return "aborted"

    async def state(self, reference: str, digest: bytes = b"") -> "dict[int, Any]":
        """The answer of sale_state; "" is the last payment. CallRefused: ``digest`` is given,
        and the reference stands for another."""
        kept = self._t.journal.state.registered.kept
        live = self.next or self.order
        if not reference and live is not None and not live.training:
            reference = live.reference
        elif not reference and kept:
            reference = kept[-1].reference
        order = self.find(reference)
        if order is not None and digest and order.digest != digest:
            raise CallRefused("conflict")
        if order is not None and not order.final:
            return {1: "progress"}
        known = self._t.journal.state.registered.find(reference)
        if known is None:
            return {1: "none"}
        if digest and known.digest != digest[:DIGEST]:
            raise CallRefused("conflict")
        return {1: "final", 2: await self.result(known)}

    async def result(self, one: "Payment") -> "dict[int, Any]":
        """RESULT of link/services.py. What only the records hold is left out where they have
        expired or cannot be read."""
        told: "dict[int, Any]" = {
            1: one.reference, 2: one.outcome, 3: one.amount, 4: one.currency, 5: one.reason,
            20: self._t.test,
        }  # fmt: skip
        if one.outcome == BEGUN:  # the power went first
            told[2], told[5] = records.OUTCOME_CANCELLED, "register.power"
        if one.stan and one.batch:
            told[7], told[8] = one.stan, one.batch
        if one.requested:
            if one.outcome in (records.OUTCOME_APPROVED, records.OUTCOME_DECLINED):
                told[6] = one.sequence
            try:
                await self._details(one, told)
            except TillError as error:
                self._t.note_failure("files", error)
        return told

    async def _details(self, one: "Payment", told: "dict[int, Any]") -> None:
        for record in await self._t.journal.read(one.requested - 1, _NEAR):
            body = record.body
            if body.get(records.K_STAN) != one.stan:
                continue
            if record.kind == records.REQUEST and record.sequence == one.requested:
                _copy(_OF_REQUEST, body, told)
                told[12] = _ENTRIES.get(body[records.K_ENTRY_MODE][:2], "contact")
                aid = body.get(records.K_EMV, {}).get(_TAG_AID, b"")
                if aid:
                    told[11] = aid.hex().upper()
            elif record.kind == records.ANSWER and 12 in told:
                _copy(_OF_ANSWER, body, told)
                if one.outcome == records.OUTCOME_DECLINED and not one.reason:
                    told[5] = "host." + body.get(records.K_RESPONSE, "")
            elif record.kind == records.COMMIT and 12 in told:
                label = body.get(records.K_RECEIPT, {}).get("label", "")
                if label:
                    told[10] = label[:24]
                told[17] = body.get(records.K_SIGNATURE, False)


def _copy(keys: "tuple[tuple[int, int], ...]", body: "dict[int, Any]", told: "Any") -> None:
    for to, key in keys:
        if key in body:
            told[to] = body[key]


class RegisterCalls:
    """The services of a register, and the training sale."""

    def __init__(self, terminal: "Any") -> None:
        self._t = terminal
        self.register = Register(terminal)

    def handlers(self) -> "dict[str, Handler]":
        """By the services' names."""
        return {
            "sale_start": self._start, "sale_state": self._state, "sale_abort": self._abort,
            "test_sale": self._train,
        }  # fmt: skip

    async def _start(self, call: "Call") -> None:
        """Begin a payment, or go on following it; ITEMs of progress, then its result."""
        reference = call.arguments[1]
        order = self.register.start(call.arguments, call.name)
        told = ""
        while order is not None and not (order.final and told == FINAL):
            if order.error is not None:
                raise order.error
            if told == order.state:
                await order.news()
            else:
                told = order.state
                await call.item({1: told})
        kept = self._t.journal.state.registered.find(reference)
        if kept is None:  # who reads so late finds later payments in its place
            raise JournalError("the result is no longer kept")
        await call.end(await self.register.result(kept))

    async def _state(self, call: "Call") -> None:
        given = call.arguments
        await call.end(await self.register.state(given[1], given.get(2, b"")))

    async def _abort(self, call: "Call") -> None:
        await call.end({1: await self.register.abort(call.arguments[1])})

    async def _train(self, call: "Call") -> None:
        """A training sale; who gives the request up ends it."""
        order = self.register.train(call.arguments[1])
        told = 0
        try:
            while not order.final or told < len(order.steps):
                if told < len(order.steps):
                    step, took_ms = order.steps[told]
                    told += 1
                    await call.item({1: step, 2: took_ms})
                else:
                    await order.news()
        finally:
            if not order.final:
                order.aborted.set()
                if order is self.register.next:
                    self.register.turn_away()
        if order.error is not None:
            raise order.error
        await call.end({1: order.outcome[0], 2: order.outcome[1]})
