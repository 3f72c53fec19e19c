"""A terminal whose keypad is a USB number block, which may be unplugged at any moment."""

import asyncio

import pytest

from host_tools.emulator.chips.hid_keys import HidKeys
from tests.device.stories import tell
from tests.support.handheld import Handheld, clock_us

#: KEY_KP1 and so on, KEY_KPENTER, KEY_ESC, KEY_BACKSPACE.
CODES = {
    79: "1", 80: "2", 81: "3", 75: "4", 76: "5", 77: "6", 71: "7", 72: "8", 73: "9", 82: "0",
    96: "enter", 1: "cancel", 14: "clear",
}  # fmt: skip


class Block:
    """Fingers on the number block."""

    def __init__(self, chip: HidKeys) -> None:
        self._chip = chip
        self._codes = {name: code for code, name in CODES.items()}

    def type(self, keys: tuple[str, ...]) -> int:
        at = 0
        for name in keys:
            self._chip.finger(self._codes[name], 1, at)
            self._chip.finger(self._codes[name], 0, at + 40_000)
            at += 80_000
        return clock_us() + at

    def let_go(self) -> None:
        """No finger stays on it."""


def _on_the_block(t: Handheld) -> None:
    t.board.pop("stripe")  # whose bus it takes
    t.board["keypad"] = {"driver": "key_device", "bus": "usb1", "codes": CODES}
    t.rack.keys = Block(t.rack.swipe)  # type: ignore[assignment]  # other fingers


def test_absent_at_start_it_is_named_and_taken_up_when_it_comes() -> None:
    async def story(t: Handheld) -> None:
        _on_the_block(t)
        t.rack.swipe.unplug()
        await t.power_on()
        await t.when(lambda tree: "error.keypad_gone" in t.keys_shown(), "the keypad named")
        t.insert("no-cvm")  # no payment begins, with or without an amount
        await asyncio.sleep(60)
        assert not t.books()
        t.remove()
        await t.when(lambda tree: "error.keypad_gone" in t.keys_shown(), "named still")
        t.rack.swipe.plug()
        await asyncio.sleep(20)
        await t.until("idle")
        assert "error.keypad_gone" not in t.keys_shown()
        await t.pay("100", "no-cvm", "result")
        assert "result.approved" in t.keys_shown()
        await t.back_to_idle()
        t.rack.swipe.unplug()
        await asyncio.sleep(30)
        assert "error.keypad_gone" in t.keys_shown()  # until it is back
        t.rack.swipe.plug()
        await t.press("5")
        await t.until("amount")

    tell(story)


@pytest.mark.parametrize("typed", ["", "1", "123", "1234"])
def test_unplugged_during_pin_entry_the_sale_ends_and_the_next_one_works(typed: str) -> None:
    async def story(t: Handheld) -> None:
        _on_the_block(t)
        await t.power_on()
        await t.press("5", "enter")
        await t.until("present_card")
        t.insert("approve")
        await t.until("pin")
        await t.press(*typed)
        assert t.screen["screen"] == "pin"
        t.rack.swipe.unplug()
        t.rack.swipe.plug()
        await t.when(lambda tree: "error.keypad_gone" in t.keys_shown(), "the keypad named")
        await t.press("9", "8", "7", "6", "enter")  # goes on as if nothing had been
        assert t.screen["screen"] != "pin"
        t.remove()
        await asyncio.sleep(20)
        await t.press("cancel")
        await t.until("idle")
        assert not t.books()
        assert "REQUEST" not in [name for name, _ in t.journal()]
        await t.pay("100", "no-cvm", "result")
        assert "result.approved" in t.keys_shown()

    tell(story)
