"""Reading application data (Book 3, 10.2, 7.2, 7.5) and data object lists (5.4)."""

from firmware.payment.emv import dol, tlv
from firmware.payment.emv.tlv import TlvError
from tests.portable.emv_card import FakeCard, drive, template


def _ends(card, rule, reason="card_data"):
    run = drive(card)
    assert run.outcome.kind == "terminated", run.outcome
    assert run.outcome.reason == reason
    assert rule in run.rules(), run.rules()


def test_afl_that_cannot_be():
    for afl, rule in (
        ("00010100", "B3 10.2 a"),
        ("F8010100", "B3 10.2 a"),
        ("09010100", "B3 10.2 a"),
        ("08000100", "B3 10.2 b"),
        ("08030200", "B3 10.2 b"),
        ("08010102", "B3 10.2 c"),
        ("0801FF00", "house c"),
    ):
        card = FakeCard()
        card.afl = bytes.fromhex(afl)
        _ends(card, rule)


def test_afl_outside_the_file():
    card = FakeCard()
    card.afl = bytes.fromhex("0801020010010300")
    _ends(card, "B3 10.2 e", "record_missing")


def test_record_not_in_template_70():
    for record in ("6F055A03123456", "5A03123456", ""):
        card = FakeCard()
        card.answers["00B2010C"] = (bytes.fromhex(record), 0x9000)
        _ends(card, "B3 10.2 f")


def test_record_that_is_no_tlv():
    card = FakeCard()
    card.answers["00B2010C"] = (bytes.fromhex("70055A0812"), 0x9000)
    _ends(card, "B3 7.5 a")


def test_object_twice():
    card = FakeCard()
    card.data[0x5F24] = bytes.fromhex("491231")
    _ends(card, "B3 10.2 d")


def test_mandatory_objects():
    for tag in (0x5F24, 0x5A, 0x8C, 0x8D):
        card = FakeCard()
        (card.static if tag in card.static else card.data)[tag] = None
        card.data[0x57] = None
        _ends(card, "B3 7.2 a")
    card = FakeCard()
    card.data[0x8C] = b""
    _ends(card, "B3 7.2 a")


def test_wrong_lengths_and_formats():
    for tag, value, rule in (
        (0x9F07, "FF", "B3 7.5 a"),
        (0x5F24, "4912", "B3 7.5 a"),
        (0x9F0D, "00", "B3 7.5 a"),
        (0x5F24, "491331", "B3 7.5 c"),
        (0x5F25, "4A0101", "B3 7.5 c"),
        (0x5A, "62109400000A0012", "B3 7.5 d"),
        (0x5A, "621094", "B3 7.5 d"),
        (0x5A, "6210940000000020", "house d"),
    ):
        card = FakeCard()
        card.static[tag] = bytes.fromhex(value)
        _ends(card, rule)


def test_a_card_cannot_set_terminal_objects():
    card = FakeCard()
    card.data[0x95] = bytes(5)
    card.data[0x9F02] = bytes(6)
    card.data[0x8A] = b"00"
    run = drive(card)
    assert run.outcome.kind == "approved"
    assert "B3 7.5 b" in run.rules()
    assert card.log[-1][7:13].hex() == "000000012345"


def test_padding_in_a_record():
    card = FakeCard()
    record = card.static_record()
    body = tlv.parse(record)[0].value
    card.answers["00B2010C"] = (tlv.encode(0x70, b"\x00" + body + b"\xff\xff\x00"), 0x9000)
    assert drive(card).outcome.kind == "approved"


def test_unknown_templates_are_ignored():
    card = FakeCard()
    extra = template(0x70, [(0xE1, b"\x5a\x01\x00")])
    card.answers["00B2021400"] = (extra, 0x9000)
    assert drive(card).outcome.kind == "approved"


def test_too_many_bytes():
    card = FakeCard()
    card.afl = bytes.fromhex("0801010110010300" + "F0013C00")
    for number in range(1, 0x3D):
        card.answers[f"00B2{number:02X}F4"] = (bytes(253), 0x9000)
    _ends(card, "house c")


def _raises(text, value=lambda tag: None):
    try:
        dol.build(bytes.fromhex(text), value)
    except TlvError:
        return
    raise AssertionError(text)


def test_dol_fits_values_by_format():
    assert dol.fit(0x9F02, bytes.fromhex("000000012345"), 3).hex() == "012345"
    assert dol.fit(0x9F02, bytes.fromhex("12345678"), 6).hex() == "000012345678"
    assert dol.fit(0x5A, bytes.fromhex("1234"), 4).hex() == "1234ffff"
    assert dol.fit(0x5A, bytes.fromhex("12345678"), 2).hex() == "1234"
    assert dol.fit(0x95, bytes.fromhex("8000048000"), 2).hex() == "8000"
    assert dol.fit(0x95, b"\x80", 3).hex() == "800000"
    assert dol.fit(0x9F1E, b"AB", 4) == b"AB\x00\x00"


def test_dol_unknown_and_constructed_are_zeros():
    known = {0x95: b"\x01" * 5, 0x70: b"\x02\x02"}
    built = dol.build(bytes.fromhex("9505 DF7902 7002 9F0203"), known.get)
    assert built.hex() == "0101010101" + "0000" + "0000" + "000000"


def test_dol_limits():
    assert len(dol.build(bytes.fromhex("DF79FC"), lambda tag: None)) == 252
    _raises("DF79FD")
    _raises("DF79FCDF7801")
    for text in ("9F", "9F02", "95", "9FFFFFFFFF01"):
        _raises(text)


def test_cdol_over_252_ends():
    card = FakeCard()
    card.data[0x8C] = bytes.fromhex("DF79FD")
    _ends(card, "B3 7.5 a")
