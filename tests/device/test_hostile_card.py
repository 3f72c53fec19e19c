"""Cards that lie, whole device: back to idle, no debt, nothing of theirs obeyed."""

import asyncio
import random

import pytest

from tests.support import virtual_time
from tests.support.edited_card import EditedCard
from tests.support.handheld import DECK, Handheld
from tests.support.hostile import HostileCard, clean_screens, to_idle

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

#: Objects that a card may give and no request can carry.
UNFIT = {
    "csn_ff": {0x5F34: b"\xff"},
    "csn_letters": {0x5F34: b"\xa1"},
    "pan_of_8": {0x5A: bytes.fromhex("62999912"), 0x57: bytes.fromhex("62999912D31122010000")},
    "pan_of_10": {
        0x5A: bytes.fromhex("6299991234"),
        0x57: bytes.fromhex("6299991234D31122010000"),
    },
    "track_of_letters": {0x57: bytes.fromhex("6299990000000000012DABCDEF01234F")},
    "track_too_long": {0x57: bytes.fromhex("6299990000000000012D") + b"\x11" * 9},
    "month_13": {0x5F24: b"\x31\x13\x01"},
    "day_32": {0x5F24: b"\x31\x12\x32"},
    "cdol_of_252": {0x8C: b"\x9f\x37\xfc"},
    "cdol_missing": {0x8D: b""},
    "aip_missing": {0x82: b""},
    "no_cryptogram": {0x9F26: b""},
    "cid_of_nothing": {0x9F27: b"\xff"},
    "iad_of_200": {0x9F10: b"\x77" * 200},
}
#: Objects that end on screen or paper.
WORDS = {
    "label": {0x50: b"\x1b@\x1bp\x00\x19\x19\x10"},
    "long_label": {0x50: b"W" * 90},
    "national_label": {0x50: b"\xd2\xf8\xc1\xaa\xff"},
    "preferred_name": {0x9F12: b"\x1b@\x1d(A\x02\x00\x00\x02", 0x9F11: b"\x01"},
    "unknown_table": {0x9F12: b"\xff\xfe" * 40, 0x9F11: b"\x63"},
    "cardholder": {0x5F20: b"\x1b@\x1d(A\x02\x00\x00\x02/X"},
}


async def _sale(t: Handheld, card: object, pins: list[str]) -> str:
    """One sale with this card to the first result; its words."""
    await t.press(*"1234", "enter")
    await t.until("present_card")
    t.rack.slot.insert(card)  # type: ignore[arg-type]  # it answers as a card does
    for _ in range(30):
        tree = await t.until(
            "pin", "result", "message", "remove_card", "idle", "choose", "question", limit_s=600
        )
        if tree["screen"] == "pin":
            await t.press(*(pins.pop(0) if pins else "1234"), "enter")
        elif tree["screen"] == "choose":
            await t.press("1")
        elif tree["screen"] == "question":
            await t.press("enter")
        else:
            return t.text
        await asyncio.sleep(1)
    raise AssertionError(f"never a result: {t.text}")


async def _end(t: Handheld) -> None:
    """Back to idle, card out; nothing odd was on the screen."""
    await to_idle(t)
    t.remove()
    await asyncio.sleep(1)
    clean_screens(t)


@pytest.mark.parametrize("name", UNFIT)
def test_card_data_that_no_request_can_carry(name: str) -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        card = EditedCard(DECK.cards["approve"].make_card(), UNFIT[name])
        words = await _sale(t, card, [])
        assert card.replaced, "the card has no such object"
        assert "CANCELLED" in words and "Card data wrong" in words, words
        assert "NOT CHARGED" in words
        await _end(t)
        assert t.books() == []
        assert "approved" in str(await _next_sale(t))
        await t.power_off()

    virtual_time.run(story())


async def _next_sale(t: Handheld) -> list[tuple[str, int, str]]:
    """A good card afterwards is taken as if nothing had been."""
    await t.pay("100", "approve")
    await t.back_to_idle()
    return t.books()


@pytest.mark.parametrize("name", WORDS)
def test_words_of_a_card_are_words_on_screen_and_paper(name: str) -> None:
    async def story() -> None:
        t = Handheld()
        printed = bytearray()
        transfer = t.rack.printer.transfer

        def spy(op: int, payload: bytes) -> tuple[bytes, int]:
            if op == 1:
                printed.extend(payload)
            return transfer(op, payload)

        t.rack.printer.transfer = spy  # type: ignore[method-assign]
        await t.power_on()
        await _sale(t, EditedCard(DECK.cards["two-apps"].make_card(), WORDS[name]), [])
        await _end(t)
        assert printed, "nothing was printed"
        for command in (b"\x1b@\x1d(A", b"\x1bp", b"\x1d(A"):
            assert command not in printed
        await t.power_off()

    virtual_time.run(story())


async def _spoilt_sales(seed: int, count: int) -> None:
    draw = random.Random(seed)
    t = Handheld(seed=seed)
    await t.power_on()
    for turn in range(count):
        name = draw.choice(list(DECK.cards))
        card = HostileCard(DECK.cards[name].make_card(), draw, draw.choice((0.02, 0.05, 0.1, 0.3)))
        try:
            await _sale(t, card, list(DECK.cards[name].typed))
            await _end(t)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, sale {turn}, {name}, {card.log}: {error}") from None
    await asyncio.sleep(900)
    debts = [row for row in t.books() if row[2] not in ("approved", "declined", "reversed")]
    assert not debts
    assert "idle.reversal_owed" not in t.keys_shown()
    await t.power_off()


@pytest.mark.parametrize("seed", [1])
def test_spoilt_answers_end_every_sale_in_good_order(seed: int) -> None:
    virtual_time.run(_spoilt_sales(seed, 40), 1e6)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 115))
def test_spoilt_answers_at_length(seed: int) -> None:
    virtual_time.run(_spoilt_sales(seed, 120), 1e7)
