"""What the journal holds: record kinds, the keys of their bodies, and the rules.

A body is a map of the integer keys below. A key that its kind does not name,
a value of the wrong type or size, and anything that must never be stored
(track data, tag 57, a clear PAN or expiry, PIN blocks: rules of money, 13) are
refused before a byte is written. docs/journal.md is the format's text.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class JournalError(TillError):
    """The record or the step is not allowed, or the journal cannot go on."""

    text_key = "error.journal"


# Kinds. CHECKPOINT is written by the journal itself.
CHECKPOINT = 0
BOOT = 1
CLOCK = 2
SETTING = 3
NOTICE = 4
SIGNED_IN = 5
SIGNED_OUT = 6
INTENT = 7
REQUEST = 8
UNSENT = 9
ANSWER = 10
COMMIT = 11
PRINTED = 12
REVERSAL_SENT = 13
REVERSED = 14
RELEASED = 15
SCRIPT_DONE = 16
BATCH_CLOSED = 17
LOCKOUT = 18
DAMAGE = 19
CONFIRMED = 20
COUNTERS = 21
SERVICED = 22
ENDED = 23
UNCHARGED = 24
RESTORING = 30
RESTORED = 31

# Keys of bodies; a number keeps its meaning in every kind.
K_STAN = 1  # field 11, 1 to 999999
K_BATCH = 2  # 60.2, 1 to 999999
K_TYPE = 3  # "sale", "refund", "signin" ...
K_PROCESSING_CODE = 4  # field 3, n6
K_AMOUNT = 5  # field 4, minor units
K_CURRENCY = 6  # ISO 4217 numeric
K_EXPONENT = 7  # decimals of the currency
K_TIME = 8  # Unix seconds
K_LOCAL_TIME = 9  # YYYYMMDDhhmmss (or YYMMDDhhmmss), as the card and slip saw it
K_ENTRY_MODE = 10  # field 22, n3
K_CSN = 11  # field 23, n3
K_CONDITION = 12  # field 25, n2
K_PIN_PRESENT = 13  # whether fields 26 and 52 were sent
K_MESSAGE_TYPE = 14  # 60.1, n2
K_F60 = 15  # other subfields of 60: {number: digits}
K_PAN_MASKED = 16  # at most first 6 and last 4 digits
K_PAN_TOKEN = 17  # 16 bytes of the vault
K_PAN_SEALED = 18  # PAN and expiry under the batch key
K_EMV = 19  # {tag: value}
K_RESPONSE = 20  # field 39
K_APPROVED = 21
K_RRN = 22  # field 37
K_AUTH_CODE = 23  # field 38
K_HOST_DATE = 24  # field 13, MMDD
K_HOST_TIME = 25  # field 12, hhmmss
K_F44 = 26  # field 44
K_SETTLEMENT_DATE = 27  # field 15, MMDD
K_MAC_STATE = 28  # "ok", "bad" or "missing"
K_REASON = 29  # text, or the reversal's field 39
K_OUTCOME = 30  # OUTCOME_...
K_RECEIPT = 31  # what a reprint prints: {name or number: value}
K_SIGNATURE = 32  # the cardholder signs
K_SCRIPT_RESULTS = 33  # DF31; owed to the host when present
K_COPY = 34  # COPY_...
K_ATTEMPT = 35  # 1 for the first 0400
K_CODE = 36  # the 0410's field 39, a notice's code
K_WHO = 37  # operator
K_KEY_SET = 38
K_VERSION = 39
K_NOTICES = 40
K_OLD = 41
K_NEW = 42
K_SOURCE = 43
K_NAME = 44
K_VALUE = 45
K_FAILURES = 46
K_DETAIL = 47
K_TERMINAL_ID = 48  # field 41 of the request, and of whatever follows it
K_MERCHANT_ID = 49  # field 42
K_SEQUENCE = 50  # of the record whose slip was printed
K_COUNTS = 51  # {C_...: total}
K_REFERENCE = 52  # a register's own name for its payment, printable ASCII
K_DIGEST = 53  # SHA-256 of the register's whole request
K_TEST = 54  # under test keys: no real money; absent otherwise

# Counters of wear and of starts; each is a total that never goes back.
C_PAPER = 1  # millimetres of paper fed
C_CUTS = 2
C_INSERTS = 3  # cards put into the slot
C_TAPS = 4
C_SWIPES = 5
C_BOOTS = 6  # counted by BOOT records
C_ENDS = 7  # of these, lives that said their end: counted by ENDED records
C_BROWN_OUTS = 8  # the supply fell below what the board needs
#: A counter stops here: 1,000 km of paper. It fits a small integer on every port.
MAX_COUNT = 999999999

OUTCOME_APPROVED = "approved"
OUTCOME_DECLINED = "declined"
OUTCOME_REVERSE = "reverse"
#: Of RESTORING alone, beside "approved".
OUTCOME_REVERSED = "reversed"
OUTCOME_UNKNOWN = "unknown"
#: Of UNCHARGED alone, beside "declined" (by the card).
OUTCOME_CANCELLED = "cancelled"

COPY_MERCHANT = "merchant"
COPY_CUSTOMER = "customer"
#: Nothing is printed: a terminal without a printer owes no paper.
COPY_NONE = "none"
COPIES = (COPY_MERCHANT, COPY_CUSTOMER, COPY_NONE)

#: Field 39 of a 0400 (dialect): no answer; a fault after the answer; MAC error.
REASON_NO_ANSWER = "98"
REASON_FAULT = "96"
REASON_MAC = "A0"

#: Longest encoded body, bytes; the checkpoint has a bound of its own.
MAX_BODY = 2048

#: Card data that stays in RAM (rules of money, 13): track data, PAN, expiry,
#: cardholder name, discretionary data, PIN data.
FORBIDDEN_TAGS = (0x56, 0x57, 0x5A, 0x5F20, 0x5F24, 0x99) + (
    0x9F0B,
    0x9F1F,
    0x9F20,
    0x9F61,
    0x9F6B,
    0xDF812A,
    0xDF812B,
)
_FORBIDDEN_NAMES = ("pan", "track", "track1", "track2", "pin", "pin_block", "expiry", "cvv")


class Notice:
    """Something that the merchant or engineer must be told at boot."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail

    def __repr__(self) -> str:
        return "Notice(" + self.code + ": " + self.detail + ")"


