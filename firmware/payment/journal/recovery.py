"""Reading the journal back at boot: what is whole, what is torn, what is lost.

Nothing here writes. ``recover`` gives what the files hold and what must be
done about it; the Journal does it. Every loss is named (rules of money, 18).
"""

import hashlib

from firmware.hal.files import NoSuchFile
from firmware.payment.journal import checkpoint, segment
from firmware.payment.journal import records as r
from firmware.payment.journal.checkpoint import Checkpoint, segment_name
from firmware.payment.journal.fold import State
from firmware.payment.journal.records import JournalError, Notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files
    from firmware.hal.vault import Vault

#: A segment is never longer; what is beyond in a file is damage.
MAX_FILE = 131072
#: An unverified segment numbered further above the one before is no segment of ours.
_MAX_GAP = 1000
#: The lowest segment there may be numbered up to this when none verifies.
_MAX_FIRST = 10_000_000


class Recovered:
    """What the files hold.

    ``state``: after every readable record. ``damage``: what needs a supervisor,
    ``notices``: what is only told. ``blocked``: there are records that this
    firmware must not trade on. ``salvaging``: records before the present one are
    lost; ``lost``: about how many. ``base``: the checkpoint of the segment to
    continue, None for none; ``data``, ``size``: that segment and its sound part.
    ``torn_at``: length to cut it to, -1 if whole. ``newest``: the highest segment
    number in use. ``set_aside``: numbers to rename or, where the file is gone, to
    remember; ``strays``: to rename alone; ``drop``: unfinished or expired segments
    to remove.
    """

    def __init__(self) -> None:
        self.state = State()
        self.base: "Checkpoint | None" = None
        self.epoch = 0
        self.sequence = 0
        self.chain = b""
        self.size = 0
        self.data = b""
        self.newest = 0
        self.lost = 0
        self.torn_at = -1
        self.damage: "list[Notice]" = []
        self.notices: "list[Notice]" = []
        self.blocked = False
        self.salvaging = False
        self.set_aside: "list[int]" = []
        self.strays: "list[int]" = []
        self.drop: "list[int]" = []


async def numbers(files: "Files") -> "list[int]":
    """Numbers of the segments in the folder, ascending."""
    found = [checkpoint.segment_number(name) for name in await files.list()]
    return sorted(number for number in found if number)


async def load(files: "Files", name: str) -> bytes:
    """A segment's bytes, bounded."""
    return await files.read(name, 0, MAX_FILE)


async def recover(files: "Files", vault: "Vault") -> Recovered:
    """Read everything back. FilesError and VaultError pass through."""
    found = Recovered()
    there = await numbers(files)
    vault_epoch, vault_sequence = await vault.journal_position()
    newer = await _choose_base(found, files, vault, there)
    if found.blocked:
        return found
    there = [number for number in there if number not in found.strays]
    if found.base is not None:
        base_data = found.data
        _fold_base(found, base_data)
        await _newer(found, vault, newer)
        await _older(found, files, there)
    elif there == [1] and not vault_epoch and segment.find(found.data, 0) is None:
        found.drop.append(1)  # the very first start was cut; nothing was ever appended
    elif there:
        before = 0
        for number, data, reason in newer:
            _missing(found, before, number)
            _salvage(found, number, data, reason)
            before = number
    elif vault_epoch:
        found.damage.append(
            Notice("journal_missing", "the vault knows a journal, no file is there")
        )
        found.lost = vault_sequence
    _compare(found, vault_epoch, vault_sequence)
    left = [number for number in there if number not in found.drop]
    found.newest = left[-1] if left else 0
    return found


