"""A paired register over the terminal's own cable: the whole way, and the cable pulled."""

from typing import Any

from firmware import aio
from firmware.link.services import RESULT, check
from firmware.link.streams import END, ITEM
from tests.device.test_pairing import pair, pc_of, play
from tests.support.handheld import Handheld
from tests.support.pc_end import PcSide

SALE = {1: "till-1:1", 2: bytes(32), 3: 1234, 4: 156, 5: "sale", 6: "Kasse 1"}


async def _pay(h: Handheld) -> None:
    await h.until("present_card")
    assert "Kasse 1" in h.text
    h.insert("no-cvm")


async def _paired(h: Handheld, *roles: str, key: int = 1) -> PcSide:
    pc = await pc_of(h, key).connect()
    assert await pair(h, pc, *roles) == list(roles)
    return pc


def test_a_register_is_paid_over_the_cable() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "register")
        stream = pc.open("sale_start", SALE)
        await _pay(h)
        said: list[tuple[int, Any]] = await pc.rest(stream)
        assert [value[1] for kind, value in said if kind == ITEM] == [
            "reserved", "card", "online", "final",
        ]  # fmt: skip
        kind, result = said[-1]
        assert kind == END and check(RESULT, result)[2] == "approved"
        assert await pc.ask("sale_state", {1: ""}) == {1: "final", 2: result}
        assert await pc.ask("sale_start", SALE) == result
        assert await pc.ask("sale_start", dict(SALE) | {2: b"\1" * 32}) == ("conflict", {})
        mine = {1: SALE[1], 2: SALE[2]}
        assert await pc.ask("sale_state", mine) == {1: "final", 2: result}
        assert await pc.ask("sale_state", mine | {2: b"\1" * 32}) == ("conflict", {})
        assert await pc.ask("sale_state", {1: "another", 2: b"\1" * 32}) == {1: "none"}
        assert await pc.ask("sale_abort", {1: "till-1:1"}) == {1: "final"}
        await h.back_to_idle()
        assert h.acquirer.approved_total() == 1234
        await pc.leave()

    play(story)


def test_without_the_role_nothing_is_sold() -> None:
    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        for service, arguments in (
            ("sale_start", SALE), ("sale_state", {1: ""}), ("sale_abort", {1: "x"}),
            ("test_sale", {1: 5}),
        ):  # fmt: skip
            assert await pc.ask(service, arguments) == ("role", {})
        assert await pair(h, pc, "sync", "service") == ["sync", "service"]
        assert await pc.ask("sale_start", SALE) == ("role", {})
        for change in (
            {3: 0},
            {3: -1},
            {3: 10**12},
            {3: "5"},
            {2: b""},
            {4: 1000},
            {1: ""},
            {9: 1},
        ):
            code, _ = await pc.ask("sale_start", dict(SALE) | change)
            assert code in ("role", "arguments"), change
        assert h.screen["screen"] == "idle" and not h.messages("0200")
        await pc.leave()

    play(story)


def test_the_cable_pulled_in_a_payment_that_goes_on() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "register")
        stream = pc.open("sale_start", SALE)
        await h.until("present_card")
        h.rack.pc.unplugged = True
        await aio.sleep_ms(2_000)
        h.insert("no-cvm")
        await h.until("result")
        h.rack.pc.unplugged = False
        kind, result = (await pc.rest(stream))[-1]
        assert kind == END and result[2] == "approved", "the session was resumed"
        await h.back_to_idle()
        await pc.leave()
        again = await pc_of(h).connect()
        assert again.events == ["ready"], (again.events, again.reason)
        assert await again.ask("sale_state", {1: "till-1:1"}) == {1: "final", 2: result}
        assert await again.ask("sale_start", SALE) == result
        assert h.acquirer.approved_total() == 1234 and len(h.messages("0200")) == 1
        await again.leave()

    play(story)


def test_giving_the_request_up_is_no_abort_and_a_training_sale_ends_with_it() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "register", "service")
        stream = pc.open("sale_start", SALE)
        await h.until("present_card")
        pc.cancel(stream)
        await aio.sleep_ms(1_000)
        assert await pc.ask("sale_state", {1: "till-1:1"}) == {1: "progress"}
        other = {1: "till-1:1", 2: b"\1" * 32}
        assert await pc.ask("sale_state", other) == ("conflict", {})
        assert await pc.ask("sale_start", dict(SALE) | {1: "b"}) == (
            "busy",
            {1: "till-1:1", 2: 1234},
        )
        assert await pc.ask("sale_abort", {1: "till-1:1"}) == {1: "aborted"}
        await h.until("idle")
        stream = pc.open("test_sale", {1: 500})
        await h.until("present_card")
        assert "TRAINING" in h.text
        pc.cancel(stream)
        await h.until("idle")
        assert not h.messages("0200")
        await pc.leave()

    play(story)
