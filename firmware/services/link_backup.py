"""``backup`` and ``restore`` of the ledger (docs/link.md, Backup; docs/journal.md, Restoring)."""

import hashlib

from firmware import aio, cbor
from firmware.crypto import CryptoError
from firmware.crypto.x25519 import KeyPair
from firmware.errors import TillError
from firmware.link import archive
from firmware.link.archive import ArchiveBroken
from firmware.link.services import BAD_ARGUMENTS, BUSY, FAILED, CallRefused, NotOfTable, check
from firmware.payment.journal import fold, segment
from firmware.payment.journal import records as r
from firmware.payment.journal.reading import MOST_FRAME, Piece, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.hal.entropy import Entropy
    from firmware.hal.files import Files
    from firmware.link.services import Schema
    from firmware.payment.journal.journal import Journal
    from firmware.services.link_calls import Call, Handler

USED, FOREIGN, ARCHIVE = "used", "foreign", "archive"
#: STANs passed over at a restore: so many, or so many for each day since the backup.
PASS_STANS, PASS_A_DAY, MOST_PASSED = 10_000, 1_000, 400_000
_DAY = 86_400
#: Settings that go along: what else is journalled belongs to the terminal, not the shop.
_LANGUAGE, _REMIND = "language", "remind."

# What a piece is (key 1 of its map).
_HEAD, _FRAMES, _SETTING, _LINE, _REFERENCE, _END = 1, 2, 3, 4, 5, 9
_SCHEMAS: "dict[int, Schema]" = {
    _HEAD: {
        1: ("piece", "int", 1, 9, True),
        2: ("terminal", "text", 8, 8, True),
        3: ("merchant", "text", 15, 15, True),
        4: ("sequence", "int", 1, (1 << 63) - 1, True),
        5: ("epoch", "int", 1, (1 << 32) - 1, True),
        6: ("chain", "bytes", 32, 32, True),
        7: ("next STAN", "int", 1, 999999, True),
        8: ("batch", "int", 1, 999999, True),
        9: ("open", "list", 0, 8, True),  # payments without an end: [STAN, amount, currency]
    },
    _FRAMES: {
        1: ("piece", "int", 1, 9, True),
        2: ("first", "int", 1, (1 << 63) - 1, True),
        3: ("epoch", "int", 0, (1 << 32) - 1, True),
        4: ("chain", "bytes", 32, 32, True),
        5: ("frames", "bytes", 1, archive.MOST_PLAIN, True),
        6: ("salvaged", "bool", 0, 0, True),
    },
    _SETTING: {
        1: ("piece", "int", 1, 9, True),
        2: ("name", "text", 1, 24, True),
        3: ("value", "plain", 0, 0, True),
    },
    _LINE: {
        1: ("piece", "int", 1, 9, True),
        2: ("STAN", "int", 1, 999999, True),
        3: ("type", "text", 1, 24, True),
        4: ("currency", "int", 0, 999, True),
        5: ("amount", "int", 0, 999999999999, True),
        6: ("reversed", "bool", 0, 0, True),
        7: ("owed", "bool", 0, 0, True),
        8: ("receipt", "map", 0, 64, True),
    },
    _REFERENCE: {
        1: ("piece", "int", 1, 9, True),
        2: ("reference", "text", 1, 80, True),
        3: ("digest", "bytes", 16, 16, True),
        4: ("amount", "int", 0, 999999999999, True),
        5: ("currency", "int", 0, 999, True),
        6: ("STAN", "int", 0, 999999, True),
        7: ("batch", "int", 0, 999999, True),
        8: ("outcome", "text", 1, 16, True),
    },
    _END: {
        1: ("piece", "int", 1, 9, True),
        2: ("lines", "int", 0, fold.MAX_TRANSACTIONS, True),
        3: ("last sequence", "int", 0, (1 << 63) - 1, True),
    },
}
_PIECE: "Schema" = {1: ("piece", "bytes", 1, 65536, True)}
_SUM: "Schema" = {1: ("SHA-256", "bytes", 32, 32, True)}


class Owner:
    """Whose ledger it is. ``busy``: whether a payment may be at work; ``now``: Unix seconds,
    0 while the clock is dead; ``restored`` hears that a supervisor must confirm now."""

    serial = ""
    #: Fields 41 and 42, "" without a bundle.
    terminal = ""
    merchant = ""

    def busy(self) -> bool:
        """Whether anything but the idle screen is up."""
        raise NotImplementedError

    async def now(self) -> int:
        """Unix seconds, 0 while the clock is dead."""
        raise NotImplementedError

    def restored(self) -> None:
        """A ledger was restored: a supervisor must confirm before the next payment."""
        raise NotImplementedError


