"""What display chips share: their wire, and pictures of lit dots."""

from collections.abc import Iterable, Sequence

from host_tools.emulator.chips.errors import ChipError


class DisplayChip:
    """A controller on its bus. Wire kind "display": op 1 commands, op 2 data, op 3 any
    number of both in order."""

    #: Clocks on the bus that a byte takes, and bytes that address the chip.
    clocks_a_byte = 8
    head_bytes = 0

    def __init__(self, controller: str, bus_hz: int) -> None:
        self.controller = controller
        self._bus_hz = bus_hz
        #: Counters for tests and benches.
        self.command_bytes = 0
        self.data_bytes = 0
        self.unknown: list[int] = []
        self.mute = False

    def _take_command(self, byte: int) -> None:
        raise NotImplementedError

    def _take_data(self, data: bytes) -> None:
        raise NotImplementedError

    def _unknown(self, byte: int) -> None:
        self.unknown.append(byte)
        del self.unknown[:-100]

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire: nothing, and how long the bus was busy, in us."""
        if self.mute:
            raise ChipError(f"{self.controller}: no acknowledge")
        if op == 3:
            return b"", self._both(payload)
        if op == 1:
            self.command_bytes += len(payload)
            for byte in payload:
                self._take_command(byte)
        elif op == 2:
            self.data_bytes += len(payload)
            self._take_data(payload)
        else:
            raise ChipError(f"{self.controller}: no operation {op}")
        clocks = (len(payload) + self.head_bytes) * self.clocks_a_byte
        return b"", clocks * 1_000_000 // self._bus_hz

    def _both(self, payload: bytes) -> int:
        """Pairs of commands and data; how long the bus is busy with them, in us."""
        busy = 0
        at = 0
        while at < len(payload):
            middle = at + 1 + payload[at]
            end = middle + 2 + int.from_bytes(payload[middle : middle + 2], "big")
            if end > len(payload):
                raise ChipError(f"{self.controller}: a part is cut short at byte {at}")
            busy += self.transfer(1, payload[at + 1 : middle])[1]
            busy += self.transfer(2, payload[middle + 2 : end])[1]
            at = end
        return busy


def pages(rows: Sequence[Iterable[bool]]) -> bytes:
    """Rows of lit dots as a frame in page order: a byte holds eight rows, bit 0 on top."""
    frame = bytearray()
    for top in range(0, len(rows), 8):
        for a, b, c, d, e, f, g, h in zip(*rows[top : top + 8], strict=True):
            frame.append(a | b << 1 | c << 2 | d << 3 | e << 4 | f << 5 | g << 6 | h << 7)
    return bytes(frame)


def as_text(rows: Iterable[Iterable[bool]]) -> list[str]:
    """Rows of lit dots as text, "#" for light."""
    return ["".join("#" if dot else "." for dot in row) for row in rows]
