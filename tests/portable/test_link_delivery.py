"""Delivery of the PC link: each row of both state tables, then losses and hostile peers."""

from firmware.crypto.hashes import sha256
from firmware.link import packets as p
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import (
    LAST_NUMBER,
    LinkError,
    NoAnswer,
    NumbersRanOut,
    Parameters,
    PeerClosed,
    PipeGivenUp,
    Refused,
    Replaced,
    SessionLost,
)
from firmware.link.frames import FrameReader, encode
from firmware.link.window import ProtocolBroken
from tests.portable.link_pipe import Cable, Dice, Way, records

HALF = b"PC half "
OWN = b"terminal"
NAME = HALF + OWN
TAG = sha256(NAME)[:2]
CREDIT = 65536


def said(end, now=0):
    """The packets that ``end`` writes now."""
    return [p.decode(packet) for packet in FrameReader(5000).feed(end.output(now))]


def hear(end, *said_packets, now=0):
    end.arrived(b"".join([encode(packet) for packet in said_packets]), now)


def events(end):
    found = []
    while True:
        event = end.event()
        if event is None:
            return found
        found.append(event if event[1] is None else (event[0], type(event[1])))


def opening_pc(parameters=None, now=0):
    pc = PcEnd(parameters)
    pc.connect(HALF, now)
    assert said(pc, now) == [(p.OPEN, 1, HALF, pc._set.size, pc._set.credit)]
    return pc


def live_pc(parameters=None, size=4096, credit=CREDIT, **more):
    pc = PcEnd(parameters, **more)
    pc.connect(HALF, 0)
    said(pc)
    hear(pc, p.accept(HALF, OWN, size, credit))
    assert events(pc) == [("live", None)]
    return pc


def lost_pc():
    pc = live_pc()
    pc.pipe_lost(0)
    assert events(pc) == [("lost", PipeGivenUp)] and pc.state == "lost"
    return pc


def resuming_pc():
    pc = lost_pc()
    pc.pipe_back(0)
    assert pc.state == "resuming"
    return pc


def live_terminal(parameters=None, credit=CREDIT, **more):
    terminal = TerminalEnd(parameters, **more)
    terminal.give_half(OWN)
    hear(terminal, p.open_packet(HALF, 4096, credit))
    assert terminal.state == "live" and events(terminal) == [("live", None)]
    assert said(terminal)[0][0] == p.ACCEPT
    return terminal


def lost_terminal():
    terminal = live_terminal()
    terminal.pipe_lost(0)
    assert events(terminal) == [("lost", PipeGivenUp)] and terminal.state == "lost"
    terminal.pipe_back(0)
    return terminal


def both_live():
    return [live_pc(), live_terminal()]


# -- the PC's table


def test_pc_closed_connect():
    pc = opening_pc()
    assert pc.state == "opening" and events(pc) == []
    for again in (lambda: pc.connect(HALF, 0), lambda: PcEnd().connect(b"short", 0)):
        try:
            again()
        except ValueError:
            continue
        raise AssertionError


def test_pc_opening_asks_again_and_gives_up():
    pc = opening_pc()
    for at in range(1, 10):
        assert pc.wait_ms(at * 500 - 500) == 500
        assert said(pc, at * 500 - 1) == []
        assert said(pc, at * 500) == [(p.OPEN, 1, HALF, 4096, CREDIT)]
    assert said(pc, 5000) == []
    assert events(pc) == [("ended", NoAnswer)] and pc.state == "closed"
    assert pc.wait_ms(5000) is None


def test_pc_opening_accept():
    pc = opening_pc()
    hear(pc, p.accept(b"another ", OWN, 4096, CREDIT))
    assert pc.state == "opening" and pc.counts()["strays"] == 1
    hear(pc, p.accept(HALF, OWN, 1040, 4096))
    assert pc.state == "live" and events(pc) == [("live", None)]
    assert pc.size == 1040
    assert pc.opening == p.open_packet(HALF, 4096, CREDIT) + p.accept(HALF, OWN, 1040, 4096)
    assert pc.send(bytes(1040))
    for size in (0, 1041):
        try:
            pc.send(bytes(size))
        except ValueError:
            continue
        raise AssertionError(size)
    assert said(pc) == [(p.DATA, TAG, 0, bytes(1040))]


