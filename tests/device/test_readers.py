"""The page that tries the readers: each answered, named, masked, at any time."""

import asyncio
from typing import Any

import pytest

from firmware.app import menu as menu_flow
from firmware.app.reader_test import QUIET_MS
from firmware.services import reader_test
from tests.device.stories import menu, tell
from tests.support.handheld import Handheld

ITEM = menu_flow.ITEMS.index("menu.readers") + 1
PAN = "6212340000000019"
SWIPE = f"%B{PAN}^TEST/CARD^30122011?;{PAN}=30122011?\n"


def lines(t: Handheld) -> list[list[str]]:
    (node,) = (node for node in t.screen["nodes"] if node["kind"] == "lines")
    items: list[list[str]] = node["items"]
    return items


async def opened(t: Handheld) -> None:
    await t.power_on()
    await menu(t, ITEM)
    await t.until("info")


async def first_line(t: Handheld, name: str, state: str) -> list[list[str]]:
    """Wait until this is what came last."""
    await t.when(
        lambda tree: tree["screen"] == "info" and lines(t)[0] == [name, state], f"{name} {state}"
    )
    return lines(t)


def test_each_reader_says_what_to_do_and_what_it_saw() -> None:
    async def story(t: Handheld) -> None:
        await opened(t)
        assert lines(t) == [
            ["Contactless", "tap"], ["Card reader", "insert"],
            ["Swipe reader", "swipe"], ["Scanner", "scan"],
        ]  # fmt: skip
        card = t.deck.cards["two-apps"].make_card()
        t.rack.nfc.put(card)
        said = await first_line(t, "Contactless", "OK")
        assert [line for line in said if line[0] in ("Type", "AID")] == [
            ["Type", card.contactless], ["AID", "A000000333010101"], ["AID", "A000000333010102"],
        ]  # fmt: skip
        assert ["PPSE", "9000"] in [[line[0], line[1][:4]] for line in said]
        assert t.rack.nfc.exchanges == [reader_test.PPSE]
        t.insert("approve")
        said = await first_line(t, "Card reader", "OK")
        assert ("ATR", "3B") in [(line[0], line[1][:2]) for line in said]
        t.rack.swipe.type(SWIPE)
        said = await first_line(t, "Swipe reader", "OK")
        assert said[1:3] == [["Tracks", "1 2"], ["Card number", "...0019"]]
        t.rack.scanner.feed(b"]E06901234567892\r")
        said = await first_line(t, "Scanner", "OK")
        assert said[1:4] == [["Code", "ean13"], ["Characters", "13"], ["Text", "...7892"]]
        assert said[4:] == [["Contactless", "OK"], ["Card reader", "OK"], ["Swipe reader", "OK"]]
        for tree in t.screens:
            assert PAN[:-4] not in str(tree) and "690123456" not in str(tree)
        await t.press("cancel")
        await t.until("idle")
        assert not t.rack.nfc.field

    tell(story)


def test_a_card_that_stays_counts_once_and_the_next_one_again() -> None:
    async def story(t: Handheld) -> None:
        await opened(t)
        t.rack.nfc.put(t.deck.cards["approve"].make_card())
        await first_line(t, "Contactless", "OK")
        shown = len(t.screens)
        t.rack.scanner.feed(b"]Q1https://pay.test/123\r")
        await first_line(t, "Scanner", "OK")
        await t.press("down")
        await t.when(lambda tree: len(t.screens) > shown + 1, "the page scrolled")
        assert len(t.rack.nfc.exchanges) == 1
        t.rack.nfc.take()
        await t.press("up")
        await asyncio.sleep(1)
        t.rack.nfc.put(t.deck.cards["approve"].make_card())
        await t.when(lambda tree: len(t.rack.nfc.exchanges) == 2, "the second tap")
        await first_line(t, "Contactless", "OK")

    tell(story)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("Contactless", "ReaderMissing"), ("Contactless", "ManyCards"), ("Contactless", "CardMute"),
        ("Swipe reader", "StripeMissing"), ("Swipe reader", "luhn"), ("Scanner", "check"),
        ("Scanner", "ScannerMissing"), ("Card reader", "CardMute"),
    ],
)  # fmt: skip
def test_a_fault_is_named_once_and_the_other_readers_go_on(name: str, cause: str) -> None:
    async def story(t: Handheld) -> None:
        await opened(t)
        _fault(t, cause, name)
        said = await first_line(t, name, "FAIL")
        assert said[1] == ["Cause", cause]
        if name != "Scanner":
            t.rack.scanner.feed(b"]E06901234567892\r")
            await first_line(t, "Scanner", "OK")
            await t.press("down", "down", "up", "up")  # some seconds on
            assert lines(t)[0] == ["Scanner", "OK"], "the fault is no news"
        await t.press("enter")
        await t.until("idle")

    tell(story)


def _fault(t: Handheld, cause: str, name: str) -> None:
    rack: Any = t.rack
    make = t.deck.cards["approve"].make_card
    if cause == "ReaderMissing":
        rack.nfc.unplugged = True
    elif cause == "ManyCards":
        rack.nfc.put(make())
        rack.nfc.put(t.deck.cards["two-apps"].make_card())
        rack.nfc.cards[1].kind = rack.nfc.cards[0].kind
    elif cause == "CardMute" and name == "Contactless":
        rack.nfc.put(make(), plain=True)
    elif cause == "CardMute":
        t.insert("mute")
    elif cause == "StripeMissing":
        rack.swipe.unplug()
    elif cause == "luhn":
        rack.swipe.type(SWIPE.replace("0019", "0016"))
    elif cause == "check":
        rack.scanner.feed(b"]E06901234567893\r")
    else:
        rack.scanner.unplugged = True


def test_silence_ends_the_page_though_a_reader_fails_all_the_time() -> None:
    async def story(t: Handheld) -> None:
        await opened(t)
        t.rack.nfc.unplugged = True
        await t.until("idle", limit_s=QUIET_MS / 1000 + 10)

    tell(story)
