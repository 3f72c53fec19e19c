"""A chip sale: amount, card, bank, result, receipt. One straight line.

What unwinds it are exceptions (Cancelled, Timeout, errors with a text for the
merchant), except in the protected section of ``_online``.
"""

from firmware import aio
from firmware.app import amount_entry, dialogs, owed, printing
from firmware.app.card_run import CardRun
from firmware.app.stages import StageScreen, during
from firmware.errors import Cancelled, TillError, Timeout
from firmware.hal.card_reader import CardError, CardMute
from firmware.payment.emv import steps
from firmware.payment.emv.config import AidConfig, Capk, TerminalConfig, Transaction
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace
from firmware.payment.host import unionpay
from firmware.payment.journal import records
from firmware.services import calendar, online, slip_data
from firmware.services.host_session import DebtStands
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal

CARD_TIMEOUT_MS = 60_000
RESULT_MS = 10_000
APPROVED_MS = 1_500
#: An unknown payment stays on the screen until somebody has seen it.
UNKNOWN_MS = 600_000
UNKNOWN_POLL_MS = 500
WRONG_PIN_MS = 3_000
REMOVE_BEEP_MS = 2_000
#: A wrong PIN starts a new transaction at most this often (rules of money, 8).
PIN_ROUNDS = 3
WRONG_PIN = "55"


#: What the card's end means to the merchant: by the kernel's reason, else its kind.
_BY_REASON = {
    "card_removed": "sale.torn",
    "reader": "sale.reader",
    "no_atr": "error.card_mute",
    "card_blocked": "sale.card_blocked",
    "application_blocked": "sale.app_blocked",
    "no_application": "sale.no_app",
}
_BY_KIND = {
    "declined": "sale.declined_offline",
    "terminated": "error.card_data",
    "fallback": "sale.fallback",
    "blocked_card": "sale.card_blocked",
    "not_accepted": "sale.no_app",
    "try_again": "sale.torn",
}


#: Ends at which neither card nor bank refused: the payment never came about.
_BROKEN_OFF = ("terminated", "fallback", "try_again")


class Unresolved(TillError):
    """A reversal is due and not acknowledged: nobody knows whether the customer
    was charged. Carries what the screen says now and once it is reversed."""

    text_key = "idle.reversal_owed"

    def __init__(self, stan: int, amount_text: str, code: str, text_key: str) -> None:
        super().__init__("STAN " + str(stan) + " is not resolved")
        self.stan = stan
        self.amount_text = amount_text
        self.code = code
        self.text_key = text_key
        #: (kind, reason) of the result screen once the reversal is acknowledged.
        self.then = ("reversed", "unknown.reversed")


class NotReady(TillError):
    """Something stands against taking payments; ``text_key`` says what."""

    def __init__(self, text_key: str) -> None:
        super().__init__(text_key)
        self.text_key = text_key


async def run(t: "Terminal", first_key: str, slot_free: bool) -> None:
    """One sale from the first digit or the card, or of ``Terminal.order``, to the idle
    screen.

    ``slot_free``: a card in the slot now was put in for this sale; any other is
    asked out first.
    """
    if t.blocked:
        await t.settle(t.blocked[0])
        raise NotReady(t.blocked[0])
    session = t.session
    assert session is not None
    try:
        first_key = await _debt_first(t, first_key)
        await _charged(t)
        if not slot_free and await old_card_out(t):
            first_key = ""  # the amount is begun anew
        amount = t.order.amount if t.order is not None else await amount_entry.run(t, first_key)
        if not amount:  # a register's payment goes before: the card is for that
            t.slot_free = slot_free
            return
        await t.lamps("busy")
        async with session.lock:
            await _prepare(t, t.amount_text(amount))
            await _rounds(t, amount)
    except (Cancelled, Timeout) as given_up:  # the screens said so; the merchant knows
        await t.settle(given_up.text_key)
    except Unresolved as unresolved:  # the lock is free: the reversal is retried meanwhile
        await t.settle()
        await _hold(t, unresolved)
    except TillError as error:
        await t.settle(error.text_key)
        if t.order is None or not t.order.aborted.is_set():  # else nobody waits for a reason
            await dialogs.failure(t, error)
    await t.settle("error.cancelled")  # a card that left between two PINs
    # Not in a ``finally``: whoever cancels this task must not wait for a hand.
    await end(t)
    await t.lamps("ready")


