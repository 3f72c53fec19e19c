"""Delivery of the PC link: each row of both state tables (docs/link.md, States)."""

from firmware.link import packets as p
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import (
    LinkError,
    NoAnswer,
    Parameters,
    PeerClosed,
    PipeGivenUp,
    Refused,
    Replaced,
    SessionLost,
)
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
    lost_pc,
    lost_terminal,
    opening_pc,
    resuming_pc,
    said,
)

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
        hear(end, p.data(TAG, 0, b"of the pipe before"), p.close(TAG, 0), now=1)
        assert events(end) == [] and end.read() is None and sum(end.counts().values()) == 0


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
    wanted = [(p.DATA, TAG, n, str(n).encode()) for n in (2, 3, 4)]
    assert said(pc) == wanted + [(p.PING, TAG, 1)]
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
        ] + ([(p.PING, TAG, 1)] if state == "live" else [])  # lost: they are sent the first time
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
