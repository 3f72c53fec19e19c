"""What the terminal may be told, and the small tables beside the kernel."""

from firmware.payment.emv import bits, dictionary
from firmware.payment.emv.config import AidConfig, ConfigError, TerminalConfig, Transaction, bcd
from firmware.payment.emv.trace import Trace, masked
from tests.portable.emv_card import AID


def _refused(make, **values):
    try:
        make(**values)
    except ConfigError as error:
        assert str(error)
        return
    raise AssertionError(values)


def test_aid_config():
    for values in (
        {"aid": b"\x01"},
        {"aid": bytes(17)},
        {"aid": AID, "tac_denial": b""},
        {"aid": AID, "version": b"\x01"},
        {"aid": AID, "floor_limit": -1},
        {"aid": AID, "target_percent": 50, "max_target_percent": 40},
        {"aid": AID, "max_target_percent": 100},
    ):
        _refused(AidConfig, **values)


def test_terminal_config():
    full = TerminalConfig(
        [],
        terminal_id="12345678",
        merchant_id="123456789012345",
        merchant_category="5411",
        merchant_name="SHOP",
        acquirer_id="12345678901",
    )
    assert full.objects[0x9F16] == b"123456789012345"
    assert full.objects[0x9F15].hex() == "5411"
    assert full.objects[0x9F01].hex() == "012345678901"
    assert full.objects[0x9F1A].hex() == "0156"
    for values in (
        {"terminal_type": 0x99},
        {"capabilities": b"\xe0"},
        {"additional": b""},
        {"country": 10000},
        {"merchant_category": "five"},
        {"acquirer_id": "x"},
        {"terminal_id": "123456789"},
        {"ifd_serial": "123456789"},
    ):
        _refused(TerminalConfig, aids=[], **values)
    assert TerminalConfig([], terminal_type=0x21).online_only
    assert not TerminalConfig([], terminal_type=0x22).online_only


def test_transaction():
    payment = Transaction(100000, other_amount=5, currency=156, sequence=7)
    assert payment.objects[0x9F02].hex() == "000000100000"
    assert payment.objects[0x9F03].hex() == "000000000005"
    assert payment.objects[0x81].hex() == "000186a0"
    assert payment.objects[0x9F41].hex() == "00000007"
    assert 0x81 not in Transaction(1 << 32).objects
    for values in (
        {"amount": -1},
        {"amount": 10**12},
        {"amount": 1, "other_amount": 2},
        {"amount": 1, "date": b""},
        {"amount": 1, "time": b""},
        {"amount": 1, "sequence": 10**8},
    ):
        _refused(Transaction, **values)
    assert bcd(0, 1) == b"\x00"


def test_dictionary():
    assert dictionary.name(0x9F26) == "Application Cryptogram"
    assert dictionary.name(0xDF7F) == ""
    assert dictionary.tags() == sorted(dictionary.tags())
    assert dictionary.FORMATS[0x9F02] == "n" and dictionary.LENGTHS[0x9F02] == (6, 6)
    assert 0x95 in dictionary.NOT_FROM_CARD and 0x5A not in dictionary.NOT_FROM_CARD


def test_bit_names():
    names = bits.names(b"\x80\x40\x00\x80\x40", bits.TVR_NAMES)
    assert names == [
        "Offline data authentication was not performed",
        "Expired application",
        "Transaction exceeds floor limit",
        "Issuer authentication failed",
    ]
    assert bits.names(b"\xfc\x00", bits.TSI_NAMES)[0].startswith("Offline data")
    assert len(bits.names(b"\xff" * 5, bits.TVR_NAMES)) == len(bits.TVR_NAMES)


def test_masking():
    assert masked(bytes.fromhex("70055A0362109F")) == "70055a03******"
    assert masked(bytes.fromhex("7004950200809F"[:12])) == "700495020080"
    assert masked(b"") == ""
    assert masked(b"\x5a\x09\x00") == "(3 bytes)"
    assert masked(b"\x00\x00") == "(2 bytes)"
    trace = Trace(True)
    trace.apdu(bytes.fromhex("0020008008241234FFFFFFFFFF"), b"", 0x9000, 5)
    assert trace.entries[0]["c"] == "00200080" and trace.entries[0]["r"] == ""
    trace = Trace()
    trace.apdu(bytes.fromhex("80AE800003112233") + b"\x00", b"", 0x9000, 5)
    assert trace.entries[0]["c"] == "80AE800003*"
    trace.bit("B3 1", "TVR", 0x380, "x")
    assert (trace.entries[1]["byte"], trace.entries[1]["bit"]) == (3, 8)
    assert all([line.startswith("{") for line in trace.lines()])
