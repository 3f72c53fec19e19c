"""The journal: append, fold, roll over, recover (docs/journal.md).

Barriers of an approved sale: REQUEST, ANSWER, COMMIT and PRINTED are synced,
and the vault notes the sequence after REQUEST and COMMIT: six. A roll-over to
the next segment never falls between a payment's request and its commit;
``reserve`` does it before.
"""

import hashlib
import sys

from firmware import aio
from firmware.cbor import CborError, decode, encode
from firmware.errors import TillError
from firmware.hal.files import StorageFull
from firmware.payment.journal import records as r
from firmware.payment.journal import recovery, segment
from firmware.payment.journal.checkpoint import (
    Checkpoint,
    read_unverified,
    segment_name,
    segment_number,
)
from firmware.payment.journal.fold import MAX_SCRIPTS, MAX_TRANSACTIONS, State
from firmware.payment.journal.records import JournalError, Notice, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.hal.files import AppendFile, Files
    from firmware.hal.vault import Vault

#: Room for one payment, its reversal attempts' records and the notices between.
PAYMENT_ROOM = 8192
#: Segments kept beside what the open batch needs; and so many, while so many bytes stay
#: free, of those that hold what no PC has acknowledged yet.
KEEP_SEGMENTS = 64
KEEP_UNREAD = 512 if sys.implementation.name == "cpython" else 128
SPARE = 1 << 20

_KEPT = (r.REQUEST, r.ANSWER, r.COMMIT, r.REVERSED, r.RELEASED, r.CONFIRMED)
#: After these the vault notes the position: an older copy of the file, put back,
#: must not bring back a debt, a batch or guesses at a code.
_NOTED = (
    r.REQUEST, r.COMMIT, r.REVERSED, r.RELEASED, r.BATCH_CLOSED, r.LOCKOUT, r.CONFIRMED,
    r.RESTORED,
)  # fmt: skip
#: Those of a payment: durable, they are its outcome, whether the vault knows it or not.
_OUTCOMES = (r.REQUEST, r.COMMIT, r.REVERSED, r.RELEASED)

OK = "ok"
CONFIRM = "confirm"
BLOCKED = "blocked"


class BatchFull(StorageFull):
    """The batch holds as many transactions as a checkpoint can: settle first."""

    text_key = "error.batch_full"


class OpenReport:
    """``notices``: what recovery found; ``trading``: "ok", "confirm" (a
    supervisor confirms damage first) or "blocked" (written by newer firmware)."""

    def __init__(self, notices: "list[Notice]", trading: str) -> None:
        self.notices = notices
        self.trading = trading


class Place:
    """A segment's file. ``first``: the sequence before its first record; ``chain``: the
    chain there, empty when its checkpoint does not read."""

    def __init__(self, name: str, epoch: int, first: int, chain: bytes) -> None:
        self.name = name
        self.epoch = epoch
        self.first = first
        self.chain = chain


