"""Payments and batches, folded from the records of one terminal.

The fold looks at what is in the database and adds a record, so it goes on wherever the last
sync stopped, and over the same records it ends at the same rows: ``rebuild`` runs it from the
first record on. A payment keeps its row and number then. A record that says something else than
docs/journal.md allows is kept as it is, told, and folded as far as it goes.
"""

import datetime
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, tuple_, update

from firmware.payment.journal import records as r
from host_tools.store import outbox
from host_tools.store.frames import Frame, content
from host_tools.store.models import Batch, Payment, Record

APPROVED, DECLINED, CANCELLED = "approved", "declined", "cancelled"
UNKNOWN, REVERSED, RELEASED = "unknown", "reversed", "released"

#: Kinds that change a payment or a batch.
_FOLDED = {
    r.REQUEST, r.UNSENT, r.ANSWER, r.COMMIT, r.REVERSED, r.RELEASED, r.BATCH_CLOSED,
}  # fmt: skip

#: How the card was read, by the first two digits of field 22.
_ENTRY = {
    "01": "keyed", "02": "stripe", "90": "stripe", "80": "stripe", "05": "contact",
    "95": "contact", "07": "contactless", "91": "contactless", "98": "contactless", "03": "qr",
}  # fmt: skip
#: Who issues the rules of an application, by its AID's first 10 digits (ISO 7816-5's register).
_SCHEMES = {
    "A000000333": "UnionPay", "A000000003": "Visa", "A000000004": "Mastercard",
    "A000000025": "American Express", "A000000065": "JCB", "A000000152": "Discover",
    "A000000042": "CB", "A000000277": "Interac", "A000000524": "RuPay", "A000000658": "Mir",
}  # fmt: skip

#: At most the first 6 and last 4 digits of a PAN in clear, one hidden at least (PCI DSS 3.4).
_MASKED = re.compile(r"[0-9]{0,6}[*Xx ]+[0-9]{0,4}")
_AID_TAG = 0x84
_MOST_MONEY = 999_999_999_999
_MOST_TIME = (1 << 40) - 1
_COLUMNS = [column.name for column in Payment.__table__.columns]