async def end(t: "Terminal") -> None:
    """Card without power and out; keys pressed meanwhile start nothing."""
    try:
        await t.devices.card_reader.power_off()
        await _card_out(t)
    except CardError as error:
        t.note_failure("card_reader", error)
    t.devices.keypad.flush()


async def _hold(t: "Terminal", unresolved: Unresolved) -> None:
    """Show *unknown* until somebody has seen it or the background task's
    reversal is acknowledged; then say that (rules of money, 4)."""
    assert t.session is not None
    journal = t.session.journal
    amount_text, code = unresolved.amount_text, unresolved.code
    await t.view.show(screens.result("unknown", unresolved.text_key, {}, amount_text, code))
    t.devices.keypad.flush()
    started = aio.ticks_ms()
    while aio.elapsed_ms(started) < UNKNOWN_MS:
        debt = journal.state.debt
        if debt is None or debt.stan != unresolved.stan:
            kind, key = unresolved.then
            await _finish(t, kind, key, amount_text, code if kind == "declined" else "")
            await owed.reversed_in_sale(t, unresolved.stan)
            return
        name, pressed = await aio.first(
            ("key", t.devices.keypad.read()), timeout_ms=UNKNOWN_POLL_MS
        )
        if name == "key" and pressed in ("enter", "cancel", "clear"):
            return


async def _debt_first(t: "Terminal", first_key: str) -> str:
    """Reverse what is owed, its amount in view, and tell it. The key that the amount
    begins with: after such a wait only one that was pressed on what was told.

    A sale begun with a digit is begun anew: while its other digits may still be
    coming none of them begins an amount, else 12.34 would become 2.34.
    """
    session = t.session
    assert session is not None
    debt, heard = session.journal.state.debt, t.told
    if debt is not None:

        async def paid() -> None:
            async with session.lock:  # the background task may be at it
                await session.pay_debt()

        await during(t, t.owed_text(debt.request), "sale.stage.reversing", paid())
    pressed = await owed.tell_reversals(t, RESULT_MS, digits=not first_key)
    if debt is None and t.told == heard:
        return first_key
    return pressed if dialogs.begins_amount(pressed) else ""


async def _prepare(t: "Terminal", amount_text: str) -> None:
    """What must go before a payment: the keys, the scripts."""
    assert t.session is not None
    whole = "" if t.session.signed_in else "sale.stage.signing_in"
    await during(t, amount_text, whole, t.session.prepare())


async def _rounds(t: "Terminal", amount: int) -> None:
    """The transaction, and a new one after a wrong online PIN."""
    assert t.session is not None
    for attempt in range(PIN_ROUNDS):
        code = await _transaction(t, amount, attempt)
        if code in unionpay.SIGN_IN_AGAIN:
            if t.session.signed_in_by_itself:
                # A second refusal in a row is shown, not looped; new keys do not help.
                await dialogs.message(t, "network.failed", {"code": code})
                return
            t.session.signed_in_by_itself = True
            await during(t, t.amount_text(amount), "sale.stage.signing_in", t.session.sign_in())
            await dialogs.message(t, "sign_in.again")
            return
        t.session.signed_in_by_itself = False
        if code != WRONG_PIN or attempt == PIN_ROUNDS - 1:
            return
        if not await t.devices.card_reader.present():
            return
        if t.order is not None:
            t.order.again()
        await t.session.prepare()


