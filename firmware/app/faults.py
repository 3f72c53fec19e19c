"""What no code foresaw: the background task begun again, and the last screen.

A defect is treated like a power cut. The journal is consistent at every
moment, so the process may end at any; it ends where no payment is in flight,
says so to merchant and engineer, and whoever supervises the process starts it
again.
"""

import binascii
import sys

from firmware import aio
from firmware.errors import TillError
from firmware.hal.indicators import LAMPS
from firmware.payment.journal import records
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.ui.view import View

#: Waits before the background task is begun again; the next defect ends the process.
AGAIN_MS = (5_000, 60_000)
#: How long the last screen stands before the process ends.
LAST_SCREEN_MS = 10_000


class JournalBroken(TillError):
    """The journal takes nothing more: nobody knows what reached the disk, and only
    the next start, which reads it back, tells (docs/journal.md)."""

    text_key = "error.journal_broken"


def code(error: Exception) -> str:
    """Four hexadecimal digits for the merchant to read out; stderr says the same."""
    return f"{binascii.crc32(_name(error).encode()) & 0xFFFF:04X}"


def report(what: str, error: Exception) -> None:
    """The error's name and where it happened, to stderr. Never its words: nobody
    knows what a card or a host put into them (rules of money, 16)."""
    print("till: " + what + ": defect " + code(error) + ": " + _name(error), file=sys.stderr)
    if hasattr(sys, "print_exception"):  # MicroPython
        import io

        told = io.StringIO()
        sys.print_exception(error, told)
        for line in told.getvalue().split("\n"):
            if line.startswith("  File "):
                print(line, file=sys.stderr)
    else:
        import traceback

        traceback.print_tb(error.__traceback__)


def _name(error: Exception) -> str:
    return error.__class__.__name__


async def keep_reversing(t: "Terminal") -> None:
    """The background task's supervisor: what ends it is noted and it begins again;
    the third time the terminal ends, once no payment is in flight."""
    assert t.session is not None
    for wait in AGAIN_MS + (-1,):
        try:
            await t.session.retry_debts()
        except Exception as error:  # noqa: BLE001 - noted, told and bounded
            report("reversals", error)
            await _note(t, error)
            if wait < 0:
                t.defect = error
                t.session.changed.set()
                return
        await aio.sleep_ms(wait)


async def _note(t: "Terminal", error: Exception) -> None:
    body: "dict[int, Any]" = {records.K_CODE: "defect", records.K_DETAIL: _name(error)[:200]}
    try:
        await t.journal.append(records.NOTICE, body, sync=False)
    except TillError as second:
        t.note_failure("files", second)


async def last_screen(devices: "Any", view: "View", error: Exception) -> None:
    """Lamp, sound and a plain screen, as far as they still work."""
    for step in (_lamp(devices), view.show(screens.message(_text_key(error), _fields(error), ""))):
        try:
            await step
        except TillError as second:
            print("till: " + str(second), file=sys.stderr)
    await aio.sleep_ms(LAST_SCREEN_MS)


def _text_key(error: Exception) -> str:
    return error.text_key if isinstance(error, TillError) else "error.crash"


def _fields(error: Exception) -> "dict[str, Any]":
    return {"code": code(error)}


async def _lamp(devices: "Any") -> None:
    if devices.indicators is not None:
        for name in LAMPS:
            await devices.indicators.lamp(name, name == "error")
        await devices.indicators.sound("error")
