"""Reads every record again: checks the chains, and folds the payments anew."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from host_tools.store import frames, intake
from host_tools.store.database import Store
from host_tools.store.folding import Fold
from host_tools.store.frames import BadFrames, Frame
from host_tools.store.intake import EDITED, START, Place, Told
from host_tools.store.models import Cursor, Record, Terminal

#: Records that are in memory at a time.
_PIECE = 4000


def rebuild(
    store: Store, now: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Told]:
    """Fold payments and batches anew from the records of every terminal, each terminal in one
    transaction; alarms of this run, kept in the database too. UserError."""
    with store.read() as connection:
        numbers = connection.scalars(select(Terminal.id).order_by(Terminal.id)).all()
        total = connection.scalar(select(func.count()).select_from(Record)) or 0
    found: list[Told] = []
    done = 0
    for number in numbers:
        again = _Again(number, now, done, total, progress)
        found += store.change(again.work)
        done = again.done
    return found


def check(connection: Connection, terminal_id: int) -> list[Told]:
    """What is wrong with a terminal's records: each against its chain, the last against the
    cursor."""
    checked = _Checked(connection, terminal_id)
    for _ in checked.pieces():
        pass
    return checked.wrong()


class _Checked:
    """Walks a terminal's records. ``wrong``: the first place that does not fit, when all of
    them were walked."""

    def __init__(self, connection: Connection, terminal_id: int) -> None:
        self._connection = connection
        self._terminal = terminal_id
        self._last = START
        self._bad: Told | None = None

    def pieces(self) -> "Iterator[list[tuple[int, Frame, int]]]":
        """(epoch, frame, received at) of records, in order, many at a time."""
        place = (0, 0)
        while True:
            rows = self._connection.execute(
                select(Record.__table__)
                .where(
                    Record.terminal_id == self._terminal,
                    tuple_(Record.epoch, Record.sequence) > tuple_(*place),
                )
                .order_by(Record.epoch, Record.sequence)
                .limit(_PIECE)
            ).all()
            if not rows:
                return
            place = (rows[-1].epoch, rows[-1].sequence)
            yield [one for row in rows if (one := self._one(row)) is not None]

    def _one(self, row: Any) -> tuple[int, Frame, int] | None:
        raw, chain = bytes(row.frame), bytes(row.chain)
        try:
            frame = frames.alone(raw, raw[18:26])
        except BadFrames:
            self._tell(row.sequence)
            return None
        same = (frame.sequence, frame.kind, frame.critical)
        if same != (row.sequence, row.kind, row.critical) or not self._follows(row, raw, chain):
            self._tell(row.sequence)
        if chain:
            self._last = Place(row.sequence, row.epoch, chain)
        return row.epoch, frame._replace(chain=chain), row.received_at

    def _follows(self, row: Any, raw: bytes, chain: bytes) -> bool:
        """Whether a record's chain is what the one before says. Behind a gap nobody can tell."""
        if not chain:
            return True
        last = self._last
        if row.epoch == last.epoch and row.sequence == last.sequence + 1:
            return frames.after(last.chain, raw) == chain
        if row.epoch == last.epoch:
            return self._gap(row)
        begins = frames.after(frames.genesis(row.epoch), raw) == chain
        return begins or self._gap(row)

    def _gap(self, row: Any) -> bool:
        """Whether it was told that records before this one are missing."""
        return intake.is_told(self._connection, self._terminal, intake.GAP, row.sequence)

    def _tell(self, sequence: int) -> None:
        if self._bad is None:
            self._bad = Told(EDITED, str(sequence), sequence)

    def wrong(self) -> list[Told]:
        """What does not fit."""
        query = select(Cursor.sequence, Cursor.epoch, Cursor.chain)
        found = self._connection.execute(query.where(Cursor.terminal_id == self._terminal)).first()
        cursor = Place(found[0], found[1], bytes(found[2])) if found is not None else START
        if self._bad is None and cursor != self._last:
            self._tell(cursor.sequence)
        return [self._bad] if self._bad is not None else []


class _Again:
    """One terminal's transaction. ``done``: records so far, of all terminals."""

    def __init__(
        self,
        terminal_id: int,
        now: int,
        done: int,
        total: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._terminal = terminal_id
        self._now = now
        self._begun = done
        self._total = total
        self._progress = progress
        self.done = done

    def work(self, connection: Connection) -> list[Told]:
        """Walk and fold; alarms that were not told before."""
        self.done = self._begun
        told: list[Told] = []
        fold = Fold(
            connection,
            self._terminal,
            intake.cut_off_hour(connection),
            lambda *alarm: told.append(Told(*alarm)),
            again=True,
        )
        checked = _Checked(connection, self._terminal)
        for piece in checked.pieces():
            if piece:
                first, last = piece[0], piece[-1]
                fold.expect((first[0], first[1].sequence), (last[0], last[1].sequence))
            for epoch, frame, received_at in piece:
                fold.add(epoch, frame, received_at)
            fold.flush()
            self.done += len(piece)
            if self._progress is not None:
                self._progress(self.done, self._total)
        fold.sweep()
        told += checked.wrong()
        return intake.note(connection, self._terminal, told, self._now)
