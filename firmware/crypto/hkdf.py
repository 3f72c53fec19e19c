"""HKDF with SHA-256 (RFC 5869) and HMAC-SHA-512 (RFC 2104)."""

from firmware.crypto import CryptoError
from firmware.crypto.hashes import hmac_sha256, sha512

_SHA512_BLOCK = 128


def extract(salt: "bytes | bytearray", secret: "bytes | bytearray") -> bytes:
    """32 bytes (2.2). An empty salt is one of zeros."""
    return hmac_sha256(salt, secret)


def expand(key: "bytes | bytearray", info: bytes, length: int) -> bytes:
    """``length`` bytes, at most 255 times 32 (2.3). CryptoError for more."""
    if not 0 < length <= 255 * 32:
        raise CryptoError("HKDF gives 1 to 8160 bytes, not " + str(length))
    blocks: "list[bytes]" = []
    last = b""
    for i in range(1, (length + 31) // 32 + 1):
        last = hmac_sha256(key, last + info + bytes([i]))
        blocks.append(last)
    return b"".join(blocks)[:length]


def hmac_sha512(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """64 bytes."""
    if len(key) > _SHA512_BLOCK:
        key = sha512(key)
    whole = bytes(key) + bytes(_SHA512_BLOCK - len(key))
    inner = sha512(bytes([b ^ 0x36 for b in whole]) + bytes(data))
    return sha512(bytes([b ^ 0x5C for b in whole]) + inner)
