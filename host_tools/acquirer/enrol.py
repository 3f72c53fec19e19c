"""Enrolment: a terminal's entry in the bank's books, and its two files.

docs/provisioning.md describes ``bundle.cbor`` and ``factory.cbor``. They are
made with ``cryptography`` and psec; the terminal reads them with code of its
own, except for the project's one CBOR (whose judge in tests is cbor2).
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from psec import tr31
from sqlalchemy import func, select

from firmware import cbor
from host_tools.acquirer.issuer import DeckData
from host_tools.acquirer.keys import MAC_ALGORITHMS, SIGN_IN_CODES, new_key
from host_tools.acquirer.ledger import Ledger, Terminal
from host_tools.acquirer.pki import PROFILES, SERVER_NAME, Authority, der, key_der, key_pem
from host_tools.errors import UserError

TEST_KEYS = Path(__file__).resolve().parents[2] / "boards" / "test_keys.json"

_SIGNED = b"OpenTill bundle 1\0"
_SEAL_LABEL = b"OpenTill tls passphrase 1"

#: 9F35: attended, operated by the merchant; 21 online only, 22 offline with
#: online capability (EMV 4.4 Book 4, A1).
TERMINAL_TYPES = (0x21, 0x22)
#: 9F33: chip with contacts; plaintext and enciphered PIN to the card, online
#: PIN, signature, no CVM; SDA, DDA, CDA (EMV 4.4 Book 4, A2).
CAPABILITIES = bytes.fromhex("20F8C8")
#: 9F40: goods and services; digits, command and function keys; prints and
#: shows for attendant and cardholder; code tables 1 to 5, 7, 9, 10 (EMV 4.4 Book 4, A3).
ADDITIONAL_CAPABILITIES = bytes.fromhex("6000B0F35F")

PASSWORD_ITERATIONS = 10_000


@dataclass(frozen=True)
class TestKeys:
    """The published keys of boards/test_keys.json."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    transport_key: bytes
    provisioning_seed: bytes
    provisioning_public: bytes

    @classmethod
    def load(cls, path: Path = TEST_KEYS) -> "TestKeys":
        """Read the file. UserError."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                bytes.fromhex(table["transport_key"]),
                bytes.fromhex(table["provisioning_seed"]),
                bytes.fromhex(table["provisioning_public"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: no published test keys: {error!r}") from error


@dataclass(frozen=True)
class Wishes:
    """What an enrolment may choose. Amounts in minor units, times in ms.

    ``plain_key``: the client key as DER without a passphrase, for MicroPython
    ports, whose TLS cannot decipher PKCS#8.
    """

    serial: str
    host: str = "127.0.0.1"
    port: int = 8583
    server_name: str = SERVER_NAME
    terminal_id: str = ""
    merchant_id: str = "TESTMERCHANT001"
    merchant_name: str = "OpenTill Test Shop"
    merchant_name_zh: str = "开源测试商店"
    address: str = "1 Test Street"
    category: str = "5411"
    country: int = 156
    currency: int = 156
    exponent: int = 2
    languages: tuple[str, ...] = ("zh", "en")
    utc_offset: int = 480
    largest_amount: int = 10_000_000
    pin_bypass: bool = True
    supervisor_code: str = "123456"
    sign_in_code: str = "003"
    mac_algorithm: str = "cup-ecb"
    mac_length: int = 16
    answer_timeout_ms: int = 30_000
    profile: str = "ecdsa"
    terminal_type: int = 0x21
    plain_key: bool = False
    revoked: tuple[tuple[bytes, int, bytes], ...] = field(default=())

    def check(self) -> None:
        """UserError naming the first wish that cannot be met."""
        faults = (
            (not 1 <= len(self.serial) <= 20, "serial: 1 to 20 characters"),
            (not self.serial.isascii() or not self.serial.isprintable(), "serial: ASCII"),
            (len(self.terminal_id) not in (0, 8), "terminal id: 8 characters"),
            (not self.terminal_id.isascii(), "terminal id: ASCII"),
            (len(self.merchant_id) != 15, "merchant id: 15 characters"),
            (not self.merchant_id.isascii(), "merchant id: ASCII"),
            (not 1 <= self.port <= 65535, "port: 1 to 65535"),
            (not self.host, "host: a name or an address"),
            (len(self.category) != 4 or not self.category.isdecimal(), "category: 4 digits"),
            (not 1 <= self.country <= 999, "country: ISO 3166 number"),
            (not 1 <= self.currency <= 999, "currency: ISO 4217 number"),
            (not 0 <= self.exponent <= 3, "exponent: 0 to 3"),
            (not self.languages, "languages: one or more"),
            (not -720 <= self.utc_offset <= 840, "UTC offset: -720 to 840 minutes"),
            (not 1 <= self.largest_amount < 10**12, "largest amount: 1 to 12 digits"),
            (
                not (4 <= len(self.supervisor_code) <= 12 and self.supervisor_code.isdecimal()),
                "supervisor code: 4 to 12 digits",
            ),
            (self.sign_in_code not in SIGN_IN_CODES, "sign-in code: 001, 003 or 004"),
            (
                self.mac_algorithm not in MAC_ALGORITHMS,
                "MAC algorithm: cup-ecb, x9.19 or x9.9 (this dialect signs in with DES keys)",
            ),
            (self.terminal_type not in TERMINAL_TYPES, "terminal type: 21 or 22"),
            (self.profile not in PROFILES, "profile: ecdsa or rsa"),
            (self.mac_length not in (8, 16), "MAC key length: 8 or 16"),
            (not 1000 <= self.answer_timeout_ms <= 120_000, "answer time-out: 1000 to 120000 ms"),
        )
        for wrong, text in faults:
            if wrong:
                raise UserError(text)


@dataclass(frozen=True)
class Enrolment:
    """The two files for the terminal's data folder, and where it stands in the books."""

    bundle: bytes
    factory: bytes
    terminal_id: str
    merchant_id: str