class Fold:
    """Adds records to the payments and batches of ``terminal_id``, on a connection that is
    inside a transaction; ``flush`` writes. ``cut_off_hour``: when a business day begins.
    ``told(code, detail, sequence)`` hears what does not fit. ``again``: these records may
    have been folded before."""

    def __init__(
        self,
        connection: Connection,
        terminal_id: int,
        cut_off_hour: int,
        told: Callable[[str, str, int], None],
        again: bool = False,
    ) -> None:
        self._connection = connection
        self._terminal = terminal_id
        self._cut_off = cut_off_hour
        self._told = told
        self._again = again
        #: The newest payment of each STAN that this fold has touched.
        self._by_stan: dict[int, dict[str, Any]] = {}
        self._new: list[dict[str, Any]] = []
        self._changed: dict[int, dict[str, Any]] = {}
        #: How the store has the outcome of payments that this fold changes.
        self._before: dict[int, str] = {}
        self._now = 0
        #: The open batch by its number, and rows of before that a rebuild uses again.
        self._open: dict[int, dict[str, Any]] = {}
        self._used: set[int] = set()
        #: Of payments that a rebuild meets again, by epoch and sequence.
        self._numbers: dict[tuple[int, int], int] = {}
        self._days: dict[str, str] = {}

    def expect(self, first: tuple[int, int], last: tuple[int, int]) -> None:
        """Records from ``first`` to ``last`` (epoch, sequence) follow, which may have been
        folded before."""
        place = tuple_(Payment.epoch, Payment.request_sequence)
        found = self._connection.execute(
            select(Payment.epoch, Payment.request_sequence, Payment.id).where(
                Payment.terminal_id == self._terminal,
                place >= tuple_(*first),
                place <= tuple_(*last),
            )
        )
        self._numbers = {(epoch, sequence): number for epoch, sequence, number in found}

    def add(self, epoch: int, frame: Frame, received_at: int) -> None:
        """One record, in the order of the journal."""
        self._now = received_at
        if frame.kind not in _FOLDED:
            return
        body = content(frame.raw)
        if body is None:
            self._told("unreadable", f"kind {frame.kind}", frame.sequence)
            return
        if frame.kind == r.BATCH_CLOSED:
            number = _integer(body, r.K_BATCH, 1, 999_999)
            if number is None:
                self._told("unreadable", "a batch without its number", frame.sequence)
            else:
                self._close(number, _moment(body) or received_at)
            return
        stan = _integer(body, r.K_STAN, 1, 999_999)
        if stan is None:
            self._told("unreadable", f"kind {frame.kind} without a STAN", frame.sequence)
        elif frame.kind == r.REQUEST:
            self._request(epoch, frame, body, stan, received_at)
        else:
            self._follow(epoch, frame, body, stan)

    def flush(self) -> None:
        """Write what was added. The fold may go on afterwards."""
        if self._new:
            self._connection.execute(insert(Payment), self._new)
        if self._changed:
            names = [name for name in _COLUMNS if name != "id"]
            change = update(Payment).where(Payment.id == bindparam("row"))
            change = change.values({name: bindparam(f"v_{name}") for name in names})
            rows = [
                {"row": row["id"]} | {f"v_{name}": row[name] for name in names}
                for row in self._changed.values()
            ]
            self._connection.execute(change, rows)
        if not self._again:  # a rebuild says nothing new
            told = [row for number, row in self._changed.items()
                    if row["outcome"] != self._before.get(number)]  # fmt: skip
            outbox.put(self._connection, self._terminal, self._new + told, self._now)
        # Without their numbers the new rows cannot be changed later: ask for them anew.
        self._new, self._changed, self._by_stan, self._before = [], {}, {}, {}

    # -- payments

    def _request(
        self, epoch: int, frame: Frame, body: dict[Any, Any], stan: int, received_at: int
    ) -> None:
        batch = _integer(body, r.K_BATCH, 1, 999_999)
        amount = _integer(body, r.K_AMOUNT, 0, _MOST_MONEY)
        currency = _integer(body, r.K_CURRENCY, 0, 999)
        exponent = _integer(body, r.K_EXPONENT, 0, 4)
        if batch is None or amount is None or currency is None or exponent is None:
            self._told("unreadable", f"a request without its amount, STAN {stan}", frame.sequence)
            return
        moment = _moment(body)
        local, day = self._local(body, frame.sequence, received_at)
        entry = _text(body, r.K_ENTRY_MODE, 3) or ""
        word = _ENTRY.get(entry[:2], entry)
        aid = _aid(body)
        masked = _text(body, r.K_PAN_MASKED, 19)
        if masked is not None and not _MASKED.fullmatch(masked):
            self._told("clear_pan", f"STAN {stan}", frame.sequence)
            masked = None
        token = body.get(r.K_PAN_TOKEN)
        row = {
            "terminal_id": self._terminal,
            "epoch": epoch,
            "request_sequence": frame.sequence,
            "commit_sequence": None,
            "stan": stan,
            "batch": batch,
            "type": _text(body, r.K_TYPE, 24) or "unknown",
            "tender": "qr" if word == "qr" else "card",
            "brand": _SCHEMES.get(aid[:10]) if aid else None,
            "aid": aid,
            "amount": amount,
            "currency": currency,
            "exponent": exponent,
            "outcome": UNKNOWN,
            "response": None,
            "requested_at": moment,
            "local_time": local,
            "business_date": day,
            "entry_mode": word,
            "pan_masked": masked,
            "pan_token": token.hex() if isinstance(token, bytes) and len(token) == 16 else None,
            "rrn": None,
            "auth_code": None,
            "settlement_date": None,
            "merchant_id": _text(body, r.K_MERCHANT_ID, 15),
            "terminal_no": _text(body, r.K_TERMINAL_ID, 8),
            "cashier": _text(body, r.K_WHO, 32),
            "register_reference": _text(body, r.K_REFERENCE, 80),
            "reversed_at": None,
            "original_id": None,
            "tip": 0,
            "cashback": 0,
            "test": body.get(r.K_TEST) is True,
        }
        self._opened(batch, moment or received_at)
        number = self._numbers.get((epoch, frame.sequence))
        if number is None:
            self._new.append(row)
        else:
            row["id"] = number
            self._changed[number] = row
        self._by_stan[stan] = row

    def _follow(self, epoch: int, frame: Frame, body: dict[Any, Any], stan: int) -> None:
        """What is said of the newest payment with this STAN before this record."""
        row = self._by_stan.get(stan) or self._stored(epoch, frame.sequence, stan)
        if row is None:
            # A debt whose request is lost, or script results of a payment before the first sync.
            self._told("orphan", f"kind {frame.kind}, STAN {stan}", frame.sequence)
            return
        if "id" in row:
            self._changed[row["id"]] = row
        if frame.kind == r.ANSWER:
            self._answered(row, body)
        elif frame.kind == r.COMMIT:
            self._committed(row, frame, body)
        elif frame.kind == r.UNSENT:
            row["outcome"] = CANCELLED
        elif frame.kind == r.REVERSED:
            row["outcome"] = REVERSED
            row["reversed_at"] = _moment(body)
        elif row["outcome"] == UNKNOWN:  # RELEASED; of an ended payment it releases script results
            row["outcome"] = RELEASED

    def _stored(self, epoch: int, sequence: int, stan: int) -> dict[str, Any] | None:
        place = tuple_(Payment.epoch, Payment.request_sequence)
        found = self._connection.execute(
            select(Payment.__table__)
            .where(
                Payment.terminal_id == self._terminal,
                Payment.stan == stan,
                place < tuple_(epoch, sequence),
            )
            .order_by(Payment.epoch.desc(), Payment.request_sequence.desc())
            .limit(1)
        ).mappings()
        row = found.first()
        if row is None:
            return None
        self._by_stan[stan] = kept = self._changed.get(row["id"], dict(row))
        self._before.setdefault(row["id"], row["outcome"])
        return kept

    def _answered(self, row: dict[str, Any], body: dict[Any, Any]) -> None:
        row["response"] = _text(body, r.K_RESPONSE, 2)
        row["rrn"] = _text(body, r.K_RRN, 12)
        row["auth_code"] = _text(body, r.K_AUTH_CODE, 6)
        row["settlement_date"] = _text(body, r.K_SETTLEMENT_DATE, 4)
        self._amount(row, body)

    def _committed(self, row: dict[str, Any], frame: Frame, body: dict[Any, Any]) -> None:
        row["commit_sequence"] = frame.sequence
        outcome = body.get(r.K_OUTCOME)
        if outcome == r.OUTCOME_APPROVED:
            row["outcome"] = APPROVED
        elif outcome == r.OUTCOME_DECLINED:
            row["outcome"] = DECLINED
        elif outcome != r.OUTCOME_REVERSE:  # that one is unknown until it is acknowledged
            self._told("unreadable", f"an outcome of STAN {row['stan']}", frame.sequence)
        self._amount(row, body)
        slip = body.get(r.K_RECEIPT)
        if not isinstance(slip, dict):
            return
        if row["brand"] is None:
            row["brand"] = _text(slip, "label", 24)
        row["aid"] = row["aid"] or _text(slip, "aid", 32)
        row["cashier"] = row["cashier"] or _text(slip, "operator", 32)
        row["test"] = row["test"] or slip.get("test") is True

    def _amount(self, row: dict[str, Any], body: dict[Any, Any]) -> None:
        """A partial approval's amount is the one that counts."""
        amount = _integer(body, r.K_AMOUNT, 0, _MOST_MONEY)
        if amount is not None:
            row["amount"] = amount

    def _local(self, body: dict[Any, Any], sequence: int, received_at: int) -> tuple[str, str]:
        """(local time in 14 digits, business date)."""
        text = _text(body, r.K_LOCAL_TIME, 14) or ""
        if len(text) == 12:
            text = "20" + text
        sound = len(text) == 14 and text.isascii() and text.isdigit()
        day = self._days.get(text[:10]) if sound else None
        if day is None:
            day = business_date(text, self._cut_off)
            if day is None:
                self._told("unreadable", "the time of a request", sequence)
                moment = datetime.datetime.fromtimestamp(received_at, datetime.UTC)
                text = moment.strftime("%Y%m%d%H%M%S")
                day = business_date(text, self._cut_off) or ""
            self._days[text[:10]] = day
        return text, day

    # -- batches

    def _opened(self, number: int, moment: int) -> None:
        if number not in self._open and self._batch(number) is None:
            self._start(number, moment)

    def _start(self, number: int, moment: int | None) -> dict[str, Any]:
        """A batch begins: the row that a rebuild finds for it, or a new one."""
        query = select(Batch.id).where(Batch.terminal_id == self._terminal, Batch.number == number)
        old = self._connection.scalars(query.order_by(Batch.id)).all() if self._again else []
        left = [one for one in old if one not in self._used]
        if left:
            row_id = left[0]
            self._connection.execute(
                update(Batch).where(Batch.id == row_id).values(opened_at=moment, closed_at=None)
            )
        else:
            values = {"terminal_id": self._terminal, "number": number, "opened_at": moment}
            row_id = self._connection.scalars(
                insert(Batch).values(values).returning(Batch.id)
            ).one()
        self._used.add(row_id)
        self._open[number] = row = {"id": row_id}
        return row

    def _batch(self, number: int) -> dict[str, Any] | None:
        """The open batch of this number."""
        if self._again:
            return self._open.get(number)
        found = self._connection.scalar(
            select(Batch.id)
            .where(
                Batch.terminal_id == self._terminal,
                Batch.number == number,
                Batch.closed_at.is_(None),
            )
            .order_by(Batch.id.desc())
            .limit(1)
        )
        if found is None:
            return None
        self._open[number] = row = {"id": found}
        return row

    def _close(self, number: int, moment: int) -> None:
        row = self._open.get(number) or self._batch(number) or self._start(number, None)
        self._connection.execute(
            update(Batch).where(Batch.id == row["id"]).values(closed_at=moment)
        )
        del self._open[number]

    def sweep(self) -> None:
        """After a rebuild: take away rows that no record stands for."""
        request = exists().where(
            Record.terminal_id == Payment.terminal_id,
            Record.epoch == Payment.epoch,
            Record.sequence == Payment.request_sequence,
            Record.kind == r.REQUEST,
        )
        mine = Payment.terminal_id == self._terminal
        self._connection.execute(delete(Payment).where(mine, ~request))
        query = select(Batch.id).where(Batch.terminal_id == self._terminal)
        stale = [one for one in self._connection.scalars(query) if one not in self._used]
        if stale:
            self._connection.execute(delete(Batch).where(Batch.id.in_(stale)))


def business_date(local_time: str, cut_off_hour: int) -> str | None:
    """YYYY-MM-DD of the business day that ``local_time`` (YYYYMMDDhhmmss) belongs to; None when
    it is no time."""
    try:
        if len(local_time) != 14 or not (local_time.isascii() and local_time.isdigit()):
            return None
        moment = datetime.datetime.strptime(local_time, "%Y%m%d%H%M%S")
        return (moment - datetime.timedelta(hours=cut_off_hour)).date().isoformat()
    except (ValueError, OverflowError):
        return None


def _integer(body: dict[Any, Any], key: int, least: int, most: int) -> int | None:
    value = body.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    return None


def _text(body: dict[Any, Any], key: int | str, most: int) -> str | None:
    """Printable text, None for anything else and for none."""
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        return None
    return value


def _moment(body: dict[Any, Any]) -> int | None:
    return _integer(body, r.K_TIME, 1, _MOST_TIME)


def _aid(body: dict[Any, Any]) -> str | None:
    emv = body.get(r.K_EMV)
    value = emv.get(_AID_TAG) if isinstance(emv, dict) else None
    return value.hex().upper() if isinstance(value, bytes) and 5 <= len(value) <= 16 else None
