"""What a slip says, as plain values fit for the journal (no PAN, no track).

The keys are those of ``services/receipts.py``. Times on the slip are the
acquirer's (fields 12 and 13) where it gave them, with the terminal's year
(rules of money, 20).
"""

from firmware.payment.journal import records
from firmware.payment.money import Currency, Money
from firmware.services import calendar
from firmware.services.online import truncated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.payment.emv.steps import Outcome
    from firmware.payment.journal.fold import Debt
    from firmware.services.online import Authorisation, Result, Sale
    from firmware.services.provision import Provision

#: CID bits 8 and 7 (EMV 4.4 Book 3, Annex C): which cryptogram the card gave.
_CRYPTOGRAMS = {0x00: "AAC", 0x40: "TC", 0x80: "ARQC"}
_NO_CVM = 0x1F
_SIGNATURE = 0x1E
_ONLINE_PIN = 0x02
_OFFLINE_PINS = (0x01, 0x03, 0x04, 0x05)


def cvm_word(cvm_results: bytes, signature: bool) -> str:
    """ "pin" (online), "offline_pin", "signature", "none": the slip's CVM line."""
    if signature:
        return "signature"
    method = cvm_results[0] & 0x3F if cvm_results else _NO_CVM
    if method == _ONLINE_PIN:
        return "pin"
    if method in _OFFLINE_PINS and cvm_results[2:3] == b"\x02":
        return "offline_pin"
    if method == _SIGNATURE:
        return "signature"
    return "none"


def receipt(
    provision: "Provision",
    board: "dict[str, Any]",
    sale: "Sale",
    authorisation: "Authorisation",
    outcome: "Outcome",
    result: "Result",
) -> "dict[str, Any]":
    """The receipt values of a payment that reached the acquirer."""
    tags = outcome.tags
    pan = tags[0x5A].hex().upper().rstrip("F")
    values = _head(provision, bool(board.get("emulated")), sale.amount, sale.currency)
    values["batch"] = calendar.digits(sale.batch, 6)
    values["stan"] = calendar.digits(sale.stan, 6)
    values["rrn"] = authorisation.fields.get(37, "")
    values["auth_code"] = authorisation.fields.get(38, "").strip() if _approved(result) else ""
    values["issuer"], values["acquirer"] = _parties(authorisation.fields.get(44, ""))
    values["date"], values["time"] = _when(sale, authorisation)
    values["pan_masked"] = truncated(pan)
    values["pan_last4"] = "*" * (len(pan) - 4) + pan[-4:]
    values["label"] = outcome.name
    values["aid"] = outcome.aid.hex().upper()
    values["tvr"] = outcome.tvr.hex().upper()
    values["tsi"] = outcome.tsi.hex().upper()
    values["atc"] = tags.get(0x9F36, b"").hex().upper()
    values["csn"] = tags.get(0x5F34, b"").hex()
    values["cryptogram"] = outcome.cryptogram.hex().upper()
    values["cryptogram_kind"] = _kind_of(outcome.cid or 0)
    values["cvm"] = cvm_word(outcome.cvm_results, outcome.signature)
    values["response_code"] = authorisation.code
    return values


def reversal(provision: "Provision", emulated: bool, debt: "Debt") -> "dict[str, Any]":
    """The receipt values of a reversed payment of which the journal has only the
    request, and perhaps the answer: the power went before it was committed."""
    body = debt.request
    answer = debt.answer or {}
    tags = body.get(records.K_EMV, {})
    masked = body.get(records.K_PAN_MASKED, "")
    values = _head(provision, emulated, body[records.K_AMOUNT], body[records.K_CURRENCY])
    values["terminal_id"], values["merchant_id"] = provision.merchant.ids_of(body)
    values["batch"] = calendar.digits(body[records.K_BATCH], 6)
    values["stan"] = calendar.digits(debt.stan, 6)
    values["rrn"] = answer.get(records.K_RRN, "")
    values["issuer"], values["acquirer"] = _parties(answer.get(records.K_F44, ""))
    values["date"], values["time"] = stamped(body[records.K_LOCAL_TIME])
    if masked:
        values["pan_masked"] = masked
        values["pan_last4"] = "*" * (len(masked) - 4) + masked[-4:]
    for name, tag in (("aid", 0x84), ("tvr", 0x95), ("atc", 0x9F36), ("cryptogram", 0x9F26)):
        values[name] = tags.get(tag, b"").hex().upper()
    values["csn"] = body.get(records.K_CSN, "")[-2:]
    values["cryptogram_kind"] = _kind_of(tags.get(0x9F27, b"\x80")[0])
    values["response_code"] = answer.get(records.K_RESPONSE, "")
    return values


