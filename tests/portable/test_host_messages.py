"""Requests built, answers judged."""

from firmware.payment.host import messages, subfields, unionpay, verdicts
from firmware.payment.host.exchange import Answer
from firmware.payment.host.iso8583 import Iso8583Error, Message

TERMINAL, MERCHANT = "12345678", "123456789012345"
EMV = {
    0x9F26: bytes(8),
    0x9F27: b"\x80",
    0x9F10: b"\x07\x01",
    0x9F37: bytes(4),
    0x9F36: b"\x00\x05",
    0x95: bytes(5),
    0x9A: b"\x26\x11\x21",
    0x82: b"\x7c\x00",
    0x57: b"never",
    0x9F1E: b"SERIAL01",
}


def sale(**changes):
    values = {
        "stan": 7,
        "batch": 3,
        "amount": 1234,
        "currency": 156,
        "terminal_id": TERMINAL,
        "merchant_id": MERCHANT,
        "pan": "6222021234567890128",
        "emv": EMV,
        "expiry": "3012",
        "csn": 1,
        "pin_block": b"\x01" * 8,
    }
    for name in changes:
        values[name] = changes[name]
    return messages.sale(**values)


def reversal(**changes):
    values = {
        "stan": 7,
        "batch": 3,
        "amount": 1234,
        "currency": 156,
        "terminal_id": TERMINAL,
        "merchant_id": MERCHANT,
        "reason": "98",
        "processing": "000000",
        "entry": "051",
        "condition": "00",
        "kind": "22",
        "emv": EMV,
        "csn": 1,
    }
    for name in changes:
        values[name] = changes[name]
    return messages.reversal(**values)


def refused(action, **changes):
    try:
        action(**changes)
    except Iso8583Error as error:
        return error.field
    raise AssertionError("was not refused")


def test_sale_with_pin():
    request = sale()
    fields = request.fields
    assert request.mti == "0200"
    assert fields[4] == "000000001234"
    assert fields[11] == "000007"
    assert fields[14] == "3012"
    assert fields[22] == "051"
    assert fields[23] == "001"
    assert fields[26] == "12"
    assert fields[49] == "156"
    assert fields[53] == "2600000000000000"
    assert fields[60] == "2200000300050"
    assert 35 not in fields
    tags = [node.tag for node in subfields.split_55(fields[55])]
    assert tags == [0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x82, 0x9F1E]
    assert unionpay.codec().decode(unionpay.codec().encode(request)) == request


def test_sale_without_pin_has_no_pin_fields():
    fields = sale(pin_block=None).fields
    assert fields[22] == "052"
    assert 52 not in fields
    assert 53 not in fields
    assert 26 not in fields


def test_partial_approval_is_offered_by_60_6():
    assert not verdicts.offers_partial(sale())
    assert verdicts.offers_partial(sale(partial=True))


def test_sale_refuses_by_field():
    assert refused(sale, stan=0) == 11
    assert refused(sale, stan=1000000) == 11
    assert refused(sale, amount=0) == 4
    assert refused(sale, amount=10**12) == 4
    assert refused(sale, currency=1000) == 49
    assert refused(sale, pan="") == 2
    assert refused(sale, pan="62220212345678901x8") == 2
    assert refused(sale, expiry="3013") == 14
    assert refused(sale, csn=100) == 23
    assert refused(sale, pin_block=bytes(16)) == 52
    assert refused(sale, terminal_id="1") == 41
    assert refused(sale, merchant_id="1") == 42
    assert refused(sale, batch=-1) == 60
    assert refused(sale, emv={}) == 55


def test_reversal_keeps_what_the_original_said():
    request = reversal(script_results=b"\x20\x00\x00\x00\x00")
    fields = request.fields
    assert request.mti == "0400"
    assert fields[11] == "000007"
    assert fields[39] == "98"
    assert fields[60] == "2200000300050"
    assert fields[61] == "000003000007"
    assert 52 not in fields
    assert 35 not in fields
    tags = [node.tag for node in subfields.split_55(fields[55])]
    assert tags == [0x95, 0x9F1E, 0x9F10, 0x9F36, 0xDF31]
    assert refused(reversal, reason="00") == 39
    assert refused(reversal, auth_code="1") == 38
    assert 55 not in reversal(emv=None).fields


def test_script_result():
    request = messages.script_result(
        stan=8,
        batch=3,
        amount=1234,
        currency=156,
        terminal_id=TERMINAL,
        merchant_id=MERCHANT,
        processing="000000",
        entry="051",
        condition="00",
        original_batch=3,
        original_stan=7,
        script_results=b"\x20\x00\x00\x00\x00",
        emv=EMV,
        original_date="1121",
        rrn="123456789012",
        auth_code="A1B2C3",
    )
    assert request.mti == "0620"
    assert request.fields[60] == "00000003951"
    assert request.fields[61] == "0000030000071121"
    assert unionpay.codec().decode(unionpay.codec().encode(request)) == request


