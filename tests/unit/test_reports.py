"""Sums and lists over the PC's database, against sums in Python and by hand."""

import datetime
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from babel.numbers import get_currency_precision, is_currency
from sqlalchemy import event, text, update

from host_tools import texts
from host_tools.command_line import Misuse
from host_tools.errors import UserError
from host_tools.reports import amounts, kinds, shifts, sums
from host_tools.reports.chosen import Chosen, days
from host_tools.reports.report import as_csv, as_json, as_lines
from host_tools.store import books, database, models
from tests.support import filled_store as filled
from tests.support import postgres

TODAY = datetime.date(2026, 11, 22)
NOW = 1_795_305_600
YEAR = kinds.Asked("2026", "2026")


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


def add(store: database.Store, *rows: dict[str, Any]) -> None:
    store.change(lambda writing: filled.add(writing, *rows))


def made(store: database.Store, kind: str, asked: kinds.Asked = YEAR) -> Any:
    with store.read() as connection:
        return kinds.report(connection, kind, asked, NOW, TODAY)


def test_the_tables_are_those_of_the_models(store: database.Store) -> None:
    assert books.FeeRule.metadata is models.Base.metadata
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), models.Base.metadata) == []


# -- amounts


@pytest.mark.parametrize(
    ("minor", "exponent", "plain", "grouped"),
    [
        (0, 2, "0.00", "0.00"), (5, 2, "0.05", "0.05"), (-5, 2, "-0.05", "-0.05"),
        (123456, 0, "123456", "123,456"), (1234567, 3, "1234.567", "1,234.567"),
        (-99999999999900, 2, "-999999999999.00", "-999,999,999,999.00"),
        (999_999_999_999 * 1_000_000, 2, "9999999999990000.00", "9,999,999,999,990,000.00"),
    ],
)  # fmt: skip
def test_amounts_have_their_decimals(minor: int, exponent: int, plain: str, grouped: str) -> None:
    assert amounts.decimal_text(minor, exponent) == plain
    assert amounts.grouped_text(minor, exponent) == grouped
    if abs(minor) < 10**15:
        assert amounts.minor_units(plain, exponent) == minor


@pytest.mark.parametrize(
    "wrong", ["", "-", ".", "1.", "1.234", "1e3", "١٢", "1,0", "0x1", "1" * 16]
)
def test_what_is_no_amount_is_refused(wrong: str) -> None:
    assert amounts.minor_units(wrong, 2) is None


def test_currencies_are_those_that_another_author_knows() -> None:
    for number in range(1000):
        if amounts.has_letters(number):
            word = amounts.letters(number)
            assert is_currency(word) or word == "XTS"
            assert amounts.currency_number(word) == number
            # CLDR gives the decimals in use, ISO 4217 those of the minor unit
            if get_currency_precision(word) == 3:
                assert amounts.standard_exponent(number) == 3
    assert amounts.standard_exponent(156) == 2 and amounts.standard_exponent(392) == 0
    assert amounts.letters(0) == "N000"


def test_foreign_words_cannot_steer_a_screen() -> None:
    shown = amounts.printable("a\x1b[31m\r\n\u202eb\ufffe\U0001ffff超市")
    assert not [char for char in shown if unicodedata.category(char)[0] == "C"]
    assert shown.endswith("超市")


# -- sums


def test_sums_are_those_of_python(store: database.Store) -> None:
    store.change(lambda writing: filled.terminal(writing, "OT000002", 2))
    rows = list(filled.many(400))
    add(store, *rows)
    for kind, key in (
        ("day", lambda row: row["business_date"]),
        ("month", lambda row: row["business_date"][:7]),
        ("week", lambda row: datetime.date.fromisoformat(row["business_date"]).strftime("%G-W%V")),
        ("brand", lambda row: row["brand"]),
        ("entry", lambda row: row["entry_mode"]),
        ("cashier", lambda row: row["cashier"]),
        ("hour", lambda row: row["local_time"][8:10] + ":00"),
        ("terminal", lambda row: f"OT00000{row['terminal_id']}"),
    ):
        wanted: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for row in rows:
            if row["outcome"] == "approved":
                into = wanted[(key(row), row["currency"])]  # type: ignore[no-untyped-call]
                back = row["type"] == "refund"
                into[2 if back else 0] += 1
                into[3 if back else 1] += row["amount"]
        report = made(store, kind)
        found = {
            (row["key"], row["currency"]): [
                row["sales_count"], row["sales"], row["refunds_count"], row["refunds"]
            ]
            for row in report.rows
        }  # fmt: skip
        assert found == dict(wanted), kind
        assert sum(row["net"] for row in report.totals) == sum(
            one[1] - one[3] for one in wanted.values()
        )


