"""Settlement files against payments: every class, every way that a file can be wrong."""

import datetime
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import select

from host_tools import texts
from host_tools.errors import UserError
from host_tools.reconcile import books, lines
from host_tools.reconcile.column_map import Calendar, ColumnMap, read_map
from host_tools.reconcile.lines import Line, read_lines
from host_tools.reports import fees, kinds
from host_tools.reports.chosen import SIGNS, P
from host_tools.store import database
from host_tools.store.books import FeeRule, SettlementLine
from tests.support import filled_store as filled
from tests.support import postgres

MAP = """
currency = "CNY"
[columns]
date = "Date"
amount = "Amount"
rrn = "RRN"
auth = "Auth"
card = "Card"
fee = "Fee"
net = "Net"
[date]
format = "%Y%m%d"
[settlement]
holidays = [2026-11-03]
"""
HEAD = "Date,Amount,RRN,Auth,Card,Fee,Net"
TODAY = datetime.date(2026, 11, 22)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    texts.use("en")
    yield
    texts.use("")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[database.Store]:
    if request.param == "sqlite":
        opened = filled.opened(tmp_path / "store.sqlite")
    else:
        if postgres.why_not():
            pytest.skip(postgres.why_not())
        opened = database.open(postgres.server().new())
    opened.change(lambda writing: filled.terminal(writing, "OT000001", 1))
    yield opened
    opened.close()


def a_map(tmp_path: Path, text: str = MAP) -> ColumnMap:
    path = tmp_path / "map.toml"
    path.write_text(text, encoding="utf-8")
    return read_map(path)


def a_file(tmp_path: Path, *rows: str, head: str = HEAD, end: str = "\r\n") -> Path:
    path = tmp_path / "bank.csv"
    path.write_bytes((end.join([head, *rows]) + end).encode())
    return path


def row(sequence: int, amount: str = "10.00", day: str = "20261101", fee: str = "0.04",
        net: str = "") -> str:  # fmt: skip
    return f"{day},{amount},{sequence},123456,622200******1234,{fee},{net}"


def told(store: database.Store, path: Path, how: ColumnMap, keep: bool = True) -> list[Any]:
    mark, read = books.digest(path), books.read_all(path, how)
    return store.change(lambda w: books.compared(w, path.name, mark, read, how, 5, keep))


def states(store: database.Store, path: Path, how: ColumnMap) -> list[tuple[str, int | None]]:
    return [
        (one.state, one.payment.request_sequence if one.payment is not None else None)
        for one in told(store, path, how)
    ]


def add(store: database.Store, *rows: dict[str, Any]) -> None:
    store.change(lambda writing: filled.add(writing, *rows))


def test_every_class_is_told(store: database.Store, tmp_path: Path) -> None:
    rule = FeeRule(
        position=1, tender=None, brand=None, aid=None, currency=None, first_day=None,
        last_day=None, rate_ppm=3800, fixed=0, least=None, most=None, rounding="half-down",
        refunds=False,
    )  # fmt: skip
    store.change(lambda writing: fees.replace_rules(writing, [rule]))
    add(
        store,
        *(filled.payment(at) for at in range(1, 8)),
        filled.payment(8, type="refund", amount=200),
        filled.payment(9, business_date="2026-11-02", local_time="20261102100000"),
        filled.payment(10, tender="cash"),
        filled.payment(11, outcome="declined"),
        filled.payment(12, test=True),
    )
    path = a_file(
        tmp_path,
        row(1),
        row(2, amount="9.00", fee=""),
        row(3, fee="0.05"),
        row(4, day="20261031"),
        row(5, net="9.95"),
        row(6, net="9.96"),
        row(6),
        row(99),
        row(8, amount="-2.00", fee="0.00"),
        row(12),
    )
    assert states(store, path, a_map(tmp_path)) == [
        ("matched", 1), ("amount", 2), ("fee", 3), ("date", 4), ("fee", 5), ("matched", 6),
        ("duplicate", None), ("missing_here", None), ("matched", 8), ("missing_here", None),
        ("missing_there", 7),
    ]  # fmt: skip


