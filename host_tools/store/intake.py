"""Takes what a terminal sent into the database: whole pieces, each in one transaction.

The PC trusts its own chain. Records are taken only where they continue it; what does not is
an alarm. The key of a record is (terminal, epoch, sequence): the same bytes again are nothing
new, other bytes in the same place are a fork, and nothing more is taken of that terminal.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from host_tools.store import frames
from host_tools.store.folding import Fold
from host_tools.store.frames import BadFrames, Frame
from host_tools.store.models import Alarm, Cursor, Record, Setting, Terminal
from host_tools.texts import later, said

#: A business day begins at this hour, unless the setting says another.
CUT_OFF = "cut_off_hour"
#: Told of one transaction at most; a hostile terminal fills no disk with alarms.
_MOST_ALARMS = 64

#: Alarms. Those of ``STOPPING`` end a sync: nothing is taken of the terminal until a person
#: has looked.
GAP, FORK, BEHIND, BROKEN, EDITED = "gap", "fork", "behind", "broken", "edited"
DAMAGE, LOST, LATE, KEY = "damage", "lost", "late", "key"
STOPPING = (FORK, BEHIND, BROKEN, EDITED)
_TEXTS = {
    GAP: later("records {detail} are missing: the terminal no longer has them"),
    FORK: later("DANGER: record {detail} is another one than this PC has; nothing more is taken "
                "from this terminal. Compare its slips with the acquirer"),
    BEHIND: later("DANGER: the terminal has less than this PC ({detail}): an old copy was put "
                  "back, or its journal begun anew; nothing more is taken from it"),
    BROKEN: later("the terminal sent records that are not whole ({detail}); try again, then have "
                  "it serviced"),
    EDITED: later("DANGER: this PC's database was changed by other hands ({detail}); restore a "
                  "backup (till restore)"),
    DAMAGE: later("the terminal's storage was damaged ({detail}); compare the slips with the "
                  "acquirer"),
    LOST: later("the terminal lost records from {detail} on, which this PC still has"),
    LATE: later("record {detail} came late; type: till sync --rebuild"),
    KEY: later("the terminal has another key than before ({detail})"),
    "unreadable": later("record {sequence} cannot be read ({detail}); update this till"),
    "orphan": later("record {sequence} speaks of a payment that is not here ({detail})"),
    "clear_pan": later("record {sequence} holds a whole card number ({detail}); have the terminal "
                       "serviced"),
}  # fmt: skip


class Told(NamedTuple):
    """An alarm."""

    code: str
    detail: str
    sequence: int | None = None

    @property
    def text(self) -> str:
        """It, for people."""
        known = _TEXTS.get(self.code)
        if known is None:
            return f"{self.code}: {self.detail}"
        return said(known, detail=self.detail, sequence=self.sequence)


class Place(NamedTuple):
    """A place in a journal; ``chain``: after the record. The start is (0, 0, b"")."""

    sequence: int
    epoch: int
    chain: bytes


#: Of a terminal that nothing is here of yet.
START = Place(0, 0, b"")


class Who(NamedTuple):
    """A terminal as it says that it is. ``clock_offset_s``: its clock less this PC's."""

    serial: str
    board: str
    firmware: str
    fingerprint: str
    clock_offset_s: int | None


@dataclass
class Taken:
    """What one transaction did. ``back``: the beginning of a new epoch lies before what was
    asked for; ``stopped``: an alarm of STOPPING."""

    place: Place
    new: int = 0
    known: int = 0
    alarms: list[Told] = field(default_factory=list)
    back: bool = False
    stopped: bool = False


class _Stop(Exception):
    def __init__(self, told: Told) -> None:
        super().__init__(told.code)
        self.told = told


class _Back(Exception):
    """The beginning of a new epoch is not here yet."""


def begin(connection: Connection, who: Who, now: int) -> tuple[int, Taken]:
    """The terminal's number, made if it is new, and where its records end here."""
    values = {
        "board": who.board,
        "firmware": who.firmware,
        "last_seen": now,
        "clock_offset_s": who.clock_offset_s,
    }
    alarms = []
    known = connection.execute(
        select(Terminal.id, Terminal.key_fingerprint).where(Terminal.serial == who.serial)
    ).first()
    if known is None:
        values |= {"serial": who.serial, "name": "", "first_seen": now}
        values["key_fingerprint"] = who.fingerprint
        number = connection.scalars(insert(Terminal).values(values).returning(Terminal.id)).one()
        connection.execute(
            insert(Cursor).values(
                terminal_id=number, sequence=0, epoch=0, chain=b"", acknowledged=0
            )
        )
    else:
        number, fingerprint = known
        if fingerprint != who.fingerprint:
            alarms.append(Told(KEY, f"{fingerprint} -> {who.fingerprint}"))
            values["key_fingerprint"] = who.fingerprint
        connection.execute(update(Terminal).where(Terminal.id == number).values(values))
    place = _cursor(connection, number)
    edited = _edited(connection, number, place)
    if edited is not None:
        alarms.append(edited)
    note(connection, number, alarms, now)
    return number, Taken(place, alarms=alarms, stopped=edited is not None)