async def _transaction(t: "Terminal", amount: int, attempt: int) -> str:
    """One card, one cryptogram. Returns field 39, "" without an answer.

    ``attempt``: 0, or how many wrong online PINs went before.
    """
    session = t.session
    assert session is not None
    amount_text = t.amount_text(amount)
    await _charged(t)
    await card_in(t, amount_text)
    moment = await t.local_time()
    sale = await _new_sale(t, amount, moment)
    try:
        channel = await t.devices.card_reader.power_on()
    except CardMute:
        # No answer to reset: the same end as a chip whose every answer is nonsense.
        await _ended_offline(t, sale, steps.Outcome("fallback", "no_atr"))
        return ""
    await t.view.show(screens.progress("sale.stage.card"))
    kernel = Kernel(
        terminal_config(t), _emv_transaction(t, sale), t.devices.entropy.random, await _trace(t)
    )
    card = CardRun(t, kernel, channel, amount_text, retry=attempt > 0)
    try:
        step = await card.until_online()
        if isinstance(step, steps.GoOnline) and online.unfit(step.tags):
            # Nothing leaves; the card is told so and gives its AAC.
            step = await card.finish(card.resume(steps.Unable(False)))
            step.kind, step.reason = "terminated", "card_data"
        if isinstance(step, steps.Outcome):
            await _ended_offline(t, sale, step)
            return ""
        return await _online(t, sale, card, step, attempt)
    finally:
        card.drop_pin()


async def _trace(t: "Terminal") -> Trace:
    """The kernel's account of itself, for a debug link that asked for one. A full
    one only while every key is a test key (rules of money, 16)."""
    if t.on_trace is None:
        return Trace(limit=0)
    full = t.full_trace
    if full:
        slots = await t.devices.vault.status()
        full = all([slot.test for slot in slots.values()])
    return Trace(full, tell=t.on_trace)


async def _new_sale(
    t: "Terminal", amount: int, moment: "tuple[int, int, int, int, int, int]"
) -> online.Sale:
    session = t.session
    assert session is not None
    await t.keep_counters()
    currency = t.currency
    body: "dict[int, Any]" = {
        records.K_BATCH: session.batch,
        records.K_AMOUNT: amount,
        records.K_CURRENCY: currency.number,
        records.K_EXPONENT: currency.exponent,
        records.K_LOCAL_TIME: calendar.stamp(moment),
    }
    if t.order is not None:
        body.update(t.order.keys)
    stan = await session.next_stan("sale", body)
    sale = online.Sale(stan, session.batch, amount, currency.number, currency.exponent, moment)
    sale.order = t.order
    return sale


async def _charged(t: "Terminal") -> None:
    """NotReady where the battery might not last until the answer; what is owed is
    reversed and printed all the same."""
    if await t.battery_low():
        raise NotReady("error.battery_low")


async def old_card_out(t: "Terminal") -> bool:
    """Ask for a card from before this sale; whether there was one. Cancelled by the
    key, Timeout after a minute."""
    reader = t.devices.card_reader
    if not await reader.present():
        return False
    await t.view.show(screens.remove_card())
    started = aio.ticks_ms()
    while aio.elapsed_ms(started) < CARD_TIMEOUT_MS:
        await t.sound("remove")
        name, value = await dialogs.first(
            t,
            ("key", t.devices.keypad.read()),
            ("out", reader.wait_removed()),
            timeout_ms=REMOVE_BEEP_MS,
        )
        if name == "out":
            return True
        if value == "cancel":
            raise Cancelled("a card from before")
    raise Timeout("the card stays")


async def card_in(t: "Terminal", amount_text: str) -> None:
    """Wait for the card. Cancelled by the key, Timeout after a minute."""
    reader = t.devices.card_reader
    t.tell_register("card")
    if await reader.present():
        return
    who, training = "", False
    if t.order is not None:
        who, training = t.order.name, t.order.training
    await t.view.show(screens.present_card(amount_text, who=who, training=training))
    await t.sound("card")
    while True:
        name, value = await dialogs.first(
            t,
            ("key", t.devices.keypad.read()),  # first: a press is consumed, a card stays
            ("card", reader.wait_present()),
            timeout_ms=CARD_TIMEOUT_MS,
        )
        if name == "card":
            return
        if name == "timeout":
            raise Timeout("no card")
        if value == "cancel":
            raise Cancelled("card prompt")


