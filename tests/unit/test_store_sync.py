"""A terminal's journal arrives in the PC's database, each record once."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, update

from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from host_tools.errors import UserError
from host_tools.pc_link.calls import CallFailed
from host_tools.store import database, frames
from host_tools.store.database import Store
from host_tools.store.folding import business_date
from host_tools.store.models import Alarm, Batch, Cursor, Payment, Record, Terminal
from host_tools.store.rebuild import rebuild
from host_tools.store.sync import Synced, follow, sync
from tests.support import journal_script, postgres
from tests.support.journal_terminal import Item, JournalTerminal

NOW = 1_800_000_010


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    return postgres.server().new()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = database.open(url)
    yield opened
    opened.close()


def synced(store: Store, terminal: JournalTerminal) -> Synced:
    return asyncio.run(sync(store, terminal, clock=lambda: NOW))


def rows(store: Store, table: Any) -> list[dict[str, Any]]:
    """A table's rows, without what numbers them."""
    with store.read() as connection:
        found = connection.execute(select(table.__table__)).mappings()
        kept = [{key: one[key] for key in one if key != "id"} for one in found]
    return sorted(kept, key=str)


def payments(store: Store) -> list[dict[str, Any]]:
    return sorted(rows(store, Payment), key=lambda row: (row["epoch"], row["request_sequence"]))


def alarms(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(Alarm.code).order_by(Alarm.id)))


def stored(store: Store) -> list[tuple[int, int]]:
    with store.read() as connection:
        query = select(Record.epoch, Record.sequence).order_by(Record.epoch, Record.sequence)
        return [(epoch, sequence) for epoch, sequence in connection.execute(query)]


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


# -- alarms that stop


def spoilt(change: Callable[[Item], Item | None], at: int = 1) -> Callable[[Item], Item | None]:
    """``change`` done to the item number ``at``."""
    count = iter(range(1_000_000))
    return lambda item: change(item) if next(count) == at else item


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


