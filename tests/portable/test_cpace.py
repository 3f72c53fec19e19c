"""CPace, both ends: the draft's vectors, the confirmation, what is refused."""

from firmware.crypto import CryptoError, cpace, x25519
from tests.portable.crypto_cases import h, refused_as
from tests.portable.test_x25519 import LOW_ORDER

#: draft-irtf-cfrg-cpace-21, B.1.1 to B.1.5; then the same of an earlier state of the draft,
#: whose channel identifier and scalars differ.
VECTORS = (
    {
        "channel": "0b415f696e69746961746f720b425f726573706f6e646572",
        "g": "d04bf6d41f6a289632a2e929fa29bebd51092512a7829fdde7d314b62f05a73f",
        "ya": "21b4f4bd9e64ed355c3eb676a28ebedaf6d8f17bdc365995b319097153044080",
        "Ya": "1d13c89278cdadd826f6d8d7f887701430f8380ddc17611cdd6dc989ce0c9f32",
        "yb": "848b0779ff415f0af4ea14df9dd1d3c29ac41d836c7808896c4eba19c51ac40a",
        "Yb": "248cccf6d5cdc3646f0ad593f9e6cef4e69d4945f8372e623512ecea32185623",
        "K": "5b067effbdc0b2a0e1d907b21ebb25cfedb96a852179a847c37e43ee71322c6b",
        "ISK": "6e19b875f7a561d6b3ca3dbb9ef42ac55de3e717881018204b8922b4d5e53bb2"
        "aa82c300bea7b65d2b671da71922ddf6472301b79bc270adfa8bf413285f2263",
    },
    {
        "channel": "0a41696e69746961746f720a42726573706f6e646572",
        "g": "4e6098733061c0e8486611a904fe5edb049804d26130a44131a6229e55c5c321",
        "ya": "45acf93116ae5d3dae995a7c627df2924321a8e857d9a200807131e38839b0c2",
        "Ya": "6f7fd31863b18b0cc9830fc842c60dea80120ccf2fd375498225e45a52065361",
        "yb": "a145e914b347002d298ce2051394f0ed68cf3623dfe5db082c78ffa5a667acdc",
        "Yb": "e1b730a4956c0f853d96c5d125cebeeea46952c07c6f66da65bd9ffd2f71a462",
        "K": "2a905bc5f0b93ee72ac4b6ea8723520941adfc892935bf6f86d9e199befa6024",
        "ISK": "99a9e0ff35acb94ad8af1cd6b32ac409dc7d00557ccd9a7d19d3b4629e5f1f08"
        "4f9332096162438c7ecc78331b4eda17e1a229a47182eccc9ea58cd9cdcd8e9a",
    },
)
CODE = b"Password"
SESSION = h("7e4b4791d6a8ef019b936c79fb7f2c57")
A_SCALAR, B_SCALAR = bytes(range(32)), bytes(range(1, 33))


def ends(code_b=b"123456", channel_b=b"channel"):
    a = cpace.CPace(True, bytearray(b"123456"), b"channel", bytearray(A_SCALAR))
    return a, cpace.CPace(False, code_b, channel_b, B_SCALAR)


def test_lengths_and_padding():
    # A.1.2, A.1.4 and the generator string of B.1.1.
    assert cpace.lv_cat(b"") == b"\x00"
    assert cpace.lv_cat(bytes(range(127))) == b"\x7f" + bytes(range(127))
    assert cpace.lv_cat(bytes(range(128))) == b"\x80\x01" + bytes(range(128))
    assert cpace.lv_cat(b"1234", b"5", b"", b"678") == h("043132333401350003363738")
    channel = h(VECTORS[0]["channel"])
    string = cpace.generator_string(CODE, channel, SESSION)
    head = h("0843506163653235350850617373776f72646d") + bytes(109)
    assert string == head + b"\x18" + channel + b"\x10" + SESSION and len(head) == 128
    long = cpace.generator_string(bytes(200), b"", b"")
    assert long == cpace.lv_cat(cpace.DSI, bytes(200), b"", b"", b"")


def test_the_drafts_vectors():
    for vector in VECTORS:
        channel = h(vector["channel"])
        assert cpace.generator(CODE, channel, SESSION) == h(vector["g"])
        a = cpace.CPace(True, CODE, channel, h(vector["ya"]), b"ADa", b"ADb", SESSION)
        b = cpace.CPace(False, CODE, channel, h(vector["yb"]), b"ADb", b"ADa", SESSION)
        assert a.share == h(vector["Ya"]) and b.share == h(vector["Yb"])
        assert x25519.shared(h(vector["ya"]), b.share) == h(vector["K"])
        a.receive(b.share)
        b.receive(bytearray(a.share))
        a.verify(b.tag())
        b.verify(a.tag())
        assert a.key() == b.key() == h(vector["ISK"])


def test_both_ends_agree():
    a, b = ends()
    b.receive(a.share)
    a.receive(b.share)
    from_b = b.tag()
    assert len(from_b) == cpace.TAG
    a.verify(from_b)
    b.verify(bytearray(a.tag()))
    assert a.key() == b.key() and len(a.key()) == 64
    a.wipe()
    refused_as(cpace.CPaceError, a.key)


def test_another_code_or_channel_is_refused():
    for code, channel in (
        (b"123457", b"channel"),
        (b"123456", b"channeL"),
        (b"12345", b"6channel"),
    ):
        a, b = ends(code, channel)
        b.receive(a.share)
        a.receive(b.share)
        refused_as(cpace.WrongCodeError, a.verify, b.tag())
        for call in (a.tag, a.key):
            refused_as(cpace.CPaceError, call)
        assert a.over and bytes(a._key) == bytes(64) == bytes(a._mac_key)


def test_altered_tags_are_refused():
    for at in (0, 31, 63):
        a, b = ends()
        b.receive(a.share)
        a.receive(b.share)
        tag = bytearray(b.tag())
        tag[at] ^= 1
        refused_as(cpace.WrongCodeError, a.verify, tag)
        refused_as(cpace.CPaceError, a.verify, b.tag())  # one guess
    for size in (0, 63, 65):
        a, b = ends()
        b.receive(a.share)
        refused_as(cpace.WrongCodeError, b.verify, bytes(size))


def test_what_is_no_share_is_refused():
    for share in [h(u) for u in LOW_ORDER] + [b"", bytes(31), bytes(33)]:
        for end in ends():
            refused_as(cpace.ShareError, end.receive, share)
            assert end.over
    for end in ends():
        refused_as(cpace.ShareError, end.receive, end.share)
    for size in (0, 31, 33):
        refused_as(CryptoError, cpace.CPace, True, b"123456", b"", bytes(size))


def test_an_end_acts_in_its_turn_only():
    for wrong in (
        lambda a, b: a.tag(),
        lambda a, b: a.verify(bytes(64)),
        lambda a, b: a.key(),
        lambda a, b: (a.receive(b.share), a.tag()),  # A's tag before B's verified
        lambda a, b: (a.receive(b.share), a.receive(b.share)),
        lambda a, b: (b.receive(a.share), b.key()),
    ):
        a, b = ends()
        refused_as(cpace.CPaceError, wrong, a, b)
        assert a.over != b.over


def test_secrets_are_wiped():
    a, b = ends()
    scalar = a._scalar
    a.receive(b.share)
    assert scalar == bytes(32)
    held = (a._key, a._mac_key)
    a.wipe()
    assert held == (bytes(64), bytes(64))
