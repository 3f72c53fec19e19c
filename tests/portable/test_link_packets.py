"""Packets of the PC link: the bytes that docs/link.md names, and nothing else."""

from firmware.link import packets as p

PC = bytes(range(8))
BOTH = bytes(range(16))
TAG = b"\xab\xcd"

#: Packet, its bytes as the page's table has them, what it decodes to.
KNOWN = (
    (
        p.open_packet(PC, 4096, 65536),
        "01 01 0001020304050607 1000 00010000",
        (p.OPEN, 1, PC, 4096, 65536),
    ),
    (
        p.accept(PC, BOTH[8:], 1040, 4096),
        "02 01 0001020304050607 08090A0B0C0D0E0F 0410 00001000",
        (p.ACCEPT, 1, PC, BOTH[8:], 1040, 4096),
    ),
    (
        p.resume(BOTH, 5, 6),
        "03 000102030405060708090A0B0C0D0E0F 00000005 00000006",
        (p.RESUME, BOTH, 5, 6),
    ),
    (
        p.resumed(BOTH, 0xFFFFFFFF, 0),
        "04 000102030405060708090A0B0C0D0E0F FFFFFFFF 00000000",
        (p.RESUMED, BOTH, 0xFFFFFFFF, 0),
    ),
    (p.refuse(3, 60, PC), "05 03 003C 0001020304050607", (p.REFUSE, 3, 60, PC)),
    (p.data(TAG, 7, b"x\x00y"), "10 ABCD 00000007 780079", (p.DATA, TAG, 7, b"x\x00y")),
    (p.ack(TAG, 9, 0x80000001, 300), "11 ABCD 00000009 80000001 0000012C",
     (p.ACK, TAG, 9, 0x80000001, 300)),
    (p.ping(TAG, 65535), "12 ABCD FFFF", (p.PING, TAG, 65535)),
    (p.pong(TAG, 1, 2, 3, 4), "13 ABCD 0001 00000002 00000003 00000004",
     (p.PONG, TAG, 1, 2, 3, 4)),
    (p.close(TAG, 7), "14 ABCD 07", (p.CLOSE, TAG, 7)),
)  # fmt: skip


def refused(packet):
    try:
        p.decode(packet)
    except p.BadPacket:
        return True
    return False


def test_each_packet_has_the_bytes_of_its_table():
    for packet, text, fields in KNOWN:
        assert packet == bytes.fromhex(text.replace(" ", "")), text
        assert p.decode(packet) == fields, text


def test_another_length_is_no_packet():
    for packet, text, _ in KNOWN:
        if packet[0] != p.DATA:
            assert refused(packet + b"\x00"), text
            for cut in range(1, len(packet)):
                assert refused(packet[:cut]), text
    for cut in range(1, 8):
        assert refused(p.data(TAG, 7, b"x")[:cut])


def test_another_kind_is_no_packet():
    known = [packet[0] for packet, _, _ in KNOWN]
    for kind in range(256):
        if kind not in known:
            assert refused(bytes((kind,)) + bytes(20))


def test_a_size_below_the_least_is_no_packet():
    assert not refused(p.open_packet(PC, 256, 512))
    assert refused(p.open_packet(PC, 255, 512))
    assert refused(p.accept(PC, PC, 255, 512))


def test_an_open_of_another_version_is_known_as_far_as_its_half():
    assert p.decode(b"\x01\x02" + PC) == (p.OPEN, 2, PC)
    assert p.decode(b"\x01\x00" + PC + b"more than version 1 has") == (p.OPEN, 0, PC)
    assert refused(b"\x01\x02" + PC[:7])
    assert refused(b"\x02\x02" + PC + PC + bytes(6))
