"""The Noise handshake and its records, both ends, under CPython and MicroPython."""

from firmware.crypto import CryptoError, x25519
from firmware.link import noise
from tests.portable.crypto_cases import h, refused_as

#: Cacophony's published vector of Noise_XX_25519_ChaChaPoly_SHA256.
PROLOGUE = h("4a6f686e2047616c74")
INITIATOR = h("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1")
INITIATOR_EPHEMERAL = h("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a")
RESPONDER = h("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893")
RESPONDER_EPHEMERAL = h("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b")
HASH = h("c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e")
MESSAGES = (
    (
        "4c756477696720766f6e204d69736573",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
        "4c756477696720766f6e204d69736573",
    ),
    (
        "4d757272617920526f746862617264",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
        "81cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9"
        "bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f"
        "8814c7194e83f23dbd8d162c9326ad",
    ),
    (
        "462e20412e20486179656b",
        "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a8"
        "0ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6"
        "ae769a1d95941d49b25030",
    ),
    ("4361726c204d656e676572", "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"),
    (
        "4a65616e2d426170746973746520536179",
        "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
    ),
    (
        "457567656e2042f6686d20766f6e2042617765726b",
        "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f",
    ),
)


class Vault:
    """A static key whose private half stays where it is."""

    def __init__(self, private, answer=None):
        self._pair = x25519.KeyPair(private)
        self._answer = answer
        self.public = self._pair.public

    def dh(self, public):
        if type(self._answer) is bytes:
            return self._answer
        if self._answer is not None:
            raise self._answer
        return self._pair.dh(public)


def ends(prologue=PROLOGUE, initiator=None, responder=None, longest=noise.LONGEST):
    """Both ends, before message 1."""
    return (
        noise.Handshake(
            True,
            PROLOGUE,
            initiator or x25519.KeyPair(INITIATOR),
            INITIATOR_EPHEMERAL,
            longest,
        ),
        noise.Handshake(
            False, prologue, responder or Vault(RESPONDER), bytearray(RESPONDER_EPHEMERAL), longest
        ),
    )


def shake(a, b):
    """All three messages without payloads; both sessions."""
    b.read(a.write())
    a.read(b.write())
    b.read(a.write())
    return a.split(), b.split()


def test_the_published_vector():
    a, b = ends()
    writer, reader = a, b
    for payload, message in MESSAGES[:3]:
        assert writer.write(h(payload)) == h(message)
        assert reader.read(h(message)) == h(payload)
        writer, reader = reader, writer
    assert a.hash == b.hash == HASH
    assert a.peer == x25519.public(RESPONDER) and b.peer == x25519.public(INITIATOR)
    # The vector's fourth message is the responder's first record.
    reader, writer = a.split(), b.split()
    for payload, message in MESSAGES[3:]:
        assert writer.encrypt(h(payload)) == h(message)
        assert reader.decrypt(bytearray(h(message))) == h(payload)
        writer, reader = reader, writer


def test_who_knows_whom_and_when():
    a, b = ends()
    assert a.peer == b.peer == b""
    b.read(a.write())
    assert b.peer == b""
    a.read(b.write())
    assert a.peer == x25519.public(RESPONDER) and b.peer == b""
    b.read(a.write())
    assert b.peer == x25519.public(INITIATOR)


def test_another_prologue_is_refused():
    a, b = ends(prologue=PROLOGUE + b"x")
    b.read(a.write())
    refused_as(noise.HandshakeError, a.read, b.write())
    refused_as(noise.OutOfTurnError, a.write)
    assert a.over and not b.over


def test_altered_messages_are_refused():
    for at in (0, 31, 32, 79, 80, 95):  # ephemeral, static key and its tag, payload's tag
        a, b = ends()
        b.read(a.write())
        message = bytearray(b.write())
        message[at] ^= 0x80
        refused_as(noise.HandshakeError, a.read, message)
        refused_as(noise.OutOfTurnError, a.read, message)
    for at in (0, 47, 48, 63):
        a, b = ends()
        b.read(a.write())
        a.read(b.write())
        message = bytearray(a.write())
        message[at] ^= 1
        refused_as(noise.HandshakeError, b.read, message)
        refused_as(noise.OutOfTurnError, b.split)
    a, b = ends()
    message = bytearray(a.write())
    message[5] ^= 1
    b.read(message)
    refused_as(noise.HandshakeError, a.read, b.write())


