"""The POI of nexo: one request in, one response out, payments through the gate.

Which ErrorCondition stands for what is in docs/register.md.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from firmware.payment.money import Currency
from host_tools.errors import UserError
from host_tools.register import gate as core
from host_tools.register.gate import Answer, End, Gate
from host_tools.register.memory import Memory, Message
from host_tools.register.nexo import messages, number_json
from host_tools.register.nexo.messages import BadMessage, Category

ADAPTER = "nexo"
#: A payment that the terminal never heard of may be sent again, word for word, so long.
RETRY_S = 600
SOFTWARE = {
    "ManufacturerID": "OpenTill",
    "ApplicationName": "OpenTill",
    "CertificationCode": "none",
}
_ENTRY = {
    "contact": "ICC",
    "contactless": "Contactless",
    "stripe": "MagStripe",
    "qr": "Scanned",
    "keyed": "Keyed",
}
_TOTALS = {"sale": "Debit", "refund": "Credit", "void": "ReverseDebit"}
#: Field 39 of a decline: ErrorCondition; all others are Refusal.
_DECLINES = {"55": "WrongPIN", "14": "InvalidCard"}
_KINDS = {"Normal": "sale", "Refund": "refund"}

Body = dict[str, Any]


@dataclass(frozen=True)
class Speaker:
    """A register that was let in. ``sale_ids``: the SaleIDs it speaks for, none: any."""

    name: str
    sale_ids: tuple[str, ...] = ()

    def speaks_for(self, sale_id: str) -> bool:
        """Whether it may use this SaleID."""
        return not self.sale_ids or sale_id in self.sale_ids


class Failure(UserError):
    """The response is Failure with ``condition``; the text says why."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


