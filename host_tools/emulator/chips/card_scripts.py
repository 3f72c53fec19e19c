"""Issuer script commands of a virtual card (EMV 4.4 Book 3, 6.5.1 to 6.5.3 and 6.5.10).

Each carries a MAC under a session key bound to the ARQC of this payment; a
wrong MAC changes nothing and is remembered in the CVR.
"""

from __future__ import annotations

from host_tools.emulator.chips.card_app import Application
from host_tools.emulator.chips.card_data import ARQC, LIMITS, OK

PIN_CHANGE = 0x24
APPLICATION_BLOCK = 0x1E
APPLICATION_UNBLOCK = 0x18
CARD_BLOCK = 0x16
PUT_DATA = 0xDA
SCRIPT_INS = (PIN_CHANGE, APPLICATION_BLOCK, APPLICATION_UNBLOCK, CARD_BLOCK, PUT_DATA)

MAC_WRONG = 0x6988
MAC_MISSING = 0x6987


def run_script(application: Application, header: bytes, data: bytes) -> tuple[int, bool]:
    """Carry out one script command. ``header`` is CLA INS P1 P2.

    Returns (status word, whether the whole card is to be blocked).
    """
    transaction, memory = application.transaction, application.memory
    if transaction is None or transaction.first != ARQC:
        return 0x6985, False
    if header[0] & 0x04 == 0:
        return 0x6882, False  # without secure messaging
    count = transaction.scripts
    if count == 0:
        memory.scripts_seen, memory.script_failed = 0, False
    transaction.scripts += 1
    memory.scripts_seen = min(memory.scripts_seen + 1, 15)
    status, block_card = _checked(application, header, data, count)
    memory.script_failed = memory.script_failed or status != OK
    return status, block_card


def _checked(application: Application, header: bytes, data: bytes, count: int) -> tuple[int, bool]:
    transaction, memory, keys = application.transaction, application.memory, application.data.keys
    assert transaction is not None
    if len(data) < 8:
        return MAC_MISSING, False
    whole = header + bytes([len(data)])
    if not keys.script_mac_is_right(memory.atc, transaction.arqc, count, whole, data):
        return MAC_WRONG, False
    ins, p1, p2, content = header[1], header[2], header[3], data[:-8]
    if ins == PUT_DATA:
        return _put_data(application, p1 << 8 | p2, content), False
    if ins == PIN_CHANGE and (p1, p2) == (0, 2):
        if len(content) != 8:
            return 0x6A80, False
        return _change_pin(application, keys.script_plain(transaction.arqc, count, content)), False
    if p1 or p2:
        return 0x6A86, False
    if content:
        return 0x6700, False
    if ins == PIN_CHANGE:
        memory.tries_left = application.data.pin_try_limit
    elif ins == CARD_BLOCK:
        memory.blocked = True
    else:
        memory.blocked = ins == APPLICATION_BLOCK
    return OK, ins == CARD_BLOCK


def _put_data(application: Application, tag: int, content: bytes) -> int:
    if tag not in LIMITS:
        return 0x6A88
    if len(content) != 1:
        return 0x6A80
    application.memory.limits[tag] = content
    return OK


def _change_pin(application: Application, block: bytes) -> int:
    """``block`` is ISO 9564 format 2; the try counter starts anew."""
    digits = block[1:].hex()[: block[0] & 0x0F]
    if block[0] >> 4 != 2 or not 4 <= len(digits) <= 12 or not digits.isdecimal():
        return 0x6A80
    application.memory.pin = digits
    application.memory.tries_left = application.data.pin_try_limit
    return OK
