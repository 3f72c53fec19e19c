"""The requests of a UnionPay terminal, built from plain values, without MAC.

Amounts are integers of the currency's minor unit. Every builder validates
what it is given and raises Iso8583Error naming the field: a request that
leaves here can be encoded.
"""

from firmware.payment.host.iso8583 import Iso8583Error, Message
from firmware.payment.host.subfields import join_55, join_60, join_61

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Objects = Sequence[tuple[int, bytes]]

#: Order of a sale's field 55; a tag that the caller lacks is left out.
SALE_55 = (
    0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A,
    0x82, 0x9F1A, 0x9F03, 0x9F33, 0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63,
)  # fmt: skip
#: Field 55 of a chip sale's reversal; DF31 holds issuer script results.
REVERSAL_55 = (0x95, 0x9F1E, 0x9F10, 0x9F36, 0xDF31)
#: Field 55 of a script result.
SCRIPT_55 = (
    0x9F33, 0x95, 0x9F37, 0x9F1E, 0x9F10, 0x9F26, 0x9F36, 0x82, 0xDF31, 0x9F1A, 0x9A,
)  # fmt: skip

TYPE_SALE = "22"
PROCESSING_SALE = "000000"
CONDITION_SALE = "00"
#: Longest PIN that the terminal takes.
PIN_CAPABILITY = "12"
#: 60.4: the terminal reads chips.
READS_CHIP = "5"
#: Field 22, first two digits.
ENTRY_CONTACT = "05"


def number(value: int, digits: int, field: int) -> str:
    """``value`` in exactly ``digits`` digits."""
    text = str(value)
    if value < 0 or len(text) > digits:
        raise Iso8583Error(text + " does not fit " + str(digits) + " digits", field)
    return "0" * (digits - len(text)) + text


def _digits(text: str, least: int, most: int, field: int) -> str:
    good = least <= len(text) <= most
    for char in text:
        good = good and "0" <= char <= "9"
    if not good:
        raise Iso8583Error("not " + str(least) + " to " + str(most) + " digits", field)
    return text


def _stan(value: int, field: int = 11) -> str:
    if not 1 <= value <= 999999:
        raise Iso8583Error("STAN " + str(value) + " is not 1 to 999999", field)
    return number(value, 6, field)


def _terminal(fields: "dict[int, str | bytes]", terminal_id: str, merchant_id: str) -> None:
    if len(terminal_id) != 8:
        raise Iso8583Error("not 8 characters", 41)
    if len(merchant_id) != 15:
        raise Iso8583Error("not 15 characters", 42)
    fields[41] = terminal_id
    fields[42] = merchant_id


def _money(fields: "dict[int, str | bytes]", amount: int, currency: int) -> None:
    if amount <= 0:
        raise Iso8583Error("amount " + str(amount) + " is not positive", 4)
    fields[4] = number(amount, 12, 4)
    fields[49] = number(currency, 3, 49)


def _card(fields: "dict[int, str | bytes]", pan: str, expiry: str, csn: "int | None") -> None:
    if pan:
        fields[2] = _digits(pan, 12, 19, 2)
    if expiry:
        fields[14] = _digits(expiry, 4, 4, 14)
        if not 1 <= int(expiry[2:]) <= 12:
            raise Iso8583Error("month of expiry is not 01 to 12", 14)
    if csn is not None:
        if csn > 99:
            raise Iso8583Error("card sequence number over 99", 23)
        fields[23] = number(csn, 3, 23)


def _entry(text: str) -> str:
    return _digits(text, 3, 3, 22)


def pick(order: "Sequence[int]", values: "dict[int, bytes]") -> "list[tuple[int, bytes]]":
    """The objects of ``order`` that ``values`` has, in that order."""
    return [(tag, values[tag]) for tag in order if tag in values]


def sign_in(
    stan: int, batch: int, terminal_id: str, merchant_id: str, network_code: str, operator: str
) -> Message:
    """0800. ``network_code`` (60.3): "001" single-length keys, "003"
    double-length, "004" with a track key. ``operator``: 3 characters (63.1)."""
    if network_code not in ("001", "003", "004"):
        raise Iso8583Error("60.3 is not 001, 003 or 004", 60)
    if len(operator) != 3:
        raise Iso8583Error("63.1 is not 3 characters", 63)
    message = _management("0800", stan, batch, terminal_id, merchant_id, network_code)
    message.fields[63] = operator
    return message


def sign_out(stan: int, batch: int, terminal_id: str, merchant_id: str) -> Message:
    """0820, 60.3 002."""
    return _management("0820", stan, batch, terminal_id, merchant_id, "002")


def echo(stan: int, batch: int, terminal_id: str, merchant_id: str) -> Message:
    """0820, 60.3 301: does the host answer?"""
    return _management("0820", stan, batch, terminal_id, merchant_id, "301")


def _management(
    mti: str, stan: int, batch: int, terminal_id: str, merchant_id: str, network_code: str
) -> Message:
    fields: "dict[int, str | bytes]" = {
        11: _stan(stan),
        60: join_60({"60.1": "00", "60.2": number(batch, 6, 60), "60.3": network_code}),
    }
    _terminal(fields, terminal_id, merchant_id)
    return Message(mti, fields)


