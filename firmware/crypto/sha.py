"""SHA-1 and SHA-512 (FIPS 180-4) in plain Python, for ports whose hashlib lacks them."""

_M32 = 0xFFFFFFFF
_M64 = 0xFFFFFFFFFFFFFFFF


def _padded(data: "bytes | bytearray", block: int, length: int) -> bytes:
    """Message, bit 1, zeros, length in bits (5.1)."""
    zeros = (block - length - 1 - len(data)) % block
    return bytes(data) + b"\x80" + bytes(zeros) + (8 * len(data)).to_bytes(length, "big")


def sha1(data: "bytes | bytearray") -> bytes:
    """20 bytes (6.1)."""
    h = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    message = _padded(data, 64, 8)
    for start in range(0, len(message), 64):
        w = [int.from_bytes(message[i : i + 4], "big") for i in range(start, start + 64, 4)]
        for t in range(16, 80):
            x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]
            w.append((x << 1 | x >> 31) & _M32)
        a, b, c, d, e = h
        for t in range(80):
            if t < 20:
                f, k = b & c | ~b & d, 0x5A827999
            elif t < 40:
                f, k = b ^ c ^ d, 0x6ED9EBA1
            elif t < 60:
                f, k = b & c | b & d | c & d, 0x8F1BBCDC
            else:
                f, k = b ^ c ^ d, 0xCA62C1D6
            x = ((a << 5 | a >> 27) + (f & _M32) + e + k + w[t]) & _M32
            a, b, c, d, e = x, a, (b << 30 | b >> 2) & _M32, c, d
        h = [(x + y) & _M32 for x, y in zip(h, (a, b, c, d, e))]
    return b"".join([x.to_bytes(4, "big") for x in h])


def _primes(count: int) -> "list[int]":
    found: "list[int]" = []
    n = 2
    while len(found) < count:
        if all([n % p for p in found]):
            found.append(n)
        n += 1
    return found


def _root_fraction(n: int, power: int) -> int:
    """First 64 bits of the fractional part of the ``power``-th root of ``n``."""
    target = n << (64 * power)
    low, high = 0, 1 << 70
    while high - low > 1:
        middle = (low + high) >> 1
        if middle**power <= target:
            low = middle
        else:
            high = middle
    return low & _M64


_k512: "list[int]" = []
_h512: "list[int]" = []


def sha512(data: "bytes | bytearray") -> bytes:
    """64 bytes (6.4). The constants are made from the primes at first use (4.2.3, 5.3.5)."""
    if not _k512:
        primes = _primes(80)
        _h512.extend([_root_fraction(p, 2) for p in primes[:8]])
        _k512.extend([_root_fraction(p, 3) for p in primes])
    h = list(_h512)
    message = _padded(data, 128, 16)
    for start in range(0, len(message), 128):
        w = [int.from_bytes(message[i : i + 8], "big") for i in range(start, start + 128, 8)]
        for t in range(16, 80):
            x = w[t - 15]
            y = w[t - 2]
            s0 = _turn(x, 1) ^ _turn(x, 8) ^ x >> 7
            s1 = _turn(y, 19) ^ _turn(y, 61) ^ y >> 6
            w.append((w[t - 16] + s0 + w[t - 7] + s1) & _M64)
        a, b, c, d, e, f, g, i = h
        for t in range(80):
            s1 = _turn(e, 14) ^ _turn(e, 18) ^ _turn(e, 41)
            t1 = i + s1 + (e & f ^ ~e & _M64 & g) + _k512[t] + w[t]
            s0 = _turn(a, 28) ^ _turn(a, 34) ^ _turn(a, 39)
            t2 = s0 + (a & b ^ a & c ^ b & c)
            i, g, f, e, d, c, b, a = g, f, e, (d + t1) & _M64, c, b, a, (t1 + t2) & _M64
        h = [(x + y) & _M64 for x, y in zip(h, (a, b, c, d, e, f, g, i))]
    return b"".join([x.to_bytes(8, "big") for x in h])


def _turn(x: int, n: int) -> int:
    return (x >> n | x << (64 - n)) & _M64
