"""Hands that work a machine by themselves: the states of ``till emulate`` and the demo."""

import asyncio
import time
from typing import Any

from host_tools.emulator.machine import Machine
from host_tools.errors import UserError

#: state: what stands then, for the help text.
STATES = {
    "fresh": "not provisioned; takes no payment and says so",
    "ready": "provisioned, never signed in by hand",
    "signed-in": "signed in at the bank from the menu",
    "reversal-owed": "a request was booked, its answer lost in a power cut; the network is off",
    "paper-out": "no paper in the printer",
    "clock-skewed": "the clock stands ten years back",
}
#: Patience alone: what is waited for comes in a second or two, on a busy machine in ten times
#: that, and a terminal that ended is told at once.
BOOT_S = 90.0
SKEW_S = 10 * 365 * 86_400


def before_power(machine: Machine, state: str, language: str = "en") -> None:
    """What must be so before the terminal's first boot. UserError."""
    bundle = machine.folder / "data" / "bundle.cbor"
    if state == "fresh":
        if bundle.exists():
            raise UserError(
                f"{machine.folder} holds a provisioned terminal; 'fresh' needs an empty folder"
            )
    elif not bundle.exists() or not _known(machine):
        machine.enrol(languages=("zh", "en") if language == "zh" else ("en", "zh"))
    if state == "paper-out":
        machine.rack.printer.paper_out = True
    if state == "clock-skewed":
        machine.rack.rtc.set(int(time.time()) - SKEW_S)


def _known(machine: Machine) -> bool:
    """Whether the bank's books have the terminal; a bank that is new has not."""
    serial = machine.board["board"]["serial"]
    return any(row["serial"] == serial for row in machine.acquirer.ledger.terminals())


async def after_power(machine: Machine, state: str) -> None:
    """Bring the booted terminal into ``state``. UserError when it does not get there."""
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
    tree = await machine.screen("message", timeout_s=20)
    keys = {str(node.get("key")) for node in tree["nodes"]}
    if "network.signed_in" not in keys:
        raise UserError(f"the sign-in failed: {', '.join(sorted(keys))}")
    await machine.press("enter")
    await machine.screen("idle")


async def key_amount(machine: Machine, amount: str) -> None:
    """Key ``amount`` (minor units) and wait until a card is asked for."""
    await machine.press(*amount)
    await machine.screen("amount")
    await machine.press("enter")
    await machine.screen("present_card", timeout_s=20)


async def pay(machine: Machine, amount: str, card: str, until: tuple[str, ...]) -> dict[str, Any]:
    """Key ``amount`` (minor units), insert ``card``, key its PIN when asked; the
    tree of the first screen in ``until``."""
    await key_amount(machine, amount)
    machine.insert(card)
    typed = list(machine.deck.cards[card].typed)
    while True:
        tree = await machine.screen("pin", *until, timeout_s=70)
        if tree["screen"] != "pin":
            return tree
        await machine.press(*(typed.pop(0) if typed else ""), "enter")
        await machine.leave("pin")


async def owe_a_reversal(machine: Machine) -> None:
    """A payment that the bank booked and whose answer was lost in a power cut."""
    before = len(machine.acquirer.transactions())
    machine.acquirer.rule("drop")
    await key_amount(machine, "1234")
    machine.insert("approve")
    await machine.screen("pin")
    await machine.press(*machine.deck.cards["approve"].typed[0], "enter")
    await machine.booked(before=before)
    machine.switch_network(False)
    await machine.power_cut()
    machine.remove()
    await machine.power_on()
    await machine.screen("idle", timeout_s=BOOT_S)
    deadline = time.monotonic() + BOOT_S  # its first attempt finds no network
    while "idle.reversal_owed" not in {node.get("key") for node in machine.tree["nodes"]}:
        if time.monotonic() > deadline:
            raise UserError("the terminal does not owe the reversal that it should")
        await asyncio.sleep(0.02)
