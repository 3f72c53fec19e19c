"""The whole terminal under real MicroPython: chip sales over mutual TLS 1.3 on real sockets.

The same ``firmware.main`` as on Linux, in the unix port's process; the chips
and the bank stand in this one. Real clock: order is asserted, never duration.
"""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from firmware.drivers.entropy_linux import LinuxEntropy
from firmware.drivers.files_posix import PosixFiles
from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal import records
from firmware.payment.journal.fold import State
from firmware.payment.journal.journal import Journal
from host_tools import board_file
from host_tools.emulator.machine import Machine
from tests.support import rig
from tests.support.mpy_terminal import PATIENCE_S, booted, cut_after_the_request, pay
from tests.system.test_micropython import ROOT, unpacked

pytestmark = [pytest.mark.micropython, pytest.mark.parametrize("arch", ["amd64", "i386"])]

#: Far more than a device has: what a sale needs is measured by bench/bench_memory.py.
HEAP = "heapsize=4M"
CARDS = ["cda-large", "offline-pin-enciphered"]


def take(
    arch: str, folder: Path, story: Callable[[Machine], Awaitable[None]]
) -> tuple[Machine, list[dict[str, Any]]]:
    """Run ``story`` on a provisioned and booted terminal: the machine as it was
    left, and the bank's transactions."""
    machine = Machine(folder, "virtual-sockets", 3, (unpacked(arch), "-X", HEAP))
    context = machine.acquirer.context
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_REQUIRED

    async def main() -> None:
        try:
            await booted(machine)
            await story(machine)
            await machine.power_cut()
            rows.extend(machine.acquirer.transactions())
        finally:
            await machine.stop()

    rows: list[dict[str, Any]] = []
    asyncio.run(main())
    assert machine.printed_stderr == []
    assert machine.rack.net.connects == [], "the virtual modem was dialled"
    return machine, rows


async def journalled(folder: Path) -> tuple[State, list[int]]:
    """(state, kinds of record in order) of a terminal's folder, read by CPython."""
    files = PosixFiles(str(folder / "data"))
    vault = SoftVault(files, LinuxEntropy())
    await vault.open()
    journal = Journal(files, vault)
    report = await journal.open()
    assert report.trading == "ok"
    assert report.notices == []
    kinds = [record.kind for record in await journal.read(0, 1000)]
    await journal.close()
    files.close()
    return journal.state, kinds


@pytest.mark.parametrize("card", CARDS)
def test_an_approved_chip_sale(arch: str, card: str, tmp_path: Path) -> None:
    async def story(machine: Machine) -> None:
        await pay(machine, card)

    machine, (row,) = take(arch, tmp_path, story)
    assert (row["state"], row["amount"], row["currency"]) == ("approved", 1234, 156)
    assert row["pin_verified"] == (card != "offline-pin-enciphered")
    paper = machine.rack.printer.paper.text()
    assert paper.count(row["rrn"]) == 2
    assert paper.count("CNY 12.34") == 2
    assert machine.rack.printer.overruns == 0
    state, kinds = asyncio.run(journalled(tmp_path))
    assert state.debt is None
    assert state.totals == {("sale", 156): (1, 1234)}
    assert [k for k in kinds if k in (records.REQUEST, records.ANSWER, records.COMMIT)] == [
        records.REQUEST,
        records.ANSWER,
        records.COMMIT,
    ]


def test_a_power_cut_after_the_request_ends_in_a_reversal(arch: str, tmp_path: Path) -> None:
    async def story(machine: Machine) -> None:
        await cut_after_the_request(machine)
        owed.append((await journalled(tmp_path))[0].debt is not None)
        await machine.power_on()
        await machine.screen("result", timeout_s=PATIENCE_S)  # the reversal's
        await pay(machine, "cda")

    owed: list[bool] = []
    _, (first, second) = take(arch, tmp_path, story)
    assert owed == [True]
    assert (first["state"], first["reversals"]) == ("reversed", 1)
    assert (second["state"], second["amount"]) == ("approved", 1234)
    state, kinds = asyncio.run(journalled(tmp_path))
    assert state.debt is None
    assert state.totals == {("sale", 156): (1, 1234)}
    assert records.REVERSED in kinds


def test_what_keeps_main_from_starting_is_named(arch: str, tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.py", tmp_path / "good.py"
    broken.write_text("\nBOARD = {'format': 1,")
    good.write_text(board_file.module_text(rig.board("virtual-sockets")))
    data = ["--data", str(tmp_path)]
    for words, code, complaint in (
        ([], 2, "usage: "),
        (["--board"], 2, "usage: "),
        (["--board", "x", *data, "--colour", "red"], 2, "usage: "),
        (["--board", str(tmp_path / "none.py"), *data], 1, "till: board file "),
        (["--board", str(broken), *data], 1, "till: board file "),
        (["--board", str(good), *data, "--wire", "nowhere"], 1, "till: wire: no rack at nowhere"),
        (["--board", str(good), *data], 3, "till: display ssd1306: "),
    ):
        done = subprocess.run(
            [unpacked(arch), "-X", HEAP, "-m", "firmware.main", *words],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "MICROPYPATH": f".frozen:{ROOT}"},
        )  # fmt: skip
        assert done.returncode == code, (words, done)
        assert done.stderr.startswith(complaint), done.stderr
        assert "Traceback" not in done.stderr
