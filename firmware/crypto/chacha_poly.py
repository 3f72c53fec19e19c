"""ChaCha20-Poly1305 with associated data (RFC 8439).

CPython: ``cryptography``, imported at the first key. Elsewhere the portable
arithmetic below, which is not constant in time (docs/threat-model.md), and
``chacha_viper`` for ChaCha20's blocks where the port makes machine code.

ChaCha20 in plain Python: all blocks of one pass are worked on at once. Each of
the four rows of the state (2.3) is one integer; a word of a block has a lane of
64 bits in it, of which the upper half takes the carry and is cleared again.
"""

import sys

from firmware.crypto import CryptoError, wipe
from firmware.crypto.hashes import same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Aead(Protocol):
        """A keyed cipher with authentication."""

        def seal(self, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
            """Ciphertext and tag. A nonce of 12 bytes must never come twice under a key."""

        def open(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
            """Inverse of seal. CryptoError when it does not verify."""

        def wipe(self) -> None:
            """Overwrite the key, as far as it is in reach; the cipher is over."""


#: Bytes of a key, of a nonce and of a tag.
KEY = 32
NONCE = 12
TAG = 16

_M64 = (1 << 64) - 1
_P = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
#: "expand 32-byte k" (2.3).
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
#: Blocks of one pass: that of the tag's key and those of 1 KiB, a record of small boards.
_PASS = 17


def cipher(key: "bytes | bytearray") -> "Aead":
    """A cipher for a key of 32 bytes. CryptoError for another length."""
    if sys.implementation.name == "cpython":
        return _OpenSsl(key)
    return Portable(key)


class _OpenSsl:
    def __init__(self, key: "bytes | bytearray") -> None:
        _check_key(key)
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher: "Any" = ChaCha20Poly1305(key)

    def seal(self, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
        _check(self._cipher is not None, nonce)
        sealed: bytes = self._cipher.encrypt(nonce, plain, associated)
        return sealed

    def open(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        _check(self._cipher is not None, nonce)
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = self._cipher.decrypt(nonce, sealed, associated)
        except InvalidTag:
            raise CryptoError("the tag does not verify") from None
        return plain

    def wipe(self) -> None:
        self._cipher = None


class Portable:
    """As ``cipher``, with this module's own arithmetic."""

    def __init__(self, key: "bytes | bytearray") -> None:
        _check_key(key)
        self._key = bytearray(key)

    def seal(self, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
        _check(bool(self._key), nonce)
        stream = key_stream(self._key, nonce, 0, 1 + (len(plain) + 63) // 64)
        sealed = _xor(plain, stream)
        return sealed + _tag(stream, sealed, associated)

    def open(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        _check(bool(self._key), nonce)
        if len(sealed) < TAG:
            raise CryptoError("shorter than a tag")
        body = bytes(sealed[:-TAG])
        stream = key_stream(self._key, nonce, 0, 1 + (len(body) + 63) // 64)
        if not same(_tag(stream, body, associated), sealed[-TAG:]):
            raise CryptoError("the tag does not verify")
        return _xor(body, stream)

    def wipe(self) -> None:
        wipe(self._key)
        self._key = bytearray()


_machine_code: "list[Any]" = []


def machine_code() -> "Any":
    """``chacha_viper`` where this port makes machine code, else None."""
    if not _machine_code:
        found: "Any" = None
        try:
            from firmware.crypto import chacha_viper

            found = chacha_viper
        except (ImportError, SyntaxError):  # not MicroPython; no emitter in this port
            pass
        _machine_code.append(found)
    return _machine_code[0]


def key_stream(
    key: "bytes | bytearray", nonce: bytes, counter: int, blocks: int
) -> "bytes | bytearray":
    """``blocks`` blocks of 64 bytes from block ``counter`` on (2.3)."""
    machine = machine_code()
    if machine is None:
        return key_stream_plain(key, nonce, counter, blocks)
    state = bytearray(b"expand 32-byte k" + key + counter.to_bytes(4, "little") + nonce)
    stream: bytearray = machine.key_stream(state, blocks)
    wipe(state)
    return stream


def key_stream_plain(key: "bytes | bytearray", nonce: bytes, counter: int, blocks: int) -> bytes:
    """As ``key_stream``, in plain Python."""
    return b"".join(
        [
            _pass(key, nonce, counter + done, min(_PASS, blocks - done))
            for done in range(0, blocks, _PASS)
        ]
    )


def _pass(key: "bytes | bytearray", nonce: bytes, counter: int, blocks: int) -> bytes:
    word = 64 * blocks  # bits that one word of all blocks takes
    ones = ((1 << word) - 1) // _M64  # 1 in each lane of a word
    mask = ((1 << 4 * word) - 1) // _M64 * 0xFFFFFFFF
    count = 0
    for i in range(blocks):
        count |= counter + i << 64 * i
    a0 = _row(_CONSTANTS, ones, word)
    b0 = _row(_words(key[:16]), ones, word)
    c0 = _row(_words(key[16:]), ones, word)
    d0 = _row((0,) + _words(nonce), ones, word) | count
    a, b, c, d = a0, b0, c0, d0
    for _ in range(10):
        a, b, c, d = _quarter(a, b, c, d, mask)
        # The diagonals of the state become its columns, and back again.
        b = (b >> word | b << 3 * word) & mask
        c = (c >> 2 * word | c << 2 * word) & mask
        d = (d >> 3 * word | d << word) & mask
        a, b, c, d = _quarter(a, b, c, d, mask)
        b = (b >> 3 * word | b << word) & mask
        c = (c >> 2 * word | c << 2 * word) & mask
        d = (d >> word | d << 3 * word) & mask
    rows = [
        (x + y & mask).to_bytes(32 * blocks, "little")
        for x, y in ((a, a0), (b, b0), (c, c0), (d, d0))
    ]
    step = 8 * blocks
    return b"".join(
        [
            row[at : at + 4]
            for i in range(0, step, 8)
            for row in rows
            for at in range(i, i + 4 * step, step)
        ]
    )


def _words(data: "bytes | bytearray") -> "tuple[int, ...]":
    return tuple([int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)])


def _row(words: "tuple[int, ...]", ones: int, word: int) -> int:
    row = 0
    for i in range(4):
        row |= words[i] * ones << i * word
    return row


def _quarter(a: int, b: int, c: int, d: int, mask: int) -> "tuple[int, int, int, int]":
    """The quarter round (2.1) in all lanes."""
    a = a + b & mask
    d = (d ^ a) << 16
    d = (d | d >> 32) & mask
    c = c + d & mask
    b = (b ^ c) << 12
    b = (b | b >> 32) & mask
    a = a + b & mask
    d = (d ^ a) << 8
    d = (d | d >> 32) & mask
    c = c + d & mask
    b = (b ^ c) << 7
    b = (b | b >> 32) & mask
    return a, b, c, d


def _xor(data: bytes, stream: "bytes | bytearray") -> bytes:
    """``data`` with the stream from its second block on (2.8)."""
    size = len(data)
    number = int.from_bytes(data, "little") ^ int.from_bytes(stream[64 : 64 + size], "little")
    return number.to_bytes(size, "little")


def _tag(stream: "bytes | bytearray", sealed: bytes, associated: bytes) -> bytes:
    """The tag over associated data and ciphertext, its key the stream's first half block (2.8)."""
    lengths = len(associated).to_bytes(8, "little") + len(sealed).to_bytes(8, "little")
    data = [associated, bytes(-len(associated) % 16), sealed, bytes(-len(sealed) % 16), lengths]
    return poly1305(stream[:32], b"".join(data))


def poly1305(key: "bytes | bytearray", message: bytes) -> bytes:
    """16 bytes under a key of 32 that is used once (2.5)."""
    r = int.from_bytes(key[:16], "little") & _CLAMP
    total = 0
    for i in range(0, len(message), 16):
        block = message[i : i + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % _P
    total += int.from_bytes(key[16:32], "little")
    return (total & (1 << 128) - 1).to_bytes(16, "little")


def _check_key(key: "bytes | bytearray") -> None:
    if len(key) != KEY:
        raise CryptoError("a ChaCha20 key has 32 bytes, not " + str(len(key)))


def _check(alive: bool, nonce: bytes) -> None:
    if not alive:
        raise CryptoError("the key was wiped")
    if len(nonce) != NONCE:
        raise CryptoError("a nonce has 12 bytes, not " + str(len(nonce)))