def test_what_is_due_later_is_not_missing(store: database.Store, tmp_path: Path) -> None:
    how = a_map(tmp_path)  # the 3rd is a holiday: what was paid on the 2nd comes on the 4th
    add(
        store,
        filled.payment(1),
        filled.payment(2, business_date="2026-11-02", local_time="20261102100000"),
        filled.payment(3, business_date="2026-11-02", local_time="20261102100000"),
    )
    settled = MAP.replace('net = "Net"', 'settled = "Net"')
    path = a_file(tmp_path, row(1, net="20261102"), row(2, day="20261102", net="20261104"))
    first = told(store, path, a_map(tmp_path, settled), keep=False)
    assert [one.state for one in first] == ["matched", "matched", "missing_there"]
    path = a_file(tmp_path, row(1, net="20261103"), row(2, day="20261102", net="20261103"))
    assert states(store, path, a_map(tmp_path, settled)) == [
        ("date", 1), ("date", 2), ("pending", 3),
    ]  # fmt: skip
    assert how.calendar.due(datetime.date(2026, 11, 6)) == datetime.date(2026, 11, 9)


def test_make_up_working_days_count(tmp_path: Path) -> None:
    golden = Calendar(
        holidays=frozenset(datetime.date(2026, 10, day) for day in range(1, 9)),
        workdays=frozenset({datetime.date(2026, 10, 10)}),
    )
    assert golden.due(datetime.date(2026, 9, 30)) == datetime.date(2026, 10, 9)
    assert golden.due(datetime.date(2026, 10, 9)) == datetime.date(2026, 10, 10)
    assert Calendar(days=0).due(datetime.date(2026, 11, 7)) == datetime.date(2026, 11, 9)


def test_without_rrn_the_code_matches_and_without_that_the_card(
    store: database.Store, tmp_path: Path
) -> None:
    add(
        store,
        filled.payment(1, rrn=None, auth_code="000111"),
        filled.payment(2, auth_code="222222", amount=500),
        filled.payment(3, pan_masked="622200******9999", auth_code=None, rrn=None),
        filled.payment(4, pan_masked="622200******9999", auth_code=None, rrn=None),
        filled.payment(5, rrn=None, auth_code="555555", amount=700),
    )
    path = a_file(
        tmp_path,
        "20261101,10.00,,111,,,",
        "20261101,5.00,,222222,,,",
        "20261101,10.00,,,9999,,",
        "20261101,10.00,,,6222001234569999,,",
        "20261101,10.00,,,9999,,",
        "20261101,7.00,77,555555,,,",
    )
    assert states(store, path, a_map(tmp_path)) == [
        ("matched", 1), ("matched", 2), ("matched", 3), ("matched", 4), ("duplicate", None),
        ("matched", 5),
    ]  # fmt: skip


def test_a_reference_used_again_finds_the_near_payment(
    store: database.Store, tmp_path: Path
) -> None:
    add(
        store,
        filled.payment(1, rrn="000000000077", business_date="2026-10-30",
                       local_time="20261030100000"),
        filled.payment(2, rrn="000000000077"),
        filled.payment(3, rrn="000000000077", currency=840),
    )  # fmt: skip
    path = a_file(tmp_path, row(77))
    assert states(store, path, a_map(tmp_path))[0] == ("matched", 2)


