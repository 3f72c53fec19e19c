"""Files sealed under a passphrase: ``till backup``'s outer layer (docs/pc.md, Backup).

    magic 8, version 2, length 2, header (CBOR), CRC-32 4, tag 32, chunks

The key is scrypt's of the passphrase: 32 bytes seal the chunks (ChaCha20-Poly1305), 32 make the
header's tag (HMAC-SHA-256), which tells a wrong passphrase from a file that was changed. A
chunk's nonce is the file's prefix, its number and whether it is the last; every chunk
authenticates the header's tag. So nothing can be cut off, moved or taken from another file.
"""

import hashlib
import hmac
import io
import secrets
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from host_tools.errors import UserError
from host_tools.texts import said
from host_tools.whole_file import whole

MAGIC = b"OTSEALED"
VERSION = 1
CHUNK = 1 << 16
_HEAD = struct.Struct(">8sHH")
_CRC = struct.Struct(">I")
_NONCE = struct.Struct(">7sIB")
_TAG, _OVER = 32, 16
#: scrypt's cost: 128 MiB of memory and about half a second.
COST = 17
#: What a header may ask of this PC before the passphrase counts: 256 MiB.
_MOST_COST, _MOST_HEADER, _MOST_CHUNK = 18, 1024, 1 << 20
_SALT, _COST, _CHUNK, _PREFIX, _MADE = 1, 2, 3, 4, 5


class Damaged(UserError):
    """The file is not what was written, or the passphrase is another."""


def derived(passphrase: str, salt: bytes, cost: int, length: int) -> bytes:
    """scrypt's ``length`` bytes of the passphrase; ``cost``: log2 of its n. UserError: this PC
    has not got the memory, 2^(cost + 10) bytes."""
    try:
        return Scrypt(salt=salt, length=length, n=1 << cost, r=8, p=1).derive(passphrase.encode())
    except MemoryError:
        raise UserError(
            said("this PC has too little memory free for the passphrase: {size} MiB are needed",
                 size=1 << cost >> 10)
        ) from None  # fmt: skip


def _keys(passphrase: str, salt: bytes, cost: int) -> tuple[bytes, bytes]:
    both = derived(passphrase, salt, cost, 64)
    return both[:32], both[32:]


class Sealer(io.RawIOBase):
    """Seals what is written to it into ``file``; ``close`` writes the last chunk, without
    which nothing opens. ``made``: Unix seconds."""

    def __init__(self, file: BinaryIO, passphrase: str, made: int, cost: int = COST) -> None:
        salt, self._prefix = secrets.token_bytes(16), secrets.token_bytes(7)
        header = cbor2.dumps(
            {_SALT: salt, _COST: cost, _CHUNK: CHUNK, _PREFIX: self._prefix, _MADE: made}
        )
        key, mac = _keys(passphrase, salt, cost)
        head = _HEAD.pack(MAGIC, VERSION, len(header)) + header
        head += _CRC.pack(zlib.crc32(head))
        self._tag = hmac.digest(mac, head, hashlib.sha256)
        self._cipher = ChaCha20Poly1305(key)
        self._file = file
        self._waiting = bytearray()
        self._count = 0
        file.write(head + self._tag)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._chunk(bytes(self._waiting[:CHUNK]), False)
            del self._waiting[:CHUNK]
        return len(data)

    def _chunk(self, data: bytes, last: bool) -> None:
        nonce = _NONCE.pack(self._prefix, self._count, last)
        self._file.write(self._cipher.encrypt(nonce, data, self._tag))
        self._count += 1

    def seal(self) -> None:
        """Write the last chunk."""
        self._chunk(bytes(self._waiting), True)
        self._waiting.clear()


class Opener(io.RawIOBase):
    """Reads what a Sealer wrote. ``made``: Unix seconds. ``progress`` hears how many bytes of
    the file were read. Damaged."""

    def __init__(
        self, file: BinaryIO, passphrase: str, progress: Callable[[int], None] | None = None
    ) -> None:
        self._file = file
        self._progress = progress
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or head[:8] != MAGIC:
            raise Damaged(said("this file is no backup of till"))
        _, version, length = _HEAD.unpack(head)
        if version != VERSION:
            raise Damaged(said("a newer till made this backup; update this one"))
        rest = file.read(min(length, _MOST_HEADER) + _CRC.size)
        self._tag = file.read(_TAG)
        checked = head + rest[: -_CRC.size]
        good = len(rest) == length + _CRC.size and len(self._tag) == _TAG
        if not good or _CRC.unpack(rest[-_CRC.size :])[0] != zlib.crc32(checked):
            raise Damaged(said("the backup's beginning is damaged; use another copy"))
        header = _header(rest[: -_CRC.size])
        key, mac = _keys(passphrase, header[_SALT], header[_COST])
        if not hmac.compare_digest(hmac.digest(mac, head + rest, hashlib.sha256), self._tag):
            raise Damaged(said("the passphrase is wrong"))
        self.made: int = header[_MADE]
        self._size: int = header[_CHUNK] + _OVER
        self._prefix: bytes = header[_PREFIX]
        self._cipher = ChaCha20Poly1305(key)
        self._count = 0
        self._ahead = file.read(self._size)
        self._over = False
        self._data = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes (-1: a chunk), none at the end."""
        if not self._data and not self._over:
            self._data = self._chunk()
        most = len(self._data) if size < 0 else size
        given, self._data = self._data[:most], self._data[most:]
        return given

    def _chunk(self) -> bytes:
        sealed, self._ahead = self._ahead, self._file.read(self._size)
        self._over = not self._ahead
        try:
            opened = self._opened(sealed, self._over)
        except InvalidTag:
            raise Damaged(self._why(sealed)) from None
        self._count += 1
        if self._progress is not None:
            self._progress(self._file.tell())
        return opened

    def _opened(self, sealed: bytes, last: bool) -> bytes:
        nonce = _NONCE.pack(self._prefix, self._count, last)
        return self._cipher.decrypt(nonce, sealed, self._tag)

    def _why(self, sealed: bytes) -> str:
        if self._over:
            try:
                self._opened(sealed, False)
            except InvalidTag:
                pass
            else:
                return said("the backup's end is missing; use another copy")
        return said("the backup is damaged or cut short in part {number}; use another copy",
                    number=self._count + 1)  # fmt: skip


def _header(data: bytes) -> dict[int, Any]:
    """The header's map, bounded: it is read before anything is verified."""
    try:
        header = cbor2.loads(data, max_depth=2, allow_indefinite=False)
        good = (
            len(header[_SALT]) == 16
            and len(header[_PREFIX]) == 7
            and 10 <= header[_COST] <= _MOST_COST
            and 1024 <= header[_CHUNK] <= _MOST_CHUNK
            and isinstance(header[_MADE], int)
        )
    except (cbor2.CBORDecodeError, LookupError, TypeError, ValueError):
        good = False
    if not good:
        raise Damaged(said("the backup's beginning is damaged; use another copy"))
    return dict(header)


def written(path: str, write: Callable[[BinaryIO], None]) -> None:
    """A file that appears whole or not at all, for its owner's eyes; UserError."""
    try:
        with whole(Path(path), private=True) as new, new.open("wb") as file:
            write(file)
    except OSError as error:
        raise UserError(
            said("{path} cannot be written: {cause}", path=path, cause=error.strerror or error)
        ) from None