def test_management():
    request = messages.sign_in(1, 0, TERMINAL, MERCHANT, "003", "01 ")
    assert request.fields[60] == "00000000003"
    assert request.fields[63] == "01 "
    assert messages.sign_out(1, 0, TERMINAL, MERCHANT).fields[60] == "00000000002"
    assert messages.echo(1, 0, TERMINAL, MERCHANT).fields[60] == "00000000301"
    try:
        messages.sign_in(1, 0, TERMINAL, MERCHANT, "009", "01 ")
    except Iso8583Error as error:
        assert error.field == 60
    else:
        raise AssertionError("60.3 009 was accepted")


def answer(request, code, mac="ok", **changes):
    fields = {39: code}
    for number in (3, 4, 11, 41, 42):
        if number in request.fields:
            fields[number] = request.fields[number]
    for name in changes:
        number = int(name[1:])
        if changes[name] is None:
            del fields[number]
        else:
            fields[number] = changes[name]
    message = Message(verdicts.answer_mti(request.mti), fields)
    return Answer(message, mac, verdicts.mismatch(request, message))


def test_answer_mti():
    assert verdicts.answer_mti("0200") == "0210"
    assert verdicts.answer_mti("0820") == "0830"
    assert verdicts.answer_mti("0620") == "0630"


def test_approved_only_with_a_good_mac():
    request = sale()
    for code in ("00", "11", "16", "A2", "A4", "A5", "A6"):
        verdict = verdicts.payment(request, answer(request, code))
        assert (verdict.kind, verdict.reverse, verdict.amount) == ("approved", "", 1234)
        for mac in ("bad", "missing"):
            verdict = verdicts.payment(request, answer(request, code, mac))
            assert (verdict.kind, verdict.reverse) == ("unusable", "A0")


def test_every_echoed_field_must_match():
    request = sale()
    for number, other in (
        (3, "200000"),
        (4, "000000001235"),
        (11, "000008"),
        (41, "12345679"),
        (42, "123456789012346"),
    ):
        for value in (other, None):
            changes = {"f" + str(number): value}
            verdict = verdicts.payment(request, answer(request, "00", **changes))
            assert (verdict.kind, verdict.reverse) == ("unusable", "96")
            assert str(number) in verdict.reason
    stray = answer(request, "00")
    stray.message.mti = "0230"
    assert "MTI" in verdicts.mismatch(request, stray.message)
    assert verdicts.payment(request, answer(request, "00", f39=None)).kind == "unusable"


def test_decline_without_mac_is_reversed_unless_the_code_comes_unsigned():
    request = sale()
    assert verdicts.payment(request, answer(request, "51")).reverse == ""
    unsigned = verdicts.payment(request, answer(request, "51", "missing"))
    assert (unsigned.kind, unsigned.reverse) == ("declined", "A0")
    for code in ("77", "99", "A0"):
        verdict = verdicts.payment(request, answer(request, code, "missing"))
        assert (verdict.kind, verdict.reverse, verdict.sign_in) == ("declined", "", True)
        verdict = verdicts.payment(request, answer(request, code, "bad"))
        assert verdict.reverse == "A0"
    lost = verdicts.payment(request, answer(request, "97", "missing"))
    assert (lost.reverse, lost.sign_in) == ("", False)
    brief = verdicts.payment(request, answer(request, "97", "missing", f3=None, f4=None))
    assert brief.kind == "declined"


def test_partial_approval_counts_only_when_offered():
    request = sale(partial=True)
    verdict = verdicts.payment(request, answer(request, "10", f4="000000001000"))
    assert (verdict.kind, verdict.amount) == ("partial", 1000)
    for amount in ("000000001234", "000000009999", "000000000000"):
        verdict = verdicts.payment(request, answer(request, "10", f4=amount))
        assert (verdict.kind, verdict.reverse) == ("unusable", "96")
    plain = sale()
    for amount in ("000000001000", "000000001234"):
        verdict = verdicts.payment(plain, answer(plain, "10", f4=amount))
        assert (verdict.kind, verdict.reverse) == ("unusable", "96")


def test_a_debt_ends_only_by_a_signed_matching_answer():
    request = reversal()
    for code in ("00", "12", "25"):
        assert verdicts.advice(answer(request, code)) == "done"
        assert verdicts.advice(answer(request, code, "missing")) == "retry"
        assert verdicts.advice(answer(request, code, "bad")) == "retry"
        assert verdicts.advice(answer(request, code, f11="000009")) == "retry"
    assert verdicts.advice(answer(request, "96")) == "retry"
    assert verdicts.advice(answer(request, "A0", "missing")) == "sign_in"
    assert verdicts.advice(answer(request, "A0", "bad")) == "retry"


def test_management_answers():
    request = messages.echo(1, 0, TERMINAL, MERCHANT)
    assert verdicts.accepted(answer(request, "00", "missing"))
    assert not verdicts.accepted(answer(request, "00", "bad"))
    assert not verdicts.accepted(answer(request, "97", "missing"))
    assert not verdicts.accepted(answer(request, "00", "missing", f11="000002"))
