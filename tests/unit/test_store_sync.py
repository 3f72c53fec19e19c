"""A terminal's journal arrives in the PC's database, each record once."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from host_tools.pc_link.calls import CallFailed
from host_tools.store import database
from host_tools.store.database import Store
from host_tools.store.folding import business_date
from host_tools.store.models import Alarm, Batch, Cursor, Payment, Record, Terminal
from host_tools.store.rebuild import rebuild
from host_tools.store.sync import Synced, follow, sync
from tests.support import journal_script
from tests.support.journal_terminal import JournalTerminal
from tests.support.store_parts import (
    KINDS,
    NOW,
    alarms,
    new_url,
    payments,
    rows,
    stored,
    synced,
)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url(request.param, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = database.open(url)
    yield opened
    opened.close()


def test_everything_arrives_and_nothing_arrives_twice(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(20)
    first = synced(store, terminal)
    assert (first.new, first.known, first.stopped, first.alarms) == (
        terminal.sequence,
        0,
        False,
        [],
    )
    assert first.place == (terminal.sequence, 1, terminal.chain)
    assert terminal.acks[-1] == first.place
    with store.read() as connection:
        kept = connection.execute(select(Record).order_by(Record.sequence)).all()
    assert [row.frame for row in kept] == [one.raw for one in terminal.kept]
    again = synced(store, terminal)
    assert (again.new, again.known) == (0, 0)
    terminal.sale()
    assert synced(store, terminal).new == 4
    assert len(stored(store)) == terminal.sequence


def test_the_terminal_hears_only_of_what_is_on_the_disk(store: Store, url: str) -> None:
    terminal = JournalTerminal()
    terminal.sales(5)
    seen = []

    def look() -> None:
        other = database.open(url)
        with other.read() as connection:
            seen.append(connection.scalar(select(Cursor.sequence)))
            assert connection.scalar(select(func.max(Record.sequence))) == terminal.sequence
        other.close()

    terminal.on_ack = look
    synced(store, terminal)
    assert seen == [terminal.sequence]


def test_a_lost_link_keeps_what_came_and_the_next_sync_goes_on(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(30)
    for count in (0, 1, 3):
        terminal.lost_after = count
        with pytest.raises(CallFailed):
            synced(store, terminal)
    terminal.lost_after = -1
    assert len(stored(store)) == 28
    assert synced(store, terminal).new == terminal.sequence - 28
    assert len(stored(store)) == terminal.sequence


OUTCOMES: dict[str, Callable[[JournalTerminal], object]] = {
    "approved": lambda t: t.sale(),
    "declined": lambda t: t.sale(r.OUTCOME_DECLINED),
    "unknown": lambda t: t.sale(r.OUTCOME_REVERSE),
    "reversed": lambda t: t.reverse(t.sale(r.OUTCOME_REVERSE)),
    "released": lambda t: t.add(
        r.RELEASED, {r.K_STAN: t.sale(r.OUTCOME_REVERSE), r.K_WHO: "supervisor"}
    ),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_payment_s_outcome(store: Store, outcome: str) -> None:
    terminal = JournalTerminal()
    OUTCOMES[outcome](terminal)
    synced(store, terminal)
    (payment,) = payments(store)
    assert payment["outcome"] == outcome


def test_a_payment_under_test_keys_is_one_however_it_ended(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.add(r.REQUEST, {**journal_script.request(1), r.K_TEST: True})
    synced(store, terminal)
    terminal.add(r.UNSENT, {r.K_STAN: 1})
    synced(store, terminal)
    assert [row["test"] for row in payments(store)] == [True]


def test_a_request_proved_unsent_is_cancelled_and_one_without_an_end_is_unknown(
    store: Store,
) -> None:
    terminal = JournalTerminal()
    terminal.add(r.REQUEST, journal_script.request(1))
    synced(store, terminal)
    assert [row["outcome"] for row in payments(store)] == ["unknown"]
    terminal.add(r.UNSENT, {r.K_STAN: 1})
    synced(store, terminal)
    assert [row["outcome"] for row in payments(store)] == ["cancelled"]


def test_a_release_of_script_results_changes_no_payment(store: Store) -> None:
    terminal = JournalTerminal()
    stan = terminal.sale()
    terminal.add(r.RELEASED, {r.K_STAN: stan, r.K_WHO: "supervisor"})
    synced(store, terminal)
    assert [row["outcome"] for row in payments(store)] == ["approved"]


def test_what_a_payment_keeps(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sale(
        K_TIME=1_775_000_000, K_TERMINAL_ID="TERM0001", K_MERCHANT_ID="TESTMERCHANT001",
        K_REFERENCE="till-1:42", K_DIGEST=bytes(32),
    )  # fmt: skip
    synced(store, terminal)
    (payment,) = payments(store)
    del payment["terminal_id"]
    assert payment == {
        "epoch": 1, "request_sequence": 2, "commit_sequence": 4, "stan": 1, "batch": 1,
        "type": "sale", "tender": "card", "brand": "UnionPay", "aid": "A000000333010101",
        "amount": 1234, "currency": 156, "exponent": 2, "outcome": "approved", "response": "00",
        "requested_at": 1_775_000_000, "local_time": "20260401120000",
        "business_date": "2026-04-01", "entry_mode": "contact", "pan_masked": "622202******1234",
        "pan_token": "00" * 16, "rrn": "000000123456", "auth_code": "A12345",
        "settlement_date": None, "merchant_id": "TESTMERCHANT001", "terminal_no": "TERM0001",
        "cashier": None, "register_reference": "till-1:42", "reversed_at": None,
        "original_id": None, "tip": 0, "cashback": 0, "test": False,
    }  # fmt: skip


def test_a_partial_approval_counts_as_what_was_approved(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.add(r.REQUEST, journal_script.request(1, 5000))
    terminal.add(r.ANSWER, journal_script.answer(1) | {r.K_AMOUNT: 3000})
    terminal.add(r.COMMIT, journal_script.commit(1))
    synced(store, terminal)
    assert [row["amount"] for row in payments(store)] == [3000]


def test_a_stan_that_comes_round_again_is_another_payment(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sale()
    synced(store, terminal)
    terminal.stan = 1
    terminal.reverse(terminal.sale(r.OUTCOME_REVERSE))
    synced(store, terminal)
    assert [row["outcome"] for row in payments(store)] == ["approved", "reversed"]


def test_batches_open_close_and_begin_anew_under_the_same_number(store: Store) -> None:
    terminal = JournalTerminal()
    for batch in (1, 2, 1):
        terminal.sale(batch=batch, K_TIME=1_775_000_000 + batch)
        terminal.add(r.BATCH_CLOSED, {r.K_BATCH: batch, r.K_TIME: 1_775_001_000})
    terminal.sale(batch=2)
    synced(store, terminal)

    def batches() -> list[tuple[Any, ...]]:
        query = select(Batch.id, Batch.number, Batch.opened_at, Batch.closed_at)
        with store.read() as connection:
            return [tuple(row) for row in connection.execute(query.order_by(Batch.id))]

    found = batches()
    assert [row[1:] for row in found] == [
        (1, 1_775_000_001, 1_775_001_000),
        (2, 1_775_000_002, 1_775_001_000),
        (1, 1_775_000_001, 1_775_001_000),
        (2, NOW, None),
    ]
    rebuild(store)
    assert batches() == found


@pytest.mark.parametrize(
    ("local", "hour", "day"),
    [
        ("20260401120000", 0, "2026-04-01"),
        ("20260401035959", 4, "2026-03-31"),
        ("20260401040000", 4, "2026-04-01"),
        ("20260101000000", 1, "2025-12-31"),
        ("20240229235959", 0, "2024-02-29"),
        ("20260231120000", 0, None),
        ("2026040112000", 0, None),
        ("2026040112000x", 0, None),
        ("00010101000000", 4, None),
    ],
)
def test_the_business_day_begins_at_the_cut_off_hour(
    local: str, hour: int, day: str | None
) -> None:
    assert business_date(local, hour) == day


def test_a_time_that_is_none_is_told_and_the_money_still_counts(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sale(K_LOCAL_TIME="20269999999999")
    terminal.sale(K_LOCAL_TIME="260401120000")
    assert [one.code for one in synced(store, terminal).alarms] == ["unreadable"]
    assert [row["local_time"] for row in payments(store)] == ["20270115080010", "20260401120000"]


def test_kinds_and_keys_of_later_firmware_are_kept_as_they_stand(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.add(999, {1: "what", 77: [1, {2: b"x"}]})
    terminal.add(r.REQUEST, journal_script.request(1) | {200: "new"})
    terminal.add(31, b"\xff no CBOR")
    assert synced(store, terminal).alarms == []
    assert (len(stored(store)), len(payments(store))) == (3, 1)


BOMBS = {
    "deep": b"\x81" * 2000 + b"\x00",
    "huge array": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    "huge bytes": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "huge number": b"\xa1\x05\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    "nothing by zero": b"\xa1\x05\xd8\x1e\x82\x01\x00",
    "shared in itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "pattern": b"\xa1\x01\xd8\x23\x69(a+)+(b+)",
    "endless": b"\xbf\x01",
    "twice": b"\xa2\x01\x01\x01\x02",
    "not canonical": b"\xa1\x18\x01\x01",
    "no map": b"\x01",
    "nothing": b"",
    "text": b"\xa1\x01\x63\xff\xff\xff",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_body_that_is_a_trap_is_kept_and_told(store: Store, bomb: str) -> None:
    terminal = JournalTerminal()
    terminal.add(r.REQUEST, BOMBS[bomb])
    terminal.sale()
    done = synced(store, terminal)
    assert [one.code for one in done.alarms] == ["unreadable"]
    assert "1" in done.alarms[0].text
    assert not done.stopped
    assert (len(stored(store)), len(payments(store))) == (5, 1)


GARBAGE = st.dictionaries(
    st.integers(0, 60),
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.text(max_size=8),
        st.binary(max_size=20), st.dictionaries(st.integers(0, 300), st.binary(max_size=4)),
        st.lists(st.integers(0, 9), max_size=3),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), GARBAGE), max_size=12))
def test_records_of_garbage_never_stop_a_sync(script: list[tuple[int, dict[int, Any]]]) -> None:
    store = database.open("sqlite://")
    terminal = JournalTerminal()
    for kind, body in script:
        terminal.add(kind, body)
        if kind == r.REQUEST:
            terminal.add(kind, journal_script.request(1) | body)
    terminal.sale()
    done = synced(store, terminal)
    assert not done.stopped
    assert len(stored(store)) == terminal.sequence
    assert payments(store)[-1]["outcome"] == "approved"
    before = payments(store), rows(store, Batch)
    assert rebuild(store) == []
    assert (payments(store), rows(store, Batch)) == before
    store.close()


def test_a_whole_card_number_is_told_and_reaches_no_payment(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sale(K_PAN_MASKED="6222020000001234")
    assert [one.code for one in synced(store, terminal).alarms] == ["clear_pan"]
    assert [row["pan_masked"] for row in payments(store)] == [None]


# -- holes and new epochs


def test_what_the_terminal_no_longer_keeps_is_a_gap_and_the_rest_comes(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(4)
    synced(store, terminal)
    had = terminal.sequence
    terminal.sales(6)
    terminal.oldest = had + 9
    done = synced(store, terminal)
    assert [(one.code, one.detail) for one in done.alarms] == [("gap", f"{had + 1} - {had + 8}")]
    assert not done.stopped
    assert done.place.sequence == terminal.sequence
    assert synced(store, terminal).alarms == []
    assert alarms(store) == ["gap"]


def test_a_pc_that_comes_late_begins_with_a_gap(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(6)
    terminal.oldest = 10
    done = synced(store, terminal)
    assert done.new == terminal.sequence - 9
    assert [one.code for one in done.alarms if one.code == "gap"] == ["gap"]
    assert terminal.acks[-1] == done.place


@pytest.mark.parametrize("lost", [0, 1, 5, 40])
def test_a_new_epoch_may_use_sequences_again_that_the_terminal_lost(
    store: Store, lost: int
) -> None:
    terminal = JournalTerminal()
    terminal.sales(20)
    synced(store, terminal)
    had = terminal.sequence
    before = stored(store)
    terminal.new_epoch(had - lost)
    for _ in range(2):
        done = synced(store, terminal)
        codes = {one.code for one in done.alarms}
        assert not done.stopped, done.alarms
        assert stored(store) == before + [(2, had - lost + 1)]
    assert alarms(store) == (["lost"] if lost else []) + ["damage"]
    terminal.sales(20)
    done = synced(store, terminal)
    assert not done.stopped
    assert len(stored(store)) == len(before) + 1 + terminal.sequence - (had - lost + 1)
    assert done.place == (terminal.sequence, 2, terminal.chain)
    assert codes <= {"lost", "damage"}


def test_an_epoch_whose_beginning_expired_is_taken_with_a_gap(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(3)
    synced(store, terminal)
    terminal.new_epoch(5)
    terminal.sales(9)
    terminal.oldest = 10
    done = synced(store, terminal)
    assert not done.stopped
    assert "gap" in [one.code for one in done.alarms]
    assert done.place == (terminal.sequence, 2, terminal.chain)


def test_frames_behind_a_hole_are_kept_and_the_chain_goes_on_in_the_next_epoch(
    store: Store,
) -> None:
    terminal = JournalTerminal()
    terminal.sale()
    hole = terminal.add(r.NOTICE, {r.K_CODE: "lost"})
    terminal.add(r.REQUEST, journal_script.request(2), salvaged=True)
    terminal.add(r.ANSWER, journal_script.answer(2), salvaged=True)
    del terminal.kept[hole - 1]
    terminal.epoch += 1
    terminal.chain = segment.genesis(2)
    terminal.add(r.DAMAGE, {r.K_CODE: "damage"})
    terminal.add(r.COMMIT, journal_script.commit(2))
    done = synced(store, terminal)
    assert not done.stopped
    assert done.new == terminal.sequence - 1
    assert {one.code for one in done.alarms} == {"damage", "gap"}
    assert [row["outcome"] for row in payments(store)] == ["approved", "approved"]
    assert synced(store, terminal).new == 0
    before = payments(store)
    assert rebuild(store) == []
    assert payments(store) == before


# -- several, and at once


def test_several_terminals_share_a_database(store: Store) -> None:
    terminals = [JournalTerminal(f"T{number}") for number in range(3)]
    for number, terminal in enumerate(terminals):
        terminal.sales(5 + number)

    async def all_at_once() -> list[Synced]:
        return await asyncio.gather(*[sync(store, one, clock=lambda: NOW) for one in terminals])

    done = asyncio.run(all_at_once())
    assert [one.new for one in done] == [terminal.sequence for terminal in terminals]
    with store.read() as connection:
        names = connection.scalars(select(Terminal.serial).order_by(Terminal.serial)).all()
    assert names == ["T0", "T1", "T2"]


def test_two_syncs_of_one_terminal_at_once(store: Store, url: str) -> None:
    terminal = JournalTerminal(piece=3)
    terminal.sales(60)
    other = database.open(url)

    async def both() -> list[Synced]:
        return await asyncio.gather(
            sync(store, terminal, clock=lambda: NOW), sync(other, terminal, clock=lambda: NOW)
        )

    done = asyncio.run(both())
    other.close()
    assert sum(one.new for one in done) == terminal.sequence
    assert [one.alarms for one in done] == [[], []]
    assert len(stored(store)) == terminal.sequence
    assert len(payments(store)) == 60


def test_following_takes_what_grows(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sale()

    async def scenario() -> list[int]:
        counts = []
        async for done in follow(store, terminal, clock=lambda: NOW):
            counts.append(done.new)
            if len(counts) == 3:
                break
            terminal.sale()
        return counts

    assert asyncio.run(scenario()) == [4, 4, 4]


def test_the_clocks_difference_is_noted(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.clock = NOW - 75
    assert synced(store, terminal).clock_offset_s == -75
    terminal.clock = None
    assert synced(store, terminal).clock_offset_s is None
    with store.read() as connection:
        assert connection.scalar(select(Terminal.clock_offset_s)) is None


def test_another_key_under_the_same_serial_is_told(store: Store) -> None:
    terminal = JournalTerminal()
    synced(store, terminal)
    terminal.fingerprint = "ff" * 8
    assert [one.code for one in synced(store, terminal).alarms] == ["key"]
    assert synced(store, terminal).alarms == []


# -- any order of pieces ends at the same rows

EVENTS = st.lists(st.sampled_from(sorted(OUTCOMES) + ["close", "sync"]), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.integers(1, 9))
def test_syncs_in_pieces_end_where_one_sync_does(events: list[str], piece: int) -> None:
    parts, whole = database.open("sqlite://"), database.open("sqlite://")
    terminal = JournalTerminal(piece=piece)
    batch = 1
    for step in events:
        if step == "sync":
            synced(parts, terminal)
        elif step == "close":
            terminal.add(r.BATCH_CLOSED, {r.K_BATCH: batch})
        else:
            OUTCOMES[step](terminal)
    synced(parts, terminal)
    synced(whole, terminal)
    for table in (Payment, Batch, Record, Alarm):
        assert rows(parts, table) == rows(whole, table)
    before = rows(whole, Payment), rows(whole, Batch)
    rebuild(whole)
    assert (rows(whole, Payment), rows(whole, Batch)) == before
    parts.close()
    whole.close()