class Record:
    """One record as it was read back. ``hash``: the chain's 32 bytes after it."""

    def __init__(
        self,
        sequence: int,
        kind: int,
        body: "dict[int, Any]",
        critical: bool,
        epoch: int,
        hash: bytes,
    ) -> None:
        self.sequence = sequence
        self.kind = kind
        self.body = body
        self.critical = critical
        self.epoch = epoch
        self.hash = hash


# Value rules: (name of rule, least, most). Kept as data so that the table is small.
_STAN = ("int", 1, 999999)
_WORD = ("text", 1, 24)
_LINE = ("text", 0, 200)
_BOOL = ("bool", 0, 0)
_UNIX = ("int", 0, (1 << 40) - 1)
_MONEY = ("int", 0, 999999999999)
_CODE2 = ("text", 2, 2)
_MAPPED = ("map", 0, 64)

_RULES: "dict[int, tuple[str, int, int]]" = {
    K_STAN: _STAN,
    K_BATCH: _STAN,
    K_TYPE: _WORD,
    K_PROCESSING_CODE: ("digits", 6, 6),
    K_AMOUNT: _MONEY,
    K_CURRENCY: ("int", 0, 999),
    K_EXPONENT: ("int", 0, 4),
    K_TIME: _UNIX,
    K_LOCAL_TIME: ("digits", 10, 14),
    K_ENTRY_MODE: ("digits", 3, 3),
    K_CSN: ("digits", 3, 3),
    K_CONDITION: ("digits", 2, 2),
    K_PIN_PRESENT: _BOOL,
    K_MESSAGE_TYPE: ("digits", 2, 2),
    K_F60: ("f60", 0, 16),
    K_PAN_MASKED: ("masked", 8, 19),
    K_PAN_TOKEN: ("bytes", 16, 16),
    K_PAN_SEALED: ("bytes", 1, 128),
    K_EMV: ("emv", 0, 48),
    K_RESPONSE: _CODE2,
    K_APPROVED: _BOOL,
    K_RRN: ("text", 1, 12),
    K_AUTH_CODE: ("text", 1, 6),
    K_HOST_DATE: ("digits", 4, 4),
    K_HOST_TIME: ("digits", 6, 6),
    K_F44: ("text", 0, 25),
    K_SETTLEMENT_DATE: ("digits", 4, 4),
    K_MAC_STATE: _WORD,
    K_REASON: _LINE,
    K_OUTCOME: _WORD,
    K_RECEIPT: ("receipt", 0, 64),
    K_SIGNATURE: _BOOL,
    K_SCRIPT_RESULTS: ("bytes", 1, 128),
    K_COPY: _WORD,
    K_ATTEMPT: ("int", 1, (1 << 31) - 1),
    K_CODE: _WORD,
    K_WHO: ("text", 1, 32),
    K_KEY_SET: ("int", 0, (1 << 31) - 1),
    K_VERSION: ("text", 1, 32),
    K_NOTICES: ("texts", 0, 16),
    K_OLD: ("plain", 0, 0),
    K_NEW: ("plain", 0, 0),
    K_SOURCE: _WORD,
    K_NAME: _WORD,
    K_VALUE: ("plain", 0, 0),
    K_FAILURES: ("int", 0, 1000000),
    K_DETAIL: _LINE,
    K_TERMINAL_ID: ("text", 8, 8),
    K_MERCHANT_ID: ("text", 15, 15),
    K_SEQUENCE: ("int", 1, (1 << 63) - 1),
    K_COUNTS: ("counts", 0, 32),
    K_REFERENCE: ("ascii", 1, 80),
    K_DIGEST: ("bytes", 32, 32),
    K_TEST: _BOOL,
}

