"""Cardholder verification (EMV 4.4 Book 3, 10.5; Book 4, 6.3.4)."""

from firmware.payment.emv import bits, oda
from firmware.payment.emv.certificates import OdaError
from firmware.payment.emv.restrictions import CASH, CASHBACK
from firmware.payment.emv.session import Ended
from firmware.payment.emv.steps import EnterPin, VerifyPin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.pin_entry import PinHandle
    from firmware.payment.emv.session import Run, Session

# Method, low six bits of byte 1 of a rule (Annex C3).
FAIL = 0x00
PLAINTEXT_PIN = 0x01
ONLINE_PIN = 0x02
PLAINTEXT_PIN_SIGNATURE = 0x03
ENCIPHERED_PIN = 0x04
ENCIPHERED_PIN_SIGNATURE = 0x05
SIGNATURE = 0x1E
NO_CVM = 0x1F
#: Method: bits of 9F33 byte 2 that the terminal needs.
_NEEDS = {
    FAIL: 0,
    PLAINTEXT_PIN: 0x80,
    ONLINE_PIN: 0x40,
    PLAINTEXT_PIN_SIGNATURE: 0xA0,
    ENCIPHERED_PIN: 0x10,
    ENCIPHERED_PIN_SIGNATURE: 0x30,
    SIGNATURE: 0x20,
    NO_CVM: 0x08,
}
_TRY_NEXT = 0x40

# Byte 3 of CVM results (Book 4, Annex A4).
UNKNOWN = 0
FAILED = 1
SUCCESSFUL = 2

#: VERIFY at most so often, whatever the card says of its counter.
MAX_PIN_TRIES = 15


def verify(s: "Session") -> "Run[None]":
    """Work through the CVM list; sets CVM results, TVR byte 3, TSI."""
    if not s.aip(bits.AIP_CVM):
        s.trace.rule("B3 10.5 a", "the card does not support cardholder verification")
        return
    cvm_list = s.card.get(0x8E)
    if cvm_list is None:
        s.set_tvr(bits.ICC_DATA_MISSING, "B3 7.5 f")
        s.trace.rule("B3 10.5 b", "no CVM list")
        return
    if len(cvm_list) < 8 or len(cvm_list) % 2:
        raise Ended("terminated", "card_data", "B3 10.5 c", "CVM list of odd or short length")
    if len(cvm_list) == 8:
        s.trace.rule("B3 10.5 b", "CVM list without rules")
        return
    verifier = _Verifier(s)
    yield from verifier.run(cvm_list)
    s.set_tsi(bits.CVM_PERFORMED, "B3 10.5 d")


