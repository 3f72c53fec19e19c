"""T=1 between two resets of a card, without I/O (ISO/IEC 7816-3, 11; EMV 4.4 Book 1, 9.2.4).

Blocks have NAD 0 and an LRC, as EMV wants. What is broken is asked for again by
an R-block, three times in a row at most; then the card session is over. EMV cards
are neither resynchronised nor aborted in mid-chain: their session ends too.
"""

from firmware.buses.wire import BusError

#: The terminal's information field size, offered after the reset and kept.
IFSD = 254
#: Broken or unwanted blocks in a row that end the session.
TRIES = 3
#: Most bytes of a short response APDU.
MOST = 258

_IFS, _ABORT, _WTX = 1, 2, 3


class T1Error(BusError):
    """The card does not keep to T=1, or the line is too bad for it."""


def block(pcb: int, inf: bytes = b"") -> bytes:
    """One block. At most 254 bytes of information."""
    made = bytes((0, pcb, len(inf))) + inf
    return made + bytes((_lrc(made),))


def _lrc(data: bytes) -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


def is_block(came: bytes) -> bool:
    """Whether this is a whole block with a right check byte."""
    return not _problem(came)


def missing(came: bytes) -> int:
    """How many bytes at least must follow those of a block that came so far; 0 if they
    cannot begin a block."""
    if len(came) < 3:
        return 3 - len(came)
    return came[2] + 4 - len(came) if came[2] != 0xFF else 0


class T1Session:
    """``offer`` or ``begin`` gives the first block to send, ``take`` the next for each that
    came, until ``done``."""

    def __init__(self, ifsc: int) -> None:
        self.ifsc = ifsc
        self.done = False
        self.response = b""
        #: The next block may take so many times the block waiting time.
        self.wtx = 1
        self._send_number = 0
        self._expected = 0
        self._offering = False
        self._left = b""
        self._part = b""
        self._repeat = b""  # an R- or S-block that is sent again as it is
        self._failed = 0

    def offer(self) -> bytes:
        """S(IFS request) of the terminal's size."""
        self.done = False
        self._offering = True
        self._failed = 0
        self._repeat = block(0xC0 | _IFS, bytes((IFSD,)))
        return self._repeat

    def begin(self, apdu: bytes) -> bytes:
        """The first I-block of a command APDU."""
        self.done = False
        self._offering = False
        self.response = b""
        self._failed = 0
        self._left = apdu
        return self._next()

    def take(self, came: bytes) -> bytes:
        """What to send after ``came``, a block or what is left of one; b"" when ``done``.
        T1Error ends the session."""
        self.wtx = 1
        problem = _problem(came)
        if problem:
            return self._again(problem)
        pcb, inf = came[1], came[3:-1]
        if not pcb & 0x80:
            return self._information(pcb, inf)
        if not pcb & 0x40:
            return self._ready(pcb, inf)
        return self._supervisory(pcb, inf)

    def _next(self) -> bytes:
        """The next I-block of the command."""
        self._part = self._left[: self.ifsc]
        self._left = self._left[self.ifsc :]
        self._repeat = b""
        return self._sent()

    def _sent(self) -> bytes:
        return block(self._send_number << 6 | (0x20 if self._left else 0), self._part)

    def _again(self, problem: int) -> bytes:
        """Ask for a block that did not come well: 1 check byte, 2 something else."""
        self._failed += 1
        if self._failed >= TRIES:
            raise T1Error("T=1: " + str(TRIES) + " bad blocks in a row")
        if not self._repeat:
            self._repeat = block(0x80 | self._expected << 4 | problem)
        return self._repeat

    def _information(self, pcb: int, inf: bytes) -> bytes:
        if self._offering or self._left or pcb & 0x1F or pcb >> 6 != self._expected:
            return self._again(2)
        self._failed = 0
        if not self.response:
            self._send_number ^= 1  # our command came through
        self._expected ^= 1
        self.response += inf
        if len(self.response) > MOST:
            raise T1Error("T=1: the card answers with more than 256 bytes")
        if pcb & 0x20:
            if not inf:
                raise T1Error("T=1: the card chains nothing")
            self._repeat = block(0x80 | self._expected << 4)
            return self._repeat
        self.done = True
        return b""

    def _ready(self, pcb: int, inf: bytes) -> bytes:
        if pcb & 0x20 or inf or self._offering or self.response:
            return self._again(2)
        if pcb >> 4 & 1 != self._send_number:
            if not self._left:
                return self._again(2)
            self._failed = 0
            self._send_number ^= 1
            return self._next()
        self._failed += 1
        if self._failed >= TRIES:
            raise T1Error("T=1: the card takes no block")
        self._repeat = b""
        return self._sent()

    def _supervisory(self, pcb: int, inf: bytes) -> bytes:
        kind = pcb & 0x1F
        if pcb & 0x20:
            if self._offering and kind == _IFS and inf == bytes((IFSD,)):
                self._offering = False
                self._repeat = b""
                self.done = True
                return b""
            return self._again(2)
        if kind == _ABORT:
            raise T1Error("T=1: the card aborts")
        if len(inf) != 1 or kind not in (_IFS, _WTX):
            return self._again(2)
        if kind == _IFS:
            if not 16 <= inf[0] <= 254:
                return self._again(2)
            self.ifsc = inf[0]
        elif inf[0] == 0 or self._offering:
            return self._again(2)
        else:
            self.wtx = inf[0]
        self._failed = 0
        if not self._offering:
            self._repeat = b""
        return block(pcb | 0x20, inf)


def _problem(came: bytes) -> int:
    """0: a block; 1: its check byte is wrong; 2: no block at all."""
    if len(came) < 4 or came[2] == 0xFF or len(came) != came[2] + 4:
        return 2
    if _lrc(came):
        return 1
    return 2 if came[0] else 0
