"""Short messages that the SIM received: taken from the modem when somebody looks."""

from firmware.app import dialogs, link_work, menu
from firmware.hal.bearer import BearerError
from firmware.ui import link_screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.link_work import Visit
    from firmware.hal.mobile import Mobile, ShortMessage
    from firmware.services.link_supervisor import Way

#: Kept until the terminal ends, the newest; the modem has them no longer.
MOST = 20
#: Times that the modem is asked in one visit: a whole SIM has room for less.
ASKS = 4
#: A line of a text, in narrow columns.
COLUMNS = 14


async def messages(visit: "Visit", way: "Way") -> None:
    """The list, the newest first, and from there each message."""
    t = visit.t
    kept = t.messages.setdefault(way.name, [])
    # Not to be cancelled: what was taken would be lost.
    await t.view.show(link_screens.working("link.stage.asking", 0))
    modem: "Mobile" = way.bearer  # type: ignore[assignment]  # the page asks a modem's alone
    try:
        for _ in range(ASKS):
            taken = await modem.messages()
            if not taken:
                break
            kept.extend(taken)
            kept.sort(key=_order)
            del kept[MOST:]
    except BearerError as error:
        await link_work.failed(t, "mobile", error)
    else:
        if not kept:
            await dialogs.message(t, "mobile.no_messages")
    while kept:
        items = [_clean(one.sender)[:16] or "?" for one in kept]
        chosen = await dialogs.choose(t, "mobile.messages", items, menu.MENU_TIMEOUT_MS)
        if chosen is None:
            return
        await dialogs.lines(t, "mobile.messages", lines(kept[chosen]), menu.MENU_TIMEOUT_MS)


def lines(message: "ShortMessage") -> "list[tuple[str, str]]":
    """Sender, time and text, in lines that fit every panel."""
    part = str(message.part) + "/" + str(message.parts) if message.parts > 1 else ""
    told = [(_clean(message.sender)[:16] or "?", part)]
    if message.stamp:
        told.append((_clean(message.stamp)[:16], ""))
    return told + [(line, "") for line in _wrapped(_clean(message.text))]


def _order(message: "ShortMessage") -> "tuple[int, int]":
    """The newest first; parts of a long one in their order."""
    digits = "".join([sign for sign in message.stamp if sign in "0123456789"])
    return -int(digits or "0"), message.part


def _clean(text: str) -> str:
    """Without signs that are no writing."""
    return "".join([sign if sign >= " " and sign != "\x7f" else " " for sign in text]).strip()


def _wide(sign: str) -> bool:
    return ord(sign) >= 0x1100


def _wrapped(text: str) -> "list[str]":
    """Lines of COLUMNS, of wide writing half as many signs; no word or number is torn
    that fits a line."""
    found = []
    while text:
        end = columns = 0
        while end < len(text) and columns + 1 + _wide(text[end]) <= COLUMNS:
            columns += 1 + _wide(text[end])
            end += 1
        at = end if end < len(text) else 0
        while at and not (_breaks(text[at - 1]) or _breaks(text[at])):
            at -= 1
        end = at or end
        found.append(text[:end].strip())
        text = text[end:].strip()
    return found


def _breaks(sign: str) -> bool:
    return sign == " " or _wide(sign)
