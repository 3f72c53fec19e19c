"""Exports as their own readers see them: other authors' programs, and the same bytes each time."""

import csv
import datetime
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from beancount import loader
from beancount.core import data as beans
from ofxtools.Parser import OFXTree

from host_tools import texts
from host_tools.errors import UserError
from host_tools.exports import files
from host_tools.exports.cells import text_cell
from host_tools.exports.data import Data
from host_tools.exports.postings import Accounts, read_accounts
from host_tools.reports import kinds
from host_tools.reports.chosen import Chosen
from host_tools.store import database
from tests.support import filled_store as filled
from tests.support.gnucash import balances

YEAR = Chosen("2026-01-01", "2026-12-31")
FORMATS = ("csv", "xlsx", "jsonl", "ofx", "gnucash", "beancount", "hledger", "ledger")
#: What a merchant, a card or a register might carry to hurt whoever reads the file.
HOSTILE = (
    '=HYPERLINK("http://x")', "+1", "-2+3", "@SUM(A1)", "\t=1", "＝1", " =1", 'a";b', "a\r\nb",
    "</NAME><TRNAMT>1", "]]>&amp;", "date:2020-01-01, x", "[2020-01-01]", "; comment", "a  b 5 USD",
    '" #tag ^link', "\\", "a\x00\x1b[2Jb\u202e", "\ufffe\ud800", "(code) * !", "| note", "超市 Ω",
    "{1 CNY}", "@@ 5 USD", "* 2020-01-01 open",
)  # fmt: skip


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    texts.use("en")
    yield
    texts.use("")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[database.Store]:
    opened = filled.opened(tmp_path / "store.sqlite")
    opened.change(lambda writing: filled.terminal(writing, "OT000001", 1))
    opened.change(lambda writing: filled.terminal(writing, "OT000002", 2))
    yield opened
    opened.close()


def exported(
    store: database.Store, format: str, out: Path, which: Chosen = YEAR, **how: Any
) -> Path:
    with store.read() as connection:
        files.write(connection, which, Accounts(), format, out, **how)
    return out


def hostile_rows() -> list[dict[str, Any]]:
    """Payments whose words are hostile; SQLite itself takes no lone surrogate."""
    rows = []
    for at, word in enumerate(HOSTILE, 1):
        kept = word.replace("\ud800", "")
        rows.append(
            filled.payment(at, brand=kept, cashier=kept, register_reference=kept, rrn=kept,
                           pan_masked=kept, auth_code=kept, entry_mode=kept)
        )  # fmt: skip
    return rows


def books(store: database.Store) -> None:
    """Every kind of entry: sales, refunds, tips, cash, cash out, settled ones, a stranger's."""

    def work(writing: Any) -> None:
        filled.add(
            writing,
            filled.payment(1),
            filled.payment(2),
            filled.payment(3, type="refund", amount=300),
            filled.payment(4, tender="cash", brand=None, amount=250),
            filled.payment(5, amount=1200, tip=200),
            filled.payment(6, amount=1500, cashback=500),
            filled.payment(7, type="void", amount=1200, tip=200),
            filled.payment(8, amount=999_999_999_999),
            filled.payment(9, amount=1234, currency=414, exponent=3),
            filled.payment(10, amount=1000, currency=392, exponent=0),
            filled.payment(11, outcome="declined"),
            filled.payment(12, test=True),
            filled.payment(13, terminal_id=2, requested_at=None),
            *hostile_rows_from(100),
        )
        filled.settled(writing, 1, 2, fee=4)

    store.change(work)


def hostile_rows_from(first: int) -> list[dict[str, Any]]:
    return [
        row | {"request_sequence": first + at, "stan": first + at}
        for at, row in enumerate(hostile_rows())
    ]


#: Of ``books``, CNY in minor units: what the acquirer still owes.
_HOSTILE_SUM = 1000 * len(HOSTILE)
OWED = 2000 - 300 + 1200 + 1500 - 1200 + 999_999_999_999 + 1000 + _HOSTILE_SUM - 2000
CASH = 250 - 500


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_payments_make_the_same_bytes(
    format: str, store: database.Store, tmp_path: Path
) -> None:
    books(store)
    outs = []
    for at, (zone, seed) in enumerate((("UTC", "1"), ("Asia/Shanghai", "2"))):
        out = tmp_path / f"{at}.out"
        subprocess.run(
            [sys.executable, "-m", "host_tools.till", "export", format, "--out", str(out),
             "--from", "2026", "--to", "2026", "--database", f"sqlite:///{tmp_path}/store.sqlite"],
            env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "OPENTILL_LANGUAGE": "en"},
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        outs.append(out.read_bytes())
    assert outs[0] == outs[1]
    assert len(outs[0]) > 500


