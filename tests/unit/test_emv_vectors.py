"""Public CA keys pass or fail their hash as the list says; TLV against pyemv."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyemv import tlv as peer

from firmware.payment.emv import tlv
from firmware.payment.emv.config import Capk, ConfigError, capk_hash
from tests.support.vectors import vectors


def test_public_ca_keys() -> None:
    keys = vectors("capk.json")["capks"]
    taken = 0
    for key in keys:
        parts = [bytes.fromhex(key[name]) for name in ("rid", "index", "modulus", "exponent")]
        rid, index, modulus, exponent = parts
        digest = bytes.fromhex(key["sha1"])
        assert capk_hash(rid, index[0], modulus, exponent) == digest
        try:
            Capk(rid, index[0], modulus, exponent, digest)
        except ConfigError as error:
            # odd entries of the lists: other exponents, moduli that are none
            assert (
                int.from_bytes(exponent, "big") not in (3, 65537)
                or not modulus[-1] & 1
                or (len(modulus) < 40 or len(modulus) > 248 or not modulus[0])
            ), str(error)
            continue
        taken += 1
        with pytest.raises(ConfigError):
            Capk(rid, index[0], modulus, exponent, digest[:-1] + bytes((digest[-1] ^ 1,)))
    assert taken > 150


_PRIMITIVE = st.sampled_from(["5A", "57", "9F02", "9F37", "95", "DF8129", "5F2A"])
_OBJECTS = st.recursive(
    st.dictionaries(_PRIMITIVE, st.binary(max_size=300), max_size=5),
    lambda inner: st.dictionaries(
        st.sampled_from(["70", "E1", "BF0C", "FF8105"]), inner, max_size=3
    ),
    max_leaves=12,
)


def _as_dict(nodes: list[tlv.Node]) -> dict[str, object]:
    return {
        f"{node.tag:X}": node.value if node.children is None else _as_dict(node.children)
        for node in nodes
    }


def _encoded(table: dict[str, object]) -> bytes:
    return b"".join(
        tlv.encode(int(tag, 16), value if isinstance(value, bytes) else _encoded(value))  # type: ignore[arg-type]  # only bytes and dicts occur
        for tag, value in table.items()
    )


@given(_OBJECTS)
def test_tlv_agrees_with_pyemv(table: dict[str, object]) -> None:
    data = peer.encode(table)
    assert _as_dict(tlv.parse(data)) == table
    assert _encoded(table) == data


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_name_an_offset(data: bytes) -> None:
    try:
        nodes = tlv.parse(data)
    except tlv.TlvError as error:
        assert 0 <= error.offset < len(data)
        return
    for node in nodes:
        assert tlv.raw(data, node).endswith(node.value)
        assert data[node.offset : node.offset + len(tlv.raw(data, node))] == tlv.raw(data, node)
