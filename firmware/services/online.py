"""One financial request to the acquirer, in the journal's order.

Rules of money 1 to 3: intent with STAN, request (synced: the debt stands),
first byte, answer (synced), second GENERATE AC, commit (synced: the debt
ends). The caller runs ``authorise`` and ``commit`` inside ``aio.protected``.
"""

from firmware import cbor
from firmware.payment.emv import tlv
from firmware.payment.emv.steps import HostAnswer, Unable
from firmware.payment.host import messages, verdicts
from firmware.payment.host.exchange import Answer, NotSent
from firmware.payment.host.unionpay import REASON_FAULT, REASON_NO_ANSWER, REASON_OTHER
from firmware.payment.journal import records
from firmware.services import calendar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal.pin_entry import PinHandle
    from firmware.payment.emv.steps import Outcome
    from firmware.payment.host.iso8583 import Message
    from firmware.services.host_session import HostSession
    from firmware.services.register import Order

#: What a reversal or a script result is rebuilt from (rules of money, 5).
KEPT_TAGS = (
    0x95, 0x9F1E, 0x9F10, 0x9F36, 0x9F26, 0x9F27, 0x9F33, 0x9F37, 0x82, 0x84, 0x9F1A, 0x9A,
)  # fmt: skip
_TEXT_FIELDS = (
    (39, records.K_RESPONSE),
    (37, records.K_RRN),
    (38, records.K_AUTH_CODE),
    (13, records.K_HOST_DATE),
    (12, records.K_HOST_TIME),
    (44, records.K_F44),
    (15, records.K_SETTLEMENT_DATE),
)


class Sale:
    """What is fixed before the card is asked: number, amount, time.

    ``requested``: the REQUEST is durable and no UNSENT is, so only a durable
    COMMIT says how it ended.
    """

    def __init__(
        self,
        stan: int,
        batch: int,
        amount: int,
        currency: int,
        exponent: int,
        moment: "tuple[int, int, int, int, int, int]",
    ) -> None:
        self.stan = stan
        self.batch = batch
        self.amount = amount
        self.currency = currency
        self.exponent = exponent
        self.moment = moment
        self.requested = False
        #: What a register asked for: its records carry that name, and until the request it
        #: may be taken back.
        self.order: "Order | None" = None


class Authorisation:
    """What came of the request.

    ``kind``: "not_sent" (proved), "unknown" (sent, no usable answer),
    "answered". ``for_card`` is what the kernel is told. ``error``: why
    nothing was sent.
    """

    def __init__(self, kind: str, for_card: "HostAnswer | Unable") -> None:
        self.kind = kind
        self.for_card = for_card
        self.verdict: "verdicts.Verdict | None" = None
        self.error: "Any" = None
        self.detail = ""
        #: Field number -> text of the answer, for the slip.
        self.fields: "dict[int, str]" = {}

    @property
    def code(self) -> str:
        """Field 39, or "" without an answer."""
        return self.verdict.code if self.verdict is not None else ""


class Result:
    """How the payment ended. ``outcome`` is a records.OUTCOME_... or "not_sent"."""

    def __init__(self, outcome: str, reason: str = "") -> None:
        self.outcome = outcome
        self.reason = reason


def truncated(pan: str) -> str:
    """First six and last four digits (PCI DSS 3.4.1)."""
    return pan[:6] + "*" * (len(pan) - 10) + pan[-4:]


def unfit(tags: "dict[int, bytes]") -> str:
    """Why a request cannot carry this card's data; "" when it can.

    The kernel takes what the Books take; fields 2, 23 and 35 take less: a PAN
    of 12 to 19 digits, decimal digits in 5F34, and in 57 one separator among
    at most 37 digits.
    """
    if not 12 <= len(tags[0x5A].hex().rstrip("f")) <= 19:
        return "5A has not 12 to 19 digits"
    if 0x5F34 in tags and not tags[0x5F34].hex().isdigit():
        return "5F34 is no number"
    if 0x57 in tags:
        track = _track2(tags[0x57])
        parts = track.split("D")
        if len(track) > 37 or len(parts) != 2 or not "".join(parts).isdigit():
            return "57 is no track 2"
    return ""


