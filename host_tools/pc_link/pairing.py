"""The PC's end of a first meeting (docs/link.md, Pairing): six digits are typed here that the
terminal shows. The state table is ``firmware.link.pairing``'s; here is what carries it."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from firmware.link import pairing, services
from host_tools.errors import UserError
from host_tools.pc_link.calls import Call, CallFailed
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.texts import said


async def pair(
    terminal: LinkedTerminal,
    known: KnownTerminals,
    roles: list[str],
    ask: Callable[[], Awaitable[str]],
    say: Callable[[str], None],
) -> Known:
    """Pair with a terminal that is connected; its entry, which is kept by then. ``ask`` gives
    the six digits once the terminal shows them; ``say`` hears what the user has to do.
    UserError: nothing was paired, and why."""
    machine = pairing.PcPairing(
        terminal.channel,
        secrets.token_bytes(pairing.CHALLENGE),
        secrets.token_bytes(pairing.SECRET),
        roles,
    )
    machine.step("begin")
    before = known.get(terminal.serial)
    entry = Known(
        terminal.serial, terminal.key, board=terminal.board, roles=tuple(machine.roles),
        place=terminal.place, usb=terminal.usb, made=int(time.time()),
    )  # fmt: skip
    say(said("Look at terminal {serial}: agree there that this PC may pair.",
             serial=terminal.serial))  # fmt: skip
    call = await terminal.open("pair_ask", {1: machine.roles})
    try:
        await _prove(machine, call, ask, say)
        known.put(entry)
        try:
            for _, message in machine.step("kept"):
                await call.send(message, last=True)
            machine.step("paired", await call.result())
        except (CallFailed, pairing.PairingFailed) as error:
            if getattr(error, "code", "") != services.LOST:  # else it may stand there
                _restore(known, before, terminal.serial)
            raise
    except pairing.PairingFailed as error:
        await call.cancel()
        raise UserError(_why(error)) from None
    finally:
        machine.abandon()
    confirmed = Known(**{**vars(entry), "confirmed": True})
    known.put(confirmed)
    return confirmed


async def _prove(
    machine: pairing.PcPairing,
    call: Call,
    ask: Callable[[], Awaitable[str]],
    say: Callable[[str], None],
) -> None:
    """Steps 2 to 6. PairingFailed, CallFailed."""
    items = call.items()
    for _, message in machine.step("commitment", await _item(items)):
        await call.send(message)
    machine.step("share", await _item(items))
    say(said("The terminal shows six digits."))
    answer = asyncio.ensure_future(_item(items))
    typing = asyncio.ensure_future(ask())
    try:
        await asyncio.wait({answer, typing}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():  # its window closed, the merchant gave up, or it broke the rules
            machine.step("reveal", answer.result())
        for _, message in machine.step("code", typing.result()):
            await call.send(message)
        machine.step("reveal", await answer)
    finally:
        for task in (answer, typing):
            task.cancel()
        for task in (answer, typing):
            with contextlib.suppress(asyncio.CancelledError, UserError, pairing.PairingFailed):
                await task


async def _item(items: Any) -> dict[int, Any]:
    try:
        item: dict[int, Any] = await anext(items)
    except StopAsyncIteration:
        raise pairing.PairingFailed("the terminal ended too early") from None
    return item


def _restore(known: KnownTerminals, before: Known | None, serial: str) -> None:
    if before is None:
        known.remove(serial)
    else:
        known.put(before)


def _why(error: pairing.PairingFailed) -> str:
    if isinstance(error, pairing.SomebodyBetween):
        return said("ALARM: the terminal did not prove that it showed this code ({cause}). Either "
                    "the code was mistyped, or somebody stands between this PC and the terminal. "
                    "Nothing was paired", cause=error)  # fmt: skip
    return said("pairing failed ({cause}); nothing was paired, begin again", cause=error)
