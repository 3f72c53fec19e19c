"""The bank's ciphers, from psec and ``cryptography``: MACs, working keys, PIN.

The test bank keeps keys in clear in its ledger: it is a test bank.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from psec import des, mac, pinblock

#: Source of key bytes; a test may pass its own.
Random = Callable[[int], bytes]

#: AES-CMAC is not among them: field 62 of a sign-in answer carries DES keys only.
MAC_ALGORITHMS = ("cup-ecb", "x9.19", "x9.9")

#: 60.3 of a sign-in and the answer's field 62: which keys, how long.
SIGN_IN_CODES = ("001", "003", "004")


def _ecb(key: bytes, block: bytes) -> bytes:
    # ``cryptography`` warns on 8- and 16-byte keys: always three keys.
    full = key * 3 if len(key) == 8 else key + key[:8]
    return des.encrypt_tdes_ecb(full, block)


def cup_ecb_mac(key: bytes, message: bytes) -> bytes:
    """UnionPay ECB MAC: 8 ASCII hex characters."""
    padded = mac.pad_iso_1(message, 8)
    folded = 0
    for start in range(0, len(padded), 8):
        folded ^= int.from_bytes(padded[start : start + 8], "big")
    text = f"{folded:016X}".encode()
    first = _ecb(key, text[:8])
    mixed = bytes(a ^ b for a, b in zip(first, text[8:], strict=True))
    return _ecb(key, mixed).hex().upper()[:8].encode()


def compute_mac(algorithm: str, key: bytes, message: bytes) -> bytes:
    """Field 64, 8 bytes. ValueError for an unknown algorithm."""
    if algorithm == "cup-ecb":
        return cup_ecb_mac(key, message)
    if algorithm == "x9.19":
        left, right = key[:8], key[8:16] or key[:8]
        return mac.generate_retail_mac(left * 3, right * 3, message, 1)
    if algorithm == "x9.9":
        return mac.generate_cbc_mac(key[:8] * 3, message, 1)
    raise ValueError(f"MAC algorithm {algorithm!r}")


def check_value(key: bytes) -> bytes:
    """First 4 bytes of enciphering 8 zero bytes."""
    return _ecb(key, bytes(8))[:4]


def wrap(tmk: bytes, key: bytes) -> bytes:
    """A working key under the terminal master key, TDES ECB."""
    return b"".join(_ecb(tmk, key[at : at + 8]) for at in range(0, len(key), 8))


def new_key(length: int, random: Random = secrets.token_bytes) -> bytes:
    """A DES key of 8 or 16 bytes with odd parity and two different halves."""
    while True:
        key = des.adjust_key_parity(random(length))
        if length == 8 or key[:8] != key[8:]:
            return key


@dataclass(frozen=True)
class WorkingKeys:
    """PIN, MAC and track key of one sign-in; ``track`` may be empty."""

    pin: bytes
    mac: bytes
    track: bytes

    def field62(self, tmk: bytes) -> bytes:
        """The sign-in answer's field 62: 24 bytes (001: single length),
        40 (003) or 60 (004). In the last two a single-length MAC key is
        followed by 8 zero bytes in the clear."""
        parts = wrap(tmk, self.pin) + check_value(self.pin)
        parts += wrap(tmk, self.mac)
        if len(self.pin) == 16 and len(self.mac) == 8:
            parts += bytes(8)
        parts += check_value(self.mac)
        if self.track:
            parts += wrap(tmk, self.track) + check_value(self.track)
        return parts


def new_working_keys(
    code: str, mac_length: int = 16, random: Random = secrets.token_bytes
) -> WorkingKeys:
    """Fresh keys for 60.3 ``code``; ``mac_length`` 8 or 16 for 003 and 004."""
    if code == "001":
        return WorkingKeys(new_key(8, random), new_key(8, random), b"")
    track = new_key(16, random) if code == "004" else b""
    return WorkingKeys(new_key(16, random), new_key(mac_length, random), track)


class PinFormatError(Exception):
    """The PIN block does not decipher to a PIN: wrong key, PAN or format."""


def decipher_pin(key: bytes, block: bytes, pan: str, with_pan: bool = True) -> str:
    """The PIN of an ISO 9564-1 format 0 block (or its form without PAN,
    53.1 = 1). PinFormatError."""
    full = key * 3 if len(key) == 8 else key + key[:8]
    clear = des.decrypt_tdes_ecb(full, block)
    try:
        return pinblock.decode_pinblock_iso_0(clear, pan if with_pan else "0" * 13)
    except ValueError as error:
        raise PinFormatError(type(error).__name__) from None