class Station:
    """``poi``: the POIID that requests must name, "" for any."""

    def __init__(self, gate: Gate, memory: Memory, poi: str = "", version: str = "") -> None:
        self._gate = gate
        self._memory = memory
        self._poi = poi
        self._version = version or "0"
        self._logged_in: list[str] = []
        self._does: dict[str, Callable[[_Asked], Awaitable[Body]]] = {
            "Login": self._login,
            "Logout": self._logout,
            "Payment": self._payment,
            "Reversal": self._reversal,
            "TransactionStatus": self._transaction_status,
            "Diagnosis": self._diagnosis,
            "GetTotals": self._totals,
        }

    async def answer(self, message: Any, speaker: Speaker) -> Body | None:
        """The whole answer to a whole request; None: an empty one. BadMessage: it has no
        header that could be answered."""
        request = message.get("SaleToPOIRequest") if isinstance(message, dict) else None
        if not isinstance(request, dict):
            raise BadMessage("SaleToPOIRequest is missing")
        category, header = messages.header_of(request.get("MessageHeader"))
        try:
            body = messages.body_of(category, request)
            asked = _Asked(category, header, body, _digest(request), speaker)
            self._admit(asked)
            response = await self._done(asked)
        except BadMessage as error:
            response = _failed(category, "MessageFormat", str(error))
        except Failure as error:
            response = _failed(category, error.condition, str(error))
        except UserError as error:
            response = _failed(category, "UnavailableService", str(error))
        if not category.response:
            return None
        return {"SaleToPOIResponse": {"MessageHeader": _answering(header), **response}}

    def _admit(self, asked: "_Asked") -> None:
        """Failure: not for this terminal, not this register's name, or an id used before."""
        if self._poi and asked.header["POIID"] != self._poi:
            raise Failure("NotAllowed", f"this terminal is POIID {self._poi}")
        if not asked.speaker.speaks_for(asked.sale_id):
            raise Failure("NotAllowed", "this register may not speak for that SaleID")
        if asked.name == "Payment" or not asked.service_id:
            return
        if self._memory.note(asked.sale_id, asked.service_id, asked.name, asked.digest, {}):
            raise Failure("NotAllowed", "this ServiceID was used before")

    async def _done(self, asked: "_Asked") -> Body:
        if asked.name == "Abort":
            known = self._referred(asked)[2]
            if known is not None:
                await self._gate.abort(known.reference)
            return {}
        does = self._does.get(asked.name)
        if does is None:
            raise Failure("UnavailableService", "this terminal does not do that")
        return {asked.category.response: await does(asked)}

    async def _login(self, asked: "_Asked") -> Body:
        if asked.sale_id not in self._logged_in:
            self._logged_in = [*self._logged_in[-31:], asked.sale_id]
        status = await self._status()
        return {
            "Response": {"Result": "Success"},
            "POISystemData": {
                "DateTime": _now(),
                "POISoftware": {**SOFTWARE, "SoftwareVersion": self._version},
                "POITerminalData": {
                    "TerminalEnvironment": "Attended",
                    "POICapabilities": ["ICC", "PrinterReceipt", "CashierDisplay", "CustomerInput"],
                    "POIProfile": {"GenericProfile": "Basic"},
                    "POISerialNumber": str(status.get("serial", "")),
                },
                "POIStatus": _poi_status(status),
            },
        }

    async def _logout(self, asked: "_Asked") -> Body:
        self._logged_in = [name for name in self._logged_in if name != asked.sale_id]
        return {"Response": {"Result": "Success"}}

    async def _payment(self, asked: "_Asked") -> Body:
        payment = _Payment.of(asked)
        reference = core.fresh(ADAPTER, asked.sale_id, asked.service_id)
        known = self._memory.note(
            asked.sale_id, asked.service_id, asked.name, asked.digest, payment.context, reference
        )
        if known is not None:
            reference = known.reference
            answer = await self._again(asked, known)
            if answer is not None:
                return _payment_body(answer, payment.context)
        # From the note on an Abort finds it: nothing is waited for before it is the gate's.
        answer = await self._gate.start(
            core.Request(
                reference,
                asked.digest,
                payment.amount,
                payment.currency.number,
                asked.speaker.name or asked.sale_id,
                payment.kind,
            ),
            lambda _state: self._begun(reference),
            self._catch_up,
        )
        if known is not None and answer.end is End.UNREACHABLE:
            raise Failure("InProgress", "the terminal is not connected: not known, ask again")
        self._settle(answer)
        return _payment_body(answer, payment.context)

    def _begun(self, reference: str) -> None:
        with contextlib.suppress(UserError):  # the gate knows it too, as long as this runs
            self._memory.began(reference)

    async def _again(self, asked: "_Asked", known: Message) -> Answer | None:
        """The answer to a payment that was sent before; None: the terminal may be asked for it
        once more, as it was not heard to begin it. Failure: another message under this id, or
        not known."""
        if known.digest != asked.digest:
            raise Failure("NotAllowed", "this ServiceID was used before, for something else")
        if known.answer:
            answer = Answer.of_plain(known.answer)
        elif self._gate.running(known.reference):
            raise Failure("InProgress", "this payment is at work")
        elif known.begun or self._old(known):
            answer = await self._stands(known)
        else:
            return None
        if answer.end in (End.PROGRESS, End.UNREACHABLE):
            raise Failure("InProgress", "not known yet: do not hand over the goods, ask again")
        if answer.end is End.NONE:
            raise Failure("NotAllowed", "this message is old; nothing was charged for it")
        self._settle(answer)
        return answer

    def _old(self, known: Message) -> bool:
        return known.seen + RETRY_S < self._memory.now()

    async def _stands(self, known: Message) -> Answer:
        return await self._gate.state(known.reference, known.digest, known.begun)

    async def _catch_up(self) -> None:
        """Ask how earlier payments ended of which that is not noted (this PC was stopped), before
        later ones take their place in the terminal's memory."""
        for message in self._memory.unsettled("Payment"):
            if self._gate.running(message.reference):
                continue
            answer = await self._stands(message)
            if answer.end is End.UNREACHABLE:
                return
            if answer.end is End.NONE and self._old(message):
                self._note(answer)
            self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        """Keep a settled answer. A disk that does not take it changes nothing of the payment: the
        terminal knows it, and is asked again."""
        if answer.end in (*core.SETTLED, End.CONFLICT):
            self._note(answer)

    def _note(self, answer: Answer) -> None:
        with contextlib.suppress(UserError):
            self._memory.settle(answer.reference, answer.plain())

    async def _reversal(self, asked: "_Asked") -> Body:
        raise Failure("UnavailableService", "voids and refunds are done on the terminal")

    async def _transaction_status(self, asked: "_Asked") -> Body:
        sale_id, service_id, known = self._referred(asked)
        mine = core.reference(ADAPTER, sale_id, "x")[:-1]
        if known is None:  # of one that this PC does not know the terminal tells the last
            answer = await self._gate.state("")
            unknown = answer.end in (End.UNREACHABLE, End.PROGRESS, End.REFUSED)
            if not unknown and not answer.reference.startswith(mine):
                raise Failure("NotFound", "the terminal's last payment was not this register's")
        elif known.answer:
            answer = Answer.of_plain(known.answer)
        elif self._gate.running(known.reference):
            raise Failure("InProgress", "this payment is at work")
        else:
            answer = await self._stands(known)
        if answer.end is End.PROGRESS or (
            answer.end is End.UNKNOWN and answer.reason != core.RELEASED
        ):
            raise Failure("InProgress", "not known yet: do not hand over the goods, ask again")
        if answer.end is End.NONE:
            raise Failure("NotFound", "the terminal never heard of that payment")
        if answer.end is End.UNREACHABLE:
            raise Failure("DeviceOut", "the terminal is not connected: ask again")
        if answer.end is End.REFUSED:
            raise Failure("NotAllowed", f"the terminal does not tell this PC: {answer.reason}")
        if known is None:
            wanted, service_id = service_id, answer.reference[len(mine) :].rpartition(".")[0]
            if wanted and wanted != service_id:
                raise Failure("NotFound", "neither this PC nor the terminal knows that payment")
            known = self._memory.of_reference(answer.reference)
        self._settle(answer)
        original = {
            "ProtocolVersion": "3.0",
            "MessageClass": messages.SERVICE,
            "MessageCategory": "Payment",
            "MessageType": "Response",
            "SaleID": sale_id,
            "ServiceID": service_id,
            "POIID": asked.header["POIID"],
        }
        context = known.context if known is not None else {}
        body = {"PaymentResponse": _payment_body(answer, context)}
        response: Body = {"Result": "Success"}
        if asked.body.get("ReceiptReprintFlag"):
            said = "receipts are reprinted from the terminal's menu"
            response["AdditionalResponse"] = urlencode({"message": said})
        return {
            "Response": response,
            "MessageReference": {
                "MessageCategory": "Payment",
                "SaleID": sale_id,
                "ServiceID": service_id,
                "POIID": asked.header["POIID"],
            },
            "RepeatedMessageResponse": {
                "MessageHeader": original,
                "RepeatedResponseMessageBody": body,
            },
        }

    def _referred(self, asked: "_Asked") -> tuple[str, str, Message | None]:
        """SaleID and ServiceID of the payment that a message is about, and that payment's
        message if it is known here; "" for ServiceID: the last one. Failure: another
        register's."""
        about = asked.body.get("MessageReference", {})
        sale_id = about.get("SaleID", asked.sale_id)
        if not asked.speaker.speaks_for(sale_id):
            raise Failure("NotAllowed", "this register may not speak for that SaleID")
        if about.get("MessageCategory", "Payment") != "Payment":
            raise Failure("NotFound", "only payments are kept")
        service_id = about.get("ServiceID", "")
        known = self._memory.find(sale_id, service_id) if service_id else None
        if known is not None and not known.reference:  # no payment
            known = None
        return sale_id, service_id, known

    async def _diagnosis(self, asked: "_Asked") -> Body:
        status = await self._status()
        body: Body = {
            "Response": {"Result": "Success"},
            "LoggedSaleID": list(self._logged_in),
            "POIStatus": _poi_status(status),
        }
        if asked.body.get("HostDiagnosisFlag") and "link" in status:
            reached = bool(status["link"])
            body["HostStatus"] = [
                {"AcquirerID": str(status.get("merchant", "")), "IsReachableFlag": reached}
            ]
        return body

    async def _status(self) -> dict[str, Any]:
        try:
            return await self._gate.status()
        except UserError:
            return {}

    async def _totals(self, asked: "_Asked") -> Body:
        if asked.body.get("TotalDetails"):
            raise Failure("UnavailableService", "the terminal adds up no such details")
        try:
            batch, rows = await self._gate.totals()
        except UserError as error:
            raise Failure("DeviceOut", str(error)) from None
        by_currency: dict[int, list[Body]] = {}
        for kind, number, count, amount in rows:
            currency = Currency.by_number(number)
            by_currency.setdefault(number, []).append(
                {
                    "TransactionType": _TOTALS.get(kind, "Debit"),
                    "TransactionCount": count,
                    "TransactionAmount": messages.major(amount, currency),
                }
            )
        return {
            "Response": {"Result": "Success"},
            "POIReconciliationID": str(batch),
            "TransactionTotals": [
                {
                    "PaymentInstrumentType": "Card",
                    "PaymentCurrency": Currency.by_number(number).code,
                    "PaymentTotals": totals,
                }
                for number, totals in sorted(by_currency.items())
            ],
        }


