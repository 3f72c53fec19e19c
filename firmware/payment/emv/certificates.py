"""Recovery of issuer and ICC public keys and signed data (EMV 4.4 Book 2, 5 to 7).

Every function raises OdaError at the first check that fails, in the order of
the Books; the error carries the clause.
"""

from firmware.crypto.hashes import sha1
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.config import Capk


class OdaError(TillError):
    """A check failed. ``clause`` is which; ``missing``: data the card must have."""

    text_key = "error.card_data"

    def __init__(self, clause: str, reason: str, missing: bool = False) -> None:
        super().__init__(reason)
        self.clause = clause
        self.reason = reason
        self.missing = missing


class PublicKey:
    """An RSA public key recovered from a certificate, and what else it said."""

    def __init__(self, modulus: bytes, exponent: int, fields: "dict[str, str]") -> None:
        self.modulus = modulus
        self.exponent = exponent
        self.number = int.from_bytes(modulus, "big")
        self.fields = fields


def recover(signature: bytes, number: int, exponent: int, size: int) -> bytes:
    """RSA recovery (Book 2, Annex B2.1)."""
    return pow(int.from_bytes(signature, "big"), exponent, number).to_bytes(size, "big")


def _opened(
    signed: bytes, key: "Capk | PublicKey", kind: int, clause: str, what: str, extra: "bytes | None"
) -> bytes:
    """Length, trailer, header, format and hash: steps common to all signed data.

    ``extra`` None leaves the hash unchecked, for tools that lack its input.
    """
    size = len(key.modulus)
    if len(signed) != size:
        raise OdaError(clause + " 1", what + " has not the length of the key that signed it")
    plain = recover(signed, key.number, key.exponent, size)
    if plain[size - 1] != 0xBC:
        raise OdaError(clause + " 2", what + " does not end in BC")
    if plain[0] != 0x6A:
        raise OdaError(clause + " 3", what + " does not begin with 6A")
    if plain[1] != kind:
        raise OdaError(clause + " 4", what + f" has format {plain[1]:02X}")
    at = {2: 11, 3: 2, 4: 17, 5: 2}[kind]
    if plain[at] != 1:
        # Named before the hash is computed: no other algorithm could be.
        raise OdaError(clause + " 6", what + f" has hash algorithm {plain[at]:02X}")
    if extra is not None and sha1(plain[1 : size - 21] + extra) != plain[size - 21 : size - 1]:
        raise OdaError(clause + " 7", what + " does not have its hash")
    return plain


def month_passed(expiry: bytes, today: str) -> bool:
    """Whether MMYY (last day of the month) lies before ``today`` (YYYYMMDD)."""
    text = expiry.hex()
    if not text.isdigit() or not 1 <= int(text[:2]) <= 12:
        return True
    year = ("20" if text[2:] < "50" else "19") + text[2:]
    return year + text[:2] < today[:6]


def _key_in(
    plain: bytes, at: int, size: int, remainder: bytes, exponent: bytes, clause: str, what: str
) -> "tuple[bytes, int]":
    """Modulus and exponent from the certificate's field at ``at`` and the rest.

    ``at``: offset of the key algorithm indicator; its length, the exponent's
    length and the leftmost part of the modulus follow.
    """
    if plain[at] != 1:
        raise OdaError(clause + " 11", what + f" has key algorithm {plain[at]:02X}")
    length, exponent_length = plain[at + 1], plain[at + 2]
    left = plain[at + 3 : size - 21]
    if length > size or length < 8:
        raise OdaError(clause + " 12", what + f" holds a key of {length} bytes")
    if length > len(left):
        if not remainder:
            raise OdaError(clause + " 12", what + " needs a remainder", True)
        if len(left) + len(remainder) != length:
            raise OdaError(clause + " 12", what + " has a remainder of the wrong length")
        modulus = left + remainder
    else:
        modulus = left[:length]
    if exponent_length != len(exponent):
        raise OdaError(clause + " 12", what + " has an exponent of another length")
    number = int.from_bytes(exponent, "big")
    if number not in (3, 65537):
        raise OdaError(clause + " 12", f"exponent {number} is neither 3 nor 65537")
    if modulus[0] == 0 or not modulus[-1] & 1:
        raise OdaError(clause + " 12", what + " holds no RSA modulus")
    return modulus, number


