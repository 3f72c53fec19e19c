"""A PC and a terminal of the link over a pipe with faults, on a clock that the test moves.

Used by tests of the link on both interpreters. Bytes travel in pieces of 64 as USB carries
them; a seed decides which piece is dropped, changed, doubled, cut, or held up. The two ends
have durable lists as sync has: what is to be sent, and what came. A new session begins with
each end's cursor, a resumed one does not.
"""

from firmware.link.delivery import PcEnd, TerminalEnd

PIECE = 64
FAULTS = ("drop", "flip", "insert", "double", "cut", "stall")


class Dice:
    """The same numbers everywhere (Numerical Recipes' 32-bit generator)."""

    def __init__(self, seed):
        self.state = seed * 2654435761 + 1 & 0xFFFFFFFF

    def below(self, limit):
        self.state = self.state * 1664525 + 1013904223 & 0xFFFFFFFF
        return (self.state >> 8) % limit

    def bytes(self, count):
        return bytes([self.below(256) for _ in range(count)])


class Way:
    """One direction. ``rate``: bytes a millisecond, 0 for no limit; ``percent``: pieces with
    a fault; ``passed``: bytes that were written."""

    def __init__(self, dice, delay_ms=1, rate=0, percent=0, faults=FAULTS):
        self.dice = dice
        self.delay_ms = delay_ms
        self.rate = rate
        self.percent = percent
        self.faults = faults
        self.passed = 0
        self.stop_after = None
        self.free_at = 0
        self.flying = []
        self.watch = None

    def write(self, data, now):
        """False when the cable was pulled within it."""
        whole = True
        if self.stop_after is not None and self.passed + len(data) >= self.stop_after:
            data = data[: self.stop_after - self.passed]
            self.stop_after = None
            whole = False
        self.passed += len(data)
        if self.watch:
            data = self.watch(data)
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            if self.percent and self.dice.below(100) < self.percent:
                piece = self._spoilt(piece, now)
            took = len(piece) // self.rate if self.rate else 0
            self.free_at = max(self.free_at, now) + took
            if piece:
                self.flying.append((self.free_at + self.delay_ms, piece))
        return whole

    def _spoilt(self, piece, now):
        fault = self.faults[self.dice.below(len(self.faults))]
        at = self.dice.below(len(piece))
        if fault == "drop":
            return b""
        if fault == "flip":
            return piece[:at] + bytes((piece[at] ^ 1 << self.dice.below(8),)) + piece[at + 1 :]
        if fault == "insert":
            return piece[:at] + self.dice.bytes(1 + self.dice.below(5)) + piece[at:]
        if fault == "double":
            return piece + piece
        if fault == "cut":
            return piece[:at]
        self.free_at = max(self.free_at, now) + 200
        return piece

    def due(self, now):
        data = b""
        while self.flying and self.flying[0][0] <= now:
            data += self.flying.pop(0)[1]
        return data


class Side:
    """An end with what is above it. ``records``: to be sent; ``came``: received, in order."""

    def __init__(self, records, make):
        self.records = records
        self.make = make
        self.came = []
        self.events = []
        self.restart()

    def restart(self):
        self.end = self.make()
        self.at = None  # in records, None until the peer's cursor came
        self.slow = False

    def turn(self, now):
        """Take events and records; hand over what is to be sent."""
        if isinstance(self.end, TerminalEnd) and self.end.wants_half:
            self.end.give_half(self.halves.bytes(8))
        while True:
            event = self.end.event()
            if event is None:
                break
            self.events.append((event[0], event[1], now))
            if event[0] == "live":
                self.at = None
                assert self.end.send(b"C" + len(self.came).to_bytes(4, "big"))
            elif event[0] == "ended":
                self.at = None
        while not self.slow:
            record = self.end.read()
            if record is None:
                break
            if record[:1] == b"C":
                self.at = int.from_bytes(record[1:], "big")
            else:
                self.came.append(record[1:])
        while self.at is not None and self.at < len(self.records):
            if not self.end.send(b"D" + self.records[self.at]):
                break
            self.at += 1

    def named(self):
        return [name for name, _, _ in self.events]


