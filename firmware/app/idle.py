"""The idle screen, and what each key does from there."""

import sys

from firmware import aio
from firmware.app import dialogs, faults, owed, quiet
from firmware.app.terminal import Terminal
from firmware.errors import Cancelled, TillError, Timeout
from firmware.hal.card_reader import CardError
from firmware.hal.display import DisplayError
from firmware.hal.keypad import KeypadError, KeypadGone
from firmware.hal.printer import PrinterError
from firmware.hal.tamper import TamperError
from firmware.payment.journal import records
from firmware.payment.journal.journal import BLOCKED
from firmware.services import calendar
from firmware.ui import screens

#: The clock on the screen shows minutes; bars and battery may change sooner.
REFRESH_MS = 5_000
#: The printer is asked how it is this often at most; one that was silent, less often:
#: its silence takes time.
PRINTER_MS = 5_000
SILENT_PRINTER_MS = 60_000
#: Waits between attempts to bring a dead panel up again: two minutes in all.
REVIVE_MS = (500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000)


async def begin(t: Terminal) -> None:
    """The first idle screen, unless owed paper is asked about first; what was
    pressed before it was for nobody. DisplayError."""
    if t.devices.keypad is not None:
        t.devices.keypad.flush()
    t.told = t.journal.sequence
    if not (_asks(t) and owed.paper(t)):
        await show(t)


def _asks(t: Terminal) -> bool:
    """Whether an earlier life's paper can be asked about."""
    return t.devices.keypad is not None and t.session is not None and not t.blocked


async def run(t: Terminal) -> None:
    """Serve the merchant until the power goes. DisplayError when the panel stays
    dead; ``Terminal.defect`` is raised, JournalBroken when the journal breaks."""
    served = t.journal.trading != BLOCKED  # else its trouble is named since boot
    step = _once
    if t.devices.keypad is None:
        step = _mute
    asked = False
    quiet.prepare()
    while True:
        if t.defect is not None:
            raise t.defect
        if served and t.journal.broken:
            await _settled(t)
            raise faults.JournalBroken("journal: " + t.journal.broken)
        try:
            if t.devices.last_rung is not None and t.devices.last_rung.wanted:
                from firmware.app import restart

                await restart.run(t, t.devices.last_rung)
            if not asked and _asks(t):
                asked, step = True, owed.after_restart
            await guarded(t, step(t))
        except DisplayError as error:
            await _revive(t, error)
            continue
        if t.view.screen is not None and t.view.screen.name != "idle":
            quiet.tidy(t.view)
        if step is owed.after_restart:
            step = _once


async def _mute(t: Terminal) -> None:
    """Without a keypad nothing can be asked: the screen says why."""
    await show(t)
    await aio.sleep_ms(REFRESH_MS)


async def _revive(t: Terminal, error: DisplayError) -> None:
    """The panel died in service; no payment is in flight here. Lamp and sound say
    so while it is brought up again. DisplayError when it stays dead."""
    t.begin()
    for wait in REVIVE_MS:
        t.note_failure("display", error)
        print("till: display: " + str(error), file=sys.stderr)
        await t.lamps("error")
        await t.sound("error")
        await aio.sleep_ms(wait)
        try:
            await t.devices.display.restart()
            await show(t)
            return
        except DisplayError as again:
            error = again
    await _settled(t)
    raise error


async def _settled(t: Terminal) -> None:
    """Before the end: a reversal under way is waited for, none begins."""
    if t.session is not None:
        await t.session.lock.acquire()


async def guarded(t: Terminal, step: "object") -> None:
    """No error of a flow reaches the merchant as anything but a text."""
    try:
        await step  # type: ignore[misc]
    except Cancelled:
        await t.lamps("ready")
    except Timeout:
        await t.lamps("ready")
    except TillError as error:
        try:
            await dialogs.failure(t, error)
        except DisplayError:
            raise  # nobody could be told anything more
        except TillError as second:  # a broken keypad cannot acknowledge either
            t.note_failure("keypad", second)
            await aio.sleep_ms(REFRESH_MS)


async def _once(t: Terminal) -> None:
    t.free, t.keyed = True, 0
    await _keyboards(t)
    watched = await _watched(t)
    reader = t.devices.card_reader
    free, left = False, False
    t.reader_fault = ""
    if reader is not None and not t.blocked:
        try:
            left = await reader.present() and not t.slot_free
            free = not left
        except CardError as error:  # said on the idle screen until the reader answers again
            t.note_failure("card_reader", error)
            t.reader_fault = error.text_key
    t.slot_free = free
    if t.journal.state.debt is None:  # a reversal is shown before paper is asked about
        await _ask_printer(t)
    if t.session is not None:
        t.session.changed.clear()
    await show(t, left)
    heard = t.told
    pressed = await owed.tell_reversals(t, owed.TOLD_MS, digits=True)
    if t.told != heard:
        t.slot_free = False
        if dialogs.begins_amount(pressed):
            t.begin()
            await _key(t, pressed)
        return
    # A key goes first, a card last: who asks for a payment may find it in the slot already.
    sources = [("key", t.devices.keypad.read()), ("asked", t.asked.wait())]
    if free:
        sources.append(("card", reader.wait_present()))
    elif left:
        await t.sound("remove")
        sources.append(("out", reader.wait_removed()))
    if watched:
        sources.append(("tamper", t.devices.tamper.wait_open()))
    if t.session is not None:
        sources.append(("changed", t.session.changed.wait()))
    name, value = await aio.first(*sources, timeout_ms=REFRESH_MS)
    if name == "timeout":
        t.debt_first = not t.debt_first
    if name in ("timeout", "changed", "out"):
        return
    if name == "asked":
        from firmware.app import register

        await register.run(t)
        return
    if name != "card":
        t.begin()
    if name == "tamper":
        await _tampered(t)
        return
    # A flow is imported at its first use: what a merchant never does takes no memory.
    if name == "card":
        from firmware.app import sale

        t.slot_free = False
        await sale.run(t, "", True)
        return
    if t.blocked:
        await _keyboards(t)  # whose first key this may be
    await _key(t, str(value))


