"""A segment's opening: the folded state, what came before it, and the vault's MAC."""

from firmware.cbor import CborError, decode, encode
from firmware.payment.journal import records as r
from firmware.payment.journal import segment, state_codec
from firmware.payment.journal.fold import State
from firmware.payment.journal.records import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.vault import Vault

_LABEL = b"OpenTill checkpoint 1\x00"

_NUMBER, _EPOCH, _SEQUENCE, _CHAIN, _PREVIOUS, _SIZE, _DIGEST = 1, 2, 3, 4, 5, 6, 7
_OLDEST, _BAD, _STATE = 8, 9, 10


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"j{number:08d}.seg"


def segment_number(name: str) -> int:
    """Inverse of ``segment_name``; 0 for any other name."""
    digits = name[1:9]
    if len(name) != 13 or name[0] != "j" or name[9:] != ".seg":
        return 0
    if not all(letter in "0123456789" for letter in digits):
        return 0
    return int(digits)


class Checkpoint:
    """``number``: the segment's; ``sequence``, ``chain``: after the last record
    before it; ``previous``: number, length and SHA-256 of the segment before (0, 0
    and empty at a fresh start or after damage); ``oldest``: the first segment
    still kept; ``bad``: numbers set aside since."""

    def __init__(self, number: int, epoch: int, sequence: int, chain: bytes, state: State) -> None:
        self.number = number
        self.epoch = epoch
        self.sequence = sequence
        self.chain = chain
        self.state = state
        self.previous = 0
        self.previous_size = 0
        self.previous_digest = b""
        self.oldest = number
        self.bad: "list[int]" = []

    async def frame(self, vault: "Vault") -> bytes:
        """The bytes that open the segment. JournalError when the state has outgrown it."""
        inner = encode(
            {
                _NUMBER: self.number,
                _EPOCH: self.epoch,
                _SEQUENCE: self.sequence,
                _CHAIN: self.chain,
                _PREVIOUS: self.previous,
                _SIZE: self.previous_size,
                _DIGEST: self.previous_digest,
                _OLDEST: self.oldest,
                _BAD: self.bad,
                _STATE: state_codec.dump(self.state),
            }
        )
        mac = await vault.journal_mac(_LABEL + inner)
        body = encode({1: inner, 2: mac})
        if len(body) > segment.MAX_FRAME_BODY:
            raise JournalError("the state is too large for a checkpoint")
        return segment.build(r.CHECKPOINT, True, self.sequence, 0, self.chain, body)


class Unknown(JournalError):
    """Verified, but written by firmware that knows more than this one."""


async def read(frame: "segment.Frame | None", number: int, vault: "Vault") -> "Checkpoint":
    """The checkpoint in a segment's first frame. JournalError names what is
    wrong with it; Unknown when it is sound but not ours to understand."""
    return _parse(frame, number, await _verified(frame, vault))


def read_unverified(frame: "segment.Frame | None", number: int) -> "Checkpoint":
    """Like ``read`` without the MAC: salvage when no checkpoint verifies."""
    return _parse(frame, number, _split(frame)[0])


def _split(frame: "segment.Frame | None") -> "tuple[bytes, bytes]":
    if frame is None or frame.kind != r.CHECKPOINT:
        raise JournalError("no checkpoint")
    if frame.version != segment.VERSION:
        raise Unknown("segment version " + str(frame.version))
    body = frame.content()
    if body is None or set(body) != {1, 2}:
        raise JournalError("the checkpoint is malformed")
    inner, mac = body[1], body[2]
    if not isinstance(inner, bytes) or not isinstance(mac, bytes):
        raise JournalError("the checkpoint is malformed")
    return inner, mac


async def _verified(frame: "segment.Frame | None", vault: "Vault") -> bytes:
    inner, mac = _split(frame)
    if await vault.journal_mac(_LABEL + inner) != mac:
        raise JournalError("the checkpoint's MAC does not verify")
    return inner


def _parse(frame: "segment.Frame | None", number: int, inner: bytes) -> Checkpoint:
    try:
        value = decode(inner)
    except CborError as error:
        raise JournalError("the checkpoint is not CBOR: " + str(error)) from None
    if not isinstance(value, dict) or set(value) != set(range(_NUMBER, _STATE + 1)):
        raise Unknown("a checkpoint with other keys than this firmware knows")
    for key in (_NUMBER, _EPOCH, _SEQUENCE, _PREVIOUS, _SIZE, _OLDEST):
        item = value[key]
        if not isinstance(item, int) or item is True or item is False or item < 0:
            raise JournalError("the checkpoint is malformed")
    for key in (_CHAIN, _DIGEST):
        if not isinstance(value[key], bytes):
            raise JournalError("the checkpoint is malformed")
    if frame is None or value[_NUMBER] != number or value[_SEQUENCE] != frame.sequence:
        raise JournalError("the checkpoint belongs to another segment")
    if len(value[_CHAIN]) != 32 or value[_CHAIN][:8] != frame.link:
        raise JournalError("the checkpoint's chain is malformed")
    if value[_EPOCH] >= 1 << 32 or not isinstance(value[_BAD], list):
        raise JournalError("the checkpoint is malformed")
    try:
        state = state_codec.load(value[_STATE])
    except JournalError as error:
        raise Unknown(str(error)) from None
    found = Checkpoint(number, value[_EPOCH], value[_SEQUENCE], value[_CHAIN], state)
    found.previous = value[_PREVIOUS]
    found.previous_size = value[_SIZE]
    found.previous_digest = value[_DIGEST]
    found.oldest = value[_OLDEST]
    for one in value[_BAD]:
        if not isinstance(one, int):
            raise JournalError("the checkpoint is malformed")
        found.bad.append(one)
    return found
