"""Certificates of the deck's cards, made under its test CA (EMV 4.4 Book 2, 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from host_tools.emulator.chips.card_rsa import RsaKey


@dataclass(frozen=True)
class KeyCertificate:
    """A certified public key as three data objects; ``remainder`` may be empty."""

    certificate: bytes
    remainder: bytes
    exponent: bytes


@lru_cache(maxsize=1024)
def _signed(signer: RsaKey, fields: bytes, hashed_too: bytes) -> bytes:
    """The deck makes the same certificates again and again: RSA only once."""
    return signer.sign(fields, hashed_too)


def certify(
    signer: RsaKey,
    subject: RsaKey,
    *,
    form: int,
    identity: bytes,
    expiry: str,
    serial: int,
    static_data: bytes = b"",
) -> KeyCertificate:
    """Issuer certificate (``form`` 02, Book 2, table 2) or ICC and ICC PIN
    encipherment certificate (``form`` 04, tables 14 and 24).

    ``identity`` is the issuer identifier (4 bytes) or the PAN (10 bytes),
    padded with F; ``expiry`` is YYMM; ``static_data`` is hashed into an ICC
    certificate only.
    """
    modulus, exponent = subject.modulus, subject.exponent
    head = bytes([form]) + identity + bytes.fromhex(expiry[2:4] + expiry[:2])
    head += serial.to_bytes(3, "big") + b"\x01\x01" + bytes([len(modulus), len(exponent)])
    room = signer.size - 22 - len(head)
    left, remainder = modulus[:room].ljust(room, b"\xbb"), modulus[room:]
    certificate = _signed(signer, head + left, remainder + exponent + static_data)
    return KeyCertificate(certificate, remainder, exponent)


def static_signature(signer: RsaKey, code: bytes, static_data: bytes) -> bytes:
    """Signed Static Application Data (Book 2, 5.4, table 3); ``code`` is the DAC (2 bytes)."""
    fields = (b"\x03\x01" + code).ljust(signer.size - 22, b"\xbb")
    return _signed(signer, fields, static_data)
