"""Enrolment: the bundle re-read by other code, and by the terminal's own."""

import hashlib
import hmac
import json
import sqlite3
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.verification import PolicyBuilder, Store
from psec import tr31

from firmware.crypto import wrap
from firmware.services import provisioning
from host_tools.acquirer.enrol import TestKeys, Wishes, seal
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.ledger import Terminal
from host_tools.acquirer.pki import SERVER_NAME, Authority
from host_tools.acquirer.place import Place, default_folder
from host_tools.emulator.deck import load
from host_tools.errors import UserError
from tests.support.acquirer_client import NOW, Client

KEYS = TestKeys.load()


@pytest.fixture(scope="module")
def acquirer() -> Any:
    made = InProcessAcquirer(load(), now=lambda: NOW)
    yield made
    made.close()


def payload_of(bundle: bytes) -> dict[int, Any]:
    """Check signature and canonical form; the payload."""
    outer = cbor2.loads(bundle)
    assert cbor2.dumps(outer, canonical=True) == bundle
    body, signature = outer
    key = Ed25519PublicKey.from_public_bytes(KEYS.provisioning_public)
    key.verify(signature, b"OpenTill bundle 1\0" + body)
    payload = cbor2.loads(body)
    assert cbor2.dumps(payload, canonical=True) == body
    assert isinstance(payload, dict)
    return payload


def unsealed(sealed: bytes) -> bytes:
    """As docs/provisioning.md says, in other words than the bank's."""
    nonce, cipher, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    label = b"\x01OpenTill tls passphrase 1\0"
    tag_key = hmac.new(KEYS.transport_key, label + b"authenticate", hashlib.sha256).digest()
    assert hmac.new(tag_key, nonce + cipher, hashlib.sha256).digest()[:16] == tag
    key = hmac.new(KEYS.transport_key, label + b"encrypt", hashlib.sha256).digest()
    return Cipher(algorithms.AES(key), modes.CTR(nonce)).decryptor().update(cipher)


def test_the_published_keys_belong_together() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(KEYS.provisioning_seed)
    assert private.public_key().public_bytes_raw() == KEYS.provisioning_public
    assert len(KEYS.transport_key) == 32


@pytest.mark.parametrize("profile", ["ecdsa", "rsa"])
def test_bundle_read_by_other_code(acquirer: InProcessAcquirer, profile: str) -> None:
    made = acquirer.enrolment("S-other-" + profile, host="bank.test", port=9, profile=profile)
    payload = payload_of(made.bundle)
    assert sorted(payload) == list(range(1, 13))
    assert (payload[1], payload[2], payload[3]) == (1, True, "S-other-" + profile)
    assert payload[4] == NOW
    assert (payload[5][1], payload[5][3]) == (made.merchant_id, made.terminal_id)
    assert (len(payload[5][1]), len(payload[5][3])) == (15, 8)
    assert (payload[6][1], payload[6][2], payload[6][3]) == ("bank.test", 9, SERVER_NAME)
    (chain,), pem, sealed = payload[7][1], payload[7][2], payload[7][3]
    passphrase = unsealed(sealed)
    assert b"ENCRYPTED PRIVATE KEY" in pem
    key = serialization.load_pem_private_key(pem, passphrase)
    assert isinstance(key, ec.EllipticCurvePrivateKey if profile == "ecdsa" else rsa.RSAPrivateKey)
    certificate = x509.load_der_x509_certificate(chain)
    assert certificate.public_key() == key.public_key()
    root = x509.load_der_x509_certificate(payload[6][4][0])
    certificate.verify_directly_issued_by(root)
    header, tmk = tr31.unwrap(KEYS.transport_key, payload[8])
    assert (header.version_id, header.key_usage, header.algorithm) == ("D", "K0", "T")
    with acquirer.ledger.session() as session:
        row = session.get(Terminal, made.terminal_id)
        assert row is not None
        assert row.tmk == tmk.hex()
    for aid, given in zip(payload[9], acquirer.deck.aids(), strict=True):
        assert (aid[1], aid[4], aid[6]) == (given["aid"], given["tac_online"], 0)
    for key_data in payload[10]:
        body = key_data[1] + bytes([key_data[2]]) + key_data[3] + key_data[4]
        assert hashlib.sha1(body).digest() == key_data[6]
    terminal = payload[12]
    assert (terminal[2].hex(), terminal[3].hex()) == ("20f8c8", "6000b0f35f")
    password = terminal[4]
    iterations, salt = int.from_bytes(password[:4], "big"), password[4:20]
    assert hashlib.pbkdf2_hmac("sha256", b"123456", salt, iterations) == password[20:]
    factory = cbor2.loads(made.factory)
    assert factory == {1: 1, 2: payload[3], 3: KEYS.transport_key, 4: True}


