"""Parts of the TLS links: the key reader and the handshake watch."""

import asyncio
import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.drivers.pkcs8_key import KeyUnreadable, plain_key
from firmware.drivers.tls_link import make_context
from firmware.drivers.tls_records import HandshakeWatch
from tests.support.tls_pki import NAME, Pki

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(passphrase: str) -> bytes:
    return KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )


def plain() -> bytes:
    return KEY.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


SAMPLE = pem("pass")


def test_the_key_of_a_bundle_is_read() -> None:
    assert asyncio.run(plain_key(pem("päss"), "päss")) == plain()
    assert asyncio.run(plain_key(SAMPLE, "pass")) == plain()


def test_a_plain_key_passes() -> None:
    assert asyncio.run(plain_key(plain(), "")) == plain()


@pytest.mark.parametrize("passphrase", ["", "Pass", "pass "])
def test_a_wrong_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(KeyUnreadable):
        asyncio.run(plain_key(SAMPLE, passphrase))


@pytest.mark.parametrize(
    "key",
    [
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!\xff-----END ENCRYPTED PRIVATE KEY-----\n",
        SAMPLE[:200],
        SAMPLE[:80] + SAMPLE[84:],
        SAMPLE + b"x" * 9000,
    ],
)
def test_malformed_keys_are_refused(key: bytes) -> None:
    with pytest.raises(KeyUnreadable):
        asyncio.run(plain_key(key, "pass"))


@settings(max_examples=30, deadline=None)
@given(st.integers(40, len(SAMPLE) - 40), st.integers(0x20, 0x7E))
def test_altered_keys_raise_nothing_else(place: int, byte: int) -> None:
    altered = SAMPLE[:place] + bytes([byte]) + SAMPLE[place + 1 :]
    try:
        asyncio.run(plain_key(altered, "pass"))
    except KeyUnreadable:
        pass


@pytest.mark.parametrize(("version", "retry"), [("1.2", False), ("1.3", False), ("1.3", True)])
@pytest.mark.parametrize("piece", [1, 7, 100000])
def test_the_watch_sees_the_end_of_a_handshake(version: str, retry: bool, piece: int) -> None:
    pki = Pki()
    server_context = pki.context(version)
    if retry:
        # The client's first key share is of another group: HelloRetryRequest.
        server_context.set_ecdh_curve("secp521r1")
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_in, server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = make_context(pki.config()).wrap_bio(client_in, client_out, server_hostname=NAME)
    server = server_context.wrap_bio(server_in, server_out, server_side=True)
    watch = HandshakeWatch()
    done = False
    for _ in range(20000):
        if not done:
            try:
                client.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
        data = client_out.read()
        watch.sent(data)
        server_in.write(data)
        assert watch.over == done
        if done:
            break
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        data = server_out.read(piece)
        watch.received(data)
        client_in.write(data)
    assert done


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=30))
def test_the_watch_takes_any_bytes(pieces: list[tuple[bool, bytes]]) -> None:
    watch = HandshakeWatch()
    for out, data in pieces:
        (watch.sent if out else watch.received)(data)
    assert watch.over in (True, False)
