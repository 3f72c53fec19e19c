"""The state of one transaction that the phases share."""

from firmware.errors import TillError
from firmware.payment.emv import bits, dol
from firmware.payment.emv.steps import Outcome, SendApdu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeVar

    from firmware.hal.pin_entry import PinHandle
    from firmware.payment.emv.certificates import PublicKey
    from firmware.payment.emv.config import AidConfig, TerminalConfig, Transaction
    from firmware.payment.emv.steps import Step
    from firmware.payment.emv.trace import Trace

    T = TypeVar("T")
    Run = Generator[Step, Any, T]

#: Commands in one transaction; no card within the other bounds comes near.
MAX_COMMANDS = 400

#: Objects of use to nobody after the kernel: certificates, keys, lists, plumbing.
_INTERNAL = frozenset(
    (0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x92, 0x93, 0x94, 0x97, 0x9F2D, 0x9F2E, 0x9F2F, 0x9F32)
    + (0x9F38, 0x9F46, 0x9F47, 0x9F48, 0x9F49, 0x9F4A, 0x9F4B, 0x91, 0x81, 0x9F04, 0x98)
)


class Ended(TillError):
    """The transaction ends here with this kind and reason (steps.Outcome)."""

    def __init__(self, kind: str, reason: str, clause: str, text: str = "") -> None:
        super().__init__(kind + ": " + reason)
        self.kind = kind
        self.reason = reason
        self.clause = clause
        self.text = text


class Session:
    """Data objects, TVR, TSI and what one phase leaves to a later one."""

    def __init__(
        self,
        config: "TerminalConfig",
        transaction: "Transaction",
        random: "Callable[[int], bytes]",
        trace: "Trace",
    ) -> None:
        self.config = config
        self.transaction = transaction
        self.random = random
        self.trace = trace
        self.commands = 0
        self.signature = False
        self.online = False
        self.host_approved = False
        self.script_results = b""
        self.online_pin: "PinHandle | None" = None
        self.aid: "AidConfig | None" = None
        self.terminal: "dict[int, bytes]" = {}
        self.forget_application()

    def forget_application(self) -> None:
        """Begin anew with no application (Book 3, 10.1: TVR and TSI are zero)."""
        self.aid = None
        self.name = ""  # the application's, as the cardholder reads it (Book 1, 12.4)
        self.card: "dict[int, bytes]" = {}
        self.fci: "dict[int, bytes]" = {}
        self.tvr = bytearray(5)
        self.tsi = bytearray(2)
        self.cvm_results = b"\x3f\x00\x00"
        self.oda = ""  # "", "SDA", "DDA" or "CDA": the method chosen
        self.oda_data = b""  # static data to be authenticated, records only
        self.oda_data_valid = True
        self.issuer_key: "PublicKey | None" = None
        self.icc_key: "PublicKey | None" = None
        self.pdol_data = b""
        self.cdol1_data = b""
        self.cdol2_data = b""
        self.cid: "int | None" = None
        self.cryptogram = b""
        self.terminal = {}
        for source in (self.config.extra, self.config.objects, self.transaction.objects):
            self.terminal.update(source)
        for tag in (0x95, 0x9B, 0x9F34):
            self.terminal.pop(tag, None)

    def value(self, tag: int) -> "bytes | None":
        """A data object: the terminal's own first, so that no card replaces it."""
        if tag == 0x95:
            return bytes(self.tvr)
        if tag == 0x9B:
            return bytes(self.tsi)
        if tag == 0x9F34:
            return self.cvm_results
        known = self.terminal.get(tag)
        if known is None:
            known = self.card.get(tag)
        if known is None:
            known = self.fci.get(tag)
        return known

    def build(self, data_object_list: bytes) -> bytes:
        """The data that a DOL asks for."""
        return dol.build(data_object_list, self.value)

    def aip(self, bit: int) -> bool:
        """Whether a bit of AIP byte 1 is set."""
        return bool(self.card[0x82][0] & bit)

    def set_tvr(self, bit: int, clause: str) -> None:
        """The one place where a TVR bit is set."""
        self._set("TVR", self.tvr, bit, bits.TVR_NAMES[bit], clause)

    def set_tsi(self, bit: int, clause: str) -> None:
        """The one place where a TSI bit is set."""
        self._set("TSI", self.tsi, bit, bits.TSI_NAMES[bit], clause)

    def _set(self, word: str, target: bytearray, bit: int, name: str, clause: str) -> None:
        if not bits.on(target, bit):
            target[(bit >> 8) - 1] |= bit & 0xFF
            self.trace.bit(clause, word, bit, name)

    def stage(self, name: str) -> None:
        """Note TVR and TSI after a phase."""
        self.trace.add("stage", name=name, tvr=self.tvr.hex().upper(), tsi=self.tsi.hex().upper())

    def send(self, command: bytes) -> "Run[tuple[bytes, int]]":
        """Exchange one APDU: ``data, sw = yield from s.send(command)``."""
        self.commands += 1
        if self.commands > MAX_COMMANDS:
            raise Ended("terminated", "too_many_commands", "house a")
        data, sw, elapsed_us = yield SendApdu(command)
        self.trace.apdu(command, data, sw, elapsed_us)
        return data, sw

    def tags(self) -> "dict[int, bytes]":
        """Data objects for the issuer and the receipt."""
        found: "dict[int, bytes]" = {}
        for source in (self.fci, self.card, self.terminal):
            for tag in source:
                if tag not in _INTERNAL:
                    found[tag] = source[tag]
        found[0x95] = bytes(self.tvr)
        found[0x9B] = bytes(self.tsi)
        found[0x9F34] = self.cvm_results
        if self.script_results:
            found[0xDF31] = self.script_results
        return found

    def outcome(self, kind: str, reason: str) -> Outcome:
        """The final step, filled from what is known now."""
        end = Outcome(kind, reason)
        end.tvr = bytes(self.tvr)
        end.tsi = bytes(self.tsi)
        end.cvm_results = self.cvm_results
        end.aid = self.fci.get(0x84, b"")
        end.name = self.name
        end.cid = self.cid
        end.cryptogram = self.cryptogram
        end.tags = self.tags()
        end.signature = self.signature and kind == "approved"
        end.script_results = self.script_results
        end.online = self.online
        end.host_approved_card_declined = self.host_approved and kind != "approved"
        self.trace.add("outcome", outcome=kind, reason=reason, tvr=end.tvr.hex().upper())
        return end
