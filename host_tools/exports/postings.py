"""Double entry: what each payment and each settled line moves (docs/pc.md, Posting).

Every entry is of one currency and its lines add up to zero. What the acquirer still owes is the
balance of the clearing account.
"""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.reports.chosen import CASH, SIGNS
from host_tools.texts import said

#: What beancount, hledger, ledger and GnuCash all take as an account's name.
_NAME = re.compile(r"(Assets|Liabilities|Income|Expenses|Equity)(:[A-Z0-9][A-Za-z0-9-]{0,39}){1,6}")


@dataclass(frozen=True)
class Accounts:
    """The chart: which account each kind of money goes to."""

    clearing: str = "Assets:Clearing:Acquirer"
    cash: str = "Assets:Cash"
    bank: str = "Assets:Bank"
    income: str = "Income:Sales"
    tips: str = "Liabilities:Tips"
    fees: str = "Expenses:Fees"
    unmatched: str = "Liabilities:Unmatched"

    def names(self) -> list[str]:
        """All of them, in order, each once."""
        return sorted({getattr(self, one.name) for one in fields(self)})


@dataclass(frozen=True)
class Entry:
    """``lines``: (account, minor units), debit positive. ``key`` names it for ever; ``text`` and
    ``note`` are from outside. ``moment``: Unix seconds or None."""

    day: str
    key: str
    text: str
    note: str
    currency: int
    exponent: int
    moment: int | None
    lines: tuple[tuple[str, int], ...]


def read_accounts(path: Path | None) -> Accounts:
    """The chart of a TOML file: ``clearing = "Assets:..."`` and so on. UserError."""
    if path is None:
        return Accounts()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as refusal:
        raise UserError(f"{path}: {refusal}") from None
    known = [one.name for one in fields(Accounts)]
    for key, name in table.items():
        if key not in known:
            raise UserError(
                said("{path}: no account {key}; there are {known}", path=path, key=repr(key)[:30],
                     known=", ".join(known))
            )  # fmt: skip
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserError(
                said("{path}: {key}: an account is named like Assets:Bank:Main (letters, digits "
                     "and - in English)", path=path, key=key)
            )  # fmt: skip
    chart = Accounts(**table)
    if chart.clearing in [getattr(chart, key) for key in known if key != "clearing"]:
        raise UserError(said("{path}: clearing must be an account of its own", path=path))
    return chart


def payment_entry(row: Any, accounts: Accounts) -> Entry:
    """An approved payment of a type in SIGNS."""
    sign = SIGNS[row.type]
    into = accounts.cash if row.tender == CASH else accounts.clearing
    sums: dict[str, int] = {}
    for account, amount in (
        (into, row.amount),
        (accounts.income, row.tip + row.cashback - row.amount),
        (accounts.tips, -row.tip),
        (accounts.cash, -row.cashback),
    ):
        sums[account] = sums.get(account, 0) + sign * amount
    brand = row.brand or row.tender
    return Entry(
        row.business_date,
        f"{row.serial}-{row.epoch}-{row.request_sequence}",
        f"{row.type} {brand}",
        " ".join(part for part in (row.pan_masked, row.rrn, row.register_reference) if part),
        row.currency, row.exponent, row.requested_at,
        tuple((account, amount) for account, amount in sums.items() if amount),
    )  # fmt: skip


def settlement_entry(row: Any, accounts: Accounts) -> Entry:
    """A line of an acquirer's file; money for a payment that is not here waits as a debt."""
    fee = row.fee or 0
    gross = accounts.clearing if row.terminal_id is not None else accounts.unmatched
    lines = ((accounts.bank, row.amount - fee), (accounts.fees, fee), (gross, -row.amount))
    return Entry(
        row.settled_day,
        f"{row.digest[:16]}-{row.line}",
        "settlement",
        " ".join(part for part in (row.pan_masked, row.rrn) if part),
        row.currency, row.exponent, None,
        tuple((account, amount) for account, amount in lines if amount),
    )  # fmt: skip