def _cursor(connection: Connection, terminal_id: int) -> Place:
    """Where the records end. It stays so until the transaction ends: others wait."""
    found = connection.execute(
        select(Cursor.sequence, Cursor.epoch, Cursor.chain)
        .where(Cursor.terminal_id == terminal_id)
        .with_for_update()
    ).one()
    return Place(found.sequence, found.epoch, bytes(found.chain))


def _edited(connection: Connection, terminal_id: int, place: Place) -> Told | None:
    """Whether the last record is not what the cursor says."""
    if place == START:
        return None
    found = connection.execute(
        select(Record.sequence, Record.frame, Record.chain)
        .where(
            Record.terminal_id == terminal_id,
            Record.epoch == place.epoch,
            Record.sequence.between(place.sequence - 1, place.sequence),
        )
        .order_by(Record.sequence.desc())
    ).all()
    told = Told(EDITED, str(place.sequence), place.sequence)
    if not found or found[0].sequence != place.sequence or found[0].chain != place.chain:
        return told
    linked = len(found) < 2 or not found[1].chain
    linked = linked or frames.after(found[1].chain, found[0].frame) == place.chain
    return None if linked else told


def note(connection: Connection, terminal_id: int, alarms: list[Told], now: int) -> list[Told]:
    """Keep the alarms that are not kept yet; those that were new."""
    new = []
    for told in alarms[:_MOST_ALARMS]:
        kept = select(Alarm.id).where(
            Alarm.terminal_id == terminal_id,
            Alarm.code == told.code,
            Alarm.detail == told.detail,
            Alarm.sequence.is_(None) if told.sequence is None else Alarm.sequence == told.sequence,
        )
        if connection.scalar(kept.limit(1)) is None:
            row = {"terminal_id": terminal_id, "at": now, "seen": False}
            connection.execute(insert(Alarm).values(row | told._asdict()))
            new.append(told)
    return new


def is_told(connection: Connection, terminal_id: int, code: str, sequence: int) -> bool:
    """Whether an alarm is kept."""
    kept = select(Alarm.id).where(
        Alarm.terminal_id == terminal_id, Alarm.code == code, Alarm.sequence == sequence
    )
    return connection.scalar(kept.limit(1)) is not None


def acknowledged(connection: Connection, terminal_id: int, sequence: int) -> None:
    """The terminal knows that everything up to here is on this PC's disk."""
    connection.execute(
        update(Cursor).where(Cursor.terminal_id == terminal_id).values(acknowledged=sequence)
    )


def cut_off_hour(connection: Connection) -> int:
    """When a business day begins."""
    found = connection.scalar(select(Setting.value).where(Setting.name == CUT_OFF))
    return int(found) if found is not None else 0


def set_cut_off_hour(connection: Connection, hour: int) -> None:
    """Let business days begin at this hour, for payments that are folded from now on."""
    connection.execute(delete(Setting).where(Setting.name == CUT_OFF))
    connection.execute(insert(Setting).values(name=CUT_OFF, value=str(hour)))


def unseen(connection: Connection) -> list[tuple[str, int, Told]]:
    """(serial, when, alarm) of those that nobody has seen, the oldest first."""
    found = connection.execute(
        select(Terminal.serial, Alarm.at, Alarm.code, Alarm.detail, Alarm.sequence)
        .join(Terminal, Terminal.id == Alarm.terminal_id)
        .where(Alarm.seen.is_(False))
        .order_by(Alarm.id)
    )
    return [(row.serial, row.at, Told(row.code, row.detail, row.sequence)) for row in found]


def see(connection: Connection) -> None:
    """All alarms so far are seen."""
    connection.execute(update(Alarm).values(seen=True))


