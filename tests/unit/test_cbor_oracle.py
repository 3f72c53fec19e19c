"""firmware.cbor against PyPI's cbor2 and against hostile bytes."""

from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from firmware.cbor import CborError, decode, encode

_INTS = st.integers(-(2**64), 2**64 - 1)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | _INTS | st.binary(max_size=300) | _TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_INTS | _TEXT, inner, max_size=5),
    max_leaves=25,
)


def _ordered(value: Any) -> Any:
    """Maps rebuilt in RFC 8949 order: cbor2's canonical mode still sorts by
    length first (RFC 7049), so it is given the order and asked for the rest."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


def _depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max((_depth(item) for item in value), default=0)
    if isinstance(value, dict):
        return 1 + max((_depth(item) for item in value.values()), default=0)
    return 0


@given(VALUES)
def test_same_bytes_as_cbor2_and_back(value: Any) -> None:
    if _depth(value) > 8:
        return
    raw = encode(value)
    assert raw == cbor2.dumps(_ordered(value))
    assert decode(raw) == value
    assert cbor2.loads(raw) == value


@given(st.dictionaries(st.integers(0, 2**64 - 1), _INTS, max_size=12))
def test_same_bytes_as_canonical_cbor2_where_both_orders_agree(value: dict[int, int]) -> None:
    assert encode(value) == cbor2.dumps(value, canonical=True)


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_their_own_encoding_or_are_refused(raw: bytes) -> None:
    try:
        value = decode(raw)
    except CborError as error:
        assert 0 <= error.offset <= len(raw)
        return
    assert encode(value) == raw


@given(VALUES, st.data())
def test_a_changed_byte_never_decodes_to_the_same_value(value: Any, data: st.DataObject) -> None:
    if _depth(value) > 8:
        return
    raw = bytearray(encode(value))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode(bytes(raw))
    except CborError:
        return
    assert encode(changed) == bytes(raw)