@dataclass(frozen=True)
class _Asked:
    category: Category
    header: dict[str, str]
    body: Body
    digest: bytes
    speaker: Speaker

    @property
    def name(self) -> str:
        return self.header["MessageCategory"]

    @property
    def sale_id(self) -> str:
        return self.header["SaleID"]

    @property
    def service_id(self) -> str:
        return self.header.get("ServiceID", "")


@dataclass(frozen=True)
class _Payment:
    amount: int
    currency: Currency
    kind: str
    context: Body

    @classmethod
    def of(cls, asked: _Asked) -> "_Payment":
        """What the terminal is asked. BadMessage, Failure: what it cannot do is refused, never
        left out."""
        transaction = asked.body["PaymentTransaction"]
        amounts = transaction["AmountsReq"]
        currency = messages.currency_of(amounts["Currency"])
        amount = messages.minor(amounts["RequestedAmount"], currency)
        tip = messages.minor(amounts.get("TipAmount") or 0, currency)
        if amount == 0 or tip > amount:
            raise BadMessage("AmountsReq: nothing to pay")
        if amounts.get("CashBackAmount"):
            raise Failure("UnavailableService", "this terminal gives no cash back")
        conditions = transaction.get("TransactionConditions") or {}
        for name in ("ForceEntryMode", "AllowedPaymentBrand"):
            if conditions.get(name):
                raise Failure("UnavailableService", f"this terminal does not keep to {name}")
        data = asked.body.get("PaymentData") or {}
        kind = _KINDS.get(data.get("PaymentType", "Normal"))
        if kind is None or data.get("CardAcquisitionReference"):
            raise Failure("UnavailableService", "this terminal does not do such payments")
        context = {
            "SaleTransactionID": asked.body["SaleData"]["SaleTransactionID"],
            "amount": amount,
            "currency": currency.code,
            "tip": tip,
        }
        return cls(amount, currency, kind, context)


