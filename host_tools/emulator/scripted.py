"""Hands that work a machine by themselves: the states of ``till emulate`` and the demo."""

import time
from typing import Any

from host_tools.emulator.machine import Machine

#: States that need the terminal to be provisioned before it boots.
UNPROVISIONED = ("fresh",)
BOOT_S = 20.0


def before_power(machine: Machine, state: str, language: str = "en") -> None:
    """What must be so before the terminal's first boot."""
    if state not in UNPROVISIONED and not (machine.folder / "data" / "bundle.cbor").exists():
        machine.enrol(languages=("zh", "en") if language == "zh" else ("en", "zh"))
    if state == "paper-out":
        machine.rack.printer.paper_out = True
    if state == "clock-skewed":
        machine.rack.rtc.set(int(time.time()) - 10 * 365 * 86_400)


async def after_power(machine: Machine, state: str) -> None:
    """Bring the booted terminal into ``state``."""
    await machine.screen("idle", timeout_s=BOOT_S)
    if state == "signed-in":
        await sign_in(machine)
    elif state == "reversal-owed":
        await owe_a_reversal(machine)


async def sign_in(machine: Machine) -> None:
    """Menu, sign in."""
    await machine.press("menu")
    await machine.screen("menu")
    await machine.press("2")
    await machine.screen("message")
    await machine.press("enter")
    await machine.screen("idle")


async def pay(machine: Machine, amount: str, card: str, until: tuple[str, ...]) -> dict[str, Any]:
    """Key ``amount`` (minor units), insert ``card``, key its PIN when asked; the
    tree of the first screen in ``until``."""
    await machine.press(*amount)
    await machine.screen("amount")
    await machine.press("enter")
    await machine.screen("present_card", timeout_s=20)
    machine.insert(card)
    typed = list(machine.deck.cards[card].typed)
    while True:
        tree = await machine.screen("pin", *until, timeout_s=70)
        if tree["screen"] != "pin":
            return tree
        await machine.press(*(typed.pop(0) if typed else ""), "enter")
        await machine.leave("pin")


async def owe_a_reversal(machine: Machine) -> None:
    """A payment whose request was lost in a power cut."""
    machine.acquirer.rule("drop")
    await machine.press(*"1234")
    await machine.screen("amount")
    await machine.press("enter")
    await machine.screen("present_card", timeout_s=20)
    machine.insert("approve")
    await machine.screen("pin")
    await machine.press(*machine.deck.cards["approve"].typed[0], "enter")
    await machine.booked()
    machine.rack.net.link(False)
    await machine.power_cut()
    machine.remove()
    await machine.power_on()
    await machine.screen("idle", timeout_s=BOOT_S)