HOSTILE: dict[str, tuple[Callable[[Item], Item | None], str]] = {
    "a flipped bit": (lambda i: i | {3: flip(i[3], 40)}, "broken"),
    "a flipped length": (lambda i: i | {3: flip(i[3], 6)}, "broken"),
    "a frame cut short": (lambda i: i | {3: i[3][:-3]}, "broken"),
    "a frame and dust": (lambda i: i | {3: i[3] + b"\xa7"}, "broken"),
    "no frame": (lambda i: i | {3: bytes(100)}, "broken"),
    "an empty item": (lambda i: i | {3: b""}, "broken"),
    "another chain before": (lambda i: i | {4: bytes(32)}, "fork"),
    "a wrong first": (lambda i: i | {1: i[1] + 1}, "broken"),
    "first 0": (lambda i: i | {1: 0}, "broken"),
    "epoch 0": (lambda i: i | {2: 0}, "broken"),
    "a huge epoch": (lambda i: i | {2: 1 << 40}, "broken"),
    "the last sequence there is": (lambda i: i | {1: (1 << 63) - 1}, "broken"),
    "a checkpoint": (
        lambda i: i | {3: segment.build(0, True, i[1], 0, i[4], b"\xa0")}, "broken",
    ),
    "a body that is too long": (
        lambda i: i | {3: segment.build(3, False, i[1], 0, i[4], bytes(2049))}, "broken",
    ),
    "a record from elsewhere": (
        lambda i: i | {3: segment.build(3, False, i[1], 0, bytes(32), b"\xa0")}, "broken",
    ),
    "a salvaged frame twice over": (lambda i: i | {5: True}, "broken"),
    "nothing, and the end": (lambda i: None, "gap"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_terminal_gets_nothing_in(store: Store, what: str) -> None:
    terminal = JournalTerminal()
    terminal.sales(10)
    change, code = HOSTILE[what]
    terminal.spoil = spoilt(change)
    done = synced(store, terminal)
    assert code in [one.code for one in done.alarms]
    assert code in alarms(store)
    good = {one.raw for one in terminal.kept}
    with store.read() as connection:
        assert all(raw in good for raw in connection.scalars(select(Record.frame)))
    if done.stopped:
        assert done.place.sequence < terminal.sequence
        terminal.spoil = lambda item: item
        assert not synced(store, terminal).stopped
        assert len(stored(store)) == terminal.sequence


def test_other_bytes_for_a_record_that_is_here_are_a_fork(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(10)
    synced(store, terminal)
    before = stored(store), payments(store)
    other = JournalTerminal()
    other.sale(amount=1)
    other.sales(20)
    for _ in range(2):
        done = synced(store, other)
        assert done.stopped
        assert done.alarms[-1].code == "fork"
        assert not other.acks
    assert (stored(store), payments(store)) == before
    assert alarms(store) == ["fork"]


def test_a_head_with_another_chain_is_a_fork(store: Store) -> None:
    terminal, other = JournalTerminal(), JournalTerminal()
    terminal.sale()
    other.sale(amount=1)
    synced(store, terminal)
    assert [one.code for one in synced(store, other).alarms] == ["fork"]


def test_an_old_copy_of_the_journal_is_told(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(5)
    synced(store, terminal)
    old = JournalTerminal()
    old.sales(3)
    done = synced(store, old)
    assert done.stopped
    assert [one.code for one in done.alarms] == ["behind"]
    assert not old.acks


def test_a_terminal_that_claims_more_than_it_gives_is_not_asked_for_ever(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(5)
    terminal.end = lambda end: end | {1: end[1] + 5, 3: bytes(32)}
    done = synced(store, terminal)
    assert done.stopped
    assert [one.code for one in done.alarms] == ["broken"]
    assert len(terminal.asked) < 10


def test_an_epoch_without_a_beginning_is_not_looked_for_for_ever(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(50)
    synced(store, terminal)
    terminal.new_epoch(20)
    terminal.sales(3)
    terminal.spoil = lambda item: item | {4: bytes(32)} if item[2] == 2 else item
    done = synced(store, terminal)
    assert done.stopped
    assert len(terminal.asked) < 40


def test_expired_again_and_again_ends(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(5)
    synced(store, terminal)
    terminal.sales(5)
    terminal.oldest = 1 << 40
    with pytest.raises(CallFailed):
        synced(store, terminal)


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


# -- the database behind our back, and the disk


def edit_frame(connection: Any) -> None:
    connection.execute(update(Record).where(Record.sequence == 6).values(frame=b"x" * 60))


def edit_amount(connection: Any) -> None:
    connection.execute(update(Payment).values(amount=1))


def edit_last(connection: Any) -> None:
    connection.execute(update(Record).values(chain=bytes(32)))


def remove(connection: Any) -> None:
    connection.execute(Record.__table__.delete().where(Record.sequence == 6))


def remove_last(connection: Any) -> None:
    connection.execute(Record.__table__.delete().where(Record.sequence >= 12))


@pytest.mark.parametrize("edit", [edit_frame, edit_last, remove, remove_last])
def test_a_database_edited_by_other_hands_is_told(store: Store, edit: Any) -> None:
    terminal = JournalTerminal()
    terminal.sales(3)
    synced(store, terminal)
    store.change(edit)
    found = rebuild(store)
    assert [one.code for one in found] == ["edited"], found
    assert alarms(store) == ["edited"]


@pytest.mark.parametrize("edit", [edit_last, remove_last])
def test_a_sync_does_not_build_on_an_edited_end(store: Store, edit: Any) -> None:
    terminal = JournalTerminal()
    terminal.sales(3)
    synced(store, terminal)
    store.change(edit)
    terminal.sale()
    done = synced(store, terminal)
    assert done.stopped
    assert [one.code for one in done.alarms] == ["edited"]


def test_a_rebuild_mends_the_payments_and_keeps_their_numbers(store: Store) -> None:
    terminal = JournalTerminal()
    terminal.sales(30)
    synced(store, terminal)
    with store.read() as connection:
        numbers = connection.execute(select(Payment.id, Payment.request_sequence)).all()
    before = payments(store)

    def spoil(connection: Any) -> None:
        edit_amount(connection)
        row = dict(before[3]) | {"request_sequence": 9_999}
        connection.execute(Payment.__table__.insert().values(row))
        connection.execute(Payment.__table__.delete().where(Payment.request_sequence == 2))

    store.change(spoil)
    assert rebuild(store) == []
    assert payments(store) == before
    with store.read() as connection:
        after = dict(connection.execute(select(Payment.request_sequence, Payment.id)).all())
    kept = {sequence: number for number, sequence in numbers if sequence != 2}
    assert {sequence: after[sequence] for sequence in kept} == kept


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    store = database.open(f"sqlite:///{tmp_path / 'store.sqlite'}")
    terminal = JournalTerminal()
    terminal.sales(400)
    with store.read() as connection:
        room = [connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 40]

    @event.listens_for(store.engine, "checkout")
    def _(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {room[0]}")

    with pytest.raises(UserError, match="disk is full"):
        synced(store, terminal)
    assert not terminal.acks
    room[0] = 1_000_000
    synced(store, terminal)
    assert len(stored(store)) == terminal.sequence
    assert len(payments(store)) == 400
    store.close()


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


def test_the_pc_s_reading_of_frames_agrees_with_the_terminals() -> None:
    draw = random.Random(1)
    terminal = JournalTerminal()
    terminal.sales(12)
    data = b"".join(one.raw for one in terminal.kept)
    found = frames.read(data, 1, frames.genesis(1))
    assert [one.raw for one in found] == [one.raw for one in terminal.kept]
    assert found[-1].chain == terminal.chain
    for _ in range(2000):
        at = draw.randrange(len(data))
        with pytest.raises(frames.BadFrames) as caught:
            frames.read(flip(data, at), 1, frames.genesis(1))
        assert len(caught.value.good) < len(found)
