"""The messages of nexo Sale-to-POI 3.0 that registers send: their names, shapes and numbers.

Shapes name what we read; what else a register sends is left alone, but counts in the digest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from firmware.payment.money import LARGEST, Currency, MoneyError
from host_tools.errors import UserError

SERVICE, DEVICE, EVENT = "Service", "Device", "Event"


class BadMessage(UserError):
    """ErrorCondition MessageFormat; the text names the field."""


@dataclass(frozen=True)
class Rule:
    """``good``: whether a value is right; ``must``: whether it may not lack."""

    good: Callable[[Any], bool]
    must: bool = True


Shape = Mapping[str, "Rule | Shape"]


class Maybe(dict[str, "Rule | Shape"]):
    """A part that may lack as a whole."""


def text(most: int, must: bool = True, least: int = 1) -> Rule:
    """Text of so many characters, no control characters."""
    return Rule(
        lambda value: (
            isinstance(value, str)
            and least <= len(value) <= most
            and all(char >= " " and not "\x7f" <= char <= "\x9f" for char in value)
        ),
        must,
    )


def number(must: bool = True) -> Rule:
    """An amount, not below zero."""
    return Rule(
        lambda value: (
            isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0
        ),
        must,
    )


def flag() -> Rule:
    """True or false, or absent."""
    return Rule(lambda value: isinstance(value, bool), False)


def texts(must: bool = False) -> Rule:
    """A list of words."""
    return Rule(
        lambda value: (
            isinstance(value, list)
            and len(value) <= 32
            and all(isinstance(part, str) and len(part) <= 64 for part in value)
        ),
        must,
    )


_TRANSACTION = {"TransactionID": text(128), "TimeStamp": text(40)}
_SALE_DATA = {"SaleTransactionID": _TRANSACTION}
_REFERENCE = {
    "MessageCategory": text(32, must=False),
    "SaleID": text(64, must=False),
    "ServiceID": text(10, must=False),
    "POIID": text(64, must=False),
}
_ORIGINAL = {"POITransactionID": Maybe(_TRANSACTION)}


@dataclass(frozen=True)
class Category:
    """``request`` and ``response``: names of the bodies; response "": HTTP 200, no body."""

    message_class: str
    request: str
    response: str
    shape: Shape


def _service(name: str, shape: Shape | None = None) -> Category:
    return Category(SERVICE, f"{name}Request", f"{name}Response", shape or {})


def _device(name: str, shape: Shape | None = None) -> Category:
    return Category(DEVICE, f"{name}Request", f"{name}Response", shape or {})


CATEGORIES: dict[str, Category] = {
    "Login": _service(
        "Login",
        {
            "DateTime": text(40),
            "OperatorLanguage": text(8, must=False),
            "SaleSoftware": {
                "ApplicationName": text(64, must=False),
                "SoftwareVersion": text(64, must=False),
            },
        },
    ),
    "Logout": _service("Logout"),
    "Payment": _service(
        "Payment",
        {
            "SaleData": _SALE_DATA,
            "PaymentTransaction": {
                "AmountsReq": {
                    "Currency": text(3, least=3),
                    "RequestedAmount": number(),
                    "TipAmount": number(must=False),
                    "CashBackAmount": number(must=False),
                },
                "OriginalPOITransaction": Maybe(_ORIGINAL),
                "TransactionConditions": Maybe(
                    {"ForceEntryMode": texts(), "AllowedPaymentBrand": texts()}
                ),
            },
            "PaymentData": Maybe({"PaymentType": text(32, must=False), "SplitPaymentFlag": flag()}),
        },
    ),
    "Reversal": _service(
        "Reversal",
        {
            "OriginalPOITransaction": {"POITransactionID": _TRANSACTION},
            "ReversalReason": text(32),
            "ReversedAmount": number(must=False),
        },
    ),
    "TransactionStatus": _service(
        "TransactionStatus",
        {"MessageReference": Maybe(_REFERENCE), "ReceiptReprintFlag": flag()},
    ),
    "Abort": Category(
        SERVICE,
        "AbortRequest",
        "",
        {"AbortReason": text(64, must=False), "MessageReference": _REFERENCE},
    ),
    "Diagnosis": _service("Diagnosis", {"HostDiagnosisFlag": flag()}),
    "GetTotals": _service("GetTotals", {"TotalDetails": texts()}),
    "Reconciliation": _service("Reconciliation", {"ReconciliationType": text(32)}),
    "EnableService": _service("EnableService", {"TransactionAction": text(32)}),
    "CardAcquisition": _service("CardAcquisition"),
    "BalanceInquiry": _service("BalanceInquiry"),
    "StoredValue": _service("StoredValue"),
    "Loyalty": _service("Loyalty"),
    "Admin": _service("Admin"),
    "Batch": _service("Batch"),
    "Print": _device("Print"),
    "Display": _device("Display"),
    "Input": _device("Input"),
    "InputUpdate": Category(DEVICE, "InputUpdate", "", {}),
    "Sound": _device("Sound"),
    "Transmit": _device("Transmit"),
    "PIN": _device("PIN"),
    "CardReaderInit": _device("CardReaderInit"),
    "CardReaderAPDU": _device("CardReaderAPDU"),
    "CardReaderPowerOff": _device("CardReaderPowerOff"),
    "Event": Category(EVENT, "EventNotification", "", {}),
}

_HEADER: Shape = {
    "ProtocolVersion": text(8),
    "MessageClass": text(16),
    "MessageCategory": text(32),
    "MessageType": text(16),
    "SaleID": text(64),
    "ServiceID": text(10, must=False),
    "DeviceID": text(10, must=False),
    "POIID": text(64),
}


def header_of(header: Any) -> tuple[Category, dict[str, str]]:
    """The category and the header of a request. BadMessage."""
    known = _checked(_HEADER, header, "MessageHeader")
    category = CATEGORIES.get(known["MessageCategory"])
    if category is None:
        raise BadMessage("MessageHeader.MessageCategory is none that this terminal knows")
    if known["MessageClass"] != category.message_class:
        raise BadMessage("MessageHeader.MessageClass is not the category's")
    wanted = "Notification" if category.message_class == EVENT else "Request"
    if known["MessageType"] != wanted and not (
        known["MessageCategory"] == "InputUpdate" and known["MessageType"] == "Notification"
    ):
        raise BadMessage("MessageHeader.MessageType is no request")
    if not known["ProtocolVersion"].startswith("3."):
        raise BadMessage("MessageHeader.ProtocolVersion: this terminal speaks 3.0")
    if category.message_class != EVENT and "ServiceID" not in known:
        raise BadMessage("MessageHeader.ServiceID is missing")
    return category, known


def body_of(category: Category, message: Mapping[str, Any]) -> dict[str, Any]:
    """The request's body, of the category's shape. BadMessage."""
    body = message.get(category.request)
    return _checked(category.shape, {} if body is None else body, category.request)


def minor(value: Any, currency: Currency) -> int:
    """An amount in minor units. BadMessage: finer than the currency, or too large."""
    scaled = Decimal(value).scaleb(currency.exponent)
    if scaled > LARGEST:
        raise BadMessage("the amount is too large")
    if scaled != scaled.to_integral_value():
        raise BadMessage(f"the amount has more decimals than {currency.code}")
    return int(scaled)


def major(value: int, currency: Currency) -> Decimal:
    """Minor units as the decimal number that messages carry."""
    return Decimal(value).scaleb(-currency.exponent)


def currency_of(code: str) -> Currency:
    """The currency of an alphabetic code. BadMessage."""
    try:
        return Currency.by_code(code)
    except MoneyError:
        raise BadMessage(f"no currency {code}") from None


def _checked(shape: Shape, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadMessage(f"{path} is missing or no object")
    for name, rule in shape.items():
        here = f"{path}.{name}"
        part = value.get(name)
        if isinstance(rule, Rule):
            if part is None:
                if rule.must:
                    raise BadMessage(f"{here} is missing")
            elif not rule.good(part):
                raise BadMessage(f"{here} is out of bounds")
        elif part is not None or not isinstance(rule, Maybe):
            _checked(rule, part, here)
    return {name: part for name, part in value.items() if part is not None}
