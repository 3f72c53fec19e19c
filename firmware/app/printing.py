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
    if await _copy(t, stan, receipt, records.COPY_MERCHANT, False):
        t.devices.keypad.flush()  # what was mashed before is no answer
        await t.view.show(
            screens.question("print.customer_question", {}, "hint.skip", "hint.print")
        )
        name, pressed = await aio.first(
            ("key", t.devices.keypad.read()), timeout_ms=COPY_TIMEOUT_MS
        )
        if name == "timeout" or pressed != "cancel":
            await _copy(t, stan, receipt, records.COPY_CUSTOMER, False)


async def _copy(
    t: "Terminal", stan: int, receipt: "dict[str, Any]", copy: str, duplicate: bool
) -> bool:
    words = {records.COPY_MERCHANT: "print.copy.merchant"}
    await t.view.show(screens.printing(words.get(copy, "print.copy.cardholder")))
    document = receipts.receipt("sale", receipt, copy, duplicate, columns(t), t.view.texts)
    if not await _print(t, document):
        return False
    # A cardholder copy that is forgotten in a power cut costs one more DUPLICATE at most.
    merchant = copy == records.COPY_MERCHANT
    body = {records.K_STAN: stan, records.K_COPY: copy}
    await t.journal.append(records.PRINTED, body, sync=merchant)
    return True


def columns(t: "Terminal") -> int:
    """Columns of the printer's paper; 32 where there is none."""
    return int(t.devices.printer.columns) if t.devices.printer is not None else 32


async def slip(t: "Terminal", kind: str, data: "dict[str, Any]") -> None:
    """One slip of a kind that ``services/receipts.py`` knows; merchant's copy."""
    await t.view.show(screens.printing("print.copy.merchant"))
    document = receipts.receipt(kind, data, records.COPY_MERCHANT, False, columns(t), t.view.texts)
    await _print(t, document)


async def owed(t: "Terminal") -> None:
    """After a restart: copies of committed payments that were never printed.
    They come out marked DUPLICATE (rules of money, 1)."""
    for one in list(t.journal.state.print_owed):
        if records.COPY_MERCHANT in one.printed:
            continue
        body = await committed(t, one.sequence)
        if body is None:
            continue
        receipt = body[records.K_RECEIPT]
        if not await dialogs.confirm(
            t, "idle.print_owed", {}, COPY_TIMEOUT_MS, "hint.skip", "hint.print"
        ):
            continue
        await _copy(t, one.stan, receipt, records.COPY_MERCHANT, True)


async def committed(t: "Terminal", sequence: int) -> "dict[int, Any] | None":
    """Body of the COMMIT record with this sequence; None if it is gone."""
    for record in await t.journal.read(sequence - 1, 1):
        if record.sequence == sequence and record.kind == records.COMMIT:
            return record.body
    return None


async def reprint_last(t: "Terminal") -> None:
    """The last payment's slip again, marked DUPLICATE."""
    body = t.journal.state.last_receipt
    if body is None:
        await dialogs.message(t, "print.none")
        return
    kind = "declined" if body[records.K_OUTCOME] == records.OUTCOME_DECLINED else "sale"
    if body[records.K_OUTCOME] == records.OUTCOME_REVERSE:
        kind = "reversed" if await _was_reversed(t, body[records.K_STAN]) else "unknown"
    await t.view.show(screens.printing("print.copy.merchant"))
    document = receipts.receipt(
        kind,
        body[records.K_RECEIPT],
        records.COPY_MERCHANT,
        True,
        columns(t),
        t.view.texts,
    )
    await _print(t, document)


async def _was_reversed(t: "Terminal", stan: int) -> bool:
    """Whether the reversal of the last receipt's payment was acknowledged; it may
    still be owed, or a supervisor released it."""
    debt = t.journal.state.debt
    if debt is not None and debt.stan == stan:
        return False
    after = t.journal.state.last_receipt_sequence
    while True:
        found = await t.journal.read(after, 100)
        if not found:
            return False
        for record in found:
            if record.kind == records.REVERSED and record.body[records.K_STAN] == stan:
                return True
        after = found[-1].sequence


async def feed(t: "Terminal") -> None:
    """Move the paper; a printer in trouble says so."""
    try:
        if t.devices.printer is not None:
            await t.devices.printer.print([("feed", 3)])
    except TillError as error:
        t.note_failure("printer", error)
        await dialogs.message(t, error.text_key)
