"""Finds for each line of a settlement file the payment that it settles.

By RRN (with authorisation code and terminal where both ends have them); without RRN by
authorisation code and amount; without either by the card's last four digits, amount and day.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from host_tools.reconcile.column_map import Calendar
from host_tools.reconcile.lines import Line
from host_tools.reports.amounts import decimal_text
from host_tools.reports.chosen import CASH, SIGNS, P
from host_tools.reports.fees import expected, rules
from host_tools.store.books import SettlementLine
from host_tools.store.models import Payment, Terminal
from host_tools.texts import said

L: Any = SettlementLine.__table__.c
MATCHED, AMOUNT, FEE, DATE = "matched", "amount", "fee", "date"
MISSING_HERE, MISSING_THERE, DUPLICATE, PENDING = (
    "missing_here", "missing_there", "duplicate", "pending",
)  # fmt: skip
#: States that are no difference.
WELL = (MATCHED, PENDING)
#: A reference may be used again; a payment further away than this is another one.
_NEAR = datetime.timedelta(days=31)


@dataclass(frozen=True)
class Result:
    """A line, a payment, or both, and how they compare. ``fee``: what the rules expect."""

    state: str
    line: Line | None
    payment: Any
    details: list[str] = field(default_factory=list)
    fee: int | None = None


class _Candidates:
    """Payments that lines may settle, by what lines know of them."""

    def __init__(self, payments: Iterable[Any]) -> None:
        self.all = list(payments)
        self.used: set[int] = set()
        self._by_rrn: dict[str, list[Any]] = defaultdict(list)
        self._by_auth: dict[tuple[str, int, int], list[Any]] = defaultdict(list)
        self._by_card: dict[tuple[str, int, int, str], list[Any]] = defaultdict(list)
        for payment in self.all:
            amount = signed(payment)
            if payment.rrn:
                self._by_rrn[payment.rrn].append(payment)
            if payment.auth_code:
                self._by_auth[(payment.auth_code, payment.currency, amount)].append(payment)
            if payment.pan_masked:
                card = (payment.pan_masked[-4:], payment.currency, amount, payment.business_date)
                self._by_card[card].append(payment)

    def find(self, line: Line) -> tuple[Any, bool]:
        """(the payment or None, whether one would fit but is settled already)."""
        if line.rrn:
            fitting = [one for one in self._by_rrn.get(line.rrn, ()) if _agree(line, one)]
            fitting = fitting or [one for one in self._same_code(line) if not one.rrn]
        elif line.auth_code:
            fitting = self._same_code(line)
        else:
            card = (line.card[-4:], line.currency, line.amount, line.day.isoformat())
            fitting = [one for one in self._by_card.get(card, ()) if _agree(line, one)]
        free = [one for one in fitting if one.id not in self.used]
        if not free:
            return None, bool(fitting)
        found = min(free, key=lambda one: (signed(one) != line.amount, _apart(line, one), one.id))
        self.used.add(found.id)
        return found, False

    def _same_code(self, line: Line) -> list[Any]:
        key = (line.auth_code, line.currency, line.amount)
        return [one for one in self._by_auth.get(key, ()) if _agree(line, one)]


def signed(payment: Any) -> int:
    """The amount as the merchant sees it."""
    return int(SIGNS.get(payment.type, 0) * payment.amount)


def _apart(line: Line, payment: Any) -> datetime.timedelta:
    day = payment.business_date
    return abs(line.day - datetime.date.fromisoformat(day)) if day else datetime.timedelta(0)


def _agree(line: Line, payment: Any) -> bool:
    """Whether nothing speaks against their being one."""
    ours = (payment.auth_code or "", payment.terminal_no or "", payment.merchant_id or "")
    theirs = (line.auth_code, line.terminal, line.merchant)
    if (line.currency, line.exponent) != (payment.currency, payment.exponent):
        return False
    if any(our and their and our.strip() != their for our, their in zip(ours, theirs, strict=True)):
        return False
    return (line.amount < 0) == (signed(payment) < 0) and _apart(line, payment) <= _NEAR


def compare(
    connection: Connection, lines: list[Line], calendar: Calendar, file_id: int | None
) -> list[Result]:
    """Every line in order, then the payments that no line settles. Lines of the file
    ``file_id`` that are kept already count for nothing."""
    if not lines:
        return []
    known = rules(connection)
    first, last = min(line.day for line in lines), max(line.day for line in lines)
    candidates = _Candidates(_payments(connection, first - _NEAR, last + _NEAR))
    settled = _settled(connection, file_id)
    for payment in candidates.all:
        if (payment.terminal_id, payment.epoch, payment.request_sequence) in settled:
            candidates.used.add(payment.id)
    results = []
    for line in lines:
        payment, before = candidates.find(line)
        if payment is None:
            text = said("settled already") if before else said("no such payment here")
            results.append(Result(DUPLICATE if before else MISSING_HERE, line, None, [text]))
        else:
            results.append(_compared(line, payment, calendar, expected(known, payment)))
    return results + _not_there(candidates, lines, calendar, first, last)


def _payments(connection: Connection, first: datetime.date, last: datetime.date) -> Iterable[Any]:
    return connection.execute(
        select(*P, Terminal.serial).select_from(Payment).join(Terminal)
        .where(P.outcome == "approved", P.test == False, P.tender != CASH,  # noqa: E712
               P.business_date >= first.isoformat(), P.business_date <= last.isoformat(),
               P.type.in_(list(SIGNS)))
        .order_by(P.business_date, P.local_time, P.id)
    )  # fmt: skip


def _settled(connection: Connection, file_id: int | None) -> set[tuple[int, int, int]]:
    statement = select(L.terminal_id, L.epoch, L.request_sequence).where(L.terminal_id.is_not(None))
    if file_id is not None:
        statement = statement.where(L.file_id != file_id)
    return {(row[0], row[1], row[2]) for row in connection.execute(statement)}


def _compared(line: Line, payment: Any, calendar: Calendar, fee: int | None) -> Result:
    details: list[tuple[str, str]] = []
    if line.amount != signed(payment):
        details.append((AMOUNT, _differs(said("amount"), signed(payment), line.amount, line)))
    elif fee is not None and line.fee is not None and fee != line.fee:
        details.append((FEE, _differs(said("fee"), fee, line.fee, line)))
    if line.net is not None and line.net != line.amount - (line.fee or 0):
        text = _differs(said("net"), line.amount - (line.fee or 0), line.net, line)
        details.append((FEE, text))
    local = payment.local_time
    days = {payment.business_date, f"{local[:4]}-{local[4:6]}-{local[6:8]}"}
    if line.day.isoformat() not in days:
        details.append((DATE, said("day: {ours} here, {theirs} there",
                                   ours=payment.business_date, theirs=line.day)))  # fmt: skip
    due = calendar.due(line.day)
    if line.settled is not None and line.settled != due:
        details.append((DATE, said("settled: {due} expected, {day} there", due=due,
                                   day=line.settled)))  # fmt: skip
    state = next(
        (one for one in (AMOUNT, FEE, DATE) for kind, _ in details if kind == one), MATCHED
    )
    return Result(state, line, payment, [text for _, text in details], fee)


def _differs(what: str, ours: int, theirs: int, line: Line) -> str:
    return said("{what}: {ours} here, {theirs} there", what=what,
                ours=decimal_text(ours, line.exponent),
                theirs=decimal_text(theirs, line.exponent))  # fmt: skip


def _not_there(
    candidates: _Candidates, lines: list[Line], calendar: Calendar, first: datetime.date,
    last: datetime.date,
) -> list[Result]:  # fmt: skip
    """Payments of the file's days, currencies, merchants and terminals that it has not."""
    currencies = {line.currency for line in lines}
    merchants = {line.merchant for line in lines} - {""}
    terminals = {line.terminal for line in lines} - {""}
    paid_to = max(line.settled or calendar.due(line.day) for line in lines)
    found = []
    for payment in candidates.all:
        inside = first.isoformat() <= payment.business_date <= last.isoformat()
        if payment.id in candidates.used or not inside or payment.currency not in currencies:
            continue
        if merchants and payment.merchant_id and payment.merchant_id.strip() not in merchants:
            continue
        if terminals and payment.terminal_no and payment.terminal_no.strip() not in terminals:
            continue
        due = calendar.due(datetime.date.fromisoformat(payment.business_date))
        if due > paid_to:
            found.append(Result(PENDING, None, payment, [said("due on {day}", day=due)]))
        else:
            text = said("not in the file; was due on {day}", day=due)
            found.append(Result(MISSING_THERE, None, payment, [text]))
    return found
