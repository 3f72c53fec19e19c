"""Ed25519 verification (RFC 8032, 5.1.7).

CPython: ``cryptography``. Elsewhere the portable arithmetic below, which
handles public data only and so need not be constant in time.
"""

import sys

from firmware.crypto.hashes import sha512

_P = (1 << 255) - 19
_L = (1 << 252) + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_BASE_Y = 4 * pow(5, _P - 2, _P) % _P

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int, int]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) is that of ``message`` under ``public`` (32)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    if sys.implementation.name == "cpython":
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True
    return verify_portable(public, message, signature)


def verify_portable(public: bytes, message: bytes, signature: bytes) -> bool:
    """As ``verify``, with this module's own arithmetic."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a = _decode(public)
    s = int.from_bytes(signature[32:], "little")
    if a is None or s >= _L:
        return False
    base = _decode(_BASE_Y.to_bytes(32, "little"))
    if base is None:
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message), "little") % _L
    # R must be [s]B - [k]A exactly as encoded; comparing encodings also refuses
    # a non-canonical R (cofactorless equation, as OpenSSL does).
    minus = ((_P - a[0]) % _P, a[1], a[2], (_P - a[3]) % _P)
    return _encode(_add(_times(s, base), _times(k, minus))) == signature[:32]


def _add(p: "Point", q: "Point") -> "Point":
    """RFC 8032, 5.1.4, extended homogeneous coordinates."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(n: int, p: "Point") -> "Point":
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = _add(q, p)
        p = _add(p, p)
        n >>= 1
    return q


def _decode(data: bytes) -> "Point | None":
    """RFC 8032, 5.1.3; None for what is no point."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= _P:
        return None
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if (v * x * x - u) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
        if (v * x * x - u) % _P:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(p: "Point") -> bytes:
    z = pow(p[2], _P - 2, _P)
    x = p[0] * z % _P
    y = p[1] * z % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")
