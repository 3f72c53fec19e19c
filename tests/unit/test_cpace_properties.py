"""CPace on random input: agreement, altered bytes, and the map by other arithmetic."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.crypto import CryptoError, cpace, hkdf

P = 2**255 - 19
A = 486662

scalars = st.binary(min_size=32, max_size=32)
digits = st.text("0123456789", min_size=6, max_size=6).map(str.encode)
texts = st.binary(max_size=300)


def by_the_steps_of_rfc_9380(u: int) -> int:
    """map_to_curve_elligator2 as 6.7.1 lists its steps, with a Legendre symbol by reciprocity."""
    x1 = -A * pow(1 + 2 * u * u, -1, P) % P
    gx1 = (pow(x1, 3, P) + A * x1 * x1 + x1) % P
    x2 = (-x1 - A) % P
    return x1 if jacobi(gx1) >= 0 else x2


def jacobi(a: int) -> int:
    """(a / P), by quadratic reciprocity and not by Euler's power."""
    n, result = P, 1
    a %= n
    while a:
        while a % 2 == 0:
            a //= 2
            if n % 8 in (3, 5):
                result = -result
        a, n = n, a
        if a % 4 == 3 and n % 4 == 3:
            result = -result
        a %= n
    return result if n == 1 else 0


@given(st.integers(0, 2**255 - 1))
@settings(deadline=None)
def test_the_map(u: int) -> None:
    x = cpace.elligator2(u)
    assert x == by_the_steps_of_rfc_9380(u)
    # A point of the curve, never of its twist; 0 is the point of order 2.
    assert jacobi(x * (x * x + A * x + 1)) == (1 if x else 0)


def test_the_map_at_the_edges() -> None:
    for u in (0, 1, P - 1, P, 2**255 - 1):
        assert cpace.elligator2(u) == by_the_steps_of_rfc_9380(u)


def pair(
    code_a: bytes, code_b: bytes, channel: bytes, one: bytes, two: bytes
) -> tuple[cpace.CPace, cpace.CPace]:
    return cpace.CPace(True, code_a, channel, one), cpace.CPace(False, code_b, channel, two)


@given(texts, texts, texts, texts, scalars, scalars, texts)
@settings(deadline=None)
def test_ends_that_hold_the_same_agree(
    code: bytes, channel: bytes, of_a: bytes, of_b: bytes, one: bytes, two: bytes, session: bytes
) -> None:
    a = cpace.CPace(True, code, channel, one, of_a, of_b, session)
    b = cpace.CPace(False, code, channel, two, of_b, of_a, session)
    if a.share == b.share:  # two scalars that clamp to one
        return
    b.receive(a.share)
    a.receive(b.share)
    a.verify(b.tag())
    b.verify(a.tag())
    assert a.key() == b.key()


@given(digits, digits, scalars, scalars)
@settings(deadline=None)
def test_another_code_is_refused(right: bytes, guess: bytes, one: bytes, two: bytes) -> None:
    a, b = pair(right, guess, b"channel", one, two)
    if a.share == b.share:
        return
    b.receive(a.share)
    a.receive(b.share)
    assert refused(a, b.tag()) == (right != guess)


def refused(end: cpace.CPace, tag: bytes) -> bool:
    try:
        end.verify(tag)
    except cpace.WrongCodeError:
        assert end.over
        return True
    return False


@given(scalars, scalars, st.booleans(), st.integers(0, 255))
@settings(deadline=None)
def test_an_altered_share_is_refused(one: bytes, two: bytes, of_a: bool, bit: int) -> None:
    a, b = pair(b"123456", b"123456", b"channel", one, two)
    shares = [bytearray(b.share), bytearray(a.share)]
    shares[of_a][bit // 8] ^= 1 << bit % 8
    try:
        a.receive(shares[0])
        b.receive(shares[1])
    except cpace.ShareError:
        return
    assert refused(a, b.tag())


def test_every_flipped_bit_of_a_tag_is_refused() -> None:
    for bit in range(8 * cpace.TAG):
        a, b = pair(b"123456", b"123456", b"channel", b"\x01" * 32, b"\x02" * 32)
        b.receive(a.share)
        a.receive(b.share)
        tag = bytearray(b.tag())
        tag[bit // 8] ^= 1 << bit % 8
        assert refused(a, tag)


@given(st.binary(max_size=40), st.binary(max_size=70), st.booleans())
@settings(deadline=None)
def test_any_bytes_are_refused_by_name(share: bytes, tag: bytes, first: bool) -> None:
    end = cpace.CPace(first, b"123456", b"channel", b"\x07" * 32)
    try:
        end.receive(share)
    except cpace.ShareError:
        assert end.over
    else:
        assert refused(end, tag)


def test_a_share_is_x25519_of_the_generator() -> None:
    """By ``cryptography`` alone: the scalar is clamped as RFC 7748 says, no more is done."""
    scalar = bytes(range(32))
    generator = X25519PublicKey.from_public_bytes(cpace.generator(b"123456", b"", b""))
    theirs = X25519PrivateKey.from_private_bytes(scalar).exchange(generator)
    assert cpace.CPace(True, b"123456", b"", scalar).share == theirs


CALLS = ("receive", "honest", "tag", "verify", "true tag", "key", "wipe")


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(CALLS), st.binary(max_size=70)), max_size=10),
)
@settings(deadline=None)
def test_any_order_of_calls_is_a_run_or_a_named_error(
    first: bool, calls: list[tuple[str, bytes]]
) -> None:
    """After an error no call succeeds; the key comes only after the peer's true tag, and A's
    tag only after B's."""
    a, b = pair(b"123456", b"123456", b"channel", b"\x01" * 32, b"\x02" * 32)
    end, peer = (a, b) if first else (b, a)
    peer.receive(end.share)
    true_tag = hkdf.hmac_sha512(peer._mac_key, cpace.lv_cat(peer.share, b""))
    over = verified = False
    for name, data in calls:
        try:
            if name == "receive":
                end.receive(data)
            elif name == "honest":
                end.receive(peer.share)
            elif name == "tag":
                end.tag()
                assert verified or not first
            elif name == "verify":
                end.verify(data)
                raise AssertionError("a tag of nobody")
            elif name == "true tag":
                end.verify(true_tag)
                verified = True
            elif name == "key":
                assert end.key() == bytes(peer._key) and verified
            else:
                end.wipe()
                over = True
                continue
        except CryptoError as error:
            assert isinstance(error, cpace.CPaceError) and end.over
            over = True
        else:
            assert not over
