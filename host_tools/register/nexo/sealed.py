"""Sealed messages: AES-256-CBC with HMAC-SHA-256 over the plaintext, keys from a passphrase.

The scheme is the clients' (PBKDF2-HMAC-SHA-1, 4,000 rounds, salt ``AdyenNexoV1Salt``). Its weak
sides are met here: passphrases are ours and long, the header outside must be the one inside,
every field has one spelling, and all that is wrong is told alike.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from host_tools.errors import UserError
from host_tools.register.nexo import number_json

CRYPTO_VERSION = 1
_BLOCK, _ROUNDS, _SALT = 16, 4000, b"AdyenNexoV1Salt"


class NotSealed(UserError):
    """A message that is not sealed by a key of ours, or was changed on its way."""


@dataclass(frozen=True)
class Key:
    """``identifier`` and ``version`` as they stand in the trailer."""

    identifier: str
    version: int
    mac: bytes = field(repr=False)
    cipher: bytes = field(repr=False)
    iv: bytes = field(repr=False)


def key_of(identifier: str, version: int, passphrase: str) -> Key:
    """The keys that a passphrase (Latin-1 characters) stands for. UserError."""
    try:
        secret = passphrase.encode("latin-1")
    except UnicodeEncodeError:
        raise UserError("a nexo passphrase has Latin letters, digits and signs only") from None
    raw = hashlib.pbkdf2_hmac("sha1", secret, _SALT, _ROUNDS, 80)
    return Key(identifier, version, raw[:32], raw[32:64], raw[64:])


def new_passphrase() -> str:
    """One of 160 bits."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def seal(key: Key, header: dict[str, Any], inner: str) -> dict[str, Any]:
    """The message around ``inner``, which says ``header`` too."""
    plain = inner.encode()
    nonce = secrets.token_bytes(_BLOCK)
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = _cipher(key, nonce).encryptor()
    blob = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return {
        "MessageHeader": header,
        "NexoBlob": _text(blob),
        "SecurityTrailer": {
            "AdyenCryptoVersion": CRYPTO_VERSION,
            "Hmac": _text(hmac.digest(key.mac, plain, "sha256")),
            "KeyIdentifier": key.identifier,
            "KeyVersion": key.version,
            "Nonce": _text(nonce),
        },
    }


def opened(keys: list[Key], message: Any) -> tuple[Key, dict[str, Any], dict[str, Any]]:
    """The key, the header and the inner message, whose header is the same. NotSealed."""
    try:
        names = {"MessageHeader", "NexoBlob", "SecurityTrailer"}
        trailer = message["SecurityTrailer"]
        if set(message) != names or set(trailer) != {
            "AdyenCryptoVersion", "Hmac", "KeyIdentifier", "KeyVersion", "Nonce"
        }:  # fmt: skip
            raise NotSealed("keys")
        key = _key(keys, trailer)
        mac, nonce = _bytes(trailer["Hmac"], 32), _bytes(trailer["Nonce"], _BLOCK)
        blob = _bytes(message["NexoBlob"])
        if not blob or len(blob) % _BLOCK:
            raise NotSealed("length")
        decryptor = _cipher(key, nonce).decryptor()
        plain = _unpadded(decryptor.update(blob) + decryptor.finalize())
        if not hmac.compare_digest(hmac.digest(key.mac, plain, "sha256"), mac):
            raise NotSealed("MAC")
        header = message["MessageHeader"]
        inner = number_json.read(plain.decode())
        (body,) = inner.values()
        if not isinstance(header, dict) or body["MessageHeader"] != header:
            raise NotSealed("header")
    except (KeyError, TypeError, ValueError, AttributeError, UserError):
        raise NotSealed("not sealed by a key of this terminal, or changed on its way") from None
    return key, header, inner


def _key(keys: list[Key], trailer: dict[str, Any]) -> Key:
    version = trailer["KeyVersion"]
    crypto = trailer["AdyenCryptoVersion"]
    if type(version) is not int or type(crypto) is not int or crypto != CRYPTO_VERSION:
        raise NotSealed("version")
    for key in keys:
        if (key.identifier, key.version) == (trailer["KeyIdentifier"], version):
            return key
    raise NotSealed("key")


def _cipher(key: Key, nonce: bytes) -> Cipher[modes.CBC]:
    iv = bytes(a ^ b for a, b in zip(key.iv, nonce, strict=True))
    return Cipher(algorithms.AES(key.cipher), modes.CBC(iv))


def _unpadded(plain: bytes) -> bytes:
    """Without PKCS #7; whole where the padding is wrong, so that the MAC is what fails."""
    count = plain[-1]
    good = 1 <= count <= _BLOCK and plain.endswith(bytes([count]) * count)
    return plain[:-count] if good else plain


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str, length: int = 0) -> bytes:
    """Base64 in its one spelling. NotSealed."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise NotSealed("base64") from None
    if _text(raw) != text or (length and len(raw) != length):
        raise NotSealed("base64")
    return raw