def test_pc_opening_refuse():
    for reason, detail in ((1, 0x0203), (2, 0), (3, 60)):
        pc = opening_pc()
        hear(pc, p.refuse(reason, detail, b"another "))
        assert pc.state == "opening"
        hear(pc, p.refuse(reason, detail, HALF))
        error = pc.event()[1]
        assert isinstance(error, Refused)
        assert (error.reason, error.refusal) == (reason, detail)
        assert pc.state == "closed" and said(pc) == []


def test_pc_opening_on_a_pipe_that_breaks_asks_again_when_it_is_back():
    pc = opening_pc()
    pc.pipe_lost(10)
    assert said(pc, 10) == []
    pc.pipe_back(100)
    assert said(pc, 100) == [(p.OPEN, 1, HALF, 4096, CREDIT)]
    assert pc.wait_ms(100) == 400
    pc.pipe_lost(110)
    for at in range(1, 11):
        assert said(pc, at * 500) == []
    assert events(pc) == [("ended", NoAnswer)]


def test_both_live_and_the_pipe_breaks():
    for end in both_live():
        end.send(b"kept")
        end.pipe_lost(0)
        assert end.state == "lost" and events(end) == [("lost", PipeGivenUp)]
        assert said(end) == [] and end.send(b"too")
        end.pipe_lost(1)
        assert events(end) == []


def test_both_live_and_nothing_is_heard():
    for end in both_live():
        assert end.wait_ms(0) == 5000
        assert said(end, 4999) == []
        assert said(end, 5000) == [(p.PING, TAG, 1)]
        assert said(end, 9999) == []
        assert said(end, 10000) == [(p.PING, TAG, 2)]
        assert said(end, 15000) == []
        assert end.state == "lost" and events(end) == [("lost", PipeGivenUp)]
        end = both_live()[isinstance(end, TerminalEnd)]
        said(end, 14000)
        hear(end, p.ping(TAG, 9), now=14999)
        assert said(end, 15000)[0][:3] == (p.PONG, TAG, 9)
        assert end.state == "live"


def test_pc_lost_and_the_pipe_is_back():
    pc = live_pc()
    hear(pc, p.data(TAG, 0, b"abc"))
    pc.pipe_lost(0)
    pc.pipe_back(7)
    assert said(pc, 7) == [(p.RESUME, NAME, 1, CREDIT - 3)]
    assert pc.state == "resuming"


def test_both_lost_for_too_long():
    for end in (lost_pc(), lost_terminal()):
        assert end.wait_ms(0) == 300000
        end.output(299999)
        assert end.state == "lost"
        end.output(300000)
        assert events(end) == [("ended", SessionLost)]
        assert end.state in ("closed", "listening") and end.wait_ms(300000) is None


def test_pc_resuming_asks_again_and_is_lost_again():
    pc = resuming_pc()
    asked = 0
    for at in range(0, 5000, 500):
        asked += said(pc, at) == [(p.RESUME, NAME, 0, CREDIT)]
        assert pc.wait_ms(at) == 500
    assert asked == 10
    assert said(pc, 5000) == []
    assert pc.state == "lost" and events(pc) == [("lost", PipeGivenUp)]
    # The hour glass runs from the first loss.
    assert pc.wait_ms(5000) == 295000
    pc.pipe_back(299999)
    said(pc, 299999)
    said(pc, 300000)
    assert pc.state == "resuming"
    pc.pipe_lost(300001)
    assert pc.state == "lost"
    pc.output(300001)
    assert events(pc) == [("ended", SessionLost)]


def test_pc_resuming_resumed():
    pc = live_pc()
    for number in range(4):
        pc.send(str(number).encode())
    assert len(said(pc)) == 4
    pc.pipe_lost(0)
    pc.send(b"4")
    pc.pipe_back(0)
    said(pc)
    events(pc)
    hear(pc, p.resumed(b"another id......", 2, 5), p.data(TAG, 0, b"early"))
    assert pc.state == "resuming" and pc.read() is None
    hear(pc, p.resumed(NAME, 2, 500))
    assert pc.state == "live" and events(pc) == [("resumed", None)]
    assert said(pc) == [(p.DATA, TAG, n, str(n).encode()) for n in (2, 3, 4)]
    hear(pc, p.resumed(NAME, 2, 500))  # a copy
    assert pc.state == "live" and said(pc) == []