class LinkBackup:
    """``static`` gives the terminal's key of the link."""

    def __init__(
        self,
        journal: "Journal",
        files: "Files",
        entropy: "Entropy",
        static: "Callable[[], Awaitable[StaticKey]]",
        owner: Owner,
    ) -> None:
        self._journal = journal
        self._files = files
        self._entropy = entropy
        self._static = static
        self._owner = owner
        self._restoring = False

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        return {"backup": self.backup, "restore": self.restore}

    # -- backup

    async def backup(self, call: "Call") -> None:
        """The ledger as it is now, while the terminal trades on."""
        if not self._journal.places() or not self._owner.terminal:
            raise CallRefused(FAILED, {1: "error.not_provisioned"})
        writer = await self._writer(call.arguments[1])
        whole = hashlib.sha256()

        async def send(piece: bytes) -> None:
            whole.update(piece)
            await call.item({1: piece})
            await aio.sleep_ms(0)

        state = self._journal.state
        sequence, epoch, chain = self._journal.head()
        lines = [one for one in state.transactions if one.sequence <= sequence]
        owed = [one.sequence for one in state.print_owed if r.COPY_MERCHANT not in one.printed]
        head = {1: _HEAD, 2: self._owner.terminal, 3: self._owner.merchant, 4: sequence}
        head[5], head[6], head[7], head[8] = epoch, chain, state.stan, state.batch
        head[9] = [_open(body) for body in _unended(state)]
        references = [_reference(one) for one in state.registered.kept]
        settings = [
            {1: _SETTING, 2: name, 3: state.settings[name]}
            for name in sorted(state.settings)
            if _goes_along(name)
        ]
        await send(writer.first)
        for value in [head] + settings + references:
            await send(writer.seal(value))
        wanted = {one.sequence: one for one in lines}
        last = 0
        reader = Reader(self._journal, self._files, self._oldest(), MOST_FRAME)
        while last < sequence:
            piece = await reader.next(sequence - reader.sequence)
            if piece is None:
                break
            last = piece.last
            await send(writer.seal(_frames(piece)))
            for frame in _each(piece.frames):
                one = wanted.pop(frame.sequence, None)
                if one is not None:
                    receipt = (frame.content() or {}).get(r.K_RECEIPT, {})
                    await send(writer.seal(_line(one, one.sequence in owed, receipt)))
        for left in sorted(wanted):  # their receipts are lost, the money is not
            await send(writer.seal(_line(wanted[left], False, {})))
        await send(writer.seal({1: _END, 2: len(lines), 3: last}, True))
        await self._note("backup", call.name)
        await call.end({1: whole.digest()})

    async def _writer(self, recipient: bytes) -> archive.Writer:
        static = await self._static()
        fresh = KeyPair(self._entropy.random(32))
        header: "dict[int, Any]" = {1: archive.FORMAT, 2: self._owner.serial, 3: fresh.public}
        header[4], header[5] = static.public, recipient
        now = await self._owner.now()
        if now:
            header[6] = now
        encoded = cbor.encode(header)
        try:
            secret = archive.key(encoded, fresh.dh(recipient), static.dh(recipient))
        except CryptoError:
            raise CallRefused(BAD_ARGUMENTS, {1: "recipient"}) from None
        finally:
            fresh.wipe()
        return archive.Writer(encoded, secret)

    def _oldest(self) -> int:
        for place in self._journal.places():
            if place.chain:
                return place.first
        return 0

    async def _note(self, code: str, detail: str) -> None:
        body: "dict[int, Any]" = {r.K_CODE: code, r.K_DETAIL: detail[:200]}
        now = await self._owner.now()
        if now:
            body[r.K_TIME] = now
        try:
            await self._journal.append(r.NOTICE, body, sync=False)
        except TillError:
            pass  # the archive is whole whether the journal can tell of it or not

    # -- restore

    async def restore(self, call: "Call") -> None:
        """Take another terminal's ledger, if none has begun here. Nothing of it counts
        before all of it was verified."""
        if not self._journal.places() or self._journal.broken or not self._owner.terminal:
            raise CallRefused(FAILED, {1: "error.not_provisioned"})
        if self._owner.busy() or self._restoring:
            raise CallRefused(BUSY)
        self._restoring = True
        try:
            if await self._used():
                raise CallRefused(USED)
            left = await self._take(call)
        finally:
            self._restoring = False
        await call.end({1: left})

    async def _used(self) -> bool:
        """Whether a payment was ever begun here, or a ledger restored."""
        state = self._journal.state
        places = self._journal.places()
        if state.debt is not None or state.transactions or state.scripts_owed:
            return True
        if places[0].first or places[0].epoch != 1 or self._journal.epoch != 1:
            return True  # older records are gone, or damaged
        reader = Reader(self._journal, self._files, 0, MOST_FRAME)
        while True:
            piece = await reader.next()
            if piece is None:
                return False
            for frame in _each(piece.frames):
                if frame.kind in (r.REQUEST, r.RESTORED, r.DAMAGE):
                    return True
            await aio.sleep_ms(0)

    async def _take(self, call: "Call") -> "list[Any]":
        incoming = _Incoming(self._journal, self._owner, archive.Reader(call.arguments[2]))
        # No other restore has it: records of one before are behind us, or were lost whole.
        incoming.code = "restore " + str(self._journal.sequence)
        size, whole = 0, hashlib.sha256()
        try:
            while True:
                last, value = await call.next()
                if last:
                    check(_SUM, value)
                    break
                check(_PIECE, value)
                size += len(value[1])
                if size > call.arguments[1]:
                    raise ArchiveBroken("longer than it was said to be")
                whole.update(value[1])
                for found in incoming.archive.feed(value[1]):
                    await incoming.take(found)
                await aio.sleep_ms(0)
            incoming.archive.end()
            if size != call.arguments[1] or whole.digest() != value[1]:
                raise ArchiveBroken("not what it was said to be")
            incoming.end()
        except (ArchiveBroken, NotOfTable) as error:
            raise CallRefused(ARCHIVE, {1: str(error)[:120]}) from None
        try:
            await aio.protected(incoming.finish(call.name))
        finally:
            if self._journal.state.unconfirmed:
                self._owner.restored()
        left: "list[Any]" = incoming.head[9]
        return left


