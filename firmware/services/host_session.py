"""What stands between the terminal and its acquirer: keys, debts, time.

Order rules (rules of money 4, 5, 7, 10): a reversal owed goes before
anything that moves money, script results before the next payment, sign-in and
echo may go before both. One exchange at a time; the background task that
retries reversals and the flows share one lock.
"""

from firmware import aio, cbor
from firmware.errors import TillError
from firmware.hal.clock import ClockError
from firmware.hal.network import TlsConfig
from firmware.hal.vault import KeyMissing, VaultError
from firmware.payment.host import messages, unionpay, verdicts
from firmware.payment.host.exchange import Answer, HostExchange, HostParams, NotSent
from firmware.payment.host.format_error import Iso8583Error
from firmware.payment.host.subfields import split_60
from firmware.payment.journal import records
from firmware.payment.journal.fold import MAX_PRINTS
from firmware.services import calendar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.payment.host.iso8583 import Message
    from firmware.payment.journal.fold import ScriptOwed
    from firmware.payment.journal.journal import Journal
    from firmware.services.provision import Provision

#: Host time may move the clock by this much at most (rules of money, 20).
MOST_CLOCK_STEP_S = 86_400
#: Smaller differences are left alone: the host's second is not ours.
LEAST_CLOCK_STEP_S = 2
OPERATOR = "01 "
#: With so many slips owed no payment begins: the journal owes eight more at most,
#: and this payment, its reversal and a supervisor's acts each add one.
MOST_PRINTS_OWED = MAX_PRINTS - 8
#: Back-off between reversal attempts in the background, milliseconds.
FIRST_RETRY_MS = 5_000
LAST_RETRY_MS = 300_000


class HostRefused(TillError):
    """The acquirer refused a sign-in; ``detail`` names its code."""

    text_key = "network.failed"

    def __init__(self, code: str) -> None:
        super().__init__("the acquirer refused the sign-in with code " + code)
        self.code = code


class HostSilent(TillError):
    """The acquirer gave no usable answer to a message that moves no money."""

    text_key = "error.network_host"


class ScriptsRefused(TillError):
    """The acquirer does not take script results that are owed; ``code``: its field 39."""

    text_key = "error.scripts_refused"

    def __init__(self, stan: int, code: str) -> None:
        super().__init__("script results of " + str(stan) + " refused with code " + code)
        self.code = code


class DebtStands(TillError):
    """A reversal is owed and the acquirer has not acknowledged it yet."""

    text_key = "idle.reversal_owed"


class PrintsOwed(TillError):
    """So many slips are not printed that the next one would be forgotten."""

    text_key = "error.prints_owed"


