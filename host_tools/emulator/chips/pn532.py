"""Chip: contactless controller NXP PN532, firmware 1.6 (UM0701-02).

``Pn532`` is the chip with its field; ``serial``, ``i2c`` and ``spi`` are its
three ways to the host, each a byte stream as on the real pins. It sleeps until
it is woken, and takes no command for the field before SAMConfiguration. Its
polling has no end unless RFConfiguration sets one, as from the factory.
"""

from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.field_card import Antenna, FieldCard
from host_tools.emulator.chips.serial_line import SerialLine

ACK = b"\x00\x00\xff\x00\xff\x00"
NACK = b"\x00\x00\xff\xff\x00\x00"
#: Times in us: until the oscillator runs; frame to ACK; simple commands; a poll.
WAKE_US, ACK_US, PLAIN_US, POLL_US, ACTIVATE_US = 1_000, 400, 1_200, 6_000, 9_000
#: A silent card is given up after three frame waiting times of 77 ms (FWI 8).
SILENT_US = 3 * 77_300
#: Data of one answer to InDataExchange.
MOST = 262
FOREVER = 0xFF

FIRMWARE, SAM, RF, EXCHANGE, LIST, RELEASE = 0x02, 0x14, 0x32, 0x40, 0x4A, 0x52

#: What a command waits for: given the time, the answer's data or None for not yet.
Job = Callable[[int], bytes | None]
#: Does something to one frame on its way out.
Spoil = Callable[[bytes], bytes]


def frame(body: bytes) -> bytes:
    """TFI and data in a frame of the suitable kind."""
    length = len(body)
    if length > 255:
        head = b"\xff\xff" + length.to_bytes(2, "big")
        head += bytes((-(head[2] + head[3]) & 0xFF,))
    else:
        head = bytes((length, -length & 0xFF))
    return b"\x00\x00\xff" + head + body + bytes((-sum(body) & 0xFF, 0))


def take_frame(stream: bytes) -> tuple[bytes | None, bytes]:
    """(first frame's body, rest): ACK or NACK whole, TFI and data of others; None when
    no whole frame is there. Frames that fail a check are passed over."""
    while (at := stream.find(b"\x00\xff")) >= 0:
        stream = stream[at:]
        for special in (ACK, NACK):
            if stream.startswith(special[1:5]):
                return special, stream[4:]
        begin, length, check = 4, *stream[2:4].ljust(2, b"\0")
        if stream[2:4] == b"\xff\xff":
            begin, length = 7, int.from_bytes(stream[4:6], "big")
            check = (sum(stream[4:7]) - length) & 0xFF
        if len(stream) < begin or len(stream) < begin + min(length, 265) + 1:
            return None, stream
        body = stream[begin : begin + length]
        if not (length + check) & 0xFF and not sum(stream[begin : begin + length + 1]) & 0xFF:
            return body, stream[begin + length + 1 :]
        stream = stream[2:]
    return None, stream[-1:]