#: kind: (critical, keys that must be there, keys that may be)
_KINDS: "dict[int, tuple[bool, tuple[int, ...], tuple[int, ...]]]" = {
    BOOT: (False, (K_VERSION,), (K_NOTICES, K_TIME)),
    CLOCK: (False, (K_OLD, K_NEW, K_SOURCE), ()),
    SETTING: (False, (K_NAME, K_VALUE), (K_WHO,)),
    NOTICE: (False, (K_CODE,), (K_DETAIL, K_STAN, K_TIME)),
    SIGNED_IN: (True, (K_KEY_SET, K_BATCH), (K_TIME, K_STAN)),
    SIGNED_OUT: (True, (), (K_TIME, K_STAN)),
    INTENT: (
        True,
        (K_STAN, K_TYPE),
        (K_BATCH, K_AMOUNT, K_CURRENCY, K_EXPONENT, K_TIME, K_LOCAL_TIME, K_REFERENCE, K_DIGEST),
    ),
    REQUEST: (
        True,
        (K_STAN, K_BATCH, K_TYPE, K_PROCESSING_CODE, K_AMOUNT, K_CURRENCY, K_EXPONENT)
        + (K_LOCAL_TIME, K_ENTRY_MODE, K_CONDITION, K_MESSAGE_TYPE),
        (K_CSN, K_PIN_PRESENT, K_F60, K_PAN_MASKED, K_PAN_TOKEN, K_PAN_SEALED, K_EMV, K_TIME)
        + (K_TERMINAL_ID, K_MERCHANT_ID, K_REFERENCE, K_DIGEST, K_TEST),
    ),
    UNSENT: (True, (K_STAN,), (K_REASON,)),
    ANSWER: (
        True,
        (K_STAN, K_APPROVED, K_MAC_STATE),
        (K_RESPONSE, K_RRN, K_AUTH_CODE, K_HOST_DATE, K_HOST_TIME, K_F44, K_SETTLEMENT_DATE)
        + (K_REASON, K_AMOUNT, K_TIME),
    ),
    COMMIT: (
        True,
        (K_STAN, K_OUTCOME),
        (K_RECEIPT, K_SIGNATURE, K_SCRIPT_RESULTS, K_REASON, K_AMOUNT, K_TIME, K_EMV),
    ),
    PRINTED: (True, (K_COPY,), (K_STAN, K_SEQUENCE, K_TIME)),
    REVERSAL_SENT: (True, (K_STAN, K_ATTEMPT), (K_REASON, K_TIME)),
    REVERSED: (True, (K_STAN,), (K_CODE, K_TIME, K_RECEIPT)),
    RELEASED: (True, (K_STAN, K_WHO), (K_REASON, K_TIME, K_RECEIPT)),
    SCRIPT_DONE: (True, (K_STAN,), (K_CODE, K_TIME)),
    BATCH_CLOSED: (True, (K_BATCH,), (K_TIME,)),
    LOCKOUT: (True, (K_WHO, K_FAILURES), (K_TIME,)),
    DAMAGE: (True, (K_CODE,), (K_DETAIL,)),
    CONFIRMED: (True, (K_WHO,), (K_TIME, K_RECEIPT)),
    COUNTERS: (False, (K_COUNTS,), ()),
    # One line of another terminal's batch, or with a reference one payment of a register;
    # nothing before RESTORED with the same code ends the restore.
    RESTORING: (
        True,
        (K_CODE, K_AMOUNT, K_CURRENCY, K_OUTCOME),
        (K_STAN, K_TYPE, K_BATCH, K_COPY, K_RECEIPT, K_REFERENCE, K_DIGEST),
    ),
    RESTORED: (
        True,
        (K_CODE, K_STAN, K_BATCH, K_SOURCE, K_SEQUENCE),
        (K_WHO, K_TIME, K_DETAIL),
    ),
    SERVICED: (False, (K_WHO, K_COUNTS), (K_TIME,)),
    ENDED: (False, (K_CODE,), ()),
    # A register's payment ended and no request stands: nobody was charged.
    UNCHARGED: (
        False,
        (K_REFERENCE, K_DIGEST, K_AMOUNT, K_CURRENCY, K_OUTCOME, K_REASON),
        (K_STAN, K_BATCH, K_TIME),
    ),
}


