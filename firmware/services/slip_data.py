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
    merchant = provision.merchant
    tags = outcome.tags
    pan = tags[0x5A].hex().upper().rstrip("F")
    money = Money(sale.amount, Currency.by_number(sale.currency))
    date, time = _when(sale, authorisation)
    values: "dict[str, Any]" = {
        "shop": merchant.name,
        "shop_zh": merchant.name_zh,
        "address": merchant.address,
        "merchant_id": merchant.merchant_id,
        "terminal_id": merchant.terminal_id,
        "type": "sale",
        "batch": calendar.digits(sale.batch, 6),
        "stan": calendar.digits(sale.stan, 6),
        "rrn": authorisation.fields.get(37, ""),
        "auth_code": authorisation.fields.get(38, "").strip() if _approved(result) else "",
        "issuer": authorisation.fields.get(44, "")[:11].strip(),
        "acquirer": authorisation.fields.get(44, "")[11:22].strip(),
        "date": date,
        "time": time,
        "amount_text": money.format(),
        "currency_text": money.currency.code,
        "pan_masked": truncated(pan),
        "pan_last4": "*" * (len(pan) - 4) + pan[-4:],
        "entry": "I",
        "label": outcome.name,
        "aid": outcome.aid.hex().upper(),
        "tvr": outcome.tvr.hex().upper(),
        "tsi": outcome.tsi.hex().upper(),
        "atc": tags.get(0x9F36, b"").hex().upper(),
        "csn": tags.get(0x5F34, b"").hex(),
        "cryptogram": outcome.cryptogram.hex().upper(),
        "cryptogram_kind": _CRYPTOGRAMS.get((outcome.cid or 0) & 0xC0, "AAC"),
        "cvm": cvm_word(outcome.cvm_results, outcome.signature),
        "response_code": authorisation.code,
        "test": provision.test,
        "emulated": bool(board.get("emulated")),
    }
    return values


def _approved(result: "Result") -> bool:
    return result.outcome == records.OUTCOME_APPROVED


def _when(sale: "Sale", authorisation: "Authorisation") -> "tuple[str, str]":
    """("YYYY-MM-DD", "hh:mm:ss") of the slip."""
    ours = sale.moment
    now = calendar.unix(ours[0], ours[1], ours[2], ours[3], ours[4], ours[5])
    date, time = authorisation.fields.get(13, ""), authorisation.fields.get(12, "")
    theirs = calendar.nearest(date, time, now)
    moment = ours if theirs is None else calendar.civil(theirs)
    stamp = calendar.stamp(moment)
    return (
        stamp[:4] + "-" + stamp[4:6] + "-" + stamp[6:8],
        stamp[8:10] + ":" + stamp[10:12] + ":" + stamp[12:],
    )
