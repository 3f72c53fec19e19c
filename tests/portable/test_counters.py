"""What the counters say, of devices by their contracts alone."""

from firmware.hal.card_reader import CardReader
from firmware.hal.power import Power
from firmware.hal.printer import Printer
from firmware.payment.journal import records as r
from firmware.payment.journal.fold import State
from firmware.services.counters import LIMITS, Tally, cut_off


class _Books:
    def __init__(self) -> None:
        self.state = State()


class _Capabilities:
    cutter = False


class _Devices:
    def __init__(self) -> None:
        self.printer = Printer()
        self.card_reader = CardReader()
        self.contactless = self.stripe = None
        self.power = Power()
        self.capabilities = _Capabilities()


def _tally(counters=None, **maintenance):
    books, devices = _Books(), _Devices()
    books.state.counters = counters or {}
    tally = Tally(books, devices, {"maintenance": maintenance})
    tally.begin()
    return tally, books, devices


def test_totals_go_on_from_the_journals():
    tally, books, devices = _tally({r.C_PAPER: 1000, r.C_BOOTS: 3, r.C_ENDS: 1})
    devices.printer.fed_mm = 234
    devices.card_reader.inserts = 2
    totals = tally.totals()
    assert totals[r.C_PAPER] == 1234 and totals[r.C_INSERTS] == 2
    assert totals[r.C_BOOTS] == 3 and totals[r.C_ENDS] == 1
    assert cut_off(books.state, True) == 1 and cut_off(books.state, False) == 2
    books.state.counters[r.C_PAPER] = 1234  # written: counted once all the same
    assert tally.totals()[r.C_PAPER] == 1234


def test_what_nothing_counts_is_unknown_and_what_was_counted_is_kept():
    tally, _, devices = _tally({r.C_SWIPES: 7})
    totals = tally.totals()
    assert totals[r.C_SWIPES] == 7  # its reader did not start today
    assert totals[r.C_CUTS] is None and totals[r.C_TAPS] is None
    assert totals[r.C_BROWN_OUTS] is None
    devices.power.brown_outs = 0
    devices.capabilities.cutter = True
    totals = tally.totals()
    assert totals[r.C_CUTS] == 0 and totals[r.C_BROWN_OUTS] == 0


def test_a_total_stops_at_its_bound():
    tally, _, devices = _tally({r.C_PAPER: r.MAX_COUNT - 5})
    devices.printer.fed_mm = 100
    assert tally.totals()[r.C_PAPER] == r.MAX_COUNT


def test_a_part_is_due_from_its_limit_on_and_again_after_as_much_more():
    tally, books, devices = _tally(paper_m=2)
    for moved, due in ((1999, False), (2000, True), (2500, True)):
        devices.printer.fed_mm = moved
        assert [one.text_key for one in tally.due()] == ["service.paper"] * due
    (one,) = tally.due()
    assert (one.used, one.limit) == (2500, 2000)
    books.state.serviced[r.C_PAPER] = 2500
    for moved, due in ((2501, False), (4499, False), (4500, True)):
        devices.printer.fed_mm = moved
        assert bool(tally.due()) is due, moved


def test_nothing_set_means_the_usual_and_nought_means_never():
    usual = {number: LIMITS[number][1] * LIMITS[number][2] for number in LIMITS}
    tally, _, _ = _tally(usual)
    assert [one.number for one in tally.due()] == sorted(LIMITS)
    tally, _, _ = _tally(usual, paper_m=0, cuts=0, inserts=0, swipes=0)
    assert tally.due() == []