def test_csv_gives_back_what_was_put_in_and_runs_nowhere(
    store: database.Store, tmp_path: Path
) -> None:
    books(store)
    raw = exported(store, "csv", tmp_path / "a.csv", bom=True).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    assert len(rows) == 12 + len(HOSTILE)  # without the test payment
    by_sequence = {(row["terminal"], row["sequence"]): row for row in rows}
    assert by_sequence["OT000001", "8"]["amount"] == "9999999999.99"
    assert by_sequence["OT000001", "9"]["amount"] == "1.234"
    assert by_sequence["OT000001", "10"]["amount"] == "1000"
    assert by_sequence["OT000001", "1"]["fee"] == "0.04"
    assert by_sequence["OT000001", "1"]["settled"] == "2026-11-02"
    assert by_sequence["OT000002", "13"]["time_utc"] == ""
    for row in rows:
        for cell in (row["brand"], row["cashier"], row["reference"], row["rrn"]):
            assert cell.lstrip(" \u3000")[:1] not in tuple("=+-@\t\r|%＝＋－＠")
            assert "\x1b" not in cell and "\n" not in cell
    assert not exported(store, "csv", tmp_path / "b.csv").read_bytes().startswith(b"\xef")


def test_a_cell_of_plain_words_stays_as_it_is() -> None:
    assert text_cell("UnionPay Debit 银联") == "UnionPay Debit 银联"
    assert text_cell("=1") == "'=1" and text_cell("\u3000＝1")[0] == "'"
    assert text_cell("") == ""