class _Verifier:
    """One pass over a CVM list."""

    def __init__(self, s: "Session") -> None:
        self.s = s
        self.pin_over = False  # bypassed, or the pad failed: ask for no PIN again

    def run(self, cvm_list: bytes) -> "Run[None]":
        s = self.s
        x = int.from_bytes(cvm_list[0:4], "big")
        y = int.from_bytes(cvm_list[4:8], "big")
        s.cvm_results = bytes((0x3F, 0, FAILED))
        for at in range(8, len(cvm_list), 2):
            code, condition = cvm_list[at], cvm_list[at + 1]
            if not self._condition(code, condition, x, y):
                s.trace.rule("B3 10.5 e", "condition not met", code=code, condition=condition)
                continue
            performed, result = yield from self._method(code & 0x3F)
            s.trace.rule("B3 10.5 f", "rule applied", code=code, condition=condition, result=result)
            if performed:
                s.cvm_results = bytes((code, condition, result))
            if result != FAILED:
                return
            if not code & _TRY_NEXT:
                s.trace.rule("B3 10.5 g", "the rule ends the list")
                break
        s.set_tvr(bits.CVM_FAILED, "B3 10.5 h")

    def _supported(self, method: int) -> bool:
        needs = _NEEDS[method]
        return self.s.config.capabilities[1] & needs == needs

    def _no_pin_of_kind(self, method: int) -> bool:
        """Whether ``method`` wants a PIN that the terminal cannot take at all.

        A terminal that verifies offline PINs in one form, plaintext or
        enciphered, supports offline PIN: lacking just the other form, or the
        signature that goes with it, says nothing of the PIN pad (10.5).
        """
        held = self.s.config.capabilities[1]
        if method == ONLINE_PIN:
            return not held & _NEEDS[ONLINE_PIN]
        if method in (SIGNATURE, NO_CVM):
            return False
        return not held & (_NEEDS[PLAINTEXT_PIN] | _NEEDS[ENCIPHERED_PIN])

    def _condition(self, code: int, condition: int, x: int, y: int) -> bool:
        """Annex C3: whether the rule's condition is met; unknown ones never are."""
        s = self.s
        kind = s.transaction.kind
        cash = kind in CASH
        if condition == 0:
            return True
        if condition == 1:
            return cash and s.config.unattended
        if condition == 2:
            return not cash and not self._cashback()
        if condition == 3:
            method = code & 0x3F
            return method in _NEEDS and self._supported(method)
        if condition == 4:
            return cash and not s.config.unattended
        if condition == 5:
            return self._cashback()
        if 6 <= condition <= 9:
            if s.card.get(0x9F42) != s.value(0x5F2A):
                return False
            amount = s.transaction.amount
            limit = x if condition in (6, 7) else y
            return amount < limit if condition in (6, 8) else amount > limit
        return False

    def _cashback(self) -> bool:
        transaction = self.s.transaction
        return transaction.kind == CASHBACK or (
            transaction.kind == 0x00 and transaction.other_amount > 0
        )

    def _method(self, method: int) -> "Run[tuple[bool, int]]":
        """(whether the method was performed, result)."""
        s = self.s
        if method not in _NEEDS:
            s.set_tvr(bits.CVM_UNRECOGNISED, "B3 10.5 i")
            return False, FAILED
        if method == FAIL:
            return True, FAILED
        if not self._supported(method):
            s.trace.rule("B3 10.5 j", "method not supported", method=method)
            if self._no_pin_of_kind(method):
                s.set_tvr(bits.PIN_PAD_MISSING, "B3 10.5.1 a")
            return False, FAILED
        if method == NO_CVM:
            return True, SUCCESSFUL
        if method == SIGNATURE:
            s.signature = True
            return True, UNKNOWN
        if method == ONLINE_PIN:
            result = yield from self._online_pin()
            return True, result
        enciphered = method in (ENCIPHERED_PIN, ENCIPHERED_PIN_SIGNATURE)
        result = yield from self._offline_pin(enciphered)
        if result == SUCCESSFUL and method in (PLAINTEXT_PIN_SIGNATURE, ENCIPHERED_PIN_SIGNATURE):
            s.signature = True
            result = UNKNOWN
        return True, result

    def _ask(
        self, online: bool, tries: "int | None", retry: bool
    ) -> "Run[tuple[str, PinHandle | None]]":
        """Prompt for a PIN, once bypassed never again (Book 4, 6.3.4.3)."""
        s = self.s
        if self.pin_over:
            return "over", None
        word, handle = yield EnterPin(online, tries, tries == 1, retry, s.config.pin_bypass)
        s.trace.rule("B3 10.5.1 b", "PIN entry", answer=word, online=online)
        if word == "entered":
            return word, handle
        self.pin_over = True
        if word == "bypassed" and s.config.pin_bypass:
            s.set_tvr(bits.PIN_NOT_ENTERED, "B3 10.5.1 c")
        elif word in ("cancelled", "bypassed"):
            raise Ended("cancelled", "pin_cancelled", "B4 6.3.4 a")
        else:
            s.set_tvr(bits.PIN_PAD_MISSING, "B3 10.5.1 a")
        return word, None

    def _online_pin(self) -> "Run[int]":
        word, handle = yield from self._ask(True, None, False)
        if word != "entered":
            return FAILED
        self.s.online_pin = handle
        self.s.set_tvr(bits.ONLINE_PIN, "B3 10.5.2 a")
        return UNKNOWN

    def _offline_pin(self, enciphered: bool) -> "Run[int]":
        s = self.s
        if self.pin_over:
            return FAILED
        key: "tuple[bytes, int] | None" = None
        if enciphered:
            try:
                public = oda.pin_key(s)
            except OdaError as error:
                s.trace.rule(error.clause, "no PIN encipherment key: " + error.reason)
                return FAILED
            key = (public.modulus, public.exponent)
        tries = yield from self._tries()
        retry = False
        for _ in range(MAX_PIN_TRIES):
            if tries == 0:
                s.set_tvr(bits.PIN_TRY_LIMIT, "B3 10.5.1 d")
                return FAILED
            word, handle = yield from self._ask(False, tries, retry)
            if word != "entered":
                return FAILED
            sw = yield VerifyPin(handle, key)
            s.trace.add("verify", enciphered=enciphered, sw=f"{sw:04X}")
            if sw == 0x9000:
                return SUCCESSFUL
            if sw & 0xFFF0 == 0x63C0:
                left = sw & 0x0F
                # A counter that does not fall would never end: it is taken to fall.
                tries = left if tries is None or left < tries else tries - 1
                retry = True
            elif sw in (0x6983, 0x6984):
                tries = 0
            else:
                s.trace.rule("B3 10.5.1 e", "VERIFY failed", sw=f"{sw:04X}")
                return FAILED
        s.set_tvr(bits.PIN_TRY_LIMIT, "B3 10.5.1 d")
        return FAILED

    def _tries(self) -> "Run[int | None]":
        """PIN try counter by GET DATA; None when the card does not give it."""
        data, sw = yield from self.s.send(b"\x80\xca\x9f\x17\x00")
        if sw == 0x9000 and len(data) == 4 and data[:3] == b"\x9f\x17\x01":
            self.s.card[0x9F17] = data[3:]
            return data[3]
        self.s.trace.rule("B3 10.5.1 f", "no PIN try counter", sw=f"{sw:04X}")
        return None
