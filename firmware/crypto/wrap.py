"""Sealing of small secrets: AES-256-CTR, then HMAC-SHA-256 (encrypt-then-MAC).

sealed = nonce (16) | ciphertext | tag (16)

Two keys come from one master by HMAC-SHA-256 with a label (NIST SP 800-108
with a single block: label, a zero byte, purpose). The tag covers nonce and
ciphertext, and is compared before anything is deciphered. A nonce must never
repeat under one master and label: it comes from the entropy source.
"""

from firmware.crypto import CryptoError, backend, wipe
from firmware.crypto.hashes import hmac_sha256, same
from firmware.crypto.modes import ctr

NONCE = 16
TAG = 16

#: Label of a TLS client key's passphrase in a provisioning bundle (docs/provisioning.md, key 7).
TLS_PASSPHRASE = b"OpenTill tls passphrase 1"


def derive(master: "bytes | bytearray", label: bytes, purpose: bytes) -> bytearray:
    """32 bytes for one purpose."""
    return bytearray(hmac_sha256(master, b"\x01" + label + b"\x00" + purpose))


def seal(
    master: "bytes | bytearray", label: bytes, plain: "bytes | bytearray", nonce: bytes
) -> bytes:
    """Encipher and authenticate. ``master`` has 32 bytes, ``nonce`` 16 fresh ones."""
    if len(nonce) != NONCE:
        raise CryptoError("a nonce has 16 bytes, not " + str(len(nonce)))
    cipher_key, tag_key = _keys(master, label)
    try:
        body = nonce + ctr(backend.aes(cipher_key), nonce, plain)
        return body + hmac_sha256(tag_key, body)[:TAG]
    finally:
        wipe(cipher_key)
        wipe(tag_key)


def unseal(master: "bytes | bytearray", label: bytes, sealed: "bytes | bytearray") -> bytearray:
    """Inverse of seal. CryptoError when too short or altered."""
    if len(sealed) < NONCE + TAG:
        raise CryptoError("sealed data is too short")
    cipher_key, tag_key = _keys(master, label)
    try:
        body = bytes(sealed[:-TAG])
        if not same(hmac_sha256(tag_key, body)[:TAG], sealed[-TAG:]):
            raise CryptoError("sealed data does not verify")
        return bytearray(ctr(backend.aes(cipher_key), body[:NONCE], body[NONCE:]))
    finally:
        wipe(cipher_key)
        wipe(tag_key)


def _keys(master: "bytes | bytearray", label: bytes) -> "tuple[bytearray, bytearray]":
    if len(master) != 32:
        raise CryptoError("a sealing master has 32 bytes, not " + str(len(master)))
    return derive(master, label, b"encrypt"), derive(master, label, b"authenticate")
