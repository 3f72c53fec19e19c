"""Hostile terminals, databases edited by others, and full disks: nothing false gets in."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from firmware.payment.journal import segment
from host_tools.errors import UserError
from host_tools.pc_link.calls import CallFailed
from host_tools.store import database, frames
from host_tools.store.database import Store
from host_tools.store.models import Payment, Record
from host_tools.store.rebuild import rebuild
from tests.support.journal_terminal import Item, JournalTerminal
from tests.support.store_parts import KINDS, alarms, flip, new_url, payments, stored, synced


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url(request.param, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = database.open(url)
    yield opened
    opened.close()


# -- alarms that stop


def spoilt(change: Callable[[Item], Item | None], at: int = 1) -> Callable[[Item], Item | None]:
    """``change`` done to the item number ``at``."""
    count = iter(range(1_000_000))
    return lambda item: change(item) if next(count) == at else item


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
