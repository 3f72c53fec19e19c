"""What the whole-device stories share."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.support import virtual_time
from tests.support.handheld import Handheld

Story = Callable[[Handheld], Awaitable[None]]


def tell(story: Story, board: str = "virtual", seed: int = 1, **wishes: Any) -> None:
    """Run a story on a fresh terminal of a fresh bank; the power is off afterwards."""

    async def run() -> None:
        t = Handheld(board, seed, **wishes)
        await story(t)
        await t.power_off()

    virtual_time.run(run())


async def sell(t: Handheld, amount: str = "1234", card: str = "no-cvm") -> None:
    """A sale up to its last result screen; the card stays in."""
    await t.pay(amount, card, "result", "message")
    while "result.unknown" in t.keys_shown():
        shown = t.screen
        await t.when(lambda tree, old=shown: tree is not old, "what follows")  # type: ignore[misc]


async def menu(t: Handheld, item: int) -> None:
    """Choose an item of the menu by its number (app/menu.py, ITEMS)."""
    await t.press("menu")
    await t.until("menu")
    await t.press(str(item))


def shown(t: Handheld, key: str) -> bool:
    """Whether any screen since power-on (or the last clear) had this text key."""
    return any(key in {node.get("key") for node in tree["nodes"]} for tree in t.screens)


async def owe(t: Handheld) -> None:
    """A sale whose answer is lost, cut by power before its reversal went."""
    t.acquirer.rule("drop", mti="0200")
    await t.power_on()
    before = len(t.books())
    await t.pay("1234", "no-cvm", "progress")
    await t.when(lambda tree: len(t.books()) > before, "the bank to book")
    await t.power_off()
    t.remove()