def test_pc_resuming_refuse():
    for reason, error in ((2, SessionLost), (1, Refused), (3, Refused)):
        pc = resuming_pc()
        hear(pc, p.refuse(reason, 0, b"another "))
        assert pc.state == "resuming"
        hear(pc, p.refuse(reason, 0, HALF))
        assert pc.state == "closed" and events(pc) == [("ended", error)]


def test_both_close_and_are_closed():
    for make in (live_pc, lost_pc, resuming_pc, live_terminal, lost_terminal):
        end = make()
        hear(end, p.close(b"zz", 6))
        assert events(end) == []
        if make is not lost_pc:
            hear(end, p.close(TAG, 6))
            kind, error = end.event()
            assert kind == "ended" and isinstance(error, PeerClosed) and error.reason == 6
            assert said(end) == [] and end.state in ("closed", "listening")
        end = make()
        end.close(p.REVOKED)
        assert events(end) == [("ended", None)]
        assert said(end) == ([] if make is lost_pc else [(p.CLOSE, TAG, 5)])
        assert end.state in ("closed", "listening")
        end.close()
        assert said(end) == [] and events(end) == []
        assert not end.writable
        try:
            end.send(b"x")
        except LinkError:
            continue
        raise AssertionError
    pc = opening_pc()
    pc.close()
    assert events(pc) == [("ended", None)] and said(pc, 500) == []


def test_records_that_came_before_the_end_are_still_read():
    for end in both_live():
        hear(end, p.data(TAG, 0, b"last words"), p.close(TAG, 0))
        assert end.read() == b"last words" and end.read() is None


# -- the terminal's table


def test_terminal_listening_open():
    terminal = TerminalEnd(Parameters(1040, 4096))
    assert terminal.wants_half and terminal.wait_ms(0) is None
    hear(terminal, p.open_packet(HALF, 4096, CREDIT))
    assert said(terminal) == [] and terminal.state == "listening"
    terminal.give_half(OWN)
    hear(terminal, p.open_packet(HALF, 4096, CREDIT))
    assert terminal.wait_ms(0) == 0
    assert said(terminal) == [(p.ACCEPT, 1, HALF, OWN, 1040, 4096)]
    assert terminal.state == "live" and events(terminal) == [("live", None)]
    assert terminal.wants_half and terminal.size == 1040
    assert terminal.opening == p.open_packet(HALF, 4096, CREDIT) + p.accept(HALF, OWN, 1040, 4096)


def test_terminal_live_or_lost_and_the_same_open():
    for make in (live_terminal, lost_terminal):
        terminal = make()
        hear(terminal, p.open_packet(HALF, 4096, CREDIT))
        assert said(terminal) == [(p.ACCEPT, 1, HALF, OWN, 4096, CREDIT)]
        assert terminal.state == "live"
        assert events(terminal) == ([] if make is live_terminal else [("resumed", None)])
    terminal = live_terminal()
    hear(terminal, p.data(TAG, 0, b"x"), p.open_packet(HALF, 4096, CREDIT), p.data(TAG, 1, b"y"))
    assert (terminal.read(), terminal.read()) == (b"x", b"y")


def test_terminal_live_or_lost_and_another_open():
    for make in (live_terminal, lost_terminal):
        terminal = make()
        terminal.send(b"for the first")
        terminal.give_half(b"2nd half")
        hear(terminal, p.open_packet(b"new half", 4096, CREDIT))
        assert events(terminal) == [("ended", Replaced), ("live", None)]
        assert said(terminal) == [(p.ACCEPT, 1, b"new half", b"2nd half", 4096, CREDIT)]
        hear(terminal, p.data(TAG, 0, b"of the first"))
        assert terminal.read() is None and terminal.counts()["strays"] == 1


def test_terminal_any_state_and_an_open_of_another_version():
    for make in (TerminalEnd, live_terminal, lost_terminal):
        terminal = make()
        state = terminal.state
        hear(terminal, b"\x01\x02" + b"new half" + b"whatever version 2 has")
        assert said(terminal) == [(p.REFUSE, 1, 0x0101, b"new half")]
        assert terminal.state == state and events(terminal) == []