class Intake:
    """One transaction's work: ``take`` the items of ``journal_read``, then ``finish``.
    ``accept``: an epoch whose beginning the terminal no longer has is taken as it comes."""

    def __init__(self, connection: Connection, terminal_id: int, now: int, accept: bool) -> None:
        self._connection = connection
        self._terminal = terminal_id
        self._now = now
        self._accept = accept
        self._rows: list[dict[str, Any]] = []
        self._place = _cursor(connection, terminal_id)
        self.taken = Taken(self._place)
        self._fold = Fold(connection, terminal_id, cut_off_hour(connection), self._tell)

    def take(self, items: list[dict[int, Any]]) -> Taken:
        """Add what continues the chain; durable when the transaction is."""
        try:
            for item in items:
                self._item(item)
        except _Stop as end:
            self._tell(*end.told)
            self.taken.stopped = True
        except _Back:
            self.taken.back = True
        if self._rows:
            self._connection.execute(insert(Record), self._rows)
            self._fold.flush()
            self._connection.execute(
                update(Cursor)
                .where(Cursor.terminal_id == self._terminal)
                .values(self._place._asdict())
            )
        note(self._connection, self._terminal, self.taken.alarms, self._now)
        self.taken.place = self._place
        return self.taken

    def _tell(self, code: str, detail: str, sequence: int | None = None) -> None:
        self.taken.alarms.append(Told(code, detail, sequence))

    def _item(self, item: dict[int, Any]) -> None:
        first, epoch, data, chain = item[1], item[2], item[3], item[4]
        if not data or first < 1 or not 0 < epoch < 1 << 32:
            raise _Stop(Told(BROKEN, f"record {first} of epoch {epoch}"))
        if item.get(5):
            self._salvaged(epoch, data, chain)
            return
        place = self._place
        if epoch < place.epoch or (epoch == place.epoch and first <= place.sequence):
            self._before(epoch, first, data, chain)
            return
        if epoch == place.epoch and first == place.sequence + 1:
            if chain != place.chain:
                raise _Stop(Told(FORK, str(place.sequence), place.sequence))
        else:
            self._jump(epoch, first, chain)
        self._append(epoch, first, data, chain)

    def _jump(self, epoch: int, first: int, chain: bytes) -> None:
        """What comes does not follow on what is here: a hole, or a new epoch."""
        place = self._place
        if epoch > place.epoch and chain != frames.genesis(epoch):
            if not self._accept and place.epoch:
                raise _Back
            self._tell(GAP, f"< {first}", first)
        elif first > place.sequence + 1:
            self._tell(GAP, f"{place.sequence + 1} - {first - 1}", first)
        elif first <= place.sequence:
            self._tell(LOST, str(first), first)
        if place.epoch and epoch > place.epoch:
            self._tell(DAMAGE, f"{place.epoch} -> {epoch}", first)

    def _append(self, epoch: int, first: int, data: bytes, chain: bytes) -> None:
        broken = None
        try:
            found = frames.read(data, first, chain)
        except BadFrames as error:
            found, broken = error.good, _Stop(Told(BROKEN, str(error)))
        for frame in found:
            self._keep(epoch, frame)
        if found:
            self._place = Place(found[-1].sequence, epoch, found[-1].chain)
        if broken is not None:
            raise broken

    def _keep(self, epoch: int, frame: Frame) -> None:
        self._rows.append(
            {
                "terminal_id": self._terminal,
                "epoch": epoch,
                "sequence": frame.sequence,
                "kind": frame.kind,
                "critical": frame.critical,
                "frame": frame.raw,
                "chain": frame.chain,
                "received_at": self._now,
            }
        )
        self._fold.add(epoch, frame, self._now)
        self.taken.new += 1

    def _before(self, epoch: int, first: int, data: bytes, chain: bytes) -> None:
        """Records of which some are here already: those must be the same."""
        try:
            found = frames.read(data, first, chain)
        except BadFrames as error:
            raise _Stop(Told(BROKEN, str(error))) from None
        known = self._known(epoch, first, found[-1].sequence)
        place = self._place
        for frame in found:
            raw = known.get(frame.sequence)
            at_end = epoch == place.epoch and frame.sequence == place.sequence
            if (raw is not None and raw != frame.raw) or (at_end and frame.chain != place.chain):
                raise _Stop(Told(FORK, str(frame.sequence), frame.sequence))
            if raw is not None:
                self.taken.known += 1
                continue
            self._keep(epoch, frame)
            if epoch == place.epoch and frame.sequence > place.sequence:
                self._place = Place(frame.sequence, epoch, frame.chain)
            else:
                self._tell(LATE, str(frame.sequence), frame.sequence)

    def _salvaged(self, epoch: int, data: bytes, chain: bytes) -> None:
        """A frame behind a hole of a damaged segment: kept, but the chain does not pass it."""
        try:
            frame = frames.alone(data, chain)
        except BadFrames as error:
            raise _Stop(Told(BROKEN, str(error))) from None
        known = self._known(epoch, frame.sequence, frame.sequence)
        pending = [row for row in self._rows if row["sequence"] == frame.sequence]
        known |= {row["sequence"]: row["frame"] for row in pending if row["epoch"] == epoch}
        if not known:
            self._keep(epoch, frame)
            self._tell(DAMAGE, f"at {frame.sequence}", frame.sequence)
        elif known[frame.sequence] != frame.raw:
            raise _Stop(Told(FORK, str(frame.sequence), frame.sequence))
        else:
            self.taken.known += 1

    def _known(self, epoch: int, first: int, last: int) -> dict[int, bytes]:
        found = self._connection.execute(
            select(Record.sequence, Record.frame).where(
                Record.terminal_id == self._terminal,
                Record.epoch == epoch,
                Record.sequence.between(first, last),
            )
        )
        return {sequence: bytes(frame) for sequence, frame in found}
