"""The terminal's real process, killed in the middle of a sale by its own chips.

``kill -9`` falls inside the transfer that names the moment: the process has
done everything before it and nothing after. Files, TLS and clock are real;
the tests wait for screens and books, never for time.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware.drivers.files_posix import PosixFiles
from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal import fold, records
from firmware.payment.journal.journal import Journal
from firmware.services import counters
from host_tools.emulator import scripted
from host_tools.emulator.machine import Machine, running
from tests.support.vault_parts import SeededEntropy

PATIENCE_S = 60.0


class Assassin:
    """Kills the terminal at the ``nth`` transfer that ``when`` picks."""

    def __init__(self, machine: Machine, chip: Any, when: Callable[[int, bytes], bool], nth: int):
        self.struck = asyncio.Event()
        self._machine = machine
        self._transfer = chip.transfer
        self._when = when
        self._left = nth
        chip.transfer = self

    def __call__(self, op: int, payload: bytes) -> tuple[bytes, int]:
        if not self.struck.is_set() and self._when(op, payload):
            self._left -= 1
            if not self._left:
                self.kill()
        answer: tuple[bytes, int] = self._transfer(op, payload)
        return answer

    def kill(self) -> None:
        """Now."""
        process = self._machine.process_id
        assert process is not None
        os.kill(process, signal.SIGKILL)
        self.struck.set()


def _second_cryptogram(op: int, payload: bytes) -> bool:
    return op == 3 and payload[1:2] == b"\xae" and payload[2] & 0xC0 == 0x40


def _bytes_to_paper(op: int, payload: bytes) -> bool:
    return op == 1


async def _pay_until(machine: Machine, struck: asyncio.Event) -> None:
    """A sale that nobody finishes."""
    sale = asyncio.create_task(
        scripted.pay(machine, "1234", "approve", ("question", "remove_card"))
    )
    await asyncio.wait_for(struck.wait(), PATIENCE_S)
    sale.cancel()
    await asyncio.gather(sale, return_exceptions=True)
    await machine.power_cut()
    machine.remove()


async def _recovered(machine: Machine) -> None:
    """Boot; print what is owed, be told what was reversed; wait until nothing is."""
    await machine.power_on()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        names = ("idle", "question", "result", "amount")
        tree = await machine.screen(*names, timeout_s=PATIENCE_S)
        if tree["screen"] == "amount":  # an Enter that came after its result
            await machine.press("cancel")
        elif tree["screen"] != "idle":
            await machine.press("enter")
        elif not {"idle.reversal_owed", "idle.reversing"} & _keys(tree):
            return
        assert time.monotonic() < deadline, tree
        await asyncio.sleep(0.02)


def _keys(tree: "dict[str, Any]") -> "set[str]":
    return {str(node.get("key")) for node in tree["nodes"]}


async def _journal(machine: Machine) -> Journal:
    files = PosixFiles(str(machine.folder / "data"), inline=True)
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    journal = Journal(files, vault)
    report = await journal.open()
    assert report.trading == "ok"
    return journal


async def _agree(machine: Machine) -> list[str]:
    """States of the bank's transactions, after the journal was held against them."""
    await machine.power_cut()
    journal = await _journal(machine)
    assert journal.state.debt is None
    ours = {
        one.stan: one.amount for one in journal.state.transactions if one.status == fold.APPROVED
    }
    rows = machine.acquirer.transactions()
    theirs = {
        int(row["stan"]): row["approved_amount"] for row in rows if row["state"] == "approved"
    }
    assert ours == theirs
    assert machine.acquirer.ledger.inconsistencies() == []
    came = [m for m in machine.acquirer.ledger.messages() if m["direction"] == "in"]
    sent = [m["fields"]["11"] for m in came if m["mti"] == "0200"]
    assert len(sent) == len(set(sent))
    return [str(row["state"]) for row in rows]


