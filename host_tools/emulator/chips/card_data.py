"""What an application of a virtual card holds: from the factory, in memory, in one payment."""

from __future__ import annotations

from dataclasses import dataclass, field

from host_tools.emulator.chips.card_keys import CardKeys
from host_tools.emulator.chips.card_rsa import RsaKey
from host_tools.emulator.chips.card_tlv import Dol

AAC, TC, ARQC = 0x00, 0x40, 0x80
OK = 0x9000
CONDITIONS = 0x6985
WRONG_LENGTH = 0x6700
WRONG_DATA = 0x6A80
WRONG_P1P2 = 0x6A86
NOT_SUPPORTED = 0x6A81
NO_RECORD = 0x6A83
NO_FILE = 0x6A82
NO_DATA = 0x6A88

Answer = tuple[bytes, int]

#: Limits that PUT DATA may write, with the value from the factory.
LIMITS = {0x9F14: b"\x02", 0x9F23: b"\x05", 0x9F58: b"\x02", 0x9F59: b"\x05"}
LOG_FORMAT = "9A039F21039F02069F1A025F2A029C019F3602"


@dataclass
class Personalisation:
    """What the factory writes into an application; never changes afterwards."""

    aid: bytes
    fci: bytes
    directory_entry: bytes
    pdol: Dol
    aip: bytes
    afl: bytes
    records: dict[tuple[int, int], bytes]
    cdol1: Dol
    cdol2: Dol
    ddol: Dol
    keys: CardKeys
    icc_key: RsaKey | None
    pin_key: RsaKey | None
    cda: bool
    gpo_format: int
    issuer_auth: str
    first_ac: str
    second_ac: str
    oda_fault: str | None
    pin: str
    pin_try_limit: int
    pin_tries_left: int
    atc: int
    blocked: bool


@dataclass
class Memory:
    """What survives power-off."""

    atc: int
    last_online_atc: int
    tries_left: int
    pin: str
    blocked: bool
    online_not_completed: bool = False
    issuer_auth_failed_last: bool = False
    script_failed: bool = False
    scripts_seen: int = 0
    new_card: bool = True
    limits: dict[int, bytes] = field(default_factory=lambda: dict(LIMITS))


@dataclass
class Transaction:
    """From GET PROCESSING OPTIONS to the last cryptogram; gone at SELECT."""

    pdol_data: bytes
    last_not_completed: bool
    cdol1_data: bytes = b""
    first: int | None = None
    second: int | None = None
    arqc: bytes = b""
    issuer_answer: str = "none"  # "none", "right", "wrong"
    scripts: int = 0