def terminal_config(t: "Terminal") -> TerminalConfig:
    """The kernel's configuration, from the provisioning bundle alone."""
    assert t.provision is not None
    merchant, terminal = t.provision.merchant, t.provision.terminal
    aids = []
    for aid in t.provision.aids:
        aids.append(
            AidConfig(
                aid.aid, aid.partial, aid.tac_default, aid.tac_online, aid.tac_denial,
                aid.floor_limit, aid.threshold, aid.target_percentage, aid.max_target_percentage,
                aid.default_ddol, aid.default_tdol, aid.version, aid.name,
            )
        )  # fmt: skip
    capks = []
    for key in t.provision.capks:
        capks.append(Capk(key.rid, key.index, key.modulus, key.exponent, key.sha1, key.expiry))
    return TerminalConfig(
        aids,
        capks,
        [(entry[0], entry[1], entry[2]) for entry in t.provision.revoked],
        terminal.terminal_type,
        terminal.capabilities,
        terminal.additional_capabilities,
        merchant.country,
        str(t.board["serial"])[-8:],
        merchant.terminal_id,
        merchant.merchant_id,
        merchant.category,
        merchant.name,
        pin_bypass=terminal.pin_bypass,
        online_only=True,
    )


def _emv_transaction(t: "Terminal", sale: online.Sale) -> Transaction:
    stamp = calendar.stamp(sale.moment)
    return Transaction(
        sale.amount,
        sale.currency,
        sale.exponent,
        date=bytes.fromhex(stamp[2:8]),
        time=bytes.fromhex(stamp[8:14]),
        sequence=sale.stan,
    )


async def _online(
    t: "Terminal", sale: online.Sale, card: CardRun, step: "steps.GoOnline", attempt: int
) -> str:
    """From the journalled request to the committed result: nothing cancels this."""
    session = t.session
    assert session is not None
    provision = session.provision
    amount_text = t.amount_text(sale.amount)

    async def section() -> "tuple[online.Result, online.Authorisation, Any, dict[str, Any]]":
        authorisation = await online.authorise(session, t.devices.vault, sale, step.tags, step.pin)
        card.drop_pin()
        outcome = await card.finish(card.resume(authorisation.for_card))
        result = online.judge(authorisation, outcome)
        receipt = slip_data.receipt(provision, t.board, sale, authorisation, outcome, result)
        await online.commit(session, sale, result, outcome, receipt)
        return result, authorisation, outcome, receipt

    t.tell_register("online")
    stages = StageScreen(t, amount_text)
    try:
        result, authorisation, outcome, receipt = await aio.protected(section())
    except TillError:
        if not sale.requested:
            raise  # nothing was sent
        # The journal failed between request and commit: the request may be booked.
        raise Unresolved(sale.stan, amount_text, "", _unknown(t)) from None
    finally:
        await stages.stop()
    if (
        result.outcome == records.OUTCOME_DECLINED
        and authorisation.code == WRONG_PIN
        and attempt < PIN_ROUNDS - 1
    ):
        await t.sound("error")
        await t.view.show(screens.result("declined", "host.55", {}, amount_text, WRONG_PIN))
        await dialogs.acknowledge(t, WRONG_PIN_MS)
    else:
        await _show_result(t, sale, result, authorisation, outcome, receipt)
    return authorisation.code


async def _show_result(
    t: "Terminal",
    sale: online.Sale,
    result: online.Result,
    authorisation: online.Authorisation,
    outcome: "Any",
    receipt: "dict[str, Any]",
) -> None:
    amount_text = t.amount_text(sale.amount)
    if result.outcome == "not_sent":
        await t.settle(authorisation.error.text_key)
        await _finish(t, "cancelled", authorisation.error.text_key, amount_text, "")
        return
    if result.outcome != records.OUTCOME_REVERSE:
        await t.settle()
    if result.outcome == records.OUTCOME_APPROVED:
        key = "result.signature" if outcome.signature else ""
        await _finish(t, "approved", key, amount_text, receipt["auth_code"])
        await printing.sale_slips(t, sale.stan, receipt)
        return
    if result.outcome == records.OUTCOME_DECLINED:
        key = "host." + authorisation.code
        await _finish(t, "declined", key, amount_text, authorisation.code)
        await printing.slip(t, "declined", receipt)
        return
    await _reversed(t, sale, authorisation, outcome, receipt)