def test_terminal_live_or_lost_and_resume():
    for make in (live_terminal, lost_terminal):
        terminal = make()
        state = terminal.state
        terminal.send(b"0")
        terminal.send(b"1")
        said(terminal)
        hear(terminal, p.resume(NAME, 0, 500))
        assert said(terminal) == [
            (p.RESUMED, NAME, 0, CREDIT),
            (p.DATA, TAG, 0, b"0"),
            (p.DATA, TAG, 1, b"1"),
        ]
        assert terminal.state == "live"
        assert events(terminal) == ([("resumed", None)] if state == "lost" else [])


def test_terminal_any_state_and_resume_with_another_id():
    for make in (TerminalEnd, live_terminal, lost_terminal):
        terminal = make()
        state = terminal.state
        hear(terminal, p.resume(b"old halfterminal", 7, 500))
        assert said(terminal) == [(p.REFUSE, 2, 0, b"old half")]
        assert terminal.state == state and events(terminal) == []


def test_terminal_busy():
    terminal = TerminalEnd()
    terminal.give_half(OWN)
    terminal.busy_s = 60
    hear(terminal, p.open_packet(HALF, 4096, CREDIT))
    assert said(terminal) == [(p.REFUSE, 3, 60, HALF)] and terminal.state == "listening"
    terminal.busy_s = 0
    hear(terminal, p.open_packet(HALF, 4096, CREDIT))
    assert terminal.state == "live"


# -- acknowledging, credit, losses


def test_every_second_data_is_acknowledged_and_one_alone_after_a_while():
    end = live_terminal()
    hear(end, p.data(TAG, 0, b"aa"))
    assert end.wait_ms(0) == 20 and said(end, 19) == []
    assert said(end, 20) == [(p.ACK, TAG, 1, 0, CREDIT - 2)]
    hear(end, p.data(TAG, 1, b"b"), p.data(TAG, 2, b"c"), now=21)
    assert said(end, 21) == [(p.ACK, TAG, 3, 0, CREDIT - 4)]
    for number, held in ((4, 1), (0, 1), (3, 0)):  # a gap, twice, the gap filled
        hear(end, p.data(TAG, number, b"d"), now=22)
        assert said(end, 22)[0][2:4] == (3 if held else 5, held)
    assert end.wait_ms(22) == 5000


def test_reading_gives_room_back():
    end = live_terminal(Parameters(256, 1024))
    for number in range(4):
        hear(end, p.data(TAG, number, bytes(256)))
    assert said(end) == [(p.ACK, TAG, 4, 0, 0)]
    assert end.wait_ms(0) == 5000
    end.read()
    assert end.wait_ms(0) == 0
    assert said(end) == [(p.ACK, TAG, 4, 0, 256)]
    end.read()
    end.read()
    assert said(end) == [(p.ACK, TAG, 4, 0, 768)]


def test_without_credit_it_asks_ever_later():
    pc = live_pc(credit=10)
    pc.send(bytes(11))
    at, asked = 0, []
    while len(asked) < 6:
        out = said(pc, at)
        if out:
            assert len(out) == 1 and out[0][0] == p.PING
            hear(pc, p.pong(TAG, out[0][2], 0, 0, 10), now=at)
            asked.append(at)
        at += max(1, pc.wait_ms(at))
    gaps = [asked[i + 1] - asked[i] for i in range(5)]
    assert gaps == [600, 1200, 2400, 3000, 3000] and asked[0] == 300
    hear(pc, p.ack(TAG, 0, 0, 11), now=at)
    assert said(pc, at) == [(p.DATA, TAG, 0, bytes(11))]


def test_the_timer_repeats_the_first_and_a_ping_finds_the_rest():
    pc = live_pc()
    for number in range(5):
        pc.send(b"%d" % number)
    said(pc)
    assert pc.wait_ms(0) == 300 and said(pc, 299) == []
    out = said(pc, 300)
    assert out == [(p.DATA, TAG, 0, b"0"), (p.PING, TAG, 1)]
    hear(pc, p.pong(TAG, 1, 1, 0, CREDIT), now=302)
    assert [packet[2] for packet in said(pc, 302)] == [1, 2, 3, 4]
    assert pc.counts()["timeouts"] == 1


