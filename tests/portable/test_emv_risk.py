"""Processing restrictions (Book 3, 10.4) and terminal risk management (10.6)."""

from firmware.payment.emv import risk
from tests.portable.emv_card import FakeCard, aid_config, config, drive, transaction

OPEN = config(aids=[aid_config(tac_denial=bytes(5))])


def _byte2(card=None, terminal=OPEN, payment=None):
    run = drive(card or FakeCard(), terminal=terminal, payment=payment)
    return run.outcome.tvr[1], run


def _changed(**tags):
    card = FakeCard()
    for tag, value in tags.items():
        card.static[int(tag[1:], 16)] = value
    return card


def test_version():
    card = FakeCard()
    card.data[0x9F08] = b"\x00\x96"
    byte, run = _byte2(card)
    assert byte == 0x80 and "B3 10.4.1 a" in run.rules()
    card.data[0x9F08] = None
    card.built = None
    card.kinds = [0x80, 0x40]
    assert _byte2(card)[0] == 0


def test_dates():
    byte, run = _byte2(_changed(t5F24=bytes.fromhex("261120")))
    assert byte == 0x40 and "B3 10.4.3 b" in run.rules()
    assert _byte2(_changed(t5F24=bytes.fromhex("261121")))[0] == 0
    byte, run = _byte2(_changed(t5F25=bytes.fromhex("261122")))
    assert byte == 0x20 and "B3 10.4.3 a" in run.rules()
    assert _byte2(_changed(t5F25=bytes.fromhex("261121")))[0] == 0
    assert _byte2(_changed(t5F24=bytes.fromhex("991231")))[0] == 0x40
    assert _byte2(_changed(t5F25=bytes.fromhex("990101")))[0] == 0
    assert _byte2(_changed(t5F25=None))[0] == 0


def test_usage_control():
    def refused(usage, country=b"\x01\x56", terminal=OPEN, **payment):
        card = _changed(t9F07=bytes.fromhex(usage), t5F28=country)
        byte, run = _byte2(card, terminal, transaction(**payment))
        assert (byte == 0x10) == ("B3 10.4.2 a" in run.rules())
        return byte == 0x10

    assert not refused("FF80")
    assert refused("FE80")
    atm = config(
        terminal_type=0x14,
        additional=b"\xe0\x00\xf0\xa0\x01",
        aids=[aid_config(tac_denial=bytes(5))],
    )
    assert refused("FD80", terminal=atm) and not refused("FE80", terminal=atm)
    assert not refused("2100") and not refused("0900") and refused("1500")
    assert not refused("1100", b"\x08\x40") and not refused("0500", b"\x08\x40")
    assert refused("2900", b"\x08\x40")
    assert not refused("0100", None)
    assert refused("2100", kind=0x01) and not refused("8100", kind=0x01)
    assert refused("8100", b"\x08\x40", kind=0x01)
    assert not refused("4100", b"\x08\x40", kind=0x01)
    assert refused("2100", kind=0x09, other_amount=1)
    assert not refused("2180", kind=0x09, other_amount=1)
    assert refused("2100", other_amount=1) and not refused("2180", other_amount=1)
    assert not refused("1140", b"\x08\x40", kind=0x09, other_amount=1)
    assert not refused("0100", kind=0x20)
    card = _changed(t9F07=None)
    assert _byte2(card)[0] == 0


def _byte4(amount, terminal=OPEN, card=None, **more):
    run = drive(card or FakeCard(), terminal=terminal, payment=transaction(amount=amount, **more))
    return run.outcome.tvr[3], run


def test_floor_limit_counts_earlier_amounts():
    byte, run = _byte4(10000)
    assert byte == 0x80 and "B3 10.6.1 a" in run.rules() and "B3 10.6 d" in run.rules()
    assert _byte4(9999)[0] == 0
    seen = []

    def earlier(pan, csn):
        seen.append((pan, csn))
        return 1

    assert _byte4(9999, earlier_amount=earlier)[0] == 0x80
    assert seen == [("6210940000000012", 1)]