def _payment_body(answer: Answer, context: Mapping[str, Any]) -> Body:
    """PaymentResponse. ``context``: what the request said, {} where that is forgotten."""
    now = _now()
    local = _iso(answer.local_time) or now
    transaction = answer.reference
    if answer.stan:
        transaction = f"{answer.terminal}.{answer.batch:06}.{answer.stan:06}"
    poi: Body = {"POITransactionID": {"TransactionID": transaction, "TimeStamp": local}}
    if answer.batch:
        poi["POIReconciliationID"] = str(answer.batch)
    sale = context.get("SaleTransactionID") or {"TransactionID": "", "TimeStamp": now}
    body: Body = {
        "Response": _response(answer, context.get("amount", answer.amount)),
        "SaleData": {"SaleTransactionID": sale},
        "POIData": poi,
    }
    if answer.end in (End.APPROVED, End.DECLINED) and answer.currency:
        body["PaymentResult"] = _result(answer, context, local)
    return body


def _result(answer: Answer, context: Mapping[str, Any], local: str) -> Body:
    currency = Currency.by_number(answer.currency)
    card: Body = {}
    if answer.pan:
        card["MaskedPan"] = answer.pan
    if answer.brand:
        card["PaymentBrand"] = answer.brand
    if answer.entry in _ENTRY:
        card["EntryMode"] = [_ENTRY[answer.entry]]
    approved = answer.end is End.APPROVED
    amounts: Body = {
        "Currency": currency.code,
        "AuthorizedAmount": messages.major(answer.amount if approved else 0, currency),
    }
    if context.get("tip") and approved:
        amounts["TipAmount"] = messages.major(context["tip"], currency)
    acquirer: Body = {"MerchantID": answer.merchant, "AcquirerPOIID": answer.terminal}
    if answer.rrn:
        acquirer["AcquirerTransactionID"] = {"TransactionID": answer.rrn, "TimeStamp": local}
    if answer.authorisation:
        acquirer["ApprovalCode"] = answer.authorisation
    result: Body = {
        "PaymentType": "Normal",
        "OnlineFlag": True,
        "AmountsResp": amounts,
        "PaymentInstrumentData": {"PaymentInstrumentType": "Card", "CardData": card},
        "PaymentAcquirerData": acquirer,
    }
    if answer.signature:
        result["AuthenticationMethod"] = ["PaperSignature"]
    return result


