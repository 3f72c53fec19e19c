"""Slips: what is printed when, and what happens when the printer cannot."""

from firmware import aio
from firmware.app import dialogs
from firmware.errors import TillError
from firmware.hal.printer import PrinterError
from firmware.payment.journal import records
from firmware.services import receipts
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.payment.journal.fold import PrintOwed
    from firmware.payment.journal.records import Record

COPY_TIMEOUT_MS = 15_000
TROUBLE_TIMEOUT_MS = 60_000
#: The slip that says how a payment ended, by its COMMIT's outcome: one to be reversed
#: stays unknown until its REVERSED record takes its place.
_SLIPS = {
    records.OUTCOME_APPROVED: "sale",
    records.OUTCOME_DECLINED: "declined",
    records.OUTCOME_REVERSE: "unknown",
}


#: What is said of a slip that was skipped, by its kind: never that a payment is
#: done which is not.
_KEPT = {
    "sale": "print.kept",
    "declined": "print.kept.declined",
    "unknown": "print.kept.unknown",
    "reversed": "print.kept.reversed",
    "self_test": "print.skipped",
    "counters": "print.skipped",
    "training": "print.skipped",
}
#: What is said to be printed, of slips that are no copy of a payment's.
_COPIES = {
    "self_test": "print.copy.self_test", "counters": "menu.counters", "training": "training.title",
}  # fmt: skip


async def _print(
    t: "Terminal",
    kind: str,
    data: "dict[str, Any]",
    copy: str = records.COPY_MERCHANT,
    duplicate: bool = False,
) -> bool:
    """Print a slip, asking what to do when it fails. False: the merchant skipped it,
    or nobody answered.

    Printing never gates a payment: it is committed before any slip.
    """
    if t.devices.printer is None:
        return False
    document = receipts.receipt(kind, data, copy, duplicate, columns(t), t.view.texts)
    done = 0  # items that are surely on paper
    while True:
        try:
            await t.devices.printer.print(document[done:])
            return True
        except PrinterError as error:
            done += error.done
            t.note_failure("printer", error)
            await t.sound("error")
            t.devices.keypad.flush()
            again = await dialogs.confirm(
                t, error.text_key, {}, TROUBLE_TIMEOUT_MS, "hint.skip", "hint.retry"
            )
            if again and done:
                go_on = await dialogs.ask(
                    t, "print.resume", {}, TROUBLE_TIMEOUT_MS, "hint.from_top", "hint.go_on"
                )
                again = go_on is not None  # nobody there: nothing comes twice by itself
                if not go_on:
                    done = 0
            if not again:
                await dialogs.message(t, _KEPT.get(kind, "print.kept.other"), {}, 3_000)
                return False


async def sale_slips(t: "Terminal", stan: int, receipt: "dict[str, Any]") -> None:
    """Merchant copy, then the cardholder's on request; each journalled once printed."""
    if await sale_copy(t, stan, receipt, records.COPY_MERCHANT, False):
        t.devices.keypad.flush()  # what was mashed before is no answer
        await t.show_result(
            screens.question("print.customer_question", {}, "hint.skip", "hint.print")
        )
        name, pressed = await aio.first(
            ("key", t.devices.keypad.read()), timeout_ms=COPY_TIMEOUT_MS
        )
        if name == "timeout" or pressed != "cancel":
            await sale_copy(t, stan, receipt, records.COPY_CUSTOMER, False)


async def sale_copy(
    t: "Terminal", stan: int, receipt: "dict[str, Any]", copy: str, duplicate: bool
) -> bool:
    """One copy of an approved sale, journalled once printed. False: skipped."""
    if t.devices.printer is None:
        await _printed(t, {records.K_STAN: stan}, records.COPY_NONE, False)
        return False
    words = {records.COPY_MERCHANT: "print.copy.merchant"}
    await t.show_result(screens.printing(words.get(copy, "print.copy.cardholder")))
    if not await _print(t, "sale", receipt, copy, duplicate):
        return False
    # A cardholder copy that is forgotten in a power cut costs one more DUPLICATE at most.
    await _printed(t, {records.K_STAN: stan}, copy, copy == records.COPY_MERCHANT)
    return True


async def _printed(t: "Terminal", which: "dict[int, Any]", copy: str, sync: bool) -> None:
    which[records.K_COPY] = copy
    await t.journal.append(records.PRINTED, which, sync=sync)


async def give_up(t: "Terminal", owed: "PrintOwed", sync: bool = False) -> None:
    """A slip that is owed no longer although nothing printed it."""
    await _printed(t, _named(owed), records.COPY_NONE, sync)


def _named(owed: "PrintOwed") -> "dict[int, Any]":
    which: "dict[int, Any]" = {records.K_SEQUENCE: owed.sequence}
    if owed.stan:
        which[records.K_STAN] = owed.stan
    return which


async def owed_slip(t: "Terminal", owed: "PrintOwed", record: "Record", duplicate: bool) -> bool:
    """The merchant's copy that ``owed`` names, journalled once printed. False: skipped,
    or a terminal without a printer, which owes it no longer."""
    if t.devices.printer is None:
        await give_up(t, owed)
        return False
    if not await _print_record(t, record.body, duplicate):
        return False
    await _printed(t, _named(owed), records.COPY_MERCHANT, True)
    return True


async def _print_record(t: "Terminal", body: "dict[int, Any]", duplicate: bool) -> bool:
    return await _print(t, kind_of(body), body[records.K_RECEIPT], records.COPY_MERCHANT, duplicate)


def kind_of(body: "dict[int, Any]") -> str:
    """Kind of the slip (``services/receipts.py``) that a record's body holds."""
    if records.K_OUTCOME in body:
        return _SLIPS[body[records.K_OUTCOME]]
    return str(body[records.K_RECEIPT].get("slip", "reversed"))


def columns(t: "Terminal") -> int:
    """Columns of the printer's paper; 32 where there is none."""
    return int(t.devices.printer.columns) if t.devices.printer is not None else 32


async def slip(t: "Terminal", kind: str, data: "dict[str, Any]") -> None:
    """One slip of a kind that ``services/receipts.py`` knows; merchant's copy."""
    await t.show_result(screens.printing(_COPIES.get(kind, "print.copy.merchant")))
    await _print(t, kind, data)


async def reprint_last(t: "Terminal") -> None:
    """The last payment's slip again, marked DUPLICATE."""
    body = t.journal.state.last_receipt
    if body is None:
        await dialogs.message(t, "print.none")
        return
    await t.view.show(screens.printing("print.copy.merchant"))
    await _print_record(t, body, True)


async def feed(t: "Terminal") -> None:
    """Move the paper; a printer in trouble says so."""
    try:
        if t.devices.printer is not None:
            await t.devices.printer.print([("feed", 3)])
    except TillError as error:
        t.note_failure("printer", error)
        await dialogs.message(t, error.text_key)
