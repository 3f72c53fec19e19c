"""RSA as a chip does it: one private operation, and EMV's signed blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RsaKey:
    """A private key; numbers as integers."""

    n: int
    e: int
    d: int
    p: int
    q: int

    @classmethod
    def from_hex(cls, table: dict[str, Any]) -> RsaKey:
        """From the hexadecimal numbers of keys.json."""
        return cls(*(int(table[name], 16) for name in ("n", "e", "d", "p", "q")))

    @property
    def size(self) -> int:
        """Length of the modulus in bytes."""
        return (self.n.bit_length() + 7) // 8

    @property
    def modulus(self) -> bytes:
        """The modulus, big endian."""
        return self.n.to_bytes(self.size, "big")

    @property
    def exponent(self) -> bytes:
        """The public exponent, 1 or 3 bytes."""
        return self.e.to_bytes((self.e.bit_length() + 7) // 8, "big")

    def private(self, block: bytes) -> bytes:
        """block ** d mod n by the Chinese remainder theorem; ``block`` < n."""
        number = int.from_bytes(block, "big")
        mp = pow(number, self.d % (self.p - 1), self.p)
        mq = pow(number, self.d % (self.q - 1), self.q)
        h = (mp - mq) * pow(self.q, -1, self.p) % self.p
        return (mq + h * self.q).to_bytes(self.size, "big")

    def sign(self, fields: bytes, hashed_too: bytes) -> bytes:
        """EMV signature with recovery (Book 2, A2.1): 6A, fields padded with BB by the
        caller to size - 22, SHA-1 over fields and ``hashed_too``, BC."""
        if len(fields) != self.size - 22:
            raise ValueError("the signed fields do not fill the block")
        digest = hashlib.sha1(fields + hashed_too).digest()
        return self.private(b"\x6a" + fields + digest + b"\xbc")


def dynamic_signature(key: RsaKey, dynamic: bytes, hashed_too: bytes) -> bytes:
    """Signed Dynamic Application Data (Book 2, 6.5.2, table 15): format 05, SHA-1."""
    fields = b"\x05\x01" + bytes([len(dynamic)]) + dynamic
    return key.sign(fields.ljust(key.size - 22, b"\xbb"), hashed_too)
