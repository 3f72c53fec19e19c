"""Calendar, the judgement of a payment, and what its slip says."""

from firmware.payment.emv.steps import HostAnswer, Outcome, Unable
from firmware.payment.host import verdicts
from firmware.payment.host.unionpay import REASON_MAC, REASON_NO_ANSWER, REASON_OTHER
from firmware.payment.journal import records
from firmware.services import calendar, online, slip_data

#: 2026-11-21 12:50:47.
NOW = 1_795_265_447


def test_calendar_there_and_back():
    assert calendar.civil(0) == (1970, 1, 1, 0, 0, 0)
    assert calendar.civil(NOW) == (2026, 11, 21, 12, 50, 47)
    assert calendar.civil(951_782_399) == (2000, 2, 28, 23, 59, 59)
    assert calendar.civil(951_782_400) == (2000, 2, 29, 0, 0, 0)
    assert calendar.civil(4_107_542_400) == (2100, 3, 1, 0, 0, 0)
    for day in range(0, 40_000, 7):
        moment = calendar.civil(day * 86_400 + day)
        assert calendar.unix(*moment) == day * 86_400 + day


def test_digits_and_stamp():
    assert calendar.digits(7, 6) == "000007"
    assert calendar.digits(1_234_567, 6) == "1234567"
    assert calendar.stamp((2026, 1, 2, 3, 4, 5)) == "20260102030405"


def test_the_hosts_date_gets_the_nearest_year():
    assert calendar.nearest("1121", "125047", NOW) == NOW
    new_year = calendar.unix(2027, 1, 1, 0, 0, 10)
    assert calendar.nearest("1231", "235959", new_year) == new_year - 11
    assert calendar.nearest("0101", "000000", new_year - 20) == new_year - 10
    leap = calendar.unix(2028, 2, 28, 12)
    assert calendar.nearest("0229", "120000", leap) == leap + 86_400
    # 2025, 2026 and 2027 have no such day.
    assert calendar.nearest("0229", "120000", NOW) is None
    none = ("0631000000", "1301000000", "0001000000", "0101240000", "01010000", "01a1000000", "")
    for text in none:
        assert calendar.nearest(text[:4], text[4:], NOW) is None


def _answered(kind, reverse=""):
    authorisation = online.Authorisation("answered", HostAnswer(b"00", None, [], True))
    authorisation.verdict = verdicts.Verdict(kind, "00", reverse)
    return authorisation


def _judged(authorisation, card):
    result = online.judge(authorisation, Outcome(card, "x"))
    return result.outcome, result.reason


def test_only_host_and_card_together_approve():
    reverse = records.OUTCOME_REVERSE
    assert _judged(_answered(verdicts.APPROVED), "approved") == (records.OUTCOME_APPROVED, "")
    for card in ("declined", "terminated", "fallback", "try_again", "cancelled"):
        assert _judged(_answered(verdicts.APPROVED), card) == (reverse, REASON_OTHER)
    for card in ("approved", "declined"):
        assert _judged(_answered(verdicts.DECLINED), card) == (records.OUTCOME_DECLINED, "")
        assert _judged(_answered(verdicts.PARTIAL), card) == (reverse, REASON_OTHER)
        unusable = _answered(verdicts.UNUSABLE, REASON_MAC)
        assert _judged(unusable, card) == (reverse, REASON_MAC)
        unknown = online.Authorisation("unknown", Unable(True))
        assert _judged(unknown, card) == (reverse, REASON_NO_ANSWER)
        not_sent = online.Authorisation("not_sent", Unable(True))
        assert _judged(not_sent, card) == ("not_sent", "")


def test_truncated_and_unfit():
    assert online.truncated("6299990000000012") == "629999******0012"
    good = {
        0x5A: bytes.fromhex("6299990000000012"),
        0x5F34: b"\x01",
        0x57: bytes.fromhex("6299990000000012D30122010000000000000F"),
    }
    assert online.unfit(good) == ""
    for tag, value in (
        (0x5A, "62999900012F"),
        (0x5F34, "0A"),
        (0x57, "6299990000000012"),
        (0x57, "6299990000000012D3012D201F"),
        (0x57, "6299990000000012D301220100000000000000000A"),
    ):
        bad = dict(good)
        bad[tag] = bytes.fromhex(value)
        assert online.unfit(bad) != "", (tag, value)


def test_the_slips_cvm_line():
    assert slip_data.cvm_word(b"\x42\x03\x00", False) == "pin"
    assert slip_data.cvm_word(b"\x42\x03\x00", True) == "signature"
    for method in (0x01, 0x03, 0x04, 0x05, 0x41, 0x44):
        assert slip_data.cvm_word(bytes((method, 0, 2)), False) == "offline_pin"
        assert slip_data.cvm_word(bytes((method, 0, 1)), False) == "none"
    assert slip_data.cvm_word(b"\x1e\x00\x00", False) == "signature"
    assert slip_data.cvm_word(b"\x1f\x00\x02", False) == "none"
    assert slip_data.cvm_word(b"", False) == "none"


class _Merchant:
    name = "Shop"
    name_zh = "商店"
    address = "1 Street"
    merchant_id = "TESTMERCHANT001"
    terminal_id = "10000001"


class _Provision:
    merchant = _Merchant()
    test = True


def _receipt(outcome_word, fields):
    sale = online.Sale(2, 1, 1234, 156, 2, (2026, 12, 31, 23, 59, 59))
    authorisation = _answered(verdicts.APPROVED)
    authorisation.fields = fields
    outcome = Outcome("approved", "tc")
    outcome.aid = bytes.fromhex("A000000333010101")
    outcome.name = "Płatność"  # the preferred name, not tag 50
    outcome.cid = 0x40
    outcome.cryptogram = bytes(range(8))
    outcome.cvm_results = b"\x02\x00\x00"
    outcome.tags = {
        0x5A: bytes.fromhex("629999000000000012FF"),
        0x50: b"UnionPay Debit",
        0x9F36: b"\x00\x2a",
    }
    result = online.Result(outcome_word)
    return slip_data.receipt(_Provision(), {"emulated": True}, sale, authorisation, outcome, result)


def test_a_receipts_values():
    host = {37: "632512000001", 38: "007919", 39: "00", 13: "0101", 12: "000001",
            44: "00010000   00020000   "}  # fmt: skip
    values = _receipt(records.OUTCOME_APPROVED, host)
    assert values["date"] == "2027-01-01" and values["time"] == "00:00:01"
    assert values["auth_code"] == "007919" and values["rrn"] == "632512000001"
    assert (values["issuer"], values["acquirer"]) == ("00010000", "00020000")
    assert values["pan_masked"] == "629999********0012"
    assert values["pan_last4"] == "**************0012"
    assert values["label"] == "Płatność"
    assert values["cryptogram_kind"] == "TC" and values["atc"] == "002A"
    assert values["cvm"] == "pin" and values["stan"] == "000002"
    assert values["test"] and values["emulated"]
    for value in values.values():
        assert "629999000000000012" not in str(value)
    # A reversed payment shows no approval code; without the host's time, ours.
    values = _receipt(records.OUTCOME_REVERSE, {38: "007919"})
    assert values["auth_code"] == ""
    assert values["date"] == "2026-12-31" and values["time"] == "23:59:59"
