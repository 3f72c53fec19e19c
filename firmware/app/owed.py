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
    """Slips that the merchant knows of and that were never printed."""
    return [owed for owed in t.journal.state.print_owed if owed.sequence <= t.told]


async def after_restart(t: "Terminal") -> None:
    """Tell and print ``paper``, marked DUPLICATE (rules of money, 1). Who skips a
    slip is not asked about the others: the menu has them."""
    asked = True
    for owed in paper(t):
        record = await _record(t, owed)
        if record is None:
            continue
        if record.kind == records.REVERSED:
            await _show(t, record.body[records.K_RECEIPT])
            await dialogs.acknowledge(t, printing.COPY_TIMEOUT_MS)
        if t.devices.printer is None:
            await printing.owed_slip(t, owed, record, True)  # none is owed any longer
        elif asked:
            asked = bool(await _asked(t))
            if asked:
                await _print(t, owed, record, True)


async def _asked(t: "Terminal") -> "bool | None":
    """Whether to print them; None when nobody answers."""
    return await dialogs.ask(
        t, "idle.print_owed", {}, printing.COPY_TIMEOUT_MS, "hint.skip", "hint.print"
    )


async def reprint(t: "Terminal") -> None:
    """Print ``paper`` if the merchant wants it, until he skips one; if he does not, or
    there is none, the last slip again. All is marked DUPLICATE; silence prints nothing."""
    slips = paper(t) if t.devices.printer is not None else []
    wanted = await _asked(t) if slips else False
    if wanted is None:
        return
    if not wanted:
        await printing.reprint_last(t)
        return
    for owed in slips:
        record = await _record(t, owed)
        if record is not None and not await _print(t, owed, record, True):
            return


async def _print(t: "Terminal", owed: "PrintOwed", record: "Record", duplicate: bool) -> bool:
    await t.show_result(screens.printing("print.copy.merchant"))
    return await printing.owed_slip(t, owed, record, duplicate)


async def slip_of(t: "Terminal", sequence: int) -> None:
    """The slip of the record just journalled there."""
    for owed in list(t.journal.state.print_owed):
        record = await _record(t, owed) if owed.sequence == sequence else None
        if record is not None:
            t.told = sequence
            await _print(t, owed, record, False)


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
                await printing.owed_slip(t, owed, record, False)
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
            await _print(t, owed, record, False)


async def _show(t: "Terminal", receipt: "dict[str, Any]") -> None:
    amount_text = str(receipt["amount_text"])
    await t.view.show(screens.result("reversed", "unknown.reversed", {}, amount_text, ""))


async def _record(t: "Terminal", owed: "PrintOwed") -> "Record | None":
    """The record that holds an owed slip's values; None if it is gone."""
    for record in await t.journal.read(owed.sequence - 1, 1):
        if record.sequence == owed.sequence and records.K_RECEIPT in record.body:
            return record
    return None
