"""The folded state as a map of integer keys, for checkpoints."""

from firmware.payment.journal import records as r
from firmware.payment.journal.fold import (
    Debt,
    PrintOwed,
    ScriptOwed,
    State,
    Transaction,
)
from firmware.payment.journal.records import JournalError
from firmware.payment.journal.registered import BEGUN, DIGEST, REVERSED, UNKNOWN, Payment
from firmware.payment.journal.restoring import Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Keys of the map. A new one below _OPTIONAL needs a new segment version: an older
# firmware must not trade on half a state. What no payment depends on has one from
# there on: an older firmware leaves it out, and a checkpoint may lack it.
_STAN, _BATCH, _KEY_SET, _SIGNED_IN, _DEBT, _SCRIPTS, _TOTALS, _TRANSACTIONS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
)
_RECEIPT, _RECEIPT_SEQUENCE, _PRINTS, _SETTINGS, _FAILURES, _UNCONFIRMED = 9, 10, 11, 12, 13, 14
_OPTIONAL = 64
_OUTCOMES = (
    BEGUN, UNKNOWN, REVERSED, r.OUTCOME_APPROVED, r.OUTCOME_DECLINED, r.OUTCOME_CANCELLED,
)  # fmt: skip
_COUNTERS, _SERVICED, _REGISTERED = 64, 65, 66
_ACKNOWLEDGED, _RESTORING, _RESTORED = 70, 71, 72


def dump(state: State) -> "dict[int, Any]":
    """``state`` for cbor.encode; equal states give equal bytes."""
    debt = state.debt
    return {
        _STAN: state.stan,
        _BATCH: state.batch,
        _KEY_SET: state.key_set,
        _SIGNED_IN: state.signed_in,
        _DEBT: None
        if debt is None
        else [
            debt.sequence,
            debt.request,
            debt.answer,
            debt.phase,
            debt.reason,
            debt.attempts,
            debt.scripts,
            debt.emv,
        ],
        _SCRIPTS: [[owed.request, owed.answer, owed.results] for owed in state.scripts_owed],
        _TOTALS: [
            [key[0], key[1], state.totals[key][0], state.totals[key][1]]
            for key in sorted(state.totals)
        ],
        _TRANSACTIONS: [
            [one.stan, one.sequence, one.type, one.currency, one.amount, one.status]
            for one in state.transactions
        ],
        _RECEIPT: state.last_receipt,
        _RECEIPT_SEQUENCE: state.last_receipt_sequence,
        _PRINTS: [[owed.stan, owed.sequence, owed.printed] for owed in state.print_owed],
        _SETTINGS: state.settings,
        _FAILURES: state.failures,
        _UNCONFIRMED: state.unconfirmed,
        _COUNTERS: state.counters,
        _SERVICED: state.serviced,
        _ACKNOWLEDGED: state.acknowledged,
        _REGISTERED: [one.row() for one in state.registered.kept],
        _RESTORING: state.restoring.rows(),
        _RESTORED: state.restored,
    }


