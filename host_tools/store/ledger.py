"""A terminal's ledger in a file: what ``backup`` gives and ``restore`` takes (docs/link.md).

    magic 8, version 2, length 2, header (CBOR), archive, SHA-256 of all before 32

The archive is the terminal's own, for a key pair that scrypt makes of the passphrase: the
terminal that makes it never learns the passphrase, and the PC reads it only with that.
"""

import hashlib
import os
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cbor2

from firmware.crypto.x25519 import KeyPair
from firmware.errors import TillError
from firmware.link import archive
from host_tools.errors import UserError
from host_tools.pc_link.calls import Call, Terminal
from host_tools.pc_link.discovery import printable
from host_tools.store import sealed
from host_tools.texts import said
from host_tools.whole_file import whole

MAGIC = b"OTLEDGER"
VERSION = 1
#: scrypt's cost, and what a header may ask of this PC before the passphrase counts: 256 MiB.
COST, _MOST_COST = 17, 18
_HEAD = struct.Struct(">8sHH")
_SUM = 32
_MOST_HEADER, _CHUNK = 1024, 1 << 16
_SALT, _COST, _RECIPIENT = 1, 2, 3
#: An archive has at most 512 segments of 128 KiB.
_MOST_FILE = 1 << 27

Progress = Callable[[int, int], None]


class Summary(NamedTuple):
    """What an archive says of itself. ``serial`` and ``made`` (Unix seconds, 0: its clock was
    dead) of the terminal; ``open``: payments that had no end, (STAN, amount, currency)."""

    serial: str
    made: int
    sequence: int
    records: int
    lines: int
    totals: dict[str, int]
    open: list[tuple[int, int, int]]


class Ledger(NamedTuple):
    """A file that was verified to its end. ``begin``, ``size``: of the archive in it."""

    path: str
    begin: int
    size: int
    key: bytes
    terminal_key: bytes
    summary: Summary


