"""Looks at what passes a link's pipe and holds each end to what the other allowed it.

It reads packets by itself (docs/link.md) and knows nothing of the code under test but its
COBS and CRC.
"""

from collections.abc import Callable
from typing import Any

from firmware.link.frames import FrameReader

#: By kind: where *next* and *credit* stand.
TOLD = {0x03: (17, 21), 0x04: (17, 21), 0x11: (3, 11), 0x13: (5, 13)}


def number(packet: bytes, at: int) -> int:
    """Four bytes, big endian."""
    return int.from_bytes(packet[at : at + 4], "big")


class Ledger:
    """One direction of DATA in one session: what was sent, and what the peer allowed.

    ``edge``: the byte of all records up to which DATA may be sent, as told so far; ``most``:
    the number up to which a window of 32 reaches.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.edge = 0
        self.most = 31

    def sent(self, place: int, size: int) -> None:
        """A DATA leaves the sender."""
        assert place <= len(self.sizes), "a number was left out"
        if place == len(self.sizes):
            self.sizes.append(size)
        assert self.sizes[place] == size, "a number has another record the second time"
        assert place <= self.most, "DATA beyond the window"
        assert sum(self.sizes[: place + 1]) <= self.edge, "DATA beyond the credit"

    def told(self, following: int, credit: int) -> None:
        """The receiver tells its room."""
        assert following <= len(self.sizes), "what was never sent is acknowledged"
        self.edge = max(self.edge, sum(self.sizes[:following]) + credit)
        self.most = max(self.most, following + 31)


class Auditor:
    """Both directions of a cable; for ``Way.watch`` of each."""

    def __init__(self) -> None:
        self.ledgers = (Ledger(), Ledger())
        self.kinds: list[tuple[int, int]] = []

    def watch(self, way: int) -> Callable[[bytes], bytes]:
        """Of ``way`` (0 from the PC, 1 from the terminal)."""
        reader = FrameReader(70000)

        def look(data: bytes) -> bytes:
            for packet in reader.feed(data):
                self._packet(way, packet)
            return data

        return look

    def _packet(self, way: int, packet: bytes) -> None:
        mine, other = self.ledgers[way], self.ledgers[1 - way]
        kind = packet[0]
        self.kinds.append((way, kind))
        if kind == 0x01:
            other.edge = max(other.edge, number(packet, 12))
        elif kind == 0x02:
            other.edge = max(other.edge, number(packet, 20))
        elif kind == 0x10:
            mine.sent(number(packet, 3), len(packet) - 7)
        elif kind in TOLD:
            following, credit = TOLD[kind]
            other.told(number(packet, following), number(packet, credit))


def audited(cable: Any) -> Auditor:
    """An auditor of ``cable``, which must keep one session."""
    auditor = Auditor()
    for way in (0, 1):
        cable.ways[way].watch = auditor.watch(way)
    return auditor