def test_lengths_of_messages():
    for size in (0, 31, 1041):
        a, b = ends(longest=1040)
        assert str(size) in refused_as(noise.HandshakeError, b.read, bytes(size))
    for longest, kind in ((1040, None), (1039, noise.HandshakeError)):
        a, b = ends(longest=longest)
        if kind:
            refused_as(kind, a.write, bytes(1040 - 32))
        else:
            assert b.read(a.write(bytes(1040 - 32))) == bytes(1008)
    a, b = ends()
    b.read(a.write())
    message = b.write()
    for cut in (message[:95], message[:-1], message + b"\x00"):
        other, _ = ends()
        other.write()
        refused_as(noise.HandshakeError, other.read, cut)
    for size in (0, 31, 33):
        refused_as(CryptoError, noise.Handshake, True, b"", Vault(INITIATOR), bytes(size))


def test_points_of_low_order_are_refused():
    _, b = ends()
    b.read(bytes(32))
    assert "low order" in refused_as(noise.HandshakeError, b.write)
    a, _ = ends()
    a.write()
    assert "low order" in refused_as(noise.HandshakeError, a.read, bytes(96))
    # A peer that makes its own static key one of low order, everything else being right.
    low = Vault(RESPONDER)
    low.public = b"\x01" + bytes(31)
    low.dh = lambda public: b"\x01" * 32
    a, b = ends(responder=low)
    b.read(a.write())
    assert "low order" in refused_as(noise.HandshakeError, a.read, b.write())


def test_a_vault_that_fails_ends_the_handshake():
    for answer in (CryptoError("sealed"), bytes(32), bytes(31), b""):
        a, b = ends(responder=Vault(RESPONDER, answer))
        b.read(a.write())
        refused_as(noise.HandshakeError, b.write)
        assert b.over


def test_calls_out_of_turn_end_it():
    for wrong in (
        lambda a, b: a.read(bytes(32)),
        lambda a, b: a.split(),
        lambda a, b: b.write(),
        lambda a, b: b.split(),
        lambda a, b: (a.write(), a.write()),
    ):
        a, b = ends()
        refused_as(noise.OutOfTurnError, wrong, a, b)
        assert a.over != b.over
    for wrong in (lambda a, b: b.write(), lambda a, b: a.read(bytes(96))):  # a fourth message
        a, b = ends()
        b.read(a.write())
        a.read(b.write())
        b.read(a.write())
        refused_as(noise.OutOfTurnError, wrong, a, b)
    a, b = ends()
    shake(a, b)
    for call in (a.write, a.split, b.split):
        refused_as(noise.OutOfTurnError, call)
    refused_as(noise.OutOfTurnError, b.read, bytes(64))
    assert a.hash == b.hash and len(a.peer) == 32  # not secret, and still told


def test_records():
    a, b = ends(longest=1040)
    mine, yours = shake(a, b)
    for size in (0, 1, 1024):
        record = mine.encrypt(bytes(size))
        assert len(record) == size + noise.TAG and yours.decrypt(record) == bytes(size)
        assert mine.decrypt(yours.encrypt(b"back")) == b"back"
    assert mine.encrypt(b"same") != mine.encrypt(b"same")
    refused_as(noise.RecordError, mine.encrypt, bytes(1025))
    refused_as(noise.OutOfTurnError, mine.encrypt, b"")
    refused_as(noise.OutOfTurnError, mine.decrypt, yours.encrypt(b""))
    assert mine.over and not yours.over


def test_records_that_are_refused():
    for spoil in (
        lambda first, second: second,  # lost or out of order
        lambda first, second: first[:-1],
        lambda first, second: first + b"\x00",
        lambda first, second: bytes([first[0] ^ 1]) + first[1:],
        lambda first, second: first[:-1] + bytes([first[-1] ^ 128]),
        lambda first, second: b"",
        lambda first, second: first[:15],
        lambda first, second: bytes(70000),
    ):
        mine, yours = shake(*ends())
        record = spoil(mine.encrypt(b"first"), mine.encrypt(b"second"))
        refused_as(noise.RecordError, yours.decrypt, record)
        refused_as(noise.OutOfTurnError, yours.decrypt, record)
        refused_as(noise.OutOfTurnError, yours.encrypt, b"")
    mine, yours = shake(*ends())
    record = mine.encrypt(b"once")
    yours.decrypt(record)
    refused_as(noise.RecordError, yours.decrypt, record)  # repeated
    mine, _ = shake(*ends())
    refused_as(noise.RecordError, mine.decrypt, mine.encrypt(b"its own"))  # reflected


def test_numbers_end():
    mine, yours = shake(*ends())
    mine._sending.count = yours._receiving.count = (1 << 64) - 2
    assert yours.decrypt(mine.encrypt(b"last")) == b"last"
    refused_as(noise.NoncesUsedUpError, mine.encrypt, b"")
    refused_as(noise.NoncesUsedUpError, yours.decrypt, bytes(16))
    assert mine.over and yours.over


def test_the_ephemeral_key_is_wiped():
    a, b = ends()
    held = [end._ephemeral._private for end in (a, b)]
    shake(a, b)
    assert held == [bytes(32), bytes(32)]
