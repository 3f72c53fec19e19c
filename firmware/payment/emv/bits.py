"""The bits of TVR and TSI (EMV 4.4 Book 3, Annex C5 and C6).

A bit is ``byte << 8 | mask``, byte 1 first, as in the Books' tables.
"""

ODA_NOT_PERFORMED = 0x180
SDA_FAILED = 0x140
ICC_DATA_MISSING = 0x120
ON_EXCEPTION_FILE = 0x110
DDA_FAILED = 0x108
CDA_FAILED = 0x104
SDA_SELECTED = 0x102
VERSIONS_DIFFER = 0x280
EXPIRED = 0x240
NOT_YET_EFFECTIVE = 0x220
SERVICE_NOT_ALLOWED = 0x210
NEW_CARD = 0x208
CVM_FAILED = 0x380
CVM_UNRECOGNISED = 0x340
PIN_TRY_LIMIT = 0x320
PIN_PAD_MISSING = 0x310
PIN_NOT_ENTERED = 0x308
ONLINE_PIN = 0x304
FLOOR_LIMIT = 0x480
LOWER_OFFLINE_LIMIT = 0x440
UPPER_OFFLINE_LIMIT = 0x420
RANDOMLY_SELECTED = 0x410
FORCED_ONLINE = 0x408
DEFAULT_TDOL = 0x580
ISSUER_AUTH_FAILED = 0x540
SCRIPT_FAILED_BEFORE = 0x520
SCRIPT_FAILED_AFTER = 0x510

TVR_NAMES = {
    ODA_NOT_PERFORMED: "Offline data authentication was not performed",
    SDA_FAILED: "SDA failed",
    ICC_DATA_MISSING: "ICC data missing",
    ON_EXCEPTION_FILE: "Card appears on terminal exception file",
    DDA_FAILED: "DDA failed",
    CDA_FAILED: "CDA failed",
    SDA_SELECTED: "SDA selected",
    VERSIONS_DIFFER: "ICC and terminal have different application versions",
    EXPIRED: "Expired application",
    NOT_YET_EFFECTIVE: "Application not yet effective",
    SERVICE_NOT_ALLOWED: "Requested service not allowed for card product",
    NEW_CARD: "New card",
    CVM_FAILED: "Cardholder verification was not successful",
    CVM_UNRECOGNISED: "Unrecognised CVM",
    PIN_TRY_LIMIT: "PIN Try Limit exceeded",
    PIN_PAD_MISSING: "PIN entry required and PIN pad not present or not working",
    PIN_NOT_ENTERED: "PIN entry required, PIN pad present, but PIN was not entered",
    ONLINE_PIN: "Online PIN entered",
    FLOOR_LIMIT: "Transaction exceeds floor limit",
    LOWER_OFFLINE_LIMIT: "Lower consecutive offline limit exceeded",
    UPPER_OFFLINE_LIMIT: "Upper consecutive offline limit exceeded",
    RANDOMLY_SELECTED: "Transaction selected randomly for online processing",
    FORCED_ONLINE: "Merchant forced transaction online",
    DEFAULT_TDOL: "Default TDOL used",
    ISSUER_AUTH_FAILED: "Issuer authentication failed",
    SCRIPT_FAILED_BEFORE: "Script processing failed before final GENERATE AC",
    SCRIPT_FAILED_AFTER: "Script processing failed after final GENERATE AC",
}

ODA_PERFORMED = 0x180
CVM_PERFORMED = 0x140
CARD_RISK_PERFORMED = 0x120
ISSUER_AUTH_PERFORMED = 0x110
TERMINAL_RISK_PERFORMED = 0x108
SCRIPTS_PERFORMED = 0x104

TSI_NAMES = {
    ODA_PERFORMED: "Offline data authentication was performed",
    CVM_PERFORMED: "Cardholder verification was performed",
    CARD_RISK_PERFORMED: "Card risk management was performed",
    ISSUER_AUTH_PERFORMED: "Issuer authentication was performed",
    TERMINAL_RISK_PERFORMED: "Terminal risk management was performed",
    SCRIPTS_PERFORMED: "Script processing was performed",
}

# Application Interchange Profile, byte 1 (Book 3, Annex C1).
AIP_SDA = 0x40
AIP_DDA = 0x20
AIP_CVM = 0x10
AIP_TERMINAL_RISK = 0x08
AIP_ISSUER_AUTH = 0x04
AIP_CDA = 0x01


def on(word: "bytes | bytearray", bit: int) -> bool:
    """Whether ``bit`` stands in ``word``."""
    return bool(word[(bit >> 8) - 1] & (bit & 0xFF))


def names(word: "bytes | bytearray", table: "dict[int, str]") -> "list[str]":
    """What the set bits of ``word`` mean, in the order of the Books."""
    return [
        table[bit] for bit in sorted(table, key=lambda b: (b >> 8, -(b & 0xFF))) if on(word, bit)
    ]
