"""Delivery of the PC link: losses, room, hostile peers, clocks."""

from firmware.link import packets as p
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import LAST_NUMBER, NumbersRanOut, Parameters, PipeGivenUp
from firmware.link.frames import encode
from firmware.link.window import ProtocolBroken
from tests.portable.link_ends import (
    CREDIT,
    HALF,
    NAME,
    OWN,
    TAG,
    both_live,
    events,
    hear,
    live_pc,
    live_terminal,
    lost_terminal,
    resuming_pc,
    said,
)
from tests.portable.link_pipe import Cable, Dice, records

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
    out = said(pc, 302)
    assert [packet[2] for packet in out[:-1]] == [1, 2, 3, 4] and out[-1] == (p.PING, TAG, 2)
    assert pc.counts()["timeouts"] == 1


def test_a_lost_data_is_repeated_without_waiting_for_the_timer():
    pc = live_pc()
    for number in range(4):
        pc.send(b"%d" % number)
    said(pc)
    hear(pc, p.ack(TAG, 1, 0b10, CREDIT), now=2)
    again = [(p.DATA, TAG, 1, b"1"), (p.DATA, TAG, 2, b"2")]
    assert said(pc, 2) == again + [(p.PING, TAG, 1)]
    hear(pc, p.ack(TAG, 1, 0b10, CREDIT), now=3)
    assert said(pc, 3) == []
    # The repeats were lost too: the PING behind them came through.
    hear(pc, p.pong(TAG, 1, 1, 0b10, CREDIT), now=4)
    assert said(pc, 4) == again + [(p.PING, TAG, 2)]
    hear(pc, p.pong(TAG, 1, 1, 0b10, CREDIT), now=5)  # a copy
    assert said(pc, 5) == []


def test_an_ack_that_the_pipe_doubled_says_nothing():
    pc = live_pc()
    for _ in range(3):
        pc.send(b"x")
    said(pc)
    hear(pc, p.ack(TAG, 2, 0, 9000))
    hear(pc, p.ack(TAG, 1, 0b1, 5), p.ack(TAG, 2, 0, 7))
    assert pc.state == "live" and pc.counts()["stale"] == 1
    assert pc.send(bytes(4096)) and len(said(pc)) == 1


def test_a_pong_that_the_pipe_doubled_measures_once():
    pc = live_pc()
    out = said(pc, 5000)
    assert out == [(p.PING, TAG, 1)]
    hear(pc, p.pong(TAG, 1, 0, 0, CREDIT), now=5060)
    hear(pc, p.pong(TAG, 1, 0, 0, CREDIT), now=5900)
    pc.send(b"x")
    said(pc, 5900)
    assert pc.wait_ms(5900) == 180  # 60 and four times 30


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
        assert len(pc._pings) <= 8
        now += pc.wait_ms(now) or 0
    assert sent == 13 and events(pc) == [("lost", PipeGivenUp)]


def test_how_long_a_lost_session_is_kept_counts_from_the_last_progress():
    def until_lost(pc, now):
        while pc.state == "live":
            now += pc.wait_ms(now)
            said(pc, now)
        return now

    for told in ("nothing", "resumed", "ack"):
        parameters = Parameters()
        parameters.dead_ms = 1000000
        pc = live_pc(parameters)
        pc.send(b"0")
        pc.send(b"1")
        said(pc)
        now = until_lost(pc, 0)
        assert pc.wait_ms(now) == 300000
        pc.pipe_back(now)
        said(pc, now)
        hear(pc, p.resumed(NAME, 1 if told == "resumed" else 0, CREDIT), now=now)
        said(pc, now)
        if told == "ack":
            hear(pc, p.ack(TAG, 1, 0, CREDIT), now=now)
        again = until_lost(pc, now)
        assert again > now
        assert pc.wait_ms(again) == (300000 - again + now if told == "nothing" else 300000)


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


def test_reliable_resumes_behind_each_frame_that_is_not_whole():
    def make(kind):
        return lambda: kind(reliable=True)

    for seed in range(4):
        dice = Dice(seed)
        up, down = records(dice, 60, 60), records(dice, 60, 60)
        faults = ("flip", "insert", "cut")
        cable = Cable(up, down, make(PcEnd), make(TerminalEnd), seed, percent=5, faults=faults)
        cable.connection = True
        cable.run(60000)
        assert "resumed" in cable.pc.named() and "ended" not in cable.pc.named()
        for counts in cable.counts():
            assert counts["timeouts"] == 0
