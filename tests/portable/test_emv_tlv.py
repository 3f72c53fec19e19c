"""BER-TLV by EMV 4.4 Book 3, Annex B, and the padding found in the field."""

from firmware.payment.emv import tlv


def _refused(text, offset, **limits):
    try:
        tlv.parse(bytes.fromhex(text), **limits)
    except tlv.TlvError as error:
        assert error.offset == offset, str(error)
        return str(error)
    raise AssertionError("accepted " + text)


def _tags(text):
    return [node.tag for node in tlv.parse(bytes.fromhex(text))]


def test_nested_template():
    data = bytes.fromhex(
        "6F23840E325041592E5359532E4444463031A511BF0C0E610C4F07A0000000031010870101"
    )
    (fci,) = tlv.parse(data)
    assert fci.tag == 0x6F
    assert fci.value == data[2:]
    assert [n.tag for n in fci.children] == [0x84, 0xA5]
    assert fci.children[1].children[0].tag == 0xBF0C
    assert fci.children[1].offset == 18
    assert fci.children[0].children is None
    assert tlv.find([fci], 0x4F).value == bytes.fromhex("A0000000031010")
    assert tlv.find([fci], 0x50) is None


def test_padding_before_between_after():
    assert _tags("0000 5A0112 00 FF 570133 FFFF 00") == [0x5A, 0x57]
    assert _tags("FFFFFF 9F5701AA") == [0x9F57]
    assert _tags("FF 9F5701AA") == [0x9F57]


def test_private_tags_that_begin_ff():
    (node,) = tlv.parse(bytes.fromhex("FF8105 03 9F0100"))
    assert (node.tag, len(node.children)) == (0xFF8105, 1)
    (node,) = tlv.parse(bytes.fromhex("FF21 03 5A0112"))
    assert node.tag == 0xFF21
    # an object that ends in FF is not a run with the tag behind it
    nodes = tlv.parse(bytes.fromhex("5A01FF FF8105 03 9F0100"))
    assert [node.tag for node in nodes] == [0x5A, 0xFF8105]


def test_padding_inside_templates():
    (record,) = tlv.parse(bytes.fromhex("70 0A 00 5A0112 FFFF 570133 00"))
    assert [n.tag for n in record.children] == [0x5A, 0x57]


def test_duplicates_are_kept_and_empty_is_legal():
    nodes = tlv.parse(bytes.fromhex("5A0112 5A0134 8A00"))
    assert [(n.tag, n.value) for n in nodes] == [(0x5A, b"\x12"), (0x5A, b"\x34"), (0x8A, b"")]
    assert tlv.parse(b"") == []


def test_long_lengths():
    value = bytes(200)
    assert tlv.parse(tlv.encode(0x90, value))[0].value == value
    assert tlv.parse(bytes.fromhex("9F4B820001AA"))[0].value == b"\xaa"
    value = bytes(70000)
    assert tlv.parse(tlv.encode(0x90, value))[0].value == value


def test_malformed_names_the_offset():
    assert "follow" in _refused("5A 02 12", 0)
    assert "no length" in _refused("5A0112 57", 3)
    assert "tag runs" in _refused("5A0112 9F", 3)
    assert "indefinite" in _refused("70 80 5A0112 0000", 1)
    assert "length field" in _refused("5A 84 00000001 12", 1)
    assert "length runs" in _refused("5A 82 00", 1)
    assert "longer" in _refused("9F FF FF FF FF 01 00", 0)
    assert "follow" in _refused("70 05 5A 04 1234 56", 2)


def test_bounds():
    deep = b""
    for _ in range(12):
        deep = tlv.encode(0x70, deep)
    assert "deep" in _refused(deep.hex(), 16)
    many = "5A00" * 10
    assert "many" in _refused(many, 10, max_nodes=5)


def test_encode():
    assert tlv.encode(0x9F02, bytes(6)).hex() == "9f0206000000000000"
    assert tlv.encode(0x70, bytes(127))[:2].hex() == "707f"
    assert tlv.encode(0x70, bytes(128))[:3].hex() == "708180"
    for bad in (0, 0x9F, 0x5A5A, 0x9F80, 0x1F80808001):
        try:
            tlv.encode(bad, b"")
        except ValueError:
            continue
        raise AssertionError(hex(bad))
