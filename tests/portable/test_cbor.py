"""firmware.cbor: RFC 8949 examples, the deterministic form, the bounds."""

from firmware.cbor import CborError, decode, encode

# RFC 8949, appendix A, the rows of our subset.
EXAMPLES: "tuple[tuple[object, str], ...]" = (
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
)


def _refused(text: str, offset: int, reason: str) -> None:
    try:
        decode(bytes.fromhex(text))
    except CborError as error:
        assert error.offset == offset, (text, error.offset, error.reason)
        assert reason in error.reason, (text, error.reason)
        assert str(offset) in str(error)
        return
    raise AssertionError(text + " was accepted")


def _no_form(obj: object, reason: str) -> None:
    try:
        encode(obj)
    except CborError as error:
        assert reason in error.reason, error.reason
        assert error.offset == -1
        return
    raise AssertionError("encoded")


def test_examples_of_the_standard_both_ways() -> None:
    for value, text in EXAMPLES:
        raw = bytes.fromhex(text)
        assert encode(value) == raw, text
        back = decode(raw)
        assert back == value and type(back) is type(value), text


def test_every_head_width_at_its_edges() -> None:
    for bits in (8, 16, 32, 64):
        for number in ((1 << bits) - 1, 1 << (bits // 2), (1 << (bits // 2)) - 1):
            assert decode(encode(number)) == number
            assert decode(encode(-1 - number)) == -1 - number


def test_map_keys_sort_by_their_encoded_bytes() -> None:
    value = {"aa": 1, "b": 2, -1: 3, 24: 4, 9: 5, 1000: 6}
    assert encode(value).hex() == "a60905181804" + "1903e806" + "2003" + "616202" + "62616101"
    assert decode(encode(value)) == value


def test_bytearray_and_tuple_are_bytes_and_list() -> None:
    assert decode(encode((bytearray(b"x"), (1,)))) == [b"x", [1]]


def test_shortest_form_only() -> None:
    for text in ("1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3800", "5801ff", "980100"):
        _refused(text, 0, "shortest")


def test_forms_outside_the_subset() -> None:
    _refused("f7", 0, "simple")
    _refused("f97e00", 0, "float")
    _refused("fb3ff0000000000000", 0, "float")
    _refused("81fa47c35000", 1, "float")
    _refused("c11a514b67b0", 0, "tag")
    _refused("5f42010243030405ff", 0, "indefinite")
    _refused("9fff", 0, "indefinite")
    _refused("1c", 0, "reserved")
    _refused("ff", 0, "simple")


def test_ends_and_surplus() -> None:
    _refused("", 0, "ends")
    _refused("18", 1, "ends")
    _refused("43ffff", 3, "ends")
    _refused("8201", 2, "ends")
    _refused("a101", 2, "ends")
    _refused("0000", 1, "after")
    _refused("9bffffffffffffffff", 9, "ends")
    _refused("bbffffffffffffffff", 9, "ends")
    _refused("5bffffffffffffffff", 9, "ends")


def test_map_keys_are_unique_ordered_and_plain() -> None:
    _refused("a201000100", 3, "duplicate")
    _refused("a202000100", 3, "order")
    _refused("a1f500", 1, "key")
    _refused("a1410000", 1, "key")
    _refused("a18000", 1, "key")


def test_text_is_utf8() -> None:
    for text in ("61ff", "61c3", "62c080", "63eda080", "63e08080", "64f4908080", "64f0808080"):
        _refused(text, 0, "UTF-8")
    _refused("8261616180", 3, "UTF-8")


def test_depth_is_bounded_both_ways() -> None:
    nested: object = 1
    for _ in range(8):
        nested = [nested]
    assert decode(encode(nested)) == nested
    _no_form([nested], "deep")
    _refused("81" * 9 + "01", 8, "deep")
    _refused("a101" * 9 + "01", 16, "deep")


def test_size_and_count_are_bounded() -> None:
    raw = encode([0] * 50)
    assert decode(raw, max_size=52, max_items=51) == [0] * 50
    for size, items, word in ((51, 51, "longer"), (52, 50, "many")):
        try:
            decode(raw, max_size=size, max_items=items)
        except CborError as error:
            assert word in error.reason
        else:
            raise AssertionError(word)


def test_values_without_a_form() -> None:
    _no_form(1 << 64, "64 bits")
    _no_form(-(1 << 64) - 1, "64 bits")
    _no_form(1.5, "float")
    _no_form(object(), "object")
    _no_form({b"k": 1}, "key")
    _no_form({None: 1}, "key")
    _no_form({(1, 2): 1}, "key")
