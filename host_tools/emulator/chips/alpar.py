"""Chip: a card reader coprocessor on a serial line (TDA8029, ALPAR protocol), with its slot.

What it does is written from NXP's application note AN10207, as far as it was at
hand, and from public drivers; docs/boards.md says what is assumed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from host_tools.emulator.chips.card_slot import CardSlotChip
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.serial_line import SerialLine

ACK, NAK = 0x60, 0xE0
MOST = 506
CARD_COMMAND, CHECK_PRESENCE, SEND_NUM_MASK, IFSD_REQUEST = 0x00, 0x09, 0x0A, 0x0C
NEGOTIATE, POWER_OFF, CARD_MOVED, TIME_OUT = 0x10, 0x4D, 0xA0, 0xFF
POWER_UPS = (0x68, 0x69, 0x6D, 0x6E)
#: Causes of a refusal.
MUTE_T1, PPS_REFUSED, BAD_PARAMETER, DEACTIVATED, UNKNOWN = 0x22, 0x39, 0x35, 0x40, 0x55
MUTE_AT_RESET, SILENT, ABSENT, BAD_LRC, INCOMPLETE = 0x80, 0x81, 0xC0, 0xF0, 0xFF

#: A frame that stands still for so long is refused.
STILL_US = 50_000
#: A card's silence: the initial work waiting time of 9600 etu.
WAITING_US = 1_000_000
OWN_US = 300
MASK = b"07 virtual"


@dataclass
class Faults:
    """What is wrong with the reader. Counts are of answers, used up one by one."""

    stalled: bool = False  # bytes go in, none come out
    deaf: int = 0  # so many commands arrive with a wrong byte
    wrong_lrc: int = 0
    truncated: int = 0
    lost: int = 0  # answers that never leave
    nak: int = 0  # so many commands are refused with ``nak_code``
    nak_code: int = BAD_LRC
    noise: int = 0  # of a thousand answers' bytes, so many have a wrong one before them
    garbled: int = 0  # of a thousand answers, so many have one wrong byte
    foreign: bytes = b""  # another device, which answers everything with this
    echo: bool = False  # a bridged cable
    tells: bool = True  # says unasked that the card came or left
    refuse: frozenset[int] = frozenset()  # commands that this mask does not know
    mute_pps: bool = False  # the card does not answer a PPS request


class AlparChip:
    """Wire kind "serial". ``slot`` holds the card; who owns it puts cards in."""

    def __init__(
        self, clock_us: Callable[[], int], slot: CardSlotChip | None = None, seed: int = 0
    ) -> None:
        self._clock_us = clock_us
        self.slot = slot if slot is not None else CardSlotChip()
        self.line = SerialLine(clock_us)
        self.line.baud = 38400
        self.faults = Faults()
        #: Whether it fetches and repeats what 61xx and 6Cxx ask for by itself (T=0).
        self.resolves = True
        #: (opcode, data) of every whole command; what went to the card; PPS done.
        self.commands: list[tuple[int, bytes]] = []
        self.tpdus: list[bytes] = []
        self.speed = 0x11
        self._random = random.Random(seed)
        self._got = b""
        self._got_us = 0
        self._due: list[tuple[int, bytes]] = []
        self._free_us = 0
        self._card_known = False

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of wire kind "serial"."""
        self._pump()
        answer = self.line.transfer(op, payload)
        self._pump()
        return answer

    def restart(self) -> None:
        """Its power was away: nothing under way is left, the card is off."""
        self._got, self._due, self._free_us = b"", [], 0
        self.slot.transfer(4, b"")

    # ---- the line -----------------------------------------------------------------

    def _pump(self) -> None:
        now = self._clock_us()
        data = self.line.take()
        if data:
            self._got_us = self.line.taken_us
            if self.faults.foreign or self.faults.echo:
                self.line.feed(self.faults.foreign or data)
            else:
                self._got += data
        self._watch_card(now)
        while self._command():
            pass
        if self._got and now - self._got_us >= STILL_US:
            self._got = b""
            self._refuse(TIME_OUT, INCOMPLETE, OWN_US)
        while self._due and self._due[0][0] <= now:
            self._say(self._due.pop(0)[1])

    def _watch_card(self, now: int) -> None:
        there = self.slot.card is not None
        if there == self._card_known:
            return
        self._card_known = there
        busy = [item for item in self._due if item[0] > now and item[1][3] == CARD_COMMAND]
        if not there and busy:  # what the card would have said is lost
            self._due = [item for item in self._due if item not in busy]
            self._free_us = now
        if self.faults.tells:
            self._due.insert(0, (now, _frame(ACK, CARD_MOVED, bytes([there]))))
        if not there and busy:
            self._refuse(CARD_COMMAND, ABSENT, OWN_US)

    def _command(self) -> bool:
        """Take one whole command off the line; False when there is none."""
        while self._got and self._got[0] != ACK:
            self._got = self._got[1:]
        if len(self._got) < 5:
            return False
        length = int.from_bytes(self._got[1:3], "big")
        if length > MOST:
            self._got = b""
            self._refuse(TIME_OUT, INCOMPLETE, OWN_US)
            return False
        if len(self._got) < length + 5:
            return False
        frame, self._got = self._got[: length + 5], self._got[length + 5 :]
        opcode, data = frame[3], frame[4:-1]
        wrong = _lrc(frame) != 0
        if self.faults.deaf:
            self.faults.deaf -= 1
            wrong = True
        if wrong:
            self._refuse(opcode, BAD_LRC, OWN_US)
        elif self.faults.nak:
            self.faults.nak -= 1
            self._refuse(opcode, self.faults.nak_code, OWN_US)
        else:
            self.commands.append((opcode, data))
            self._run(opcode, data)
        return True

    def _later(self, frame: bytes, busy_us: int) -> None:
        """One command after the other: an answer leaves when its work is done."""
        self._free_us = max(self._free_us, self._got_us, 0) + busy_us
        self._due.append((self._free_us, frame))
        self._due.sort(key=lambda item: item[0])

    def _refuse(self, opcode: int, code: int, busy_us: int) -> None:
        self._later(_frame(NAK, opcode, bytes([code])), busy_us)

    def _accept(self, opcode: int, data: bytes, busy_us: int) -> None:
        self._later(_frame(ACK, opcode, data), busy_us)

    def _say(self, frame: bytes) -> None:
        faults = self.faults
        if faults.stalled or faults.foreign or faults.echo:
            return
        if frame[3] != CARD_MOVED:
            if faults.lost:
                faults.lost -= 1
                return
            if faults.wrong_lrc:
                faults.wrong_lrc -= 1
                frame = frame[:-1] + bytes([frame[-1] ^ 0x40])
            if faults.truncated:
                faults.truncated -= 1
                frame = frame[: len(frame) // 2]
        if self._random.randrange(1000) < faults.garbled:
            at = self._random.randrange(len(frame))
            wrong = frame[at] ^ self._random.randrange(1, 256)
            frame = frame[:at] + bytes([wrong]) + frame[at + 1 :]
        if faults.noise:
            noisy = bytearray()
            for byte in frame:
                if self._random.randrange(1000) < faults.noise:
                    noisy.append(self._random.randrange(256))
                noisy.append(byte)
            frame = bytes(noisy)
        self.line.feed(frame)

    # ---- commands -----------------------------------------------------------------

    def _run(self, opcode: int, data: bytes) -> None:
        there = self.slot.card is not None
        if opcode in self.faults.refuse:
            self._refuse(opcode, UNKNOWN, OWN_US)
        elif opcode == SEND_NUM_MASK:
            self._accept(opcode, MASK, OWN_US)
        elif opcode == CHECK_PRESENCE:
            self._accept(opcode, bytes([there]), OWN_US)
        elif opcode == POWER_OFF:
            self.slot.transfer(4, b"")
            self._accept(opcode, b"", OWN_US)
        elif opcode in POWER_UPS:
            self._power_up(opcode)
        elif not there:
            self._refuse(opcode, ABSENT, OWN_US)
        elif opcode in (CARD_COMMAND, NEGOTIATE, IFSD_REQUEST) and not self.slot.powered:
            self._refuse(opcode, DEACTIVATED, OWN_US)
        elif opcode == CARD_COMMAND:
            self._card_command(data)
        elif opcode == NEGOTIATE and len(data) == 2:
            if self.faults.mute_pps:
                self._refuse(opcode, PPS_REFUSED, WAITING_US)
            else:
                self.speed = data[1]
                self._accept(opcode, b"", OWN_US)
        elif opcode == IFSD_REQUEST and len(data) == 1:
            self._accept(opcode, b"", OWN_US)
        else:
            known = opcode in (NEGOTIATE, IFSD_REQUEST)
            self._refuse(opcode, BAD_PARAMETER if known else UNKNOWN, OWN_US)

    def _power_up(self, opcode: int) -> None:
        self.speed = 0x11
        if self.slot.card is None:
            self._refuse(opcode, ABSENT, OWN_US)
            return
        try:
            answer, busy = self.slot.transfer(2, b"")
        except ChipError:
            left = self.slot.card is None
            self._refuse(opcode, ABSENT if left else MUTE_AT_RESET, 100_000)
            return
        self._accept(opcode, answer, busy)

    def _card_command(self, apdu: bytes) -> None:
        card = self.slot.card
        protocol = card.protocol if card is not None else 0
        try:
            answer, busy = self._to_card(apdu) if protocol else self._t0(apdu)
        except ChipError:
            if self.slot.card is None:
                self._refuse(CARD_COMMAND, ABSENT, OWN_US)
            else:
                self._refuse(CARD_COMMAND, MUTE_T1 if protocol else SILENT, WAITING_US)
            return
        self._accept(CARD_COMMAND, answer, busy)

    def _t0(self, apdu: bytes) -> tuple[bytes, int]:
        """The APDU as TPDUs (ISO/IEC 7816-3, 12.2); 61xx and 6Cxx if it ``resolves``."""
        case4 = len(apdu) > 5 and len(apdu) == 6 + apdu[4]
        tpdu = apdu + b"\x00" if len(apdu) == 4 else apdu[:-1] if case4 else apdu
        answer, busy = self._to_card(tpdu)
        if not self.resolves:
            return answer, busy
        if case4 and answer[-2] == 0x61:
            answer, more = self._to_card(b"\x00\xc0\x00\x00" + answer[-1:])
            return answer, busy + more
        if len(apdu) == 5 and len(answer) == 2 and answer[0] == 0x6C:
            answer, more = self._to_card(apdu[:4] + answer[1:])
            return answer, busy + more
        return answer, busy

    def _to_card(self, tpdu: bytes) -> tuple[bytes, int]:
        self.tpdus.append(tpdu)
        return self.slot.transfer(3, tpdu)


def _lrc(data: bytes) -> int:
    check = 0
    for byte in data:
        check ^= byte
    return check


def _frame(header: int, opcode: int, data: bytes) -> bytes:
    frame = bytes([header]) + len(data).to_bytes(2, "big") + bytes([opcode]) + data
    return frame + bytes([_lrc(frame)])
