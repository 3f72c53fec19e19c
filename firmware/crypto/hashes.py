"""Hashes, HMAC, PBKDF2, comparison (FIPS 180-4, FIPS 198-1, RFC 8018).

``hashlib`` where the interpreter has the function; SHA-1 and SHA-512 in plain
Python where it has not (some MicroPython ports have SHA-256 only).
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Whether ``pbkdf2_sha256`` is fast; else ``Pbkdf2`` in steps lets others run.
NATIVE_PBKDF2 = hasattr(hashlib, "pbkdf2_hmac")


def sha1(data: "bytes | bytearray") -> bytes:
    """20 bytes. EMV certificates and CAPK check sums only: not collision resistant."""
    native: "Any" = getattr(hashlib, "sha1", None)
    if native is None:
        from firmware.crypto.sha import sha1 as portable

        return portable(data)
    result: bytes = native(data).digest()
    return result


def sha256(data: "bytes | bytearray") -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def sha512(data: "bytes | bytearray") -> bytes:
    """64 bytes."""
    native: "Any" = getattr(hashlib, "sha512", None)
    if native is None:
        from firmware.crypto.sha import sha512 as portable

        return portable(data)
    result: bytes = native(data).digest()
    return result


def _pads(key: "bytes | bytearray") -> "tuple[bytes, bytes]":
    if len(key) > 64:
        key = sha256(key)
    whole = bytes(key) + bytes(64 - len(key))
    return bytes([b ^ 0x36 for b in whole]), bytes([b ^ 0x5C for b in whole])


def hmac_sha256(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """32 bytes (RFC 2104)."""
    inner, outer = _pads(key)
    hashed = hashlib.sha256(inner)
    hashed.update(data)
    return hashlib.sha256(outer + hashed.digest()).digest()


class Pbkdf2:
    """PBKDF2-HMAC-SHA-256, one block of 32 bytes, in steps so that a slow
    processor can serve others in between."""

    def __init__(self, password: "bytes | bytearray", salt: bytes, iterations: int) -> None:
        self._inner, self._outer = _pads(password)
        self._left = iterations
        self._last = salt + b"\x00\x00\x00\x01"
        self._sum = 0

    def step(self, count: int) -> bool:
        """Do up to ``count`` iterations; True when all are done."""
        for _ in range(min(count, self._left)):
            inside = hashlib.sha256(self._inner + self._last).digest()
            self._last = hashlib.sha256(self._outer + inside).digest()
            self._sum ^= int.from_bytes(self._last, "big")
            self._left -= 1
        return self._left == 0

    def result(self) -> bytes:
        """32 bytes, once ``step`` said True."""
        return self._sum.to_bytes(32, "big")


def pbkdf2_sha256(password: "bytes | bytearray", salt: bytes, iterations: int) -> bytes:
    """32 bytes (RFC 8018, 5.2)."""
    native: "Any" = getattr(hashlib, "pbkdf2_hmac", None)
    if native is not None:
        result: bytes = native("sha256", password, salt, iterations, 32)
        return result
    work = Pbkdf2(password, salt, iterations)
    work.step(iterations)
    return work.result()


def same(a: "bytes | bytearray", b: "bytes | bytearray") -> bool:
    """Equality whose time depends on the lengths only, as far as an interpreter can."""
    if len(a) != len(b):
        return False
    different = 0
    for x, y in zip(a, b):
        different |= x ^ y
    return different == 0
