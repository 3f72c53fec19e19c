"""X25519, Diffie-Hellman on Curve25519 (RFC 7748, 5 and 6.1).

CPython: ``cryptography``, imported at the first use. Elsewhere the portable
ladder below, in the order of steps that RFC 7748 prints; big integers of an
interpreter are not constant in time, and what they held cannot be overwritten
(docs/threat-model.md).
"""

import sys

from firmware.crypto import CryptoError, wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class StaticKey(Protocol):
        """A long-lived key pair whose private half may stay where it is (a vault)."""

        public: bytes

        def dh(self, public: "bytes | bytearray") -> bytes:
            """As ``shared`` with the private half; a TillError when it cannot."""


#: Bytes of a private key, a public key and a shared secret.
SIZE = 32

_P = (1 << 255) - 19
_LOW_255 = (1 << 255) - 1
_BASE = b"\x09" + bytes(31)


class LowOrderError(CryptoError):
    """The peer's point has a small order: the shared secret would be zeros (6.1)."""


class KeyPair:
    """A private key of 32 random bytes and its public key; a ``StaticKey``."""

    def __init__(self, private: "bytes | bytearray") -> None:
        self._private = bytearray(private)
        self.public = public(private)

    def dh(self, public: "bytes | bytearray") -> bytes:
        """As ``shared``. CryptoError after ``wipe``."""
        return shared(self._private, public)

    def wipe(self) -> None:
        """Overwrite the private key; ``dh`` refuses from now on."""
        wipe(self._private)
        self._private = bytearray()


def public(private: "bytes | bytearray") -> bytes:
    """The public key of a private one."""
    return multiply(private, _BASE)


def shared(private: "bytes | bytearray", public: "bytes | bytearray") -> bytes:
    """The shared secret. LowOrderError when it would be zeros."""
    secret = multiply(private, public)
    if secret == bytes(SIZE):
        raise LowOrderError("a point of low order")
    return secret


def multiply(scalar: "bytes | bytearray", u: "bytes | bytearray") -> bytes:
    """X25519(scalar, u), zeros included. CryptoError unless both have 32 bytes."""
    if sys.implementation.name != "cpython":
        return multiply_portable(scalar, u)
    _check(scalar, u)
    from cryptography.hazmat.primitives.asymmetric.x25519 import (
        X25519PrivateKey,
        X25519PublicKey,
    )

    key = X25519PrivateKey.from_private_bytes(scalar)
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(bytes(u)))
    except ValueError:  # its answer to a secret of zeros, the lengths being right
        return bytes(SIZE)


def multiply_portable(scalar: "bytes | bytearray", u: "bytes | bytearray") -> bytes:
    """As ``multiply``, with this module's own arithmetic."""
    _check(scalar, u)
    k = int.from_bytes(scalar, "little")
    k = k & ~7 & _LOW_255 | 1 << 254
    x1 = (int.from_bytes(u, "little") & _LOW_255) % _P
    x2, z2, x3, z3 = 1, 0, x1, 1
    swapped = 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if bit != swapped:
            x2, x3, z2, z3 = x3, x2, z3, z2
            swapped = bit
        a = x2 + z2
        b = x2 - z2
        da = (x3 - z3) * a % _P
        cb = (x3 + z3) * b % _P
        aa = a * a % _P
        bb = b * b % _P
        e = aa - bb
        s = da + cb
        d = da - cb
        x3 = s * s % _P
        z3 = d * d % _P * x1 % _P
        x2 = aa * bb % _P
        z2 = e * (aa + 121665 * e) % _P
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(SIZE, "little")


def _check(scalar: "bytes | bytearray", u: "bytes | bytearray") -> None:
    if len(scalar) != SIZE or len(u) != SIZE:
        raise CryptoError("X25519 takes 32 bytes, not " + str(len(scalar)) + " and " + str(len(u)))