def test_a_file_read_again_is_kept_once_and_another_says_twice(
    store: database.Store, tmp_path: Path
) -> None:
    how = a_map(tmp_path)
    path = a_file(tmp_path, row(1), row(2))
    add(store, filled.payment(1))
    assert states(store, path, how) == [("matched", 1), ("missing_here", None)]
    add(store, filled.payment(2))  # synced since
    assert states(store, path, how) == [("matched", 1), ("matched", 2)]
    assert states(store, path, how) == [("matched", 1), ("matched", 2)]
    with store.read() as connection:
        kept = connection.execute(select(SettlementLine.__table__)).all()
        assert [(line.line, line.state) for line in kept] == [(2, "matched"), (3, "matched")]
        listed = books.files(connection).rows
        assert [(one["lines"], one["matched"]) for one in listed] == [(2, 2)]
        charged = kinds.report(connection, "fees", kinds.Asked("2026", "2026"), 0, TODAY)
        assert [(one["settled"], one["charged"]) for one in charged.rows] == [(2, 8)]
        waiting = kinds.report(connection, "batches", kinds.Asked(), 0, TODAY)
        assert waiting.rows == []
    other = a_file(tmp_path, row(1), row(2), "", end="\n")
    assert states(store, other, how) == [("duplicate", None), ("duplicate", None)]


def test_a_dry_run_keeps_nothing(store: database.Store, tmp_path: Path) -> None:
    add(store, filled.payment(1))
    assert [one.state for one in told(store, a_file(tmp_path, row(1)), a_map(tmp_path), False)] == [
        "matched"
    ]
    with store.read() as connection:
        assert connection.execute(select(SettlementLine.__table__)).all() == []


# -- files as they come


def read(tmp_path: Path, raw: bytes, text: str = MAP) -> list[Line]:
    path = tmp_path / "bank.csv"
    path.write_bytes(raw)
    return list(read_lines(path, a_map(tmp_path, text)))


