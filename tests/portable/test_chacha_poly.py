"""ChaCha20-Poly1305, HKDF and HMAC-SHA-512, backend and portable: values that the RFCs print."""

import sys

from firmware.crypto import chacha_poly, hkdf
from tests.portable.crypto_cases import h, refused

SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
    b"future, sunscreen would be it."
)
DRAFTS = (
    b"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "
    b"replaced, or obsoleted by other documents at any time. It is inappropriate to use "
    b"Internet-Drafts as reference material or to cite them other than as /\xe2\x80\x9cwork in "
    b"progress./\xe2\x80\x9d"
)
#: RFC 8439, 2.8.2 and A.5: key, nonce, associated data, plain text, ciphertext and tag.
AEAD = (
    (
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        SUNSCREEN,
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    ),
    (
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
        "000000000102030405060708",
        "f33388860000000000004e91",
        DRAFTS,
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
        "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
        "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
        "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
        "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
        "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
        "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
        "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
        "a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
    ),
)
#: RFC 8439, 2.5.2 and A.3 (those of the carries): key, message, tag.
POLY1305 = (
    (
        "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
        b"Cryptographic Forum Research Group".hex(),
        "a8061dc1305136c6c22b8baf0c0127a9",
    ),
    ("02" + "00" * 31, "ff" * 16, "03" + "00" * 15),
    ("02" + "00" * 15 + "ff" * 16, "02" + "00" * 15, "03" + "00" * 15),
    ("01" + "00" * 31, "ff" * 16 + "f0" + "ff" * 15 + "11" + "00" * 15, "05" + "00" * 15),
    ("02" + "00" * 31, "fd" + "ff" * 15, "fa" + "ff" * 15),
    (
        "0100000000000000040000000000000000000000000000000000000000000000",
        "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000"
        "0000000000000000000000000000000001000000000000000000000000000000",
        "14000000000000005500000000000000",
    ),
)


def test_chacha20_block():
    # RFC 8439, 2.3.2.
    block = h(
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )
    key, nonce = bytes(range(32)), h("000000090000004a00000000")
    for made in (chacha_poly.key_stream, chacha_poly.key_stream_plain):
        assert made(key, nonce, 1, 1) == block
        # Blocks do not depend on the pass that they are made in.
        stream = made(bytearray(key), nonce, 0, 40)
        assert stream[64:128] == block and len(stream) == 40 * 64
        for at in (0, 16, 17, 18, 33, 34, 39):
            assert made(key, nonce, at, 1) == stream[64 * at : 64 * at + 64]


def test_machine_code_is_the_plain_form():
    # The unix ports of the tests have the emitter; CPython and the WebAssembly port have not.
    unix = sys.implementation.name == "micropython" and sys.platform == "linux"
    assert (chacha_poly.machine_code() is not None) == unix
    for byte in (0, 1, 0x55, 0x80, 0xFF):  # the carries of all words
        key, nonce = bytes([byte]) * 32, bytes([byte]) * 12
        for counter in (0, (1 << 32) - 3):
            stream = chacha_poly.key_stream(key, nonce, counter, 3)
            assert stream == chacha_poly.key_stream_plain(key, nonce, counter, 3)


def test_poly1305():
    for key, message, tag in POLY1305:
        assert chacha_poly.poly1305(h(key), h(message)) == h(tag), message


def test_published_values():
    for key, nonce, associated, plain, sealed in AEAD:
        for made in (chacha_poly.cipher(h(key)), chacha_poly.Portable(h(key))):
            assert made.seal(h(nonce), plain, h(associated)) == h(sealed)
            assert made.open(h(nonce), h(sealed), h(associated)) == plain


def test_the_backend_is_the_portable_cipher():
    key, nonce = bytes(range(1, 33)), bytes(range(12))
    ours, backend = chacha_poly.Portable(key), chacha_poly.cipher(bytearray(key))
    for size in (0, 1, 15, 16, 17, 63, 64, 65, 1008, 1024, 1088, 1089):
        plain = (bytes(range(251)) * 5)[:size]
        sealed = ours.seal(nonce, plain, plain[:9])
        assert sealed == backend.seal(nonce, plain, plain[:9]) and len(sealed) == size + 16
        assert ours.open(nonce, sealed, plain[:9]) == plain
        assert backend.open(nonce, sealed, plain[:9]) == plain


def test_what_was_altered_is_refused():
    key, nonce, associated, _, sealed = [x if type(x) is bytes else h(x) for x in AEAD[0]]
    for made in (chacha_poly.cipher(key), chacha_poly.Portable(key)):
        for i in range(0, len(sealed), 5):
            other = sealed[:i] + bytes([sealed[i] ^ 1 << i % 8]) + sealed[i + 1 :]
            assert "verify" in refused(made.open, nonce, other, associated)
        for i in (0, 1, 15, 16, len(sealed) - 1):
            refused(made.open, nonce, sealed[:i], associated)
        refused(made.open, nonce, sealed + b"\x00", associated)
        refused(made.open, nonce, sealed, associated[1:])
        refused(made.open, bytes(12), sealed, associated)
        for size in (0, 11, 13):
            refused(made.open, bytes(size), sealed, associated)
            refused(made.seal, bytes(size), sealed, associated)


def test_a_wiped_key_refuses():
    ours = chacha_poly.Portable(bytearray(range(32)))
    held = ours._key
    for made in (ours, chacha_poly.cipher(bytes(range(32)))):
        sealed = made.seal(bytes(12), b"text", b"")
        made.wipe()
        refused(made.seal, bytes(12), b"text", b"")
        refused(made.open, bytes(12), sealed, b"")
    assert held == bytes(32)
    for size in (0, 16, 31, 33):
        refused(chacha_poly.cipher, bytes(size))
        refused(chacha_poly.Portable, bytes(size))


def test_hkdf():
    # RFC 5869, A.1, A.2, A.3.
    for secret, salt, info, key, out in (
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(80)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ):
        assert hkdf.extract(salt, secret) == h(key)
        assert hkdf.expand(h(key), info, len(h(out))) == h(out)
    for length in (-1, 0, 255 * 32 + 1):
        refused(hkdf.expand, bytes(32), b"", length)
    assert len(hkdf.expand(bytes(32), b"", 255 * 32)) == 255 * 32


def test_hmac_sha512():
    # RFC 4231, 4.2, 4.3 and 4.7.
    for key, text, tag in (
        (
            b"\x0b" * 20,
            b"Hi There",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
            "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ),
    ):
        assert hkdf.hmac_sha512(key, text) == h(tag)