class Cable:
    """Both ends and the two directions between them. A pipe that the PC gives up is opened
    anew after ``plug_ms``; a session that is lost is followed by a new one. ``connection``:
    the pipe is one of TCP, which either end may end and both notice.

    ``on_stop``: what befalls at a way's ``stop_after``: "unplug" (both notice), "reset pc" or
    "reset terminal" (that end starts anew and the cable is pulled), "crash pc" or "crash
    terminal" (that end starts anew and the other notices nothing).
    """

    def __init__(self, up, down, pc=None, terminal=None, seed=1, plug_ms=300, **way):
        dice = Dice(seed)
        self.pc = Side(up, pc or PcEnd)
        self.terminal = Side(down, terminal or TerminalEnd)
        self.pc.halves = self.terminal.halves = Dice(seed + 99)
        self.ways = (Way(dice, **way), Way(dice, **way))
        self.now = 0
        self.plug_ms = plug_ms
        self.plug_at = None
        self.told = ()
        self.on_stop = "unplug"
        self.connection = False
        self.pc.end.connect(self.pc.halves.bytes(8), 0)

    def _stop(self):
        what, _, who = self.on_stop.partition(" ")
        if who:
            (self.pc if who == "pc" else self.terminal).restart()
        if what != "crash":
            self._unplug(self.pc, self.terminal)

    def _unplug(self, *told):
        for way in self.ways:
            way.flying = []
            way.free_at = 0
        self.plug_at = self.now + self.plug_ms
        self.told = told
        for side in told:
            side.end.pipe_lost(self.now)

    def _plug(self):
        self.plug_at = None
        for side in self.told:
            side.end.pipe_back(self.now)

    def done(self):
        return self.pc.came == self.terminal.records and self.terminal.came == self.pc.records

    def step(self):
        """One moment; then the clock moves on to the next."""
        for side, out in ((self.pc, 0), (self.terminal, 1)):
            data = self.ways[1 - out].due(self.now)
            if data:
                side.end.arrived(data, self.now)
            self._turn(side)
            data = side.end.output(self.now)
            self._turn(side)  # what came of the time that passed
            if data and self.plug_at is None and not self.ways[out].write(data, self.now):
                self._stop()
        times = [side.end.wait_ms(self.now) for side in (self.pc, self.terminal)]
        times = [self.now + ms for ms in times if ms is not None]
        times += [way.flying[0][0] for way in self.ways if way.flying]
        if self.plug_at is not None:
            times.append(self.plug_at)
        assert times, "nothing will ever happen again"
        self.now = max(self.now, min(times))
        if self.plug_at is not None and self.now >= self.plug_at:
            self._plug()

    def _turn(self, side):
        seen = len(side.events)
        side.turn(self.now)
        lost = "lost" in [event[0] for event in side.events[seen:]]
        if lost and self.connection and self.plug_at is None:
            self._unplug(self.pc, self.terminal)
        elif lost and side is self.pc and self.plug_at is None:
            self._unplug(side)
        if side is self.pc and side.end.state == "closed":
            side.end.connect(side.halves.bytes(8), self.now)

    def run(self, most_ms=120000, until=None):
        """Until all arrived both ways, in order and once; AssertionError when it takes longer."""
        until = until or self.done
        while not until():
            assert self.now <= most_ms, "after " + str(self.now) + " ms"
            self.step()
            assert len(self.pc.came) <= len(self.terminal.records)
            assert len(self.terminal.came) <= len(self.pc.records)
        return self

    def counts(self):
        return self.pc.end.counts(), self.terminal.end.counts()


def records(dice, count, most):
    return [dice.bytes(1 + dice.below(most)) for _ in range(count)]
