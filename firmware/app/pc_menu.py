"""The PC's page of the menu: pair one, list them, revoke one."""

from firmware import aio
from firmware.app import dialogs, menu
from firmware.errors import TillError
from firmware.services import calendar, pair_window
from firmware.services.pair_window import AGREED, ASKED, KEEPING, PAIRED, SHOWN, WRONG
from firmware.ui import pc_screens, screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal
    from firmware.services.pair_table import Pair
    from firmware.services.pair_window import Attempt, Pairings, Window

#: The screen counts the seconds.
LOOK_MS = 1000
_STAGES = {AGREED: "pc.stage.agreed", KEEPING: "pc.stage.keeping"}


async def run(t: "Terminal") -> None:
    """Show the page until Cancel."""
    link = t.pc_link
    if link is None:
        await dialogs.message(t, "pc.none")
        return
    pairings = await link.pairings()
    chosen = await dialogs.menu(t, "menu.pc", ["pc.pair", "pc.paired"], menu.MENU_TIMEOUT_MS)
    if chosen == 0:
        await _pair(t, pairings)
    elif chosen == 1:
        await _paired(t, pairings)


async def _may(t: "Terminal") -> bool:
    """Whether a supervisor is at it. Without a bundle there is no code to ask for, and
    nobody is paired with."""
    if t.provision is None:
        await dialogs.message(t, "error.not_provisioned")
        return False
    if not t.may_journal:
        await dialogs.message(t, "error.journal_blocked")
        return False
    return await menu.supervisor(t)


# ---- the window ----------------------------------------------------------------------------


async def _pair(t: "Terminal", pairings: "Pairings") -> None:
    if await _locked(t, pairings) or not await _may(t):
        return
    window = pairings.open()
    try:
        await _serve(t, pairings, window)
    finally:
        pairings.close()


async def _locked(t: "Terminal", pairings: "Pairings") -> bool:
    left = pairings.lock_ms
    if left:
        await dialogs.message(t, "pc.locked", {"minutes": -(-left // 60_000)})
    return left > 0


async def _serve(t: "Terminal", pairings: "Pairings", window: "Window") -> None:
    """Until a PC is paired, the window's time or its codes are used up, or Cancel."""
    told: "Attempt | None" = None
    seen = False  # who asks; next comes what for
    while True:
        window.changed.clear()
        attempt = window.attempt if window.attempt is not told else None
        if attempt is not None and attempt.over:
            told, seen = attempt, False
            await _tell(t, pairings, attempt)
            if attempt.stage == PAIRED or await _locked(t, pairings):
                return
            continue
        if attempt is None and not window.left_ms:
            await dialogs.message(t, "pc.nobody_asked")
            return
        await _draw(t, window, attempt, seen)
        name, key = await aio.first(
            ("key", t.devices.keypad.read()), ("changed", window.changed.wait()), timeout_ms=LOOK_MS
        )
        if name != "key":
            if attempt is not None and attempt.stage == ASKED and not window.left_ms:
                attempt.answer(False)
            continue
        await t.sound("key")
        if key == "cancel":
            if attempt is None:
                return
            attempt.answer(False)
        elif key == "enter" and attempt is not None and attempt.stage == ASKED:
            if seen:
                attempt.answer(True)
            seen = True


async def _draw(t: "Terminal", window: "Window", attempt: "Attempt | None", seen: bool) -> None:
    if attempt is None:
        screen = pc_screens.waiting(-(-window.left_ms // 1000))
    elif attempt.stage == ASKED and not seen:
        screen = pc_screens.asks(attempt.name, attempt.fingerprint)
    elif attempt.stage == ASKED:
        screen = pc_screens.roles(_words(t, attempt.roles))
    elif attempt.stage == SHOWN:
        screen = pc_screens.code(attempt.code)
    else:
        screen = screens.progress(_STAGES.get(attempt.stage, "pc.stage.keeping"))
    await t.view.show(screen)


def _words(t: "Terminal", roles: "tuple[str, ...]") -> str:
    texts = t.view.texts
    return texts.get("pc.and").join([texts.get(_role(role)) for role in roles])


def _role(role: str) -> str:
    return "pc.role." + role.replace("-", "_")


async def _tell(t: "Terminal", pairings: "Pairings", attempt: "Attempt") -> None:
    """What came of an attempt."""
    if attempt.stage == PAIRED:
        await t.sound("ok")
        await t.view.show(pc_screens.paired(attempt.name))
        await dialogs.acknowledge(t, dialogs.MESSAGE_MS)
        return
    await t.sound("error")
    if attempt.error is not None:
        await dialogs.failure(t, attempt.error)
    elif attempt.stage == WRONG:
        await dialogs.message(t, "pc.wrong", {"left": pairings.codes_left % pair_window.CODES})
    elif attempt.agreed is not False:
        await dialogs.message(t, "pc.failed")


# ---- the table -----------------------------------------------------------------------------


async def _paired(t: "Terminal", pairings: "Pairings") -> None:
    """The list, and from there each one, until Cancel or none is left."""
    while True:
        pairs = list(pairings.table.pairs)
        if not pairs:
            await dialogs.message(t, "pc.nobody")
            return
        names = [pair.name[:16] for pair in pairs]
        chosen = await dialogs.choose(t, "pc.paired", names, menu.MENU_TIMEOUT_MS)
        if chosen is None:
            return
        await _one(t, pairings, pairs[chosen])


async def _one(t: "Terminal", pairings: "Pairings", pair: "Pair") -> None:
    items = [("pc.key", pair.fingerprint[:8]), ("", pair.fingerprint[8:])]
    for role in pair.roles:
        items.append(("pc.may", _role(role)))
    for key, seconds in (("pc.made", pair.made), ("pc.seen", pair.seen)):
        items.append((key, _date(t, seconds)))
    pressed = await dialogs.scroll(
        t, len(items), menu.MENU_TIMEOUT_MS, lambda at: pc_screens.pair(pair.name, items, at)
    )
    if pressed != "enter":
        return
    if not await dialogs.confirm(t, "pc.revoke", None, menu.MENU_TIMEOUT_MS) or not await _may(t):
        return
    try:
        await pairings.revoke(pair.fingerprint)
    except TillError as error:
        t.note_failure("files", error)
        await dialogs.failure(t, error)
        return
    await dialogs.message(t, "pc.revoked")


def _date(t: "Terminal", seconds: int) -> str:
    if not seconds:
        return "-"
    offset = t.provision.terminal.utc_offset if t.provision is not None else 0
    year, month, day = calendar.civil(seconds + offset * 60)[:3]
    return "-".join([str(year), calendar.digits(month, 2), calendar.digits(day, 2)])