async def _key(t: Terminal, value: str) -> None:
    """What a key at the idle screen begins."""
    free, t.slot_free = t.slot_free, False
    await t.sound("key")
    if value == "menu" or value == "func":
        from firmware.app import menu

        await menu.run(t)
    elif value == "feed":
        from firmware.app import menu

        await menu.feed(t)
    elif value == "enter" or dialogs.begins_amount(value):
        from firmware.app import sale

        await sale.run(t, value if value != "enter" else "", free)


async def show(t: Terminal, card_left: bool = False) -> None:
    """Draw the idle screen from the devices' present state. ``card_left``: a card
    from before is in the slot and is asked out."""
    clock = "--:--"
    try:
        now = await t.local_time()
        clock = calendar.digits(now[3], 2) + ":" + calendar.digits(now[4], 2)
    except TillError as error:
        t.note_failure("clock", error)
    bars = 0
    try:
        if t.devices.network is not None:
            status = await t.devices.network.status()
            bars = status.bars if status.up else 0
    except TillError as error:
        t.note_failure("network", error)
    percent, mains, low = None, False, False
    try:
        if t.devices.power is not None:
            supply = await t.devices.power.status()
            percent, mains = supply.percent, supply.mains
            low = supply.low(t.devices.capabilities.least_percent)
    except TillError as error:
        t.note_failure("power", error)
    notices = list(t.blocked)
    if t.reader_fault:
        notices.append(t.reader_fault)
    state = t.journal.state
    amount_text = ""
    if state.debt is not None:
        amount_text = t.owed_text(state.debt.request)
        at_it = t.session is not None and t.session.reversing
        at = 0 if t.debt_first else len(notices)
        notices.insert(at, "idle.reversing" if at_it else "idle.reversal_owed")
    if low:
        notices.append("error.battery_low")
    if card_left:
        notices.append("idle.card_left")
    if t.printer_trouble:
        notices.append(t.printer_trouble)
    for due in t.counters.due()[:1]:
        notices.append(due.text_key)
    shop = t.provision.merchant.name if t.provision is not None else ""
    if t.provision is not None and t.view.language == "zh":
        shop = t.provision.merchant.name_zh or shop
    await t.lamps("error" if t.blocked else "ready")
    await t.view.show(
        screens.idle(
            clock, bars, percent, mains, shop=shop, notices=notices,
            fields={"amount": amount_text}, test=t.test,
            emulated=t.devices.capabilities.emulated,
        )
    )  # fmt: skip


async def _ask_printer(t: Terminal) -> None:
    """What keeps slips from being printed is said before one is wanted; it stops no
    payment."""
    wait = SILENT_PRINTER_MS if t.printer_trouble == "idle.printer" else PRINTER_MS
    if t.devices.printer is None or (
        t.printer_asked is not None and aio.elapsed_ms(t.printer_asked) < wait
    ):
        return
    try:
        status = await t.devices.printer.status()
        t.printer_trouble = ""
        if status.cover_open:
            t.printer_trouble = "idle.cover_open"
        elif status.paper_out:
            t.printer_trouble = "idle.no_paper"
        elif status.error:
            t.printer_trouble = "idle.printer"
    except PrinterError as error:
        t.note_failure("printer", error)
        t.printer_trouble = "idle.printer"
    t.printer_asked = aio.ticks_ms()


async def _keyboards(t: Terminal) -> None:
    """No payments without each of the keyboards, until they are there (again)."""
    try:
        await t.devices.keypad.check()
    except KeypadError as error:
        t.note_failure("keypad", error)
        if error.text_key not in t.blocked:
            t.blocked.append(error.text_key)
        return
    for key in (KeypadError.text_key, KeypadGone.text_key):
        if key in t.blocked:
            t.blocked.remove(key)


async def _watched(t: Terminal) -> bool:
    """Whether the tamper sensor can be waited for. One that does not answer is a
    fault: no payments until it does, and the keys stay."""
    if t.devices.tamper is None or "error.tamper" in t.blocked:
        return False
    try:
        await t.devices.tamper.open()
    except TamperError as error:
        t.note_failure("tamper", error)
        if error.text_key not in t.blocked:
            t.blocked.append(error.text_key)
        return False
    if TamperError.text_key in t.blocked:
        t.blocked.remove(TamperError.text_key)
    return True


async def _tampered(t: Terminal) -> None:
    """The case opened: every key is erased at once, then said."""
    t.blocked.insert(0, "error.tamper")  # first: whatever fails below, nothing is paid
    await t.devices.vault.erase()
    if t.pc_link is not None:
        t.pc_link.tampered()
    try:
        await t.journal.append(records.NOTICE, {records.K_CODE: "tamper"})
    except TillError as error:
        t.note_failure("files", error)
    forgetting = None
    if hasattr(t.devices.network, "ways"):
        from firmware.services import link_settings

        forgetting = aio.spawn("forget links", link_settings.wipe(t.devices))
    await t.lamps("error")
    await t.sound("error")
    await dialogs.message(t, "error.tamper", {})
    if forgetting is not None:
        await forgetting.done.wait()  # bounded for each link
        t.note_end(forgetting)
