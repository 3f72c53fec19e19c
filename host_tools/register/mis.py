"""The MIS record of Chinese registers: one call, a text of fixed width in, another one out.

``bankall`` is the function that a register's program calls; it speaks with ``till register run``
on this computer. Widths are bytes: Chinese takes two in GBK, and none is ever cut in half.
"""

import secrets
import socket
from collections.abc import Mapping
from typing import Any

from host_tools.errors import UserError
from host_tools.register import gate as core
from host_tools.register.gate import Answer, End, Gate

ADAPTER = "mis"
ADDRESS = ("127.0.0.1", 9001)
CURRENCY = 156
#: How long a caller waits: longer than any payment with its recovery.
WAIT_S = 300.0

#: Fields in their order: (name, bytes, "n" digits filled with zeros or "t" text with blanks).
REQUEST = (
    ("register", 8, "t"), ("cashier", 8, "t"), ("type", 2, "t"), ("amount", 12, "n"),
    ("original_date", 8, "t"), ("original_reference", 12, "t"), ("original_voucher", 6, "t"),
    ("check", 3, "t"), ("industry", 100, "t"),
)  # fmt: skip
RESPONSE = (
    ("code", 2, "t"), ("issuer", 4, "t"), ("card", 20, "t"), ("voucher", 6, "t"),
    ("amount", 12, "n"), ("message", 40, "t"), ("merchant", 15, "t"), ("terminal", 8, "t"),
    ("batch", 6, "t"), ("date", 4, "t"), ("time", 6, "t"), ("reference", 12, "t"),
    ("authorisation", 6, "t"), ("settle_date", 4, "t"), ("check", 3, "t"),
)  # fmt: skip
REQUEST_BYTES = sum(size for _, size, _ in REQUEST)
RESPONSE_BYTES = sum(size for _, size, _ in RESPONSE)
SALE = "00"
#: Types that the terminal does as a payment of another kind.
_KINDS = {SALE: "sale"}
#: Codes of our own, where no host gave one.
BAD_RECORD, BUSY, CANCELLED, NOT_KNOWN, REVERSED, UNAVAILABLE, NO_TERMINAL = (
    "F1", "F2", "F3", "F4", "F5", "F6", "F7",
)  # fmt: skip
MESSAGES = {
    "00": "交易成功",
    BAD_RECORD: "请求格式错误",
    BUSY: "终端忙，请稍候",
    CANCELLED: "交易已取消，未扣款",
    NOT_KNOWN: "结果未知，请勿交货，请查终端",
    REVERSED: "交易已冲正，未扣款",
    UNAVAILABLE: "终端不支持或暂不能交易",
    NO_TERMINAL: "终端未连接，未扣款",
}

Layout = tuple[tuple[str, int, str], ...]


class BadRecord(UserError):
    """A record of another length, or a field that is none."""


def pack(layout: Layout, values: Mapping[str, Any]) -> bytes:
    """The record. Text that is too long is cut between characters; what GBK lacks is ``?``.
    BadRecord: a number that does not fit."""
    record = b""
    for name, size, kind in layout:
        value = values.get(name, 0 if kind == "n" else "")
        if kind == "n":
            digits = b"%0*d" % (size, value)
            if value < 0 or len(digits) > size:
                raise BadRecord(f"{name} does not fit")
            record += digits
        else:
            record += cut(str(value), size).ljust(size)
    return record


def unpack(layout: Layout, record: bytes) -> dict[str, Any]:
    """The fields, texts without the blanks behind. BadRecord."""
    if len(record) != sum(size for _, size, _ in layout):
        raise BadRecord(f"{len(record)} bytes")
    found: dict[str, Any] = {}
    place = 0
    for name, size, kind in layout:
        raw = record[place : place + size]
        place += size
        if kind == "n":
            if not raw.isdigit():
                raise BadRecord(f"{name} is no number")
            found[name] = int(raw)
            continue
        try:
            found[name] = raw.decode("gbk").rstrip(" ")
        except UnicodeDecodeError:
            raise BadRecord(f"{name} is not GBK") from None
    return found


