"""The page's paper: slips told apart, each strip with its text and its last print."""

from host_tools.emulator.chips.paper import Paper
from host_tools.emulator.roll import SLIP_END, TICKS, Roll


def told(roll: Roll) -> list[tuple[bool, str, int]]:
    found = []
    for _ in range(2 * TICKS):
        news = roll.news()
        if news is not None:
            found += [(strip["slip"], strip["text"], strip["ink"]) for strip in news["strips"]]
    return found


def test_a_long_gap_begins_a_slip_and_room_for_a_signature_does_not() -> None:
    paper = Paper()
    roll = Roll(paper)
    paper.add([0] * 10 + [1] * 30, "one")
    assert told(roll) == [(False, "", 0), (True, "one", 30)]
    paper.add([0] * (SLIP_END - 1) + [1], "still one")
    assert told(roll) == [(False, "still one", SLIP_END)]
    paper.add([0] * SLIP_END)
    assert told(roll) == [(False, "", 0)]
    paper.add([1] * 5, "two")
    paper.say("without a row")
    assert told(roll) == [(True, "two\nwithout a row", 5)]
    late = roll.so_far()["strips"]
    assert [strip["slip"] for strip in late] == [False, True, True]
    assert [strip["text"] for strip in late] == ["", "one\nstill one", "two\nwithout a row"]


def test_a_line_of_money_is_told_with_its_place() -> None:
    paper = Paper()
    roll = Roll(paper)
    paper.add([1] * 30, "SALE 12.34")
    paper.add([1] * 20, "         CNY 12.34")
    paper.add([1] * 20, "         CNY 99.99")
    paper.add([0] * SLIP_END)
    paper.add([1] * 9, "JPY 1234")
    paper.add([0] * SLIP_END)
    paper.add([1] * 9, "TVR: 0000048000")
    told(roll)
    assert [strip["amount"] for strip in roll.so_far()["strips"]] == [50, 9, None]


def test_torn_paper_begins_anew() -> None:
    paper = Paper()
    roll = Roll(paper)
    paper.add([1], "old")
    told(roll)
    paper.tear()
    assert roll.so_far()["strips"] == []
    news = roll.news()
    assert news is not None and news["reset"] and news["strips"] == []
    paper.add([1], "new")
    assert told(roll) == [(True, "new", 1)]