def load(value: "Any") -> State:
    """Inverse of ``dump``. JournalError for anything that dump cannot give."""
    needed = {key for key in _map(value) if not isinstance(key, int) or key < _OPTIONAL}
    if needed != set(range(_STAN, _UNCONFIRMED + 1)):
        raise JournalError("a checkpoint with other keys than this firmware knows")
    state = State()
    state.stan = _int(value[_STAN], 1, 999999)
    state.batch = _int(value[_BATCH], 1, 999999)
    state.key_set = _int(value[_KEY_SET])
    state.signed_in = _bool(value[_SIGNED_IN])
    state.unconfirmed = _bool(value[_UNCONFIRMED])
    state.last_receipt_sequence = _int(value[_RECEIPT_SEQUENCE])
    if value[_RECEIPT] is not None:
        state.last_receipt = _body(_receipt_kind(_map(value[_RECEIPT])), value[_RECEIPT])
    if value[_DEBT] is not None:
        state.debt = _load_debt(value[_DEBT])
    for row in _rows(value[_SCRIPTS], 3):
        answer = None if row[1] is None else _body(r.ANSWER, row[1])
        state.scripts_owed.append(ScriptOwed(_body(r.REQUEST, row[0]), answer, _bytes(row[2])))
    for row in _rows(value[_TOTALS], 4):
        state.totals[(_text(row[0]), _int(row[1]))] = (_int(row[2]), _int(row[3], -(1 << 63)))
    for row in _rows(value[_TRANSACTIONS], 6):
        state.transactions.append(
            Transaction(
                _int(row[0], 1, 999999),
                _int(row[1]),
                _text(row[2]),
                _int(row[3]),
                _int(row[4]),
                _int(row[5], 1, 2),
            )
        )
    for row in _rows(value[_PRINTS], 3):
        printed = [_text(copy) for copy in _list(row[2])]
        state.print_owed.append(PrintOwed(_int(row[0], 0, 999999), _int(row[1]), printed))
    for name in _map(value[_SETTINGS]):
        r.validate(r.SETTING, {r.K_NAME: name, r.K_VALUE: value[_SETTINGS][name]})
        state.settings[name] = value[_SETTINGS][name]
    for who in _map(value[_FAILURES]):
        state.failures[_text(who)] = _int(value[_FAILURES][who])
    state.counters = _counts(value.get(_COUNTERS, {}))
    state.serviced = _counts(value.get(_SERVICED, {}))
    state.acknowledged = _int(value.get(_ACKNOWLEDGED, 0))
    for row in _rows(value.get(_REGISTERED, []), 10):
        state.registered.kept.append(_load_payment(row))
    state.restored = _bool(value.get(_RESTORED, False))
    lines, payments = _rows([value.get(_RESTORING, ["", [], []])], 3)[0][1:]
    state.restoring.code = _text(value.get(_RESTORING, [""])[0])
    for row in _rows(lines, 7):
        line = Line(_int(row[0], 1, 999999), _int(row[1]), _text(row[2]), _int(row[3]))
        line.amount, line.reversed, line.owed = _int(row[4]), _bool(row[5]), _bool(row[6])
        state.restoring.lines.append(line)
    for row in _rows(payments, 10):
        state.restoring.payments.append(_load_payment(row))
    return state


def _load_payment(row: "list[Any]") -> Payment:
    one = Payment(_text(row[0]), _bytes(row[1]))
    one.amount, one.currency = _int(row[2]), _int(row[3], 0, 999)
    one.stan, one.batch = _int(row[4], 0, 999999), _int(row[5], 0, 999999)
    one.outcome, one.reason = _text(row[6]), _text(row[9])
    one.requested, one.sequence = _int(row[7]), _int(row[8])
    if len(one.digest) != DIGEST or one.outcome not in _OUTCOMES:
        raise _wrong()
    return one


def _counts(value: "Any") -> "dict[int, int]":
    r.validate(r.COUNTERS, {r.K_COUNTS: value})
    counts: "dict[int, int]" = value
    return counts


def _receipt_kind(body: "dict[int, Any]") -> int:
    """The kind of the record whose body is the last receipt's."""
    if r.K_OUTCOME in body:
        return r.COMMIT
    if r.K_WHO in body:
        return r.RELEASED if r.K_STAN in body else r.CONFIRMED
    return r.REVERSED


def _load_debt(value: object) -> Debt:
    row = _rows([value], 8)[0]
    debt = Debt(_int(row[0]), _body(r.REQUEST, row[1]))
    if row[2] is not None:
        debt.answer = _body(r.ANSWER, row[2])
    debt.phase = _int(row[3], 1, 3)
    debt.reason = _text(row[4])
    debt.attempts = _int(row[5])
    debt.scripts = _bytes(row[6])
    r.validate(r.COMMIT, {r.K_STAN: 1, r.K_OUTCOME: r.OUTCOME_REVERSE, r.K_EMV: row[7]})
    debt.emv = row[7]
    return debt


def _wrong() -> JournalError:
    return JournalError("a checkpoint whose state is malformed")


def _int(value: "Any", least: int = 0, most: int = (1 << 63) - 1) -> int:
    if not isinstance(value, int) or value is True or value is False:
        raise _wrong()
    if not least <= value <= most:
        raise _wrong()
    return value


def _bool(value: "Any") -> bool:
    if value is not True and value is not False:
        raise _wrong()
    return bool(value)


def _text(value: "Any") -> str:
    if not isinstance(value, str):
        raise _wrong()
    return value


def _bytes(value: "Any") -> bytes:
    if not isinstance(value, bytes):
        raise _wrong()
    return value


def _list(value: "Any") -> "list[Any]":
    if not isinstance(value, list):
        raise _wrong()
    return value


def _map(value: "Any") -> "dict[Any, Any]":
    if not isinstance(value, dict):
        raise _wrong()
    return value


def _rows(value: "Any", width: int) -> "list[list[Any]]":
    for row in _list(value):
        if len(_list(row)) != width:
            raise _wrong()
    rows: "list[list[Any]]" = value
    return rows


def _body(kind: int, value: "Any") -> "dict[int, Any]":
    body = _map(value)
    r.validate(kind, body)
    return body