async def authorise(
    session: "HostSession", vault: "Any", sale: Sale, tags: "dict[int, bytes]", pin: "Any"
) -> Authorisation:
    """Journal the request, send it once, journal the answer.

    ``tags``: the kernel's data objects. What is raised was raised before the
    request was journalled (VaultError, Iso8583Error), or by the journal itself;
    ``sale.requested`` tells which: the debt stands and will be reversed. Cancelled:
    a register took it back, nothing was journalled.
    """
    pan = tags[0x5A].hex().upper().rstrip("F")
    expiry = tags[0x5F24].hex()[:4] if 0x5F24 in tags else ""
    csn = int(tags[0x5F34].hex()) if 0x5F34 in tags else None
    pin_block = await _pin_block(session, vault, pan, pin)
    request = messages.sale(
        stan=sale.stan,
        batch=sale.batch,
        amount=sale.amount,
        currency=sale.currency,
        terminal_id=session.provision.merchant.terminal_id,
        merchant_id=session.provision.merchant.merchant_id,
        pan=pan,
        emv=tags,
        expiry=expiry,
        csn=csn,
        track2=_track2(tags.get(0x57)),
        pin_block=pin_block,
    )
    body: "dict[int, Any]" = {
        records.K_STAN: sale.stan,
        records.K_BATCH: sale.batch,
        records.K_TYPE: "sale",
        records.K_PROCESSING_CODE: request.text(3),
        records.K_AMOUNT: sale.amount,
        records.K_CURRENCY: sale.currency,
        records.K_EXPONENT: sale.exponent,
        records.K_TIME: calendar.unix(*sale.moment) - session.provision.terminal.utc_offset * 60,
        records.K_LOCAL_TIME: calendar.stamp(sale.moment),
        records.K_ENTRY_MODE: request.text(22),
        records.K_CONDITION: request.text(25),
        records.K_PIN_PRESENT: pin_block is not None,
        records.K_MESSAGE_TYPE: messages.TYPE_SALE,
        records.K_TERMINAL_ID: request.text(41),
        records.K_MERCHANT_ID: request.text(42),
        records.K_PAN_MASKED: truncated(pan),
        records.K_PAN_TOKEN: await vault.token(pan.encode()),
        records.K_PAN_SEALED: await vault.seal("batch", cbor.encode([pan, expiry])),
        records.K_EMV: {tag: tags[tag] for tag in KEPT_TAGS if tag in tags},
    }
    if csn is not None:
        body[records.K_CSN] = calendar.digits(csn, 3)

    if session.provision.test:
        body[records.K_TEST] = True
    if sale.order is not None:
        body.update(sale.order.keys)

    async def note() -> None:
        if sale.order is not None:
            sale.order.leave()
        await session.journal.append(records.REQUEST, body)
        sale.requested = True

    outcome = await session.exchange.exchange(request, mac=True, before_first_byte=note)
    for secret in (2, 35, 52):  # RAM only, and no longer than the exchange
        request.fields.pop(secret, None)
    if isinstance(outcome, NotSent):
        return await _not_sent(session, sale, outcome)
    if not isinstance(outcome, Answer):
        result = Authorisation("unknown", Unable(True))
        result.detail = outcome.reason + ": " + outcome.detail
        return result
    return await _answered(session, sale, request, outcome)


async def _pin_block(
    session: "HostSession", vault: "Any", pan: str, pin: "PinHandle | None"
) -> "bytes | None":
    if pin is None:
        return None
    block: bytes = await vault.pin_block(pin, session.provision.host.pin_format, pan)
    return block


def _track2(equivalent: "bytes | None") -> str:
    """Field 35 from tag 57: digits with D, without the F that pads to a byte."""
    return equivalent.hex().upper().rstrip("F") if equivalent else ""


