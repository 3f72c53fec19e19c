"""Reading the journal's frames as they stand, for a PC, beside a terminal that trades.

The journal's lock is never held: only what is durable is read, and that stays where it is
until its segment expires. Memory is bounded by one piece and one record.
"""

import hashlib

from firmware.hal.files import NoSuchFile
from firmware.payment.journal import records as r
from firmware.payment.journal import recovery, segment
from firmware.payment.journal.records import JournalError

try:
    from binascii import crc32
except ImportError:  # as in segment.py
    from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files
    from firmware.payment.journal.journal import Journal, Place

#: The longest frame of a record: a reader asks for more at a time, and gives no less.
MOST_FRAME = segment.HEAD + r.MAX_BODY + segment.TAIL


class Expired(JournalError):
    """The record asked for is no longer kept. ``oldest``: the first that is."""

    def __init__(self, oldest: int) -> None:
        super().__init__("records before " + str(oldest) + " are no longer kept")
        self.oldest = oldest


class AnotherChain(JournalError):
    """The place asked for is not one of this journal."""


class Piece:
    """Whole ``frames``, one behind the other, all of one ``epoch``; ``first``: the sequence
    of the first, ``last`` of the last; ``chain``: 32 bytes before the first, of a ``salvaged``
    frame (it stands behind a hole) only the 8 that it states itself, then zeros."""

    def __init__(
        self, first: int, last: int, epoch: int, frames: bytes, chain: bytes, salvaged: bool
    ) -> None:
        self.first = first
        self.last = last
        self.epoch = epoch
        self.frames = frames
        self.chain = chain
        self.salvaged = salvaged


