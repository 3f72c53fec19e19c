"""Questions to the person in front of the terminal: keys in, an answer out."""

from firmware import aio
from firmware.errors import Cancelled, Timeout
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.errors import TillError
    from firmware.ui.tree import Screen

#: A message stays this long unless a key ends it earlier.
MESSAGE_MS = 10_000


async def first(
    t: "Terminal",
    *named: "tuple[str, Coroutine[Any, Any, Any]]",
    timeout_ms: "int | None" = None,
) -> "tuple[str, Any]":
    """``aio.first`` for what waits for a person: Cancelled when the register takes the
    payment back."""
    if t.order is None:
        return await aio.first(*named, timeout_ms=timeout_ms)
    back = ("back", t.order.aborted.wait())
    name, value = await aio.first(back, *named, timeout_ms=timeout_ms)
    if name == "back":
        raise Cancelled("the register took it back")
    return name, value


async def key(t: "Terminal", timeout_ms: int) -> str:
    """The next key press. Timeout when none comes; the key clicks."""
    name, value = await first(t, ("key", t.devices.keypad.read()), timeout_ms=timeout_ms)
    if name == "timeout":
        raise Timeout("no key for " + str(timeout_ms) + " ms")
    await t.sound("key")
    return str(value)


async def message(
    t: "Terminal",
    text_key: str,
    fields: "dict[str, Any] | None" = None,
    timeout_ms: int = MESSAGE_MS,
) -> None:
    """Show a text until Enter, Cancel or Clear, or until it has been read long enough."""
    await t.view.show(screens.message(text_key, fields or {}))
    await acknowledge(t, timeout_ms)


async def failure(t: "Terminal", error: "TillError") -> None:
    """Tell an error that ended a flow, with the acquirer's code where there is one."""
    await t.lamps("error")
    await t.sound("error")
    fields = {"detail": str(error)[:60], "code": getattr(error, "code", "")}
    await message(t, error.text_key, fields)


async def acknowledge(t: "Terminal", timeout_ms: int, digits: bool = False) -> str:
    """Leave what is shown until Enter, Cancel or Clear, or for ``timeout_ms``.

    Gives the key, "" after silence. ``digits``: one that begins an amount ends it
    as well; the caller begins the payment with it. Where nothing else is to be done a
    register's next payment ends it too.
    """
    started = aio.ticks_ms()
    held = not t.free
    t.free = not held or (t.order is not None and t.order.final)
    try:
        while True:
            left = timeout_ms - aio.elapsed_ms(started)
            if left <= 0:
                return ""
            sources = [("key", t.devices.keypad.read())]
            if t.free:
                sources.append(("asked", t.asked.wait()))
            name, value = await aio.first(*sources, timeout_ms=left)
            if name != "key":
                return ""
            if value in ("enter", "cancel", "clear") or (digits and begins_amount(value)):
                return str(value)
    finally:
        if held:
            t.free = False


def begins_amount(key: str) -> bool:
    """Whether this key at the idle screen begins a sale as its first digit."""
    return key.isdigit() and key not in ("0", "00")


async def ask(
    t: "Terminal",
    text_key: str,
    fields: "dict[str, Any] | None",
    timeout_ms: int,
    no: str = "hint.no",
    yes: str = "hint.yes",
) -> "bool | None":
    """Enter is yes, Cancel is no; None after silence: for where no does something too."""
    await t.view.show(screens.question(text_key, fields or {}, no, yes))
    while True:
        try:
            pressed = await key(t, timeout_ms)
        except Timeout:
            return None
        if pressed == "enter":
            return True
        if pressed == "cancel":
            return False


async def confirm(
    t: "Terminal",
    text_key: str,
    fields: "dict[str, Any] | None",
    timeout_ms: int,
    no: str = "hint.no",
    yes: str = "hint.yes",
) -> bool:
    """As ``ask``; silence is no."""
    return await ask(t, text_key, fields, timeout_ms, no, yes) or False


async def choose(
    t: "Terminal", title_key: str, items: "list[str]", timeout_ms: int
) -> "int | None":
    """Pick one of ``items`` with a digit, or arrows and Enter; None for Cancel or silence."""
    return await pick(t, len(items), timeout_ms, lambda at: screens.choose(title_key, items, at))


async def pick(
    t: "Terminal", count: int, timeout_ms: int, screen: "Callable[[int], Screen]"
) -> "int | None":
    """As ``choose``, on ``screen(selected)``."""
    selected = 0
    while True:
        await t.view.show(screen(selected))
        try:
            pressed = await key(t, timeout_ms)
        except Timeout:
            return None
        if pressed == "cancel":
            return None
        if pressed == "enter":
            return selected
        if pressed == "up":
            selected = (selected - 1) % count
        elif pressed == "down":
            selected = (selected + 1) % count
        elif len(pressed) == 1 and pressed in "123456789" and int(pressed) <= count:
            return int(pressed) - 1


async def menu(
    t: "Terminal", title_key: str, keys: "list[str]", timeout_ms: int, marked: "int | None" = None
) -> "int | None":
    """As ``choose``, for choices that are text keys of ours; ``marked`` is in force now."""
    return await pick(
        t, len(keys), timeout_ms, lambda at: screens.menu(title_key, keys, at, marked=marked)
    )


async def lines(
    t: "Terminal", title_key: str, items: "list[tuple[str, str]]", timeout_ms: int
) -> None:
    """A page of (name, value) lines that up and down scroll, until Enter or Cancel."""
    await scroll(t, len(items), timeout_ms, lambda first: screens.info(title_key, items, first))


async def scroll(
    t: "Terminal", count: int, timeout_ms: int, screen: "Callable[[int], Screen]"
) -> str:
    """``screen(first)`` scrolled by up and down; gives "enter", "cancel", "clear",
    or "" after silence."""
    first = 0
    while True:
        await t.view.show(screen(first))
        try:
            pressed = await key(t, timeout_ms)
        except Timeout:
            return ""
        if pressed in ("enter", "cancel", "clear"):
            return pressed
        if pressed == "down" and first < count - 1:
            first += 1
        elif pressed == "up" and first > 0:
            first -= 1


async def digits(t: "Terminal", title_key: str, most: int, timeout_ms: int) -> str:
    """A secret number (supervisor code): only its length is shown. Cancelled, Timeout."""
    typed = ""
    while True:
        await t.view.show(screens.secret(title_key, len(typed)))
        pressed = await key(t, timeout_ms)
        if pressed == "cancel":
            raise Cancelled("code entry")
        if pressed == "enter" and typed:
            return typed
        if pressed == "clear":
            typed = typed[:-1]
        elif pressed.isdigit() and len(typed) + len(pressed) <= most:
            typed += pressed


class CancelWatch:
    """Notes a Cancel key pressed while the card works."""

    def __init__(self, t: "Terminal") -> None:
        self._t = t
        self.pressed = False
        self._task = aio.spawn("cancel watch", self._watch())

    async def _watch(self) -> None:
        """A register that takes the payment back counts as the key."""
        while not self.pressed:
            try:
                _, pressed = await first(self._t, ("key", self._t.devices.keypad.read()))
            except Cancelled:
                pressed = "cancel"
            self.pressed = pressed == "cancel"

    async def pause(self) -> None:
        """Leave the keypad to a dialog."""
        await self.stop()

    def resume(self) -> None:
        """Watch again."""
        self._task = aio.spawn("cancel watch", self._watch())

    async def stop(self) -> None:
        """Stop watching; later keys are left for the next reader."""
        self._task.cancel()
        await self._task.done.wait()
        self._t.note_end(self._task)