def test_a_lost_data_is_repeated_without_waiting_for_the_timer():
    pc = live_pc()
    for number in range(4):
        pc.send(b"%d" % number)
    said(pc)
    hear(pc, p.ack(TAG, 1, 0b10, CREDIT), now=2)
    assert said(pc, 2) == [(p.DATA, TAG, 1, b"1"), (p.DATA, TAG, 2, b"2")]
    hear(pc, p.ack(TAG, 1, 0b10, CREDIT), now=3)
    assert said(pc, 3) == []


def test_an_ack_that_the_pipe_doubled_says_nothing():
    pc = live_pc()
    for _ in range(3):
        pc.send(b"x")
    said(pc)
    hear(pc, p.ack(TAG, 2, 0, 9000))
    hear(pc, p.ack(TAG, 1, 0b1, 5), p.ack(TAG, 2, 0, 7))
    assert pc.state == "live" and pc.counts()["stale"] == 1
    assert pc.send(bytes(4096)) and len(said(pc)) == 1


def test_a_data_that_never_passes_breaks_the_pipe_and_then_the_session():
    pc = live_pc()
    pc.send(b"\x11")  # as if something on the way took it for XON
    now, lost_at = 0, []
    while pc.state != "closed":
        assert now < 400000
        for packet in said(pc, now):
            if packet[0] == p.PING:
                hear(pc, p.pong(TAG, packet[2], 0, 0, CREDIT), now=now)
            elif packet[0] == p.RESUME:
                hear(pc, p.resumed(NAME, 0, CREDIT), now=now)
        if ("lost", PipeGivenUp) in events(pc):
            lost_at.append(now)
            pc.pipe_lost(now)
            pc.pipe_back(now + 100)
            pc.pipe_lost(now + 100)
            now = now + 100
            pc.output(now)
            if pc.state != "closed":
                pc.pipe_back(now)
        else:
            wait = pc.wait_ms(now)
            now += 0 if wait is None else wait
    assert len(lost_at) > 10 and lost_at[0] < 15000 and now < 320000


def test_repeats_end_when_nothing_is_acknowledged():
    parameters = Parameters()
    parameters.dead_ms = 1000000
    pc = live_pc(parameters)
    pc.send(b"x")
    now, sent = 0, 0
    while pc.state == "live":
        sent += len([1 for packet in said(pc, now) if packet[0] == p.DATA])
        now += pc.wait_ms(now) or 0
    assert sent == 13 and events(pc) == [("lost", PipeGivenUp)]


def test_the_last_number_ends_the_session():
    for end in both_live():
        end._out.first = LAST_NUMBER  # four thousand million records later
        assert end.send(b"the last")
        assert said(end) == [(p.DATA, TAG, LAST_NUMBER, b"the last")]
        assert not end.send(b"one more")
        assert events(end) == [("ended", NumbersRanOut)]
        assert said(end) == [(p.CLOSE, TAG, 7)]


# -- hostile peers


def hostile_end(end, *said_packets):
    """The error in which ``end`` ends the session, telling CLOSE 1."""
    hear(end, *said_packets)
    name, error = end.event()
    assert name == "ended" and isinstance(error, ProtocolBroken), name
    assert said(end) == [(p.CLOSE, TAG, 1)]
    assert end.event() is None
    return str(error)


def test_acknowledging_what_was_never_sent():
    never = "DATA acknowledged that was never sent"
    for packet in (
        p.ack(TAG, 2, 0, 9),
        p.ack(TAG, 0xFFFFFFFF, 0, 9),
        p.ack(TAG, 0, 0b1, 9),
        p.ack(TAG, 1, 0b1, 9),
        p.pong(TAG, 0, 2, 0, 9),
    ):
        for end in both_live():
            end.send(b"0")
            said(end)
            assert hostile_end(end, packet) == never
    terminal = lost_terminal()
    assert hostile_end(terminal, p.resume(NAME, 1, 9)) == never
    terminal = live_terminal()
    assert hostile_end(terminal, p.resume(NAME, 1, 9)) == never
    pc = resuming_pc()
    said(pc)
    assert hostile_end(pc, p.resumed(NAME, 1, 9)) == never