def seal(master: bytes, plain: bytes, nonce: bytes) -> bytes:
    """Nonce, AES-256-CTR ciphertext, HMAC-SHA-256 tag cut to 16 (docs/provisioning.md)."""

    def derived(purpose: bytes) -> bytes:
        return hmac.digest(master, b"\x01" + _SEAL_LABEL + b"\0" + purpose, "sha256")

    cipher = Cipher(algorithms.AES(derived(b"encrypt")), modes.CTR(nonce)).encryptor()
    body = nonce + cipher.update(plain) + cipher.finalize()
    return body + hmac.digest(derived(b"authenticate"), body, "sha256")[:16]


def password_record(code: str, salt: bytes, iterations: int = PASSWORD_ITERATIONS) -> bytes:
    """4-byte iterations, salt, PBKDF2-HMAC-SHA-256 (``hal.vault.check_password``)."""
    digest = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, iterations, 32)
    return iterations.to_bytes(4, "big") + salt + digest


def wrap_tmk(transport_key: bytes, tmk: bytes) -> str:
    """TR-31 version D block: usage K0, TDES, decipher only, not exportable."""
    return tr31.wrap(transport_key, tr31.Header("D", "K0", "T", "D", "00", "N"), tmk)


def _aids(deck: DeckData) -> list[dict[int, Any]]:
    return [
        {
            1: aid["aid"],
            2: aid["partial"],
            3: aid["tac_default"],
            4: aid["tac_online"],
            5: aid["tac_denial"],
            6: aid["floor_limit"],
            7: aid["threshold"],
            8: aid["target_percentage"],
            9: aid["max_target_percentage"],
            10: aid["ddol"],
            11: aid["tdol"],
            12: aid["version"],
            13: aid["name"],
        }
        for aid in deck.aids()
    ]


def _capks(deck: DeckData) -> list[dict[int, Any]]:
    return [
        {
            1: key["rid"],
            2: key["index"],
            3: key["modulus"],
            4: key["exponent"],
            5: key["expiry"],
            6: key["sha1"],
        }
        for key in deck.capks()
    ]


