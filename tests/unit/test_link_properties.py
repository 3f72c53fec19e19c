"""The PC link against any bytes: nothing escapes, memory is bounded, what is whole arrives."""

import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.link import packets as p
from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import End, Parameters
from firmware.link.frames import FrameReader, encode, longest
from tests.portable.link_ends import HALF, NAME, OWN, TAG

SMALL = Parameters(256, 1024, 4, 1024)
#: Bytes with runs of 00 and of FF among them, which COBS treats apart.
BYTES = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.lists(st.sampled_from([b"\x00", b"\x01", b"\xff" * 253, b"\x07" * 254, b"ab"]), min_size=1)
    .map(b"".join)
    .filter(lambda data: len(data) <= 2000),
)  # fmt: skip


def unstuffed(frame: bytes) -> bytes:
    """COBS undone byte by byte, as the paper tells it."""
    out = bytearray()
    at = 1
    while frame[at]:
        code = frame[at]
        out += frame[at + 1 : at + code]
        at += code
        if code < 255 and frame[at]:
            out.append(0)
    assert at == len(frame) - 1
    return bytes(out)


@settings(deadline=None)
@given(BYTES)
def test_any_packet_comes_through_its_frame(packet: bytes) -> None:
    frame = encode(packet)
    assert frame[0] == frame[-1] == 0 and 0 not in frame[1:-1]
    assert unstuffed(frame) == packet + zlib.crc32(packet).to_bytes(4, "big")
    assert len(frame) <= longest(len(packet)) + 2
    assert FrameReader(len(packet)).feed(frame) == [packet]


@settings(deadline=None)
@given(st.lists(st.tuples(BYTES, st.booleans()), max_size=8), st.integers(1, 97))
def test_what_is_whole_is_found_among_any_bytes(parts: list[tuple[bytes, bool]], step: int) -> None:
    stream = b"".join([encode(part) if whole else part + b"\x00" for part, whole in parts])
    wanted = [part for part, whole in parts if whole]
    reader = FrameReader(2000)
    found = []
    for at in range(0, len(stream), step):
        found += reader.feed(stream[at : at + step])
        assert reader.held <= longest(2000)
    # Noise that is a frame by chance has a CRC of 32 bits against it.
    assert found == wanted


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=30))
def test_no_bytes_make_the_reader_raise_or_grow(pieces: list[bytes]) -> None:
    reader = FrameReader(64)
    for piece in pieces:
        for packet in reader.feed(piece):
            assert 1 <= len(packet) <= 64
        assert reader.held <= longest(64)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=64))
def test_what_decodes_is_what_was_encoded(packet: bytes) -> None:
    try:
        fields = p.decode(packet)
    except p.BadPacket:
        return
    kind, values = fields[0], fields[1:]
    if kind == p.OPEN and values[0] != p.VERSION:
        assert packet[:10] == bytes((p.OPEN, values[0])) + values[1]
        return
    made: dict[int, Any] = {
        p.OPEN: lambda _, *rest: p.open_packet(*rest),
        p.ACCEPT: lambda _, *rest: p.accept(*rest),
        p.RESUME: p.resume,
        p.RESUMED: p.resumed,
        p.REFUSE: p.refuse,
        p.DATA: p.data,
        p.ACK: p.ack,
        p.PING: p.ping,
        p.PONG: p.pong,
        p.CLOSE: p.close,
    }
    assert made[kind](*values) == packet


U32 = st.one_of(st.integers(0, 40), st.integers(0, 0xFFFFFFFF))
HALVES = st.sampled_from([HALF, OWN, b"whatever"])
NAMES = st.sampled_from([NAME, b"sixteen bytes id"])
TAGS = st.sampled_from([TAG, TAG, TAG, b"zz"])
PACKETS = st.one_of(
    st.builds(p.open_packet, HALVES, st.integers(0, 0xFFFF), U32),
    st.builds(p.accept, HALVES, st.just(OWN), st.integers(0, 0xFFFF), U32),
    st.builds(p.resume, NAMES, U32, U32),
    st.builds(p.resumed, NAMES, U32, U32),
    st.builds(p.refuse, st.integers(0, 255), st.integers(0, 0xFFFF), HALVES),
    st.builds(p.data, TAGS, U32, st.binary(min_size=1, max_size=256)),
    st.builds(p.ack, TAGS, U32, U32, U32),
    st.builds(p.ping, TAGS, st.integers(0, 0xFFFF)),
    st.builds(p.pong, TAGS, st.integers(0, 0xFFFF), U32, U32, U32),
    st.builds(p.close, TAGS, st.integers(0, 255)),
    st.binary(min_size=1, max_size=40),
)
STEPS = st.one_of(
    st.lists(PACKETS, min_size=1, max_size=6),
    st.integers(0, 20000),
    st.sampled_from(["lost", "back", "send", "read", "half", "close", "connect", "busy"]),
    st.binary(min_size=1, max_size=600),
)


def bounded(end: End) -> None:
    """What an end keeps is within its parameters, whatever came."""
    box, out = end._in, end._out
    kept = [*box._ready, *box._ahead.values()]
    assert sum(len(record) for record in kept) == box._bytes <= SMALL.credit
    assert len(kept) <= 96 and 0 <= box._unread <= box._bytes
    assert out._bytes == sum(sent.size for sent in out._kept) <= SMALL.backlog
    assert 0 <= out._sent <= min(SMALL.window, len(out._kept))
    assert out._flying == sum(sent.size for sent in out._kept[: out._sent])
    assert end._frames.held <= longest(SMALL.size + 7) and len(end._pings) <= 8
    assert end.state in ("closed", "opening", "listening", "live", "lost", "resuming")
    assert (end._tag is None) == (end.state in ("closed", "opening", "listening"))


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.booleans(), st.lists(STEPS, max_size=25))
def test_a_peer_that_says_anything(is_pc: bool, reliable: bool, steps: list[Any]) -> None:
    end: Any = (PcEnd if is_pc else TerminalEnd)(SMALL, reliable)
    now = 0
    if is_pc:
        end.connect(HALF, now)
        end.arrived(encode(p.accept(HALF, OWN, 256, 600)), now)
    else:
        end.give_half(OWN)
        end.arrived(encode(p.open_packet(HALF, 256, 600)), now)
    assert end.state == "live"
    for step in steps:
        if isinstance(step, list):
            end.arrived(b"".join([encode(packet) for packet in step]), now)
        elif isinstance(step, int):
            now += step
        elif isinstance(step, bytes):
            end.arrived(step, now)
        elif step == "lost":
            end.pipe_lost(now)
        elif step == "back":
            end.pipe_back(now)
        elif step == "send":
            if end.state in ("live", "lost", "resuming"):
                end.send(bytes(100))
        elif step == "read":
            end.read()
        elif step == "close":
            end.close(p.BROKEN)
        elif step == "connect" and end.state == "closed":
            end.connect(HALF, now)
        elif step == "half" and not is_pc:
            end.give_half(OWN)
        elif step == "busy" and not is_pc:
            end.busy_s = 0 if end.busy_s else 30
        bounded(end)
        # One frame before all others, PONG or ACK, PING, and DATA within the window.
        assert len(end.output(now)) <= 3 * 40 + SMALL.window * (longest(263) + 2)
        bounded(end)
        wait = end.wait_ms(now)
        assert wait is None or 0 <= wait <= 300000
        # What ``output`` had to do it did: it is not asked for again at once.
        assert end.output(now) == b""
        assert end.wait_ms(now) != 0