async def _not_sent(session: "HostSession", sale: Sale, outcome: NotSent) -> Authorisation:
    if sale.requested:
        await session.journal.append(
            records.UNSENT,
            {records.K_STAN: sale.stan, records.K_REASON: str(outcome.error)[:200]},
        )
        sale.requested = False
    result = Authorisation("not_sent", Unable(True))
    result.error = outcome.error
    return result


async def _answered(
    session: "HostSession", sale: Sale, request: "Message", answer: Answer
) -> Authorisation:
    message = answer.message
    verdict = verdicts.payment(request, answer)
    issuer = _issuer_data(message.fields.get(55))
    if issuer is None and verdict.kind == verdicts.APPROVED:
        verdict = verdicts.Verdict(
            verdicts.UNUSABLE, verdict.code, REASON_FAULT, "field 55 of the answer is malformed"
        )
    approved = verdict.kind == verdicts.APPROVED
    body: "dict[int, Any]" = {
        records.K_STAN: sale.stan,
        records.K_APPROVED: approved,
        records.K_MAC_STATE: answer.mac_state,
    }
    result = Authorisation("answered", Unable(True))
    for number, key in _TEXT_FIELDS:
        value = message.fields.get(number)
        if isinstance(value, str) and value:
            body[key] = value
            result.fields[number] = value
    if verdict.reason:
        body[records.K_REASON] = verdict.reason[:200]
    await session.journal.append(records.ANSWER, body)
    result.verdict = verdict
    result.detail = verdict.reason
    if verdict.kind != verdicts.UNUSABLE and issuer is not None:
        arc, authentication, scripts = issuer
        result.for_card = HostAnswer(
            arc or verdict.code.encode(), authentication, scripts, approved
        )
    return result


def _issuer_data(
    field55: "str | bytes | None",
) -> "tuple[bytes | None, bytes | None, list[tuple[int, bytes]]] | None":
    """(8A, 91, scripts) of the answer's field 55; None when it is not TLV."""
    if field55 is None:
        return None, None, []
    if not isinstance(field55, bytes):
        return None
    try:
        nodes = tlv.parse(field55)
    except tlv.TlvError:
        return None
    arc = authentication = None
    scripts = []
    for node in nodes:
        if node.tag == 0x8A:
            arc = node.value
        elif node.tag == 0x91:
            authentication = node.value
        elif node.tag in (0x71, 0x72):
            scripts.append((node.tag, node.value))
    return arc, authentication, scripts


def judge(authorisation: Authorisation, outcome: "Outcome") -> Result:
    """What is committed (rules of money, 2): approved only when host *and* card
    approve; whatever the host may have booked otherwise is reversed."""
    if authorisation.kind == "not_sent":
        return Result("not_sent")
    verdict = authorisation.verdict
    if verdict is None:
        return Result(records.OUTCOME_REVERSE, REASON_NO_ANSWER)
    if verdict.reverse:
        return Result(records.OUTCOME_REVERSE, verdict.reverse)
    if verdict.kind == verdicts.DECLINED:
        return Result(records.OUTCOME_DECLINED)
    if verdict.kind != verdicts.APPROVED:  # booked for less than was asked: not offered yet
        return Result(records.OUTCOME_REVERSE, REASON_OTHER)
    if outcome.kind != "approved":
        return Result(records.OUTCOME_REVERSE, REASON_OTHER)
    return Result(records.OUTCOME_APPROVED)


async def commit(
    session: "HostSession",
    sale: Sale,
    result: Result,
    outcome: "Outcome",
    receipt: "dict[str, Any]",
) -> None:
    """End the debt, or make it a reversal due. Nothing is shown before this."""
    if result.outcome == "not_sent":
        return
    body: "dict[int, Any]" = {
        records.K_STAN: sale.stan,
        records.K_OUTCOME: result.outcome,
        records.K_RECEIPT: receipt,
        records.K_SIGNATURE: outcome.signature,
    }
    if result.reason:
        body[records.K_REASON] = result.reason
    if outcome.script_results:
        body[records.K_SCRIPT_RESULTS] = outcome.script_results
    await session.journal.append(records.COMMIT, body)
