"""ISO 8583 codec, frame and subfields on both interpreters."""

from binascii import hexlify, unhexlify

from firmware.payment.host import frame, subfields, unionpay
from firmware.payment.host.iso8583 import Codec, Dialect, Field, Iso8583Error, Message

CODEC = unionpay.codec()

# A published stripe sale (message authentication block of a tutorial, with a MAC).
SALE = unhexlify(
    "0200302004C020C0981100000000000000005100183402100006324392260009942820D13121011200843931363838"
    "30313430303030303030303030303030303031313536ACF46E73838A82F926000000000000000008220000013841"
    "394539314238"
)


def refused(action, *args):
    try:
        action(*args)
    except Iso8583Error as error:
        return error
    raise AssertionError("was not refused")


def test_published_sale_is_read_field_by_field():
    message = CODEC.decode(SALE)
    assert message.mti == "0200"
    assert message.fields[3] == "000000"
    assert message.fields[4] == "000000000051"
    assert message.fields[11] == "001834"
    assert message.fields[22] == "021"
    assert message.fields[26] == "06"
    assert message.fields[35] == "4392260009942820D131210112008439"
    assert message.fields[41] == "16880140"
    assert message.fields[49] == "156"
    assert message.fields[52] == unhexlify("ACF46E73838A82F9")
    assert message.fields[60] == "22000001"
    assert message.fields[64] == b"8A9E91B8"
    assert CODEC.encode(message) == SALE


def test_what_is_compiled_is_forgotten_and_made_again():
    codec = unionpay.codec()
    message = codec.decode(SALE)
    assert codec.encode(message) == SALE
    codec.forget()
    assert not codec._encoders and not codec._decoders and not codec._plans
    assert codec.encode(codec.decode(SALE)) == SALE
    # Only what a message has is compiled.
    assert sorted(codec._encoders) == sorted(codec._decoders) == sorted(message.fields)
    codec.forget()
    assert refused(codec.encode, Message("0200", {5: "1"})).field == 5


def test_odd_digits_are_packed_on_the_side_of_the_standard():
    encoded = CODEC.encode(Message("0200", {22: "051", 23: "001"}))
    assert hexlify(encoded[10:]) == b"05100001"
    encoded = CODEC.encode(Message("0200", {2: "6222021234567890128"}))
    assert hexlify(encoded[10:]) == b"1962220212345678901280"
    assert CODEC.decode(encoded).fields[2] == "6222021234567890128"


def test_track_separator_may_be_written_both_ways():
    one = CODEC.encode(Message("0200", {35: "4392260009942820=1312"}))
    two = CODEC.encode(Message("0200", {35: "4392260009942820d1312"}))
    assert one == two
    assert CODEC.decode(one).fields[35] == "4392260009942820D1312"


def test_a_track_may_be_padded_with_0_or_f():
    zero = CODEC.encode(Message("0200", {35: "123"}))
    assert zero[-2:] == b"\x12\x30"
    assert CODEC.decode(zero[:-1] + b"\x3f").fields[35] == "123"
    error = refused(CODEC.decode, zero[:-1] + b"\x35")
    assert error.field == 35
    assert error.offset == len(zero) - 2


def test_errors_name_field_and_offset():
    error = refused(CODEC.decode, SALE[:-1])
    assert error.field == 64
    assert error.offset == len(SALE) - 8
    assert "field 64 at offset" in str(error)
    error = refused(CODEC.decode, SALE + b"\x00")
    assert error.offset == len(SALE)
    broken = SALE[:10] + b"\x0a" + SALE[11:]
    error = refused(CODEC.decode, broken)
    assert (error.field, error.offset) == (3, 10)
    error = refused(CODEC.decode, b"\x02\x0a" + SALE[2:])
    assert error.part == "MTI"
    error = refused(CODEC.decode, b"\x02\x00\x80" + SALE[3:])
    assert "bitmap" in str(error)
    assert error.offset == 2
    error = refused(CODEC.decode, b"\x02\x00\x08" + SALE[3:])
    assert (error.field, error.offset) == (5, 2)
    assert refused(CODEC.decode, b"").offset == 0


