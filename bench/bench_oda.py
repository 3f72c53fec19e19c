"""Offline data authentication against the bare ``pow(s, e, n)`` of the same moduli.

Three recoveries stand in each figure: issuer certificate, ICC certificate,
dynamic signature; all moduli 1984 bits, once with e = 3, once with 65537.
"""

import hashlib
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa

from firmware.payment.emv import certificates
from firmware.payment.emv.config import Capk

SIZE = 248
PAN = "6210940000000012"
STATIC = bytes(range(200))
DYNAMIC = b"\x5a" * 4


def _key(exponent: int) -> tuple[int, int]:
    """(modulus, private exponent) of 1984 bits for this public exponent."""
    while True:
        numbers = rsa.generate_private_key(65537, SIZE * 8).private_numbers()
        phi = (numbers.p - 1) * (numbers.q - 1)
        if phi % exponent:
            return numbers.public_numbers.n, pow(exponent, -1, phi)


def _sign(body: bytes, extra: bytes, key: tuple[int, int]) -> bytes:
    middle = body + b"\xbb" * (SIZE - 22 - len(body))
    plain = b"\x6a" + middle + hashlib.sha1(middle + extra).digest() + b"\xbc"
    return pow(int.from_bytes(plain, "big"), key[1], key[0]).to_bytes(SIZE, "big")


class _Case:
    def __init__(self, exponent: int) -> None:
        authority, issuer, icc = _key(exponent), _key(exponent), _key(exponent)
        self.exponent = exponent
        power = exponent.to_bytes(1 if exponent == 3 else 3, "big")
        self.power = power
        self.capk = Capk(b"\xa0\x00\x00\x03\x33", 1, authority[0].to_bytes(SIZE, "big"), power)
        modulus = issuer[0].to_bytes(SIZE, "big")
        head = bytes.fromhex("026210ffff12490000010101") + bytes((SIZE, len(power)))
        self.issuer_rest = modulus[SIZE - 36 :]
        self.issuer_certificate = _sign(
            head + modulus[: SIZE - 36], self.issuer_rest + power, authority
        )
        modulus = icc[0].to_bytes(SIZE, "big")
        head = bytes.fromhex("046210940000000012ffff12490000020101") + bytes((SIZE, len(power)))
        self.icc_rest = modulus[SIZE - 42 :]
        self.icc_certificate = _sign(
            head + modulus[: SIZE - 42], self.icc_rest + power + STATIC, issuer
        )
        self.signature = _sign(b"\x05\x01\x09\x08" + bytes(8), DYNAMIC, icc)
        self.operands = [
            (int.from_bytes(signed, "big"), number)
            for signed, number in (
                (self.issuer_certificate, authority[0]),
                (self.icc_certificate, issuer[0]),
                (self.signature, icc[0]),
            )
        ]

    def ours(self) -> None:
        issuer = certificates.issuer_key(
            self.capk,
            self.issuer_certificate,
            self.issuer_rest,
            self.power,
            PAN,
            "20261121",
            set(),
        )
        icc = certificates.icc_key(
            issuer, self.icc_certificate, self.icc_rest, self.power, STATIC, PAN, "20261121"
        )
        certificates.dynamic_signature(icc, self.signature, DYNAMIC, "B2 6.5.2")

    def bare(self) -> None:
        for signed, number in self.operands:
            pow(signed, self.exponent, number)


def _best(function: Callable[[], None], turns: int) -> float:
    best = 1e9
    for _ in range(turns):
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best * 1e6


def rows() -> list[tuple[str, float, float, str, float, str]]:
    """(name, ours, pow, unit, ratio, aim), e = 3 and 65537."""
    found = []
    for exponent in (3, 65537):
        case = _Case(exponent)
        ours = bare = 1e9
        for _ in range(10):
            ours = min(ours, _best(case.ours, 30))
            bare = min(bare, _best(case.bare, 30))
        name = f"ODA, three recoveries of 1984 bits, e = {exponent} (+{ours - bare:.1f} us)"
        found.append((name, ours, bare, "us", ours / bare, "at most 60 us more"))
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)
