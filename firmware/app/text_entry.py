"""A line typed on the keypad's digits: network names, passwords, addresses."""

from firmware import aio
from firmware.app import dialogs
from firmware.errors import Cancelled
from firmware.ui import link_screens
from firmware.ui.multi_tap import DIGITS, LOWER, SYMBOLS, TAP_MS, UPPER, MultiTap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.app.terminal import Terminal

#: Without a key for so long, typing ends.
TYPING_MS = 120_000

#: What a line is made of: (modes, symbols).
ANYTHING = ((LOWER, UPPER, DIGITS), SYMBOLS)
#: TS 23.003, 9.1: letters, digits, hyphens and dots; IPv4 addresses in dots.
APN = ((LOWER, DIGITS), ".-")
ADDRESS = ((DIGITS,), ".")


async def line(
    t: "Terminal",
    title_key: str,
    most: int,
    of: "tuple[tuple[str, ...], str]" = ANYTHING,
    secret: bool = False,
    text: str = "",
    refuse: "Callable[[str], str] | None" = None,
) -> str:
    """What was typed, at most ``most`` signs. ``text``: to begin with. ``refuse`` gives
    the text key of why a line is not taken, "" for one that is. Cancelled, Timeout."""
    entry = MultiTap(most, of[0], of[1], text)
    note = ""
    while True:
        await t.view.show(link_screens.typed(title_key, entry, secret, most, note))
        pressed = await _key(t, entry)
        if pressed == "enter":
            entry.settle()
            note = refuse(entry.text) if refuse is not None else ""
            if not note:
                return entry.text
        elif pressed == "cancel":
            raise Cancelled("typing")
        elif pressed:
            note = ""
            entry.press(pressed)


async def _key(t: "Terminal", entry: MultiTap) -> str:
    """The next key; "" when the last sign came to rest before it. Timeout."""
    if not entry.open:
        return await dialogs.key(t, TYPING_MS)
    name, value = await aio.first(("key", t.devices.keypad.read()), timeout_ms=TAP_MS)
    if name == "timeout":
        entry.settle()
        return ""
    await t.sound("key")
    return str(value)