async def _reversed(
    t: "Terminal",
    sale: online.Sale,
    authorisation: online.Authorisation,
    outcome: "Any",
    receipt: "dict[str, Any]",
) -> None:
    """Unknown, or refused by the card: say so, then reverse (rules of money, 4).
    Unresolved when the acquirer does not acknowledge it now."""
    session = t.session
    assert session is not None
    amount_text = t.amount_text(sale.amount)
    if authorisation.verdict is not None and authorisation.verdict.kind == "declined":
        then = ("declined", "host." + authorisation.code)
    else:
        then = ("reversed", _why_reversed(authorisation, outcome))
    await t.lamps("error")
    await t.sound("error")
    await t.show_result(
        screens.result("unknown", "unknown.hold", {}, amount_text, authorisation.code)
    )
    stages = StageScreen(t, amount_text, "sale.stage.reversing")
    try:
        await session.pay_debt()
    except TillError as error:
        await stages.stop()
        await t.settle()
        await t.sound("error")
        await printing.slip(t, "unknown", receipt)
        told = isinstance(error, DebtStands) or bool(t.journal.broken)
        key = _unknown(t) if told else error.text_key
        unresolved = Unresolved(sale.stan, amount_text, authorisation.code, key)
        unresolved.then = then
        raise unresolved from None
    finally:
        await stages.stop()
    await t.settle()
    code = authorisation.code if then[0] == "declined" else ""
    await _finish(t, then[0], then[1], amount_text, code)
    await owed.reversed_in_sale(t, sale.stan)


def _unknown(t: "Terminal") -> str:
    """Text key for an outcome that the journal holds open: a broken one is read
    back by the next start, which also reverses."""
    return "unknown.restart" if t.journal.broken else "unknown.hold"


def _why_reversed(authorisation: online.Authorisation, outcome: "Any") -> str:
    """Text key of what made a reversal due."""
    if authorisation.verdict is None:
        return "unknown.reversed"
    if authorisation.verdict.kind == "unusable":
        return "sale.host_mac"
    if outcome.reason == "card_removed":
        return "sale.torn"
    return "sale.card_refused"


async def _ended_offline(t: "Terminal", sale: online.Sale, outcome: "steps.Outcome") -> None:
    """The card ended it before the acquirer was asked: nobody was charged.

    An outcome of the kind "fallback" is the signal for a stripe: the chip cannot
    be used, by its reset (``no_atr``) or by what it said. Nothing takes it yet.
    """
    session = t.session
    assert session is not None
    if outcome.kind == "cancelled":
        raise Cancelled(outcome.reason)
    await session.journal.append(
        records.NOTICE,
        {
            records.K_CODE: "not_online",
            records.K_DETAIL: outcome.kind + ": " + outcome.reason,
            records.K_STAN: sale.stan,
        },
        sync=False,
    )
    # A TC without host approval is never shown as approved (rules of money, 9).
    kind = "declined" if outcome.kind == "approved" else outcome.kind
    key = _BY_REASON.get(outcome.reason, _BY_KIND[kind])
    shown = "cancelled" if kind in _BROKEN_OFF else "declined"
    await t.settle(key, shown)
    await _finish(t, shown, key, t.amount_text(sale.amount), "")


async def _finish(t: "Terminal", kind: str, key: str, amount_text: str, code: str) -> None:
    await t.lamps("ok" if kind == "approved" else "error")
    await t.sound("ok" if kind == "approved" else "error")
    await t.show_result(screens.result(kind, key, {}, amount_text, code))
    if kind == "approved":
        await aio.sleep_ms(APPROVED_MS)  # then the printing screen takes over
    else:
        await dialogs.acknowledge(t, RESULT_MS)


async def _card_out(t: "Terminal") -> None:
    """Ask for the card back, with a beep now and then, for as long as it is in."""
    reader = t.devices.card_reader
    if not await reader.present():
        return
    await t.view.show(screens.remove_card())
    while True:
        await t.sound("remove")
        name, _ = await aio.first(("out", reader.wait_removed()), timeout_ms=REMOVE_BEEP_MS)
        if name == "out":
            return
