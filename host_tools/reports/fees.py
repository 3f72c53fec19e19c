"""What the acquirer should charge by its contract, against what its files say it did."""

import datetime
import tomllib
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, insert, literal, select

from host_tools.errors import UserError
from host_tools.reports.amounts import (
    currency_number,
    decimal_text,
    letters,
    minor_units,
    standard_exponent,
)
from host_tools.reports.chosen import CASH, SIGNS, Chosen, P
from host_tools.reports.report import (
    COUNT,
    MONEY,
    NAME,
    WORD,
    Column,
    Report,
    Row,
    total_rows,
)
from host_tools.reports.sums import about, all_rows, left_out, title
from host_tools.store.books import FeeRule, SettlementLine
from host_tools.texts import said

#: Millionths added before the division that leaves whole minor units. A half goes to the
#: merchant (half-down) unless the contract says another.
_ADDED = {"half-down": 499_999, "half-up": 500_000, "up": 999_999, "down": 0}
_MILLION = 1_000_000
_KEYS = {"tender", "brand", "aid", "currency", "from", "to", "rate", "fixed", "least", "most",
         "rounding", "refunds"}  # fmt: skip
R: Any = FeeRule.__table__.c
L: Any = SettlementLine.__table__.c


def rules(connection: Connection) -> list[FeeRule]:
    """The rules in the order in which they are tried."""
    rows = connection.execute(select(FeeRule.__table__).order_by(R.position))
    return [FeeRule(**row._mapping) for row in rows]


def fits(rule: FeeRule, payment: Any) -> bool:
    """Whether ``rule`` is about ``payment`` (a row of the table)."""
    return (
        payment.tender != CASH
        and rule.tender in (None, payment.tender)
        and (rule.brand is None or rule.brand.lower() == (payment.brand or "").lower())
        and (rule.aid is None or (payment.aid or "").startswith(rule.aid))
        and rule.currency in (None, payment.currency)
        and (rule.first_day or "") <= payment.business_date <= (rule.last_day or "9999-99-99")
    )


def fee(rule: FeeRule, amount: int, sign: int) -> int:
    """What ``amount`` (unsigned) costs; ``sign``: 1 for a sale, -1 for a refund, whose fee is
    given back (negative) or nothing."""
    if sign < 0 and not rule.refunds:
        return 0
    cost = (amount * rule.rate_ppm + _ADDED[rule.rounding]) // _MILLION + rule.fixed
    if rule.least is not None:
        cost = max(cost, rule.least)
    if rule.most is not None:
        cost = min(cost, rule.most)
    return sign * cost


def expected(known: list[FeeRule], payment: Any) -> int | None:
    """The fee of a payment; None when no rule is about it."""
    for rule in known:
        if fits(rule, payment):
            return fee(rule, payment.amount, SIGNS.get(payment.type, 0))
    return None


def _sql_fits(rule: FeeRule) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [P.tender != CASH]
    if rule.tender is not None:
        parts.append(P.tender == rule.tender)
    if rule.brand is not None:
        parts.append(func.lower(func.coalesce(P.brand, "")) == rule.brand.lower())
    if rule.aid is not None:
        parts.append(P.aid.startswith(rule.aid, autoescape=True))
    if rule.currency is not None:
        parts.append(P.currency == rule.currency)
    if rule.first_day is not None:
        parts.append(P.business_date >= rule.first_day)
    if rule.last_day is not None:
        parts.append(P.business_date <= rule.last_day)
    return and_(*parts)


def _sql_fee(rule: FeeRule, sign: "ColumnElement[int]") -> "ColumnElement[Any]":
    """``fee`` as the database computes it: the same integers."""
    cost: Any = (P.amount * rule.rate_ppm + _ADDED[rule.rounding]) // _MILLION + rule.fixed
    if rule.least is not None:
        cost = case((cost < rule.least, rule.least), else_=cost)
    if rule.most is not None:
        cost = case((cost > rule.most, rule.most), else_=cost)
    given_back = -cost if rule.refunds else literal(0)
    return case((sign > 0, cost), (sign < 0, given_back), else_=literal(0))