async def _choose_base(
    found: Recovered, files: "Files", vault: "Vault", there: "list[int]"
) -> "list[tuple[int, bytes, str]]":
    """The newest segment whose checkpoint verifies; gives the newer ones, ascending."""
    newer: "list[tuple[int, bytes, str]]" = []
    for number in reversed(there):
        data = await load(files, segment_name(number))
        try:
            found.base = await checkpoint.read(segment.parse(data, 0), number, vault)
            found.data = data
            return _without_strays(found, newer, number)
        except checkpoint.Unknown as error:
            found.blocked = True
            found.notices.append(Notice("record_unknown", segment_name(number) + ": " + str(error)))
            return newer
        except JournalError as error:
            found.data = data
            newer.insert(0, (number, data, str(error)))
    newer = _without_strays(found, newer, min(there[0], _MAX_FIRST) if there else 0)
    # None verifies: the newest that at least reads is better than a lost debt.
    for number, data, reason in reversed(newer):
        try:
            found.base = checkpoint.read_unverified(segment.parse(data, 0), number)
        except JournalError:
            continue  # its reason is reported by whoever salvages it
        found.base.oldest = max(found.base.oldest, there[0])
        found.data = data
        found.damage.append(Notice("checkpoint_unverified", segment_name(number) + ": " + reason))
        found.set_aside.append(number)
        return [one for one in newer if one[0] > number]
    return newer


def _without_strays(
    found: Recovered, newer: "list[tuple[int, bytes, str]]", before: int
) -> "list[tuple[int, bytes, str]]":
    """Those that may be ours. A wild number would make every walk over numbers endless."""
    kept = []
    for one in newer:
        if one[0] > before + _MAX_GAP:
            found.strays.append(one[0])
            found.damage.append(Notice("segment_stray", segment_name(one[0])))
            continue
        kept.append(one)
        before = one[0]
    return kept


def _missing(found: Recovered, before: int, number: int) -> None:
    """Name the segments that are not there between two that are; 0 for none before."""
    for lost in range(before + 1 if before else number, number):
        found.damage.append(Notice("segment_missing", segment_name(lost)))
        found.set_aside.append(lost)
        found.salvaging = True
        found.lost += 1


def _fold_base(found: Recovered, data: bytes) -> None:
    base = found.base
    if base is None:
        return
    found.state = base.state
    found.epoch = base.epoch
    scan = segment.scan(data, base.chain, base.sequence)
    found.sequence = base.sequence
    found.chain = base.chain
    for frame in scan.good[1:]:
        _fold(found, frame)
    if scan.chains:
        found.chain = scan.chains[-1]
    found.size = scan.good_end
    name = segment_name(base.number)
    if scan.good_end == len(data):
        return
    tail = len(data) - scan.good_end
    if scan.synced > found.sequence or len(data) >= MAX_FILE:
        # A frame behind the hole was written when the lost one was already durable.
        first = found.sequence + 1
        found.salvaging = True
        for frame in scan.later:
            if frame.sequence > found.sequence and frame.kind != r.CHECKPOINT:
                _fold(found, frame)
        found.damage.append(
            Notice(
                "damage",
                name
                + " at "
                + str(scan.good_end)
                + ": records from "
                + str(first)
                + " are damaged",
            )
        )
        found.lost += max(found.sequence - first, 1)
        found.set_aside.append(base.number)
        return
    found.torn_at = scan.good_end
    found.notices.append(
        Notice("torn_tail", name + ": " + str(tail) + " bytes after record " + str(found.sequence))
    )


def _fold(found: Recovered, frame: segment.Frame) -> None:
    """Add one frame to the state, or say why not."""
    found.sequence = max(found.sequence, frame.sequence)
    place = "record " + str(frame.sequence) + " of kind " + str(frame.kind)
    if frame.version != segment.VERSION or not r.known(frame.kind):
        if frame.critical or frame.version != segment.VERSION:
            found.blocked = True
            found.notices.append(Notice("record_unknown", place))
        return
    body = frame.content()
    try:
        if body is None:
            raise JournalError("the body is not a map")
        r.validate(frame.kind, body)
    except JournalError as error:
        if frame.critical:
            found.blocked = True
        found.notices.append(Notice("record_unknown", place + ": " + str(error)))
        return
    try:
        if found.salvaging:
            if not found.state.absorb(frame.sequence, frame.kind, body):
                found.notices.append(Notice("record_orphan", place + ": its request is lost"))
            return
        found.state.check(frame.kind, body)
        found.state.apply(frame.sequence, frame.kind, body)
    except JournalError as error:
        found.damage.append(Notice("record_conflict", place + ": " + str(error)))


