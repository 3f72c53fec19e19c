"""Key check values (ANSI X9.24-1, Annex A)."""

from firmware.crypto import backend, hashes
from firmware.crypto.mac import cmac


def zeros(algorithm: str, key: "bytes | bytearray", length: int = 4) -> bytes:
    """Leftmost bytes of one enciphered block of zeros. UnionPay sends 4."""
    cipher = backend.cipher(algorithm, key)
    return cipher.encrypt(bytes(cipher.block))[:length]


def shown(algorithm: str, key: "bytes | bytearray") -> str:
    """What may be shown and printed, upper-case hex: 3 bytes by ``zeros`` for
    DES and TDES, 5 bytes by CMAC of zeros for AES, 3 bytes of HMAC of nothing
    for "hmac-sha256", 3 bytes of the public key's SHA-256 for "x25519"."""
    if algorithm == "hmac-sha256":
        value = hashes.hmac_sha256(key, b"")[:3]
    elif algorithm == "x25519":
        from firmware.crypto import x25519

        value = hashes.sha256(x25519.public(key))[:3]
    elif algorithm[:3] == "aes":
        value = cmac(backend.cipher(algorithm, key), bytes(16))[:5]
    else:
        value = zeros(algorithm, key, 3)
    return value.hex().upper()
