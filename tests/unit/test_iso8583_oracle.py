"""The codec against pyiso8583, and hostile bytes."""

from typing import Any

import iso8583 as peer
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.payment.emv import tlv
from firmware.payment.host import frame, subfields, unionpay
from firmware.payment.host.frame import Frame, FrameReader
from firmware.payment.host.iso8583 import Iso8583Error, Message

CODEC = unionpay.codec()


def _peer(data: str, size: int, prefix: int = 0, pad: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {
        "data_enc": data,
        "len_enc": "bcd",
        "len_type": prefix,
        "max_len": size,
        "desc": "",
    }
    if pad:
        row["len_count"] = "nibbles"
        row[pad] = "0"
    return row


# Written here from the interface's field list, not from the terminal's table.
SPEC: dict[str, dict[str, Any]] = {
    "h": _peer("b", 0),
    "t": _peer("b", 2),
    "p": _peer("b", 8),
    "2": _peer("b", 19, 1, "right_pad"),
    "23": _peer("b", 3, 0, "left_pad"),
    "22": _peer("b", 3, 0, "right_pad"),
    "32": _peer("b", 11, 1, "right_pad"),
    "35": _peer("b", 37, 1, "right_pad"),
    "36": _peer("b", 104, 2, "right_pad"),
    "37": _peer("ascii", 12),
    "38": _peer("ascii", 6),
    "39": _peer("ascii", 2),
    "41": _peer("ascii", 8),
    "42": _peer("ascii", 15),
    "44": _peer("ascii", 25, 1),
    "48": _peer("b", 322, 2, "right_pad"),
    "49": _peer("ascii", 3),
    "52": _peer("b", 8),
    "54": _peer("ascii", 20, 2),
    "55": _peer("b", 255, 2),
    "58": _peer("latin-1", 100, 2),
    "59": _peer("latin-1", 600, 2),
    "60": _peer("b", 17, 2, "right_pad"),
    "61": _peer("b", 29, 2, "right_pad"),
    "62": _peer("b", 999, 2),
    "63": _peer("latin-1", 163, 2),
    "64": _peer("b", 8),
}
for _number, _size in ((3, 6), (4, 12), (11, 6), (12, 6), (13, 4), (14, 4), (15, 4), (25, 2),
                       (26, 2), (53, 16)):  # fmt: skip
    SPEC[str(_number)] = _peer("b", _size, 0, "right_pad")

_DIGITS = "0123456789"
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_AN = _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz "


def _value(number: int) -> st.SearchStrategy[Any]:
    row = next(row for row in CODEC.dialect.fields if row.number == number)
    least = 0 if row.prefix else row.size
    if row.content == "b":
        return st.binary(min_size=least, max_size=row.size)
    if row.content == "text":
        # One code point a byte: printable ones.
        codes = st.sampled_from([*range(0x20, 0x7F), *range(0x80, 0x100)]).map(chr)
        return st.text(codes, min_size=least, max_size=row.size)
    alphabet = {"n": _DIGITS, "z": _DIGITS + "D", "an": _AN, "ans": _ASCII}[row.content]
    text = st.text(alphabet, min_size=least, max_size=row.size)
    if row.content == "z":
        return text.filter(lambda track: not track or bool(track.replace("D", "")))
    return text


_ROWS = [row.number for row in CODEC.dialect.fields]
MESSAGES = st.lists(st.sampled_from(_ROWS), unique=True).flatmap(
    lambda numbers: st.builds(
        Message,
        st.text(_DIGITS, min_size=4, max_size=4),
        st.fixed_dictionaries({number: _value(number) for number in numbers}),
    )
)


@settings(max_examples=300, deadline=None)
@given(MESSAGES)
def test_round_trip_and_agreement_with_pyiso8583(message: Message) -> None:
    encoded = CODEC.encode(message)
    assert CODEC.decode(encoded) == message
    theirs: dict[str, str] = {"t": message.mti}
    for number, value in message.fields.items():
        theirs[str(number)] = value.hex().upper() if isinstance(value, bytes) else value
    their_bytes, _ = peer.encode(dict(theirs), SPEC)
    assert bytes(their_bytes) == encoded
    decoded, _ = peer.decode(encoded, SPEC)
    assert {key: value for key, value in decoded.items() if key.isdigit()} == {
        key: value for key, value in theirs.items() if key.isdigit()
    }


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        message = CODEC.decode(data)
    except Iso8583Error as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
    else:
        assert CODEC.decode(CODEC.encode(message)) == message


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.data())
def test_mutated_messages_raise_nothing_else(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(CODEC.encode(message))
    for _ in range(3):
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place] = data.draw(st.integers(0, 255))
    cut = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    for candidate in (bytes(encoded), cut):
        try:
            CODEC.decode(candidate)
        except Iso8583Error as error:
            assert "offset" in str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=20))
def test_hostile_streams_raise_nothing_else(pieces: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for piece in pieces:
            reader.feed(piece)
            while reader.next() is not None:
                pass
    except Iso8583Error:
        return
    assert len(reader._held) <= frame.MAX_FRAME + 80


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=10, max_size=300), max_size=5), st.integers(1, 60))
def test_frames_survive_any_cutting(bodies: list[bytes], size: int) -> None:
    stream = b"".join(
        frame.encode_frame(Frame(b"\x60" + bytes(4), bytes(6), body)) for body in bodies
    )
    reader = FrameReader()
    found = []
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
        while (cut := reader.next()) is not None:
            found.append(cut.body)
    assert found == bodies


_SPLITS = (
    (subfields.split_60, subfields.join_60),
    (subfields.split_61, subfields.join_61),
    (subfields.split_54, subfields.join_54),
    (subfields.split_48_totals, subfields.join_48_totals),
    (subfields.split_48_rows, subfields.join_48_rows),
    (subfields.split_63, subfields.join_63),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_SPLITS), st.text(_DIGITS + "CD", max_size=80))
def test_subfields_either_round_trip_or_name_their_field(pair: Any, text: str) -> None:
    split, join = pair
    try:
        parts = split(text)
    except Iso8583Error as error:
        assert error.field
        return
    assert join(parts) == text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=255))
def test_field_55_raises_nothing_else(data: bytes) -> None:
    try:
        nodes = subfields.split_55(data)
    except Iso8583Error as error:
        assert error.field == 55
        return
    assert all(isinstance(node, tlv.Node) for node in nodes)