def known(kind: int) -> bool:
    """Whether this firmware knows the kind."""
    return kind in _KINDS


def critical(kind: int) -> bool:
    """Whether firmware that does not know the kind must stop trading."""
    return _KINDS[kind][0]


def validate(kind: int, body: "dict[int, Any]") -> None:
    """JournalError, naming kind and key, unless ``body`` is a body of ``kind``."""
    if kind not in _KINDS:
        raise JournalError("record kind " + str(kind) + " is not known")
    _, must, may = _KINDS[kind]
    for key in must:
        if key not in body:
            raise JournalError(_place(kind, key) + " is missing")
    for key in body:
        if key not in must and key not in may:
            raise JournalError(_place(kind, key) + " is not a key of this kind")
        complaint = _complaint(_RULES[key], body[key])
        if complaint:
            raise JournalError(_place(kind, key) + " " + complaint)
    if (K_REFERENCE in body) != (K_DIGEST in body):
        raise JournalError(_place(kind, K_REFERENCE) + " goes with its digest")
    if kind == COMMIT and body[K_OUTCOME] not in (
        OUTCOME_APPROVED,
        OUTCOME_DECLINED,
        OUTCOME_REVERSE,
    ):
        raise JournalError(_place(kind, K_OUTCOME) + " is not an outcome")
    if kind == UNCHARGED and body[K_OUTCOME] not in (OUTCOME_CANCELLED, OUTCOME_DECLINED):
        raise JournalError(_place(kind, K_OUTCOME) + " is not an outcome without a request")
    if kind == RESTORING:
        _check_restoring(body)
    if kind == ANSWER and body[K_MAC_STATE] not in ("ok", "bad", "missing"):
        raise JournalError(_place(kind, K_MAC_STATE) + " is not a MAC state")
    if kind == PRINTED and body[K_COPY] not in COPIES:
        raise JournalError(_place(kind, K_COPY) + " is not a copy")


def _check_restoring(body: "dict[int, Any]") -> None:
    line = K_REFERENCE not in body
    if line and not (K_STAN in body and K_TYPE in body):
        raise JournalError(_place(RESTORING, K_STAN) + " is missing")
    ends = (OUTCOME_APPROVED, OUTCOME_REVERSED) if line else (OUTCOME_UNKNOWN,)
    if body[K_OUTCOME] not in ends + (OUTCOME_APPROVED, OUTCOME_REVERSED):
        raise JournalError(_place(RESTORING, K_OUTCOME) + " is not an outcome")


