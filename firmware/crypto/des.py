"""DES and Triple DES (FIPS 46-3; ISO/IEC 18033-3), table-driven and portable.

The rounds work on halves rotated left by one bit, so that each 6-bit group of
the expansion E is a plain shift; S-boxes and permutation P are merged into
eight tables, made once at the first key.
"""

from array import array

from firmware.crypto import CryptoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 8

#: FIPS 46-3, Appendix 1: S1 to S8, four rows of sixteen hexadecimal digits each.
_S_BOXES = (
    "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
    "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
    "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
    "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
    "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
    "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
    "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
    "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
)
_P = (
    b"\x10\x07\x14\x15\x1d\x0c\x1c\x11\x01\x0f\x17\x1a\x05\x12\x1f\x0a"
    b"\x02\x08\x18\x0e\x20\x1b\x03\x09\x13\x0d\x1e\x06\x16\x0b\x04\x19"
)
_PC1 = (
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3,
    60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45,
    37, 29, 21, 13, 5, 28, 20, 12, 4,
)  # fmt: skip
_PC2 = (
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
)  # fmt: skip
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)

_tables: "list[array[int]]" = []


def _make_tables() -> None:
    """S-box output through P, rotated left by one, for each raw 6-bit input."""
    for box in range(8):
        bits = []  # where P puts this box's four output bits, most significant first
        for k in range(4):
            shift = 31 - _P.find(bytes([4 * box + k + 1]))  # no bytes.index(int) in MicroPython
            bits.append(1 << ((shift + 1) % 32))
        table = array("I", [0] * 64)
        for i in range(64):
            row = (i >> 4) & 2 | i & 1
            value = int(_S_BOXES[box][row * 16 + ((i >> 1) & 15)], 16)
            for k in range(4):
                if value & (8 >> k):
                    table[i] |= bits[k]
        _tables.append(table)


def _schedule(key: "bytes | bytearray") -> "list[int]":
    """Sixteen round keys of two words: S-boxes 1, 3, 5, 7 and 2, 4, 6, 8."""
    value = int.from_bytes(key, "big")
    bits = [(value >> (64 - p)) & 1 for p in _PC1]
    c, d = bits[:28], bits[28:]
    words: "list[int]" = []
    for shift in _SHIFTS:
        c = c[shift:] + c[:shift]
        d = d[shift:] + d[:shift]
        cd = c + d
        even = odd = 0
        for box in range(8):
            six = 0
            for p in _PC2[6 * box : 6 * box + 6]:
                six = six << 1 | cd[p - 1]
            if box & 1:
                odd = odd << 8 | six
            else:
                even = even << 8 | six
        words.append(even)
        words.append(odd)
    return words


def _reverse(words: "list[int]") -> "list[int]":
    out: "list[int]" = []
    for i in range(30, -1, -2):
        out.append(words[i])
        out.append(words[i + 1])
    return out


class Des:
    """One key of 8 (DES), 16 or 24 bytes (two- or three-key TDES). ECB only.

    Parity bits are ignored. The schedule lives as long as the object.
    """

    block = BLOCK

    def __init__(self, key: "bytes | bytearray") -> None:
        if len(key) not in (8, 16, 24):
            raise CryptoError("a DES key has 8, 16 or 24 bytes, not " + str(len(key)))
        if not _tables:
            _make_tables()
        parts = [_schedule(key[i : i + 8]) for i in range(0, len(key), 8)]
        if len(parts) == 1:
            self._encrypt = [parts[0]]
        else:
            self._encrypt = [parts[0], _reverse(parts[1]), parts[-1 if len(parts) == 3 else 0]]
        self._decrypt = [_reverse(words) for words in reversed(self._encrypt)]

    def encrypt(self, data: "bytes | bytearray") -> bytes:
        """ECB over whole blocks. CryptoError for another length."""
        return _ecb(self._encrypt, data)

    def decrypt(self, data: "bytes | bytearray") -> bytes:
        """Inverse of encrypt."""
        return _ecb(self._decrypt, data)


def _ecb(passes: "Sequence[list[int]]", data: "bytes | bytearray") -> bytes:
    if len(data) % BLOCK:
        raise CryptoError("not whole blocks of 8 bytes: " + str(len(data)))
    out = bytearray(len(data))
    for i in range(0, len(data), BLOCK):
        left = int.from_bytes(data[i : i + 4], "big")
        right = int.from_bytes(data[i + 4 : i + 8], "big")
        left, right = _block(passes, left, right)
        out[i : i + 4] = left.to_bytes(4, "big")
        out[i + 4 : i + 8] = right.to_bytes(4, "big")
    return bytes(out)


def _block(passes: "Sequence[list[int]]", left: int, right: int) -> "tuple[int, int]":
    """IP, then sixteen rounds a pass with the halves swapped between, then IP^-1."""
    s1, s2, s3, s4, s5, s6, s7, s8 = _tables
    w = ((left >> 4) ^ right) & 0x0F0F0F0F
    right ^= w
    left ^= w << 4
    w = ((left >> 16) ^ right) & 0xFFFF
    right ^= w
    left ^= w << 16
    w = ((right >> 2) ^ left) & 0x33333333
    left ^= w
    right ^= w << 2
    w = ((right >> 8) ^ left) & 0x00FF00FF
    left ^= w
    right ^= w << 8
    right = (right << 1 | right >> 31) & 0xFFFFFFFF
    w = (left ^ right) & 0xAAAAAAAA
    left ^= w
    right ^= w
    left = (left << 1 | left >> 31) & 0xFFFFFFFF
    for keys in passes:
        for i in range(0, 32, 4):
            w = (right << 28 | right >> 4) ^ keys[i]
            v = right ^ keys[i + 1]
            left ^= (
                s7[w & 63] | s5[w >> 8 & 63] | s3[w >> 16 & 63] | s1[w >> 24 & 63]
                | s8[v & 63] | s6[v >> 8 & 63] | s4[v >> 16 & 63] | s2[v >> 24 & 63]
            )  # fmt: skip
            w = (left << 28 | left >> 4) ^ keys[i + 2]
            v = left ^ keys[i + 3]
            right ^= (
                s7[w & 63] | s5[w >> 8 & 63] | s3[w >> 16 & 63] | s1[w >> 24 & 63]
                | s8[v & 63] | s6[v >> 8 & 63] | s4[v >> 16 & 63] | s2[v >> 24 & 63]
            )  # fmt: skip
        left, right = right, left
    right, left = left, right
    right = (right >> 1 | right << 31) & 0xFFFFFFFF
    w = (left ^ right) & 0xAAAAAAAA
    left ^= w
    right ^= w
    left = (left >> 1 | left << 31) & 0xFFFFFFFF
    w = ((left >> 8) ^ right) & 0x00FF00FF
    right ^= w
    left ^= w << 8
    w = ((left >> 2) ^ right) & 0x33333333
    right ^= w
    left ^= w << 2
    w = ((right >> 16) ^ left) & 0xFFFF
    left ^= w
    right ^= w << 16
    w = ((right >> 4) ^ left) & 0x0F0F0F0F
    left ^= w
    right ^= w << 4
    return right, left
