"""The card's half of T=1 (ISO/IEC 7816-3, 11): blocks in, blocks out."""

from __future__ import annotations


def block(pcb: int, inf: bytes = b"") -> bytes:
    """One block with NAD 0 and an LRC."""
    made = bytes([0, pcb, len(inf)]) + inf
    return made + bytes([_lrc(made)])


def _lrc(data: bytes) -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


class BlockCard:
    """``out``: the block to send next."""

    def __init__(self) -> None:
        self.out = b""
        #: Whether an APDU is complete, or more time was granted: the answer may be sent.
        self.free = False
        #: The terminal's field size, 32 until it says otherwise.
        self.ifsd = 32
        self._number = 0  # of the next new I-block
        self._expected = 0
        self._chain = b""
        self._left: list[bytes] = []
        self._answering = False
        self._kept = b""  # what an R-block of the terminal asks for again

    @staticmethod
    def cut(data: bytes) -> bytes | None:
        """The first whole block of ``data``."""
        if len(data) < 4 or len(data) < data[2] + 4:
            return None
        return data[: data[2] + 4]

    def take(self, came: bytes, broken: bool) -> bytes | None:
        """A block of the terminal; the APDU that it completes. ``broken``: as if its
        check byte were wrong."""
        pcb, inf = came[1], came[3:-1]
        self.free = False
        if broken or _lrc(came) or came[0]:
            self.out = block(0x81 | self._expected << 4)
        elif not pcb & 0x80:
            return self._information(pcb, inf)
        elif not pcb & 0x40:
            self._ready(pcb >> 4 & 1)
        elif pcb == 0xC1:
            self.ifsd = inf[0]
            self._say(block(0xE1, inf))
        elif pcb == 0xE3:
            self.free = True
        else:
            self.out = block(0x82 | self._expected << 4)
        return None

    def _say(self, made: bytes) -> None:
        self.out = self._kept = made

    def _information(self, pcb: int, inf: bytes) -> bytes | None:
        if pcb >> 6 != self._expected:
            self.out = block(0x82 | self._expected << 4)
            return None
        self._expected ^= 1
        self._answering = False
        self._chain += inf
        if pcb & 0x20:
            self._say(block(0x80 | self._expected << 4))
            return None
        apdu, self._chain = self._chain, b""
        self.free = True
        return apdu

    def _ready(self, number: int) -> None:
        """An acknowledgement asks for the next part, anything else for the last block."""
        if self._answering and self._left and number == self._number:
            self._next()
        else:
            self.out = self._kept

    def answer(self, response: bytes) -> None:
        """The response APDU, in chained blocks if it must be."""
        size = self.ifsd
        self._left = [response[at : at + size] for at in range(0, len(response), size)]
        self._answering = True
        self._next()

    def _next(self) -> None:
        part = self._left.pop(0)
        self._say(block(self._number << 6 | (0x20 if self._left else 0), part))
        self._number ^= 1

    def more_time(self, times: int) -> None:
        """S(WTX request)."""
        self._say(block(0xC3, bytes([times])))

    def abort(self) -> None:
        """S(ABORT request)."""
        self._say(block(0xC2))
