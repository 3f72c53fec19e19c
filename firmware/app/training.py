"""A training sale: the steps of a payment with whatever card, and no money in it.

The card is powered and asked nothing; no number is taken for a payment, nothing is in the
totals, and the screens and the slip say TRAINING.
"""

from firmware import aio
from firmware.app import dialogs, printing, sale
from firmware.errors import Cancelled, TillError, Timeout
from firmware.hal.card_reader import CardMute
from firmware.services import slip_data
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal
    from firmware.services.register import Order

DONE_MS = 3_000


async def run(t: "Terminal", order: "Order", slot_free: bool) -> None:
    """One training sale, to the idle screen. ``order`` hears each step and the end."""
    try:
        reason = await _steps(t, order, slot_free)
        order.outcome = ("failed" if reason else "done", reason)
    except (Cancelled, Timeout) as given_up:
        order.outcome = ("cancelled", given_up.text_key)
    except TillError as error:
        order.outcome = ("failed", error.text_key)
    order.tell("final")
    await _tell(t, order)
    await sale.end(t)
    await t.lamps("ready")


async def _tell(t: "Terminal", order: "Order") -> None:
    """How it ended, to whoever stands there; who gave up knows."""
    outcome, reason = order.outcome
    if outcome != "cancelled":
        await t.sound("ok" if outcome == "done" else "error")
        await dialogs.message(t, reason or "training.done", {"detail": "", "code": ""}, DONE_MS)


async def _steps(t: "Terminal", order: "Order", slot_free: bool) -> str:
    """Do them; text key of what the acquirer could not be asked for, "" when all is well.
    Cancelled, Timeout, CardError."""
    started = aio.ticks_ms()
    if not slot_free:
        await sale.old_card_out(t)
    amount_text = t.amount_text(order.amount)
    order.step("amount", aio.elapsed_ms(started))
    started = aio.ticks_ms()
    await sale.card_in(t, amount_text)
    try:
        await t.devices.card_reader.power_on()
    except CardMute:
        pass  # whatever card: none is asked anything
    order.step("card", aio.elapsed_ms(started))
    reason = ""
    session = t.session
    if session is not None and session.signed_in:
        started = aio.ticks_ms()
        reason = await _host(t, amount_text)
        order.step("host", aio.elapsed_ms(started))
    if order.aborted.is_set():
        raise Cancelled("given up")
    if t.devices.printer is not None and t.provision is not None:
        started = aio.ticks_ms()
        emulated = bool(t.devices.capabilities.emulated)
        data = slip_data.training(t.provision, emulated, order.amount, await t.moment())
        await printing.slip(t, "training", data)
        order.step("print", aio.elapsed_ms(started))
    return reason


async def _host(t: "Terminal", amount_text: str) -> str:
    """Ask the acquirer for a sign of life; text key of why there is none."""
    assert t.session is not None
    await t.view.show(screens.progress("sale.stage.connecting", 0, amount_text))
    try:
        async with t.session.lock:
            await t.session.echo()
    except TillError as error:
        return error.text_key
    return ""
