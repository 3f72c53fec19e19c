"""The two directions of a session by themselves: timer, losses, order, room."""

from firmware.link.window import Incoming, Outgoing, ProtocolBroken, RoundTrip


def broken(work):
    try:
        work()
    except ProtocolBroken as error:
        return str(error)
    return None


def flying(count, window=16, credit=100000):
    """``count`` frames sent at 0 ms: b"0", b"1", ..."""
    out = Outgoing(window, 100000)
    out.credit = credit
    for number in range(count):
        out.add(str(number).encode(), 10)
    return out, out.due(0)


def test_the_timer_is_that_of_rfc_6298():
    timer = RoundTrip(300, 40, 3000)
    assert timer.rto == 300
    timer.measured(100)  # SRTT 100, RTTVAR 50 (2.2)
    assert timer.rto == 300
    timer.measured(100)  # RTTVAR 3/4 of 50 (2.3), in whole quarters of a millisecond
    assert timer.rto == 250
    timer.measured(180)  # SRTT 110, RTTVAR 48 1/8
    assert timer.rto == 303
    for _ in range(100):
        timer.measured(1)
    assert timer.rto == 40  # 2.4: not below the least
    for wanted in (80, 160, 320, 640, 1280, 2560, 3000, 3000):
        timer.expired()
        assert timer.rto == wanted  # 5.5, 2.5
    timer.measured(1)
    assert timer.rto == 40
    timer.measured(100000)
    assert timer.rto == 3000


def test_records_fly_within_window_and_credit():
    out, sent = flying(8, window=5)
    assert sent == [b"0", b"1", b"2", b"3", b"4"]
    assert not out.has_due and not out.waits_for_credit
    out.acknowledged(2, 0, 1)
    assert out.has_due
    assert out.due(1) == [b"5", b"6"]
    out, sent = flying(8, credit=35)
    assert sent == [b"0", b"1", b"2"]
    assert out.waits_for_credit and not out.has_due
    # What is held counts: the credit is from the first missing on.
    out.acknowledged(0, 0b11, 1)
    assert out.due(1) == []
    out.acknowledged(3, 0, 1)
    assert out.due(1) == [b"3", b"4", b"5"]


def test_the_backlog_is_bounded_and_takes_one_record_always():
    out = Outgoing(4, 100)
    assert out.room_for(500)
    out.add(b"", 500)
    assert not out.room_for(1)
    out = Outgoing(4, 100)
    for _ in range(8):
        assert out.room_for(1)
        out.add(b"", 1)
    assert not out.room_for(1)


def test_what_a_later_arrival_shows_as_lost_is_owed_once():
    out, _ = flying(5)
    out.acknowledged(1, 0b10, 5)  # 0 and 3 are here
    out.find_lost()
    assert out.due(5) == [b"1", b"2"]
    out.acknowledged(1, 0b110, 6)  # 4, sent before those repeats
    out.find_lost()
    assert out.due(6) == []
    out.acknowledged(2, 0b11, 7)  # the repeat of 1; that of 2 was sent after it
    out.find_lost()
    assert out.due(7) == []
    place = out.mark()
    out.proved(place)  # a PING that was sent after it
    out.find_lost()
    assert out.due(8) == [b"2"]
    assert out.repeats == 3


def test_a_repeat_by_the_timer_proves_no_more_than_the_first_sending():
    out, _ = flying(3)
    out.expired()
    assert out.due(300) == [b"0"]
    # 0 is here, by whichever of the two: that says nothing of 1 and 2.
    assert out.acknowledged(1, 0, 310) == (1, -1)  # Karn's rule: no measure
    out.find_lost()
    assert out.due(310) == []
    assert out.acknowledged(2, 0, 311) == (1, 311)


def test_repeats_of_the_first_are_counted_until_something_arrives():
    out, _ = flying(3)
    for times in (1, 2, 3):
        out.expired()
        out.due(times)
        assert out.stuck == times
    out.acknowledged(0, 1, 9)
    assert out.stuck == 0


def test_on_a_new_pipe_all_that_is_not_there_is_owed():
    out, _ = flying(4)
    out.acknowledged(1, 0b1, 5)
    out.start_again()
    assert out.due(9) == [b"1", b"3"]
    out, _ = flying(3)
    out.start_again()
    out.acknowledged(0, 0b10, 9)  # it came late by the pipe before
    assert out.due(9) == [b"0", b"1"]


def test_acknowledging_what_was_never_sent_breaks_the_protocol():
    for following, held in ((4, 0), (3, 1), (2, 1), (0, 0b100), (0, 1 << 31), (0xFFFFFFFF, 0)):
        out, _ = flying(3)
        assert broken(lambda: out.acknowledged(following, held, 1))  # noqa: B023
    out, _ = flying(3, window=2)  # the third waits
    assert broken(lambda: out.acknowledged(3, 0, 1))
    assert out.acknowledged(2, 0, 1) == (2, 1)


def test_a_peer_that_takes_back_what_it_held_leaves_it_consistent():
    out, _ = flying(3)
    out.acknowledged(0, 0b11, 1)
    assert out.acknowledged(1, 0, 2) == (1, 2)
    out.expired()
    assert out.due(3) == [b"1"]
    assert out.acknowledged(3, 0, 4) == (0, -1)
    assert out.in_flight == 0


def test_records_come_in_order_and_once():
    box = Incoming(1000)
    assert box.take(0, b"a")
    assert not box.take(2, b"c")
    assert not box.take(3, b"d")
    assert (box.following, box.held) == (1, 0b11)
    assert not box.take(2, b"C") and not box.take(0, b"A")
    assert box.twice == 2
    assert not box.take(1, b"b")  # fills a gap: tell at once
    assert (box.following, box.held) == (4, 0)
    assert [box.read() for _ in range(5)] == [b"a", b"b", b"c", b"d", None]


def test_the_room_is_what_was_not_read():
    box = Incoming(1000)
    assert box.tell() == 1000
    box.take(0, bytes(200))
    box.take(2, bytes(300))  # behind a gap: part of the credit from 1 on
    assert box.credit == 800
    box.take(1, bytes(100))
    assert box.credit == 400 and not box.grown
    box.read()
    assert not box.grown
    box.read()
    assert box.grown  # 300 more than the peer counts on
    assert box.tell() == 700
    assert not box.grown


def test_more_than_was_allowed_breaks_the_protocol():
    box = Incoming(1000)
    assert broken(lambda: box.take(32, b"x")) == "DATA beyond the window"
    assert not box.take(31, bytes(600))
    assert broken(lambda: box.take(5, bytes(401))) == "DATA beyond the credit"
    assert not box.take(5, bytes(400))
    assert broken(lambda: box.take(6, b"x")) == "DATA beyond the credit"


def test_many_small_records_unread_close_the_room():
    box = Incoming(100000)
    number = 0
    while box.credit:
        box.take(number, b"x")
        number += 1
    assert number == 32
    while number < 64:  # those that were on their way
        box.take(number, b"x")
        number += 1
    assert broken(lambda: box.take(number, b"x"))
    box.tell()
    for _ in range(33):
        box.read()
    assert box.grown and box.credit == 100000 - 31