def _response(answer: Answer, wanted: int) -> Body:
    if answer.end is End.APPROVED:
        success: Body = {"Result": "Success" if answer.amount == wanted else "Partial"}
        return success | ({"AdditionalResponse": "test=true"} if answer.test else {})
    condition, text = _conditions(answer)
    more = {"message": text}
    if answer.end is End.DECLINED:
        more["refusalReason"] = f"{answer.response} {answer.reason}".strip()
    return {
        "Result": "Failure",
        "ErrorCondition": condition,
        "AdditionalResponse": urlencode(more),
    }


def _conditions(answer: Answer) -> tuple[str, str]:
    """ErrorCondition, and the words beside it."""
    reason = " ".join(part for part in (answer.reason, answer.detail) if part)
    match answer.end:
        case End.DECLINED:
            return _DECLINES.get(answer.response, "Refusal"), reason or "declined"
        case End.CANCELLED:
            taken_back = answer.reason == core.ABORTED
            return ("Aborted" if taken_back else "Cancel"), reason or "cancelled"
        case End.REVERSED:
            return "UnreachableHost", "reversed: nothing was charged"
        case End.UNKNOWN:
            return "UnreachableHost", "not known: do not hand over the goods, ask again"
        case End.PROGRESS:
            return "InProgress", "not known yet: do not hand over the goods, ask again"
        case End.BUSY:
            return "Busy", f"busy with {answer.pending or 'the merchant'}, {answer.amount}"
        case End.CONFLICT:
            return "NotAllowed", "this id stands for another request; nothing was charged"
        case End.REFUSED if answer.reason == "kind":
            return "UnavailableService", "this terminal does not do such payments"
        case End.REFUSED if answer.reason == "failed":
            return "UnavailableDevice", f"no payments now: {answer.detail}"
        case End.REFUSED:
            return "NotAllowed", f"refused: {reason}"
        case End.NONE | End.UNREACHABLE:
            return "DeviceOut", "the terminal is not connected; nothing was charged"
    raise AssertionError(answer.end)


def _failed(category: Category, condition: str, text: str) -> Body:
    """The category's response body that says Failure, of the shape it is read in."""
    response = {
        "Result": "Failure",
        "ErrorCondition": condition,
        "AdditionalResponse": urlencode({"message": text}),
    }
    output = {"Device": "CashierDisplay", "InfoQualify": "Display", "Response": response}
    body: Body = {"Response": response}
    if category.response == "DisplayResponse":
        body = {"OutputResult": [output]}
    elif category.response == "InputResponse":
        body = {"InputResult": {**output, "Device": "CashierInput", "InfoQualify": "Input"}}
    elif category.response == "PrintResponse":
        body = {"DocumentQualifier": "Document", "Response": response}
    elif category.response == "GetTotalsResponse":
        body["POIReconciliationID"] = ""
    return {category.response: body}


def _poi_status(status: Mapping[str, Any]) -> Body:
    if not status:
        return {"GlobalStatus": "Unreachable"}
    found = "Busy" if status.get("busy") or status.get("state") == "busy" else "OK"
    if status.get("state") == "blocked":
        found = "Maintenance"
    told: Body = {"GlobalStatus": found}
    if "paper" in status:
        paper = status["paper"]
        short = "NoPaper" if "paper" in paper else "OutOfOrder"
        told["PrinterStatus"] = "OK" if paper == "ok" else short
    if "link" in status:
        told["CommunicationOKFlag"] = bool(status["link"])
    return told


def _answering(header: Mapping[str, str]) -> Body:
    return {**header, "MessageType": "Response"}


def _digest(request: Any) -> bytes:
    return core.digest(ADAPTER, number_json.write(request, canonical=True).encode())


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).isoformat().replace("+00:00", "Z")


def _iso(local: str) -> str:
    """YYYYMMDDhhmmss of the terminal's place, as ISO 8601 without a zone."""
    if len(local) != 14 or not local.isdigit():
        return ""
    day, clock = local[:8], local[8:]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}"
