"""Make the published test keys of the deck: ``python -m host_tools.emulator.make_deck_keys FILE``.

The result is checked in (deck/keys.json) so that cards come up fast and
recordings stay the same; running this again makes *other* keys, and every
recording with a certificate in it changes.
"""

import json
import secrets
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

RID = "A000000333"

# name: (modulus bits, public exponent). Both exponents of EMV 4.4 Book 2 and
# both cases of a key that fits its certificate and one that leaves a remainder.
CERTIFICATION_AUTHORITIES = {"F1": (1408, 3), "F2": (1984, 65537)}
ISSUERS = {"issuer-f1": (1152, 3, "F1"), "issuer-f2": (1408, 65537, "F2")}
CARDS = {
    "icc-1": (1024, 3),
    "icc-2": (1024, 65537),
    "icc-3": (1152, 3),
    "pin-1": (1024, 3),
    "pin-2": (1024, 65537),
}
MASTER_KEYS = ("ac", "smi", "smc")


def rsa_key(bits: int, exponent: int) -> dict[str, Any]:
    """A fresh RSA key as hex numbers: n, e, d and the two primes."""
    key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    numbers = key.private_numbers()
    return {
        "bits": bits,
        "n": f"{numbers.public_numbers.n:X}",
        "e": f"{exponent:X}",
        "d": f"{numbers.d:X}",
        "p": f"{numbers.p:X}",
        "q": f"{numbers.q:X}",
    }


def tdes_key() -> str:
    """A double-length DES key with odd parity, as hex."""
    while True:
        raw = secrets.token_bytes(16)
        key = bytes((byte & 0xFE) | (1 - (byte >> 1).bit_count() % 2) for byte in raw)
        if key[:8] != key[8:]:
            return key.hex().upper()


def make() -> dict[str, Any]:
    """All keys of the deck."""
    return {
        "note": "Published test keys of the virtual cards. Never use them for a real card.",
        "rid": RID,
        "ca": {
            index: {**rsa_key(bits, exponent), "expiry": "20381231"}
            for index, (bits, exponent) in CERTIFICATION_AUTHORITIES.items()
        },
        "issuer": {
            name: {**rsa_key(bits, exponent), "ca": ca}
            for name, (bits, exponent, ca) in ISSUERS.items()
        },
        "icc": {name: rsa_key(bits, exponent) for name, (bits, exponent) in CARDS.items()},
        "imk": {"upi-test": {name: tdes_key() for name in MASTER_KEYS}},
    }


def main() -> int:
    """Write the keys to the file named on the command line."""
    if len(sys.argv) != 2:
        print("usage: python -m host_tools.emulator.make_deck_keys FILE", file=sys.stderr)
        return 2
    Path(sys.argv[1]).write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
