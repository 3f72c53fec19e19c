"""Which implementation of a block cipher runs here.

CPython: ``cryptography`` (OpenSSL), imported at the first key because it costs
tens of milliseconds of the start. MicroPython: ``cryptolib`` for AES-128 and
AES-256, the portable modules for DES, AES-192 and ports without ``cryptolib``.
All give the same object: ``block``, ``encrypt(data)``, ``decrypt(data)``, ECB.
"""

import sys

from firmware.crypto import CryptoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Cipher(Protocol):
        """A keyed block cipher."""

        block: int

        def encrypt(self, data: "bytes | bytearray") -> bytes:
            """ECB over whole blocks."""

        def decrypt(self, data: "bytes | bytearray") -> bytes:
            """Inverse of encrypt."""


_CPYTHON = sys.implementation.name == "cpython"


class _OpenSsl:
    """An ECB context of ``cryptography`` each way, made when first used."""

    def __init__(self, algorithm: "Any", block: int) -> None:
        self.block = block
        self._algorithm = algorithm
        self._encryptor: "Any" = None
        self._decryptor: "Any" = None

    def _cipher(self) -> "Any":
        from cryptography.hazmat.primitives.ciphers import Cipher as OpenSslCipher
        from cryptography.hazmat.primitives.ciphers import modes

        # ECB here is the bare permutation; the modes stand in modes.py, mac.py.
        return OpenSslCipher(self._algorithm, modes.ECB())

    def encrypt(self, data: "bytes | bytearray") -> bytes:
        _whole(data, self.block)
        if self._encryptor is None:
            self._encryptor = self._cipher().encryptor()
        result: bytes = self._encryptor.update(data)
        return result

    def decrypt(self, data: "bytes | bytearray") -> bytes:
        _whole(data, self.block)
        if self._decryptor is None:
            self._decryptor = self._cipher().decryptor()
        result: bytes = self._decryptor.update(data)
        return result


class _CryptolibAes:
    """``cryptolib.aes``, whose objects work in one direction each."""

    block = 16

    def __init__(self, module: "Any", key: "bytes | bytearray") -> None:
        self._encryptor = module.aes(bytes(key), 1)
        self._decryptor = module.aes(bytes(key), 1)

    def encrypt(self, data: "bytes | bytearray") -> bytes:
        _whole(data, 16)
        result: bytes = self._encryptor.encrypt(data) if data else b""
        return result

    def decrypt(self, data: "bytes | bytearray") -> bytes:
        _whole(data, 16)
        result: bytes = self._decryptor.decrypt(data) if data else b""
        return result


def _whole(data: "bytes | bytearray", block: int) -> None:
    if len(data) % block:
        raise CryptoError("not whole blocks of " + str(block) + " bytes: " + str(len(data)))


def des(key: "bytes | bytearray") -> "Cipher":
    """DES (8-byte key) or Triple DES (16, 24). CryptoError for another length."""
    if len(key) not in (8, 16, 24):
        raise CryptoError("a DES key has 8, 16 or 24 bytes, not " + str(len(key)))
    if _CPYTHON:
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

        whole = bytes(key) if len(key) == 24 else bytes(key) + bytes(key) + bytes(key)
        # K1 K2 becomes K1 K2 K1, K becomes K K K: cryptography wants 24 bytes.
        return _OpenSsl(TripleDES(whole[:24]), 8)
    from firmware.crypto.des import Des

    return Des(key)


def aes(key: "bytes | bytearray") -> "Cipher":
    """AES with a key of 16, 24 or 32 bytes. CryptoError for another length."""
    if len(key) not in (16, 24, 32):
        raise CryptoError("an AES key has 16, 24 or 32 bytes, not " + str(len(key)))
    if _CPYTHON:
        from cryptography.hazmat.primitives.ciphers.algorithms import AES

        return _OpenSsl(AES(bytes(key)), 16)
    if len(key) != 24:
        try:
            import cryptolib
        except ImportError:  # the WebAssembly port has none
            cryptolib = None
        if cryptolib is not None:
            return _CryptolibAes(cryptolib, key)
    from firmware.crypto.aes import Aes

    return Aes(key)


def cipher(algorithm: str, key: "bytes | bytearray") -> "Cipher":
    """By the algorithm names of ``hal.vault``: "des", "tdes2", "tdes3", "aes128", ..."""
    if LENGTHS.get(algorithm) != len(key):
        raise CryptoError("no " + algorithm + " key of " + str(len(key)) + " bytes")
    return aes(key) if algorithm[:3] == "aes" else des(key)


#: Bytes of a key of each algorithm.
LENGTHS = {"des": 8, "tdes2": 16, "tdes3": 24, "aes128": 16, "aes192": 24, "aes256": 32}