class Journal:
    """The one durable log. One instance a data folder; calls may overlap.

    ``state`` shows of a synced record nothing before the sync. ``broken``: why
    nothing can be appended until the next ``open``, "" while it can.
    """

    def __init__(self, files: "Files", vault: "Vault", segment_bytes: int = 32768) -> None:
        self._files = files
        self._vault = vault
        self._limit = segment_bytes
        self._room = min(PAYMENT_ROOM, segment_bytes // 2)
        self._lock = aio.Lock()
        self._file: "AppendFile | None" = None
        self._number = 0
        self._size = 0
        self._opened_at = 0
        self._digest = hashlib.sha256()
        self._unsynced = 0
        self._oldest = 1
        self._bad: "list[int]" = []
        self._segments: "list[Place]" = []
        self._in_payment = False
        #: Sequence that the vault was to note and could not; 0 for none.
        self._unnoted = 0
        self.broken = "the journal is not open"
        self.state = State()
        self.sequence = 0
        self.epoch = 0
        self.head_hash = segment.genesis(0)
        self.trading = BLOCKED
        #: Hear of each record once it is appended (kind, body); they must not raise.
        self.listeners: "list[Callable[[int, dict[int, Any]], None]]" = []
        self._durable = (0, 0, self.head_hash)

    # --- opening ----------------------------------------------------------

    async def open(self) -> OpenReport:
        """Read everything back, mend what a power cut left, name what is lost.

        FilesError and VaultError pass through; the journal stays closed then.
        """
        await self.close()
        found = await recovery.recover(self._files, self._vault)
        self.state = found.state
        self.epoch, self.sequence, self.head_hash = found.epoch, found.sequence, found.chain
        self._number, self._size = found.newest, found.size
        self._settled()
        notices = found.damage + found.notices
        if found.blocked:
            self.broken = "the journal holds records of newer firmware"
            self.trading = BLOCKED
            return OpenReport(notices, BLOCKED)
        if found.base is not None:
            self._oldest = found.base.oldest
            self._bad = found.base.bad
        if found.torn_at >= 0 and found.base is not None:
            await self._files.truncate(segment_name(found.base.number), found.torn_at)
        await self._drop(found.drop)
        self._unnoted = 0
        self._segments = []
        if found.damage:
            await self._restart(found)
        elif found.base is None:
            self.epoch = 1
            self.head_hash = segment.genesis(1)
            await self._start_segment(1, None)
            await self._vault.note_journal(1, 0)
        else:
            await self._continue(found.base, found)
        await self._finish_set_aside(found.set_aside + found.strays)
        await self._index()
        if self.state.unconfirmed and not found.damage:
            notices.append(Notice("damage_unconfirmed", "found at an earlier start"))
        self.broken = ""
        self.trading = CONFIRM if self.state.unconfirmed else OK
        return OpenReport(notices, self.trading)

    async def close(self) -> None:
        """Let the file go. Nothing synced is lost."""
        if self._file is not None:
            await self._file.close()
            self._file = None
        self.broken = "the journal is not open"

    async def _continue(self, base: Checkpoint, found: recovery.Recovered) -> None:
        self._number = base.number
        whole = found.data[: found.size]
        self._digest = hashlib.sha256(whole)
        frame = segment.parse(whole, 0)
        self._opened_at = frame.end if frame is not None else 0
        self._file = await self._files.open_append(segment_name(base.number))
        # What the last run wrote without a sync may still be only in the cache.
        await self._file.sync()
        self._settled()

    async def _restart(self, found: recovery.Recovered) -> None:
        """After damage: a new epoch in a new segment, untradable until confirmed."""
        vault_epoch, vault_sequence = await self._vault.journal_position()
        self.epoch = max(self.epoch, vault_epoch) + 1
        self.sequence = max(self.sequence, vault_sequence)
        self.head_hash = segment.genesis(self.epoch)
        self.state.skip_stans(min(found.lost, 999998))
        self.state.unconfirmed = True
        base = found.base
        self._bad = sorted(set(self._bad) | set(found.set_aside))
        if base is None:  # no checkpoint said which segments there were
            self._oldest = min(self._bad + [found.newest + 1])
        previous = None
        if base is not None and base.number not in found.set_aside:
            whole = found.data[: found.size]
            previous = (base.number, len(whole), hashlib.sha256(whole).digest())
        await self._start_segment(found.newest + 1, previous)
        await self._vault.note_journal(self.epoch, self.sequence)
        for notice in found.damage[:16]:
            body = {r.K_CODE: notice.code[:24], r.K_DETAIL: notice.detail[:200]}
            await self._write(r.DAMAGE, body, False)
        await self._sync()

    async def _drop(self, numbers: "list[int]") -> None:
        there = await self._files.list()
        for number in numbers:
            if segment_name(number) in there:
                await self._files.remove(segment_name(number))
        if numbers:
            await self._files.sync_folder()

    async def _finish_set_aside(self, numbers: "list[int]") -> None:
        there = await self._files.list()
        for number in numbers:
            name = segment_name(number)
            if name in there:
                await self._files.rename(name, "bad-" + name)
        if numbers:
            await self._files.sync_folder()

    async def _index(self) -> None:
        """Which file holds which sequences."""
        there = await self._files.list()
        self._segments = []
        for number in range(self._oldest, self._number + 1):
            name = segment_name(number)
            if name not in there:
                name = "bad-" + name
            if name not in there:
                continue
            head = await self._files.read(name, 0, segment.HEAD + segment.MAX_FRAME_BODY + 4)
            frame = segment.parse(head, 0)
            try:
                opening = read_unverified(frame, number)
            except JournalError:
                self._segments.append(Place(name, 0, 0, b""))
                continue
            self._segments.append(Place(name, opening.epoch, opening.sequence, opening.chain))

    # --- appending --------------------------------------------------------

    async def append(self, kind: int, body: "dict[int, Any]", sync: bool = True) -> int:
        """Add a record; its sequence. With ``sync`` it and all before it are on
        stable storage when this returns, and after the kinds in ``_NOTED`` the
        vault knows it. A payment's record counts without that: the vault is told
        at the next append, and ``reserve`` insists on it.

        JournalError: the record is malformed or may not follow, nothing was
        written. StorageFull: nothing was written. Another FilesError: the
        journal takes no more until it is opened again. After a batch's close, a
        count of failures or a confirmation, an error may also mean that the
        record stands and the vault does not know it. A cancellation is delivered
        after the record is whole.
        """
        return await aio.protected(self._append(kind, body, sync))

    async def _append(self, kind: int, body: "dict[int, Any]", sync: bool) -> int:
        async with self._lock:
            self._usable()
            r.validate(kind, body)
            self.state.check(kind, body)
            if not self._in_payment and self._size >= self._full_at():
                await self._roll_if_room()
            sequence = await self._write(kind, body, sync)
            if kind == r.REQUEST:
                self._in_payment = True
            elif kind in (r.COMMIT, r.UNSENT, r.REVERSAL_SENT, r.RELEASED):
                self._in_payment = False
            elif kind == r.RESTORED:
                self.trading = CONFIRM
            if sync and kind in _NOTED:
                self._unnoted = sequence
            try:
                await self._note()
            except TillError:
                if kind in _NOTED and kind not in _OUTCOMES:
                    raise
            return sequence

    async def _note(self) -> None:
        """Tell the vault the position that it lacks. FilesError, VaultError."""
        if self._unnoted:
            await self._vault.note_journal(self.epoch, self._unnoted)
            self._unnoted = 0

    def _usable(self) -> None:
        if self.broken:
            raise JournalError(self.broken)

    async def _write(self, kind: int, body: "dict[int, Any]", sync: bool) -> int:
        try:
            encoded = encode(body)
        except CborError as error:
            raise JournalError("record kind " + str(kind) + ": " + str(error)) from None
        if len(encoded) > r.MAX_BODY:
            raise JournalError("record kind " + str(kind) + " is too long: " + str(len(encoded)))
        raw = segment.build(
            kind,
            r.critical(kind),
            self.sequence + 1,
            min(self._unsynced, 65535),
            self.head_hash,
            encoded,
        )
        await self._put(raw)
        self.sequence += 1
        self._unsynced += 1
        self.head_hash = segment.chain(self.head_hash, raw)
        if kind in _KEPT:  # the fold keeps the map; the caller may go on using his
            body = _copy(encoded)
        if sync:
            await self._sync()
        self.state.apply(self.sequence, kind, body)
        for listener in self.listeners:
            listener(kind, body)
        return self.sequence

    async def _put(self, raw: bytes) -> None:
        if self._file is None:
            raise JournalError("the journal is not open")
        try:
            await self._file.append(raw)
        except StorageFull:
            await self._mend()
            raise
        except TillError as error:
            self._break("a write failed: " + str(error))
            raise
        self._size += len(raw)
        self._digest.update(raw)

    async def _mend(self) -> None:
        """After a write without room: the file must end where it did."""
        name = segment_name(self._number)
        try:
            if await self._files.size(name) != self._size:
                await self._files.truncate(name, self._size)
        except TillError as error:
            self._break("a write failed and could not be undone: " + str(error))

    async def _sync(self) -> None:
        if self._file is None:
            raise JournalError("the journal is not open")
        try:
            await self._file.sync()
        except TillError as error:
            # What reached the disk is unknown; only reading it back tells.
            self._break("a sync failed: " + str(error))
            raise
        self._settled()

    def _settled(self) -> None:
        """All that was appended is durable."""
        self._unsynced = 0
        self._durable = (self.sequence, self.epoch, self.head_hash)

    def _break(self, why: str) -> None:
        self.broken = why
        self.trading = BLOCKED

    # --- segments ---------------------------------------------------------

    def _full_at(self) -> int:
        """Length at which the segment is left. A large checkpoint still gets room."""
        return max(self._limit, self._opened_at + self._room)

    async def reserve(self) -> None:
        """Before a payment: room for it and its reversal in this segment, and on
        the disk for that and a roll-over; and a vault that knows where the journal
        stands. StorageFull, BatchFull, FilesError, VaultError."""
        await aio.protected(self._reserve())

    async def _reserve(self) -> None:
        async with self._lock:
            self._usable()
            await self._note()
            if len(self.state.transactions) >= MAX_TRANSACTIONS:
                raise BatchFull("the batch holds " + str(MAX_TRANSACTIONS) + " transactions")
            if len(self.state.scripts_owed) >= MAX_SCRIPTS:
                raise JournalError("script results must be sent first")
            room = 2 * self._room + segment.MAX_FRAME_BODY
            free = await self._files.free()
            if free < room and self._oldest < self._oldest_kept(self._number, False):
                await self._roll(False)  # what waits for a PC costs no payment
                free = await self._files.free()
            if free < room:
                raise StorageFull(str(free) + " bytes free, a payment needs " + str(room))
            if self._size + self._room > self._full_at() and self._size > self._opened_at:
                await self._roll()

    async def _roll_if_room(self) -> None:
        """Roll over, or go on in the long segment: ``reserve`` kept room for the
        records that end a payment, and those must never wait for a new file."""
        try:
            await self._roll()
        except StorageFull:
            if self._size > recovery.MAX_FILE - segment.MAX_FRAME_BODY:
                raise

    async def _roll(self, generous: bool = True) -> None:
        """Begin the next segment. The old one is whole and durable before. ``generous``:
        what no PC has read is kept if there is room."""
        if self._unsynced:
            await self._sync()
        # MicroPython's digest() ends the object: after a failure it is made anew.
        previous = (self._number, self._size, self._digest.digest())
        number = self._number + 1
        try:
            await self._start_segment(number, previous, generous)
        except StorageFull:
            await self._give_up_segment(number)
            raise
        except TillError as error:
            self._break("a segment could not be begun: " + str(error))
            raise
        await self._expire()

    async def _give_up_segment(self, number: int) -> None:
        try:
            await self._drop([number])
            whole = await recovery.load(self._files, segment_name(self._number))
        except TillError as error:
            self._break("a segment could not be given up: " + str(error))
            raise
        self._digest = hashlib.sha256(whole[: self._size])

    async def _start_segment(
        self, number: int, previous: "tuple[int, int, bytes] | None", generous: bool = True
    ) -> None:
        head = Checkpoint(number, self.epoch, self.sequence, self.head_hash, self.state)
        if previous is not None:
            head.previous, head.previous_size, head.previous_digest = previous
        generous = generous and self.state.acknowledged > 0
        if generous:
            generous = await self._files.free() >= SPARE
        self._oldest = self._oldest_kept(number, generous)
        self._bad = [one for one in self._bad if one >= self._oldest]
        head.oldest, head.bad = self._oldest, self._bad
        raw = await head.frame(self._vault)
        name = segment_name(number)
        file = await self._files.open_append(name)
        try:
            await file.append(raw)
            await file.sync()
            await self._files.sync_folder()
        except TillError:
            await file.close()
            raise
        if self._file is not None:
            await self._file.close()
        self._file = file
        self._number, self._size, self._opened_at = number, len(raw), len(raw)
        self._digest = hashlib.sha256(raw)
        self._settled()
        self._segments.append(Place(name, self.epoch, self.sequence, self.head_hash))

    def _oldest_kept(self, number: int, generous: bool) -> int:
        """The oldest segment to keep: the last KEEP_SEGMENTS and what the batch needs, and
        with ``generous`` what no PC has acknowledged."""
        needed = self.state.oldest_needed()
        oldest = number - KEEP_SEGMENTS
        if generous:
            unread = self._covering(self.state.acknowledged + 1)
            oldest = min(oldest, max(unread, number - KEEP_UNREAD))
        if needed:
            oldest = min(oldest, self._covering(needed))
        return max(oldest, self._oldest)

    def _covering(self, sequence: int) -> int:
        """The segment that holds a record, the oldest kept if none does."""
        covering = self._oldest
        for place in self._segments:
            if 0 < place.first < sequence:
                covering = max(covering, _number_of(place.name))
        return covering

    async def _expire(self) -> None:
        """Remove what is older than the oldest kept; a cut here is finished at open."""
        kept = []
        removed = False
        for one in self._segments:
            if _number_of(one.name) < self._oldest:
                await self._files.remove(one.name)
                removed = True
            else:
                kept.append(one)
        self._segments = kept
        if removed:
            await self._files.sync_folder()

    async def confirm_damage(self, who: str, receipt: "dict[str, Any] | None" = None) -> None:
        """A supervisor takes note of the damage; trading resumes. ``receipt``: the
        slip's values. JournalError if there is none to confirm or the journal is
        blocked."""
        self._usable()
        if not self.state.unconfirmed:
            raise JournalError("there is no damage to confirm")
        body: "dict[int, Any]" = {r.K_WHO: who}
        if receipt is not None:
            body[r.K_RECEIPT] = receipt
        await self.append(r.CONFIRMED, body)
        self.trading = OK

    # --- reading ----------------------------------------------------------

    def head(self) -> "tuple[int, int, bytes]":
        """(sequence, epoch, chain) of the last record that is durable: what a power cut may
        take back is told to nobody."""
        return self._durable

    def places(self) -> "list[Place]":
        """The segments kept, ascending."""
        return list(self._segments)

    def acknowledge(self, sequence: int) -> None:
        """A PC keeps every record up to this durable one by itself. The next segment's
        checkpoint remembers it; until then a power cut takes it back, at no cost."""
        self.state.acknowledged = max(self.state.acknowledged, min(sequence, self._durable[0]))

    async def read(self, after: int, most: int = 100) -> "list[Record]":
        """At most ``most`` records with a sequence above ``after``, ascending.

        Records lost to damage or expired are simply not there; a record of a
        segment set aside has an empty ``hash``. FilesError.
        """
        async with self._lock:
            return await self._read(after, most)

    async def _read(self, after: int, most: int) -> "list[Record]":
        out: "list[Record]" = []
        for i, place in enumerate(self._segments):
            following = self._segments[i + 1].first if i + 1 < len(self._segments) else None
            if following is not None and following <= after and following:
                continue
            if len(out) >= most:
                break
            data = await recovery.load(self._files, place.name)
            scan = segment.scan(data, place.chain or None, place.first)
            frames = [(frame, scan.chains[n]) for n, frame in enumerate(scan.good)]
            if place.name[:4] == "bad-":
                frames = [(frame, b"") for frame, _ in frames]
                frames += [(frame, b"") for frame in scan.later]
            for frame, after_hash in frames:
                if frame.kind == r.CHECKPOINT or frame.sequence <= after or len(out) >= most:
                    continue
                body = frame.content()
                if body is None or (out and frame.sequence <= out[-1].sequence):
                    continue
                out.append(
                    Record(
                        frame.sequence, frame.kind, body, frame.critical, place.epoch, after_hash
                    )
                )
        return out


def _number_of(name: str) -> int:
    return segment_number(name[4:] if name[:4] == "bad-" else name)


def _copy(encoded: bytes) -> "dict[int, Any]":
    value = decode(encoded)
    if not isinstance(value, dict):
        raise JournalError("a body is a map")
    return value