def test_lengths_are_decimal_and_bounded():
    head = b"\x02\x00\x40" + bytes(7)
    assert refused(CODEC.decode, head).field == 2
    assert "not decimal" in str(refused(CODEC.decode, head + b"\x1a"))
    assert "over 19" in str(refused(CODEC.decode, head + b"\x20" + bytes(10)))
    assert "needs 10 bytes" in str(refused(CODEC.decode, head + b"\x19" + bytes(9)))


def test_encoding_refuses_what_does_not_fit():
    for number, value in (
        (3, "00000"),
        (3, "0000000"),
        (3, "00000a"),
        (3, b"000000"),
        (3, "٠٠٠٠٠٠"),
        (2, "1" * 20),
        (35, "12E"),
        (39, "0"),
        (39, "\x00\x01"),
        (41, "1234567\n"),
        (52, b"1234567"),
        (52, "12345678"),
        (55, b"x" * 256),
        (63, "\u4e2d"),
        (63, "a\x1b"),
        (5, "1"),
        (65, "1"),
        (1, "1"),
    ):
        error = refused(CODEC.encode, Message("0200", {number: value}))
        assert error.field == number
        assert error.offset is None
    assert refused(CODEC.encode, Message("020", {})).part == "MTI"
    assert refused(CODEC.encode, Message("02x0", {})).part == "MTI"


def test_a_dialect_in_ascii_with_secondary_bitmap():
    rows = [
        Field(2, "n", 2, 19, packed=False),
        Field(3, "n", 0, 6, packed=False),
        Field(48, "ans", 3, 999),
        Field(70, "n", 0, 3, packed=False),
        Field(128, "b", 0, 8),
    ]
    codec = Codec(Dialect("plain", rows, packed=False, secondary=True))
    message = Message("0800", {2: "4000", 3: "990000", 48: "hello", 70: "301", 128: b"12345678"})
    encoded = codec.encode(message)
    assert encoded[:4] == b"0800"
    assert encoded[4:20] == unhexlify("E0000000000100000400000000000001")
    assert encoded[20:] == b"044000990000005hello30112345678"
    assert codec.decode(encoded) == message
    assert refused(codec.decode, encoded[:10]).part in ("", "bitmap")
    short = codec.encode(Message("0800", {3: "990000"}))
    assert len(short) == 4 + 8 + 6
    assert codec.decode(short).fields == {3: "990000"}


def test_a_wrong_dialect_is_refused():
    assert refused(Field, 2, "q", 0, 1).field == 2
    assert refused(Field, 2, "n", 2, 100).field == 2
    twice = Dialect("x", [Field(3, "n", 0, 6), Field(3, "n", 0, 6)])
    assert refused(Codec, twice).field == 3


def test_many_bitmaps_do_not_grow_memory():
    codec = Codec(Dialect("x", [Field(n, "b", 0, 1) for n in range(2, 65)]))
    for n in range(2, 65):
        assert codec.decode(codec.encode(Message("0800", {n: b"z"}))).fields == {n: b"z"}
    assert len(codec._plans) <= 24


def test_repr_hides_values():
    assert "4392" not in repr(CODEC.decode(SALE))


def test_frames_are_cut_from_any_pieces():
    tpdu, header = unhexlify("6000030000"), unhexlify("603100311200")
    one = frame.encode_frame(frame.Frame(tpdu, header, SALE))
    for size in (1, 2, 7, 1000):
        reader = frame.FrameReader()
        got = []
        stream = one + one
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
            cut = reader.next()
            while cut is not None:
                got.append(cut)
                cut = reader.next()
        assert [item.body for item in got] == [SALE, SALE]
        assert got[0].tpdu == tpdu
        assert got[0].header == header
    assert frame.swapped(unhexlify("6000031234")) == unhexlify("6012340003")