class Pn532(Antenna):
    """``put`` and ``take`` are the hand with the cards."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        super().__init__()
        self._clock_us = clock_us
        self.firmware = bytes((0x32, 1, 6, 7))
        #: Pulled off its socket: no acknowledge, no byte.
        self.unplugged = False
        #: Takes commands and answers nothing.
        self.stalled = False
        #: So many command frames arrive damaged.
        self.deaf = 0
        #: For the next frames to the host, in order.
        self.spoil: list[Spoil] = []
        #: What a host must not do, in words.
        self.violations: list[str] = []
        #: APDUs that reached a card.
        self.exchanges: list[bytes] = []
        self.reset()
        self.serial = Pn532Serial(self, clock_us)
        self.i2c = Pn532I2c(self)
        self.spi = Pn532Spi(self)

    def reset(self) -> None:
        """Power-on, or a pulse on RSTPDN."""
        self.asleep = True
        self.low_battery = True
        self.awake_us = 0
        self.field = False
        self.retries = FOREVER
        self._targets: dict[int, FieldCard] = {}
        #: Frames to the host with the time when each is ready.
        self._sent: list[tuple[int, bytes]] = []
        #: The first of them, as it goes over the line, once it was ready.
        self._out = b""
        self._job: tuple[int, int, Job] | None = None
        self._last = b""
        self._chained = b""
        self._left = b""
        for card in self.cards:
            card.lose_power()

    # ---- host -----------------------------------------------------------------------

    def wake(self) -> None:
        """The host stirs; the chip listens a moment later."""
        if self.asleep:
            self.asleep = False
            self.awake_us = self._clock_us() + WAKE_US

    @property
    def listening(self) -> bool:
        """Whether frames are taken."""
        return not self.asleep and self._clock_us() >= self.awake_us

    def hear(self, body: bytes) -> None:
        """One whole frame from the host."""
        now = self._clock_us()
        if body == ACK:
            self._job = None
            self._forget()
        elif body == NACK:
            if not self._last or self._job is not None:
                self.violations.append("NACK where no answer was given")
                return
            self._sent.append((now + ACK_US, self._last))
        elif self.deaf:
            self.deaf -= 1
        elif body[:1] == b"\xd4" and len(body) > 1 and not self.stalled:
            if self._job is not None or self._sent or self._out:
                self.violations.append(f"command {body[1]:02X} before the last one was done")
            self._forget()
            self._sent.append((now + ACK_US, ACK))
            due, job = self._start(body[1], body[2:])
            self._job = now + ACK_US + due, body[1], job

    def ready(self) -> bool:
        """Whether the host can fetch a frame."""
        self._settle()
        while not self._out and self._sent and self._sent[0][0] <= self._clock_us():
            self._out = self._sent.pop(0)[1]
            if self.spoil:
                self._out = self.spoil.pop(0)(self._out)
            self._settle()
        return bool(self._out)

    def fetch(self) -> bytes:
        """The frame that is ready."""
        out, self._out = self._out, b""
        return out

    def _forget(self) -> None:
        self._sent.clear()
        self._out = b""

    def _settle(self) -> None:
        now = self._clock_us()
        if self._job is None or self._job[0] > now or self._sent or self._out:
            return
        due, code, job = self._job
        answer = job(now)
        if answer is not None:
            self._job = None
            self._last = b"\x00\x00\xff\x01\xff\x7f\x81\x00"
            if answer != b"refused":
                self._last = frame(bytes((0xD5, code + 1)) + answer)
            self._sent.append((due, self._last))

    # ---- commands -------------------------------------------------------------------

    def _start(self, code: int, data: bytes) -> tuple[int, Job]:
        """(least time in us, what gives the answer)."""
        if code == FIRMWARE:
            return PLAIN_US, lambda now: self.firmware
        if code == SAM and data[:1] in (b"\x01", b"\x02", b"\x03", b"\x04"):
            self.low_battery = False
            return PLAIN_US, lambda now: b""
        if code == RF and len(data) > 1 and not self.low_battery:
            return self._configure(data)
        if code == LIST and len(data) > 1 and not self.low_battery:
            if data[0] in (1, 2) and (data[1] == 0 or (data[1] == 3 and len(data) > 2)):
                return self._list(data[0], "B" if data[1] else "A")
        elif code == EXCHANGE and data and not self.low_battery:
            return self._exchange(data[0], data[1:])
        elif code == RELEASE and len(data) == 1:
            self._let_go()
            return PLAIN_US, lambda now: b"\x00"
        return PLAIN_US, lambda now: b"refused"

    def _configure(self, data: bytes) -> tuple[int, Job]:
        if data[0] == 1:
            self.field = bool(data[1] & 1)
            if not self.field:
                self._targets = {}
                for card in self.cards:
                    card.lose_power()
        elif data[0] == 5 and len(data) == 4:
            self.retries = data[3]
        return PLAIN_US, lambda now: b""

    def _let_go(self) -> None:
        for card in self._targets.values():
            card.let_go()
        self._targets = {}

    def _list(self, most: int, kind: str) -> tuple[int, Job]:
        self._let_go()
        self.field = True

        def look(now: int) -> bytes | None:
            found: list[FieldCard] = []
            for card in self.cards:
                if len(found) < most and card.answers(kind):
                    found.append(card)
            if not found and self.retries == FOREVER:
                return None
            self._targets = dict(enumerate(found, 1))
            told = [card.listed(number) for number, card in self._targets.items()]
            return bytes((len(found),)) + b"".join(told)

        tries = 1 if self.retries == FOREVER else self.retries + 1
        there = any(card.kind == kind for card in self.cards)
        return (POLL_US + ACTIVATE_US if there else POLL_US * tries), look

    def _exchange(self, head: int, data: bytes) -> tuple[int, Job]:
        card = self._targets.get(head & 0x3F)
        if card is None or card.plain:
            return PLAIN_US, lambda now: b"\x27"
        if head & 0x40:
            self._chained += data
            return PLAIN_US, lambda now: b"\x00"
        if self._left and not data:
            return PLAIN_US, lambda now: self._rest()
        command, self._chained, self._left = self._chained + data, b"", b""
        answer, busy = b"", 0
        if card in self.cards:
            self.exchanges.append(command)
            answer, busy = card.chip.exchange(command)
            if card.chip.torn:
                self.cards.remove(card)
                card.lose_power()

        def done(now: int) -> bytes:
            if not answer or card not in self.cards:
                self._targets = {}
                return b"\x01"
            self._left = answer
            return self._rest()

        return (busy if answer else SILENT_US), done

    def _rest(self) -> bytes:
        part, self._left = self._left[:MOST], self._left[MOST:]
        return (b"\x40" if self._left else b"\x00") + part


class Pn532Serial:
    """Wire kind "serial": high-speed UART at 115200 baud."""

    def __init__(self, chip: Pn532, clock_us: Callable[[], int]) -> None:
        self._chip = chip
        self.line = SerialLine(clock_us)
        self._stream = b""
        self._passed = 0

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire; whatever has come in meanwhile is done first."""
        self.line.unplugged = self._chip.unplugged
        self._work()
        answer = self.line.transfer(op, payload)
        self._work()
        return answer

    def _work(self) -> None:
        chip = self._chip
        data = self.line.take()
        if self.line.baud != 115200:
            data = b"\x00" * len(data)  # what noise looks like
        if chip.asleep and b"\x55" in data:
            data = data[data.index(b"\x55") :]
            self._passed = 10  # bytes while the oscillator starts
            chip.wake()
            chip.awake_us = 0
        if not chip.asleep:
            lost = min(self._passed, len(data))
            self._passed -= lost
            self._stream += data[lost:]
            while True:
                body, self._stream = take_frame(self._stream)
                if body is None:
                    break
                chip.hear(body)
        while not chip.unplugged and chip.ready():
            self.line.feed(chip.fetch())


