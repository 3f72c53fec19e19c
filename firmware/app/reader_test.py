"""The page that tries the readers: tap, insert, swipe and scan, in any order."""

from firmware import aio
from firmware.app import dialogs
from firmware.services.reader_test import ReaderTest
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal

#: Without a key and without a card the page ends.
QUIET_MS = 120_000


async def run(t: "Terminal") -> None:
    """Show what comes to each reader until Enter, Cancel or Clear, or a long silence."""
    test = ReaderTest(t.devices)
    if not test.kinds:
        await dialogs.message(t, "readers.none")
        return
    test.begin()
    try:
        await _show(t, test)
    finally:
        await test.end()


async def _show(t: "Terminal", test: ReaderTest) -> None:
    heard = aio.ticks_ms()
    first = 0
    while True:
        lines = test.lines()
        await t.view.show(screens.info("menu.readers", lines, first))
        left = QUIET_MS - aio.elapsed_ms(heard)
        sources = [("key", t.devices.keypad.read())]
        sources += [(kind, test.seen(kind)) for kind in test.kinds]
        name, value = await aio.first(*sources, timeout_ms=max(left, 0))
        if name == "timeout" or value in ("enter", "cancel", "clear"):
            return
        if name == "key":
            await t.sound("key")
            if value == "down":
                first = min(first + 1, len(lines) - 1)
            elif value == "up":
                first = max(first - 1, 0)
        elif not value:
            continue  # it fails as before, which is no sign of life
        else:
            first = 0
            await t.sound("ok" if value == "ok" else "error")
        heard = aio.ticks_ms()
