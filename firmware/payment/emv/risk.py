"""Terminal risk management (EMV 4.4 Book 3, 10.6)."""

from firmware.payment.emv import bits
from firmware.payment.emv.read_data import pan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.config import AidConfig
    from firmware.payment.emv.session import Run, Session


def manage(s: "Session") -> "Run[None]":
    """Exception file, floor limit, random selection, velocity; sets TVR byte 4."""
    transaction = s.transaction
    number = pan(s.card[0x5A]) or ""
    digits = s.card.get(0x5F34, b"\x00").hex()
    sequence = int(digits) if digits.isdigit() else 0
    if transaction.stopped is not None and transaction.stopped(number, sequence):
        s.set_tvr(bits.ON_EXCEPTION_FILE, "B3 10.6 a")
    if transaction.force_online:
        s.set_tvr(bits.FORCED_ONLINE, "B3 10.6 b")
    if not s.aip(bits.AIP_TERMINAL_RISK) or s.aid is None:
        s.trace.rule("B3 10.6 c", "the card does not ask for terminal risk management")
        return
    amount = transaction.amount
    if transaction.earlier_amount is not None:
        amount += transaction.earlier_amount(number, sequence)
    if amount >= s.aid.floor_limit:
        s.set_tvr(bits.FLOOR_LIMIT, "B3 10.6.1 a")
    elif _random(s, s.aid):
        s.set_tvr(bits.RANDOMLY_SELECTED, "B3 10.6.2 a")
    if 0x9F14 in s.card and 0x9F23 in s.card:
        yield from _velocity(s)
    else:
        s.trace.rule("B3 10.6.3 a", "no consecutive offline limits")
    s.set_tsi(bits.TERMINAL_RISK_PERFORMED, "B3 10.6 d")


def _random(s: "Session", aid: "AidConfig") -> bool:
    """Random and biased selection for an amount below the floor limit (10.6.2)."""
    amount = s.transaction.amount
    drawn = int.from_bytes(s.random(4), "big") % 99 + 1
    s.trace.rule("B3 10.6.2 b", "number drawn", drawn=drawn)
    if amount < aid.threshold:
        return drawn <= aid.target_percent
    span = aid.floor_limit - aid.threshold
    if span <= 0:
        return drawn <= aid.max_target_percent
    # drawn <= target + (maximum - target) * (amount - threshold) / span, in integers
    rise = (aid.max_target_percent - aid.target_percent) * (amount - aid.threshold)
    return (drawn - aid.target_percent) * span <= rise


def _velocity(s: "Session") -> "Run[None]":
    """Velocity checking by ATC and last online ATC (10.6.3)."""
    counter = yield from _counter(s, 0x9F36)
    last = yield from _counter(s, 0x9F13)
    if counter is None or last is None:
        s.set_tvr(bits.ICC_DATA_MISSING, "B3 7.5 g")
        s.set_tvr(bits.LOWER_OFFLINE_LIMIT, "B3 10.6.3 b")
        s.set_tvr(bits.UPPER_OFFLINE_LIMIT, "B3 10.6.3 b")
    elif counter <= last:
        s.set_tvr(bits.LOWER_OFFLINE_LIMIT, "B3 10.6.3 c")
        s.set_tvr(bits.UPPER_OFFLINE_LIMIT, "B3 10.6.3 c")
    else:
        if counter - last > s.card[0x9F14][0]:
            s.set_tvr(bits.LOWER_OFFLINE_LIMIT, "B3 10.6.3 d")
        if counter - last > s.card[0x9F23][0]:
            s.set_tvr(bits.UPPER_OFFLINE_LIMIT, "B3 10.6.3 e")
    if last == 0:
        s.set_tvr(bits.NEW_CARD, "B3 10.6.3 f")


def _counter(s: "Session", tag: int) -> "Run[int | None]":
    data, sw = yield from s.send(b"\x80\xca" + tag.to_bytes(2, "big") + b"\x00")
    if sw != 0x9000 or len(data) != 5 or data[:3] != tag.to_bytes(2, "big") + b"\x02":
        return None
    s.card[tag] = data[3:]
    return int.from_bytes(data[3:], "big")