def test_only_where_the_card_asks():
    byte, run = _byte4(10000, card=FakeCard(aip=0x14))
    assert byte == 0 and "B3 10.6 c" in run.rules()
    assert not run.outcome.tsi[0] & 0x08


def test_forced_online_and_exception_file():
    byte, run = _byte4(1, force_online=True)
    assert byte == 0x08 and "B3 10.6 b" in run.rules()
    run = _byte4(1, stopped=lambda pan, csn: pan == "6210940000000012")[1]
    assert run.outcome.tvr[0] & 0x10 and "B3 10.6 a" in run.rules()


class _Fixed:
    """What ``risk._random`` needs of a session, with the number drawn chosen."""

    def __init__(self, drawn, amount):
        self.transaction = transaction(amount=amount)
        self.trace = self
        self._raw = (drawn - 1).to_bytes(4, "big")

    def random(self, count):
        return self._raw

    def rule(self, *arguments, **values):
        return None


def test_random_selection():
    aid = aid_config(threshold=2000, target_percent=20, max_target_percent=60)

    def selected(drawn, amount):
        return risk._random(_Fixed(drawn, amount), aid)

    assert selected(20, 0) and not selected(21, 0)
    assert selected(20, 1999) and not selected(21, 1999)
    assert selected(20, 2000) and not selected(21, 2000)
    assert selected(40, 6000) and not selected(41, 6000)
    assert selected(59, 9999) and not selected(60, 9999)
    none = aid_config(threshold=2000)
    assert not risk._random(_Fixed(1, 100), none)
    flat = aid_config(threshold=10000, target_percent=1, max_target_percent=99)
    assert risk._random(_Fixed(99, 10000), flat)


def test_random_selection_sets_the_bit():
    always = config(
        aids=[aid_config(tac_denial=bytes(5), target_percent=99, max_target_percent=99)]
    )
    byte, run = _byte4(1, always)
    assert byte == 0x10
    assert "B3 10.6.2 a" in run.rules() and "B3 10.6.2 b" in run.rules()


def _velocity(lower, upper, counter=5, last=4):
    card = FakeCard()
    card.static[0x9F14], card.static[0x9F23] = bytes((lower,)), bytes((upper,))
    if counter is None:
        card.answers["80CA9F36"] = (b"", 0x6A88)
    else:
        card.answers["80CA9F36"] = (b"\x9f\x36\x02" + counter.to_bytes(2, "big"), 0x9000)
    if last is None:
        card.answers["80CA9F13"] = (b"\x9f\x13\x01\x00", 0x9000)
    else:
        card.answers["80CA9F13"] = (b"\x9f\x13\x02" + last.to_bytes(2, "big"), 0x9000)
    byte, run = _byte4(1, card=card)
    return byte, run.outcome.tvr[1] & 0x08, run


def test_velocity():
    assert _velocity(1, 2)[:2] == (0, 0)
    byte, new, run = _velocity(2, 5, counter=7)
    assert (byte, new) == (0x40, 0) and "B3 10.6.3 d" in run.rules()
    byte, new, run = _velocity(2, 5, counter=10)
    assert (byte, new) == (0x60, 0) and "B3 10.6.3 e" in run.rules()
    byte, new, run = _velocity(9, 9, counter=4)
    assert (byte, new) == (0x60, 0) and "B3 10.6.3 c" in run.rules()
    assert not run.outcome.tvr[0] & 0x20
    byte, new, run = _velocity(9, 9, counter=None)
    assert (byte, new) == (0x60, 0) and "B3 10.6.3 b" in run.rules()
    assert run.outcome.tvr[0] & 0x20 and "B3 7.5 g" in run.rules()
    byte, new, run = _velocity(9, 9, last=None)
    assert (byte, new) == (0x60, 0) and run.outcome.tvr[0] & 0x20
    byte, new, run = _velocity(9, 9, counter=1, last=0)
    assert (byte, new) == (0, 0x08) and "B3 10.6.3 f" in run.rules()
    byte, new, run = _velocity(9, 9, counter=None, last=0)
    assert (byte, new) == (0x60, 0x08)
    run = _byte4(1)[1]
    assert "B3 10.6.3 a" in run.rules()
