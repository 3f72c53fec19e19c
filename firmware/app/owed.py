"""What the merchant still has to be told or given: reversals that were
acknowledged behind his back, and paper that a restart left owed.

The journal's ``print_owed`` is the list of both; ``Terminal.told`` says up to
which record he has heard of it in this life.
"""

from firmware.app import dialogs, printing
from firmware.hal.files import FilesError
from firmware.payment.journal import records
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.payment.journal.fold import PrintOwed
    from firmware.payment.journal.records import Record

#: A reversal told at the idle screen stands this long, or until a key.
TOLD_MS = 60_000


def paper(t: "Terminal") -> "list[PrintOwed]":
    """What an earlier life committed or reversed and never printed."""
    return [
        owed
        for owed in t.journal.state.print_owed
        if records.COPY_MERCHANT not in owed.printed and owed.sequence <= t.told
    ]


async def after_restart(t: "Terminal") -> None:
    """Print ``paper``, marked DUPLICATE (rules of money, 1)."""
    for owed in paper(t):
        record = await _record(t, owed)
        if record is None:
            continue
        receipt = record.body[records.K_RECEIPT]
        reversal = record.kind == records.REVERSED
        if reversal:
            await _show(t, receipt)
            await dialogs.acknowledge(t, printing.COPY_TIMEOUT_MS)
        if not await dialogs.confirm(
            t, "idle.print_owed", {}, printing.COPY_TIMEOUT_MS, "hint.skip", "hint.print"
        ):
            continue
        if reversal:
            await printing.reversal_slip(t, owed.stan, receipt, True)
        else:
            await printing.sale_copy(t, owed.stan, receipt, records.COPY_MERCHANT, True)


async def tell_reversals(t: "Terminal", timeout_ms: int, digits: bool = False) -> str:
    """Tell what was reversed since the merchant last heard: result and slip.

    Gives the key that ended it (``dialogs.acknowledge``), "" when there was
    nothing to tell. The paper comes while the result stands.
    """
    pressed = ""
    for owed in list(t.journal.state.print_owed):
        if owed.sequence <= t.told:
            continue
        record = await _record(t, owed)
        if record is not None and record.kind == records.REVERSED:
            receipt = record.body[records.K_RECEIPT]
            await t.lamps("error")
            await t.sound("error")
            await _show(t, receipt)
            try:
                await printing.reversal_slip(t, owed.stan, receipt, False)
            except FilesError:
                t.told = owed.sequence  # it is on paper: not again in this life
                raise
            t.told = owed.sequence
            await _show(t, receipt)  # a printer in trouble had its own screens
            pressed = await dialogs.acknowledge(t, timeout_ms, digits)
        t.told = owed.sequence
    return pressed


async def reversed_in_sale(t: "Terminal", stan: int) -> None:
    """The slip of a reversal whose result the sale itself has shown."""
    for owed in list(t.journal.state.print_owed):
        record = await _record(t, owed) if owed.stan == stan else None
        if record is not None and record.kind == records.REVERSED:
            t.told = owed.sequence
            await t.show_result(screens.printing("print.copy.merchant"))
            await printing.reversal_slip(t, stan, record.body[records.K_RECEIPT], False)


async def _show(t: "Terminal", receipt: "dict[str, Any]") -> None:
    amount_text = str(receipt["amount_text"])
    await t.view.show(screens.result("reversed", "unknown.reversed", {}, amount_text, ""))


async def _record(t: "Terminal", owed: "PrintOwed") -> "Record | None":
    """The record that holds an owed slip's values; None if it is gone."""
    for record in await t.journal.read(owed.sequence - 1, 1):
        if record.sequence == owed.sequence and records.K_RECEIPT in record.body:
            return record
    return None
