"""The journal as XML: OFX 2.2 (the clearing account's statement) and GnuCash's own file."""

import datetime
import hashlib
from collections.abc import Iterator
from xml.sax.saxutils import escape

from host_tools.errors import UserError
from host_tools.exports.data import Data
from host_tools.exports.postings import Entry
from host_tools.reports.amounts import decimal_text, has_letters, letters, printable
from host_tools.texts import said

#: GnuCash's type of an account by the first part of its name.
_TYPES = {"Assets": "ASSET", "Liabilities": "LIABILITY", "Income": "INCOME",
          "Expenses": "EXPENSE", "Equity": "EQUITY"}  # fmt: skip
_SPACES = ("gnc", "act", "book", "cd", "cmdty", "slot", "split", "trn", "ts")


def _text(text: str, most: int = 255) -> str:
    return escape(printable(text)[:most])


def _need_letters(data: Data, program: str) -> list[tuple[int, int]]:
    found = data.currencies()
    for currency, _ in found:
        if not has_letters(currency):
            raise UserError(
                said("currency {number} has no letters in ISO 4217, which {program} needs; choose "
                     "others by --currency", number=currency, program=program)
            )  # fmt: skip
    return found


def ofx_bytes(data: Data) -> Iterator[bytes]:
    """OFX 2.2: for each currency a statement of what the acquirer owes and settled."""
    currencies = _need_letters(data, "OFX")
    at = data.which.last.replace("-", "") + "000000"
    yield (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        '<?OFX OFXHEADER="200" VERSION="220" SECURITY="NONE" OLDFILEUID="NONE" '
        'NEWFILEUID="NONE"?>\n<OFX>\n<SIGNONMSGSRSV1><SONRS><STATUS><CODE>0</CODE>'
        f"<SEVERITY>INFO</SEVERITY></STATUS><DTSERVER>{at}</DTSERVER><LANGUAGE>ENG</LANGUAGE>"
        "</SONRS></SIGNONMSGSRSV1>\n"
    ).encode()
    if currencies:
        yield b"<BANKMSGSRSV1>\n"
    for at_row, (currency, exponent) in enumerate(currencies):
        yield from _statement(data, at_row + 1, currency, exponent)
    yield b"</BANKMSGSRSV1>\n</OFX>\n" if currencies else b"</OFX>\n"


def _statement(data: Data, number: int, currency: int, exponent: int) -> Iterator[bytes]:
    name = letters(currency)
    begin, end = (day.replace("-", "") for day in (data.which.first, data.which.last))
    yield (
        f"<STMTTRNRS><TRNUID>{number}</TRNUID><STATUS><CODE>0</CODE><SEVERITY>INFO</SEVERITY>"
        f"</STATUS><STMTRS><CURDEF>{name}</CURDEF><BANKACCTFROM><BANKID>OPENTILL</BANKID>"
        f"<ACCTID>CLEARING-{name}-{exponent}</ACCTID><ACCTTYPE>CHECKING</ACCTTYPE></BANKACCTFROM>\n"
        f"<BANKTRANLIST><DTSTART>{begin}</DTSTART><DTEND>{end}</DTEND>\n"
    ).encode()
    balance = 0
    for entry in data.entries():
        if (entry.currency, entry.exponent) != (currency, exponent):
            continue
        moved = sum(minor for account, minor in entry.lines if account == data.accounts.clearing)
        if moved:
            balance += moved
            yield _movement(entry, moved)
    yield (
        f"</BANKTRANLIST>\n<LEDGERBAL><BALAMT>{decimal_text(balance, exponent)}</BALAMT>"
        f"<DTASOF>{end}</DTASOF></LEDGERBAL></STMTRS></STMTTRNRS>\n"
    ).encode()


def _movement(entry: Entry, moved: int) -> bytes:
    memo = f"<MEMO>{_text(entry.note)}</MEMO>" if entry.note else ""
    return (
        f"<STMTTRN><TRNTYPE>{'CREDIT' if moved > 0 else 'DEBIT'}</TRNTYPE>"
        f"<DTPOSTED>{entry.day.replace('-', '')}</DTPOSTED>"
        f"<TRNAMT>{decimal_text(moved, entry.exponent)}</TRNAMT>"
        f"<FITID>{_text(entry.key)}</FITID><NAME>{_text(entry.text, 32)}</NAME>{memo}</STMTTRN>\n"
    ).encode("utf-8", "replace")