def _cut(
    folder: Path, arm: Callable[[Machine], Assassin], told: "list[str]", again: bool = False
) -> None:
    async def story() -> None:
        machine = Machine(folder, seed=1)
        machine.enrol(languages=("en", "zh"))
        async with running(machine):
            await machine.screen("idle", timeout_s=PATIENCE_S)
            await scripted.sign_in(machine)
            assassin = arm(machine)
            await _pay_until(machine, assassin.struck)
            await _recovered(machine)
            assert ("DUPLICATE" in machine.rack.printer.text()) == again
            assert await _agree(machine) == told
            assert machine.printed_stderr == []

    asyncio.run(story())


def _at_the_bank(machine: Machine) -> Assassin:
    """The bank has the request and books it; nobody is there for its answer."""
    assassin = Assassin(machine, machine.rack.debug, lambda op, payload: False, 1)
    handle = machine.acquirer.bank.handle

    def kill_first(frame: bytes, peer: Any) -> Any:
        if not assassin.struck.is_set():
            assassin.kill()
        return handle(frame, peer)

    machine.acquirer.bank.handle = kill_first  # type: ignore[method-assign]
    return assassin


def _at_the_second_cryptogram(machine: Machine) -> Assassin:
    return Assassin(machine, machine.rack.slot, _second_cryptogram, 1)


def _at_the_printer(machine: Machine) -> Assassin:
    return Assassin(machine, machine.rack.printer, _bytes_to_paper, 2)


def test_killed_when_the_bank_has_the_request(tmp_path: Path) -> None:
    _cut(tmp_path, _at_the_bank, ["reversed"])


def test_killed_between_the_answer_and_the_commit(tmp_path: Path) -> None:
    _cut(tmp_path, _at_the_second_cryptogram, ["reversed"])


def test_killed_while_printing(tmp_path: Path) -> None:
    _cut(tmp_path, _at_the_printer, ["approved"], again=True)


@pytest.mark.soak
@pytest.mark.parametrize("nth", range(1, 41))
def test_killed_at_any_command_of_the_card(tmp_path: Path, nth: int) -> None:
    """Before the request nothing is booked; after it what is booked is reversed."""

    async def story() -> None:
        machine = Machine(tmp_path, seed=1)
        machine.enrol(languages=("en", "zh"))
        async with running(machine):
            await machine.screen("idle", timeout_s=PATIENCE_S)
            await scripted.sign_in(machine)
            assassin = Assassin(machine, machine.rack.slot, lambda op, _: op in (2, 3), nth)
            sale = asyncio.create_task(
                scripted.pay(machine, "1234", "approve", ("question", "remove_card"))
            )
            struck = asyncio.create_task(assassin.struck.wait())
            await asyncio.wait({sale, struck}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sale, struck):
                task.cancel()
            await asyncio.gather(sale, struck, return_exceptions=True)
            await machine.power_cut()
            machine.remove()
            await _recovered(machine)
            states = await _agree(machine)
            assert states in ([], ["reversed"]) or not assassin.struck.is_set()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["stop", "ctrl-c"]
)
def test_a_stop_by_the_system_is_an_end_that_is_told(
    tmp_path: Path, number: int, code: int
) -> None:
    """What systemd or a hand on Ctrl-C ends had no power cut; a kill looks like one."""

    async def story() -> None:
        machine = Machine(tmp_path, seed=1)
        machine.enrol(languages=("en", "zh"))
        async with running(machine):
            await machine.screen("idle", timeout_s=PATIENCE_S)
            assert machine.process_id is not None and machine._watch is not None
            os.kill(machine.process_id, number)
            await asyncio.wait_for(machine._watch, PATIENCE_S)
            assert machine.ended == (code, "")
            assert counters.cut_off((await _journal(machine)).state, False) == 0
            await machine.power_on()
            await machine.screen("idle", timeout_s=PATIENCE_S)
            await machine.power_cut()
            state = (await _journal(machine)).state
            assert (state.counters[records.C_BOOTS], counters.cut_off(state, False)) == (2, 1)

    asyncio.run(story())
