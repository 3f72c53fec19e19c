"""The issuer's side of a card by ``cryptography`` alone: the judge of the virtual card.

The virtual card computes with pyemv; here the same values are made another way.
"""

from __future__ import annotations

import hashlib
import warnings

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

warnings.filterwarnings("ignore", message="TripleDES has been moved")


def tdes(key: bytes, data: bytes) -> bytes:
    """Triple DES ECB under 8, 16 or 24 key bytes."""
    whole = {8: key * 3, 16: key + key[:8], 24: key}[len(key)]
    encryptor = Cipher(TripleDES(whole), modes.ECB()).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def untdes(key: bytes, data: bytes) -> bytes:
    """Inverse of ``tdes``."""
    whole = {8: key * 3, 16: key + key[:8], 24: key}[len(key)]
    decryptor = Cipher(TripleDES(whole), modes.ECB()).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def xor(left: bytes, right: bytes) -> bytes:
    """Byte by byte."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def card_key(imk: bytes, pan: str, csn: str) -> bytes:
    """Book 2, A1.4.1 (option A); parity bits are left as they come, DES ignores them."""
    y = bytes.fromhex((pan + csn)[-16:].rjust(16, "0"))
    return tdes(imk, y) + tdes(imk, xor(y, b"\xff" * 8))


def session_key(key: bytes, r: bytes) -> bytes:
    """Book 2, A1.3.1."""
    return tdes(key, r[:2] + b"\xf0" + r[3:]) + tdes(key, r[:2] + b"\x0f" + r[3:])


def mac(key: bytes, data: bytes) -> bytes:
    """ISO 9797-1 algorithm 3, padding method 2."""
    data += b"\x80"
    data += bytes(-len(data) % 8)
    state = bytes(8)
    for place in range(0, len(data), 8):
        state = tdes(key[:8], xor(state, data[place : place + 8]))
    return tdes(key[:8], untdes(key[8:], state))


def recover(modulus: bytes, exponent: bytes, signature: bytes) -> bytes:
    """RSA with message recovery."""
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    assert len(signature) == len(modulus)
    return pow(int.from_bytes(signature, "big"), e, n).to_bytes(len(modulus), "big")


def opened(modulus: bytes, exponent: bytes, signature: bytes, hashed_too: bytes) -> bytes:
    """The recovered fields between header and hash. AssertionError when a check fails."""
    plain = recover(modulus, exponent, signature)
    assert plain[0] == 0x6A and plain[-1] == 0xBC, "header or trailer"
    fields, digest = plain[1:-21], plain[-21:-1]
    assert hashlib.sha1(fields + hashed_too).digest() == digest, "hash"
    return fields