class HostSession:
    """One merchant's session with one acquirer."""

    def __init__(self, devices: "Any", journal: "Journal", provision: "Provision") -> None:
        self._devices = devices
        self.journal = journal
        self.provision = provision
        host = provision.host
        self.exchange = HostExchange(
            devices.network,
            self._tls,
            devices.vault,
            HostParams(
                host.host, host.port, host.tpdu, host.header, unionpay.codec(),
                host.mac_algorithm, host.timeout_ms,
            ),
        )  # fmt: skip
        #: Held by a flow or by the background task, never by both.
        self.lock = aio.Lock()
        #: Whether the background task is at the acquirer with a reversal; ``changed``
        #: is set whenever that begins or ends, for whoever shows it.
        self.reversing = False
        self.changed = aio.Event()
        #: Told what is going on, as a text key; the screen shows it.
        self.on_stage: "Callable[[str], None] | None" = None
        #: A second refusal in a row is shown, not looped (rules of money, 7).
        self.signed_in_by_itself = False

    # ---- what every message needs -------------------------------------------------

    async def _tls(self) -> TlsConfig:
        host, client = self.provision.host, self.provision.client
        passphrase = await self._devices.vault.tls_passphrase()
        return TlsConfig(host.trust, host.server_name, client.chain, client.key, passphrase)

    def _stage(self, text_key: str) -> None:
        if self.on_stage is not None:
            self.on_stage(text_key)

    async def next_stan(self, kind: str, extra: "dict[int, Any] | None" = None) -> int:
        """Take the next STAN by journalling the intent to use it.

        A sale's REQUEST record makes it durable before a byte leaves; the other
        messages have none, and a number that was used must survive a power cut.
        """
        stan = self.journal.state.stan
        body: "dict[int, Any]" = {records.K_STAN: stan, records.K_TYPE: kind}
        if extra:
            body.update(extra)
        await self.journal.append(records.INTENT, body, sync=kind != "sale")
        return stan

    @property
    def batch(self) -> int:
        """The open batch; 1 before the first sign-in."""
        return self.journal.state.batch

    @property
    def signed_in(self) -> bool:
        """Whether working keys are installed and journalled."""
        return self.journal.state.signed_in

    async def agree_on_keys(self) -> None:
        """At boot: the vault says which key set it holds; a set that was not
        journalled, or a journalled one that is gone, means: sign in again."""
        held = await self._devices.vault.key_set()
        if self.signed_in and held == self.journal.state.key_set:
            return
        if held:
            await self._devices.vault.forget_working_keys()
        if self.signed_in:
            await self.journal.append(records.SIGNED_OUT, {})

    # ---- management messages ------------------------------------------------------

    async def sign_in(self) -> None:
        """Fetch working keys. HostRefused, HostSilent, KeyRefused."""
        self._stage("sale.stage.signing_in")
        merchant = self.provision.merchant
        stan = await self.next_stan("sign_in")
        request = messages.sign_in(
            stan, self.batch, merchant.terminal_id, merchant.merchant_id,
            self.provision.host.key_scheme, OPERATOR,
        )  # fmt: skip
        answer = self._usable(await self.exchange.exchange(request, mac=False))
        code = answer.text(39)
        if code != "00":
            raise HostRefused(code)
        keys = answer.fields.get(62)
        if not isinstance(keys, bytes):
            raise HostSilent("the sign-in answer has no keys in field 62")
        batch = self._given_batch(answer)
        key_set = self.journal.state.key_set % 0x7FFFFFFE + 1
        await self._devices.vault.install_working_keys(keys, key_set)
        await self._append_timed(
            records.SIGNED_IN,
            {records.K_KEY_SET: key_set, records.K_BATCH: batch, records.K_STAN: stan},
        )
        try:
            await self._adjust_clock(answer)
        except ClockError:  # said on the idle screen; keys and debts need no clock
            return

    async def _append_timed(self, kind: int, body: "dict[int, Any]", sync: bool = True) -> None:
        """Append with the time, or without it where the clock is dead: no clock
        keeps a reversal back."""
        try:
            if self._devices.clock is not None:
                body[records.K_TIME] = await self._devices.clock.now()
        except ClockError:
            pass
        await self.journal.append(kind, body, sync=sync)

    def _given_batch(self, answer: "Message") -> int:
        """60.2 of the answer, ours where the host gives none. HostSilent."""
        if 60 not in answer.fields:
            return self.batch
        try:
            given = split_60(answer.text(60)).get("60.2", "")
        except Iso8583Error as error:
            raise HostSilent("the sign-in answer: " + str(error)) from None
        return int(given) if given.isdigit() and int(given) > 0 else self.batch

    async def sign_out(self) -> None:
        """Tell the acquirer, then forget the working keys. HostSilent."""
        merchant = self.provision.merchant
        stan = await self.next_stan("sign_out")
        request = messages.sign_out(stan, self.batch, merchant.terminal_id, merchant.merchant_id)
        self._usable(await self.exchange.exchange(request, mac=False))
        await self._devices.vault.forget_working_keys()
        await self.journal.append(records.SIGNED_OUT, {records.K_STAN: stan})

    async def echo(self) -> "tuple[int, int | None]":
        """Ask whether the acquirer answers: (milliseconds from connecting to the answer,
        seconds that its clock is ahead of ours, None if it or ours did not say)."""
        merchant = self.provision.merchant
        stan = await self.next_stan("echo")
        started = aio.ticks_ms()
        request = messages.echo(stan, self.batch, merchant.terminal_id, merchant.merchant_id)
        answer = self._usable(await self.exchange.exchange(request, mac=False))
        took = aio.elapsed_ms(started)
        try:
            return took, await self._clock_step(answer)
        except ClockError:
            return took, None

    def _usable(self, outcome: "Any") -> "Message":
        """The answer's message; HostSilent (or the network's own error) otherwise."""
        if isinstance(outcome, NotSent):
            raise outcome.error
        if not isinstance(outcome, Answer):
            raise HostSilent(outcome.reason + ": " + outcome.detail)
        if outcome.mismatch is not None:
            raise HostSilent("the answer does not match: " + outcome.mismatch)
        if outcome.mac_state == "bad":
            raise HostSilent("the answer's MAC is wrong")
        return outcome.message

    async def _clock_step(self, answer: "Message") -> "int | None":
        """Seconds that the host's date and time are ahead of our clock, the year being
        ours; None where one of them is missing."""
        time, date = answer.fields.get(12), answer.fields.get(13)
        if not isinstance(time, str) or not isinstance(date, str) or self._devices.clock is None:
            return None
        now = int(await self._devices.clock.now())
        offset = self.provision.terminal.utc_offset * 60
        theirs = calendar.nearest(date, time, now + offset)
        return None if theirs is None else theirs - offset - now

    async def _adjust_clock(self, answer: "Message") -> None:
        """Take the host's date and time within a day of ours."""
        step = await self._clock_step(answer)
        if step is None or abs(step) < LEAST_CLOCK_STEP_S:
            return
        now = await self._devices.clock.now()
        if abs(step) > MOST_CLOCK_STEP_S:
            stamp = answer.text(13) + answer.text(12)
            detail = "host time " + stamp + " is more than a day away"
            body = {records.K_CODE: "host_time", records.K_DETAIL: detail}
            await self.journal.append(records.NOTICE, body, sync=False)
            return
        await self._devices.clock.set(now + step)
        await self.journal.append(
            records.CLOCK,
            {records.K_OLD: now, records.K_NEW: now + step, records.K_SOURCE: "host"},
            sync=False,
        )

    # ---- debts --------------------------------------------------------------------

    @property
    def prints_full(self) -> bool:
        """Whether the next slip might push an owed one out."""
        printing = self._devices.printer is not None
        return printing and len(self.journal.state.print_owed) >= MOST_PRINTS_OWED

    async def prepare(self) -> None:
        """Everything that goes before a payment. DebtStands, HostRefused,
        HostSilent, ScriptsRefused, NetworkError, PrintsOwed, StorageFull."""
        if self.prints_full:
            raise PrintsOwed(str(MOST_PRINTS_OWED) + " slips are not printed")
        await self.journal.reserve()
        if not self.signed_in:
            await self.sign_in()
        await self.pay_debt()
        await self.send_scripts()

    async def pay_debt(self) -> None:
        """Reverse what is owed, once. DebtStands when that did not end it."""
        debt = self.journal.state.debt
        if debt is None:
            return
        if not self.signed_in:
            await self.sign_in()
        self._stage("sale.stage.reversing")
        if await self._reverse(debt) == verdicts.SIGN_IN:
            await self.sign_in()
            await self._reverse(debt)
        if self.journal.state.debt is not None:
            raise DebtStands("reversal of " + str(debt.stan) + " is not acknowledged")

    async def _reverse(self, debt: "Any") -> str:
        """One 0400. Returns a verdict of ``verdicts.advice``."""
        body = debt.request
        answer = debt.answer or {}
        attempt = debt.attempts + 1
        pan, expiry = await self._card_of(body)
        terminal_id, merchant_id = self.provision.merchant.ids_of(body)
        request = messages.reversal(
            stan=debt.stan,
            batch=body[records.K_BATCH],
            amount=body[records.K_AMOUNT],
            currency=body[records.K_CURRENCY],
            terminal_id=terminal_id,
            merchant_id=merchant_id,
            reason=debt.reason,
            processing=body[records.K_PROCESSING_CODE],
            entry=body[records.K_ENTRY_MODE],
            condition=body[records.K_CONDITION],
            kind=body[records.K_MESSAGE_TYPE],
            pan=pan,
            expiry=expiry,
            csn=int(body[records.K_CSN]) if records.K_CSN in body else None,
            auth_code=answer.get(records.K_AUTH_CODE, ""),
            emv=body.get(records.K_EMV),
            script_results=debt.scripts,
            original_date=answer.get(records.K_HOST_DATE, body[records.K_LOCAL_TIME][-10:-6]),
        )

        async def note() -> None:
            await self._append_timed(
                records.REVERSAL_SENT,
                {
                    records.K_STAN: debt.stan,
                    records.K_ATTEMPT: attempt,
                    records.K_REASON: debt.reason,
                },
                sync=False,
            )

        outcome = await self.exchange.exchange(request, mac=True, before_first_byte=note)
        if not isinstance(outcome, Answer):
            return verdicts.RETRY
        verdict = verdicts.advice(outcome)
        code = outcome.message.text(39)
        if code == unionpay.NOT_FOUND and records.K_TERMINAL_ID not in body:
            return verdicts.RETRY  # not found, perhaps because the ids are not the request's
        if verdict == verdicts.DONE:
            await self._append_timed(
                records.REVERSED,
                {
                    records.K_STAN: debt.stan,
                    records.K_CODE: code,
                    records.K_RECEIPT: self._reversal_receipt(debt),
                },
            )
        return verdict

    def _reversal_receipt(self, debt: "Any") -> "dict[str, Any]":
        """What the slip says: the commit's words, or what the request alone tells."""
        state = self.journal.state
        if state.last_receipt is not None and state.last_receipt_sequence > debt.sequence:
            receipt: "dict[str, Any]" = state.last_receipt[records.K_RECEIPT]
            return receipt
        from firmware.services import slip_data  # a reversal is rare, its module need not wait

        return slip_data.reversal(self.provision, self._devices.capabilities.emulated, debt)

    async def _card_of(self, body: "dict[int, Any]") -> "tuple[str, str]":
        """(PAN, expiry YYMM) of a journalled request; empty when the batch key died."""
        sealed = body.get(records.K_PAN_SEALED)
        if sealed is None:
            return "", ""
        try:
            opened = cbor.decode(await self._devices.vault.unseal("batch", sealed))
        except (KeyMissing, VaultError):
            return "", ""
        if not isinstance(opened, list) or len(opened) != 2:
            return "", ""
        return str(opened[0]), str(opened[1])

    async def send_scripts(self) -> None:
        """Report issuer script results that are owed. What is raised keeps them
        owed: ScriptsRefused, HostSilent, NetworkError, HostRefused."""
        for owed in list(self.journal.state.scripts_owed):
            self._stage("sale.stage.script")
            answer = await self._send_script(owed)
            if verdicts.advice(answer) == verdicts.SIGN_IN:
                await self.sign_in()
                answer = await self._send_script(owed)
            code = answer.message.text(39)
            if verdicts.advice(answer) != verdicts.DONE:
                if answer.mismatch is not None or answer.mac_state == "bad":
                    raise HostSilent("the answer about " + str(owed.stan) + " is not to be trusted")
                raise ScriptsRefused(owed.stan, code)
            await self.journal.append(
                records.SCRIPT_DONE, {records.K_STAN: owed.stan, records.K_CODE: code}
            )

    async def _send_script(self, owed: "ScriptOwed") -> Answer:
        """One 0620. HostSilent without an answer, NetworkError when none was sent."""
        body = owed.request
        answer = owed.answer or {}
        pan, _ = await self._card_of(body)
        terminal_id, merchant_id = self.provision.merchant.ids_of(body)
        stan = await self.next_stan("script")
        request = messages.script_result(
            stan=stan,
            batch=self.batch,
            amount=body[records.K_AMOUNT],
            currency=body[records.K_CURRENCY],
            terminal_id=terminal_id,
            merchant_id=merchant_id,
            processing=body[records.K_PROCESSING_CODE],
            entry=body[records.K_ENTRY_MODE],
            condition=body[records.K_CONDITION],
            original_batch=body[records.K_BATCH],
            original_stan=owed.stan,
            script_results=owed.results,
            emv=body.get(records.K_EMV) or {},
            original_date=answer.get(records.K_HOST_DATE, ""),
            pan=pan,
            csn=int(body[records.K_CSN]) if records.K_CSN in body else None,
            rrn=answer.get(records.K_RRN, ""),
            auth_code=answer.get(records.K_AUTH_CODE, ""),
        )
        outcome = await self.exchange.exchange(request, mac=True)
        if isinstance(outcome, NotSent):
            raise outcome.error
        if not isinstance(outcome, Answer):
            raise HostSilent("the script result of " + str(owed.stan) + " is not acknowledged")
        return outcome

    async def retry_debts(self) -> None:
        """Background task: reverse what is owed at once, then repeat it with
        back-off, for ever. A debt read from a damaged journal may be none: it
        waits until a supervisor has confirmed (rules of money, 18)."""
        wait = 0
        while True:
            await aio.sleep_ms(wait)
            if self.journal.state.debt is None or self.journal.trading != "ok":
                wait = FIRST_RETRY_MS
                continue
            async with self.lock:
                paid = await self._paid()
            wait = FIRST_RETRY_MS if paid else min(max(wait * 2, FIRST_RETRY_MS), LAST_RETRY_MS)

    async def _paid(self) -> bool:
        """One attempt of the background task; whether no debt is left."""
        if self.journal.state.debt is None:  # a flow was quicker
            return True
        self.reversing = True
        self.changed.set()
        try:
            await self.pay_debt()
        except TillError:  # still owed; the idle screen says so
            return False
        finally:
            self.reversing = False
            self.changed.set()
        return True