class Reader:
    """Goes from record ``after`` to the last durable one, and on as it moves. ``most``:
    bytes of a piece, at least MOST_FRAME."""

    def __init__(self, journal: "Journal", files: "Files", after: int, most: int) -> None:
        self._journal = journal
        self._files = files
        self._most = max(most, MOST_FRAME)
        #: Of the last record given, or asked for.
        self.sequence = after
        self._place: "Place | None" = None
        self._offset = 0  # in its file, of ``_data``
        self._data = b""
        self._at = 0
        self._chain = b""
        self._last = 0  # the sequence that ``_chain`` is after
        self._salvage: "list[Piece]" = []

    async def next(self, most_records: int = 1 << 31) -> "Piece | None":
        """The next piece, None at the last durable record. Expired, FilesError;
        JournalError for a segment that changed since it was opened."""
        while True:
            if self._salvage:
                saved = self._salvage.pop(0)
                self.sequence = saved.last
                return saved
            if self._place is None:
                if self.sequence >= self._journal.head()[0]:
                    return None
                await self._enter(self._first_place())
                continue
            piece = await self._piece(most_records)
            if piece is not None:
                self.sequence = piece.last
                return piece
            if self._salvage:
                continue
            following = self._following()
            if following is None:
                return None
            await self._enter(following)

    async def chain_after(self) -> "tuple[int, bytes]":
        """(epoch, chain) after the record ``after`` of a reader that gave nothing yet: what
        a cursor must say. The chain is empty where it cannot be known, in a segment set
        aside. Expired, AnotherChain for a record that is not there, FilesError."""
        before: "Place | None" = None
        for place in self._journal.places():
            if place.chain and place.first < self.sequence:
                before = place
        if before is None:
            raise Expired(self._oldest())
        if _aside(before):
            return before.epoch, b""
        await self._enter(before)
        if self._last != self.sequence:
            raise AnotherChain("no record " + str(self.sequence))
        return before.epoch, self._chain

    def _oldest(self) -> int:
        for place in self._journal.places():
            if place.chain:
                return place.first + 1
        return self._journal.head()[0] + 1

    def _first_place(self) -> "Place":
        places = self._journal.places()
        if not places:
            raise JournalError("the journal is not open")
        if places[0].chain and self.sequence < places[0].first:
            raise Expired(places[0].first + 1)
        chosen = places[0]
        for place in places:
            if place.chain and place.first <= self.sequence:
                chosen = place
        return chosen

    def _following(self) -> "Place | None":
        """The place after the present one, None when that is the newest."""
        before = self._place
        found = False
        for place in self._journal.places():
            if found:
                return place
            found = place is before
        if not found:  # it expired meanwhile; the next one may be there
            return self._first_place()
        return None

    async def _enter(self, place: "Place") -> None:
        """Go to the first record of ``place`` behind ``sequence``."""
        self._place, self._chain, self._last = place, place.chain, place.first
        self._data, self._at, self._offset = b"", 0, 0
        if _aside(place):
            await self._set_aside(place)
            return
        await self._more(segment.HEAD)
        # Its checkpoint was verified when the journal was opened, or is our own.
        if len(self._data) < segment.HEAD:
            raise JournalError(place.name + " has no checkpoint")
        self._offset += segment.HEAD + _length(self._data, 0) + segment.TAIL
        self._data = b""
        while self._last < self.sequence and await self._piece(1 << 31, self.sequence):
            pass

    async def _more(self, most: int) -> None:
        """Read on behind what is left of ``_data``."""
        assert self._place is not None
        left = self._data[self._at :]
        self._offset += self._at
        self._at = 0
        try:
            new = await self._files.read(self._place.name, self._offset + len(left), most)
        except NoSuchFile:
            self._place = None
            raise Expired(self._oldest()) from None
        self._data = left + new if left else new

    async def _piece(self, most_records: int, up_to: int = -1) -> "Piece | None":
        """Frames of the present place, up to the last durable record or ``up_to``; None:
        there is none more."""
        assert self._place is not None
        if _aside(self._place):
            return None
        limit = self._journal.head()[0] if up_to < 0 else up_to
        if self._last >= limit:
            return None
        if not _whole(self._data, self._at):
            await self._more(self._most)
            if self._at == len(self._data):
                return None
            if not _whole(self._data, self._at):
                raise JournalError(self._place.name + " ends inside a record")
        begin, first, before = self._at, self._last + 1, self._chain
        data, at, chain, last = self._data, self._at, self._chain, self._last
        end = min(len(data), begin + self._most)
        while last < limit and last - first + 1 < most_records and at + segment.HEAD <= end:
            after = at + segment.HEAD + _length(data, at) + segment.TAIL
            if after > end:
                break
            raw = data[at:after]
            stated = int.from_bytes(raw[-segment.TAIL :], "big")
            if (
                int.from_bytes(raw[10:18], "big") != last + 1
                or raw[18:26] != chain[:8]
                or crc32(raw[: -segment.TAIL]) & 0xFFFFFFFF != stated
            ):
                raise JournalError(self._place.name + " changed at record " + str(last + 1))
            chain = hashlib.sha256(chain + raw).digest()
            last += 1
            at = after
        self._at, self._chain, self._last = at, chain, last
        if last == limit:
            self._data = data[:at]  # what is not durable yet may still become another
        return Piece(first, last, self._place.epoch, data[begin:at], before, False)

    async def _set_aside(self, place: "Place") -> None:
        """What reads of a damaged segment: its sound beginning in pieces, then each frame
        behind the hole by itself."""
        try:
            data = await recovery.load(self._files, place.name)
        except NoSuchFile:
            return
        scan = segment.scan(data, place.chain or None, place.first)
        epoch = place.epoch if place.epoch else max(1, self._journal.epoch - 1)
        chain = place.chain
        behind = scan.later if chain else scan.good + scan.later
        for frame in scan.good if chain else []:
            if frame.kind != r.CHECKPOINT:
                raw = data[frame.start : frame.end]
                self._keep(Piece(frame.sequence, frame.sequence, epoch, raw, chain, False))
                chain = segment.chain(chain, raw)
        for frame in behind:
            if frame.kind != r.CHECKPOINT:
                raw = data[frame.start : frame.end]
                stated = frame.link + bytes(24)
                self._keep(Piece(frame.sequence, frame.sequence, epoch, raw, stated, True))

    def _keep(self, piece: Piece) -> None:
        """Have it given next; with the one before, if they are one chain."""
        before = self._salvage[-1] if self._salvage else None
        last = before.last if before is not None else self.sequence
        if piece.first <= last or len(piece.frames) > MOST_FRAME:
            return
        room = before is not None and len(before.frames) + len(piece.frames) <= self._most
        if before is not None and room and not piece.salvaged:
            before.frames += piece.frames
            before.last = piece.last
        else:
            self._salvage.append(piece)


def _aside(place: "Place") -> bool:
    return place.name[:4] == "bad-"


def _length(data: bytes, at: int) -> int:
    return data[at + 6] << 8 | data[at + 7]


def _whole(data: bytes, at: int) -> bool:
    """Whether a whole frame begins at ``at``."""
    left = len(data) - at
    return left >= segment.HEAD and left >= segment.HEAD + _length(data, at) + segment.TAIL


async def verify(
    journal: "Journal", files: "Files", sequence: int, epoch: int, chain: bytes
) -> None:
    """Whether a PC's cursor is a place of this journal. AnotherChain, Expired, FilesError."""
    head = journal.head()
    if (sequence, epoch, chain) == head:
        return
    if sequence > head[0]:
        raise AnotherChain("no record " + str(sequence) + " yet")
    for place in journal.places():  # where a segment, or an epoch, begins
        if place.chain and (place.first, place.epoch, place.chain) == (sequence, epoch, chain):
            return
    known_epoch, known = await Reader(journal, files, sequence, MOST_FRAME).chain_after()
    if known_epoch != epoch or (known and known != chain):
        raise AnotherChain("record " + str(sequence) + " is of another chain")