def test_currencies_and_decimals_are_never_added_together(store: database.Store) -> None:
    add(
        store,
        filled.payment(1, amount=100, currency=392, exponent=0),
        filled.payment(2, amount=100, currency=414, exponent=3),
        filled.payment(3, amount=100),
        filled.payment(4, amount=100, exponent=0),
    )
    shown = as_lines(made(store, "day"))
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("Total")] == [
        "100", "1.00", "100", "0.100",
    ]  # fmt: skip
    report = made(store, "day", kinds.Asked("2026", "2026", currency="jpy"))
    assert [row["currency"] for row in report.rows] == [392]


def test_the_largest_amounts_add_up_and_a_sum_past_the_database_is_told(
    store: database.Store,
) -> None:
    most = 999_999_999_999
    add(store, *(filled.payment(at, amount=most) for at in range(1, 1001)))
    assert made(store, "day").rows[0]["net"] == most * 1000
    store.change(lambda writing: writing.execute(update(models.Payment).values(amount=2**53)))
    assert made(store, "day").rows[0]["net"] == 2**53 * 1000
    add(store, *(filled.payment(at, amount=2**53) for at in range(1001, 2001)))
    if store.engine.dialect.name == "sqlite":
        with pytest.raises(UserError, match="shorter period"):
            made(store, "day")
    else:  # sums of PostgreSQL have no end
        assert made(store, "day").rows[0]["net"] == 2**53 * 2000


def test_an_hour_that_a_night_has_twice_is_one_row_and_the_cut_off_moves_the_day(
    store: database.Store,
) -> None:
    twice = "20261101013000"
    add(
        store,
        filled.payment(1, local_time=twice, requested_at=1, business_date="2026-10-31"),
        filled.payment(2, local_time=twice, requested_at=3601, business_date="2026-10-31"),
    )
    hours = made(store, "hour").rows
    assert [(row["key"], row["sales_count"]) for row in hours] == [("01:00", 2)]
    assert [row["key"] for row in made(store, "day").rows] == ["2026-10-31"]


def test_an_empty_period_says_so(store: database.Store) -> None:
    for kind in sums.DIMENSIONS:
        report = made(store, kind, kinds.Asked("2020", "2020"))
        assert "Nothing in this period." in as_lines(report)
        assert json.loads(as_json(report))["rows"] == []
        assert as_csv(report).count("\r\n") == 1


def test_test_payments_unknown_kinds_and_undated_ones_are_told(store: database.Store) -> None:
    add(
        store,
        filled.payment(1, test=True),
        filled.payment(2, type="cashback-only"),
        filled.payment(3, business_date="", local_time="", requested_at=None),
    )
    notes = made(store, "day").notes
    assert [note.split()[0] for note in notes] == ["1", "1", "1"]
    assert made(store, "day").rows == []
    tested = made(store, "day", kinds.Asked("2026", "2026", test=True))
    assert tested.rows[0]["net"] == 1000 and "(test payments)" in tested.title
    reasons = [row["reason"] for row in made(store, "exceptions").rows]
    assert reasons == ["why_type", "why_date"]


@pytest.mark.parametrize(
    ("word", "first", "last"),
    [("2026", "2026-01-01", "2026-12-31"), ("2024-02", "2024-02-01", "2024-02-29"),
     ("2026-11-22", "2026-11-22", "2026-11-22")],
)  # fmt: skip
def test_a_day_a_month_or_a_year(word: str, first: str, last: str) -> None:
    assert days(word, "--from") == (first, last)