def supervised(
    provision: "Provision",
    emulated: bool,
    slip: str,
    who: str,
    moment: "tuple[int, int, int, int, int, int] | None",
    request: "dict[int, Any] | None" = None,
) -> "dict[str, Any]":
    """The values of a slip about a supervisor's act: ``slip`` is "release",
    "release_scripts", "damage" or "restored", ``request`` the body of what was released.
    ``moment``: local time, None where the clock is dead."""
    values = _shop(provision, emulated)
    values["slip"] = slip
    values["who"] = who
    if moment is not None:
        values["date"], values["time"] = stamped(calendar.stamp(moment))
    if request is not None:
        _price(values, request[records.K_AMOUNT], request[records.K_CURRENCY])
        values["stan"] = calendar.digits(request[records.K_STAN], 6)
        values["terminal_id"], values["merchant_id"] = provision.merchant.ids_of(request)
    return values


def training(
    provision: "Provision",
    emulated: bool,
    amount: int,
    moment: "tuple[int, int, int, int, int, int] | None",
) -> "dict[str, Any]":
    """The values of a training sale's slip. ``moment``: local time, None where the clock is
    dead."""
    values = _shop(provision, emulated)
    _price(values, amount, provision.merchant.currency)
    if moment is not None:
        values["date"], values["time"] = stamped(calendar.stamp(moment))
    return values


def _head(provision: "Provision", emulated: bool, amount: int, currency: int) -> "dict[str, Any]":
    """Who took the payment, how much it is, and what is real about it."""
    values = _shop(provision, emulated)
    _price(values, amount, currency)
    values["type"] = "sale"
    values["entry"] = "I"
    return values


def _shop(provision: "Provision", emulated: bool) -> "dict[str, Any]":
    merchant = provision.merchant
    return {
        "shop": merchant.name,
        "shop_zh": merchant.name_zh,
        "address": merchant.address,
        "merchant_id": merchant.merchant_id,
        "terminal_id": merchant.terminal_id,
        "test": provision.test,
        "emulated": emulated,
    }


def _price(values: "dict[str, Any]", amount: int, currency: int) -> None:
    money = Money(amount, Currency.by_number(currency))
    values["amount_text"] = money.format()
    values["currency_text"] = money.currency.code


def _parties(field44: str) -> "tuple[str, str]":
    """(issuer, acquirer) of field 44: eleven characters each."""
    return field44[:11].strip(), field44[11:22].strip()


def _kind_of(cid: int) -> str:
    return _CRYPTOGRAMS.get(cid & 0xC0, "AAC")


def _approved(result: "Result") -> bool:
    return result.outcome == records.OUTCOME_APPROVED


def _when(sale: "Sale", authorisation: "Authorisation") -> "tuple[str, str]":
    """("YYYY-MM-DD", "hh:mm:ss") of the slip."""
    ours = sale.moment
    now = calendar.unix(ours[0], ours[1], ours[2], ours[3], ours[4], ours[5])
    date, time = authorisation.fields.get(13, ""), authorisation.fields.get(12, "")
    theirs = calendar.nearest(date, time, now)
    moment = ours if theirs is None else calendar.civil(theirs)
    return stamped(calendar.stamp(moment))


def stamped(stamp: str) -> "tuple[str, str]":
    """("YYYY-MM-DD", "hh:mm:ss") of YYYYMMDDhhmmss."""
    return (
        stamp[:4] + "-" + stamp[4:6] + "-" + stamp[6:8],
        stamp[8:10] + ":" + stamp[10:12] + ":" + stamp[12:],
    )
