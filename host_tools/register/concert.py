"""Concert E and E+: the protocol of French registers on a serial cable, the terminal's side.

Without I/O: bytes and the time go in, bytes and requests come out. A call begins with ENQ and
ACK, carries one framed message with a check byte, and ends with EOT; for the answer the roles
change. A payment begins only after EOT. The check byte (LRC) is the XOR of the characters and
ETX: it finds every message of which one character is wrong, and misses two errors in the same
bit column (of random noise, one message in 128).
"""

from dataclasses import dataclass
from enum import Enum

from host_tools.register import gate as core
from host_tools.register.gate import Answer, End, Gate

ADAPTER = "concert"
STX, ETX, EOT, ENQ, ACK, NAK = 0x02, 0x03, 0x04, 0x05, 0x06, 0x15
#: Characters of a request; of E, which lacks delay and authorisation, the first 26.
LENGTH_E, LENGTH = 26, 34
#: From STX to the check byte; what each other step may take; how often one is tried.
FRAME_MS, STEP_MS, TRIES = 3000, 3000, 3
#: Results that an answer tells.
DONE, REFUSED, NOT_VERIFIED = "0", "7", "9"
CARD = 55


@dataclass(frozen=True)
class ConcertRequest:
    """``mode``: 1 card, C cheque, 2 American Express, U UnionPay ...; ``kind``: 0 debit, 1
    credit, 2 refund, 4 automatic; ``at_once``: the answer is wanted before the payment ends."""

    text: str
    pos: str
    amount: int
    with_card: bool
    mode: str
    kind: str
    currency: int
    private: str
    at_once: bool

    @classmethod
    def read(cls, text: str) -> "ConcertRequest | None":
        """The request of 34 (E+) or 26 (E) characters; None: it is none."""
        if len(text) not in (LENGTH_E, LENGTH) or not text.isascii() or not text.isprintable():
            return None
        pos, amount, flag, mode, kind = text[:2], text[2:10], text[10], text[11], text[12]
        currency, private, rest = text[13:16], text[16:26], text[26:]
        if not (pos.isdigit() and amount.isdigit() and currency.isdigit() and flag in "01"):
            return None
        if rest and (rest[:4] not in ("A010", "A011") or rest[4:] not in ("B010", "B011")):
            return None
        return cls(
            text, pos, int(amount), flag == "1", mode, kind, int(currency), private,
            rest[:4] == "A011",
        )  # fmt: skip

    def answer(self, result: str, amount: int, card: str = "", private: str = "") -> str:
        """The answer's characters; ``private``: "" gives the register's own back."""
        told = f"{self.pos}{result}{amount:08}{self.mode}"
        if self.with_card:
            told += card[:CARD].ljust(CARD)
        return f"{told}{self.currency:03}{(private or self.private)[:10].ljust(10)}"


class State(Enum):
    """Where the terminal's side is."""

    IDLE = "idle"
    CALLED = "called"
    FRAME = "frame"
    TAKEN = "taken"
    PAYING = "paying"
    CALLING = "calling"
    SENT = "sent"