@pytest.mark.parametrize(
    "word", ["", "2026-13", "2026-02-30", "26", "2026-1-1", "x", "٢٠٢٦", "0000"]
)
def test_what_is_no_day_is_refused(word: str) -> None:
    with pytest.raises(Misuse, match="is not a day"):
        days(word, "--from")


def test_without_days_it_is_this_month_and_backwards_is_refused(store: database.Store) -> None:
    assert made(store, "day", kinds.Asked()).about["from"] == "2026-11-01"
    assert made(store, "day", kinds.Asked()).about["to"] == "2026-11-22"
    with pytest.raises(Misuse, match="is before"):
        made(store, "day", kinds.Asked("2026-02", "2026-01"))
    with pytest.raises(UserError, match="known: OT000001"):
        made(store, "day", kinds.Asked(serial="nix"))
    with pytest.raises(UserError, match="no currency"):
        made(store, "day", kinds.Asked(currency="EURO"))


def test_hostile_names_stay_in_their_cell(store: database.Store) -> None:
    hostile = "[red]=cmd|'/c calc'!A1\x1b[2J\r\nOT"
    add(store, filled.payment(1, cashier=hostile, brand="+1"))
    shown = as_lines(made(store, "cashier"))
    assert "\x1b" not in shown and "[red]=cmd" in shown
    rows = as_csv(made(store, "cashier")).split("\r\n")
    assert len(rows) == 3 and rows[1].startswith("[red]")
    assert as_csv(made(store, "brand")).split("\r\n")[1].startswith("'+1,CNY,1,10.00")


def test_programs_read_the_same_in_every_language(store: database.Store) -> None:
    add(store, filled.payment(1), filled.payment(2, outcome="unknown"))
    for kind in ("weekday", "queue", "exceptions", "failed", "batches"):
        english = as_csv(made(store, kind))
        rows = json.loads(as_json(made(store, kind)))["rows"]
        texts.use("zh")
        assert as_csv(made(store, kind)) == english
        assert json.loads(as_json(made(store, kind)))["rows"] == rows
        assert not as_lines(made(store, kind)).isascii()
        texts.use("en")


# -- lists


def test_lists_name_refunds_failures_and_what_waits(store: database.Store) -> None:
    add(
        store,
        filled.payment(1, type="refund"),
        filled.payment(2, type="void"),
        filled.payment(3, outcome="declined", response="51"),
        filled.payment(4, outcome="unknown", business_date="2025-01-01"),
        filled.payment(5, outcome="released"),
        filled.payment(6, rrn=None, auth_code=None),
        filled.payment(7, currency=0),
    )
    assert [row["type"] for row in made(store, "refunds").rows] == ["refund", "void"]
    assert made(store, "refunds").totals[0]["amount"] == 2000
    failed = {(row["outcome"], row["response"]): row["count"] for row in made(store, "failed").rows}
    assert failed == {("declined", "51"): 1, ("released", "00"): 1}
    assert [row["stan"] for row in made(store, "queue").rows] == [5]
    assert [row["reason"] for row in made(store, "exceptions").rows] == [
        "why_released", "why_currency", "why_proof",
    ]  # fmt: skip


def test_the_same_card_and_amount_twice_is_an_exception(store: database.Store) -> None:
    add(
        store,
        filled.payment(1, pan_token="t", local_time="20261101235500"),
        filled.payment(2, pan_token="t", local_time="20261102000500"),
        filled.payment(3, pan_token="t", local_time="20261102001501"),
        filled.payment(4, pan_token="t", local_time="20261102000500", amount=999),
        filled.payment(5, pan_token="u", local_time="20261102000500"),
    )
    assert [row["stan"] for row in made(store, "exceptions").rows] == [3]