def issuer_key(
    capk: "Capk",
    certificate: bytes,
    remainder: bytes,
    exponent: bytes,
    pan: "str | None",
    today: str,
    revoked: "set[tuple[bytes, int, bytes]]",
) -> PublicKey:
    """The issuer's key (Book 2, 5.3 and 6.3).

    ``pan``: digits, None to pass the identifier check over; ``today``:
    YYYYMMDD, "" to pass the date checks over.
    """
    clause = "B2 6.3"
    if today and capk.expiry and capk.expiry < today:
        raise OdaError("house e", "the certification authority's key has expired")
    what = "issuer certificate"
    plain = _opened(certificate, capk, 2, clause, what, remainder + exponent)
    size = len(capk.modulus)
    identifier = plain[2:6].hex().rstrip("f")
    if pan is not None and (
        not 3 <= len(identifier) <= 8 or not identifier.isdigit() or not pan.startswith(identifier)
    ):
        raise OdaError(clause + " 8", "issuer certificate is for another issuer's PANs")
    if today and month_passed(plain[6:8], today):
        raise OdaError(clause + " 9", "issuer certificate has expired")
    serial = plain[8:11]
    if (capk.rid, capk.index, serial) in revoked:
        raise OdaError(clause + " 10", "issuer certificate is revoked")
    modulus, number = _key_in(plain, 12, size, remainder, exponent, clause, what)
    fields = {
        "issuer_identifier": identifier,
        "expiry": plain[6:8].hex(),
        "serial": serial.hex().upper(),
    }
    return PublicKey(modulus, number, fields)


def icc_key(
    issuer: PublicKey,
    certificate: bytes,
    remainder: bytes,
    exponent: bytes,
    static_data: "bytes | None",
    pan: "str | None",
    today: str,
    clause: str = "B2 6.4",
) -> PublicKey:
    """The card's key (Book 2, 6.4), or its PIN encipherment key (7.1: no static data).

    ``static_data`` None leaves the hash unchecked: a tool's question, never the
    kernel's.
    """
    what = "ICC certificate"
    extra = None if static_data is None else remainder + exponent + static_data
    plain = _opened(certificate, issuer, 4, clause, what, extra)
    size = len(issuer.modulus)
    number = plain[2:12].hex().rstrip("f")
    if pan is not None and number != pan:
        raise OdaError(clause + " 8", "ICC certificate is for another PAN")
    if today and month_passed(plain[12:14], today):
        raise OdaError(clause + " 9", "ICC certificate has expired")
    modulus, power = _key_in(plain, 18, size, remainder, exponent, clause, what)
    fields = {"pan": number, "expiry": plain[12:14].hex(), "serial": plain[14:17].hex().upper()}
    return PublicKey(modulus, power, fields)


def static_signature(issuer: PublicKey, signed: bytes, static_data: "bytes | None") -> bytes:
    """SDA: the Data Authentication Code (Book 2, 5.4). None: hash unchecked (tools)."""
    plain = _opened(signed, issuer, 3, "B2 5.4", "signed static data", static_data)
    return plain[3:5]


def dynamic_signature(icc: PublicKey, signed: bytes, dynamic_data: bytes, clause: str) -> bytes:
    """The ICC dynamic data in 9F4B (Book 2, 6.5.2 and 6.6.2)."""
    what = "signed dynamic data"
    plain = _opened(signed, icc, 5, clause, what, dynamic_data)
    length = plain[3]
    if length < 1 or 4 + length > len(plain) - 21:
        raise OdaError(clause + " 8", what + " has dynamic data of a wrong length")
    dynamic = plain[4 : 4 + length]
    if not 2 <= dynamic[0] <= 8 or dynamic[0] + 1 > length:
        raise OdaError(clause + " 9", what + " has no ICC dynamic number")
    return dynamic
