"""Our Noise sessions against the ``noiseprotocol`` package, and against altered bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from firmware.crypto import CryptoError, x25519
from firmware.link import noise

keys = st.binary(min_size=32, max_size=32)
payloads = st.binary(max_size=200)


def theirs(initiator: bool, prologue: bytes, static: bytes, ephemeral: bytes) -> NoiseConnection:
    end = NoiseConnection.from_name(noise.NAME)
    if initiator:
        end.set_as_initiator()
    else:
        end.set_as_responder()
    end.set_prologue(prologue)
    end.set_keypair_from_private_bytes(Keypair.STATIC, static)
    end.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
    with pytest.warns(UserWarning, match="ephemeral"):
        end.start_handshake()
    return end


@settings(deadline=None)
@given(
    st.booleans(),
    st.tuples(keys, keys, keys, keys),
    st.binary(max_size=60),
    st.tuples(payloads, payloads, payloads),
    st.lists(st.tuples(st.booleans(), payloads), max_size=4),
)
def test_a_session_with_the_other_package(
    initiator: bool,
    four: tuple[bytes, bytes, bytes, bytes],
    prologue: bytes,
    three: tuple[bytes, bytes, bytes],
    records: list[tuple[bool, bytes]],
) -> None:
    """We in either role; a twin of theirs in our place writes the same bytes."""
    static, ephemeral, other_static, other_ephemeral = four
    ours = noise.Handshake(initiator, prologue, x25519.KeyPair(static), ephemeral)
    twin = theirs(initiator, prologue, static, ephemeral)
    peer = theirs(not initiator, prologue, other_static, other_ephemeral)
    for step, payload in enumerate(three):
        if initiator == (step % 2 == 0):
            message = ours.write(payload)
            assert message == twin.write_message(payload)
            assert peer.read_message(message) == payload
        else:
            message = bytes(peer.write_message(payload))
            assert ours.read(message) == payload == twin.read_message(message)
    assert ours.hash == peer.get_handshake_hash() == twin.get_handshake_hash()
    assert ours.peer == x25519.public(other_static)
    session = ours.split()
    for outward, plain in records:
        if outward:
            record = session.encrypt(plain)
            assert record == twin.encrypt(plain) and peer.decrypt(record) == plain
        else:
            record = peer.encrypt(plain)
            assert session.decrypt(record) == plain == twin.decrypt(record)


STATIC = x25519.KeyPair(b"\x11" * 32), x25519.KeyPair(b"\x22" * 32)


def ends() -> tuple[noise.Handshake, noise.Handshake]:
    return (
        noise.Handshake(True, b"prologue", STATIC[0], b"\x33" * 32),
        noise.Handshake(False, b"prologue", STATIC[1], b"\x44" * 32),
    )


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


PAYLOADS = (b"", b"serial", b"name")


@pytest.mark.parametrize("step", (0, 1, 2))
def test_every_flipped_bit_of_a_handshake_ends_it(step: int) -> None:
    """At the latest when the end that did not notice has answered."""
    for bit in range(8 * (noise._BESIDE[step] + len(PAYLOADS[step]))):
        writer, reader = ends()
        for message in range(step):
            reader.read(writer.write(PAYLOADS[message]))
            writer, reader = reader, writer
        altered = flipped(writer.write(PAYLOADS[step]), bit)
        if step == 0:  # nothing protects message 1 but the hash that message 2 is bound to
            reader.read(altered)
            writer, reader = reader, writer
            altered = writer.write(PAYLOADS[1])
        with pytest.raises(noise.HandshakeError):
            reader.read(altered)
        assert reader.over
        with pytest.raises(noise.OutOfTurnError):
            reader.split()


def sessions() -> tuple[noise.Transport, noise.Transport]:
    a, b = ends()
    b.read(a.write())
    a.read(b.write())
    b.read(a.write())
    return a.split(), b.split()


def test_every_flipped_bit_of_a_record_ends_the_session() -> None:
    for bit in range(8 * (16 + 9)):
        mine, yours = sessions()
        with pytest.raises(noise.RecordError):
            yours.decrypt(flipped(mine.encrypt(b"9 bytes !"), bit))
        with pytest.raises(noise.OutOfTurnError):
            yours.decrypt(mine.encrypt(b""))


@settings(deadline=None)
@given(st.integers(0, 2), st.binary(max_size=300))
def test_any_bytes_end_a_handshake(step: int, junk: bytes) -> None:
    writer, reader = ends()
    for _ in range(step):
        reader.read(writer.write())
        writer, reader = reader, writer
    if step == 0 and len(junk) >= 32:
        assert reader.read(junk) == junk[32:]
        return
    with pytest.raises(noise.HandshakeError):
        reader.read(junk)


@settings(deadline=None)
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(("write", "read", "split", "honest")), st.binary(max_size=120)),
        max_size=8,
    ),
)
def test_any_order_of_calls_is_a_session_or_a_named_error(
    initiator: bool, calls: list[tuple[str, bytes]]
) -> None:
    """After an error no call succeeds any more; "honest" is the peer's true next message."""
    a, b = ends()
    end, peer = (a, b) if initiator else (b, a)
    failed = False
    for name, data in calls:
        try:
            if name == "write":
                message = end.write(data)
                if not peer.over:
                    peer.read(message)
            elif name == "honest":
                end.read(peer.write() if not peer.over else data)
            elif name == "read":
                end.read(data)
            else:
                end.split()
        except CryptoError as error:
            assert isinstance(error, noise.NoiseError)
            failed = failed or end.over
        else:
            assert not failed
