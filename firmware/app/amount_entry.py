"""Keying the amount of a sale."""

from firmware.app import dialogs
from firmware.errors import Cancelled, Timeout
from firmware.payment.money import Entry
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal

TIMEOUT_MS = 60_000


async def run(t: "Terminal", first_key: str) -> int:
    """Digits fill from the right; Enter takes the amount. Cancelled, Timeout. 0 when a
    register asks before the first key: a card alone is nobody's amount yet."""
    assert t.provision is not None
    entry = Entry(t.currency, t.provision.terminal.largest_amount)
    if first_key:
        entry.key(first_key)
    while True:
        await t.view.show(screens.amount(entry.money().format(), t.currency.code))
        pressed = await _key(t)
        if not pressed:
            return 0
        if pressed == "cancel":
            raise Cancelled("amount entry")
        if pressed == "clear":
            entry.key("clear")
        elif pressed == "enter":
            if entry.money().minor:
                t.keyed = entry.money().minor
                return t.keyed
            await _refuse(t, "sale.amount.zero")
        elif pressed.isdigit() and not entry.key(pressed):
            await _refuse(t, "sale.amount.too_large")


async def _key(t: "Terminal") -> str:
    """The next key; "" when a register asks while it may still be taken."""
    if not t.free:
        return await dialogs.key(t, TIMEOUT_MS)
    name, value = await dialogs.first(
        t, ("key", t.devices.keypad.read()), ("asked", t.asked.wait()), timeout_ms=TIMEOUT_MS
    )
    if name == "timeout":
        raise Timeout("no key for " + str(TIMEOUT_MS) + " ms")
    if name == "asked":
        return ""
    t.begin()
    await t.sound("key")
    return str(value)


async def _refuse(t: "Terminal", text_key: str) -> None:
    await t.sound("error")
    await dialogs.message(t, text_key, {}, 3_000)
