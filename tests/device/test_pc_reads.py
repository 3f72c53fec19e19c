"""A PC reads a terminal that trades: the payment is as it would be without."""

import asyncio

import pytest

from firmware.app.pc_state import AGAIN_MS, PcState
from firmware.app.terminal import Terminal
from firmware.hal.printer import PrinterError
from firmware.link.services import CallRefused
from firmware.payment.journal import records as r
from firmware.services.link_journal import LinkJournal
from firmware.ui import pc_screens
from tests.device.stories import sell, tell
from tests.portable.test_link_journal import Pc
from tests.support.handheld import Handheld
from tests.support.made_call import MadeCall, ask


async def _follow(t: Terminal, pc: Pc) -> None:
    """Read and acknowledge whatever is new, again and again."""
    handlers = LinkJournal(t.journal, t.devices.files, 2560).handlers()
    while True:
        call = await ask(handlers, "journal_read", {1: pc.cursor[0], 2: 1000})
        pc.take(call)
        if call.items:
            sequence, epoch, chain = pc.cursor
            await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
        await asyncio.sleep(0.001)


def test_a_payment_costs_the_same_while_a_pc_reads_it(terminals: list[Terminal]) -> None:
    spent = []

    async def story(t: Handheld) -> None:
        await t.power_on()
        reading = None
        pc = Pc()
        if spent:
            reading = asyncio.create_task(_follow(terminals[-1], pc))
        barriers, began = t.disk.barriers, asyncio.get_running_loop().time()
        await sell(t, "1234")
        took = asyncio.get_running_loop().time() - began
        spent.append((t.disk.barriers - barriers, round(took * 1000)))
        await t.back_to_idle()
        if reading is not None:
            await asyncio.sleep(1)
            reading.cancel()
            head = terminals[-1].journal.head()
            assert pc.cursor == head
            assert terminals[-1].journal.state.acknowledged == head[0]
            kinds = [kind for _, kind, _ in pc.records.values()]
            assert kinds.count(r.REQUEST) == kinds.count(r.COMMIT) == 1

    tell(story)
    tell(story)
    assert spent[0] == spent[1]


def test_what_a_pc_is_told_follows_the_terminal(terminals: list[Terminal]) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        terminal = terminals[-1]
        state = PcState(terminal)
        handlers = state.handlers()
        watch = MadeCall("watch", {1: ["status", "screen", "log"]})
        task = asyncio.create_task(handlers["watch"](watch))  # type: ignore[arg-type]
        await asyncio.sleep(6)
        now = (await ask(handlers, "status", {})).ended
        assert now[1] == "ready" and now[2] == [] and now[9] == [] and not now[10]
        assert now[3] >= 0 and now[5] == "ok" and now[6] == "up" and now[7] > 0
        assert now[14] is True and now[17] == terminal.view.language
        assert abs(now[13] - t.now()) <= 2
        assert (now[15], now[16]) == (
            terminal.provision.merchant.terminal_id,
            terminal.provision.merchant.merchant_id,
        )
        await sell(t, "1234")
        assert (await ask(handlers, "status", {})).ended[1] == "busy"
        await t.back_to_idle()
        await asyncio.sleep(1)
        totals = (await ask(handlers, "totals", {})).ended
        assert totals[2] == [["sale", 156, 1, 1234]]
        assert (await ask(handlers, "status", {})).ended[9] == totals[2]
        (tree,) = (await ask(handlers, "screen", {})).ended.values()
        assert tree["screen"] == "idle" and tree == terminal.view.tree()
        screens = [item[2][1]["screen"] for item in watch.items if item[1] == "screen"]
        assert screens[0] == "idle" and "result" in screens and screens[-1] == "idle"
        states = [item[2][1] for item in watch.items if item[1] == "status"]
        assert states[0] == "ready" and "busy" in states and states[-1] == "ready"
        t.rack.printer.cover_open = True
        await asyncio.sleep(12)
        assert (await ask(handlers, "status", {})).ended[5] == "idle.cover_open"
        await terminal.journal.append(
            r.NOTICE, {r.K_CODE: "card", r.K_DETAIL: "said 6222021234567890"}
        )
        await asyncio.sleep(1)
        assert watch.items[-1] == {
            1: "log",
            2: {1: state.ring.last, 2: "card: said 622202******7890"},
        }
        task.cancel()

    tell(story)


def test_a_doctor_tells_what_was_found_without_asking_a_device(terminals: list[Terminal]) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        terminal = terminals[-1]
        handlers = PcState(terminal).handlers()
        call = await ask(handlers, "doctor", {1: "en"})
        kinds = {item[1][1]: item[1] for item in call.items}
        assert {"display", "keypad", "files", "vault", "printer", "network"} <= set(kinds)
        assert call.ended == {1: True}
        terminal.note_failure("printer", PrinterError("no answer from the printer"))
        for language in ("en", "zh"):
            call = await ask(handlers, "doctor", {1: language})
            kinds = {item[1][1]: item[1] for item in call.items}
            assert kinds["printer"][4] == "fail" and call.ended == {1: False}
            assert kinds["printer"][6] == "no answer from the printer"
            assert kinds["printer"][7]
            assert (kinds["printer"][5].isascii()) == (language == "en")
        with pytest.raises(CallRefused, match="arguments"):
            await ask(handlers, "doctor", {1: "tlh"})

    tell(story)


def test_a_device_that_stays_dead_does_not_fill_the_log(terminals: list[Terminal]) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        state = PcState(terminals[-1])
        first = state.ring.last
        for _ in range(100):
            for kind in ("clock", "network"):
                terminals[-1].note_failure(kind, PrinterError(kind + " is dead"))
            await asyncio.sleep(5)
        assert state.ring.last == first + 2
        terminals[-1].note_failure("clock", PrinterError("another trouble"))
        await asyncio.sleep(AGAIN_MS / 1000)
        terminals[-1].note_failure("network", PrinterError("network is dead"))
        assert state.ring.last == first + 4

    tell(story)


def test_no_pc_reads_the_code_that_pairs_another(terminals: list[Terminal]) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        terminal = terminals[-1]
        await terminal.view.show(pc_screens.code("493817"))
        tree = (await ask(PcState(terminal).handlers(), "screen", {})).ended[1]
        assert tree["screen"] == "pair_code"
        digits = [sign for sign in str(tree["nodes"]) if sign.isdigit()]
        assert digits == [] and "493" in str(terminal.view.tree())

    tell(story)
