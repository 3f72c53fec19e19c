"""What the terminal and the transaction bring to the kernel.

Nothing here is a literal of a merchant or scheme: it all comes from the
provisioning bundle (docs/provisioning.md, keys 5, 9 to 12) and the flow.
"""

from firmware.crypto.hashes import sha1
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ConfigError(TillError):
    """Configuration that cannot be used; names the value."""

    text_key = "error.provisioning"


def _exact(name: str, value: bytes, *lengths: int) -> bytes:
    if len(value) not in lengths:
        raise ConfigError(name + " has " + str(len(value)) + " bytes")
    return bytes(value)


def _number(name: str, digits: str) -> int:
    if not digits.isdigit():
        raise ConfigError(name + " is no number: " + digits)
    return int(digits)


def bcd(value: int, size: int) -> bytes:
    """``value`` as format n in ``size`` bytes. ConfigError when it does not fit."""
    digits = str(value)
    if value < 0 or len(digits) > 2 * size:
        raise ConfigError(digits + " does not fit " + str(2 * size) + " digits")
    return bytes.fromhex("0" * (2 * size - len(digits)) + digits)


class AidConfig:
    """One application the terminal takes (bundle key 9). Amounts in minor units."""

    def __init__(
        self,
        aid: bytes,
        partial: bool = True,
        tac_default: bytes = b"\x00\x00\x00\x00\x00",
        tac_online: bytes = b"\x00\x00\x00\x00\x00",
        tac_denial: bytes = b"\x00\x00\x00\x00\x00",
        floor_limit: int = 0,
        threshold: int = 0,
        target_percent: int = 0,
        max_target_percent: int = 0,
        default_ddol: bytes = b"",
        default_tdol: bytes = b"",
        version: bytes = b"\x00\x00",
        name: str = "",
    ) -> None:
        if not 5 <= len(aid) <= 16:
            raise ConfigError("an AID has 5 to 16 bytes: " + aid.hex())
        if not 0 <= target_percent <= max_target_percent <= 99:
            raise ConfigError("random selection needs 0 <= target <= maximum <= 99")
        if floor_limit < 0 or threshold < 0:
            raise ConfigError("a limit is negative for AID " + aid.hex())
        self.aid = bytes(aid)
        self.partial = partial
        self.tac_default = _exact("TAC default", tac_default, 5)
        self.tac_online = _exact("TAC online", tac_online, 5)
        self.tac_denial = _exact("TAC denial", tac_denial, 5)
        self.floor_limit = floor_limit
        self.threshold = threshold
        self.target_percent = target_percent
        self.max_target_percent = max_target_percent
        self.default_ddol = bytes(default_ddol)
        self.default_tdol = bytes(default_tdol)
        self.version = _exact("application version", version, 2)
        self.name = name


def capk_hash(rid: bytes, index: int, modulus: bytes, exponent: bytes) -> bytes:
    """SHA-1 of RID, index, modulus, exponent (EMV 4.4 Book 2, 11.2.2)."""
    return sha1(rid + bytes((index,)) + modulus + exponent)


class Capk:
    """A certification authority public key, its check hash verified here.

    ``expiry``: "YYYYMMDD", the last day, or "" for none. ConfigError when the
    hash is wrong or a length cannot be.
    """

    def __init__(
        self,
        rid: bytes,
        index: int,
        modulus: bytes,
        exponent: bytes,
        sha1: "bytes | None" = None,
        expiry: str = "",
    ) -> None:
        label = "CAPK " + bytes(rid).hex().upper() + f" {index:02X}"
        _exact(label + " RID", rid, 5)
        if not 0 <= index <= 255 or not 40 <= len(modulus) <= 248 or not 1 <= len(exponent) <= 3:
            raise ConfigError(label + " has a wrong length")
        if modulus[0] == 0 or not modulus[-1] & 1:
            raise ConfigError(label + " is no RSA modulus")
        if int.from_bytes(exponent, "big") not in (3, 65537):
            raise ConfigError(label + " has an exponent other than 3 and 65537")
        if sha1 is not None and sha1 != capk_hash(rid, index, modulus, exponent):
            raise ConfigError(label + " does not have its hash")
        if expiry and (len(expiry) != 8 or not expiry.isdigit()):
            raise ConfigError(label + " has no YYYYMMDD expiry: " + expiry)
        self.rid = bytes(rid)
        self.index = index
        self.modulus = bytes(modulus)
        self.exponent = int.from_bytes(exponent, "big")
        self.expiry = expiry
        self.number = int.from_bytes(modulus, "big")


