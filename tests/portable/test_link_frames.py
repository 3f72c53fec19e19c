"""Frames of the PC link: known bytes, every cut of a stream, noise of any length."""

from firmware.link.frames import FrameReader, crc32, encode, longest
from tests.portable.link_pipe import Dice


def stuffed(whole):
    """COBS byte by byte, as the paper tells it."""
    out, run = b"", b""
    for byte in whole:
        if byte:
            run += bytes((byte,))
            if len(run) == 254:
                out, run = out + b"\xff" + run, b""
        else:
            out, run = out + bytes((len(run) + 1,)) + run, b""
    return out + bytes((len(run) + 1,)) + run


def framed(packet):
    return b"\x00" + stuffed(packet + (crc32(packet) & 0xFFFFFFFF).to_bytes(4, "big")) + b"\x00"


def packets_of_all_shapes():
    dice = Dice(5)
    shapes = [b"\x00", b"\x01", b"\x00" * 1047, b"\xff" * 1047, bytes(range(256)) * 4]
    for size in (249, 250, 251, 253, 254, 255, 256, 503, 504, 505, 508, 509, 510, 762, 763):
        shapes += [b"\x07" * size, b"\x07" * size + b"\x00", b"\x00" + b"\x07" * size]
    return shapes + [dice.bytes(1 + dice.below(1047)) for _ in range(20)]


def test_the_frame_is_what_paper_and_crc_say():
    # IEEE 802.3's check value: CRC-32 of "123456789".
    assert encode(b"123456789") == b"\x00\x0e123456789\xcb\xf4\x39\x26\x00"
    assert encode(b"1\x002") == framed(b"1\x002")
    for packet in packets_of_all_shapes():
        frame = encode(packet)
        assert frame == framed(packet)
        assert b"\x00" not in frame[1:-1]
        assert len(frame) - 2 <= longest(len(packet))
        assert FrameReader(1047).feed(frame) == [packet]


def test_a_stream_cut_anywhere_gives_the_same_packets():
    wanted = [b"one", b"\x00\x00", b"\x05" * 300, b"x"]
    stream = b"".join([encode(packet) for packet in wanted])
    for cut in range(len(stream) + 1):
        reader = FrameReader(300)
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == wanted
        assert reader.dropped == 0 and reader.held == 0
    reader = FrameReader(300)
    got = []
    for at in range(len(stream)):
        got += reader.feed(stream[at : at + 1])
    assert got == wanted and reader.dropped == 0


def test_one_00_between_two_frames_is_enough_and_many_are_no_more():
    one, two = encode(b"one"), encode(b"two")
    for stream in (one + two[1:], one + b"\x00" * 50 + two, b"\x00\x00" + one + two + b"\x00"):
        reader = FrameReader(16)
        assert reader.feed(stream) == [b"one", b"two"]
        assert reader.dropped == 0


def test_noise_before_a_frame_is_dropped_and_counted():
    reader = FrameReader(64)
    assert reader.feed(b"MicroPython v1.25\r\n>>> " + encode(b"here")) == [b"here"]
    assert reader.dropped == 1
    for noise in (b"\x09abc", b"\x01", b"\x05abc", b"\xff" + b"a" * 60, b"\x03ab\x02"):
        dropped = reader.dropped
        assert reader.feed(b"\x00" + noise + encode(b"still")) == [b"still"], noise
        assert reader.dropped == dropped + 1, noise


def test_every_changed_byte_is_seen():
    frame = encode(b"amount 12.50\x00\x00")
    for at in range(1, len(frame) - 1):
        for bit in range(8):
            wrong = frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]
            reader = FrameReader(64)
            assert reader.feed(wrong + encode(b"next")) == [b"next"]
            assert reader.dropped >= 1


def test_what_is_too_long_takes_no_memory_and_counts_once():
    reader = FrameReader(64)
    most = longest(64)
    for _ in range(100):
        assert reader.feed(b"\x42" * 50) == []
        assert reader.held <= most
    assert reader.dropped == 1
    assert reader.feed(encode(b"\x01" * 64)) == [b"\x01" * 64]
    assert reader.dropped == 1
    # Whole, but longer than a packet may be: by the packet, by the run, over two feeds.
    for size in (65, 66, 200):
        for cut in (1, 60, 70):
            frame = encode(b"\x01" * size)
            reader = FrameReader(64)
            assert reader.feed(frame[:cut]) + reader.feed(frame[cut:]) == []
            assert reader.dropped == 1
            assert reader.held == 0


def test_a_new_pipe_begins_anew():
    reader = FrameReader(16)
    frame = encode(b"cut")
    reader.feed(frame[:3])
    assert reader.held == 2
    reader.clear()
    assert reader.held == 0
    assert reader.feed(frame) == [b"cut"]
    assert reader.dropped == 0
    reader.feed(b"\x42" * 99)
    reader.clear()
    assert reader.feed(frame[1:]) == [b"cut"]