def _place(kind: int, key: object) -> str:
    return "record kind " + str(kind) + ": key " + str(key)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and value is not True and value is not False


def _digits(value: str) -> bool:
    return all(letter in "0123456789" for letter in value)


def _complaint(rule: "tuple[str, int, int]", value: "Any") -> str:
    """What is wrong with ``value``; empty if nothing is."""
    name, least, most = rule
    if name == "int":
        good = _is_int(value) and least <= value <= most
        return "" if good else "is not an integer of " + str(least) + " to " + str(most)
    if name == "bool":
        return "" if value is True or value is False else "is not a bool"
    if name in ("text", "digits", "masked", "ascii"):
        if not isinstance(value, str) or not least <= len(value) <= most:
            return "is not text of " + str(least) + " to " + str(most) + " characters"
        if name == "digits" and not _digits(value):
            return "is not digits"
        if name == "ascii" and not all([" " <= letter <= "~" for letter in value]):
            return "is not printable ASCII"
        return "" if name != "masked" or is_masked(value) else "is not a truncated PAN"
    if name == "bytes":
        good = isinstance(value, (bytes, bytearray)) and least <= len(value) <= most
        return "" if good else "is not " + str(least) + " to " + str(most) + " bytes"
    if name == "plain":
        good = value is None or _is_int(value) or value is True or value is False
        good = good or (isinstance(value, str) and len(value) <= 64)
        return "" if good else "is not a short plain value"
    if name == "texts":
        if not isinstance(value, list) or len(value) > most:
            return "is not a list of at most " + str(most)
        for text in value:
            if not isinstance(text, str) or len(text) > 100:
                return "is not a list of short texts"
        return ""
    if not isinstance(value, dict) or len(value) > most:
        return "is not a map of at most " + str(most) + " entries"
    return _map_complaint(name, value)


def _map_complaint(name: str, value: "dict[Any, Any]") -> str:
    for key in value:
        item = value[key]
        if name == "f60":
            if not _is_int(key) or not isinstance(item, str) or not _digits(item):
                return "is not a map of subfields"
        elif name == "counts":
            known = _is_int(key) and 0 < key <= 32
            if not known or not _is_int(item) or not 0 <= item <= MAX_COUNT:
                return "is not a map of counters"
        elif name == "emv":
            complaint = _tag_complaint(key)
            if complaint:
                return complaint
            if not isinstance(item, (bytes, bytearray)) or len(item) > 252:
                return "has a value that is not at most 252 bytes"
        else:
            complaint = _receipt_complaint(key, item)
            if complaint:
                return complaint
    return ""


def _tag_complaint(tag: "Any") -> str:
    if not _is_int(tag) or not 0 < tag < 1 << 32:
        return "has a tag that is not a positive integer"
    if tag in FORBIDDEN_TAGS:
        return f"holds tag {tag:X}, which is never journalled"
    first = tag
    while first > 0xFF:
        first >>= 8
    if first & 0x20:  # a template could carry any of them
        return f"holds template {tag:X}, which is never journalled"
    return ""


def _receipt_complaint(key: "Any", item: "Any") -> str:
    if isinstance(key, str):
        if not 0 < len(key) <= 32 or key.lower() in _FORBIDDEN_NAMES:
            return "holds " + key[:32] + ", which is never journalled"
        if "pan" in key.lower().split("_") and not (isinstance(item, str) and is_masked(item)):
            return "holds a PAN that is not truncated"
    elif not _is_int(key):
        return "has an entry whose key is neither text nor integer"
    good = item is None or item is True or item is False or _is_int(item)
    good = good or (isinstance(item, (str, bytes, bytearray)) and len(item) <= 200)
    return "" if good else "has an entry that is not a short plain value"


def is_masked(pan: str) -> bool:
    """At most the first 6 and last 4 digits in clear (PCI DSS 3.4), the rest
    ``*`` or ``X``, at least one of them hidden."""
    head = 0
    while head < len(pan) and pan[head] in "0123456789":
        head += 1
    tail = 0
    while tail < len(pan) - head and pan[len(pan) - 1 - tail] in "0123456789":
        tail += 1
    if head > 6 or tail > 4 or head + tail >= len(pan):
        return False
    return all(letter in "*Xx " for letter in pan[head : len(pan) - tail])
