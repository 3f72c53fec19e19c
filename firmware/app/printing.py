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

COPY_TIMEOUT_MS = 15_000
TROUBLE_TIMEOUT_MS = 60_000
#: The slip that says how a payment ended, by its COMMIT's outcome: one to be reversed
#: stays unknown until its REVERSED record, which has none, takes its place.
_SLIPS = {
    records.OUTCOME_APPROVED: "sale",
    records.OUTCOME_DECLINED: "declined",
    records.OUTCOME_REVERSE: "unknown",
    None: "reversed",
}


async def _print(t: "Terminal", document: "list[tuple[object, ...]]") -> bool:
    """Print, asking what to do when it fails. False: the merchant skipped it.

    Printing never gates a payment: it is committed before any slip.
    """
    if t.devices.printer is None:
        return False
    while True:
        try:
            await t.devices.printer.print(document)
            return True
        except PrinterError as error:
            t.note_failure("printer", error)
            await t.sound("error")
            t.devices.keypad.flush()
            again = await dialogs.confirm(
                t, error.text_key, {}, TROUBLE_TIMEOUT_MS, "hint.skip", "hint.retry"
            )
            if not again:
                await dialogs.message(t, "print.kept", {}, 3_000)
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
    words = {records.COPY_MERCHANT: "print.copy.merchant"}
    await t.show_result(screens.printing(words.get(copy, "print.copy.cardholder")))
    document = receipts.receipt("sale", receipt, copy, duplicate, columns(t), t.view.texts)
    if not await _print(t, document):
        return False
    # A cardholder copy that is forgotten in a power cut costs one more DUPLICATE at most.
    await _printed(t, stan, copy, copy == records.COPY_MERCHANT)
    return True


async def _printed(t: "Terminal", stan: int, copy: str, sync: bool) -> None:
    body = {records.K_STAN: stan, records.K_COPY: copy}
    await t.journal.append(records.PRINTED, body, sync=sync)


async def reversal_slip(
    t: "Terminal", stan: int, receipt: "dict[str, Any]", duplicate: bool
) -> None:
    """The merchant's copy of an acknowledged reversal, journalled once printed."""
    document = receipts.receipt(
        "reversed", receipt, records.COPY_MERCHANT, duplicate, columns(t), t.view.texts
    )
    if await _print(t, document):
        await _printed(t, stan, records.COPY_MERCHANT, True)


def columns(t: "Terminal") -> int:
    """Columns of the printer's paper; 32 where there is none."""
    return int(t.devices.printer.columns) if t.devices.printer is not None else 32


async def slip(t: "Terminal", kind: str, data: "dict[str, Any]") -> None:
    """One slip of a kind that ``services/receipts.py`` knows; merchant's copy."""
    await t.show_result(screens.printing("print.copy.merchant"))
    document = receipts.receipt(kind, data, records.COPY_MERCHANT, False, columns(t), t.view.texts)
    await _print(t, document)


async def reprint_last(t: "Terminal") -> None:
    """The last payment's slip again, marked DUPLICATE."""
    body = t.journal.state.last_receipt
    if body is None:
        await dialogs.message(t, "print.none")
        return
    await t.view.show(screens.printing("print.copy.merchant"))
    document = receipts.receipt(
        _SLIPS[body.get(records.K_OUTCOME)],
        body[records.K_RECEIPT],
        records.COPY_MERCHANT,
        True,
        columns(t),
        t.view.texts,
    )
    await _print(t, document)


async def feed(t: "Terminal") -> None:
    """Move the paper; a printer in trouble says so."""
    try:
        if t.devices.printer is not None:
            await t.devices.printer.print([("feed", 3)])
    except TillError as error:
        t.note_failure("printer", error)
        await dialogs.message(t, error.text_key)