def cut(text: str, size: int) -> bytes:
    """``text`` in GBK, at most ``size`` bytes, whole characters only."""
    encoded = b""
    for char in text:
        more = char.encode("gbk", "replace") if char.isprintable() else b"?"
        if len(encoded) + len(more) > size:
            break
        encoded += more
    return encoded


async def answer(gate: Gate, record: bytes) -> bytes:
    """The response to one request, whatever it is."""
    try:
        asked = unpack(REQUEST, record)
    except BadRecord:
        return pack(RESPONSE, _error(BAD_RECORD, ""))
    check = asked["check"]
    kind = _KINDS.get(asked["type"])
    if kind is None:
        return pack(RESPONSE, _error(UNAVAILABLE, check))
    if not asked["amount"]:
        return pack(RESPONSE, _error(BAD_RECORD, check))
    reference = core.fresh(ADAPTER, asked["register"])
    result = await gate.start(
        core.Request(
            reference,
            core.digest(ADAPTER, reference.encode() + b"\x00" + record),
            asked["amount"],
            CURRENCY,
            "".join(char for char in asked["register"] if char.isprintable()),
            kind,
        )
    )
    return pack(RESPONSE, {**_told(result), "check": check})


def _error(code: str, check: str) -> dict[str, Any]:
    return {"code": code, "message": MESSAGES[code], "check": check}


def _told(result: Answer) -> dict[str, Any]:
    """The response's fields; 00 for nothing but an approval."""
    code = _code(result)
    local = result.local_time
    return {
        "code": code,
        "card": result.pan,
        "voucher": f"{result.stan:06}" if result.stan else "",
        "amount": result.amount if result.end is End.APPROVED else 0,
        "message": MESSAGES.get(code, "交易被拒绝"),
        "merchant": result.merchant,
        "terminal": result.terminal,
        "batch": f"{result.batch:06}" if result.batch else "",
        "date": local[4:8],
        "time": local[8:14],
        "reference": result.rrn,
        "authorisation": result.authorisation,
    }


def _code(result: Answer) -> str:
    match result.end:
        case End.APPROVED:
            return "00"
        case End.DECLINED:
            # The host's own code, never one that says approved.
            return result.response if result.response not in ("", "00") else CANCELLED
        case End.BUSY:
            return BUSY
        case End.CANCELLED:
            return CANCELLED
        case End.REVERSED:
            return REVERSED
        case End.UNKNOWN | End.PROGRESS:
            return NOT_KNOWN
        case End.NONE | End.UNREACHABLE:
            return NO_TERMINAL
    return UNAVAILABLE


def sale(register: str, cashier: str, amount: int) -> bytes:
    """The request of a sale, ``amount`` in fen, with check digits drawn. BadRecord."""
    check = f"{secrets.randbelow(1000):03}"
    values = {"register": register, "cashier": cashier, "type": SALE, "amount": amount}
    return pack(REQUEST, {**values, "check": check})


def bankall(request: bytes, address: tuple[str, int] = ADDRESS, wait_s: float = WAIT_S) -> bytes:
    """Give ``request`` to the terminal and wait for its response. What ever happens it is a
    response: ``F4`` when the connection broke and nobody knows, ``F7`` when there was none."""
    sent = False
    response = b""
    try:
        with socket.create_connection(address, timeout=wait_s) as connection:
            connection.sendall(request)
            sent = True
            connection.shutdown(socket.SHUT_WR)
            while len(response) < RESPONSE_BYTES:
                piece = connection.recv(RESPONSE_BYTES - len(response))
                if not piece:
                    break
                response += piece
    except OSError:
        response = b""
    if len(response) != RESPONSE_BYTES:
        return pack(RESPONSE, _error(NOT_KNOWN if sent else NO_TERMINAL, _check(request)))
    return response


def _check(request: bytes) -> str:
    """The check digits of a request, "" where it is none."""
    try:
        return str(unpack(REQUEST, request)["check"])
    except BadRecord:
        return ""
