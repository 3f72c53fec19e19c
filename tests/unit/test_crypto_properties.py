"""Our crypto against other people's, on random input: psec, cryptography, hashlib."""

import hashlib
import hmac

import psec.des
import psec.mac
import psec.pinblock
import psec.tr31
import pytest
from cryptography.hazmat.primitives import cmac as other_cmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from firmware.crypto import (
    CryptoError,
    backend,
    ed25519,
    hashes,
    key_block,
    mac,
    pin_block,
    sha,
    working_keys,
    wrap,
)
from firmware.crypto import modes as our_modes
from firmware.crypto.aes import Aes
from firmware.crypto.des import Des
from tests.support import bundle_parts, vault_parts

des_keys = st.sampled_from((8, 16, 24)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
aes_keys = st.sampled_from((16, 24, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
double = st.binary(min_size=16, max_size=16)
data = st.binary(max_size=200)
pins = st.text("0123456789", min_size=4, max_size=12)
pans = st.text("0123456789", min_size=13, max_size=19)

short_pans = st.text("0123456789", min_size=1, max_size=19)


@given(des_keys, st.integers(0, 6), st.data())
def test_des(key: bytes, blocks: int, draw: st.DataObject) -> None:
    plain = draw.draw(st.binary(min_size=8 * blocks, max_size=8 * blocks))
    whole = (key * 3)[:24] if len(key) < 24 else key
    ours = Des(key)
    assert ours.encrypt(plain) == psec.des.encrypt_tdes_ecb(whole, plain) if plain else True
    assert ours.encrypt(plain) == backend.des(key).encrypt(plain)
    assert ours.decrypt(ours.encrypt(plain)) == plain


@given(aes_keys, st.integers(0, 4), st.data())
def test_aes(key: bytes, blocks: int, draw: st.DataObject) -> None:
    plain = draw.draw(st.binary(min_size=16 * blocks, max_size=16 * blocks))
    theirs = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(plain)
    assert Aes(key).encrypt(plain) == theirs == backend.aes(key).encrypt(plain)
    assert Aes(key).decrypt(theirs) == plain == backend.aes(key).decrypt(theirs)


@given(aes_keys, st.binary(min_size=16, max_size=16), data)
def test_ctr(key: bytes, counter: bytes, plain: bytes) -> None:
    theirs = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(plain)
    assert our_modes.ctr(backend.aes(key), counter, plain) == theirs


@given(data, data)
def test_hashes(key: bytes, text: bytes) -> None:
    assert sha.sha1(text) == hashlib.sha1(text).digest()
    assert sha.sha512(text) == hashlib.sha512(text).digest()
    assert hashes.hmac_sha256(key, text) == hmac.digest(key, text, "sha256")


@given(double, data, st.sampled_from((1, 2, 3)))
def test_macs(key: bytes, text: bytes, padding: int) -> None:
    theirs = psec.mac.generate_cbc_mac(key, text, padding)
    assert mac.cbc_mac(key, text, padding) == theirs
    retail = psec.mac.generate_retail_mac(key[:8] * 2, key[8:] * 2, text, padding)
    assert mac.x9_19(key, text, padding) == retail
    assert mac.x9_9(key[:8], text) == psec.mac.generate_cbc_mac(key[:8], text, 1)


@given(aes_keys, data)
def test_aes_cmac(key: bytes, text: bytes) -> None:
    theirs = other_cmac.CMAC(algorithms.AES(key))
    theirs.update(text)
    assert mac.aes_cmac(key, text) == theirs.finalize()


@given(double, pins, pans)
def test_pin_block_format_0(key: bytes, pin: str, pan: str) -> None:
    theirs = psec.des.encrypt_tdes_ecb(key, psec.pinblock.encode_pinblock_iso_0(pin, pan))
    assert pin_block.encipher_0(key, pin.encode(), pan) == theirs


@given(pins)
def test_pin_block_format_2(pin: str) -> None:
    assert pin_block.clear_2(pin.encode()) == psec.pinblock.encode_pinblock_iso_2(pin)


@given(
    aes_keys,
    pins,
    st.text("0123456789", min_size=1, max_size=19),
    st.binary(min_size=8, max_size=8),
)
def test_pin_block_format_4(key: bytes, pin: str, pan: str, random: bytes) -> None:
    block = pin_block.encipher_4(key, pin.encode(), pan, random)
    assert psec.pinblock.decipher_pinblock_iso_4(key, block, pan) == pin


@given(aes_keys, st.binary(min_size=1, max_size=64), st.integers(0, 80), st.booleans())
def test_key_blocks_are_read_by_psec(key: bytes, inside: bytes, masked: int, serial: bool) -> None:
    blocks = [("KS", "00604B120F9292800000")] if serial else []
    header = key_block.Header("K0", "T", "D", "00", "N", blocks)
    made = key_block.wrap(key, header, inside, vault_parts.SeededEntropy(inside).random, masked)
    theirs, unwrapped = psec.tr31.unwrap(key, made)
    assert unwrapped == inside
    assert (theirs.key_usage, theirs.algorithm, theirs.mode_of_use) == ("K0", "T", "D")
    assert ("KS" in theirs.blocks) == serial


@given(aes_keys, st.binary(min_size=1, max_size=64), st.sampled_from("BD"), double)
def test_key_blocks_of_psec_are_read(
    aes_key: bytes, inside: bytes, version: str, des_key: bytes
) -> None:
    protection = aes_key if version == "D" else des_key
    header = psec.tr31.Header(version, "K0", "T", "D", "00", "E")
    header.blocks["LB"] = "a label"
    made = psec.tr31.wrap(protection, header, inside)
    ours, unwrapped = key_block.unwrap(protection, made)
    assert unwrapped == inside and ours.usage == "K0" and ours.version == version
    assert ("LB", "a label") in ours.blocks


@given(st.text(max_size=300))
def test_any_text_is_refused_as_a_key_block(text: str) -> None:
    with pytest.raises(key_block.KeyBlockError):
        key_block.unwrap(bytes(32), text)


_GOOD = vault_parts.tmk_block()


@given(st.integers(0, len(_GOOD) - 1), st.characters())
def test_a_changed_key_block_is_refused(at: int, character: str) -> None:
    changed = _GOOD[:at] + character + _GOOD[at + 1 :]
    if changed == _GOOD:
        key_block.unwrap(vault_parts.TRANSPORT, changed)
        return
    with pytest.raises(key_block.KeyBlockError):
        key_block.unwrap(vault_parts.TRANSPORT, changed)


@given(st.binary(max_size=130))
def test_any_bytes_as_working_keys_are_refused(block: bytes) -> None:
    with pytest.raises(CryptoError):
        working_keys.unwrap("tdes2", vault_parts.TMK, block)


@given(st.binary(min_size=32, max_size=32), data, data, st.binary(min_size=16, max_size=16))
def test_seal(master: bytes, label: bytes, plain: bytes, nonce: bytes) -> None:
    sealed = wrap.seal(master, label, plain, nonce)
    assert wrap.unseal(master, label, sealed) == plain
    with pytest.raises(CryptoError):
        wrap.unseal(master, label + b"x", sealed)


@given(st.binary(min_size=32, max_size=32), data, st.integers(0, 63), st.integers(1, 255))
def test_ed25519(seed: bytes, text: bytes, at: int, change: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(text)
    assert bundle_parts.sign(text, seed) == signature  # what other tests sign with is right
    assert ed25519.verify(public, text, signature)
    assert ed25519.verify_portable(public, text, signature)
    spoilt = signature[:at] + bytes([signature[at] ^ change]) + signature[at + 1 :]
    assert not ed25519.verify(public, text, spoilt)
    assert not ed25519.verify_portable(public, text, spoilt)


def test_importing_the_crypto_room_is_cheap() -> None:
    """``cryptography`` is loaded at the first key, not at import."""
    import subprocess
    import sys

    code = (
        "import sys, firmware.drivers.soft_vault, firmware.services.provisioning;"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
