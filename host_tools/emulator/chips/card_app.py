"""One EMV application of a virtual card: data, counters, and the commands of a payment.

Clauses are of EMV 4.4 Book 3, 6.5 unless another book is named. Nothing here
knows the terminal; what issuer and card agree on stands in docs/deck.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from host_tools.emulator.chips.card_data import (
    AAC,
    ARQC,
    CONDITIONS,
    LOG_FORMAT,
    NO_DATA,
    NO_FILE,
    NO_RECORD,
    OK,
    TC,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    Answer,
    Memory,
    Personalisation,
    Transaction,
)
from host_tools.emulator.chips.card_rsa import RsaKey, dynamic_signature
from host_tools.emulator.chips.card_tlv import dol_length, dol_values, tlv


class Application:
    """Answers the commands that follow SELECT. ``random`` gives unpredictable bytes."""

    def __init__(self, data: Personalisation, random: Callable[[int], bytes]) -> None:
        self.data = data
        self._random = random
        self.memory = self._factory()
        self.transaction: Transaction | None = None
        self._challenge = b""
        self._pin_done = False
        self._pin_failed = False

    def _factory(self) -> Memory:
        data = self.data
        return Memory(data.atc, 0, data.pin_tries_left, data.pin, data.blocked)

    def reset(self) -> None:
        """Back to the state it left the factory in."""
        self.memory = self._factory()
        self.selected()

    def selected(self) -> None:
        """Forget the transaction: SELECT or power-off."""
        self.transaction = None
        self._challenge = b""
        self._pin_done = False
        self._pin_failed = False

    def state(self) -> dict[str, Any]:
        """What survives power-off, as plain JSON values."""
        table = dict(vars(self.memory))
        table["limits"] = {f"{tag:04X}": value.hex() for tag, value in self.memory.limits.items()}
        return table

    def load_state(self, table: dict[str, Any]) -> None:
        """Inverse of ``state``. KeyError, TypeError or ValueError for anything else."""
        limits = {int(tag, 16): bytes.fromhex(value) for tag, value in table["limits"].items()}
        memory = Memory(**{**table, "limits": limits})
        if set(table) != set(vars(memory)):
            raise KeyError("the saved state of a card lacks a field")
        self.memory = memory

    # Commands. Each gets P1, P2 and command data, and gives response data and status.

    def get_processing_options(self, p1: int, p2: int, data: bytes) -> Answer:
        """6.5.8. Counts the ATC."""
        if p1 or p2:
            return b"", WRONG_P1P2
        if self.transaction is not None or self.memory.atc >= 0xFFFF:
            return b"", CONDITIONS
        length = dol_length(self.data.pdol)
        if len(data) < 2 or data[0] != 0x83 or data[1] != length or len(data) != 2 + length:
            return b"", WRONG_DATA
        self.memory.atc += 1
        self.transaction = Transaction(data[2:], self.memory.online_not_completed)
        if self.data.gpo_format == 80:
            return tlv(0x80, self.data.aip, self.data.afl), OK
        return tlv(0x77, tlv(0x82, self.data.aip), tlv(0x94, self.data.afl)), OK

    def read_record(self, p1: int, p2: int) -> Answer:
        """6.5.11. P1 is the record number, P2 the SFI in the upper five bits and 100."""
        sfi = p2 >> 3
        if p2 & 0x07 != 0x04 or not 1 <= sfi <= 30 or p1 == 0:
            return b"", WRONG_P1P2
        record = self.data.records.get((sfi, p1))
        if record is not None:
            return record, OK
        known = any(sfi == there for there, _ in self.data.records)
        return b"", NO_RECORD if known else NO_FILE

    def get_data(self, tag: int) -> Answer:
        """6.5.7: ATC, last online ATC, PIN try counter, log format, and the limits."""
        memory = self.memory
        if tag == 0x9F36:
            value = memory.atc.to_bytes(2, "big")
        elif tag == 0x9F13:
            value = memory.last_online_atc.to_bytes(2, "big")
        elif tag == 0x9F17:
            value = bytes([memory.tries_left])
        elif tag == 0x9F4F:
            value = bytes.fromhex(LOG_FORMAT)
        elif tag in memory.limits:
            value = memory.limits[tag]
        else:
            return b"", NO_DATA
        return tlv(tag, value), OK

    def get_challenge(self, p1: int, p2: int) -> Answer:
        """6.5.6. Eight bytes, good for the next VERIFY only."""
        if p1 or p2:
            return b"", WRONG_P1P2
        self._challenge = self._random(8)
        return self._challenge, OK

    def verify(self, p1: int, p2: int, data: bytes) -> Answer:
        """6.5.12; enciphered PIN: Book 2, 7.2. Malformed data costs no try."""
        challenge, self._challenge = self._challenge, b""
        if p1 or p2 not in (0x80, 0x88):
            return b"", WRONG_P1P2
        if self.memory.tries_left == 0:
            return b"", 0x6983
        if p2 == 0x80:
            block: bytes | None = data
        else:
            key = self.data.pin_key or self.data.icc_key
            if key is None:
                return b"", CONDITIONS
            if len(data) != key.size:
                return b"", WRONG_LENGTH
            if not challenge:
                return b"", CONDITIONS
            block = _decipher(key, data, challenge)
        if p2 == 0x80 and len(data) != 8:
            return b"", WRONG_LENGTH
        if p2 == 0x80 and not _is_pin_block(data):
            return b"", WRONG_DATA
        self._pin_done = True
        if block == _pin_block(self.memory.pin):
            self.memory.tries_left = self.data.pin_try_limit
            self._pin_failed = False
            return b"", OK
        self.memory.tries_left -= 1
        self._pin_failed = True
        return b"", 0x63C0 | self.memory.tries_left

    def internal_authenticate(self, p1: int, p2: int, data: bytes) -> Answer:
        """6.5.9; Book 2, 6.5: DDA over the data of the DDOL."""
        key = self.data.icc_key
        if p1 or p2:
            return b"", WRONG_P1P2
        if self.transaction is None or key is None:
            return b"", CONDITIONS
        if len(data) < 4:
            return b"", WRONG_LENGTH
        signature = dynamic_signature(key, b"\x08" + self._random(8), data)
        if self.data.oda_fault == "dda_signature":
            signature = _spoiled(signature)
        if self.data.gpo_format == 80:
            return tlv(0x80, signature), OK
        return tlv(0x77, tlv(0x9F4B, signature)), OK

    def external_authenticate(self, p1: int, p2: int, data: bytes) -> Answer:
        """6.5.4. Once a transaction, after the ARQC."""
        transaction = self.transaction
        if p1 or p2:
            return b"", WRONG_P1P2
        if (
            transaction is None
            or transaction.first != ARQC
            or transaction.second is not None
            or transaction.issuer_answer != "none"
            or self.data.issuer_auth != "external"
        ):
            return b"", CONDITIONS
        if not 8 <= len(data) <= 16:
            return b"", WRONG_LENGTH
        right = self.data.keys.arpc_is_right(self.memory.atc, transaction.arqc, data)
        transaction.issuer_answer = "right" if right else "wrong"
        return b"", OK if right else 0x6300

    def generate_ac(self, p1: int, p2: int, data: bytes) -> Answer:
        """6.5.5; with CDA, Book 2, 6.6."""
        transaction = self.transaction
        asked = p1 & 0xC0
        if p2 or p1 & 0x2F or asked == 0xC0:
            return b"", WRONG_P1P2
        if transaction is None or transaction.second is not None:
            return b"", CONDITIONS
        first = transaction.first is None
        dol = self.data.cdol1 if first else self.data.cdol2
        if not first and (transaction.first != ARQC or asked == ARQC):
            return b"", CONDITIONS
        if len(data) != dol_length(dol):
            return b"", WRONG_LENGTH
        values = dol_values(dol, data)
        if first:
            transaction.cdol1_data = data
            given = transaction.first = self._first(asked)
            signed = data
        else:
            given = transaction.second = self._second(asked, values)
            signed = transaction.cdol1_data + data
        issuer_data = self._issuer_application_data()
        cryptogram = self.data.keys.cryptogram(
            self.memory.atc, self._covered(values, issuer_data[3:7])
        )
        if first and given == ARQC:
            transaction.arqc = cryptogram
        if p1 & 0x10 and self.data.cda and given != AAC:
            answer = self._combined(given, cryptogram, issuer_data, signed, values[0x9F37])
        else:
            answer = self._plain(given, cryptogram, issuer_data)
        if not first:
            self._completed(values[0x8A])
        return answer, OK

    def _first(self, asked: int) -> int:
        given = asked
        if self.memory.blocked or self.data.first_ac == "aac":
            given = AAC
        elif given == TC and (self.data.first_ac == "arqc" or self._must_go_online()):
            given = ARQC
        if given == ARQC:
            self.memory.online_not_completed = True
        return given

    def _must_go_online(self) -> bool:
        memory = self.memory
        return (
            memory.online_not_completed
            or memory.issuer_auth_failed_last
            or memory.script_failed
            or memory.atc - memory.last_online_atc > memory.limits[0x9F14][0]
        )

    def _second(self, asked: int, values: dict[int, bytes]) -> int:
        transaction = self.transaction
        assert transaction is not None
        answer = values.get(0x91, b"")
        if self.data.issuer_auth == "cdol2" and any(answer):
            right = self.data.keys.arpc_is_right(self.memory.atc, transaction.arqc, answer)
            transaction.issuer_answer = "right" if right else "wrong"
        if self.memory.blocked or self.data.second_ac == "aac":
            return AAC
        if transaction.issuer_answer == "wrong":
            return AAC
        return asked

    def _completed(self, response_code: bytes) -> None:
        memory, transaction = self.memory, self.transaction
        assert transaction is not None
        memory.issuer_auth_failed_last = transaction.issuer_answer == "wrong"
        if response_code in (b"Y3", b"Z3"):  # unable to go online (Book 4, A6)
            return
        memory.online_not_completed = False
        if transaction.scripts == 0:
            memory.scripts_seen, memory.script_failed = 0, False
        if transaction.issuer_answer != "wrong":
            memory.last_online_atc = memory.atc
            memory.new_card = False

    def _covered(self, values: dict[int, bytes], results: bytes) -> bytes:
        terminal = (0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37)
        atc = self.memory.atc.to_bytes(2, "big")
        return b"".join(values[tag] for tag in terminal) + self.data.aip + atc + results

    def _issuer_application_data(self) -> bytes:
        """9F10 with the Card Verification Results (docs/deck.md)."""
        memory, transaction = self.memory, self.transaction
        assert transaction is not None and transaction.first is not None
        second = 0b10 if transaction.second is None else transaction.second >> 6
        byte2 = second << 6 | transaction.first >> 6 << 4
        byte2 |= (transaction.issuer_answer == "wrong") << 3
        byte2 |= self._pin_done << 2 | self._pin_failed << 1
        byte3 = transaction.last_not_completed << 7 | (memory.tries_left == 0) << 6
        byte3 |= memory.new_card << 4 | memory.issuer_auth_failed_last << 3
        byte4 = min(memory.scripts_seen, 15) << 4 | memory.script_failed << 3
        return bytes([7, 1, 1, 3, byte2, byte3, byte4, 1])

    def _plain(self, given: int, cryptogram: bytes, issuer_data: bytes) -> bytes:
        atc = self.memory.atc.to_bytes(2, "big")
        if self.data.gpo_format == 80:
            return tlv(0x80, bytes([given]), atc, cryptogram, issuer_data)
        return tlv(
            0x77,
            tlv(0x9F27, bytes([given])),
            tlv(0x9F36, atc),
            tlv(0x9F26, cryptogram),
            tlv(0x9F10, issuer_data),
        )

    def _combined(
        self, given: int, cryptogram: bytes, issuer_data: bytes, signed: bytes, number: bytes
    ) -> bytes:
        """Book 2, 6.6.1: the cryptogram travels inside the signature."""
        key, transaction = self.data.icc_key, self.transaction
        assert key is not None and transaction is not None
        before = tlv(0x9F27, bytes([given])) + tlv(0x9F36, self.memory.atc.to_bytes(2, "big"))
        after = tlv(0x9F10, issuer_data)
        digest = hashlib.sha1(transaction.pdol_data + signed + before + after).digest()
        dynamic = b"\x08" + self._random(8) + bytes([given]) + cryptogram + digest
        signature = dynamic_signature(key, dynamic, number)
        if self.data.oda_fault == "cda_signature":
            signature = _spoiled(signature)
        return tlv(0x77, before, tlv(0x9F4B, signature), after)


def _pin_block(pin: str) -> bytes:
    return bytes.fromhex(f"2{len(pin):X}{pin:F<14}")


def _is_pin_block(block: bytes) -> bool:
    text = block.hex().upper()
    length = block[0] & 0x0F
    digits, filler = text[2 : 2 + length], text[2 + length :]
    return block[0] >> 4 == 2 and 4 <= length <= 12 and digits.isdecimal() and set(filler) <= {"F"}


def _decipher(key: RsaKey, data: bytes, challenge: bytes) -> bytes | None:
    """The PIN block inside, None if the recovered data is not ours (Book 2, 7.2)."""
    if int.from_bytes(data, "big") >= key.n:
        return None
    plain = key.private(data)
    if plain[0] != 0x7F or plain[9:17] != challenge:
        return None
    return plain[1:9]


def _spoiled(signature: bytes) -> bytes:
    """Another number below the modulus: the leading byte stays."""
    return signature[:-1] + bytes([signature[-1] ^ 1])
