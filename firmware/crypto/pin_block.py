"""PIN blocks of ISO 9564-1: formats 0 (DES), 2 (plaintext to the card) and 4 (AES).

PINs are bytearrays of ASCII digits, PANs are text. Clear blocks are given back
as bytearrays and are the caller's to wipe.
"""

from firmware.crypto import CryptoError, backend, wipe

#: Digits of a PIN (ISO 9564-1, 8.1).
LEAST = 4
MOST = 12


def _digits(text: str, what: str) -> None:
    for c in text:
        if not "0" <= c <= "9":
            raise CryptoError(what + " is not digits")


def _pin_field(pin: "bytes | bytearray", control: int, filler: int) -> bytearray:
    """Control nibble, length nibble, digits, filler to 16 nibbles."""
    if not LEAST <= len(pin) <= MOST:
        raise CryptoError("a PIN has 4 to 12 digits")
    block = bytearray(8)
    block[0] = control << 4 | len(pin)
    for i in range(14):
        nibble = filler
        if i < len(pin):
            nibble = pin[i] - 0x30
            if not 0 <= nibble <= 9:
                wipe(block)
                raise CryptoError("a PIN is not digits")
        block[1 + i // 2] |= nibble << 4 if i % 2 == 0 else nibble
    return block


def clear_0(pin: "bytes | bytearray", pan: str) -> bytearray:
    """Format 0, clear (9.3.2): PIN field added to the 12 rightmost PAN digits
    without the check digit. CryptoError unless the PAN has 13 to 19 digits."""
    _digits(pan, "the PAN")
    if not 13 <= len(pan) <= 19:
        raise CryptoError("format 0 wants a PAN of 13 to 19 digits")
    block = _pin_field(pin, 0, 0xF)
    account = bytes.fromhex("0000" + pan[-13:-1])
    for i in range(8):
        block[i] ^= account[i]
    return block


def clear_2(pin: "bytes | bytearray") -> bytearray:
    """Format 2 (9.3.4): the plaintext block of VERIFY (EMV 4.4 Book 3, table 24)."""
    return _pin_field(pin, 2, 0xF)


def pan_field_4(pan: str) -> bytes:
    """Format 4 account field (9.4.2.3): M = digits beyond twelve, the PAN
    padded on the left with zeros to at least twelve, zeros to 32 nibbles."""
    _digits(pan, "the PAN")
    if not 1 <= len(pan) <= 19:
        raise CryptoError("format 4 wants a PAN of 1 to 19 digits")
    padded = "0" * (12 - len(pan)) + pan
    text = str(len(padded) - 12) + padded
    return bytes.fromhex(text + "0" * (32 - len(text)))


def pin_field_4(pin: "bytes | bytearray", random: bytes) -> bytearray:
    """Format 4 PIN field (9.4.2.2): control 4, filler A, 8 random bytes."""
    if len(random) != 8:
        raise CryptoError("format 4 wants 8 random bytes")
    return _pin_field(pin, 4, 0xA) + bytearray(random)


def encipher_0(key: "bytes | bytearray", pin: "bytes | bytearray", pan: str) -> bytes:
    """Format 0 under a DES or TDES key, 8 bytes."""
    clear = clear_0(pin, pan)
    try:
        return backend.des(key).encrypt(clear)
    finally:
        wipe(clear)


def encipher_4(
    key: "bytes | bytearray", pin: "bytes | bytearray", pan: str, random: bytes
) -> bytes:
    """Format 4 under an AES key, 16 bytes (9.4.2.1): E(E(PIN field) + PAN field)."""
    account = pan_field_4(pan)
    clear = pin_field_4(pin, random)
    middle = bytearray(16)
    try:
        cipher = backend.aes(key)
        middle[:] = cipher.encrypt(clear)
        for i in range(16):
            middle[i] ^= account[i]
        return cipher.encrypt(middle)
    finally:
        wipe(clear)
        wipe(middle)