def sale(
    *,
    stan: int,
    batch: int,
    amount: int,
    currency: int,
    terminal_id: str,
    merchant_id: str,
    pan: str,
    emv: "dict[int, bytes]",
    expiry: str = "",
    csn: "int | None" = None,
    track2: str = "",
    pin_block: "bytes | None" = None,
    pin_key_algorithm: str = "tdes2",
    entry: str = ENTRY_CONTACT,
    partial: bool = False,
) -> Message:
    """0200 of a chip sale. ``emv``: values by tag; field 55 takes those that
    UnionPay wants, in its order. ``pin_block``: enciphered ISO 9564 format 0,
    8 bytes, or None. ``partial``: 60.6 offers approval for less."""
    fields: "dict[int, str | bytes]" = {
        3: PROCESSING_SALE,
        11: _stan(stan),
        22: _entry(entry + ("1" if pin_block is not None else "2")),
        25: CONDITION_SALE,
    }
    if not pan:
        raise Iso8583Error("is needed", 2)
    _card(fields, pan, expiry, csn)
    _money(fields, amount, currency)
    _terminal(fields, terminal_id, merchant_id)
    if track2:
        fields[35] = track2
    if pin_block is not None:
        if len(pin_block) != 8:
            raise Iso8583Error("not 8 bytes (only ISO format 0 fits this dialect)", 52)
        fields[26] = PIN_CAPABILITY
        fields[52] = pin_block
        # 53.1: 2 = with PAN; 53.2: 0 single, 6 double-length key.
        fields[53] = "20" + "0" * 14 if pin_key_algorithm == "des" else "26" + "0" * 14
    fields[55] = _chip(SALE_55, emv, (0x9F26, 0x9F10, 0x9F36, 0x95))
    fields[60] = _type_60(TYPE_SALE, batch, partial)
    return Message("0200", fields)


def _type_60(kind: str, batch: int, partial: bool) -> str:
    parts = {
        "60.1": kind,
        "60.2": number(batch, 6, 60),
        "60.3": "000",
        "60.4": READS_CHIP,
        "60.5": "0",
    }
    if partial:
        parts["60.6"] = "1"
    return join_60(parts)


def _chip(order: "Sequence[int]", emv: "dict[int, bytes]", needed: "Sequence[int]") -> bytes:
    for tag in needed:
        if tag not in emv:
            raise Iso8583Error(f"lacks tag {tag:X}", 55)
    return join_55(pick(order, emv))


def reversal(
    *,
    stan: int,
    batch: int,
    amount: int,
    currency: int,
    terminal_id: str,
    merchant_id: str,
    reason: str,
    processing: str,
    entry: str,
    condition: str,
    kind: str,
    pan: str = "",
    expiry: str = "",
    csn: "int | None" = None,
    auth_code: str = "",
    emv: "dict[int, bytes] | None" = None,
    script_results: bytes = b"",
    original_date: str = "",
    partial: bool = False,
) -> Message:
    """0400: the original's field 11, batch and amounts (rules of money, 5),
    from journalled values. ``reason`` is field 39; ``entry`` the whole field
    22, ``kind`` 60.1 of the original; ``emv`` has 95, 9F1E, 9F10, 9F36 as far
    as the card gave them."""
    if reason not in ("98", "96", "06", "A0"):
        raise Iso8583Error("reason is not 98, 96, 06 or A0", 39)
    fields: "dict[int, str | bytes]" = {
        3: _digits(processing, 6, 6, 3),
        11: _stan(stan),
        22: _entry(entry),
        25: _digits(condition, 2, 2, 25),
        39: reason,
    }
    _card(fields, pan, expiry, csn)
    _money(fields, amount, currency)
    _terminal(fields, terminal_id, merchant_id)
    if auth_code:
        if len(auth_code) != 6:
            raise Iso8583Error("not 6 characters", 38)
        fields[38] = auth_code
    if emv is not None:
        values = dict(emv)
        if script_results:
            values[0xDF31] = script_results
        chip = join_55(pick(REVERSAL_55, values))
        if chip:
            fields[55] = chip
    fields[60] = _type_60(_digits(kind, 2, 2, 60), batch, partial)
    fields[61] = _original(batch, stan, original_date)
    return Message("0400", fields)


def script_result(
    *,
    stan: int,
    batch: int,
    amount: int,
    currency: int,
    terminal_id: str,
    merchant_id: str,
    processing: str,
    entry: str,
    condition: str,
    original_batch: int,
    original_stan: int,
    script_results: bytes,
    emv: "dict[int, bytes]",
    original_date: str = "",
    pan: str = "",
    csn: "int | None" = None,
    rrn: str = "",
    auth_code: str = "",
) -> Message:
    """0620: what became of the issuer's scripts. ``script_results``: five
    bytes a script (EMV 4.4 Book 4, Annex A5); ``stan`` is a new one, 61 names
    the original."""
    if not script_results or len(script_results) % 5:
        raise Iso8583Error("script results are not five bytes each", 55)
    fields: "dict[int, str | bytes]" = {
        3: _digits(processing, 6, 6, 3),
        11: _stan(stan),
        22: _entry(entry),
        25: _digits(condition, 2, 2, 25),
    }
    _card(fields, pan, "", csn)
    _money(fields, amount, currency)
    _terminal(fields, terminal_id, merchant_id)
    if rrn:
        fields[37] = rrn
    if auth_code:
        fields[38] = auth_code
    values = dict(emv)
    values[0xDF31] = script_results
    fields[55] = join_55(pick(SCRIPT_55, values))
    fields[60] = join_60({"60.1": "00", "60.2": number(batch, 6, 60), "60.3": "951"})
    fields[61] = _original(original_batch, original_stan, original_date)
    return Message("0620", fields)


def _original(batch: int, stan: int, date: str) -> str:
    parts = {"61.1": number(batch, 6, 61), "61.2": _stan(stan, 61)}
    if date:
        parts["61.3"] = _digits(date, 4, 4, 61)
    return join_61(parts)
