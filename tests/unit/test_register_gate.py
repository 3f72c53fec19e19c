"""The gate: whatever happens to link, terminal or register, each request has one outcome."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from firmware.link import services
from host_tools.errors import UserError
from host_tools.pc_link.calls import CallFailed, Terminal
from host_tools.register.gate import (
    ABORTED,
    Answer,
    End,
    Gate,
    Request,
    answer_of,
    digest,
    fresh,
    reference,
)
from tests.support.register_terminal import RegisterTerminal
from tests.support.virtual_time import run

Story = Callable[[RegisterTerminal, Gate], Awaitable[None]]


def told(story: Story, **terminal: object) -> None:
    async def main() -> None:
        one = RegisterTerminal(**terminal)  # type: ignore[arg-type]
        gate = Gate(one.reach, patience_s=30)
        await story(one, gate)
        await gate.close()

    run(main())


def request(name: str = "1", amount: int = 1000, **more: object) -> Request:
    return Request(
        reference("test", "till", name), digest("test", f"{name}{amount}".encode()), amount, 978,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_approved_payment_tells_its_states_and_all_of_its_result() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        states: list[str] = []
        answer = await gate.start(request(register="Till 1"), states.append)
        assert states[-1] == "final" and states[0] == "reserved"
        assert (answer.end, answer.amount, answer.currency) == (End.APPROVED, 1000, 978)
        assert (answer.pan, answer.authorisation, answer.stan) == ("622848******0014", "A1B2C3", 1)
        assert terminal.started[0][6] == "Till 1"
        assert Answer.of_plain(answer.plain()) == answer
        # The same again is answered from what stands, and nothing is charged.
        assert await gate.start(request(register="Till 1")) == answer
        assert len(terminal.started) == 1
        assert (await gate.state(answer.reference)) == answer
        assert (await gate.state("")) == answer

    told(story)


def test_refusals_charge_nothing_and_say_why() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        busy = await gate.start(request("2"))
        assert (busy.end, busy.pending, busy.amount) == (End.BUSY, request().reference, 1000)
        assert (await gate.start(request("1", 2000))).end is End.CONFLICT
        terminal.go.set()
        assert (await first).end is End.APPROVED
        assert (await gate.start(request("1", 2000))).end is End.CONFLICT
        refused = await gate.start(request("3", kind="refund"))
        assert (refused.end, refused.reason) == (End.REFUSED, "kind")
        terminal.currency = 156
        refused = await gate.start(request("4"))
        assert (refused.end, refused.reason, refused.detail) == (End.REFUSED, "currency", "156")
        terminal.currency, terminal.blocked = 978, "blocked.no_bundle"
        refused = await gate.start(request("5"))
        assert (refused.end, refused.detail) == (End.REFUSED, "blocked.no_bundle")
        terminal.blocked, terminal.keyed = "", 4200
        busy = await gate.start(request("6"))
        assert (busy.end, busy.pending, busy.amount) == (End.BUSY, "", 4200)
        assert len(terminal.started) == 1

    told(story)


def test_the_register_takes_it_back_before_the_host_is_asked_and_not_after() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        assert await gate.abort(request().reference) == "none"
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        assert await gate.abort(request().reference) == "aborted"
        answer = await first
        assert (answer.end, answer.reason) == (End.CANCELLED, ABORTED)
        assert await gate.abort(request().reference) == "final"
        terminal.go.set()
        terminal.go_online.clear()
        second = asyncio.create_task(gate.start(request("2")))
        await settle()
        assert await gate.abort(request("2").reference) == "late"
        terminal.go_online.set()
        assert (await second).end is End.APPROVED

    told(story)


@pytest.mark.parametrize("mended_after_s", [0, 3, 20])
def test_a_lost_link_is_a_question_and_the_customer_may_finish(mended_after_s: int) -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        terminal.cut()
        terminal.go.set()
        await asyncio.sleep(mended_after_s)
        terminal.mend()
        assert (await first).end is End.APPROVED
        assert len(terminal.started) == 1
        assert terminal.asked.count("sale_start") == 1

    told(story)


def test_a_link_that_stays_lost_leaves_the_question_open() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        terminal.cut()
        answer = await first
        assert answer.end is End.PROGRESS
        assert (await gate.state(request().reference)).end is End.UNREACHABLE
        assert await gate.abort(request().reference) == "unreachable"
        assert (await gate.start(request("2"))).end is End.UNREACHABLE
        terminal.mend()
        terminal.go.set()
        await settle()
        assert (await gate.state(request().reference)).end is End.APPROVED

    told(story)


@pytest.mark.parametrize("sent, end", [(False, End.CANCELLED), (True, End.REVERSED)])
def test_a_power_cut_is_told_as_the_journal_has_it(sent: bool, end: End) -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        (terminal.go_online if sent else terminal.go).clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        terminal.power_cut()
        await asyncio.sleep(2)
        terminal.mend()
        assert (await first).end is end

    told(story)


def test_a_register_that_hangs_up_ends_nothing() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        first.cancel()
        await settle()
        assert gate.running(request().reference)
        terminal.go.set()
        assert (await gate.start(request())).end is End.APPROVED
        assert len(terminal.started) == 1

    told(story)


def test_a_pc_without_the_role_sells_and_reads_nothing() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        await gate.start(request())
        terminal.roles = ["sync", "service"]
        for answer in (await gate.start(request("2")), await gate.state(request().reference)):
            assert (answer.end, answer.reason) == (End.REFUSED, "role")
        assert await gate.abort(request().reference) == "unreachable"
        assert len(terminal.started) == 1

    told(story)


def test_an_end_that_cannot_be_read_is_not_taken_for_a_refusal() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        await gate.start(request())
        terminal.results[request().reference][1][2] = "partly"
        for _ in range(2):
            answer = await gate.start(request())
            assert answer.end is End.PROGRESS and "partly" in answer.detail
        assert (await gate.state(request().reference)).end is End.UNREACHABLE

    told(story)


def test_a_result_that_is_kept_no_longer_is_no_refusal() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        assert terminal.sale is not None
        terminal.forget()
        assert (await first).end is End.PROGRESS

    told(story)


def test_status_is_as_much_as_the_roles_allow() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        assert await gate.status() == {
            "serial": "OT-0001", "firmware": "0.1.0", "busy": False, "test": True,
        }  # fmt: skip
        terminal.roles = ["register", "service"]
        assert (await gate.status())["paper"] == "error.printer_paper"
        await gate.start(request())
        assert await gate.totals() == (3, [["sale", 978, 1, 1000]])

    told(story)


def test_references_are_short_ascii_and_never_alike() -> None:
    assert reference("nexo", "POS-1", "0000000001") == "nexo:POS-1:0000000001"
    odd = ["", "a:b", "~x", "收银", "x" * 37, "a b", "\n", "\ud800"]
    made = [reference("nexo", one, "1") for one in odd] + [reference("nexo", "1", o) for o in odd]
    assert len(set(made)) == len(made)
    for one in [*made, fresh("concert", "99")]:
        assert len(one) <= 80 and one.isascii() and one.isprintable()
    assert fresh("mis", "1") != fresh("mis", "1")
    named = fresh("nexo", "POS-1", "0000000001")
    assert named.startswith("nexo:POS-1:0000000001.")
    assert named != fresh("nexo", "POS-1", "0000000001")


def test_an_outcome_of_a_later_version_is_named() -> None:
    with pytest.raises(UserError, match="'partly'"):
        answer_of({1: "x", 2: "partly", 3: 0, 4: 0, 5: ""})


def test_another_requests_result_is_never_told_as_this_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        await gate.start(request())
        other = request(amount=2000)  # of another PC, under the same reference
        assert (await gate.state(other.reference, other.digest)).end is End.CONFLICT
        assert (await gate.state(other.reference, request().digest)).end is End.APPROVED

        async def lost(asked: dict[int, Any]) -> AsyncIterator[dict[int, Any]]:
            if asked:
                raise CallFailed("the link is lost", services.LOST)
            yield asked

        monkeypatch.setattr(terminal, "_sale_start", lost)
        assert (await gate.start(other)).end is End.CONFLICT
        assert (await gate.start(request())).end is End.APPROVED
        assert len(terminal.started) == 1

    told(story)


def test_a_begun_payment_that_is_kept_no_longer_is_not_known_after_a_lost_link() -> None:
    async def story(terminal: RegisterTerminal, gate: Gate) -> None:
        terminal.go.clear()
        first = asyncio.create_task(gate.start(request()))
        await settle()
        terminal.cut()
        terminal.forget()  # approved, and pushed out before anybody asks
        terminal.mend()
        assert (await first).end is End.PROGRESS
        asked = request()
        assert (await gate.state(asked.reference, asked.digest, True)).end is End.PROGRESS
        assert (await gate.state(asked.reference, asked.digest)).end is End.NONE

    told(story)


@pytest.mark.parametrize("earlier", [False, True])
def test_what_is_taken_back_before_the_terminal_is_asked_never_begins(earlier: bool) -> None:
    async def main() -> None:
        terminal = RegisterTerminal()
        if earlier:  # begun by a message whose answer was lost
            await Gate(terminal.reach).start(request())
        reached = asyncio.Event()
        asks: list[Terminal | None] = []

        async def reach(lost: Terminal | None = None) -> Terminal:
            asks.append(lost)
            if len(asks) == 1:
                await reached.wait()
            return terminal

        gate = Gate(reach)
        first = asyncio.create_task(gate.start(request()))
        await settle()
        word = await gate.abort(request().reference)
        reached.set()
        answer = await first
        if earlier:  # the terminal's word stands
            assert (word, answer.end) == ("final", End.APPROVED)
            assert len(terminal.started) == 1
        else:
            assert (word, answer.end, answer.reason) == ("aborted", End.CANCELLED, ABORTED)
            assert terminal.started == []
        await gate.close()

    run(main())
