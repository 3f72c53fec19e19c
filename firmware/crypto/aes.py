"""AES (FIPS 197), portable, for interpreters that have none of their own.

Used where a MicroPython port lacks ``cryptolib`` and for 192-bit keys, which
``cryptolib`` refuses. Tables are made once at the first key.
"""

from firmware.crypto import CryptoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 16

_sbox = bytearray(256)
_inverse = bytearray(256)
_by = {2: bytearray(256), 3: bytearray(256)}  # products in GF(2^8)


def _double(x: int) -> int:
    x <<= 1
    return x ^ 0x11B if x & 0x100 else x


def _make_tables() -> None:
    """S-box by FIPS 197, 5.1.1: inverse in GF(2^8), then the affine map."""
    p = q = 1
    while True:
        p ^= _double(p)  # p runs through the powers of 3, q through their inverses
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        x = q
        for turn in range(1, 5):
            x ^= (q << turn | q >> (8 - turn)) & 0xFF
        _sbox[p] = x ^ 0x63
        if p == 1:
            break
    _sbox[0] = 0x63
    for i in range(256):
        _inverse[_sbox[i]] = i
        _by[2][i] = _double(i)
        _by[3][i] = _double(i) ^ i


def _expand(key: "bytes | bytearray") -> "list[bytes]":
    """Key expansion (5.2): round keys of 16 bytes."""
    nk = len(key) // 4
    words = [bytes(key[4 * i : 4 * i + 4]) for i in range(nk)]
    rcon = 1
    for i in range(nk, 4 * (nk + 7)):
        t = words[i - 1]
        if i % nk == 0:
            t = bytes([_sbox[t[1]] ^ rcon, _sbox[t[2]], _sbox[t[3]], _sbox[t[0]]])
            rcon = _double(rcon)
        elif nk > 6 and i % nk == 4:
            t = bytes([_sbox[b] for b in t])
        words.append(bytes([a ^ b for a, b in zip(words[i - nk], t)]))
    return [b"".join(words[i : i + 4]) for i in range(0, len(words), 4)]


class Aes:
    """One key of 16, 24 or 32 bytes. ECB only."""

    block = BLOCK

    def __init__(self, key: "bytes | bytearray") -> None:
        if len(key) not in (16, 24, 32):
            raise CryptoError("an AES key has 16, 24 or 32 bytes, not " + str(len(key)))
        if not _sbox[0]:
            _make_tables()
        self._keys = _expand(key)

    def encrypt(self, data: "bytes | bytearray") -> bytes:
        """ECB over whole blocks. CryptoError for another length."""
        return self._ecb(data, self._encrypt_block)

    def decrypt(self, data: "bytes | bytearray") -> bytes:
        """Inverse of encrypt."""
        return self._ecb(data, self._decrypt_block)

    def _ecb(self, data: "bytes | bytearray", one: "Callable[[bytearray], bytearray]") -> bytes:
        if len(data) % BLOCK:
            raise CryptoError("not whole blocks of 16 bytes: " + str(len(data)))
        out = bytearray(len(data))
        for i in range(0, len(data), BLOCK):
            out[i : i + BLOCK] = one(bytearray(data[i : i + BLOCK]))
        return bytes(out)

    def _encrypt_block(self, state: bytearray) -> bytearray:
        keys = self._keys
        two = _by[2]
        three = _by[3]
        s = _add(state, keys[0])
        for r in range(1, len(keys)):
            # SubBytes and ShiftRows in one
            t = bytearray([_sbox[s[(5 * i) % 16]] for i in range(16)])
            if r < len(keys) - 1:
                for c in range(0, 16, 4):
                    a, b, d, e = t[c], t[c + 1], t[c + 2], t[c + 3]
                    t[c] = two[a] ^ three[b] ^ d ^ e
                    t[c + 1] = a ^ two[b] ^ three[d] ^ e
                    t[c + 2] = a ^ b ^ two[d] ^ three[e]
                    t[c + 3] = three[a] ^ b ^ d ^ two[e]
            s = _add(t, keys[r])
        return s

    def _decrypt_block(self, state: bytearray) -> bytearray:
        keys = self._keys
        two = _by[2]
        s = _add(state, keys[-1])
        for r in range(len(keys) - 2, -1, -1):
            # InvShiftRows and InvSubBytes in one: 13 is the inverse of 5 modulo 16
            t = bytearray([_inverse[s[(13 * i) % 16]] for i in range(16)])
            s = _add(t, keys[r])
            if r:
                for c in range(0, 16, 4):
                    a, b, d, e = s[c], s[c + 1], s[c + 2], s[c + 3]
                    # InvMixColumns = MixColumns after adding 4(a+d), 4(b+e) (FIPS 197, 5.3.3)
                    u = two[two[a ^ d]]
                    v = two[two[b ^ e]]
                    a ^= u
                    d ^= u
                    b ^= v
                    e ^= v
                    x = a ^ b ^ d ^ e
                    s[c] = a ^ x ^ two[a ^ b]
                    s[c + 1] = b ^ x ^ two[b ^ d]
                    s[c + 2] = d ^ x ^ two[d ^ e]
                    s[c + 3] = e ^ x ^ two[e ^ a]
        return s


def _add(state: bytearray, key: bytes) -> bytearray:
    return bytearray([a ^ b for a, b in zip(state, key)])
