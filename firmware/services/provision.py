"""What a provisioning bundle says, as plain objects (docs/provisioning.md).

``parse`` is strict: every key known, of its type, length and range, every
CAPK with its hash. ProvisioningError names key and reason.
"""

import sys

from firmware.crypto import hashes
from firmware.errors import TillError
from firmware.payment.journal import records
from firmware.payment.money import Currency, MoneyError
from firmware.services.fields import FieldError, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
DIALECTS = ("unionpay",)
SIGN_IN_CODES = ("001", "003", "004")
MAC_ALGORITHMS = ("cup-ecb", "x9.19", "x9.9", "aes-cmac")
#: Terminal types of EMV 4.4 Book 4, Annex A1.
TERMINAL_TYPES = b"\x11\x12\x13\x14\x15\x16\x21\x22\x23\x24\x25\x26\x34\x35\x36"
_PEM = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
_MOST_ITERATIONS = 1000000


class ProvisioningError(TillError):
    """A provisioning file is malformed, wrongly signed, or not for this terminal."""

    text_key = "error.provisioning"


class Merchant:
    """Key 5. ``country``: ISO 3166 numeric; ``currency``: ISO 4217 numeric."""

    def __init__(self, f: Fields) -> None:
        self.merchant_id = f.ans(1, "merchant id", 15)
        self.name = f.text(2, "name", 1, 40)
        self.terminal_id = f.ans(3, "terminal id", 8)
        self.category = f.digits(4, "merchant category code", 4)
        self.country = f.number(5, "country", 1, 999)
        self.currency = f.number(6, "currency", 1, 999)
        self.exponent = f.number(7, "currency exponent", 0, 3)
        self.name_zh = f.text(8, "Chinese name", 0, 40)
        self.address = f.text(9, "address", 0, 80)
        f.end()
        try:
            known = Currency.by_number(self.currency)
        except MoneyError:
            raise f.wrong(6, "currency", "not one that this terminal knows") from None
        if known.exponent != self.exponent:
            raise f.wrong(7, "currency exponent", "not that of the currency")

    def ids_of(self, request: "dict[int, Any]") -> "tuple[str, str]":
        """Fields 41 and 42 of a journalled request, which an earlier bundle may have
        given; ours for one of before they were journalled."""
        return (
            request.get(records.K_TERMINAL_ID, self.terminal_id),
            request.get(records.K_MERCHANT_ID, self.merchant_id),
        )


class Host:
    """Key 6. ``trust``: CA certificates, DER. ``key_scheme``: sign-in code 60.3."""

    def __init__(self, f: Fields) -> None:
        self.host = f.name(1, "host", 253)
        self.port = f.number(2, "port", 1, 65535)
        self.server_name = f.name(3, "server name", 253)
        self.trust = f.certificates(4, "trust anchors")
        self.tpdu = f.octets(5, "TPDU", 5, 5)
        self.header = f.octets(6, "header", 6, 6)
        self.timeout_ms = f.number(7, "answer time-out", 1000, 120000)
        self.dialect = f.choice(8, "dialect", DIALECTS)
        self.key_scheme = f.choice(9, "sign-in code", SIGN_IN_CODES)
        self.mac_algorithm = f.choice(10, "MAC algorithm", MAC_ALGORITHMS)
        self.pin_format = f.number(11, "PIN block format", 0, 4)
        f.end()
        if self.pin_format not in (0, 4):
            raise f.wrong(11, "PIN block format", "neither 0 nor 4")


class Client:
    """Key 7. ``chain``: our certificate first, DER; ``key``: encrypted PKCS#8 PEM."""

    def __init__(self, f: Fields) -> None:
        self.chain = f.certificates(1, "certificate chain")
        self.key = f.octets(2, "private key", 64, 8192)
        self.sealed_passphrase = f.octets(3, "sealed passphrase", 33, 288)
        f.end()
        # MicroPython ports that cannot decrypt PKCS#8 get plain DER (hal.network).
        plain = self.key[:1] == b"\x30" and sys.implementation.name == "micropython"
        if not plain and self.key[: len(_PEM)] != _PEM:
            raise f.wrong(2, "private key", "not an encrypted PKCS#8 PEM")


