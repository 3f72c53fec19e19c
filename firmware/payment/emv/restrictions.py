"""Processing restrictions (EMV 4.4 Book 3, 10.4)."""

from firmware.payment.emv import bits
from firmware.payment.emv.read_data import full_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Session

CASH = (0x01, 0x17)
CASHBACK = 0x09


def check(s: "Session") -> None:
    """Version, usage control, effective and expiration dates; sets TVR byte 2."""
    version = s.card.get(0x9F08)
    if version is not None and version != s.value(0x9F09):
        s.set_tvr(bits.VERSIONS_DIFFER, "B3 10.4.1 a")
    if not _service_allowed(s):
        s.set_tvr(bits.SERVICE_NOT_ALLOWED, "B3 10.4.2 a")
    today = full_date(s.transaction.date)
    effective = s.card.get(0x5F25)
    if effective is not None and full_date(effective) > today:
        s.set_tvr(bits.NOT_YET_EFFECTIVE, "B3 10.4.3 a")
    if full_date(s.card[0x5F24]) < today:
        s.set_tvr(bits.EXPIRED, "B3 10.4.3 b")


def _service_allowed(s: "Session") -> bool:
    usage = s.card.get(0x9F07)
    if usage is None:
        return True
    if not usage[0] & (0x02 if s.config.atm else 0x01):
        return False
    issuer_country = s.card.get(0x5F28)
    if issuer_country is None:
        return True
    domestic = issuer_country == s.value(0x9F1A)
    kind = s.transaction.kind
    if kind in CASH:
        return bool(usage[0] & (0x80 if domestic else 0x40))
    # A terminal sells goods and services without saying which: either bit will do.
    goods_or_services = 0x28 if domestic else 0x14
    if kind in (0x00, CASHBACK) and not usage[0] & goods_or_services:
        return False
    if kind == CASHBACK or (kind == 0x00 and s.transaction.other_amount):
        return bool(usage[1] & (0x80 if domestic else 0x40))
    return True