def test_impossible_frames_are_refused_at_once():
    reader = frame.FrameReader()
    reader.feed(b"\xff\xff")
    assert refused(reader.next).part == "length"
    reader = frame.FrameReader()
    reader.feed(b"\x00\x05")
    assert refused(reader.next).part == "length"
    good = frame.encode_frame(frame.Frame(b"\x60" + bytes(4), bytes(6), SALE))
    assert refused(frame.decode_frame, good[:-1]).part == "length"
    assert refused(frame.decode_frame, good + b"\x00").part == "length"
    assert refused(frame.decode_frame, good[:2] + b"\x61" + good[3:]).part == "TPDU"
    assert refused(frame.decode_frame, b"").part == "length"
    assert refused(frame.encode_frame, frame.Frame(b"", bytes(6), SALE)).part == "TPDU"
    assert refused(frame.encode_frame, frame.Frame(bytes(5), b"", SALE)).part == "header"
    assert refused(frame.encode_frame, frame.Frame(bytes(5), bytes(6), bytes(5000))).part


def test_header_digits():
    named = unionpay.header_digits(unhexlify("603100311200"))
    assert named["class"] == "60"
    assert named["version"] == "31"
    assert named["status"] == "0"
    assert named["demand"] == "0"
    assert named["reserved"] == "311200"


def test_subfields_stop_anywhere_but_not_inside():
    assert subfields.split_60("22000001") == {"60.1": "22", "60.2": "000001"}
    full = "22000001000501123"
    assert subfields.join_60(subfields.split_60(full)) == full
    assert refused(subfields.split_60, "2200").field == 60
    assert refused(subfields.split_60, full + "0").field == 60
    assert refused(subfields.join_60, {"60.1": "22", "60.3": "000"}).field == 60
    assert refused(subfields.join_60, {"60.9": "22"}).field == 60
    text = "000001000002112100"
    assert subfields.join_61(subfields.split_61(text)) == text
    assert subfields.split_54("1002156C000000012345")["54.5"] == "000000012345"
    assert refused(subfields.split_54, "1002156X000000012345").field == 54
    assert refused(subfields.split_54, "1002").field == 54
    assert subfields.split_63("CUPtext") == {"63.1": "CUP", "63.2": "text"}
    assert subfields.join_63({"63.1": "CUP", "63.2": "text"}) == "CUPtext"
    assert refused(subfields.split_63, "C").field == 63


def test_batch_rows():
    row = {"type": "00", "stan": "000001", "pan": "0" * 4 + "6" * 16, "amount": "0" * 11 + "1"}
    text = subfields.join_48_rows([row, row])
    assert text[:2] == "02"
    assert subfields.split_48_rows(text) == [row, row]
    assert refused(subfields.split_48_rows, text + "0").field == 48
    assert refused(subfields.split_48_rows, "99").field == 48
    totals = "0" * 62
    assert subfields.join_48_totals(subfields.split_48_totals(totals)) == totals


def test_key_blocks():
    for size, names in ((24, 2), (40, 2), (60, 3)):
        block = bytes(range(size))
        parts = subfields.split_62_keys(block)
        assert len(parts) == names * 2
        assert subfields.join_62_keys(parts) == block
    assert refused(subfields.split_62_keys, bytes(41)).field == 62


def test_field_55_errors_carry_the_offset():
    nodes = subfields.split_55(unhexlify("9F2608" + "11" * 8 + "9505" + "00" * 5))
    assert [node.tag for node in nodes] == [0x9F26, 0x95]
    error = refused(subfields.split_55, unhexlify("95059F"))
    assert error.field == 55
    assert refused(subfields.join_55, [(0x9F10, bytes(255))]).field == 55
    assert refused(subfields.join_55, [(0x9F, b"")]).field == 55