class Aid:
    """An entry of key 9. Amounts in minor units."""

    def __init__(self, f: Fields) -> None:
        self.aid = f.octets(1, "AID", 5, 16)
        self.partial = f.flag(2, "partial match")
        self.tac_default = f.octets(3, "TAC default", 5, 5)
        self.tac_online = f.octets(4, "TAC online", 5, 5)
        self.tac_denial = f.octets(5, "TAC denial", 5, 5)
        self.floor_limit = f.number(6, "floor limit", 0, 0xFFFFFFFF)
        self.threshold = f.number(7, "threshold", 0, 0xFFFFFFFF)
        self.target_percentage = f.number(8, "target percentage", 0, 99)
        self.max_target_percentage = f.number(9, "maximum target percentage", 0, 99)
        self.default_ddol = f.octets(10, "default DDOL", 0, 252)
        self.default_tdol = f.octets(11, "default TDOL", 0, 252)
        self.version = f.octets(12, "application version", 2, 2)
        self.name = f.text(13, "scheme name", 0, 40)
        f.end()
        if self.target_percentage > self.max_target_percentage:
            raise f.wrong(8, "target percentage", "more than the maximum")


class Capk:
    """An entry of key 10: a certification authority public key (EMV 4.4 Book 2, 11.2).
    ``expiry``: YYYYMMDD, the last day."""

    def __init__(self, f: Fields) -> None:
        self.rid = f.octets(1, "RID", 5, 5)
        self.index = f.number(2, "index", 0, 255)
        self.modulus = f.octets(3, "modulus", 40, 248)
        self.exponent = f.octets(4, "exponent", 1, 3)
        self.expiry = f.date(5, "expiry")
        self.sha1 = f.octets(6, "SHA-1", 20, 20)
        f.end()
        if self.modulus[0] == 0 or not self.modulus[-1] & 1:
            raise f.wrong(3, "modulus", "no RSA modulus")
        if self.exponent not in (b"\x03", b"\x01\x00\x01"):
            raise f.wrong(4, "exponent", "neither 3 nor 65537")
        hashed = hashes.sha1(self.rid + bytes([self.index]) + self.modulus + self.exponent)
        if hashed != self.sha1:
            raise f.wrong(6, "SHA-1", "not that of RID, index, modulus and exponent")


class TerminalData:
    """Key 12. ``utc_offset`` in minutes; ``largest_amount`` in minor units."""

    def __init__(self, f: Fields) -> None:
        self.terminal_type = f.number(1, "terminal type", 0, 255)
        self.capabilities = f.octets(2, "capabilities", 3, 3)
        self.additional_capabilities = f.octets(3, "additional capabilities", 5, 5)
        self.supervisor_password = f.octets(4, "supervisor password", 52, 52)
        self.languages = f.languages(5, "languages")
        self.utc_offset = f.number(6, "UTC offset", -720, 840)
        self.largest_amount = f.number(7, "largest amount", 1, 999999999999)
        self.pin_bypass = f.flag(8, "PIN bypass")
        f.end()
        if self.terminal_type not in TERMINAL_TYPES:
            raise f.wrong(1, "terminal type", "not one of EMV Book 4, A1")
        iterations = int.from_bytes(self.supervisor_password[:4], "big")
        if not 1 <= iterations <= _MOST_ITERATIONS:
            raise f.wrong(4, "supervisor password", "iterations outside 1 to 1000000")


class Provision:
    """A whole bundle. ``test``: published test keys; say so everywhere."""

    def __init__(self, f: Fields) -> None:
        f.number(1, "version", VERSION, VERSION)
        self.test = f.flag(2, "test")
        self.serial = f.ans(3, "device serial", 0, 1, 20)
        self.issued = f.number(4, "issued", 0, 1 << 40)
        self.merchant = Merchant(f.table(5, "merchant"))
        self.host = Host(f.table(6, "host"))
        self.client = Client(f.table(7, "client"))
        self.tmk_block = f.ans(8, "TMK", 0, 64, 2048)
        self.aids = [Aid(part) for part in f.tables(9, "AIDs", 1, 100)]
        self.capks = [Capk(part) for part in f.tables(10, "CAPKs", 0, 200)]
        self.revoked = f.revoked(11, "revoked certificates")
        self.terminal = TerminalData(f.table(12, "terminal"))
        f.end()
        _unique(f, 9, "AIDs", [aid.aid for aid in self.aids])
        _unique(f, 10, "CAPKs", [key.rid + bytes([key.index]) for key in self.capks])


def _unique(f: Fields, key: int, what: str, values: "list[bytes]") -> None:
    if len(set(values)) != len(values):
        raise f.wrong(key, what, "two entries for the same one")


def parse(payload: object) -> Provision:
    """The bundle's decoded payload. ProvisioningError."""
    try:
        return Provision(Fields(payload, "bundle"))
    except FieldError as error:
        raise ProvisioningError(error.detail) from None
