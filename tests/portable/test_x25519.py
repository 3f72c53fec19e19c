"""X25519, backend and portable: values that RFC 7748 and CPace's draft print."""

from firmware.crypto import x25519
from tests.portable.crypto_cases import error_of, h

#: RFC 7748, 5.2 and 6.1: scalar, u, result.
VECTORS = (
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ),
    (
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ),
)

#: draft-irtf-cfrg-cpace-21, B.1.10: scalar; points of low order or out of range, results.
SCALAR = "af46e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449aff"
LOW_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)
NOT_REDUCED = (
    (
        "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "d8e2c776bbacd510d09fd9278b7edcd25fc5ae9adfba3b6e040e8d3b71b21806",
    ),
    (
        "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "c85c655ebe8be44ba9c0ffde69f2fe10194458d137f09bbff725ce58803cdb38",
    ),
    (
        "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "db64dafa9b8fdd136914e61461935fe92aa372cb056314e1231bc4ec12417456",
    ),
    (
        "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
        "e062dcd5376d58297be2618c7498f55baa07d7e03184e8aada20bca28888bf7a",
    ),
    (
        "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
        "993c6ad11c4c29da9a56f7691fd0ff8d732e49de6250b6c2e80003ff4629a175",
    ),
)


def test_published_values():
    for scalar, u, result in VECTORS:
        for multiply in (x25519.multiply, x25519.multiply_portable):
            assert multiply(h(scalar), h(u)) == h(result)
            assert multiply(bytearray(h(scalar)), bytearray(h(u))) == h(result)
        assert x25519.shared(h(scalar), h(u)) == h(result)
    for private, peer in ((VECTORS[2], VECTORS[3]), (VECTORS[3], VECTORS[2])):
        assert x25519.public(h(private[0])) == h(peer[1])
    base = b"\x09" + bytes(31)
    # RFC 7748, 5.2: the first of the iterated values.
    once = h("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    assert x25519.multiply_portable(base, base) == x25519.multiply(base, base) == once


def test_points_of_low_order_are_refused():
    for u in LOW_ORDER:
        for multiply in (x25519.multiply, x25519.multiply_portable):
            assert multiply(h(SCALAR), h(u)) == bytes(32)
        assert isinstance(error_of(x25519.shared, h(SCALAR), h(u)), x25519.LowOrderError)
        assert isinstance(error_of(x25519.KeyPair(h(SCALAR)).dh, h(u)), x25519.LowOrderError)


def test_numbers_above_the_field_are_reduced():
    for u, result in NOT_REDUCED:
        for multiply in (x25519.multiply, x25519.multiply_portable):
            assert multiply(h(SCALAR), h(u)) == h(result)


def test_lengths():
    for size in (0, 31, 33):
        for multiply in (x25519.multiply, x25519.multiply_portable):
            error_of(multiply, bytes(size), bytes(32))
            error_of(multiply, bytes(32), bytes(size))
        error_of(x25519.public, bytes(size))
        error_of(x25519.KeyPair, bytes(size))


def test_a_wiped_pair_refuses():
    private = bytearray(h(VECTORS[2][0]))
    pair = x25519.KeyPair(private)
    assert pair.dh(h(VECTORS[2][1])) == h(VECTORS[2][2])
    held = pair._private
    pair.wipe()
    assert held == bytes(32)
    error_of(pair.dh, h(VECTORS[2][1]))
    assert private == h(VECTORS[2][0])  # the caller's own copy is the caller's to wipe
