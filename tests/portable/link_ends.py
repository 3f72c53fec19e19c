"""One end of the link in each state, and its peer played by hand."""

from firmware.crypto.hashes import sha256
from firmware.link import packets as p
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import PipeGivenUp
from firmware.link.frames import FrameReader, encode

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