class _Incoming:
    """An archive that arrives: what it says goes into the journal as RESTORING records,
    which count for nothing until RESTORED."""

    def __init__(self, journal: "Journal", owner: Owner, reader: archive.Reader) -> None:
        self._journal = journal
        self._owner = owner
        self.archive = reader
        self.code = ""
        self.head: "dict[int, Any]" = {}
        self._settings: "dict[str, Any]" = {}
        self._lines = 0
        self._last: "tuple[int, int, bytes] | None" = None
        self._ended = False

    async def take(self, value: "dict[int, Any]") -> None:
        """One map of it. ArchiveBroken, NotOfTable, CallRefused; JournalError, FilesError."""
        kind = value.get(1)
        if not isinstance(kind, int) or kind not in _SCHEMAS:
            raise ArchiveBroken("a piece of no known kind")
        check(_SCHEMAS[kind], value)
        if (kind == _HEAD) == bool(self.head) or self._ended:
            raise ArchiveBroken("pieces out of order")
        if kind == _HEAD:
            if (value[2], value[3]) != (self._owner.terminal, self._owner.merchant):
                raise CallRefused(FOREIGN, {1: value[2], 2: value[3]})
            for one in value[9]:
                _check_open(one)
            self.head = value
        elif kind == _FRAMES:
            self._frames(value)
        elif kind == _SETTING:
            if _goes_along(value[2]) and len(self._settings) < 16:
                self._settings[value[2]] = value[3]
        elif kind == _END:
            self._ended = True
            last = self._last[0] if self._last is not None else 0
            if (value[2], value[3]) != (self._lines, last) or last != self.head[4]:
                raise ArchiveBroken("it does not hold what it says")
        else:
            await self._bring(kind, value)

    def _frames(self, value: "dict[int, Any]") -> None:
        """The history: whole and one chain, as far as it can be known."""
        chain, sequence = value[4], value[2]
        if self._last is not None:
            if sequence <= self._last[0]:
                raise ArchiveBroken("records out of order")
            begins = self._last[1:] == (value[3], chain) and sequence == self._last[0] + 1
            if not begins and not value[6] and value[3] == self._last[1] and self._last[2]:
                raise ArchiveBroken("records of another chain")
        at = 0
        while at < len(value[5]):
            frame = segment.parse(value[5], at)
            if frame is None or frame.sequence != sequence or frame.link != chain[:8]:
                raise ArchiveBroken("record " + str(sequence) + " does not verify")
            chain = segment.chain(chain, value[5][at : frame.end])
            at = frame.end
            sequence += 1
        self._last = (sequence - 1, value[3], b"" if value[6] else chain)

    async def _bring(self, kind: int, value: "dict[int, Any]") -> None:
        body: "dict[int, Any]" = {r.K_CODE: self.code}
        if kind == _LINE:
            self._lines += 1
            body[r.K_STAN], body[r.K_TYPE] = value[2], value[3]
            body[r.K_CURRENCY], body[r.K_AMOUNT] = value[4], value[5]
            body[r.K_OUTCOME] = r.OUTCOME_REVERSED if value[6] else r.OUTCOME_APPROVED
            body[r.K_COPY] = r.COPY_MERCHANT if value[7] else r.COPY_NONE
            if value[8]:
                body[r.K_RECEIPT] = value[8]
        else:
            body[r.K_REFERENCE], body[r.K_DIGEST] = value[2], value[3] + bytes(16)
            body[r.K_AMOUNT], body[r.K_CURRENCY] = value[4], value[5]
            if value[6] and value[7]:
                body[r.K_STAN], body[r.K_BATCH] = value[6], value[7]
            ended = value[8] in (r.OUTCOME_APPROVED, r.OUTCOME_REVERSED)
            body[r.K_OUTCOME] = value[8] if ended else r.OUTCOME_UNKNOWN
        await self._journal.append(r.RESTORING, body, sync=False)

    def end(self) -> None:
        """ArchiveBroken unless all of it was told."""
        if not self._ended:
            raise ArchiveBroken("it has no end")

    async def finish(self, who: str) -> None:
        """Settings, payments without an end, then the record that makes it count."""
        head = self.head
        for name in sorted(self._settings):
            body: "dict[int, Any]" = {r.K_NAME: name, r.K_VALUE: self._settings[name]}
            await self._journal.append(r.SETTING, body, sync=False)
        for stan, amount, currency in head[9]:
            detail = "STAN " + str(stan) + ", " + str(amount) + " of currency " + str(currency)
            body = {r.K_CODE: "restored_open", r.K_STAN: stan, r.K_DETAIL: detail}
            await self._journal.append(r.NOTICE, body, sync=False)
        now, made = await self._owner.now(), self._made()
        passed = PASS_STANS
        if now and made and now > made:
            passed = max(passed, (now - made) * PASS_A_DAY // _DAY)
        stan = (head[7] - 1 + min(passed, MOST_PASSED)) % 999999 + 1
        body = {r.K_CODE: self.code, r.K_STAN: stan, r.K_BATCH: head[8]}
        body[r.K_SOURCE], body[r.K_SEQUENCE] = self._serial(), head[4]
        body[r.K_WHO] = who[:32]
        if now:
            body[r.K_TIME] = now
        await self._journal.append(r.RESTORED, body)

    def _serial(self) -> str:
        assert self.archive.header is not None
        return str(self.archive.header[2])

    def _made(self) -> int:
        assert self.archive.header is not None
        return int(self.archive.header.get(6, 0))


def _goes_along(setting: str) -> bool:
    return setting == _LANGUAGE or setting.startswith(_REMIND)


def _unended(state: fold.State) -> "list[dict[int, Any]]":
    """Requests of payments that have no end in the books yet."""
    bodies = [owed.request for owed in state.scripts_owed]
    if state.debt is not None:
        bodies.append(state.debt.request)
    return bodies


def _open(body: "dict[int, Any]") -> "list[Any]":
    return [body[r.K_STAN], body[r.K_AMOUNT], body[r.K_CURRENCY]]


def _check_open(one: "Any") -> None:
    good = isinstance(one, list) and len(one) == 3
    bounds = (999999, 999999999999, 999)
    for at in range(3):
        good = good and isinstance(one[at], int) and not isinstance(one[at], bool)
        good = good and 0 <= one[at] <= bounds[at]
    if not good or not one[0]:
        raise ArchiveBroken("an open payment that is none")


def _frames(piece: Piece) -> "dict[int, Any]":
    return {
        1: _FRAMES, 2: piece.first, 3: piece.epoch, 4: piece.chain, 5: piece.frames,
        6: piece.salvaged,
    }  # fmt: skip


def _line(one: "fold.Transaction", owed: bool, receipt: "dict[Any, Any]") -> "dict[int, Any]":
    gone = one.status == fold.REVERSED
    return {
        1: _LINE, 2: one.stan, 3: one.type, 4: one.currency, 5: one.amount, 6: gone, 7: owed,
        8: receipt,
    }  # fmt: skip


def _reference(one: "Any") -> "dict[int, Any]":
    return {
        1: _REFERENCE, 2: one.reference, 3: one.digest, 4: one.amount, 5: one.currency,
        6: one.stan, 7: one.batch, 8: one.outcome,
    }  # fmt: skip


def _each(frames: bytes) -> "list[segment.Frame]":
    found = []
    at = 0
    while at < len(frames):
        frame = segment.parse(frames, at)
        if frame is None:
            break
        found.append(frame)
        at = frame.end
    return found