async def _newer(found: Recovered, vault: "Vault", newer: "list[tuple[int, bytes, str]]") -> None:
    """Segments after the base, none of which opens with a checkpoint that verifies."""
    base = found.base
    if base is None:
        return
    before = base.number
    for number, data, reason in newer:
        _missing(found, before, number)
        before = number
        # Only the last can be unfinished: a later one began when it was whole.
        if number == newer[-1][0] and found.torn_at < 0 and not found.damage:
            expected = await next_checkpoint(
                base, found, hashlib.sha256(found.data).digest()
            ).frame(vault)
            # Its lists may differ by a few bytes; a record would add 30 at least.
            if len(data) <= len(expected) + 16 and segment.find(data, 0) is None:
                # A roll-over that the power cut; nothing was ever appended to it.
                found.drop.append(number)
                found.notices.append(
                    Notice("unfinished_segment", segment_name(number) + " had no record yet")
                )
                continue
        _salvage(found, number, data, reason)


def next_checkpoint(base: Checkpoint, found: Recovered, digest: bytes) -> Checkpoint:
    """What follows ``base`` when its segment ends whole as ``found`` says."""
    head = Checkpoint(base.number + 1, found.epoch, found.sequence, found.chain, found.state)
    head.previous = base.number
    head.previous_size = found.size
    head.previous_digest = digest
    head.oldest = base.oldest
    head.bad = base.bad
    return head


def _salvage(found: Recovered, number: int, data: bytes, reason: str) -> None:
    """Fold what reads from a segment whose checkpoint does not."""
    found.damage.append(Notice("damage", segment_name(number) + ": " + reason))
    found.set_aside.append(number)
    found.salvaging = True
    first = found.sequence + 1
    kept = 0
    frame = segment.find(data, 0)
    while frame is not None:
        if frame.kind == r.CHECKPOINT:
            # Its state is not to be trusted, its sequence says how far records went.
            found.sequence = max(found.sequence, frame.sequence)
        elif frame.sequence > found.sequence:
            kept += 1
            _fold(found, frame)
        frame = segment.find(data, frame.end)
    found.lost += max(found.sequence + 1 - first - kept, 1)


async def _older(found: Recovered, files: "Files", there: "list[int]") -> None:
    """Check the segments before the base against the digests that follow them."""
    head = found.base
    if head is None:
        return
    base = head
    for number in there:
        if number < base.oldest or number in base.bad:
            # Expired, or set aside before: an interrupted act to finish.
            (found.drop if number < base.oldest else found.set_aside).append(number)
    known: "Checkpoint | None" = base
    for number in range(base.number - 1, base.oldest - 1, -1):
        if number in base.bad:
            known = None
            continue
        name = segment_name(number)
        try:
            data = await load(files, name)
        except NoSuchFile:
            found.damage.append(Notice("segment_missing", name))
            found.set_aside.append(number)
            known = None
            continue
        complaint = _older_complaint(data, known, number)
        if complaint:
            found.damage.append(Notice("damage", name + ": " + complaint))
            found.set_aside.append(number)
            known = None
            continue
        known = checkpoint.read_unverified(segment.parse(data, 0), number)


def _older_complaint(data: bytes, after: "Checkpoint | None", number: int) -> str:
    if after is not None and after.previous == number:
        whole = len(data) == after.previous_size
        if not whole or hashlib.sha256(data).digest() != after.previous_digest:
            return "it is not what its successor says"
        return ""
    # The successor's word is lost: the frames and the chain speak for themselves.
    try:
        head = checkpoint.read_unverified(segment.parse(data, 0), number)
    except JournalError as error:
        return str(error)
    scan = segment.scan(data, head.chain, head.sequence)
    return "" if scan.good_end == len(data) else "damaged at " + str(scan.good_end)


def _compare(found: Recovered, epoch: int, sequence: int) -> None:
    """Hold what was read against what the vault remembers."""
    if found.base is None and not found.set_aside:
        return  # no journal at all; named already if there should be one
    place = "vault " + str(epoch) + "." + str(sequence)
    place += ", journal " + str(found.epoch) + "." + str(found.sequence)
    if found.epoch < epoch or (found.epoch == epoch and found.sequence < sequence):
        found.damage.append(Notice("journal_behind", place))
        found.lost += max(sequence - found.sequence, 1)
    elif found.epoch > epoch + 1:
        found.damage.append(Notice("vault_behind", place))
