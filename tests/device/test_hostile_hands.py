"""Hands that press anything at any time, cards in and out, power gone now and
then: never dead, always back to idle, bank and journal agreed at the end."""

import asyncio
import random

import pytest

from firmware.payment.journal import records
from tests.support import virtual_time
from tests.support.handheld import DECK, Handheld
from tests.support.hostile import clean_screens, to_idle

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

KEYS = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "00", ".", "enter", "enter", "enter",
    "cancel", "clear", "menu", "up", "down", "feed", "func",
)  # fmt: skip
#: Cards that do not need a defect of their own to end in every way.
CARDS = ("approve", "decline", "two-apps", "offline-pin", "signature", "no-cvm", "confirm-app",
         "pin-wrong-host", "host-yes-card-no", "host-late", "bypass-allowed")  # fmt: skip


async def _walk(seed: int, turns: int) -> None:
    draw = random.Random(seed)
    t = Handheld(seed=seed)
    await t.power_on()
    done: list[str] = []
    try:
        for _ in range(turns):
            await _turn(t, draw, done)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, after {done[-12:]}: {error}") from None
    t.remove()
    await to_idle(t)
    await asyncio.sleep(1200)
    await to_idle(t)
    clean_screens(t)
    assert "idle.reversal_owed" not in t.keys_shown()
    approved = {stan for stan, _, state in t.books() if state == "approved"}
    committed = {
        f"{body[records.K_STAN]:06d}"
        for kind, body in t.journal()
        if kind == "COMMIT" and body.get(records.K_OUTCOME) == records.OUTCOME_APPROVED
    }
    assert approved == committed, done
    await t.power_off()


async def _turn(t: Handheld, draw: random.Random, done: list[str]) -> None:
    chance = draw.random()
    if chance < 0.70:
        keys = [draw.choice(KEYS) for _ in range(draw.randint(1, 4))]
        done.append("+".join(keys))
        await t.press(*keys)
    elif chance < 0.76:
        keys = [*str(draw.randint(1, 99999)), "enter"]
        done.append("+".join(keys))
        await t.press(*keys)
    elif chance < 0.86:
        name = draw.choice(CARDS)
        done.append("card " + name)
        if not t.inserted:
            t.insert(name)
    elif chance < 0.92:
        done.append("card out")
        t.remove()
    elif chance < 0.94:
        done.append("power")
        await t.power_off()
        await t.power_on("")
    elif chance < 0.96:
        done.append("pin")
        await t.press(*DECK.cards[t.inserted or "approve"].pin, "enter")
    await asyncio.sleep(draw.choice((0.05, 0.3, 1, 3, 20)))


@pytest.mark.parametrize("seed", range(2))
def test_mashed_keys(seed: int) -> None:
    virtual_time.run(_walk(seed, 250), 1e6)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_mashed_keys_at_length(seed: int) -> None:
    virtual_time.run(_walk(seed, 2000), 1e8)
