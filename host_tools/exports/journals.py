"""The double-entry journal as text: beancount, hledger, ledger."""

import re
from collections.abc import Callable, Iterator

from host_tools.exports.data import Data
from host_tools.exports.postings import Entry
from host_tools.reports.amounts import decimal_text, letters, printable

#: A day before any payment, from which beancount's accounts are open.
_OPEN = "1970-01-01"
#: What has a meaning in the descriptions and comments of hledger and ledger.
_MEANT = re.compile(r"[^\w .,#/*+-]")


def _plain(text: str) -> str:
    """``text`` on one line, with nothing that a journal reads as more than words: no comment,
    code, tag, date in brackets or second column."""
    return " ".join(_MEANT.sub("_", printable(text)).replace("*", "x").split())


def _commodity(currency: int) -> str:
    """As a journal writes it: one with a digit in its name is quoted."""
    name = letters(currency)
    return name if name.isalpha() else f'"{name}"'


def _amount(minor: int, entry: Entry, commodity: str) -> str:
    return f"{decimal_text(minor, entry.exponent)} {commodity}"


def beancount_bytes(data: Data) -> Iterator[bytes]:
    """For beancount (bean-check)."""
    yield b'option "title" "OpenTill"\n'
    for currency, _ in data.currencies():
        yield f'option "operating_currency" "{letters(currency)}"\n'.encode()
    for name in data.accounts.names():
        yield f"{_OPEN} open {name}\n".encode()
    for entry in data.entries():
        lines = [
            f"\n{entry.day} * {_quoted(entry.text)}",
            f"  key: {_quoted(entry.key)}",
            *([f"  note: {_quoted(entry.note)}"] if entry.note else []),
            *(
                f"  {account}  {_amount(minor, entry, letters(entry.currency))}"
                for account, minor in entry.lines
            ),
        ]
        yield ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def hledger_bytes(data: Data) -> Iterator[bytes]:
    """For hledger (hledger check --strict)."""
    yield b"decimal-mark .\n"
    return (yield from _journal(data, _hledger_commodity))


def _hledger_commodity(sample: str) -> str:
    number, name = sample.split(" ")
    return f"commodity {number}{'' if '.' in number else '.'} {name}\n"


def ledger_bytes(data: Data) -> Iterator[bytes]:
    """For ledger (ledger --pedantic)."""
    return (yield from _journal(data, _ledger_commodity))


def _ledger_commodity(sample: str) -> str:
    return f"commodity {sample.split(' ')[1]}\n    format {sample}\n"


def _journal(data: Data, declared: Callable[[str], str]) -> Iterator[bytes]:
    decimals: dict[int, int] = {}
    for currency, exponent in data.currencies():
        decimals[currency] = max(exponent, decimals.get(currency, 0))
    for currency, exponent in decimals.items():
        yield declared(
            f"{decimal_text(1000 * 10**exponent, exponent)} {_commodity(currency)}"
        ).encode()
    for name in data.accounts.names():
        yield f"account {name}\n".encode()
    for entry in data.entries():
        words = _plain(f"{entry.text} {entry.key} {entry.note}")
        lines = [
            f"\n{entry.day} * {words}",
            *(
                f"    {account}  {_amount(minor, entry, _commodity(entry.currency))}"
                for account, minor in entry.lines
            ),
        ]
        yield ("\n".join(lines) + "\n").encode("utf-8", "replace")