def test_signature_covers_every_byte(acquirer: InProcessAcquirer) -> None:
    bundle = bytearray(acquirer.enrol("S-sign")[0])
    body, signature = cbor2.loads(bytes(bundle))
    key = Ed25519PublicKey.from_public_bytes(KEYS.provisioning_public)
    changed = bytes([body[0] ^ 1]) + body[1:]
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"OpenTill bundle 1\0" + changed)


def test_bundle_read_by_the_terminal(acquirer: InProcessAcquirer) -> None:
    made = acquirer.enrolment("S-own", languages=("en",), largest_amount=777)
    trust = {"provisioning_key": KEYS.provisioning_public.hex(), "test": True}
    read = provisioning.check(made.bundle, trust, "S-own")
    assert read.test
    assert read.merchant.terminal_id == made.terminal_id
    assert len(read.capks) == len(acquirer.deck.capks())
    assert len(read.aids) == len(acquirer.deck.aids())
    with pytest.raises(provisioning.ProvisioningError):
        provisioning.check(made.bundle, trust, "S-another")
    with pytest.raises(provisioning.ProvisioningError):
        provisioning.check(made.bundle, {**trust, "test": False}, "S-own")


def test_the_capabilities_say_what_the_kernel_does_and_no_more(
    acquirer: InProcessAcquirer,
) -> None:
    """9F33 (Book 4, A2): contacts; five CVMs; SDA, DDA, CDA. Every other bit stands for what
    is not there: stripe, keyed entry, capture, biometric methods, XDA, elliptic curves."""
    trust = {"provisioning_key": KEYS.provisioning_public.hex(), "test": True}
    made = acquirer.enrolment("S-capable", languages=("en",))
    entry, verification, security = provisioning.check(
        made.bundle, trust, "S-capable"
    ).terminal.capabilities
    assert entry == 0x20
    assert verification == 0x80 | 0x40 | 0x20 | 0x10 | 0x08
    assert security == 0x80 | 0x40 | 0x08


def test_plain_client_key(acquirer: InProcessAcquirer) -> None:
    payload = payload_of(acquirer.enrol("S-plain", plain_key=True)[0])
    key = serialization.load_der_private_key(payload[7][2], None)
    certificate = x509.load_der_x509_certificate(payload[7][1][0])
    assert certificate.public_key() == key.public_key()


def test_both_ends_seal_alike() -> None:
    plain, nonce = b"a passphrase", bytes(range(16))
    sealed = seal(KEYS.transport_key, plain, nonce)
    assert sealed == wrap.seal(KEYS.transport_key, wrap.TLS_PASSPHRASE, plain, nonce)
    assert unsealed(sealed) == plain


def test_server_certificate_passes_the_strict_rules() -> None:
    authority = Authority.create()
    server = authority.issue_server().certificate
    verifier = (
        PolicyBuilder()
        .store(Store([authority.certificate]))
        .build_server_verifier(x509.DNSName(SERVER_NAME))
    )
    assert verifier.verify(server, [])


