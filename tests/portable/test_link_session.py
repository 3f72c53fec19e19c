"""firmware.link.session: two ends over a clean pipe, and everybody who poses as one of them."""

from firmware.cbor import encode
from firmware.crypto.x25519 import KeyPair
from firmware.link import packets
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import Parameters
from firmware.link.noise import Handshake
from firmware.link.session import (
    BOARD,
    CREDIT,
    MOST_MESSAGE,
    MOST_STREAMS,
    NAME,
    OF_PC,
    PROLOGUE,
    SERIAL,
    VERSION,
    HandshakeFailed,
    KeyChanged,
    PcSession,
    RecordBroken,
    TerminalSession,
    introduction,
)
from firmware.link.streams import END, ERROR, REQUEST, StreamsBroken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TERMINAL = {SERIAL: "T1", BOARD: "b", VERSION: "1", MOST_MESSAGE: 4096, CREDIT: 2048}
TERMINAL[MOST_STREAMS] = 3
PC = {NAME: "Shop \u5e97", VERSION: "1", MOST_MESSAGE: 65536, CREDIT: 65536}
PC_KEY, TERMINAL_KEY = KeyPair(bytes([7]) * 32), KeyPair(bytes([9]) * 32)


class _Random:
    """Bytes that do not repeat; a test's, not fit for use."""

    def __init__(self, first: int) -> None:
        self._next = first

    def __call__(self, count: int) -> bytes:
        self._next += 1
        return bytes([self._next & 255]) * count


class _Both:
    """A PC and a terminal, and the pipe between them. ``spoil``: changes what the PC, and what
    the terminal writes."""

    def __init__(
        self, trusts: "Callable[[str, bytes], bool] | None" = None, size: int = 256
    ) -> None:
        parameters = Parameters(size=size, credit=4096)
        self.asked: "list[tuple[str, bytes]]" = []
        self.pc = PcSession(PcEnd(), PC_KEY, PC, _Random(10), trusts or self._note)
        self.terminal = TerminalSession(
            TerminalEnd(parameters), TERMINAL_KEY, TERMINAL, _Random(100)
        )
        self.now = 0
        self.spoil: "list[Callable[[bytes], bytes] | None]" = [None, None]
        self.heard: "dict[int, Any]" = {}

    def _note(self, serial: str, key: bytes) -> bool:
        self.asked.append((serial, key))
        return True

    def carry(self) -> None:
        """Until both are silent."""
        moved = True
        while moved:
            moved = False
            for place, (one, other) in enumerate(
                ((self.pc, self.terminal), (self.terminal, self.pc))
            ):
                one.turn()
                data = one.end.output(self.now)
                if data:
                    moved = True
                    spoil = self.spoil[place]
                    other.end.arrived(spoil(data) if spoil else data, self.now)
                    for stream in other.turn():
                        if other is self.terminal:
                            self.heard[stream.number] = stream
            self.now += 25

    def stand(self) -> "_Both":
        """Both ready."""
        self.pc.connect(self.now)
        self.carry()
        return self


def _events(session: "Any") -> "list[tuple[str, Any]]":
    got: "list[tuple[str, Any]]" = []
    event = session.event()
    while event is not None:
        got.append(event)
        event = session.event()
    return got


def _ended(session: "Any", kind: "Any") -> None:
    what, error = _events(session)[-1]
    assert what == "ended" and isinstance(error, kind), (what, error)
    assert not session.ready


def test_both_learn_who_is_there_and_talk() -> None:
    both = _Both().stand()
    assert _events(both.pc) == [("ready", None)] == _events(both.terminal)
    assert both.pc.peer == TERMINAL and both.terminal.peer == PC
    assert both.pc.peer_key == TERMINAL_KEY.public and both.terminal.peer_key == PC_KEY.public
    assert both.pc.hash == both.terminal.hash and len(both.pc.hash) == 32
    assert both.asked == [("T1", TERMINAL_KEY.public)]
    assert both.pc.streams is not None
    asked = both.pc.streams.open("hello", 0, {1: bytes(2000)})
    both.carry()
    heard = both.heard[1]
    assert heard.read() == (REQUEST, ["hello", 0, {1: bytes(2000)}])
    heard.send(END, {1: bytes(3000)})
    both.carry()
    assert asked.read() == (END, {1: bytes(3000)})


def test_the_last_word_before_the_close_is_heard() -> None:
    both = _Both().stand()
    assert both.pc.streams is not None
    asked, other = both.pc.streams.open("bye", 0, {}), both.pc.streams.open("log", 0, {})
    both.carry()
    both.heard[1].send(END, {1: 1})
    both.terminal.turn()
    said = both.terminal.end.output(both.now)
    both.terminal.close(packets.STOPPING)
    said += both.terminal.end.output(both.now)
    both.pc.end.arrived(said, both.now)  # both at once
    both.pc.turn()
    assert asked.read() == (END, {1: 1})
    assert other.read() == (ERROR, ["lost", {}])
    what, error = _events(both.pc)[-1]
    assert what == "ended" and error.reason == packets.STOPPING


def test_nothing_on_the_pipe_can_be_read() -> None:
    both = _Both()
    seen = bytearray()

    def watch(data: bytes) -> bytes:
        seen.extend(data)
        return data

    both.spoil = [watch, watch]
    both.stand()
    assert both.pc.streams is not None
    both.pc.streams.open("secret-service", 0, {1: "secret-argument"})
    both.carry()
    for word in (b"secret", b"Shop", b"T1", TERMINAL_KEY.public, PC_KEY.public):
        assert word not in bytes(seen)