def _register(ledger: Ledger, wishes: Wishes, tmk: bytes) -> str:
    """The terminal's entry, new or renewed; returns its terminal id."""
    with ledger.session() as session:
        row = session.scalar(select(Terminal).where(Terminal.serial == wishes.serial))
        if row is None:
            terminal_id = wishes.terminal_id
            if not terminal_id:
                count = session.scalar(select(func.count()).select_from(Terminal)) or 0
                terminal_id = f"{10_000_001 + count:08d}"
                while session.get(Terminal, terminal_id) is not None:
                    terminal_id = f"{int(terminal_id) + 1:08d}"
            elif session.get(Terminal, terminal_id) is not None:
                raise UserError(f"terminal id {terminal_id} belongs to another device")
            row = Terminal(terminal_id=terminal_id, serial=wishes.serial, batch=1, key_set=0)
            session.add(row)
        elif wishes.terminal_id not in ("", row.terminal_id):
            raise UserError(f"{wishes.serial} is enrolled as {row.terminal_id} already")
        row.merchant_id = wishes.merchant_id
        row.merchant_name = wishes.merchant_name
        row.currency = wishes.currency
        row.utc_offset = wishes.utc_offset
        row.sign_in_code = wishes.sign_in_code
        row.mac_algorithm = wishes.mac_algorithm
        row.mac_length = wishes.mac_length
        row.tmk = tmk.hex()
        row.signed_in = False
        row.pin_key = row.mac_key = row.track_key = ""
        session.flush()
        terminal_id = row.terminal_id
        session.commit()
    return terminal_id


def enrol(
    ledger: Ledger,
    authority: Authority,
    deck: DeckData,
    wishes: Wishes,
    clock: Callable[[], int],
    test_keys: TestKeys | None = None,
) -> Enrolment:
    """Register the terminal and make its files. UserError.

    Enrolling a serial again gives it a new TMK and certificate and ends its
    session; its terminal id, batch and transactions stay.
    """
    wishes.check()
    test_keys = test_keys or TestKeys.load()
    tmk = new_key(16)
    client = authority.issue_client(wishes.serial, wishes.profile)
    passphrase = secrets.token_urlsafe(24)
    terminal_id = _register(ledger, wishes, tmk)
    payload = {
        1: 1,
        2: True,
        3: wishes.serial,
        4: clock(),
        5: {
            1: wishes.merchant_id,
            2: wishes.merchant_name,
            3: terminal_id,
            4: wishes.category,
            5: wishes.country,
            6: wishes.currency,
            7: wishes.exponent,
            8: wishes.merchant_name_zh,
            9: wishes.address,
        },
        6: {
            1: wishes.host,
            2: wishes.port,
            3: wishes.server_name,
            4: [der(authority.certificate)],
            5: bytes.fromhex("6000030000"),
            6: bytes.fromhex("603100310000"),
            7: wishes.answer_timeout_ms,
            8: "unionpay",
            9: wishes.sign_in_code,
            10: wishes.mac_algorithm,
            11: 0,
        },
        7: {
            1: [der(client.certificate)],
            2: key_der(client.key) if wishes.plain_key else key_pem(client.key, passphrase),
            3: seal(test_keys.transport_key, passphrase.encode(), secrets.token_bytes(16)),
        },
        8: wrap_tmk(test_keys.transport_key, tmk),
        9: _aids(deck),
        10: _capks(deck),
        11: [list(entry) for entry in wishes.revoked],
        12: {
            1: wishes.terminal_type,
            2: CAPABILITIES,
            3: ADDITIONAL_CAPABILITIES,
            4: password_record(wishes.supervisor_code, secrets.token_bytes(16)),
            5: list(wishes.languages),
            6: wishes.utc_offset,
            7: wishes.largest_amount,
            8: wishes.pin_bypass,
        },
    }
    body = cbor.encode(payload)
    signer = Ed25519PrivateKey.from_private_bytes(test_keys.provisioning_seed)
    bundle = cbor.encode([body, signer.sign(_SIGNED + body)])
    factory = cbor.encode({1: 1, 2: wishes.serial, 3: test_keys.transport_key, 4: True})
    return Enrolment(bundle, factory, terminal_id, wishes.merchant_id)
