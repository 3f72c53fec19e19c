"""Chip: a card slot without a coprocessor: a serial line at the card's I/O contact and three pins.

The card side of ISO/IEC 7816-3: answer to reset, T=0 procedure bytes, T=1 blocks
with chaining, requests for more time and error recovery. The line is one wire:
the terminal hears what it sends.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from host_tools.emulator.chips.bare_t1 import BlockCard
from host_tools.emulator.chips.card import TAKES_DATA
from host_tools.emulator.chips.card_slot import CardSlotChip
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.pins import OUT, PinBank
from host_tools.emulator.chips.serial_line import SerialLine

#: From reset to the first character: 400 to 40,000 clocks.
FIRST_US = 3_000
#: From the terminal's last character to the card's first.
TURN_US = 2_000
#: A busy T=0 card says so this often.
NULL_US = 400_000
#: A T=1 card that needs longer asks for more time first: so many block waiting times, in
#: which it works so long. (With BWI 4 one is 1.6 s.)
ASK_US = 800_000
WTX_TIMES, WTX_US = 4, 4_000_000


@dataclass
class Faults:
    """What is wrong with card or line. Counts are used up one by one."""

    silent: bool = False  # the card says nothing
    garbled: int = 0  # so many transmissions of the card have one wrong byte
    truncated: int = 0  # so many stop in their middle
    noise: bytes = b""  # before each transmission of the card
    deaf_echo: bool = False  # the terminal does not hear itself
    other_echo: int = 0  # so many bytes are heard differently
    bytewise: bool = False  # T=0: procedure byte by byte
    procedure: int = -1  # T=0: this in place of the procedure byte
    deaf: int = 0  # T=1: so many blocks arrive broken
    abort: bool = False  # T=1: the card aborts instead of an answer
    storm: bool = False  # asks for more time without end
    out_of_turn: bool = False  # T=0: sends after it gave the turn away


class BareContacts:
    """Wire kind "serial"; ``pins`` are (pin, level) of card in, supply on, reset held."""

    def __init__(
        self,
        clock_us: Callable[[], int],
        bank: PinBank,
        present: tuple[int, int],
        power: tuple[int, int],
        reset: tuple[int, int],
        slot: CardSlotChip | None = None,
        baud: int = 9600,
        seed: int = 0,
    ) -> None:
        self._clock_us = clock_us
        self.bank = bank
        self.slot = slot if slot is not None else CardSlotChip()
        self.line = SerialLine(clock_us)
        self.line.baud = baud
        self.faults = Faults()
        self.base = baud
        #: In place of the card's answers to the first reset after power-on and to later ones.
        self.atrs: list[bytes] = []
        self.inverse = False
        #: What went to the card, TPDUs or APDUs.
        self.tpdus: list[bytes] = []
        self.resets = 0
        self._pins = (present, power, reset)
        self._random = random.Random(seed)
        self._blocks = BlockCard()
        self._divisor = self._divisor_next = 1
        self._powered = self._running = False
        self._in = b""
        self._due: list[tuple[int, bytes]] = []
        self._waiting: tuple[bytes, int] | None = None
        bank.on_drive.append(self._drive)
        bank.sensors[present[0]] = self._presence

    # ---- pins ---------------------------------------------------------------------

    def _presence(self) -> int:
        level = self._pins[0][1]
        return level if self.slot.card is not None else 1 - level

    def _on(self, which: int) -> bool:
        pin, level = self._pins[which]
        return self.bank.modes[pin] == OUT and self.bank.levels[pin] == level

    def _drive(self, pin: int) -> None:
        if pin not in (self._pins[1][0], self._pins[2][0]):
            return
        powered = self._on(1)
        running = powered and self.bank.modes[self._pins[2][0]] == OUT and not self._on(2)
        if self._powered and not powered:
            self.slot.transfer(4, b"")
            self.resets = 0
        if running and not self._running:
            self._answer_to_reset()
        elif not running:
            self._in, self._due, self._waiting = b"", [], None
        self._powered, self._running = powered, running

    def _answer_to_reset(self) -> None:
        self.resets += 1
        self._divisor = self._divisor_next = 1
        self._blocks = BlockCard()
        try:
            answer, _ = self.slot.transfer(2, b"")
        except ChipError:
            return
        if self.atrs:
            answer = self.atrs[min(self.resets, len(self.atrs)) - 1]
        self._later(answer, FIRST_US)
        self._divisor_next = _divisor(answer)

    # ---- the line -----------------------------------------------------------------

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of wire kind "serial"."""
        self._pump()
        answer = self.line.transfer(op, payload)
        self._pump()
        return answer

    def _pump(self) -> None:
        data = self.line.take()
        if data:
            self._echo(data)
            if self.slot.card is not None and self._running:
                self._in += self._from_line(data)
                self._listen()
        if self.slot.card is None:
            self._due, self._in = [], b""
        now = self._clock_us()
        while self._due and self._due[0][0] <= now:
            self._say(self._due.pop(0)[1])

    def _echo(self, data: bytes) -> None:
        if self.faults.deaf_echo:
            return
        if self.faults.other_echo:
            self.faults.other_echo -= 1
            data = bytes([data[0] ^ 0x10]) + data[1:]
        self.line.feed(data)

    def _from_line(self, data: bytes) -> bytes:
        if self.line.baud != self.base * self._divisor:
            return bytes(byte ^ 0x5A for byte in data)
        return _turned(data) if self.inverse else data

    def _later(self, data: bytes, after_us: int) -> None:
        start = max(self._clock_us(), self._due[-1][0] if self._due else 0)
        self._due.append((start + after_us, data))

    def _say(self, data: bytes) -> None:
        faults = self.faults
        if faults.silent:
            return
        if faults.garbled:
            faults.garbled -= 1
            at = self._random.randrange(len(data))
            wrong = data[at] ^ self._random.randrange(1, 256)
            data = data[:at] + bytes([wrong]) + data[at + 1 :]
        if faults.truncated:
            faults.truncated -= 1
            data = data[: len(data) // 2]
        data = faults.noise + data
        data = _turned(data) if self.inverse else data
        if self.line.baud != self.base * self._divisor:
            data = bytes(byte ^ 0x5A for byte in data)
        self.line.feed(data)
        self._divisor = self._divisor_next

    # ---- the card -----------------------------------------------------------------

    def _listen(self) -> None:
        card = self.slot.card
        if card is None:
            return
        if card.protocol:
            while (block := self._blocks.cut(self._in)) is not None:
                self._in = self._in[len(block) :]
                self._block(block)
        else:
            self._character()

    def _to_card(self, command: bytes) -> tuple[bytes, int] | None:
        self.tpdus.append(command)
        try:
            return self.slot.transfer(3, command)
        except ChipError:
            return None

    def _character(self) -> None:
        """T=0: header, then data as the procedure bytes ask for them."""
        if len(self._in) < 5:
            return
        header, data = self._in[:5], self._in[5:]
        ins, count = header[1], header[4] if header[1] in TAKES_DATA else 0
        if len(data) < count:
            if self.faults.procedure >= 0:
                self._later(bytes([self.faults.procedure]), TURN_US)
            elif self.faults.bytewise:
                self._later(bytes([ins ^ 0xFF]), TURN_US)
            elif not data:
                out_of_turn = b"\x55" if self.faults.out_of_turn else b""
                self._later(bytes([ins]) + out_of_turn, TURN_US)
            return
        self._in = b""
        answered = self._to_card(header + data)
        if answered is None:
            return
        answer, busy = answered
        if self.faults.storm:
            busy = 1 << 40
        for _ in range(min(busy // NULL_US, 200)):
            self._later(b"\x60", NULL_US)
        rest = busy % NULL_US
        content, status = answer[:-2], answer[-2:]
        if content and self.faults.bytewise:
            said = b"".join(bytes([ins ^ 0xFF, byte]) for byte in content)
        else:
            said = bytes([ins]) + content if content else b""
        self._later(said + status, rest + TURN_US)

    def _block(self, block: bytes) -> None:
        """T=1: one block of the terminal."""
        broken = self.faults.deaf > 0
        self.faults.deaf -= broken
        apdu = self._blocks.take(block, broken)
        if apdu is not None:
            answered = self._to_card(apdu)
            if answered is None:
                return
            if self.faults.abort:
                self._blocks.abort()
                self._later(self._blocks.out, TURN_US)
                return
            self._waiting = answered
        if self._waiting is not None and self._blocks.free:
            answer, busy = self._waiting
            if busy > ASK_US or self.faults.storm:
                pause = TURN_US if apdu is not None else min(busy, WTX_US)
                self._waiting = (answer, max(busy - pause, 0))
                self._blocks.more_time(WTX_TIMES)
                self._later(self._blocks.out, pause)
                return
            self._waiting = None
            self._blocks.answer(answer)
            self._later(self._blocks.out, busy + TURN_US)
        else:
            self._later(self._blocks.out, TURN_US)


def _divisor(atr: bytes) -> int:
    """D of a card in specific mode, else 1."""
    if len(atr) > 4 and atr[1] & 0x90 == 0x90:
        after = 2 + bin(atr[1] >> 4).count("1")
        if atr[after - 1] & 0x10:
            return 1 << (atr[2] & 0x0F) - 1
    return 1


def _turned(data: bytes) -> bytes:
    """A character of one convention as the other reads it."""
    return bytes(int(f"{byte ^ 0xFF:08b}"[::-1], 2) for byte in data)