def sql_sign() -> "ColumnElement[int]":
    """SIGNS as the database reads it."""
    return case(
        *((P.type == type, literal(sign)) for type, sign in SIGNS.items()), else_=literal(0)
    )


def _sql_expected(known: list[FeeRule]) -> "ColumnElement[Any]":
    if not known:
        return literal(None, P.amount.type)
    sign = sql_sign()
    return case(*((_sql_fits(rule), _sql_fee(rule, sign)) for rule in known), else_=None)


def settles() -> ColumnElement[bool]:
    """Joins a payment with the line that settled it."""
    return and_(
        L.terminal_id == P.terminal_id,
        L.epoch == P.epoch,
        L.request_sequence == P.request_sequence,
    )


def compared(connection: Connection, which: Chosen) -> Report:
    """By tender, brand and currency: the fee expected, and of what was settled the fee charged."""
    known = rules(connection)
    cost = _sql_expected(known)
    told = L.fee.is_not(None)
    brand = func.coalesce(P.brand, "")  # one object: PostgreSQL compares what it groups by
    statement = (
        select(
            P.tender, brand.label("brand"), P.currency, P.exponent,
            func.count().label("payments"), func.sum(sql_sign() * P.amount).label("amount"),
            func.sum(cost).label("expected"),
            (func.count() - func.count(cost)).label("without"),
            func.count(L.fee).label("settled"),
            func.sum(case((told, cost), else_=None)).label("expected_settled"),
            func.sum(L.fee).label("charged"),
        )
        .select_from(P.id.table.outerjoin(SettlementLine.__table__, settles()))
        .where(*which.where("approved"), P.tender != CASH, P.type.in_(list(SIGNS)))
        .group_by(P.tender, brand, P.currency, P.exponent)
        .order_by(P.tender, brand, P.currency, P.exponent)
    )  # fmt: skip
    rows, without = [], 0
    for found in all_rows(connection, statement):
        row: Row = {key: value for key, value in found._mapping.items() if key != "without"}
        for key in ("amount", "expected", "expected_settled", "charged"):
            row[key] = int(row[key]) if row[key] is not None else None
        known_both = row["expected_settled"] is not None and row["charged"] is not None
        row["difference"] = row["charged"] - row["expected_settled"] if known_both else None
        without += found.without
        rows.append(row)
    columns = [
        Column("tender", said("Tender"), WORD),
        Column("brand", said("Brand"), NAME),
        Column("currency", said("Currency")),
        Column("payments", said("Payments"), COUNT),
        Column("amount", said("Net"), MONEY),
        Column("expected", said("Fee expected"), MONEY),
        Column("settled", said("Settled"), COUNT),
        Column("expected_settled", said("Expected of these"), MONEY),
        Column("charged", said("Fee charged"), MONEY),
        Column("difference", said("Charged too much"), MONEY),
    ]
    report = Report("fees", title("fees", which), columns, rows, about=about(which))
    report.totals = total_rows(report, "tender")
    report.notes = left_out(connection, which)
    if without:
        report.notes.append(
            said("{count} payments fit no fee rule; till reconcile fees --set FILE gives rules",
                 count=without)
        )  # fmt: skip
    return report


