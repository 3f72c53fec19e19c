"""Cardholder verification: Book 3, 10.5; results by Book 4, 6.3.4.5."""

from firmware.payment.emv import steps
from tests.portable.emv_card import FakeCard, config, drive, transaction


def _run(rules, terminal=None, payment=None, pins=None, card=None):
    card = card or FakeCard(cvm=rules)
    return drive(card, terminal=terminal or config(), payment=payment, pins=pins)


def _check(run, results, byte3, performed=True, rule=None):
    assert run.outcome.cvm_results.hex().upper() == results, run.rules()
    assert run.stages()["cvm"][0][4:6] == byte3
    assert bool(int(run.stages()["cvm"][1][:2], 16) & 0x40) == performed
    if rule:
        assert rule in run.rules(), run.rules()


def test_card_without_cvm_support():
    card = FakeCard(aip=0x0C)
    _check(drive(card), "3F0000", "00", False, "B3 10.5 a")


def test_list_absent_empty_or_odd():
    card = FakeCard()
    card.static[0x8E] = None
    run = drive(card)
    _check(run, "3F0000", "00", False, "B3 10.5 b")
    assert run.outcome.tvr[0] & 0x20 and "B3 7.5 f" in run.rules()
    _check(_run(""), "3F0000", "00", False, "B3 10.5 b")
    for rules in ("01", "0200" + "1F"):
        run = _run(rules)
        assert run.outcome.kind == "terminated"
        assert "B3 10.5 c" in run.rules()
    card = FakeCard()
    card.static[0x8E] = bytes(6)
    assert drive(card).outcome.kind == "terminated"


def test_each_method():
    _check(_run("0200"), "020000", "04", True, "B3 10.5.2 a")
    _check(_run("0100"), "010002", "00", True, "B3 10.5 d")
    _check(_run("1E00"), "1E0000", "00")
    _check(_run("1F00"), "1F0002", "00", True, "B3 10.5 f")
    _check(_run("0000"), "000001", "80", True, "B3 10.5 h")
    run = _run("0300")
    _check(run, "030000", "00")
    assert run.outcome.signature
    run = _run("", card=FakeCard("DDA", cvm="0500"))
    _check(run, "050000", "00")
    assert run.outcome.signature
    assert not _run("1F00").outcome.signature


def test_unrecognised_and_unsupported():
    _check(_run("0A00"), "3F0001", "C0", True, "B3 10.5 i")
    _check(_run("4A001F00"), "1F0002", "40")
    quiet = config(capabilities=b"\xe0\x08\xc8")  # no CVM but "no CVM"
    _check(_run("0200", quiet), "3F0001", "90", True, "B3 10.5 j")
    _check(_run("42001F00", quiet), "1F0002", "10", True, "B3 10.5.1 a")
    _check(_run("1E00", quiet), "3F0001", "80")
    with_pad = config(capabilities=b"\xe0\x88\xc8")  # offline plaintext PIN only
    _check(_run("0200", with_pad), "3F0001", "90")
    _check(_run("1E00", with_pad), "3F0001", "80")
    # One form of offline PIN is offline PIN: lacking the other is no missing pad.
    _check(_run("0400", with_pad), "3F0001", "80", True, "B3 10.5 j")
    _check(_run("0300", with_pad), "3F0001", "80")
    enciphered_only = config(capabilities=b"\xe0\x18\xc8")
    _check(_run("0100", enciphered_only), "3F0001", "80")
    for method in ("01", "03", "04", "05"):
        _check(_run(method + "00", quiet), "3F0001", "90", True, "B3 10.5.1 a")


def test_fail_with_try_next_goes_on():
    _check(_run("40001F00"), "1F0002", "00")
    _check(_run("00001F00"), "000001", "80", True, "B3 10.5 g")


def _met(condition, terminal=None, payment=None, cvm="1F", amounts=bytes(8), card=None):
    card = card or FakeCard()
    card.static[0x8E] = amounts + bytes.fromhex(cvm + condition)
    results = drive(card, terminal=terminal, payment=payment).outcome.cvm_results
    return results != b"\x3f\x00\x01"


def test_conditions():
    cash = transaction(kind=0x01)
    cashback = transaction(kind=0x09, other_amount=500)
    with_cashback = transaction(other_amount=500)
    atm = config(terminal_type=0x14, additional=b"\xe0\x00\xf0\xa0\x01")
    assert _met("00")
    assert not _met("01") and not _met("01", payment=cash)
    assert _met("01", terminal=atm, payment=cash)
    assert _met("02") and not _met("02", payment=cash) and not _met("02", payment=cashback)
    assert not _met("02", payment=with_cashback)
    assert _met("03") and not _met("03", terminal=config(capabilities=b"\xe0\xf0\xc8"))
    assert not _met("03", cvm="0A")
    assert not _met("04") and _met("04", payment=cash)
    assert not _met("04", terminal=atm, payment=cash)
    kiosk = config(terminal_type=0x25)  # unattended, though no ATM
    assert _met("01", terminal=kiosk, payment=cash)
    assert not _met("04", terminal=kiosk, payment=cash)
    assert not _met("05") and _met("05", payment=cashback) and _met("05", payment=with_cashback)
    for condition in ("0A", "7F", "80", "FF"):
        assert not _met(condition)
    run = _run("1F80")
    _check(run, "3F0001", "80", True, "B3 10.5 e")