class Concert:
    """The terminal's end of one cable. ``out``: bytes to write; ``requests``: those that begun."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.out = bytearray()
        self.requests: list[ConcertRequest] = []
        #: Answers that the register confirmed, and that it never took.
        self.delivered = self.undelivered = 0
        self._due = 0
        self._frame = bytearray()
        self._request: ConcertRequest | None = None
        self._answer = b""
        self._tries = 0

    @property
    def due(self) -> int | None:
        """When ``tick`` wants to be called, milliseconds; None: not by itself."""
        return None if self.state in (State.IDLE, State.PAYING) else self._due

    def feed(self, data: bytes, now_ms: int) -> None:
        """Bytes from the register; first what is due."""
        self.tick(now_ms)
        for byte in data:
            self._byte(byte, now_ms)

    def tick(self, now_ms: int) -> None:
        """Time passed."""
        due = self.due
        if due is None or now_ms < due:
            return
        if self.state in (State.CALLING, State.SENT):
            self._again(now_ms)
        else:
            self._to(State.IDLE, now_ms)

    def answer(self, text: str, now_ms: int) -> None:
        """The payment's answer; it is kept and offered until the register takes it or the
        tries are over."""
        frame = text.encode("ascii") + bytes([ETX])
        self._answer = bytes([STX]) + frame + bytes([lrc(frame)])
        self._tries = TRIES
        self._call(now_ms)

    def _byte(self, byte: int, now_ms: int) -> None:
        if self.state is State.FRAME:
            self._frame.append(byte)
            self._framed(now_ms)
        elif self.state is State.PAYING:
            if byte == ENQ:  # one at a time, and the answer comes first
                self.out.append(NAK)
        elif self.state is State.CALLING:
            if byte == ACK:
                self.out += self._answer
                self._to(State.SENT, now_ms)
            elif byte == ENQ:
                self.out.append(NAK)
        elif self.state is State.SENT:
            if byte == ACK:
                self.out.append(EOT)
                self.delivered += 1
                self._to(State.IDLE, now_ms)
            elif byte == NAK:
                self._again(now_ms)
        elif byte == ENQ:
            self.out.append(ACK)
            self._to(State.CALLED, now_ms)
        elif byte == STX and self.state in (State.CALLED, State.TAKEN):
            self._frame.clear()
            self._to(State.FRAME, now_ms, FRAME_MS)
        elif byte == EOT:
            if self.state is State.TAKEN and self._request is not None:
                self.requests.append(self._request)
                self._to(State.PAYING, now_ms)
            else:
                self._to(State.IDLE, now_ms)

    def _framed(self, now_ms: int) -> None:
        """After each byte of a frame: whole, broken, or not there yet."""
        if ETX not in self._frame[:-1]:
            if len(self._frame) > LENGTH + 1:
                self._refuse(now_ms)
            return
        text, check = self._frame[:-2], self._frame[-1]
        request = None
        if self._frame[-2] == ETX and check == lrc(self._frame[:-1]):
            request = ConcertRequest.read(text.decode("latin-1"))
        if request is None:
            self._refuse(now_ms)
            return
        self._request = request
        self.out.append(ACK)
        self._to(State.TAKEN, now_ms)

    def _refuse(self, now_ms: int) -> None:
        self.out.append(NAK)
        self._request = None
        self._to(State.CALLED, now_ms)

    def _call(self, now_ms: int) -> None:
        self.out.append(ENQ)
        self._to(State.CALLING, now_ms)

    def _again(self, now_ms: int) -> None:
        self._tries -= 1
        if self._tries <= 0:
            self.out.append(EOT)
            self.undelivered += 1
            self._to(State.IDLE, now_ms)
        elif self.state is State.SENT:
            self.out += self._answer
            self._to(State.SENT, now_ms)
        else:
            self._call(now_ms)

    def _to(self, state: State, now_ms: int, within_ms: int = STEP_MS) -> None:
        self.state = state
        self._due = now_ms + within_ms
        if state is State.IDLE:
            self._request = None


def lrc(frame: bytes | bytearray) -> int:
    """The check byte of the characters and ETX."""
    value = 0
    for byte in frame:
        value ^= byte
    return value


@dataclass(frozen=True)
class ConcertRules:
    """``at_once``: a register that wants its answer before the payment ends is told *not
    verified*, else it waits like all others; ``authorisation``: the private field of an
    approval carries the authorisation code."""

    at_once: bool = False
    authorisation: bool = False


async def paid(gate: Gate, request: ConcertRequest) -> Answer:
    """Ask the terminal for what a register asked for."""
    reference = core.fresh(ADAPTER, request.pos)
    if request.mode == "C" or request.kind not in ("0", "2") or not request.amount:
        return Answer(End.REFUSED, reference, reason="kind")
    return await gate.start(
        core.Request(
            reference,
            core.digest(ADAPTER, reference.encode() + b"\x00" + request.text.encode("ascii")),
            request.amount,
            request.currency,
            request.pos,
            "sale" if request.kind == "0" else "refund",
        )
    )


def answered(request: ConcertRequest, answer: Answer, rules: ConcertRules) -> str:
    """What the register is told: *done* for nothing but an approval."""
    if answer.end is End.APPROVED:
        private = answer.authorisation if rules.authorisation else ""
        return request.answer(DONE, answer.amount, answer.pan, private)
    open_ = answer.end in (End.UNKNOWN, End.PROGRESS)
    return request.answer(NOT_VERIFIED if open_ else REFUSED, request.amount, answer.pan)