def read_rules(path: Path) -> list[FeeRule]:
    """The rules of a TOML file (docs/pc.md). UserError names file, rule and key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as refusal:
        raise UserError(f"{path}: {refusal}") from None
    found = table.get("rule")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UserError(said("{path}: no rules; each begins with [[rule]]", path=path))
    return [_rule(path, at, one) for at, one in enumerate(found, 1)]


def _rule(path: Path, at: int, table: dict[str, Any]) -> FeeRule:
    def refuse(key: str, wanted: str) -> UserError:
        return UserError(
            said("{path}: rule {at}: {key} must be {wanted}", path=path, at=at, key=key,
                 wanted=wanted)
        )  # fmt: skip

    for key in table:
        if key not in _KEYS:
            raise refuse(repr(key)[:30], said("one of {keys}", keys=", ".join(sorted(_KEYS))))
    for key in _KEYS - {"from", "to", "refunds"}:
        if key in table and not isinstance(table[key], str):
            raise refuse(key, said("a text in quotes"))
    currency = currency_number(table["currency"]) if "currency" in table else None
    money = {}
    for key in ("fixed", "least", "most"):
        if key in table and currency is None:
            raise refuse("currency", said("given where {key} is", key=key))
        value = minor_units(table[key], standard_exponent(currency or 0)) if key in table else None
        if key in table and (value is None or value < 0):
            raise refuse(key, said("an amount such as 0.10"))
        money[key] = value
    ppm = _ppm(table.get("rate", ""))
    if ppm is None:
        raise refuse("rate", said("a share such as 0.38%, with at most four decimals"))
    rounding = table.get("rounding", "half-down")
    if rounding not in _ADDED:
        raise refuse("rounding", said("one of {keys}", keys=", ".join(_ADDED)))
    days = {}
    for key in ("from", "to"):
        day = table.get(key)
        if day is not None and type(day) is not datetime.date:
            raise refuse(key, said("a day such as 2026-01-31, without quotes"))
        days[key] = day.isoformat() if day is not None else None
    refunds = table.get("refunds", "kept")
    if refunds not in ("kept", "back"):
        raise refuse("refunds", said("one of {keys}", keys="kept, back"))
    return FeeRule(
        position=at, tender=table.get("tender"), brand=table.get("brand"), aid=table.get("aid"),
        currency=currency, first_day=days["from"], last_day=days["to"], rate_ppm=ppm,
        fixed=money["fixed"] or 0, least=money["least"], most=money["most"], rounding=rounding,
        refunds=refunds == "back",
    )  # fmt: skip


def _ppm(rate: str) -> int | None:
    if not rate.endswith("%"):
        return None
    ppm = minor_units(rate[:-1].strip(), 4)
    return ppm if ppm is not None and 0 <= ppm <= _MILLION else None


def replace_rules(connection: Connection, found: list[FeeRule]) -> None:
    """Keep these rules in place of all others."""
    connection.execute(delete(FeeRule))
    if found:
        connection.execute(insert(FeeRule), [rule.as_dict() for rule in found])


def _told(amount: int | None, currency: int | None) -> str:
    if currency is None or amount is None:
        return ""
    return decimal_text(amount, standard_exponent(currency))


def rules_report(connection: Connection) -> Report:
    """The rules as a table."""
    rows = [
        {
            "position": rule.position,
            "tender": rule.tender or "*",
            "brand": rule.brand or rule.aid or "*",
            "currency": letters(rule.currency) if rule.currency is not None else "*",
            "days": f"{rule.first_day or '...'} - {rule.last_day or '...'}",
            "rate": decimal_text(rule.rate_ppm, 4) + "%",
            "fixed": _told(rule.fixed, rule.currency),
            "least": _told(rule.least, rule.currency),
            "most": _told(rule.most, rule.currency),
            "rounding": rule.rounding,
            "refunds": "back" if rule.refunds else "kept",
        }
        for rule in rules(connection)
    ]
    headings = {
        "position": said("Rule"), "tender": said("Tender"), "brand": said("Brand"),
        "currency": said("Currency"), "days": said("Days"), "rate": said("Rate"),
        "fixed": said("Fixed"), "least": said("Least"), "most": said("Most"),
        "rounding": said("Rounding"), "refunds": said("Refunds"),
    }  # fmt: skip
    columns = [Column(key, heading) for key, heading in headings.items()]
    return Report("fee rules", said("Fee rules"), columns, rows)
