"""X25519, ChaCha20-Poly1305, HKDF and HMAC-SHA-512 against ``cryptography``, on random input."""

import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.crypto import CryptoError, chacha_poly, hkdf, x25519

keys = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=12, max_size=12)
data = st.binary(max_size=300)


@settings(deadline=None)
@given(keys, keys)
def test_x25519(mine: bytes, theirs: bytes) -> None:
    pair = X25519PrivateKey.from_private_bytes(theirs)
    public = pair.public_key().public_bytes_raw()
    assert x25519.multiply_portable(theirs, b"\x09" + bytes(31)) == public
    secret = x25519.multiply_portable(mine, public)
    assert secret == x25519.shared(mine, public) == x25519.shared(theirs, x25519.public(mine))


@settings(deadline=None)
@given(keys, keys)
def test_x25519_of_any_bytes(scalar: bytes, u: bytes) -> None:
    assert x25519.multiply_portable(scalar, u) == x25519.multiply(scalar, u)


@settings(deadline=None)
@given(keys, nonces, data, data)
def test_sealed_by_us_is_read_by_others(
    key: bytes, nonce: bytes, plain: bytes, associated: bytes
) -> None:
    theirs = ChaCha20Poly1305(key).encrypt(nonce, plain, associated)
    for made in (chacha_poly.cipher(key), chacha_poly.Portable(key)):
        assert made.seal(nonce, plain, associated) == theirs
        assert made.open(nonce, theirs, associated) == plain


@settings(deadline=None)
@given(keys, nonces, data, data, st.data())
def test_a_flipped_bit_is_refused(
    key: bytes, nonce: bytes, plain: bytes, associated: bytes, draw: st.DataObject
) -> None:
    sealed = bytearray(chacha_poly.cipher(key).seal(nonce, plain, associated))
    bit = draw.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    for made in (chacha_poly.cipher(key), chacha_poly.Portable(key)):
        with pytest.raises(CryptoError):
            made.open(nonce, bytes(sealed), associated)


@settings(deadline=None)
@given(keys, nonces, data)
def test_any_bytes_are_refused(key: bytes, nonce: bytes, sealed: bytes) -> None:
    for made in (chacha_poly.cipher(key), chacha_poly.Portable(key)):
        with pytest.raises(CryptoError):
            made.open(nonce, sealed, b"")


@settings(deadline=None)
@given(keys, st.binary(max_size=200))
def test_poly1305(key: bytes, message: bytes) -> None:
    assert chacha_poly.poly1305(key, message) == Poly1305.generate_tag(key, message)


@settings(deadline=None)
@given(data, data, data, st.integers(1, 200))
def test_hkdf_and_hmac(secret: bytes, salt: bytes, info: bytes, length: int) -> None:
    theirs = HKDF(SHA256(), length, salt, info).derive(secret)
    assert hkdf.expand(hkdf.extract(salt, secret), info, length) == theirs
    assert hkdf.hmac_sha512(secret, info) == hmac.digest(secret, info, "sha512")


def test_importing_it_is_cheap() -> None:
    """``cryptography`` is loaded at the first key, not at import."""
    import subprocess
    import sys

    code = (
        "import sys, firmware.link.noise, firmware.crypto.cpace;"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