def gnucash_bytes(data: Data) -> Iterator[bytes]:
    """GnuCash's XML, not compressed; each account has a leaf for each currency."""
    currencies = _need_letters(data, "GnuCash")
    tree = _tree(data.accounts.names(), currencies)
    spaces = " ".join(f'xmlns:{name}="http://www.gnucash.org/XML/{name}"' for name in _SPACES)
    names = sorted({letters(currency) for currency, _ in currencies})
    yield (
        f'<?xml version="1.0" encoding="utf-8" ?>\n<gnc-v2 {spaces}>\n'
        '<gnc:count-data cd:type="book">1</gnc:count-data>\n<gnc:book version="2.0.0">\n'
        f'<book:id type="guid">{_guid("book")}</book:id>\n'
        f'<gnc:count-data cd:type="commodity">{len(names)}</gnc:count-data>\n'
        f'<gnc:count-data cd:type="account">{len(tree) + 1}</gnc:count-data>\n'
    ).encode()
    for name in names:
        yield f'<gnc:commodity version="2.0.0">{_commodity(name)}</gnc:commodity>\n'.encode()
    yield (
        '<gnc:account version="2.0.0"><act:name>Root Account</act:name>'
        f'<act:id type="guid">{_guid("account:")}</act:id><act:type>ROOT</act:type></gnc:account>\n'
    ).encode()
    for path, name, exponent in tree:
        yield _account(path, name, exponent)
    for entry in data.entries():
        yield _transaction(entry)
    yield b"</gnc:book>\n</gnc-v2>\n"


def _guid(name: str) -> str:
    """32 hex digits that follow from the name alone."""
    return hashlib.sha256(b"OpenTill GnuCash " + name.encode("utf-8", "replace")).hexdigest()[:32]


def _commodity(name: str) -> str:
    return f"<cmdty:space>CURRENCY</cmdty:space><cmdty:id>{name}</cmdty:id>"


def _tree(names: list[str], currencies: list[tuple[int, int]]) -> list[tuple[str, str, int]]:
    """(path, commodity, decimals), parents first."""
    found: dict[str, tuple[str, int]] = {}
    first = (letters(currencies[0][0]), currencies[0][1]) if currencies else ("", 0)
    for name in names:
        parts = name.split(":")
        for depth in range(1, len(parts) + 1):
            found.setdefault(":".join(parts[:depth]), first)
        for currency, exponent in currencies:
            found[_leaf(name, currency, exponent)] = (letters(currency), exponent)
    if not currencies:
        return []
    return [(path, *found[path]) for path in sorted(found, key=lambda path: path.split(":"))]


def _leaf(account: str, currency: int, exponent: int) -> str:
    return f"{account}:{letters(currency)}-{exponent}"


def _account(path: str, commodity: str, exponent: int) -> bytes:
    parent, _, name = path.rpartition(":")
    return (
        f'<gnc:account version="2.0.0"><act:name>{name}</act:name>'
        f'<act:id type="guid">{_guid("account:" + path)}</act:id>'
        f"<act:type>{_TYPES[path.split(':')[0]]}</act:type>"
        f"<act:commodity>{_commodity(commodity)}</act:commodity>"
        f"<act:commodity-scu>{10**exponent}</act:commodity-scu>"
        f'<act:parent type="guid">{_guid("account:" + parent)}</act:parent></gnc:account>\n'
    ).encode()


def _transaction(entry: Entry) -> bytes:
    # GnuCash takes a day at 10:59 UTC, which is that day in every time zone.
    posted = f"<ts:date>{entry.day} 10:59:00 +0000</ts:date>"
    entered = f"<ts:date>{_entered(entry)}</ts:date>"
    splits = []
    for at, (account, minor) in enumerate(entry.lines):
        value = f"{minor}/{10**entry.exponent}"
        leaf = _leaf(account, entry.currency, entry.exponent)
        splits.append(
            f'<trn:split><split:id type="guid">{_guid(f"split:{entry.key}:{at}")}</split:id>'
            f"<split:reconciled-state>n</split:reconciled-state><split:value>{value}</split:value>"
            f'<split:quantity>{value}</split:quantity><split:account type="guid">'
            f"{_guid('account:' + leaf)}</split:account></trn:split>"
        )
    text = _text(f"{entry.text} {entry.note}".strip())
    return (
        '<gnc:transaction version="2.0.0">'
        f'<trn:id type="guid">{_guid("transaction:" + entry.key)}</trn:id>'
        f"<trn:currency>{_commodity(letters(entry.currency))}</trn:currency>"
        f"<trn:num>{_text(entry.key)}</trn:num><trn:date-posted>{posted}</trn:date-posted>"
        f"<trn:date-entered>{entered}</trn:date-entered>"
        f"<trn:description>{text}</trn:description>"
        f"<trn:splits>{''.join(splits)}</trn:splits></gnc:transaction>\n"
    ).encode("utf-8", "replace")


def _entered(entry: Entry) -> str:
    if entry.moment is not None and 0 <= entry.moment < 1 << 36:
        told = datetime.datetime.fromtimestamp(entry.moment, datetime.UTC)
        return told.strftime("%Y-%m-%d %H:%M:%S +0000")
    return f"{entry.day} 10:59:00 +0000"