def test_forgetting_what_was_acknowledged():
    forgot = "the peer forgot what it had acknowledged"
    for make in (live_pc, live_terminal):
        end = make()
        end.send(b"0")
        said(end)
        hear(end, p.ack(TAG, 1, 0, 9))
        if make is live_terminal:  # while it lives, a copy that the pipe made
            hear(end, p.resume(NAME, 0, 9))
            assert said(end) == [(p.RESUMED, NAME, 0, CREDIT)] and events(end) == []
        end.pipe_lost(0)
        end.pipe_back(0)
        said(end)
        events(end)
        packet = p.resumed if make is live_pc else p.resume
        assert hostile_end(end, packet(NAME, 0, 9)) == forgot


def test_sending_more_than_is_allowed():
    small = Parameters(256, 1024)
    for end in (live_pc(small), live_terminal(small)):
        assert hostile_end(end, p.data(TAG, 32, b"x")) == "DATA beyond the window"
    for end in (live_pc(small), live_terminal(small)):
        some = [p.data(TAG, number, bytes(256)) for number in range(1, 6)]
        assert hostile_end(end, *some) == "DATA beyond the credit"
    for end in (live_pc(small), live_terminal(small)):
        some = [p.data(TAG, number, b"x") for number in range(65)]
        assert hostile_end(end, *some) == "DATA beyond the credit"
    pc = live_pc(size=256)
    assert hostile_end(pc, p.data(TAG, 0, bytes(257))) == "a record of 257 bytes"
    for end in (live_pc(small), live_terminal(small)):  # no packet of this end at all
        hear(end, p.data(TAG, 0, bytes(257)))
        assert end.state == "live" and end.counts()["dropped"] == 1


def test_floods_are_answered_once_a_turn():
    dice = Dice(3)
    terminal = TerminalEnd()
    terminal.give_half(OWN)
    for _ in range(10):
        hear(terminal, *[p.open_packet(dice.bytes(8), 4096, CREDIT) for _ in range(50)])
        assert len(said(terminal)) <= 1
    assert events(terminal) == [("live", None)]  # one half, one session
    assert terminal.counts()["strays"] == 499
    terminal = live_terminal()
    flood = [p.resume(dice.bytes(16), 0, 9) for _ in range(50)]
    flood += [p.open_packet(HALF, 4096, CREDIT) for _ in range(50)]
    flood += [p.ping(TAG, mark) for mark in range(50)]
    hear(terminal, *flood)
    assert [packet[0] for packet in said(terminal)] == [p.ACCEPT, p.PONG]
    assert said(terminal) == []


def test_packets_of_no_table_are_counted():
    for end in both_live() + [lost_terminal(), TerminalEnd(), resuming_pc()]:
        state = end.state
        hear(end, b"\x77", b"\x10", p.data(b"zz", 0, b"x"), p.ack(b"zz", 1, 0, 0))
        assert end.state == state and events(end) == []
        counts = end.counts()
        assert (counts["malformed"], counts["strays"]) == (2, 2)
    terminal = live_terminal()
    hear(terminal, p.accept(HALF, OWN, 4096, 9), p.resumed(NAME, 0, 9), p.refuse(2, 0, HALF))
    assert terminal.counts()["strays"] == 3 and terminal.state == "live"


# -- the clock


def test_a_clock_that_wraps():
    period = 1 << 30
    for start in (period - 1, period - 250, period - 5000):
        for end in (PcEnd(period=period), TerminalEnd(period=period)):
            at = start
            if isinstance(end, PcEnd):
                end.connect(HALF, at)
                said(end, at)
                hear(end, p.accept(HALF, OWN, 4096, CREDIT), now=at)
            else:
                end.give_half(OWN)
                hear(end, p.open_packet(HALF, 4096, CREDIT), now=at)
            said(end, at)
            end.send(b"x")
            said(end, at)
            assert end.wait_ms(at) == 300
            assert said(end, (at + 299) % period) == []
            assert end.wait_ms((at + 299) % period) == 1
            assert len(said(end, (at + 300) % period)) == 2
            assert end.wait_ms((at + 200) % period) == 600  # a step back is no step


def test_a_clock_that_is_set_back_stands_still():
    pc = live_pc()
    pc.send(b"x")
    said(pc, 100)
    assert pc.wait_ms(50) == 300
    assert said(pc, 349) == [] and len(said(pc, 350)) == 2


