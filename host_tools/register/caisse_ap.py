"""Caisse-AP over IP, version 03.00: the French protocol on the shop's network, plain text.

One connection carries one request and one answer: fields of two letters, three digits of
length and a value. The answer goes out in one segment, for registers read once.
"""

from host_tools.errors import UserError
from host_tools.register import gate as core
from host_tools.register.gate import Answer, End, Gate

ADAPTER = "caisse"
VERSION = "0300"
#: The longest request, and the longest value in it.
MOST, MOST_VALUE = 1024, 99
NEEDED = ("CZ", "CJ", "CA", "CE", "CB", "CD")
#: AF: why.
AUTHORISED, REFUSED, GIVEN_UP, NOT_DONE, TIMEOUT, FORMAT, OPERATOR, ACTION, CURRENCY = (
    "01", "04", "06", "07", "08", "09", "11", "12", "13",
)  # fmt: skip
_ENTRY = {"contact": "1", "contactless": "2", "stripe": "3", "keyed": "4"}


class NotCaisse(UserError):
    """The bytes are no request."""


def fields(raw: bytes) -> dict[str, str]:
    """The request's fields. NotCaisse."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise NotCaisse("not ASCII") from None
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        tag, size = text[place : place + 2], text[place + 2 : place + 5]
        if not (tag.isalpha() and tag.isupper() and len(size) == 3 and size.isdigit()):
            raise NotCaisse(f"no field at {place}")
        value = text[place + 5 : place + 5 + int(size)]
        if len(value) != int(size) or int(size) > MOST_VALUE or not value.isprintable():
            raise NotCaisse(f"{tag} is cut short or too long")
        if tag in found:
            raise NotCaisse(f"{tag} twice")
        found[tag] = value
        place += 5 + int(size)
    if list(found)[:1] != ["CZ"]:
        raise NotCaisse("CZ is first")
    return found


def complete(raw: bytes) -> bool:
    """Whether ``raw`` ends where a field ends and has all that a request needs."""
    try:
        return set(NEEDED) <= set(fields(raw))
    except NotCaisse:
        return False


def message(values: dict[str, str]) -> bytes:
    """Fields as they stand on the wire, CZ first."""
    ordered = {"CZ": VERSION, **values}
    return "".join(f"{tag}{len(value):03}{value}" for tag, value in ordered.items()).encode("ascii")


async def answer(gate: Gate, raw: bytes) -> bytes:
    """The answer to one request. NotCaisse: it cannot even be answered."""
    asked = fields(raw)
    missing = [tag for tag in NEEDED if tag not in asked]
    if missing:
        raise NotCaisse(f"{missing[0]} is missing")
    refusal = _objection(asked)
    if refusal:
        return message({**_echo(asked), "AE": "01", "AF": refusal})
    reference = core.fresh(ADAPTER, asked["CA"])
    result = await gate.start(
        core.Request(
            reference,
            core.digest(ADAPTER, reference.encode() + b"\x00" + raw),
            int(asked["CB"]),
            int(asked["CE"]),
            asked["CA"],
            "sale" if asked["CD"] == "0" else "refund",
        )
    )
    return _told(asked, result)


def _objection(asked: dict[str, str]) -> str:
    amount, currency = asked["CB"], asked["CE"]
    if not (amount.isdigit() and 0 < int(amount) <= 999_999_999_999):
        return FORMAT
    if len(currency) != 3 or not currency.isdigit():
        return CURRENCY
    if asked["CD"] not in ("0", "1") or asked.get("CC", "001") == "00C":
        return ACTION
    return ""


def _echo(asked: dict[str, str]) -> dict[str, str]:
    return {tag: asked[tag] for tag in ("CJ", "CA", "CB", "CD", "CE")}


def _told(asked: dict[str, str], result: Answer) -> bytes:
    """AE 10 for nothing but an approval; its amount is what was approved."""
    told = _echo(asked)
    if result.end is not End.APPROVED:
        return message({**told, "AE": "01", "AF": _reason(result)})
    told |= {"CB": f"{result.amount:02}", "AE": "10", "AF": AUTHORISED}
    for tag, value in (
        ("AA", result.pan),
        ("AC", result.authorisation),
        ("AI", result.aid),
        ("CC", "00U" if result.aid.startswith("A000000333") else "001"),
        ("CI", _ENTRY.get(result.entry, "")),
    ):
        if value:
            told[tag] = value
    return message(told)


def _reason(result: Answer) -> str:
    match result.end:
        case End.DECLINED:
            return REFUSED
        case End.CANCELLED:
            return OPERATOR if result.reason == core.ABORTED else GIVEN_UP
        case End.REFUSED if result.reason == "currency":
            return CURRENCY
        case End.REFUSED if result.reason == "kind":
            return ACTION
        case End.PROGRESS | End.UNKNOWN:
            return TIMEOUT
    return NOT_DONE