class Pn532I2c:
    """An I2C chip at 24h. A read of one byte looks, a longer one fetches."""

    address = 0x24

    def __init__(self, chip: Pn532) -> None:
        self._chip = chip

    def exchange(self, write: bytes, read: int) -> bytes:
        """One transaction; ChipError for no acknowledge."""
        chip = self._chip
        if chip.unplugged:
            raise ChipError("pn532: no acknowledge")
        if not chip.listening:
            chip.wake()
            raise ChipError("pn532: no acknowledge while it wakes up")
        if write:
            body, _ = take_frame(write)
            if body is not None:
                chip.hear(body)
        if not read:
            return b""
        if not chip.ready():
            return bytes(read)
        if read == 1:
            return b"\x01"
        return (b"\x01" + chip.fetch())[:read].ljust(read, b"\0")


def _turned(data: bytes) -> bytes:
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


class Pn532Spi:
    """Wire kind "spi": the chip has the least significant bit first."""

    def __init__(self, chip: Pn532) -> None:
        self._chip = chip

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One select."""
        if op != 1 or not payload:
            raise ChipError(f"pn532: operation {op} with {len(payload)} bytes")
        chip = self._chip
        idle = b"\xff" * len(payload)
        if chip.unplugged:
            return idle, len(payload)
        if not chip.listening:
            chip.wake()
            return idle, len(payload)
        first, *rest = _turned(payload)
        came = b"\x00" * len(rest)
        if first == 1:
            body, _ = take_frame(bytes(rest))
            if body is not None:
                chip.hear(body)
        elif first == 2:
            came = came if not chip.ready() else b"\x01" * len(rest)
        elif first == 3 and chip.ready():
            came = chip.fetch()[: len(rest)].ljust(len(rest), b"\0")
        return _turned(b"\x00" + came), len(payload)