# -- a pipe that loses nothing


def test_reliable_repeats_nothing_and_probes_nothing():
    pc = live_pc(reliable=True, credit=4)
    pc.send(b"0")
    pc.send(b"1234")
    assert said(pc) == [(p.DATA, TAG, 0, b"0")]
    assert pc.wait_ms(0) == 5000 and said(pc, 4999) == []
    hear(pc, p.ack(TAG, 0, 0, 4), now=4999)
    assert said(pc, 4999) == []
    hear(pc, p.ack(TAG, 1, 0, 4), now=4999)
    assert said(pc, 4999) == [(p.DATA, TAG, 1, b"1234")]
    assert said(pc, 9999) == [(p.PING, TAG, 1)]


def test_reliable_gives_the_pipe_up_when_something_is_missing():
    whole = encode(p.data(TAG, 0, b"x"))
    spoilt = whole[:5] + b"\x99" + whole[6:]
    gap = encode(p.data(TAG, 1, b"y"))
    for make in (live_pc, live_terminal):
        for stream in (spoilt, gap, spoilt + gap):
            end = make(reliable=True)
            end.arrived(stream, 0)
            assert events(end) == [("lost", PipeGivenUp)] and end.state == "lost"
            assert end.read() is None


def test_reliable_resumes():
    def make(kind):
        return lambda: kind(reliable=True)

    dice = Dice(8)
    for pull in range(10, 2000, 97):
        cable = Cable(records(dice, 10, 60), records(dice, 10, 60), make(PcEnd), make(TerminalEnd))
        cable.ways[pull % 2].stop_after = pull
        cable.run(6000)
        for counts in cable.counts():
            assert counts["timeouts"] == 0


# -- both ends together


def conversation(seed=1, **way):
    def small(kind):
        return lambda: kind(Parameters(256, 1024, 4, 2048))

    dice = Dice(seed)
    return Cable(
        records(dice, 6, 200), records(dice, 6, 200), small(PcEnd), small(TerminalEnd), seed, **way
    )


class Without:
    """Takes frames out of what passes, by their place in it."""

    def __init__(self, *places):
        self.places = places
        self.seen = 0

    def __call__(self, data):
        kept = b""
        for frame in data.split(b"\x00"):
            if frame:
                if self.seen not in self.places:
                    kept += b"\x00" + frame + b"\x00"
                self.seen += 1
        return kept


def test_nothing_lost():
    cable = conversation()
    cable.run(100)
    assert cable.pc.named() == cable.terminal.named() == ["live"]
    assert [sum(c.values()) for c in cable.counts()] == [0, 0]


def test_each_single_packet_lost():
    for way in (0, 1):
        place = 0
        while True:
            cable = conversation()
            lossy = Without(place)
            cable.ways[way].watch = lossy
            cable.run(1500)
            assert cable.pc.named() == cable.terminal.named() == ["live"]
            if lossy.seen <= place:
                break
            place += 1
        assert place > 8


def test_faults_of_every_kind():
    for number, fault in enumerate(("drop", "flip", "insert", "double", "cut", "stall")):
        cable = conversation(number, percent=15, faults=(fault,))
        cable.run(60000)
        assert cable.pc.named() == ["live"], fault


def test_a_slow_reader_stops_the_sender_and_then_gets_all():
    def small(kind):
        return lambda: kind(Parameters(256, 1024, 8, 4096))

    dice = Dice(4)
    cable = Cable(records(dice, 60, 60), [], small(PcEnd), small(TerminalEnd), 4, percent=5)
    cable.terminal.slow = True
    cable.run(40000, lambda: cable.now > 20000)
    assert cable.terminal.came == [] and cable.terminal.named() == ["live"]
    cable.terminal.slow = False
    cable.run(60000)


def test_the_pipe_moves_pieces_of_64():
    way = Way(Dice(1), delay_ms=2)
    assert way.write(bytes(130), 0)
    assert [len(piece) for _, piece in way.flying] == [64, 64, 2]
    assert way.due(1) == b"" and way.due(2) == bytes(130)
    way.stop_after = 140
    assert not way.write(bytes(64), 5)
    assert way.due(9) == bytes(10)
