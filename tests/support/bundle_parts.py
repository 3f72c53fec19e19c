"""A small provisioning bundle to spoil in tests, and an Ed25519 signer (portable)."""

from firmware import cbor
from firmware.crypto import ed25519
from firmware.crypto.hashes import sha1, sha512
from tests.support import vault_parts as parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SEED = bytes(range(32))
SERIAL = "SN-0001"
_ORDER = (1 << 252) + 27742317777372353535851937790883648493


def _base() -> "Any":
    return ed25519._decode(ed25519._BASE_Y.to_bytes(32, "little"))


def _scalar(digest: bytes) -> int:
    clamped = bytes([digest[0] & 248]) + digest[1:31] + bytes([digest[31] & 63 | 64])
    return int.from_bytes(clamped, "little")


def public_key(seed: bytes = SEED) -> bytes:
    """RFC 8032, 5.1.5."""
    return ed25519._encode(ed25519._times(_scalar(sha512(seed)), _base()))


def sign(message: bytes, seed: bytes = SEED) -> bytes:
    """RFC 8032, 5.1.6."""
    digest = sha512(seed)
    r = int.from_bytes(sha512(digest[32:] + message), "little") % _ORDER
    point = ed25519._encode(ed25519._times(r, _base()))
    k = int.from_bytes(sha512(point + public_key(seed) + message), "little") % _ORDER
    s = (r + k * _scalar(digest)) % _ORDER
    return point + s.to_bytes(32, "little")


def trust(test: bool = True) -> "dict[str, Any]":
    """The board's trust section."""
    return {"provisioning_key": public_key().hex(), "test": test}


def capk(rid: bytes = b"\xa0\x00\x00\x03\x33", index: int = 1) -> "dict[int, Any]":
    """A CAPK with its right hash."""
    modulus = b"\xc1" + bytes(range(1, 127)) + b"\x01"
    exponent = b"\x03"
    return {
        1: rid,
        2: index,
        3: modulus,
        4: exponent,
        5: "20351231",
        6: sha1(rid + bytes([index]) + modulus + exponent),
    }


def payload() -> "dict[int, Any]":
    """A bundle that is right in every field."""
    certificate = b"\x30\x82\x01\x00" + bytes(256)
    pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + b"A" * 64 + b"\n"
    return {
        1: 1,
        2: True,
        3: SERIAL,
        4: 1_780_000_000,
        5: {
            1: "TESTMERCHANT001",
            2: "Shop",
            3: "10000001",
            4: "5411",
            5: 156,
            6: 156,
            7: 2,
            8: "\u5546\u5e97",
            9: "1 Test Street",
        },
        6: {
            1: "127.0.0.1",
            2: 8583,
            3: "acquirer.test",
            4: [certificate],
            5: bytes(5),
            6: bytes(6),
            7: 30000,
            8: "unionpay",
            9: "003",
            10: "cup-ecb",
            11: 0,
        },
        7: {1: [certificate, b"\x30\x02\x05\x00"], 2: pem, 3: parts.sealed_passphrase()},
        8: parts.tmk_block(),
        9: [
            {
                1: b"\xa0\x00\x00\x03\x33\x01\x01" + bytes([last]),
                2: True,
                3: bytes(5),
                4: bytes(5),
                5: bytes(5),
                6: 0,
                7: 0,
                8: 0,
                9: 0,
                10: b"\x9f\x37\x04",
                11: b"",
                12: b"\x00\x30",
                13: "UnionPay",
            }
            for last in (1, 2)
        ],
        10: [capk(), capk(index=2)],
        11: [[b"\xa0\x00\x00\x03\x33", 1, b"\x00\x00\x01"]],
        12: {
            1: 0x21,
            2: bytes(3),
            3: bytes(5),
            4: (1000).to_bytes(4, "big") + bytes(48),
            5: ["zh", "en"],
            6: 480,
            7: 10_000_000,
            8: True,
        },
    }


def bundle(table: "object | None" = None) -> bytes:
    """Signed ``bundle.cbor``."""
    body = cbor.encode(payload() if table is None else table)
    return cbor.encode([body, sign(b"OpenTill bundle 1\x00" + body)])


def factory(serial: str = SERIAL, key: bytes = parts.TRANSPORT, test: bool = True) -> bytes:
    """``factory.cbor``."""
    return cbor.encode({1: 1, 2: serial, 3: key, 4: test})