def test_batches_wait_until_their_money_is_settled(store: database.Store) -> None:
    add(
        store,
        filled.payment(1, batch=1, business_date="2026-11-19", requested_at=None),
        filled.payment(2, batch=1, business_date="2026-11-21", type="refund", amount=300),
        filled.payment(3, batch=2, business_date="2026-11-22"),
        filled.payment(4, batch=2, business_date="2026-11-22", tender="cash"),
    )
    report = made(store, "batches")
    assert [(row["batch"], row["unsettled"], row["alarm"]) for row in report.rows] == [
        (1, 700, "late"), (2, 1000, ""),
    ]  # fmt: skip
    assert any("ALARM: 1 batches" in note for note in report.notes)
    assert made(store, "batches", kinds.Asked(age_days=3)).notes == []
    store.change(lambda writing: filled.settled(writing, 1, 3))
    rows = made(store, "batches").rows
    assert [(row["batch"], row["settled"], row["unsettled"]) for row in rows] == [(1, 1000, -300)]


# -- shifts


def _close(store: database.Store, at: int = NOW) -> Any:
    return store.change(lambda writing: kinds.close(writing, "OT000001", at))


def test_a_payment_is_in_exactly_one_z(store: database.Store) -> None:
    shift = kinds.Asked(serial="OT000001")
    add(store, filled.payment(1), filled.payment(2, outcome="unknown"), filled.payment(3, amount=1))
    before = made(store, "x", shift)
    assert {row["outcome"]: row["count"] for row in before.rows} == {"approved": 2, "unknown": 1}
    first = as_json(_close(store))
    with pytest.raises(UserError, match="nothing to close"):
        _close(store)
    store.change(
        lambda writing: writing.execute(
            update(models.Payment).where(models.Payment.stan == 3).values(outcome="approved")
        )
    )
    add(store, filled.payment(4, amount=50, type="refund"))
    second = _close(store, NOW + 60)
    assert second.about["number"] == 2
    assert [row["amount"] for row in second.rows] == [50, 1000]
    assert [(row["of"], row["amount"]) for row in second.totals] == [("shift", 950), ("all", 1951)]
    assert as_json(made(store, "z", kinds.Asked(serial="OT000001", number=1))) == first
    assert as_json(made(store, "z", shift)) == as_json(second)
    with pytest.raises(UserError, match="has no Z 3"):
        made(store, "z", kinds.Asked(serial="OT000001", number=3))


def test_a_z_outlives_payments_folded_anew_and_tells_if_they_changed(store: database.Store) -> None:
    shift = kinds.Asked(serial="OT000001")
    rows = [filled.payment(at) for at in range(1, 4)]
    add(store, *rows)
    closed = as_json(_close(store))
    store.change(lambda writing: writing.execute(text("DELETE FROM payment")))
    add(store, *reversed(rows))  # other ids
    assert as_json(made(store, "z", shift)) == closed
    assert made(store, "x", shift).rows == []
    store.change(lambda writing: writing.execute(update(models.Payment).values(amount=7)))
    assert "not what they were" in as_lines(made(store, "z", shift))
    assert made(store, "z", shift).totals[0]["amount"] == 3000
    assert [row["reason"] for row in made(store, "exceptions").rows] == ["why_z"]


def test_test_payments_are_in_no_net_of_a_z(store: database.Store) -> None:
    add(store, filled.payment(1, test=True), filled.payment(2))
    report = _close(store)
    assert "test" in [column.key for column in report.columns]
    assert report.totals[0]["amount"] == 1000


def test_sums_over_a_day_read_one_index_and_no_payment(tmp_path: Path) -> None:
    store = filled.opened(tmp_path / "planned.sqlite")
    said: list[str] = []
    event.listen(store.engine, "before_cursor_execute",
                 lambda _c, _k, statement, values, *_: said.append((statement, values)))  # type: ignore[func-returns-value,arg-type]  # fmt: skip
    for kind in sums.DIMENSIONS:
        with store.read() as connection:
            sums.summed(connection, kind, Chosen("2026-11-01", "2026-11-01"))
    sums_said = [one for one in said if "GROUP BY" in one[0]]
    assert len(sums_said) == len(sums.DIMENSIONS)
    with store.read() as connection:
        for statement, values in sums_said:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values).all()
            assert "COVERING INDEX ix_payment_sums" in plan[0][3], statement
    store.close()


def test_outcomes_are_all_told() -> None:
    from host_tools.reports.report import WORDS

    assert set(shifts.OUTCOMES) <= set(WORDS)
