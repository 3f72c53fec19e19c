"""An encrypted archive of a terminal's ledger (docs/link.md, Backup). No I/O.

Pieces, each behind its length in 2 bytes. The first is the header, in clear; every other one
a CBOR map under ChaCha20-Poly1305, bound to the header, to its place and to whether it is
the last. The key comes from a fresh key and the terminal's own, both with the recipient's:
only who holds the recipient's private half, or is told the key, can read it, and he knows
which terminal made it.
"""

from firmware import cbor
from firmware.crypto import CryptoError, hkdf
from firmware.crypto.chacha_poly import cipher
from firmware.crypto.hashes import sha256
from firmware.errors import TillError
from firmware.link.services import NotOfTable, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.link.services import Schema

_LABEL = b"OpenTill backup 1\x00"
FORMAT = "OpenTill backup 1"
#: The longest piece with its length; what a map in it may take.
MOST_PIECE = 3072
MOST_PLAIN = 3000
HEADER: "Schema" = {
    1: ("format", "text", 1, 32, True),
    2: ("serial", "text", 1, 20, True),
    3: ("ephemeral key", "bytes", 32, 32, True),
    4: ("terminal's key", "bytes", 32, 32, True),
    5: ("recipient", "bytes", 32, 32, True),
    6: ("time", "int", 0, (1 << 40) - 1, False),
}


class ArchiveBroken(TillError):
    """It does not verify, or is of another format."""

    text_key = "error.data"


def key(header: bytes, first: bytes, second: bytes) -> bytes:
    """The archive's key. ``first``: what ephemeral and recipient's key share, ``second``:
    terminal's and recipient's. ``header``: its piece without the length."""
    return hkdf.expand(hkdf.extract(_LABEL, first + second), sha256(header), 32)


def key_for(header: bytes, recipient: "StaticKey") -> bytes:
    """The archive's key, by the recipient's key pair (the PC's end). ArchiveBroken,
    CryptoError."""
    said = read_header(header)
    return key(header, recipient.dh(said[3]), recipient.dh(said[4]))


def read_header(header: bytes) -> "dict[int, Any]":
    """ArchiveBroken."""
    try:
        value: "Any" = cbor.decode(header, 2, MOST_PIECE, 64)
        check(HEADER, value)
    except (cbor.CborError, NotOfTable) as error:
        raise ArchiveBroken("header: " + str(error)) from None
    if value[1] != FORMAT:
        raise ArchiveBroken("another format: " + value[1])
    found: "dict[int, Any]" = value
    return found


def _nonce(number: int, last: bool) -> bytes:
    return bytes((1 if last else 0, 0, 0, 0)) + number.to_bytes(8, "big")


def _framed(piece: bytes) -> bytes:
    return len(piece).to_bytes(2, "big") + piece


class Writer:
    """``first``: the piece to begin with. ``count``: sealed pieces so far."""

    def __init__(self, header: bytes, secret: bytes) -> None:
        self.first = _framed(header)
        self._bound = sha256(header)
        self._cipher = cipher(secret)
        self.count = 0

    def seal(self, value: "dict[int, Any]", last: bool = False) -> bytes:
        """The next piece. CborError."""
        plain = cbor.encode(value)
        piece = self._cipher.seal(_nonce(self.count, last), plain, self._bound)
        self.count += 1
        return _framed(piece)


class Reader:
    """``header``: its map, None until it came; ``whole``: the last piece came and was good."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = cipher(secret)
        self._bound = b""
        self._data = bytearray()
        self.header: "dict[int, Any] | None" = None
        self.count = 0
        self.whole = False

    def feed(self, data: bytes) -> "list[dict[int, Any]]":
        """The maps that are whole now, in order. ArchiveBroken."""
        self._data.extend(data)
        found = []
        at = 0
        while len(self._data) - at >= 2:
            size = self._data[at] << 8 | self._data[at + 1]
            if size > MOST_PIECE - 2 or size == 0:
                raise ArchiveBroken("a piece of " + str(size) + " bytes")
            if len(self._data) - at - 2 < size:
                break
            piece = bytes(self._data[at + 2 : at + 2 + size])
            at += 2 + size
            if self.header is None:
                self.header = read_header(piece)
                self._bound = sha256(piece)
            else:
                found.append(self._open(piece))
        if at:
            self._data = self._data[at:]
        return found

    def end(self) -> None:
        """ArchiveBroken unless all of it came."""
        if not self.whole or self._data:
            raise ArchiveBroken("it is not whole")

    def _open(self, piece: bytes) -> "dict[int, Any]":
        if self.whole:
            raise ArchiveBroken("something follows its end")
        plain = self._try(piece, False)
        if plain is None:
            plain = self._try(piece, True)
            self.whole = True
        if plain is None:
            raise ArchiveBroken("piece " + str(self.count) + " does not verify")
        self.count += 1
        try:
            value: "Any" = cbor.decode(plain, 6, MOST_PIECE, 512)
        except cbor.CborError as error:
            raise ArchiveBroken("piece " + str(self.count) + ": " + str(error)) from None
        if not isinstance(value, dict):
            raise ArchiveBroken("piece " + str(self.count) + " is no map")
        return value

    def _try(self, piece: bytes, last: bool) -> "bytes | None":
        try:
            return self._cipher.open(_nonce(self.count, last), piece, self._bound)
        except CryptoError:
            return None
