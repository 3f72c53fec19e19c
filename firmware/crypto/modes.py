"""Modes of operation over any block cipher object (ISO/IEC 10116)."""

from firmware.crypto import CryptoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.crypto.backend import Cipher


def xor(a: "bytes | bytearray", b: "bytes | bytearray") -> bytes:
    """Bitwise sum of two strings of equal length."""
    if len(a) != len(b):
        raise CryptoError("xor of " + str(len(a)) + " and " + str(len(b)) + " bytes")
    return bytes([x ^ y for x, y in zip(a, b)])


def cbc_encrypt(cipher: "Cipher", iv: bytes, data: "bytes | bytearray") -> bytes:
    """Cipher block chaining without padding. CryptoError unless whole blocks."""
    size = cipher.block
    _check(size, iv, data)
    out = []
    last = iv
    for i in range(0, len(data), size):
        last = cipher.encrypt(xor(last, data[i : i + size]))
        out.append(last)
    return b"".join(out)


def cbc_decrypt(cipher: "Cipher", iv: bytes, data: "bytes | bytearray") -> bytes:
    """Inverse of cbc_encrypt."""
    size = cipher.block
    _check(size, iv, data)
    return xor(cipher.decrypt(data), (bytes(iv) + bytes(data))[: len(data)])


def ctr(cipher: "Cipher", counter: bytes, data: "bytes | bytearray") -> bytes:
    """Counter mode; the counter block is one big-endian number, taken modulo
    its size. Encrypts and decrypts."""
    size = cipher.block
    _check(size, counter, b"")
    number = int.from_bytes(counter, "big")
    top = 1 << (8 * size)
    blocks = []
    for i in range((len(data) + size - 1) // size):
        blocks.append(((number + i) % top).to_bytes(size, "big"))
    return xor(cipher.encrypt(b"".join(blocks))[: len(data)], data)


def _check(size: int, iv: bytes, data: "bytes | bytearray") -> None:
    if len(iv) != size:
        raise CryptoError("an initial value has " + str(size) + " bytes, not " + str(len(iv)))
    if len(data) % size:
        raise CryptoError("not whole blocks of " + str(size) + " bytes: " + str(len(data)))
