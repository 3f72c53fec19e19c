"""The page of counters: what the terminal has done, and a service that is noted."""

from firmware.app import dialogs, menu, printing
from firmware.app.terminal import SUPERVISOR
from firmware.payment.journal import records as r
from firmware.services import calendar, slip_data
from firmware.services.counters import NAMES, cut_off
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.services.counters import Due


def lines(t: "Terminal") -> "list[tuple[str, str]]":
    """(text key, value) of each counter; "-" where this terminal cannot know."""
    totals = t.counters.totals()
    items = []
    for number in sorted(NAMES):
        total = totals[number]
        text = "-" if total is None else str(total)
        if number == r.C_PAPER and total is not None:
            text = str(total // 1000) + "." + str(total // 100 % 10) + " m"
        elif number == r.C_ENDS:
            text = str(cut_off(t.journal.state, t.counters.started))
        items.append(("counters." + NAMES[number], text))
    return items


async def run(t: "Terminal") -> None:
    """Show the counters, print them on Enter, then ask of each part that is due."""
    items = lines(t)
    printer = t.devices.printer is not None
    pressed = await dialogs.scroll(
        t,
        len(items),
        menu.MENU_TIMEOUT_MS,
        lambda first: screens.info("menu.counters", items, first, "hint.print" if printer else ""),
    )
    if not pressed:
        return
    if pressed == "enter" and printer:
        await _print(t, items)
    for due in t.counters.due():
        if not await _asked(t, due):
            return


async def _print(t: "Terminal", items: "list[tuple[str, str]]") -> None:
    data: "dict[str, Any]" = {
        "counters": items,
        "due": [due.text_key for due in t.counters.due()],
        "serial": t.board["serial"],
        "version": t.board["version"],
        "test": t.test,
        "emulated": t.devices.capabilities.emulated,
    }
    moment = await t.moment()
    if moment is not None:
        data["date"], data["time"] = slip_data.stamped(calendar.stamp(moment))
    await printing.slip(t, "counters", data)


async def _asked(t: "Terminal", due: "Due") -> bool:
    """Whether a supervisor says that this part was serviced, which is journalled."""
    if t.provision is None or not await dialogs.confirm(
        t, due.text_key, {}, menu.MENU_TIMEOUT_MS, "hint.skip", "hint.done"
    ):
        return False
    if not await menu.supervisor(t):
        return False
    now = await t.now() if await t.moment() is not None else None
    await t.counters.serviced(due.number, SUPERVISOR, now)
    await dialogs.message(t, "service.noted")
    return True
