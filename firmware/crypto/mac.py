"""Message authentication codes of payment hosts.

Keys of 8 bytes are single DES, 16 and 24 Triple DES, unless a function says AES.
Every function returns the whole code; callers cut it to what their field holds.
"""

from firmware.crypto import CryptoError, backend
from firmware.crypto.modes import xor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.crypto.backend import Cipher


def pad(data: "bytes | bytearray", method: int, block: int = 8) -> bytes:
    """ISO/IEC 9797-1, 6.3: 1 zeros as needed (a whole block for empty data),
    2 one bit then zeros, 3 a block with the length in bits, then as 1."""
    plain = bytes(data)
    if method == 2:
        plain += b"\x80"
    zeros = -len(plain) % block
    if method in (1, 3) and not plain:
        zeros = block
    if method == 3:
        plain = (8 * len(plain)).to_bytes(block, "big") + plain
    elif method not in (1, 2):
        raise CryptoError("no padding method " + str(method))
    return plain + bytes(zeros)


def _cbc_last(cipher: "Cipher", padded: bytes) -> bytes:
    size = cipher.block
    last = bytes(size)
    for i in range(0, len(padded), size):
        last = cipher.encrypt(xor(last, padded[i : i + size]))
    return last


def cbc_mac(key: "bytes | bytearray", data: "bytes | bytearray", padding: int = 1) -> bytes:
    """ISO/IEC 9797-1 algorithm 1, 8 bytes."""
    return _cbc_last(backend.des(key), pad(data, padding))


def x9_9(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """ANSI X9.9: CBC-MAC of the zero-padded message, 8 bytes. The standard has a
    single-length key; with a double-length one each block is Triple DES, as
    hosts that kept the name do."""
    return cbc_mac(key, data, 1)


def iso9797_alg3(
    first: "bytes | bytearray",
    second: "bytes | bytearray",
    data: "bytes | bytearray",
    padding: int = 1,
) -> bytes:
    """ISO/IEC 9797-1 algorithm 3, 8 bytes: CBC under ``first``, then the last
    block deciphered under ``second`` and enciphered under ``first``."""
    cipher = backend.des(first)
    last = _cbc_last(cipher, pad(data, padding))
    return cipher.encrypt(backend.des(second).decrypt(last))


def x9_19(key: "bytes | bytearray", data: "bytes | bytearray", padding: int = 1) -> bytes:
    """ANSI X9.19 retail MAC, 8 bytes. A single-length key makes it X9.9."""
    if len(key) not in (8, 16):
        raise CryptoError("an X9.19 key has 8 or 16 bytes, not " + str(len(key)))
    return iso9797_alg3(key[:8], key[-8:], data, padding)


def cup_ecb(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """UnionPay ECB MAC: 8 upper-case hexadecimal characters as bytes, for field 64.

    All zero-padded 8-byte blocks are added into one; its first 8 hex characters
    are enciphered, added to the last 8, enciphered again; the first 8 hex
    characters of that are the code.
    """
    folded = 0
    for i in range(0, len(data), 8):
        block = bytes(data[i : i + 8])
        folded ^= int.from_bytes(block + bytes(8 - len(block)), "big")
    text = _hex(folded.to_bytes(8, "big"))
    cipher = backend.des(key)
    first = cipher.encrypt(text[:8])
    return _hex(cipher.encrypt(xor(first, text[8:])))[:8]


def _hex(data: bytes) -> bytes:
    return data.hex().upper().encode()


def cmac(cipher: "Cipher", data: "bytes | bytearray") -> bytes:
    """CMAC (NIST SP 800-38B; ISO/IEC 9797-1 algorithm 5), one block."""
    size = cipher.block
    plain = bytes(data)
    key = _double(cipher.encrypt(bytes(size)), size)
    if not plain or len(plain) % size:
        key = _double(key, size)
        plain = pad(plain, 2, size)
    return _cbc_last(cipher, plain[:-size] + xor(plain[-size:], key))


def _double(block: bytes, size: int) -> bytes:
    value = int.from_bytes(block, "big") << 1
    if value >> (8 * size):
        value ^= (1 << (8 * size)) | (0x87 if size == 16 else 0x1B)
    return value.to_bytes(size, "big")


def aes_cmac(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """AES-CMAC (RFC 4493 for 128-bit keys), 16 bytes."""
    return cmac(backend.aes(key), data)


def tdes_cmac(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """TDES-CMAC, 8 bytes."""
    return cmac(backend.des(key), data)