def test_another_key_of_a_known_terminal_is_refused_before_the_pc_says_who_it_is() -> None:
    both = _Both(trusts=lambda serial, key: False)
    both.pc.connect(0)
    both.carry()
    _ended(both.pc, KeyChanged)
    assert both.terminal.peer == {} and not both.terminal.ready


def test_a_changed_opening_breaks_the_handshake() -> None:
    """A size made smaller on the way: both would take it, but they do not agree on it."""
    both = _Both(size=512)

    def smaller(data: bytes) -> bytes:
        from firmware.link.frames import FrameReader
        from firmware.link.frames import encode as frame

        out = b""
        for packet in FrameReader(5000).feed(data):
            fields = packets.decode(packet)
            if fields[0] == packets.ACCEPT:
                packet = packets.accept(fields[2], fields[3], 256, fields[5])
            out += frame(packet)
        return out

    both.spoil[1] = smaller
    both.pc.connect(0)
    both.carry()
    _ended(both.pc, HandshakeFailed)


def _with_pc_saying(own: "dict[int, Any]") -> _Both:
    both = _Both()
    both.pc = PcSession(PcEnd(), PC_KEY, own, _Random(10), lambda serial, key: True)
    both.pc.connect(0)
    both.carry()
    return both


def test_introductions_out_of_bounds_are_refused() -> None:
    for key, value in (
        (NAME, ""),
        (NAME, "x" * 41),
        (NAME, "\U0001f3ea" * 31),
        (NAME, "a\nb"),
        (NAME, "a\u009bb"),
        (NAME, 1),
        (VERSION, "\u5e97"),
        (MOST_MESSAGE, 255),
        (MOST_MESSAGE, 1 << 21),
        (MOST_MESSAGE, True),
        (CREDIT, "many"),
    ):
        own = dict(PC)
        own[key] = value
        both = _with_pc_saying(own)
        _ended(both.terminal, HandshakeFailed)
        what, error = _events(both.pc)[-1]
        assert what == "ended" and error.reason == packets.HANDSHAKE
    for raw in (b"", b"\xa0", b"\xff", encode([1]), encode({NAME: "x"})):
        try:
            introduction(raw, OF_PC)
        except HandshakeFailed:
            continue
        raise AssertionError("taken: " + str(raw))


def _handshake_by_hand(payload: bytes = b"", first: bytes = b"") -> "tuple[Any, Any, Any]":
    """A PC made of its parts, so that it can misbehave: (end, transport, terminal)."""
    terminal = TerminalSession(TerminalEnd(), TERMINAL_KEY, TERMINAL, _Random(100))
    terminal.turn()
    end = PcEnd()
    end.connect(bytes(8), 0)
    _carry_end(end, terminal)
    hand = Handshake(True, PROLOGUE + end.opening, PC_KEY, bytes([5]) * 32, end.size)
    end.send(hand.write(first))
    _carry_end(end, terminal)
    answer = end.read()
    if answer is None:
        return end, None, terminal
    hand.read(answer)
    end.send(hand.write(payload or encode(PC)))
    _carry_end(end, terminal)
    return end, hand.split(), terminal


def _carry_end(end: "Any", terminal: "Any") -> None:
    for step in range(6):
        terminal.end.arrived(end.output(step), step)
        terminal.turn()
        end.arrived(terminal.end.output(step), step)


def test_a_first_message_with_a_payload_is_refused() -> None:
    _, transport, terminal = _handshake_by_hand(first=b"x")
    assert transport is None
    _ended(terminal, HandshakeFailed)


def test_records_that_do_not_verify_end_the_session() -> None:
    for change in range(3):
        end, transport, terminal = _handshake_by_hand()
        assert terminal.ready
        good = transport.encrypt(b"\x01\x00\x01" + encode(["hello", 0, {}]))
        if change == 0:
            good = good[:-1] + bytes((good[-1] ^ 1,))
        elif change == 1:
            good = good[:8]
        end.send(good)
        if change == 2:  # the same again
            end.send(good)
        _carry_end(end, terminal)
        _ended(terminal, RecordBroken)
        assert end.event() == ("live", None)
        assert end.event()[1].reason == packets.UNVERIFIED


def test_streams_that_break_the_rules_end_the_session() -> None:
    end, transport, terminal = _handshake_by_hand()
    end.send(transport.encrypt(b"\x09\x00\x01"))
    _carry_end(end, terminal)
    _ended(terminal, StreamsBroken)
    assert end.event() == ("live", None)
    assert end.event()[1].reason == packets.BROKEN


def test_a_lost_pipe_keeps_what_is_open() -> None:
    both = _Both().stand()
    _events(both.pc)
    assert both.pc.streams is not None
    asked = both.pc.streams.open("hello", 0, {})
    both.pc.end.pipe_lost(both.now)
    both.terminal.end.pipe_lost(both.now)
    both.pc.turn()
    both.terminal.turn()
    both.now += 60000
    both.terminal.end.pipe_back(both.now)
    both.pc.end.pipe_back(both.now)
    both.carry()
    assert [what for what, _ in _events(both.pc)] == ["lost", "resumed"]
    both.heard[1].send(END, {})
    both.carry()
    assert asked.read() == (END, {})


def test_a_new_session_ends_what_the_one_before_had_open() -> None:
    both = _Both().stand()
    assert both.pc.streams is not None
    both.pc.streams.open("log", 0, {})
    both.carry()
    heard = both.heard[1]
    assert heard.read()[0] == REQUEST
    both.pc = PcSession(PcEnd(), PC_KEY, PC, _Random(50), lambda serial, key: True)
    both.pc.connect(both.now)
    both.carry()
    assert heard.over and heard.read() == (ERROR, ["lost", {}])
    assert both.pc.ready and both.terminal.ready