def test_ends_of_lines_marks_and_blanks_of_any_kind(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbf" + HEAD.encode() + b"\r\n" + row(1).encode() + b"\n\r\n"
    raw += row(2).encode() + b"\r" + row(3).encode()  # and no end at all
    assert [(one.number, one.rrn[-1]) for one in read(tmp_path, raw)] == [
        (2, "1"), (4, "2"), (5, "3"),
    ]  # fmt: skip


def test_line_ends_between_two_pieces_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = "\r\n".join([HEAD, *(row(at) for at in range(1, 30))]).encode()
    whole = read(tmp_path, raw)
    for size in range(58, 75):  # each cuts the ends at other places
        monkeypatch.setattr(lines, "LONGEST", size)
        assert read(tmp_path, raw) == whole


def test_a_chinese_file_of_fixed_widths_counts_bytes(tmp_path: Path) -> None:
    text = """
encoding = "gbk"
currency = "156"
ignore = ["合计"]
[columns]
date = { at = 1, size = 8 }
type = { at = 9, size = 8 }
amount = { at = 17, size = 12 }
rrn = { at = 29, size = 12 }
[date]
format = "%Y%m%d"
[amount]
unit = "minor"
[types]
"消费" = "sale"
"消费撤销" = "void"
"查询" = "ignore"
"""
    raw = "20261101消费    000000001000000000000001\n20261101消费撤销000000000500000000000002\n"
    raw += "20261101查询    000000000000000000000003\n合计            0000\n"
    found = read(tmp_path, raw.encode("gbk"), text)
    assert [(one.type, one.amount, one.rrn) for one in found] == [
        ("sale", 1000, "000000000001"), ("void", -500, "000000000002"),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"line 1, column amount \(17\+12\)"):
        read(tmp_path, "20261101消费    00000".encode("gbk"), text)


def test_amounts_as_others_write_them(tmp_path: Path) -> None:
    text = MAP + '[amount]\ndecimal = ","\nthousands = "."\n[fee]\ncharged = "negative"\n'
    text = text.replace('currency = "CNY"', 'currency = "CNY"\ndelimiter = ";"')
    raw = HEAD.replace(",", ";") + "\n20261101;1.234,56;1;1;;-0,04;\n20261101;2,00-;2;1;;;\n"
    found = read(tmp_path, raw.encode(), text)
    assert [(one.amount, one.fee, one.type) for one in found] == [
        (123456, 4, "sale"), (-200, None, "refund"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (row(1).replace("10.00", "10.0x"), r"line 2, column amount \(Amount\): '10.0x' must be"),
        (row(1).replace("10.00", ""), "line 2, column amount"),
        (row(1).replace("10.00", "1.234"), "line 2, column amount"),
        (row(1).replace("10.00", "9" * 15), "line 2, column amount"),
        (row(1).replace("10.00", "nan"), "line 2, column amount"),
        (row(1).replace("20261101", "20261301"), r"line 2, column date \(Date\)"),
        (row(1).replace("20261101", "２０２６1101"), "line 2, column date"),
        (row(1).replace("20261101", ""), "line 2, column date"),
        ("20261101,10.00,6222001234567890,,,,", r"column rrn \(RRN\): '622200\*+' must be"),
        ("20261101,10.00,1\x1b[2J,,,,", "column rrn"),
        ("20261101,10.00,1,,ACCT 1,,", "column card"),
        ("20261101,10.00,1", "3 columns, but the heading has 7"),
        (row(1) + ",more", "8 columns, but the heading has 7"),
        ('20261101,"10.00,1,,,,', "quotation mark"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(raw: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=place) as refused:
        read(tmp_path, f"{HEAD}\n{raw}\n".encode())
    assert "6222001234567890" not in str(refused.value) and "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "advice"),
    [
        (b"\xff\xfeD\x00", "UTF-16"),
        (HEAD.encode() + b"\n\xff\n", "line 2, byte 1: not utf-8"),
        (b"Date,Amount\n", "not one column 'RRN'"),
        (HEAD.encode() + b",Date\n", "not one column 'Date'"),
        (b"x" * 70_000, "longer than 65536"),
        (HEAD.encode() + b"\n" + b"1" * (3 << 20), "line 2 is longer"),
        (b"", None),
        (HEAD.encode(), None),
        (b"\x00" * 100, "not one column"),
    ],
)
def test_what_is_no_such_file_is_refused(raw: bytes, advice: str | None, tmp_path: Path) -> None:
    if advice is None:
        assert read(tmp_path, raw) == []
        return
    with pytest.raises(UserError, match=advice):
        read(tmp_path, raw)


def test_a_line_without_end_is_given_up_early(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(lines.LARGEST)  # a hole: as many zeros without a line end
    with pytest.raises(UserError, match="line 1 is longer"):
        list(read_lines(path, a_map(tmp_path)))
    with path.open("wb") as file:
        file.truncate(lines.LARGEST + 1)
    with pytest.raises(UserError, match="128 MiB"):
        list(read_lines(path, a_map(tmp_path)))


def test_no_full_card_number_is_kept(store: database.Store, tmp_path: Path) -> None:
    path = a_file(tmp_path, "20261101,10.00,1,,6222001234567890123,,")
    assert read(tmp_path, path.read_bytes())[0].card == "622200*********0123"
    told(store, path, a_map(tmp_path))
    for kept in tmp_path.glob("store.sqlite*"):
        assert b"1234567890" not in kept.read_bytes()


@given(some.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    path = _SCRATCH / "any.csv"
    path.write_bytes(HEAD.encode() + b"\n" + raw)
    try:
        list(read_lines(path, _HOW))
    except UserError as refusal:
        assert str(path) in str(refusal)


@given(some.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    path = _SCRATCH / "any.csv"
    path.write_bytes((HEAD + "\n20261101,10.00," + text).encode("utf-8", "replace"))
    try:
        found = list(read_lines(path, _HOW))
    except UserError as refusal:
        assert refusal.args[0].isprintable()
    else:
        assert all(len(one.card) < 25 for one in found)


@pytest.fixture(autouse=True, scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _SCRATCH, _HOW
    _SCRATCH = tmp_path_factory.mktemp("any")
    _HOW = a_map(_SCRATCH)


_SCRATCH: Path
_HOW: ColumnMap


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (MAP + "\n[more]\n", "'more' must be one of"),
        (MAP.replace("RRN", "", 1).replace("RRN", ""), "columns rrn"),
        (MAP.replace('amount = "Amount"\n', ""), "columns amount must be given"),
        (MAP.replace('currency = "CNY"', ""), "currency must be given"),
        (MAP.replace('"CNY"', '"XYZ"'), "no currency"),
        (MAP.replace("%Y%m%d", "%m%d"), "made of %Y"),
        (MAP.replace("%Y%m%d", "%Y%m%d%Y"), "made of %Y"),
        (MAP.replace("%Y%m%d", "%c"), "made of %Y"),
        ('encoding = "utf-16"\n' + MAP, "encoding must be one of"),
        ('encoding = "rot13"\n' + MAP, "encoding must be one of"),
        ("heading = false\n" + MAP, "a number, for there is no heading"),
        (MAP.replace('"Fee"', "{ at = 1, size = 2 }"), "all of fixed widths"),
        (MAP.replace('"Fee"', "0"), "columns fee must be a heading"),
        (MAP + 'weekend = ["monday", "x"]', "weekend must be"),
        (MAP + 'days = "1"', "days must be a number"),
        (MAP + '[types]\n"x" = "chargeback"', "types 'x' must be one of sale"),
        ('delimiter = ",,"\n' + MAP, "a text of 1 to 1"),
        ("= 1", "Invalid"),
    ],
)
def test_a_wrong_map_is_refused_by_key(text: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=advice):
        a_map(tmp_path, text)


# -- fees


def _rule(**said: Any) -> FeeRule:
    values: dict[str, Any] = {
        "position": 1, "tender": None, "brand": None, "aid": None, "currency": None,
        "first_day": None, "last_day": None, "rate_ppm": 3800, "fixed": 0, "least": None,
        "most": None, "rounding": "half-down", "refunds": False,
    }  # fmt: skip
    return FeeRule(**(values | said))


@pytest.mark.parametrize(
    ("rounding", "wanted"),
    [("half-down", [0, 0, 1, 1]), ("half-up", [0, 1, 1, 1]), ("up", [1, 1, 1, 1]),
     ("down", [0, 0, 0, 1])],
)  # fmt: skip
def test_a_half_goes_where_the_contract_says(rounding: str, wanted: list[int]) -> None:
    rule = _rule(rate_ppm=5000, rounding=rounding)  # 0.5 %: 100 minor units are a half
    assert [fees.fee(rule, amount, 1) for amount in (99, 100, 101, 200)] == wanted


def test_bounds_and_refunds() -> None:
    rule = _rule(fixed=10, least=20, most=50)
    assert [fees.fee(rule, amount, 1) for amount in (0, 5000, 10_000, 10**12)] == [20, 29, 48, 50]
    assert fees.fee(rule, 10_000, -1) == 0
    assert fees.fee(_rule(refunds=True), 10_000, -1) == -38
    assert fees.fee(_rule(rate_ppm=1_000_000), 999_999_999_999, 1) == 999_999_999_999


def test_the_database_and_python_agree_on_every_fee(store: database.Store) -> None:
    draw = random.Random(7)
    known = [
        _rule(position=1, brand="visa CREDIT", rate_ppm=12_345, most=900, rounding="half-up"),
        _rule(position=2, aid="A000000333", last_day="2026-03-31", least=30, refunds=True),
        _rule(position=3, currency=392, rate_ppm=999_999, rounding="up"),
        _rule(position=4, tender="card", currency=156, fixed=7, rounding="down", refunds=True),
    ]
    rows = [
        one
        | {
            "tender": draw.choice(("card", "qr", "cash")),
            "amount": draw.choice((1, 999_999_999_999, one["amount"])),
        }
        for one in filled.many(300) if one["outcome"] == "approved"
    ]  # fmt: skip
    store.change(lambda writing: filled.terminal(writing, "OT000002", 2))
    add(store, *rows)
    store.change(lambda writing: fees.replace_rules(writing, known))
    with store.read() as connection:
        assert [rule.as_dict() for rule in fees.rules(connection)] == [
            one.as_dict() for one in known
        ]
        report = kinds.report(connection, "fees", kinds.Asked("2026", "2026"), 0, TODAY)
        wanted: dict[tuple[str, int], int] = {}
        for payment in connection.execute(select(*P)):
            cost = fees.expected(known, payment)
            if cost is not None:
                place = (payment.tender, payment.currency)
                wanted[place] = wanted.get(place, 0) + cost
                assert SIGNS[payment.type] * cost >= 0
    found: dict[tuple[str, int], int] = {}
    for one in report.rows:
        if one["expected"] is not None:
            place = (one["tender"], one["currency"])
            found[place] = found.get(place, 0) + one["expected"]
    assert found == wanted
    assert any("fit no fee rule" in note for note in report.notes)


RULES = """
[[rule]]
brand = "Visa Credit"
currency = "CNY"
rate = "0.38%"
fixed = "0.1"
least = "0.10"
most = "20"
from = 2026-01-01
rounding = "half-up"
refunds = "back"
[[rule]]
rate = "0.6%"
"""


def test_rules_are_read_and_told(store: database.Store, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    found = fees.read_rules(path)
    assert [(one.rate_ppm, one.fixed, one.least, one.most) for one in found] == [
        (3800, 10, 10, 2000), (6000, 0, None, None),
    ]  # fmt: skip
    store.change(lambda writing: fees.replace_rules(writing, found))
    with store.read() as connection:
        assert fees.rules_report(connection).rows[0]["rate"] == "0.3800%"


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ('"0.38%"', '"0.38"', "rule 1: rate"),
        ('"0.38%"', '"0.38001%"', "rule 1: rate"),
        ('"0.38%"', "0.38", "rule 1: rate must be a text"),
        ('"0.38%"', '"101%"', "rule 1: rate"),
        ('"0.10"', '"-1"', "rule 1: least"),
        ('"0.10"', '"0.101"', "rule 1: least"),
        ('currency = "CNY"', "", "currency must be given"),
        ('"half-up"', '"even"', "rounding"),
        ("2026-01-01", '"2026-01-01"', "from"),
        ('"back"', "true", "refunds"),
        ("brand", "brands", "'brands' must be one of"),
        ("[[rule]]", "[rules]", "Invalid|Cannot|no rules"),
    ],
)
def test_wrong_rules_are_refused(old: str, new: str, advice: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(RULES.replace(old, new, 2 if old == "[[rule]]" else 1))
    with pytest.raises(UserError, match=advice):
        fees.read_rules(path)


# -- the command


def _till(store: database.Store, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "host_tools.till", "reconcile", *words,
         "--database", str(store.engine.url), "--language", "en"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_script_learns_by_the_exit_code(store: database.Store, tmp_path: Path) -> None:
    add(store, filled.payment(1))
    a_map(tmp_path)
    words = ("check", str(a_file(tmp_path, row(1))), "--map", str(tmp_path / "map.toml"), "--json")
    well = _till(store, *words)
    assert well.returncode == 0 and json.loads(well.stdout)["well"] is True
    add(store, filled.payment(2))
    differs = _till(store, *words)
    assert differs.returncode == 1
    assert json.loads(differs.stdout)["counts"]["missing_there"] == 1
    (tmp_path / "bank.csv").write_text(HEAD + "\n20261101,x")
    refused = _till(store, *words)
    assert refused.returncode == 1 and "line 2" in json.loads(refused.stdout)["error"]
    with store.read() as connection:
        assert len(connection.execute(select(SettlementLine.__table__)).all()) == 1
    assert _till(store, "check", "x").returncode == 2


def test_the_example_of_the_manual_is_read() -> None:
    examples = Path(__file__).parents[2] / "docs/examples"
    found = list(
        read_lines(examples / "settlement.txt", read_map(examples / "settlement-map.toml"))
    )
    assert [(one.type, one.amount, one.fee, one.net) for one in found] == [
        ("sale", 123456, 469, 122987), ("refund", -2000, 0, -2000),
    ]  # fmt: skip
    assert found[0].settled == datetime.date(2026, 11, 2) and found[0].terminal == "TERM0001"
