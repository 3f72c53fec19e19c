"""Where the vault keeps the journal's position, with or without a counter.

``vault.seq`` without a counter: 28-byte records, epoch (4) | sequence (8) | tag
(16), appended; the last one counts. With a counter: "OTSTEPS1", then 36-byte
records, epoch (4) | sequence (8) | count (8) | tag (16). A record is one append
and one sync: one durable barrier. A record that was never synced may be torn
or missing. All numbers big endian.

``count`` is what the counter reads once the record's step is done. The record is
durable first, then the counter steps. So at every cut of power the file says
what the counter reads (the step was done, or the record never came to be) or
one more (the step is missing, and is done before the next note). No copy of
an earlier day can say either, because the counter has passed what it says.
The other order would have to take for good a file that is one behind, which is
what an old copy is.

Steps are dear (docs/threat-model.md has the arithmetic): the first note after
each opening, the first of an epoch and every ``every``-th take one. Opening takes
none, so a terminal that starts over and over wears nothing.

A file behind its counter is an old copy. The vault opens, and says that the
journal stands where no journal can: the journal then finds itself behind,
begins a new epoch and asks for a supervisor. Only a note of such an epoch
brings file and counter together again.
"""

from firmware.crypto import hashes, wipe, wrap
from firmware.hal.counter import CounterError, CounterForeign, CounterUnset
from firmware.hal.vault import VaultError, VaultTampered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.counter import Counter
    from firmware.hal.entropy import Entropy
    from firmware.hal.files import AppendFile, Files

POSITION = "vault.seq"
#: No file of ours is larger.
MOST_FILE = 262144
#: Notes to a step of the counter, where a board says nothing else (docs/threat-model.md).
NOTES_PER_STEP = 32

_LABEL = b"OpenTill vault 1"
_MAGIC = b"OTSTEPS1"
_TAG = 16
#: Compacted at open when larger, and while running when larger.
_TIDY = 4096
_MOST = 65536
#: More records than the journal ever makes between two notes of a payment.
_RECORDS_PER_NOTE = 16
#: No more sequences are passed over for an old copy: STANs go with them, and
#: those begin again at a million.
_MOST_LOST = 100000
#: A chip's own counters begin where the highest one before ended; none gets this far.
_MOST_COUNT = 1 << 62
#: An old copy's epoch is put out of reach by a random number below this, so that
#: no second copy can be kept ready that would fit.
_FAR = 1 << 20


