"""Deciphers an encrypted PKCS#8 private key (RFC 5958, RFC 8018 PBES2).

For ports whose TLS library takes plain keys only. PBKDF2 with HMAC-SHA-256
and AES-CBC, which is what OpenSSL and `cryptography` write; nothing older.
"""

from binascii import a2b_base64

from firmware import aio
from firmware.crypto import CryptoError, backend, modes
from firmware.crypto.hashes import Pbkdf2
from firmware.errors import TillError

_PBES2 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
_PBKDF2 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
_HMAC_SHA256 = b"\x2a\x86\x48\x86\xf7\x0d\x02\x09"
_AES_CBC = b"\x60\x86\x48\x01\x65\x03\x04\x01"
_KEY_SIZES = {2: 16, 22: 24, 42: 32}

_SEQUENCE = 0x30
_OCTETS = 0x04
_INTEGER = 0x02
_OID = 0x06

_MOST_ITERATIONS = 2000000
#: Iterations between two turns of everybody else.
_STRIDE = 100
_MOST_BYTES = 8192


class KeyUnreadable(TillError):
    """The key is not what this module reads, or the passphrase is wrong."""


class _Reader:
    """DER, strictly in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def take(self, tag: int) -> bytes:
        """Contents of the next object, which must be of ``tag``."""
        data, at = self._data, self._at
        if at + 2 > len(data) or data[at] != tag:
            raise KeyUnreadable("malformed private key")
        length = data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 2 or at + count > len(data):
                raise KeyUnreadable("malformed private key")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            raise KeyUnreadable("malformed private key")
        self._at = at + length
        return data[at : at + length]

    def inner(self) -> "_Reader":
        """The next SEQUENCE."""
        return _Reader(self.take(_SEQUENCE))


def _unarmour(pem: bytes) -> bytes:
    text = pem.decode()
    begin = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    end = text.find("-----END ENCRYPTED PRIVATE KEY-----")
    if begin < 0 or end < begin or len(pem) > _MOST_BYTES:
        raise KeyUnreadable("not an encrypted PKCS#8 key")
    try:
        return a2b_base64(text[begin + 37 : end])
    except ValueError:
        raise KeyUnreadable("not an encrypted PKCS#8 key") from None


async def plain_key(key: bytes, passphrase: str) -> bytes:
    """PrivateKeyInfo in DER. A key that is not PEM is given back as it is.

    Yields to others while it stretches the passphrase. KeyUnreadable.
    """
    if key[:5] != b"-----":
        return key
    try:
        return await _decipher(_unarmour(key), passphrase)
    except (CryptoError, UnicodeError):
        raise KeyUnreadable("malformed private key") from None


async def _decipher(der: bytes, passphrase: str) -> bytes:
    outer = _Reader(der).inner()
    algorithm = outer.inner()
    secret = outer.take(_OCTETS)
    if algorithm.take(_OID) != _PBES2:
        raise KeyUnreadable("private key is not enciphered by PBES2")
    parameters = algorithm.inner()
    derivation = parameters.inner()
    if derivation.take(_OID) != _PBKDF2:
        raise KeyUnreadable("private key's passphrase is not stretched by PBKDF2")
    detail = derivation.inner()
    salt = detail.take(_OCTETS)
    iterations = int.from_bytes(detail.take(_INTEGER), "big")
    if not 1 <= iterations <= _MOST_ITERATIONS:
        raise KeyUnreadable("private key asks for " + str(iterations) + " iterations")
    asked = 0
    function = b""
    while detail.more():
        if not function and not asked:
            try:
                asked = int.from_bytes(detail.take(_INTEGER), "big")
                continue
            except KeyUnreadable:
                asked = 0
        function = detail.inner().take(_OID)
    if function != _HMAC_SHA256:
        raise KeyUnreadable("private key's passphrase is not stretched with HMAC-SHA-256")
    scheme = parameters.inner()
    name = scheme.take(_OID)
    size = _KEY_SIZES.get(name[-1], 0) if name[:-1] == _AES_CBC else 0
    if not size or asked not in (0, size):
        raise KeyUnreadable("private key is not enciphered by AES-CBC")
    start = scheme.take(_OCTETS)
    work = Pbkdf2(passphrase.encode(), salt, iterations)
    while not work.step(_STRIDE):
        await aio.sleep_ms(0)
    plain = modes.cbc_decrypt(backend.aes(work.result()[:size]), start, secret)
    pad = plain[-1] if plain else 0
    if not 1 <= pad <= 16 or plain[-pad:] != bytes([pad]) * pad:
        raise KeyUnreadable("wrong passphrase")
    info = plain[:-pad]
    _Reader(info).inner()  # garbage whose padding happens to fit is refused
    return info