class TerminalConfig:
    """The terminal: capabilities, applications, keys (bundle keys 5, 9 to 12).

    ``country``: ISO 3166 numeric; ``revoked``: (RID, CAPK index, certificate
    serial); ``online_only``: never approve without the issuer, whatever the
    terminal type says (rules of money, 9). ``extra`` holds further terminal
    data objects by tag; it cannot replace those that the kernel computes.
    """

    def __init__(
        self,
        aids: "list[AidConfig]",
        capks: "list[Capk] | None" = None,
        revoked: "list[tuple[bytes, int, bytes]] | None" = None,
        terminal_type: int = 0x22,
        capabilities: bytes = b"\xe0\xf8\xc8",
        additional: bytes = b"\x60\x00\xf0\xa0\x01",
        country: int = 156,
        ifd_serial: str = "00000000",
        terminal_id: str = "",
        merchant_id: str = "",
        merchant_category: str = "0000",
        merchant_name: str = "",
        acquirer_id: str = "",
        pin_bypass: bool = False,
        online_only: bool = False,
        extra: "dict[int, bytes] | None" = None,
    ) -> None:
        self.aids = list(aids)
        self.capks: "dict[tuple[bytes, int], Capk]" = {}
        for key in capks or []:
            self.capks[(key.rid, key.index)] = key
        self.revoked: "set[tuple[bytes, int, bytes]]" = set(revoked or [])
        if terminal_type not in TERMINAL_TYPES:
            raise ConfigError(f"no terminal type {terminal_type:02X} (Book 4, Annex A1)")
        self.terminal_type = terminal_type
        self.capabilities = _exact("terminal capabilities", capabilities, 3)
        self.additional = _exact("additional terminal capabilities", additional, 5)
        self.country = country
        self.pin_bypass = pin_bypass
        self.online_only = online_only or terminal_type & 0x0F in (1, 4)
        self.offline_only = terminal_type & 0x0F in (3, 6)
        self.unattended = terminal_type & 0x0F in (4, 5, 6)
        self.atm = terminal_type in (0x14, 0x15, 0x16) and bool(
            additional[0] & 0x80
        )  # unattended, financial institution, cash (Book 4, Annex A1)
        self.objects: "dict[int, bytes]" = {
            0x9F1A: bcd(country, 2),
            0x9F33: self.capabilities,
            0x9F35: bytes((terminal_type,)),
            0x9F40: self.additional,
            0x9F1E: _padded(ifd_serial, 8),
            0x9F15: bcd(_number("merchant category", merchant_category or "0"), 2),
            0x9F39: b"\x05",
        }
        if terminal_id:
            self.objects[0x9F1C] = _padded(terminal_id, 8)
        if merchant_id:
            self.objects[0x9F16] = _padded(merchant_id, 15)
        if merchant_name:
            self.objects[0x9F4E] = merchant_name.encode()
        if acquirer_id:
            self.objects[0x9F01] = bcd(_number("acquirer id", acquirer_id), 6)
        self.extra = dict(extra or {})


TERMINAL_TYPES = (
    (0x11, 0x12, 0x13, 0x14, 0x15, 0x16) + (0x21, 0x22, 0x23, 0x24, 0x25, 0x26) + (0x34, 0x35, 0x36)
)


def _padded(text: str, size: int) -> bytes:
    raw = text.encode()
    if len(raw) > size:
        raise ConfigError(text + " is longer than " + str(size) + " characters")
    return raw + b" " * (size - len(raw))


class Transaction:
    """One payment. Amounts are minor units of ``currency`` (ISO 4217 numeric).

    ``date``: 9A, YYMMDD and ``time``: 9F21, HHMMSS, 3 BCD bytes each, fixed
    once (rules of money, 20). ``kind``: 9C as an int (0x00 goods and services,
    0x01 cash, 0x09 with cashback, 0x20 refund). ``earlier_amount(pan, csn)``
    gives what the same card already paid in the log, for the floor limit
    (Book 3, 10.6.1); ``stopped(pan, csn)`` asks the exception file. Both get
    the PAN's digits and may be None.
    """

    def __init__(
        self,
        amount: int,
        currency: int = 156,
        exponent: int = 2,
        other_amount: int = 0,
        kind: int = 0,
        date: bytes = b"\x00\x01\x01",
        time: bytes = b"\x00\x00\x00",
        sequence: int = 1,
        force_online: bool = False,
        earlier_amount: "Callable[[str, int], int] | None" = None,
        stopped: "Callable[[str, int], bool] | None" = None,
    ) -> None:
        if other_amount > amount:
            raise ConfigError("the other amount is part of the amount")
        self.amount = amount
        self.other_amount = other_amount
        self.currency = currency
        self.kind = kind
        self.date = _exact("date", date, 3)
        self.force_online = force_online
        self.earlier_amount = earlier_amount
        self.stopped = stopped
        self.objects: "dict[int, bytes]" = {
            0x9F02: bcd(amount, 6),
            0x9F03: bcd(other_amount, 6),
            0x5F2A: bcd(currency, 2),
            0x5F36: bcd(exponent, 1),
            0x9C: bytes((kind,)),
            0x9A: self.date,
            0x9F21: _exact("time", time, 3),
            0x9F41: bcd(sequence, 4),
        }
        if amount < 1 << 32:
            self.objects[0x81] = amount.to_bytes(4, "big")
            self.objects[0x9F04] = other_amount.to_bytes(4, "big")