def is_one(path: str) -> bool:
    """Whether the file is a terminal's ledger. UserError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise _unread(path, error) from None


async def back_up(
    there: Terminal,
    key: bytes,
    path: str,
    passphrase: str,
    progress: Progress,
    cost: int = COST,
) -> Ledger:
    """Have the ledger of the terminal with this static ``key`` written to ``path``, which is
    whole or not there; read it back to its end. CallFailed, UserError."""
    salt = secrets.token_bytes(16)
    recipient = _recipient(passphrase, salt, cost)
    try:
        with whole(Path(path)) as new:
            with new.open("wb") as file:
                await _write(there, file, recipient, salt, cost, progress)
            found = read(str(new), passphrase, progress)
            if found.terminal_key != key:
                raise UserError(said("the ledger is not this terminal's own"))
    except OSError as error:
        raise _unwritten(path, error) from None
    return found._replace(path=path)


async def _write(
    there: Terminal,
    file: BinaryIO,
    recipient: KeyPair,
    salt: bytes,
    cost: int,
    progress: Progress,
) -> None:
    header = cbor2.dumps({_SALT: salt, _COST: cost, _RECIPIENT: recipient.public}, canonical=True)
    begin = _HEAD.pack(MAGIC, VERSION, len(header)) + header
    whole, given = hashlib.sha256(begin), hashlib.sha256()
    file.write(begin)
    call = await there.open("backup", {1: recipient.public}, 0)
    size = 0
    async for item in call.items():
        piece = item[1]
        size += len(piece)
        if size > _MOST_FILE:
            await call.cancel()
            raise UserError(said("the terminal sends more than a ledger can be"))
        file.write(piece)
        whole.update(piece)
        given.update(piece)
        progress(size, 0)
    if (await call.result())[1] != given.digest():
        raise UserError(said("what arrived is not what the terminal sent; try again"))
    file.write(whole.digest())


def read(path: str, passphrase: str, progress: Progress) -> Ledger:
    """Verify a file to its end. UserError: which file, and what is wrong with it."""
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            return _read(path, file, size, passphrase, progress)
    except OSError as error:
        raise _unread(path, error) from None
    except TillError as error:
        raise _spoilt(path, str(error)) from None


def _read(path: str, file: BinaryIO, size: int, passphrase: str, progress: Progress) -> Ledger:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or head[: len(MAGIC)] != MAGIC or size > _MOST_FILE:
        raise _spoilt(path, said("it is no terminal's ledger"))
    _, version, length = _HEAD.unpack(head)
    if version != VERSION:
        raise _spoilt(path, said("a newer till wrote it; update this one"))
    raw = file.read(length) if length <= _MOST_HEADER else b""
    salt, cost, public = _header(path, raw, length)
    begin = _HEAD.size + length
    left = size - begin - _SUM
    recipient = _recipient(passphrase, salt, cost)
    if recipient.public != public:
        raise UserError(said("{path}: the passphrase is another one", path=path))
    whole = hashlib.sha256(head + raw)
    key, reader, tally = b"", None, _Tally()
    done = 0
    while done < left:
        data = file.read(min(_CHUNK, left - done))
        if not data:
            break
        whole.update(data)
        if reader is None:
            first = int.from_bytes(data[:2], "big")
            key = archive.key_for(data[2 : 2 + first], recipient)
            reader = archive.Reader(key)
        for value in reader.feed(data):
            tally.take(value)
        done += len(data)
        progress(done, left)
    if reader is None or reader.header is None or file.read(_SUM + 1) != whole.digest():
        raise _spoilt(path, said("it is not whole"))
    reader.end()
    summary = tally.summary(reader.header)
    return Ledger(path, begin, left, key, reader.header[4], summary)


def _header(path: str, raw: bytes, length: int) -> tuple[bytes, int, bytes]:
    try:
        value: Any = cbor2.loads(raw) if len(raw) == length else None
        salt, cost, public = value[_SALT], value[_COST], value[_RECIPIENT]
    except (cbor2.CBORDecodeError, TypeError, LookupError, ValueError):
        raise _spoilt(path, said("its beginning does not read")) from None
    whole = isinstance(salt, bytes) and isinstance(public, bytes) and len(public) == 32
    if not whole or not isinstance(cost, int) or not 1 <= cost <= _MOST_COST:
        raise _spoilt(path, said("its beginning does not read"))
    return salt, cost, public


async def restore(there: Terminal, ledger: Ledger, progress: Progress) -> list[Any]:
    """Give a verified ledger to a terminal without payments; payments of it that had no
    end. CallFailed: ``used``, ``foreign``, ``archive``, ``busy``; UserError."""
    call = await there.open("restore", {1: ledger.size, 2: ledger.key}, 0)
    given, done = hashlib.sha256(), 0
    most = max(1024, min(there.most_message - 64, _CHUNK // 2))
    async for piece in _pieces(ledger, most):
        given.update(piece)
        await call.send({1: piece})
        done += len(piece)
        progress(done, ledger.size)
    await call.send({1: given.digest()}, last=True)
    return await _left(call)


async def _left(call: Call) -> list[Any]:
    left: list[Any] = (await call.result()).get(1, [])
    return left


async def _pieces(ledger: Ledger, most: int) -> AsyncIterator[bytes]:
    try:
        with open(ledger.path, "rb") as file:
            file.seek(ledger.begin)
            left = ledger.size
            while left:
                piece = file.read(min(most, left))
                if not piece:
                    raise _spoilt(ledger.path, said("it is not whole"))
                left -= len(piece)
                yield piece
    except OSError as error:
        raise _unread(ledger.path, error) from None


class _Tally:
    """What an archive's maps add up to."""

    def __init__(self) -> None:
        self._head: dict[int, Any] = {}
        self._open: list[tuple[int, int, int]] = []
        self._records = 0
        self._lines = 0
        self._totals: dict[str, int] = {}

    def take(self, value: dict[int, Any]) -> None:
        """One map of it. ArchiveBroken when it is of another shape."""
        try:
            self._take(value)
        except (TypeError, ValueError, LookupError, AttributeError):
            raise archive.ArchiveBroken("a piece of another shape") from None

    def _take(self, value: dict[int, Any]) -> None:
        kind = value.get(1)
        if kind == 1:
            self._head = value
            self._open = [(int(one[0]), int(one[1]), int(one[2])) for one in value.get(9, [])]
        elif kind == 2 and isinstance(value.get(5), bytes):
            at, frames = 0, value[5]
            while at + 8 <= len(frames):
                at += 30 + int.from_bytes(frames[at + 6 : at + 8], "big")
                self._records += 1
        elif kind == 4:
            self._lines += 1
            if not value.get(6):
                name = f"{int(value[4]):03d}"
                self._totals[name] = self._totals.get(name, 0) + int(value[5])

    def summary(self, header: dict[int, Any]) -> Summary:
        return Summary(
            printable(header[2], 20), header.get(6, 0), self._head.get(4, 0), self._records,
            self._lines, self._totals, self._open,
        )  # fmt: skip


def _recipient(passphrase: str, salt: bytes, cost: int) -> KeyPair:
    return KeyPair(sealed.derived(passphrase, salt, cost, 32))


def _spoilt(path: str, why: str) -> UserError:
    return UserError(said("{path} is no good backup: {why}", path=path, why=printable(why, 200)))


def _unread(path: str, error: OSError) -> UserError:
    return UserError(said("{path} cannot be read: {cause}", path=path, cause=error.strerror or ""))


def _unwritten(path: str, error: OSError) -> UserError:
    return UserError(
        said("{path} cannot be written: {cause}", path=path, cause=error.strerror or "")
    )