def test_amount_conditions_need_the_card_currency():
    def met(condition, amount, currency=b"\x01\x56"):
        card = FakeCard()
        card.static[0x9F42] = currency
        amounts = (1000).to_bytes(4, "big") + (5000).to_bytes(4, "big")
        return _met(condition, payment=transaction(amount=amount), amounts=amounts, card=card)

    assert met("06", 999) and not met("06", 1000) and not met("06", 1001)
    assert not met("07", 999) and not met("07", 1000) and met("07", 1001)
    assert met("08", 4999) and not met("08", 5000)
    assert met("09", 5001) and not met("09", 5000)
    assert not met("06", 999, b"\x08\x40")
    assert not met("06", 999, None)


def test_pin_tries_and_prompts():
    card = FakeCard(cvm="0100")
    card.wrong_pins, card.tries = 2, 3
    run = drive(card)
    _check(run, "010002", "00")
    asked = [s for s in run.steps if isinstance(s, steps.EnterPin)]
    assert [(s.tries_left, s.last_try, s.retry, s.online) for s in asked] == [
        (3, False, False, False),
        (2, False, True, False),
        (1, True, True, False),
    ]


def test_pin_blocked():
    card = FakeCard(cvm="0100")
    card.tries = 0
    run = drive(card)
    _check(run, "010001", "A0", True, "B3 10.5.1 d")
    assert "EnterPin" not in run.kinds()
    card = FakeCard(cvm="41001F00")
    card.wrong_pins, card.tries = 3, 3
    run = drive(card)
    _check(run, "1F0002", "20")
    assert run.kinds().count("EnterPin") == 3


class _Answers(FakeCard):
    """VERIFY answers in turn, the last for ever."""

    def __init__(self, *answers):
        super().__init__(cvm="0100")
        self.words = list(answers)

    def verify(self):
        return self.words.pop(0) if len(self.words) > 1 else self.words[0]


def test_verify_status_words():
    _check(drive(_Answers(0x6983)), "010001", "A0")
    _check(drive(_Answers(0x6984)), "010001", "A0")
    _check(drive(_Answers(0x63C0)), "010001", "A0")
    _check(drive(_Answers(0x6F00)), "010001", "80", True, "B3 10.5.1 e")
    _check(drive(_Answers(0)), "010001", "80", True, "B3 10.5.1 e")


def test_a_counter_that_never_falls_is_bounded():
    card = _Answers(0x63CF)
    card.answers["80CA9F17"] = (b"", 0x6A88)
    run = drive(card)
    _check(run, "010001", "A0", True, "B3 10.5.1 f")
    assert run.kinds().count("VerifyPin") <= 16


def test_bypass():
    allowed = config(pin_bypass=True)
    run = _run("42001E00", allowed, pins=[("bypassed", None)])
    _check(run, "1E0000", "08", True, "B3 10.5.1 c")
    assert run.outcome.signature
    run = _run("4200410044001E00", allowed, pins=[("bypassed", None)])
    assert run.kinds().count("EnterPin") == 1
    _check(run, "1E0000", "08")
    _check(_run("0200", allowed, pins=[("bypassed", None)]), "020001", "88")
    run = _run("42001E00", config(), pins=[("bypassed", None)])
    assert run.outcome.kind == "cancelled"
    asked = next(s for s in run.steps if isinstance(s, steps.EnterPin))
    assert not asked.bypass_allowed


def test_cancelled_and_broken_pad():
    run = _run("0200", pins=[("cancelled", None)])
    assert (run.outcome.kind, run.outcome.reason) == ("cancelled", "pin_cancelled")
    assert "B4 6.3.4 a" in run.rules()
    _check(_run("42001F00", pins=[("failed", None)]), "1F0002", "10", True, "B3 10.5.1 a")
    assert "B3 10.5.1 b" in _run("0200").rules()


def test_enciphered_pin_needs_a_key():
    _check(_run("0400"), "040001", "80")
    _check(_run("", card=FakeCard("DDA", cvm="0400")), "040002", "00")


def test_online_pin_handle_reaches_the_host_step():
    run = _run("0200", pins=[("entered", "handle")])
    online = next(s for s in run.steps if isinstance(s, steps.GoOnline))
    assert online.pin == "handle"