def test_enrolling_again_renews_the_keys(acquirer: InProcessAcquirer) -> None:
    client = Client(acquirer, "S-again")
    client.sign_in()
    first = payload_of(acquirer.enrol("S-again")[0])
    second = payload_of(acquirer.enrol("S-again")[0])
    assert first[5][3] == second[5][3] == client.terminal_id
    assert first[8] != second[8]
    assert first[7][2] != second[7][2]
    assert client.sale().code == "77"
    with pytest.raises(UserError, match="is enrolled as"):
        acquirer.enrol("S-again", terminal_id="ABCDEFGH")
    with pytest.raises(UserError, match="belongs to another"):
        acquirer.enrol("S-new", terminal_id=client.terminal_id)


@pytest.mark.parametrize(
    "wish",
    [
        {"serial": ""},
        {"serial": "x" * 21},
        {"serial": "串号"},
        {"terminal_id": "123"},
        {"merchant_id": "short"},
        {"port": 0},
        {"port": 65536},
        {"host": ""},
        {"category": "541"},
        {"currency": 0},
        {"languages": ()},
        {"utc_offset": 900},
        {"largest_amount": 0},
        {"supervisor_code": "123"},
        {"supervisor_code": "12345a"},
        {"sign_in_code": "002"},
        {"mac_algorithm": "aes-cmac"},
        {"mac_length": 24},
        {"terminal_type": 0x25},
        {"profile": "dsa"},
        {"answer_timeout_ms": 1},
    ],
)
def test_wishes_that_cannot_be_met(wish: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Wishes(**{"serial": "S", **wish}).check()


def test_bad_key_file(tmp_path: Path) -> None:
    for content in ("", "{}", "[]", '{"transport_key": "zz"}'):
        path = tmp_path / "keys.json"
        path.write_text(content)
        with pytest.raises(UserError, match="no published test keys"):
            TestKeys.load(path)
    with pytest.raises(UserError):
        TestKeys.load(tmp_path / "absent")


def test_place_keeps_root_and_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no test bank"):
        Place.open(tmp_path / "bank", create=False)
    place = Place.open(tmp_path / "bank")
    certificate = place.authority.certificate
    assert (tmp_path / "bank" / "root.key").stat().st_mode & 0o077 == 0
    place.close()
    again = Place.open(tmp_path / "bank", create=False)
    assert again.authority.certificate == certificate
    assert again.context("0.0.0.0").verify_mode.name == "CERT_REQUIRED"
    again.close()
    (tmp_path / "bank" / "root.key").write_text("no key")
    with pytest.raises(UserError, match="damaged; take another folder"):
        Place.open(tmp_path / "bank")
    (tmp_path / "bank" / "root.key").unlink()
    (tmp_path / "bank" / "root.key").mkdir()
    with pytest.raises(UserError, match=r"root\.key: the test root cannot be read: Is a directory"):
        Place.open(tmp_path / "bank")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        Place.open(tmp_path / "file" / "bank")
    for name, content in (("damaged", b"not SQLite " * 100), ("newer", b"")):
        Place.open(tmp_path / name).close()
        books = tmp_path / name / "books.sqlite"
        if content:
            books.write_bytes(content)
        else:
            with sqlite3.connect(books) as connection:
                connection.execute("PRAGMA user_version = 99")
            connection.close()
        with pytest.raises(UserError, match=r"books"):
            Place.open(tmp_path / name)
    monkeypatch.setenv("OPENTILL_STATE", str(tmp_path))
    assert default_folder() == tmp_path / "acquirer"
    monkeypatch.delenv("OPENTILL_STATE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "opentill" / "acquirer"


def test_json_of_the_key_file_says_what_it_is() -> None:
    table = json.loads((Path(__file__).parents[2] / "boards" / "test_keys.json").read_text())
    assert table["test"] is True
    assert "never" in table["note"]