class PositionFile:
    """Reads and writes ``vault.seq``. Errors of ``Files`` and of the counter pass through."""

    def __init__(
        self, files: "Files", entropy: "Entropy", counter: "Counter | None", every: int
    ) -> None:
        """``every``: notes to a step of the counter, 1 or more."""
        self._files = files
        self._entropy = entropy
        self._counter = counter
        self._every = every
        self._key = bytearray()  # of records without a count
        self._counted_key = bytearray()
        self._secret = bytearray()
        #: (epoch, sequence) as last noted; where no journal stands while ``behind``.
        self.position = (0, 0)
        #: The files are older than the counter says.
        self.behind = False
        self._append: "AppendFile | None" = None
        self._size = 0
        self._anew = False  # an append may have ended half-way, or the form is the other one
        self._count = 0  # what the counter reads once nothing is owed
        self._owed = False  # the counter may be one step short of that
        self._since = -1  # notes since the last step; -1: none yet in this life

    def take_key(self, device: "bytes | bytearray") -> None:
        """Derive from the device key what is needed here."""
        self._key = wrap.derive(device, _LABEL, b"position")
        self._counted_key = wrap.derive(device, _LABEL, b"counted position")
        self._secret = wrap.derive(device, _LABEL, b"counter")

    def forget(self) -> None:
        """Wipe what RAM holds."""
        for key in (self._key, self._counted_key, self._secret):
            wipe(key)
        self._key = self._counted_key = self._secret = bytearray()
        self.position = (0, 0)
        self.behind = False
        self._count = 0
        self._owed = False
        self._since = -1

    async def close(self) -> None:
        """Close the file."""
        if self._append is not None:
            append = self._append
            self._append = None
            await append.close()

    async def create(self) -> None:
        """Begin at (0, 0), with a counter of this vault's where the board has one."""
        if self._counter is not None:
            self._count = _plausible(await self._counter.make(self._secret))
        await self._rewrite(0, 0, self._count)

    async def load(self, data: bytes) -> None:
        """Take the file's content, and hold it against the counter. VaultTampered,
        VaultError; CounterError and its kinds."""
        counted = data[: len(_MAGIC)] == _MAGIC
        if counted and self._counter is None:
            raise VaultError(POSITION + " was kept with a counter, and the board names none")
        said = self._parse(data, len(_MAGIC) if counted else 0, counted)
        self._anew = counted != (self._counter is not None)
        if not self._anew and (self._size != len(data) or self._size > _TIDY):
            await self._rewrite(self.position[0], self.position[1], said)
        if self._counter is not None:
            await self._hold(self._counter, said if counted else -1)

    async def check(self) -> None:
        """Read the counter: it stands where the last step left it, or where one that
        failed did. CounterError and its kinds."""
        if self._counter is None:
            return
        value = await self._counter.find(self._secret)
        if value != self._count and not (self._owed and value == self._count - 1):
            raise CounterForeign(_stands(value, self._count))

    async def note(self, epoch: int, sequence: int) -> None:
        """Make (epoch, sequence) the position, at the cost of one sync, and of a step
        where one is due. After a CounterError the note stands and its step is owed,
        or nothing was written: the caller notes again, and of the position
        that stands only the step is made up for."""
        if (epoch, sequence) == self.position and not self.behind:
            await self._settle()
            return
        if self.behind and epoch <= self.position[0]:
            raise VaultError("the vault's files are older than its counter says")
        if (epoch, sequence) < self.position:
            raise VaultError("the journal's sequence would go back")
        due = False
        if self._counter is not None:
            await self._settle()
            due = self._since < 0 or epoch != self.position[0] or self._since + 1 >= self._every
        await self._write(epoch, sequence, self._count + 1 if due else self._count)
        self.behind = False
        self._since += 1
        if self._counter is not None and due:
            self._count += 1
            self._since = 0
            self._owed = True
            await self._step(self._counter)

    # -- inside ---------------------------------------------------------------------

    async def _settle(self) -> None:
        """Do the step that the file speaks of, if it was not done. CounterError."""
        if self._counter is None or not self._owed:
            return
        value = await self._counter.find(self._secret)
        if value == self._count - 1:
            await self._step(self._counter)
        elif value != self._count:
            raise CounterForeign(_stands(value, self._count))
        self._owed = False

    async def _step(self, counter: "Counter") -> None:
        value = await counter.step(self._secret)
        if value != self._count:
            raise CounterForeign(_stands(value, self._count))
        self._owed = False

    async def _hold(self, counter: "Counter", said: int) -> None:
        """Compare with the counter what the file said; -1: it was kept without one."""
        try:
            value = _plausible(await counter.find(self._secret))
        except CounterUnset:
            if said >= 0:
                raise  # the vault was kept with one
            self._count = _plausible(await counter.make(self._secret))
            await self._rewrite(self.position[0], self.position[1], self._count)
            return
        if 0 <= said - value <= 1:
            self._count = said
            self._owed = said != value
            return
        if said > value:
            raise CounterForeign(_stands(value, said))
        lost = _MOST_LOST
        if said >= 0:
            lost = min((value - said) * self._every * _RECORDS_PER_NOTE, _MOST_LOST)
        away = 1 + int.from_bytes(self._entropy.random(4), "big") % _FAR
        self.position = (self.position[0] + away, self.position[1] + lost)
        self.behind = True
        self._count = value

    def _record(self, epoch: int, sequence: int, count: int, counted: bool) -> bytes:
        body = epoch.to_bytes(4, "big") + sequence.to_bytes(8, "big")
        if counted:
            body += count.to_bytes(8, "big")
        key = self._counted_key if counted else self._key
        return body + hashes.hmac_sha256(key, body)[:_TAG]

    def _parse(self, data: bytes, at: int, counted: bool) -> int:
        """Take the last record that verifies, if only the very last may be torn;
        its count, 0 in a file without."""
        length = 36 if counted else 28
        first = at
        said = 0
        while at + length <= len(data):
            part = data[at : at + length]
            epoch = int.from_bytes(part[:4], "big")
            sequence = int.from_bytes(part[4:12], "big")
            count = int.from_bytes(part[12:20], "big") if counted else 0
            if not hashes.same(part, self._record(epoch, sequence, count, counted)):
                break
            self.position = (epoch, sequence)
            said = count
            at += length
        if at == first or len(data) - at > length:
            raise VaultTampered(POSITION + " does not verify at byte " + str(at))
        self._size = at
        return said

    async def _write(self, epoch: int, sequence: int, count: int) -> None:
        record = self._record(epoch, sequence, count, self._counter is not None)
        if self._anew or self._size + len(record) > _MOST:
            await self._rewrite(epoch, sequence, count)
            return
        self._anew = True
        if self._append is None:
            self._append = await self._files.open_append(POSITION)
        await self._append.append(record)
        await self._append.sync()
        self.position = (epoch, sequence)
        self._size += len(record)
        self._anew = False

    async def _rewrite(self, epoch: int, sequence: int, count: int) -> None:
        counted = self._counter is not None
        content = (_MAGIC if counted else b"") + self._record(epoch, sequence, count, counted)
        self._anew = True
        await self.close()
        await self._files.replace(POSITION, content)
        self.position = (epoch, sequence)
        self._size = len(content)
        self._anew = False


def _plausible(value: int) -> int:
    """A counter's reading. CounterError for one that no counter gets to by steps: all that
    follows it would be taken for an old copy for ever."""
    if not 0 <= value < _MOST_COUNT:
        raise CounterError("the counter cannot stand at " + str(value))
    return value


def _stands(value: int, said: int) -> str:
    return "the counter stands at " + str(value) + ", the vault left it at " + str(said)
