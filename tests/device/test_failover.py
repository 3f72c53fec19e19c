"""A sale while its first link dies: a whole terminal with a cable, Wi-Fi and a modem at the
wire. What was asked is never asked twice, and what nobody answered is reversed once."""

import asyncio
import re
from typing import Any

import pytest

from firmware.payment.journal import records as r
from host_tools.emulator.link_bench import LinkBench
from tests.device.stories import sell, tell
from tests.support.handheld import Handheld

BOARD = "virtual-links"
AMOUNT = 1234


async def _signed_in(t: Handheld) -> None:
    """On, signed in by a first sale over the cable, and Wi-Fi stands by."""
    await t.power_on()
    await sell(t, "500")
    await t.back_to_idle()
    await asyncio.sleep(30)
    assert t.rack.wlan_net.up
    assert [state for _, _, state in t.books()] == ["approved"]


async def _to_the_card(t: Handheld) -> None:
    await t.press(*str(AMOUNT))
    await t.until("amount")
    await t.press("enter")
    await t.until("present_card")


def _kinds(t: Handheld) -> list[str]:
    """Kinds of the journal's records about the second sale, in order."""
    return t.records(int(t.books()[-1][0]))


def _dies_with(t: Handheld, mti: str) -> None:
    """The cable falls silent, and keeps its signal, once the bank has taken a message of
    this kind: the answer never comes."""
    handle = t.acquirer.bank.handle
    asked = len(t.messages(mti))
    net = t.rack.net

    def taken(frame: bytes, peer: Any) -> Any:
        actions = handle(frame, peer)
        if len(t.messages(mti)) > asked:
            net.cut_after_received, net.cut_silently, net.stalled = 0, True, True
        return actions

    t.acquirer.bank.handle = taken  # type: ignore[method-assign]


def test_a_request_whose_link_died_is_reversed_once_over_the_next() -> None:
    async def story(t: Handheld) -> None:
        await _signed_in(t)
        _dies_with(t, "0200")
        await _to_the_card(t)
        through_wifi = t.rack.wlan_net.sent_bytes
        t.insert("no-cvm")
        await t.pins([], "result", "message")
        await t.when(lambda _: "result.reversed" in t.keys_shown(), "the reversal")
        assert {"charged.no", "unknown.reversed"} <= t.keys_shown()
        await t.back_to_idle()
        # The cable has been silent since the request: what came after it came by Wi-Fi.
        assert t.rack.net.stalled and t.rack.wlan_net.sent_bytes > through_wifi
        await asyncio.sleep(300)
        assert len(t.messages("0200")) == 2  # the first sale's, and this one's
        assert len(t.messages("0400")) == 1
        assert [(amount, state) for _, amount, state in t.books()] == [
            (500, "approved"), (AMOUNT, "reversed"),
        ]  # fmt: skip
        kinds = _kinds(t)
        assert [kinds.count(one) for one in ("REQUEST", "ANSWER", "REVERSED")] == [1, 0, 1]
        (outcome,) = [
            body[r.K_OUTCOME]
            for kind, body in t.journal()
            if kind == "COMMIT" and body[r.K_STAN] == int(t.books()[-1][0])
        ]
        assert outcome == r.OUTCOME_REVERSE

    tell(story, BOARD, answer_timeout_ms=5_000)


@pytest.mark.parametrize("death", ["silent", "deaf", "unplugged"])
def test_a_link_that_died_before_the_first_byte_costs_nobody_a_sale(death: str) -> None:
    async def story(t: Handheld) -> None:
        await _signed_in(t)
        await _to_the_card(t)
        net = t.rack.net
        if death == "silent":
            net.stalled = True
        elif death == "deaf":  # it opens connections, and loses all that is sent
            net.cut_after_sent, net.cut_silently = 0, True
        else:
            net.link(False)
        through_cable = net.sent_bytes
        t.insert("no-cvm")
        await t.pins([], "result", "message")
        assert "result.approved" in t.keys_shown(), t.text
        await t.back_to_idle()
        await asyncio.sleep(300)
        assert net.sent_bytes == through_cable
        assert len(t.messages("0200")) == 2 and not t.messages("0400")
        assert [(amount, state) for _, amount, state in t.books()] == [
            (500, "approved"), (AMOUNT, "approved"),
        ]  # fmt: skip
        kinds = _kinds(t)
        assert [kinds.count(one) for one in ("REQUEST", "ANSWER", "COMMIT")] == [1, 1, 1]

    tell(story, BOARD)


def test_each_reset_of_a_link_is_in_the_journal_with_its_cause() -> None:
    """Of a Wi-Fi that stays silent what is alike is told once an hour."""

    async def story(t: Handheld) -> None:
        await _signed_in(t)
        assert _resets(t) == []
        bench = LinkBench(t.rack, lambda *_: None)
        bench.set("cable", "unplugged")
        bench.set("mobile", "no_service")
        bench.set("wifi", "silent")
        await asyncio.sleep(900)
        first, joins = _resets(t), t.rack.radio.joins
        assert first and all(time is not None for _, time in first)
        assert any(re.match(r"wifi bearer, unreached: \w+, \d+ ms$", one) for one, _ in first)
        await asyncio.sleep(2000)
        assert t.rack.radio.joins > joins + 3, "it is reset on and on"
        assert _resets(t) == first

    tell(story, BOARD)


def _resets(t: Handheld) -> list[tuple[str, Any]]:
    """Detail and time of each."""
    return [
        (body[r.K_DETAIL], body.get(r.K_TIME))
        for kind, body in t.journal()
        if kind == "NOTICE" and body[r.K_CODE] == "link_reset"
    ]
