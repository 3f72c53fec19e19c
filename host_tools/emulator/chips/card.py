"""A chip card at its contacts or antenna: reset, T=0 and T=1 behaviour, SELECT, faults.

``exchange`` takes a TPDU (T=0: header, P3, data) or an APDU (T=1) and gives
the response with SW1 SW2 and the time that a real chip would have been busy,
in microseconds. Whatever comes in, an answer with a status word goes out;
only a mute or torn card answers with nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from host_tools.emulator.chips.card_app import Application
from host_tools.emulator.chips.card_data import (
    NO_FILE,
    NO_RECORD,
    NOT_SUPPORTED,
    OK,
    WRONG_LENGTH,
    WRONG_P1P2,
    Personalisation,
)
from host_tools.emulator.chips.card_scripts import SCRIPT_INS, run_script
from host_tools.emulator.chips.card_tlv import garbled, tlv

PSE_NAME = b"1PAY.SYS.DDF01"
PPSE_NAME = b"2PAY.SYS.DDF01"
SELECT, READ_RECORD, GET_DATA, GET_RESPONSE = 0xA4, 0xB2, 0xCA, 0xC0
GET_CHALLENGE, VERIFY, GPO, GENERATE_AC = 0x84, 0x20, 0xA8, 0xAE
INTERNAL, EXTERNAL = 0x88, 0x82

#: Instructions whose P3 is a data length under T=0 (the rest: an expected length).
TAKES_DATA = (SELECT, GPO, VERIFY, INTERNAL, EXTERNAL, GENERATE_AC, *SCRIPT_INS)
GIVES_DATA = (SELECT, GPO, INTERNAL, GENERATE_AC, READ_RECORD, GET_DATA, GET_CHALLENGE)
PROPRIETARY = (GPO, GENERATE_AC, GET_DATA, *SCRIPT_INS)

HISTORICAL = b"OPENT"
#: Busy time of the chip itself, in us, and of one byte on the line at 38,400 baud.
BUSY = {SELECT: 12_000, GPO: 18_000, READ_RECORD: 4_000, GENERATE_AC: 55_000, VERIFY: 25_000}
BUSY_OTHER = 6_000
BUSY_RSA = 110_000
BUSY_BYTE = 310

Fault = dict[str, Any]


def answer_to_reset(protocol: int) -> bytes:
    """ATR of EMV Book 1, 8.3: T=0, or T=1 with IFSC 254 and TCK."""
    if protocol == 0:
        return b"\x3b" + bytes([0x60 | len(HISTORICAL)]) + b"\x00\x00" + HISTORICAL
    rest = bytes([0xE0 | len(HISTORICAL)]) + bytes.fromhex("0000 81 31 FE 45") + HISTORICAL
    check = 0
    for byte in rest:
        check ^= byte
    return b"\x3b" + rest + bytes([check])


class Card:
    """One chip. ``seed`` makes its random numbers the same in every run."""

    def __init__(
        self,
        applications: Sequence[Personalisation],
        *,
        seed: bytes,
        protocol: int = 0,
        pse: bool = True,
        contactless: str = "none",
        blocked: bool = False,
        mute: bool = False,
        faults: Sequence[Fault] = (),
    ) -> None:
        self.protocol = protocol
        #: ISO/IEC 14443 type of its antenna, "A" or "B", or "none".
        self.contactless = contactless
        self.faults: list[Fault] = list(faults)
        #: Set when a fault pulled the card; whoever holds the slot removes it.
        self.torn = False
        self._seed = seed
        self._drawn = 0
        self._pse = pse
        self._factory = (blocked, mute)
        self._blocked, self._mute = blocked, mute
        self.applications = [Application(data, self._random) for data in applications]
        self._power_off()

    def _random(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.sha256(self._seed + self._drawn.to_bytes(8, "big")).digest()[:count]

    def _power_off(self) -> None:
        self._powered = False
        self._in_field = False
        self._silent = False
        self._torn_next = False
        self._current: Application | None = None
        self._in_pse = False
        self._matched = -1
        self._pending = b""
        self._reissue = b""
        self._fault: Fault | None = None
        self._commands = 0
        self._of_ins: dict[int, int] = {}
        for application in self.applications:
            application.selected()

    @property
    def atr(self) -> bytes:
        """What its contacts say to a reset."""
        return answer_to_reset(self.protocol)

    @property
    def is_mute(self) -> bool:
        """Whether reset gets no answer."""
        return self._mute

    def power_on(self) -> bytes:
        """Cold or warm reset; the ATR, b"" from a mute card."""
        self._power_off()
        self.torn = False
        fault = self._fault_at_reset()
        self._powered = not self._mute and fault not in ("mute", "torn")
        self.torn = fault == "torn"
        return answer_to_reset(self.protocol) if self._powered else b""

    def enter_field(self) -> bool:
        """A reader's field powers it, and it is activated: APDUs pass whole from then
        on. False from a card without antenna, or one that is mute."""
        if self.contactless == "none":
            return False
        self._in_field = bool(self.power_on())
        return self._in_field

    @property
    def serial(self) -> bytes:
        """Four bytes that tell it from others: its UID or PUPI."""
        return hashlib.sha256(b"serial" + self._seed).digest()[:4]

    def power_off(self) -> None:
        """The contacts or the antenna lost power. Harmless twice."""
        self._power_off()

    def state(self) -> dict[str, Any]:
        """What survives power-off, as plain JSON values."""
        return {
            "drawn": self._drawn,
            "blocked": self._blocked,
            "applications": {a.data.aid.hex().upper(): a.state() for a in self.applications},
        }

    def load_state(self, table: dict[str, Any]) -> None:
        """Inverse of ``state``. KeyError, TypeError or ValueError for anything else."""
        held = table["applications"]
        drawn, blocked = int(table["drawn"]), bool(table["blocked"])
        for application in self.applications:
            application.load_state(held[application.data.aid.hex().upper()])
        self._drawn, self._blocked = drawn, blocked
        self._power_off()

    def reset(self) -> None:
        """Back to the state the card left the factory in."""
        self._blocked, self._mute = self._factory
        self._drawn = 0
        for application in self.applications:
            application.reset()
        self._power_off()

    def tear_next(self, armed: bool = True) -> None:
        """Pull the card at its next command, once; or do not, after all."""
        self._torn_next = armed

    @property
    def armed(self) -> bool:
        """Whether its next command pulls the card."""
        return self._torn_next

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        """(response with SW1 SW2, busy time in us); b"" from a card that is off,
        mute or torn."""
        if not self._powered or self._silent:
            return b"", 0
        if len(command) < 4 or len(command) > 261:
            return WRONG_LENGTH.to_bytes(2, "big"), BUSY_OTHER
        fault = self._count(command)
        if self._torn_next:
            self._torn_next = False
            fault = {"kind": "torn"}
        if fault is not None and fault["kind"] in ("torn", "mute"):
            self.torn = fault["kind"] == "torn"
            self._silent = True
            return b"", 0
        if fault is not None and fault["kind"] == "sw":
            self._pending = b""
            return bytes.fromhex(fault["sw"]), BUSY_OTHER
        garble = fault is not None and fault["kind"] == "garble"
        whole = self.protocol or self._in_field
        response, busy = (self._t1 if whole else self._t0)(command, garble)
        if fault is not None and fault["kind"] == "late":
            busy += fault["ms"] * 1000
        return response, busy + BUSY_BYTE * (len(command) + len(response))

    # Faults count commands of the application layer: GET RESPONSE and the
    # repetition after 6Cxx belong to the command that they serve.

    def _fault_at_reset(self) -> str:
        for fault in self.faults:
            if fault.get("at") == 0:
                return str(fault["kind"])
        return ""

    def _count(self, command: bytes) -> Fault | None:
        repeated = command[:4] == self._reissue
        self._reissue = b""
        if command[1] == GET_RESPONSE:
            return None  # what it fetches is garbled already
        if repeated:
            return self._fault if self._fault and self._fault["kind"] == "garble" else None
        self._fault = self._fault_at(command)
        return self._fault

    def _fault_at(self, command: bytes) -> Fault | None:
        self._commands += 1
        nth = self._of_ins.get(command[1], 0) + 1
        self._of_ins[command[1]] = nth
        for fault in self.faults:
            if fault.get("at") == self._commands:
                return fault
            here = "ins" in fault and int(fault["ins"], 16) == command[1]
            if here and fault.get("nth", 1) == nth:
                return fault
        return None

    # Transmission protocols.

    def _t0(self, command: bytes, garble: bool) -> tuple[bytes, int]:
        """A T=0 card sees P3 and nothing of Le in case 4 (ISO/IEC 7816-3, 12.2)."""
        cla, ins, p1, p2 = command[:4]
        p3 = command[4] if len(command) > 4 else 0
        data = command[5:]
        if ins == GET_RESPONSE:
            return self._get_response(p1, p2, p3, data), BUSY_OTHER
        self._pending = b""
        if len(data) != (p3 if ins in TAKES_DATA else 0):
            return WRONG_LENGTH.to_bytes(2, "big"), BUSY_OTHER
        answer, status, busy = self._execute(cla, ins, p1, p2, data)
        if garble:
            answer = garbled(answer)
        if not answer:
            return status.to_bytes(2, "big"), busy
        if ins in TAKES_DATA:
            self._pending = answer
            if status != OK:  # a warning first; the data wait for GET RESPONSE
                return status.to_bytes(2, "big"), busy
            return bytes([0x61, len(answer) & 0xFF]), busy
        if p3 != len(answer) & 0xFF:
            self._reissue = command[:4]
            return bytes([0x6C, len(answer) & 0xFF]), busy
        return answer + status.to_bytes(2, "big"), busy

    def _get_response(self, p1: int, p2: int, p3: int, data: bytes) -> bytes:
        if p1 or p2 or data:
            return WRONG_P1P2.to_bytes(2, "big")
        if not self._pending:
            return b"\x69\x85"
        if p3 != len(self._pending) & 0xFF:
            return bytes([0x6C, len(self._pending) & 0xFF])
        answer, self._pending = self._pending, b""
        return answer + b"\x90\x00"

    def _t1(self, command: bytes, garble: bool) -> tuple[bytes, int]:
        """Cases 1 to 4 of ISO/IEC 7816-3, 12.1, short form."""
        cla, ins, p1, p2 = command[:4]
        wrong = WRONG_LENGTH.to_bytes(2, "big")
        data, expected = b"", -1
        if len(command) == 5:
            expected = command[4]
        elif len(command) > 5:
            length = command[4]
            data, rest = command[5 : 5 + length], command[5 + length :]
            if length == 0 or len(data) != length or len(rest) > 1:
                return wrong, BUSY_OTHER
            expected = rest[0] if rest else -1
        if (ins in TAKES_DATA) != bool(data) or (ins in GIVES_DATA) != (expected >= 0):
            known = ins in TAKES_DATA or ins in GIVES_DATA
            return (wrong if known else b"\x6d\x00"), BUSY_OTHER
        answer, status, busy = self._execute(cla, ins, p1, p2, data)
        if garble:
            answer = garbled(answer)
        if answer and expected not in (0, len(answer)):
            self._reissue = command[:4]
            return bytes([0x6C, len(answer) & 0xFF]), busy
        return answer + status.to_bytes(2, "big"), busy

    # Commands.

    def _execute(self, cla: int, ins: int, p1: int, p2: int, data: bytes) -> tuple[bytes, int, int]:
        known = ins in TAKES_DATA or ins in GIVES_DATA
        if not known:
            return b"", 0x6D00, BUSY_OTHER
        classes = (0x80, 0x84, 0x8C) if ins in PROPRIETARY else (0x00,)
        if cla not in classes:
            return b"", 0x6E00, BUSY_OTHER
        busy = BUSY.get(ins, BUSY_OTHER)
        if ins == SELECT:
            return (*self._select(p1, p2, data), busy)
        if ins == READ_RECORD and self._in_pse:
            return (*self._read_directory(p1, p2), busy)
        application = self._current
        if application is None:
            return b"", 0x6985, busy
        if ins in SCRIPT_INS:
            status, block = run_script(application, bytes([cla, ins, p1, p2]), data)
            self._blocked = self._blocked or block
            return b"", status, busy
        if ins == INTERNAL or (ins == VERIFY and p2 == 0x88) or (ins == GENERATE_AC and p1 & 0x10):
            busy += BUSY_RSA
        answer, status = self._application(application, ins, p1, p2, data)
        return answer, status, busy

    @staticmethod
    def _application(
        application: Application, ins: int, p1: int, p2: int, data: bytes
    ) -> tuple[bytes, int]:
        if ins == READ_RECORD:
            return application.read_record(p1, p2)
        if ins == GET_DATA:
            return application.get_data(p1 << 8 | p2)
        if ins == GET_CHALLENGE:
            return application.get_challenge(p1, p2)
        if ins == GPO:
            return application.get_processing_options(p1, p2, data)
        if ins == VERIFY:
            return application.verify(p1, p2, data)
        if ins == INTERNAL:
            return application.internal_authenticate(p1, p2, data)
        if ins == EXTERNAL:
            return application.external_authenticate(p1, p2, data)
        return application.generate_ac(p1, p2, data)

    def _select(self, p1: int, p2: int, name: bytes) -> tuple[bytes, int]:
        """EMV Book 1, 11.3 and 12.3: by name, whole or its beginning; next occurrence."""
        if p1 != 0x04 or p2 not in (0x00, 0x02):
            return b"", WRONG_P1P2
        if self._blocked:
            return b"", NOT_SUPPORTED
        if not name:
            return b"", WRONG_LENGTH
        if self._pse and name == PSE_NAME and not self._in_field:
            self._enter(None, True)
            names = tlv(0x9F11, b"\x01")  # the directory's names are in ISO 8859-1
            fci = tlv(0xA5, tlv(0x88, b"\x01"), tlv(0x5F2D, b"zhen"), names)
            return tlv(0x6F, tlv(0x84, PSE_NAME), fci), OK
        if self._in_field and name == PPSE_NAME:
            self._enter(None, False)
            entries = [application.data.directory_entry for application in self.applications]
            return tlv(0x6F, tlv(0x84, PPSE_NAME), tlv(0xA5, tlv(0xBF0C, *entries))), OK
        first = self._matched + 1 if p2 == 0x02 else 0
        for place in range(first, len(self.applications)):
            application = self.applications[place]
            if application.data.aid.startswith(name):
                self._enter(application, False)
                self._matched = place
                status = 0x6283 if application.memory.blocked else OK
                return application.data.fci, status
        return b"", NO_FILE

    def _enter(self, application: Application | None, pse: bool) -> None:
        self._current, self._in_pse, self._matched = application, pse, -1
        if application is not None:
            application.selected()

    def _read_directory(self, p1: int, p2: int) -> tuple[bytes, int]:
        """The payment system directory, SFI 1 (EMV Book 1, 12.2.3): four entries a record."""
        if p2 != 0x0C:
            return b"", NO_FILE if p2 & 0x07 == 0x04 else WRONG_P1P2
        entries = [application.data.directory_entry for application in self.applications]
        records = [entries[i : i + 4] for i in range(0, len(entries), 4)]
        if not 1 <= p1 <= len(records):
            return b"", NO_RECORD
        return tlv(0x70, *records[p1 - 1]), OK