def test_json_lines_are_read_line_by_line(store: database.Store, tmp_path: Path) -> None:
    books(store)
    lines = exported(store, "jsonl", tmp_path / "a.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 12 + len(HOSTILE)
    assert {type(row["amount"]) for row in rows} == {str}
    assert sum(Decimal(row["amount"]) for row in rows if row["currency"] == "KWD") == Decimal(
        "1.234"
    )


def test_a_workbook_has_typed_cells_totals_and_a_frozen_heading(
    store: database.Store, tmp_path: Path
) -> None:
    books(store)
    out = exported(store, "xlsx", tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(out)
    sheet, totals = book["Payments"], book["Totals"]
    assert sheet.freeze_panes == "A2" and totals.freeze_panes == "A2"
    heading = [cell.value for cell in sheet[1]]
    amount, brand = heading.index("Amount"), heading.index("Brand")
    rows = list(sheet.iter_rows(min_row=2))
    assert len(rows) == 12 + len(HOSTILE)
    assert {row[brand].data_type for row in rows if row[brand].value} == {"s"}  # none a formula
    assert {row[amount].data_type for row in rows} == {"n"}
    formats = {row[amount].number_format for row in rows}
    assert formats == {"#,##0.00", "#,##0.000", "#,##0"}
    found = {row[0].value: [cell.value for cell in row[1:]] for row in totals.iter_rows(min_row=2)}
    assert found["KWD"] == [1, 1.234, 0, 1.234]
    assert found["JPY"] == [1, 1000, 0, 1000]
    taken = OWED + 2000 + 250
    assert round(Decimal(str(found["CNY"][3])) * 100) == taken
    texts.use("zh")
    chinese = openpyxl.load_workbook(exported(store, "xlsx", tmp_path / "b.xlsx"))
    assert chinese.sheetnames == ["交易", "合计"]


def test_an_amount_past_a_spreadsheet_s_digits_is_text(
    store: database.Store, tmp_path: Path
) -> None:
    most = 999_999_999_999
    store.change(
        lambda writing: filled.add(
            writing, *(filled.payment(at, amount=most * 1000) for at in range(1, 4))
        )
    )
    book = openpyxl.load_workbook(exported(store, "xlsx", tmp_path / "a.xlsx"))
    assert book["Totals"]["E2"].value == "29999999999970.00"


def test_beancount_finds_no_error_and_the_clearing_account_is_what_is_owed(
    store: database.Store, tmp_path: Path
) -> None:
    books(store)
    entries, errors, _ = loader.load_file(str(exported(store, "beancount", tmp_path / "a.bean")))
    assert errors == []
    sums: dict[tuple[str, str], Decimal] = {}
    days = set()
    for entry in entries:
        if isinstance(entry, beans.Transaction):
            days.add(str(entry.date))
            assert not entry.tags and not entry.links
            for posting in entry.postings:
                assert posting.units is not None
                place = (posting.account, posting.units.currency)
                sums[place] = sums.get(place, Decimal(0)) + posting.units.number
    assert days == {"2026-11-01", "2026-11-02"}
    assert sums["Assets:Clearing:Acquirer", "CNY"] == Decimal(OWED) / 100
    assert sums["Assets:Cash", "CNY"] == Decimal(CASH) / 100
    assert sums["Assets:Bank", "CNY"] == Decimal("19.92")
    assert sums["Expenses:Fees", "CNY"] == Decimal("0.08")
    assert sums["Liabilities:Tips", "CNY"] == 0
    for currency in ("CNY", "JPY", "KWD"):  # the trial balance
        assert sum(number for (_, name), number in sums.items() if name == currency) == 0


def _run(*words: str) -> str:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_hledger_and_ledger_accept_the_journal(store: database.Store, tmp_path: Path) -> None:
    books(store)
    hledger = str(exported(store, "hledger", tmp_path / "a.journal"))
    _run("hledger", "check", "--strict", "-f", hledger)
    rows = _run("hledger", "-f", hledger, "balance", "Clearing", "cur:CNY", "-O", "csv", "-N")
    owed = f"{OWED // 100}.{OWED % 100:02d} CNY"
    assert owed in rows
    assert _run("hledger", "-f", hledger, "balance", "-E").splitlines()[-1].strip() == "0"
    printed = _run("hledger", "-f", hledger, "print", "-O", "csv")
    assert {row["date"] for row in csv.DictReader(io.StringIO(printed))} == {
        "2026-11-01", "2026-11-02",
    }  # fmt: skip
    ledger = str(exported(store, "ledger", tmp_path / "a.ledger"))
    told = _run("ledger", "--args-only", "--pedantic", "-f", ledger, "balance", "Clearing")
    assert owed in told
    dates = _run("ledger", "--args-only", "-f", ledger, "register", "-F", "%(date)\n")
    assert set(dates.split()) == {"2026/11/01", "2026/11/02"}


def test_an_ofx_parser_reads_the_clearing_account(store: database.Store, tmp_path: Path) -> None:
    books(store)
    tree = OFXTree()
    tree.parse(str(exported(store, "ofx", tmp_path / "a.ofx")))
    statements = tree.convert().statements
    assert [one.curdef for one in statements] == ["CNY", "JPY", "KWD"]
    chinese = statements[0]
    assert chinese.ledgerbal.balamt == Decimal(OWED) / 100
    assert sum(one.trnamt for one in chinese.transactions) == chinese.ledgerbal.balamt
    keys = [one.fitid for one in chinese.transactions]
    assert len(keys) == len(set(keys)) == 8 + 2 + len(HOSTILE)


def test_gnucash_s_own_loader_reads_the_book(store: database.Store, tmp_path: Path) -> None:
    books(store)
    found = balances(exported(store, "gnucash", tmp_path / "a.gnucash"))
    assert found["Assets:Clearing:Acquirer:CNY-2"] == (OWED, 100)
    assert found["Assets:Clearing:Acquirer:KWD-3"] == (1234, 1000)
    assert found["Assets:Cash:CNY-2"] == (CASH, 100)
    assert found["Assets:Bank:CNY-2"] == (1992, 100)
    total = sum(found[name][0] for name in found if name.endswith(":CNY-2"))
    assert total == 0


def test_what_the_clearing_account_holds_is_what_reports_call_unsettled(
    store: database.Store,
) -> None:
    books(store)
    with store.read() as connection:
        entries = list(Data(connection, YEAR, Accounts()).entries())
        today = datetime.date(2026, 11, 22)
        report = kinds.report(connection, "batches", kinds.Asked(), 0, today)
    held: dict[tuple[int, int], int] = {}
    for entry in entries:
        assert sum(minor for _, minor in entry.lines) == 0
        for account, minor in entry.lines:
            if account == Accounts().clearing:
                place = (entry.currency, entry.exponent)
                held[place] = held.get(place, 0) + minor
    told = {(row["currency"], row["exponent"]): row["unsettled"] for row in report.totals}
    assert held == told


def test_an_empty_period_makes_files_that_their_readers_take(
    store: database.Store, tmp_path: Path
) -> None:
    none = Chosen("2020-01-01", "2020-12-31")
    made = {name: exported(store, name, tmp_path / f"e.{name}", none) for name in FORMATS}
    assert loader.load_file(str(made["beancount"]))[1] == []
    _run("hledger", "check", "--strict", "-f", str(made["hledger"]))
    OFXTree().parse(str(made["ofx"]))
    assert balances(made["gnucash"]) == {}
    assert openpyxl.load_workbook(made["xlsx"]).sheetnames == ["Payments", "Totals"]


def test_a_file_that_is_there_is_not_replaced_and_a_failure_leaves_nothing(
    store: database.Store, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "a.csv"
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(UserError, match="--force"):
        exported(store, "csv", out)
    assert out.read_text() == "mine"
    exported(store, "csv", out, force=True)
    assert out.read_text().startswith("terminal,")
    store.change(lambda writing: filled.add(writing, filled.payment(1, currency=0)))
    with pytest.raises(UserError, match="no letters"):
        exported(store, "ofx", out.with_name("b.ofx"))
    assert [path.name for path in out.parent.iterdir()] == ["a.csv"]
    for format in ("beancount", "hledger", "ledger"):  # these take a name of our own
        exported(store, format, out.with_name(format))
    assert loader.load_file(str(out.with_name("beancount")))[1] == []
    _run("hledger", "check", "--strict", "-f", str(out.with_name("hledger")))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("clearing = 'Assets:Bank'", "of its own"),
        ("clearing = 'assets:x'", "named like"),
        ("bank = 'Assets:Bank\\n2020-01-01 open X'", "named like"),
        ("bank = 5", "named like"),
        ("vault = 'Assets:Vault'", "no account"),
        ("bank = ", "Invalid value"),
    ],
)
def test_a_wrong_chart_is_refused(text: str, advice: str, tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=advice):
        read_accounts(path)


def test_a_chart_renames_accounts(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text("bank = 'Assets:ICBC:6222-1'\n")
    assert read_accounts(path).bank == "Assets:ICBC:6222-1"
