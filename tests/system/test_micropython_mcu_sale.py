"""The whole firmware on a microcontroller's board under MicroPython: panel, keys, printer, card
coprocessor, Wi-Fi and modem by ``machine`` and ``network``, TLS on real sockets, chip sales."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.mpy_terminal import (
    PATIENCE_S,
    McuMachine,
    booted,
    by_pins,
    cut_after_the_request,
    fed,
    pay,
)
from tests.system.test_micropython import ROOT

pytestmark = pytest.mark.micropython


def sell(
    machine: McuMachine,
    monkeypatch: pytest.MonkeyPatch,
    story: Callable[[McuMachine], Awaitable[None]],
) -> list[dict[str, Any]]:
    """What the bank booked of ``story``, which begins at the idle screen."""
    by_pins(monkeypatch)
    rows: list[dict[str, Any]] = []

    async def main() -> None:
        try:
            await booted(machine)
            await story(machine)
            rows.extend(machine.acquirer.transactions())
            await fed(machine)
            # Now: a watchdog that nobody feeds any more is no fault.
            assert machine.rack.mcu.resets == 0
        finally:
            await machine.stop()

    asyncio.run(main())
    assert machine.printed_stderr == []
    assert machine.rack.net.connects == [], "the virtual network was dialled"
    assert machine.rack.printer.overruns == 0
    assert machine.rack.pins.shorts == []
    return rows


def check_approved(machine: McuMachine, rows: list[dict[str, Any]]) -> None:
    """Each row is an approved sale of 12.34 with both slips."""
    paper = machine.rack.printer.paper.text()
    for row in rows:
        assert (row["state"], row["amount"], row["currency"]) == ("approved", 1234, 156)
        assert paper.count(row["rrn"]) == 2
    assert paper.count("CNY 12.34") == 2 * len(rows)


@pytest.mark.parametrize(
    ("name", "port"),
    [("rp2350-pico2w", "rp2"), pytest.param("esp32-s3", "esp32", marks=pytest.mark.soak)],
)
def test_a_chip_sale_over_wifi(
    name: str, port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = McuMachine(tmp_path, name, port)

    async def story(machine: McuMachine) -> None:
        await pay(machine, "cda")

    rows = sell(machine, monkeypatch, story)
    assert len(rows) == 1
    check_approved(machine, rows)
    assert set(machine.rack.mcu.connections) == {"wifi"}
    assert machine.rack.radio.joins == 1
    assert machine.calls == []


def test_a_chip_sale_over_the_modem_and_wifi_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = McuMachine(tmp_path, "esp32-s3", "esp32")
    machine.point.on = False

    async def story(machine: McuMachine) -> None:
        await pay(machine, "cda")
        assert set(machine.rack.mcu.connections) == {"mobile"}
        assert machine.calls[-1].end.up
        # The call drops, and the access point is there by then.
        machine.point.on = True
        machine.calls[-1].end.hang_up()
        async with asyncio.timeout(120):
            while machine.rack.radio.state()[0] != 3:
                await asyncio.sleep(0.1)  # chips and bank are in this loop
        await pay(machine, "cda")

    rows = sell(machine, monkeypatch, story)
    assert len(rows) == 2
    check_approved(machine, rows)
    assert machine.rack.mcu.connections[-1] == "wifi"


def test_a_power_cut_on_littlefs_ends_in_a_reversal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash = str(tmp_path / "flash.bin")
    options = "-X", "heapsize=4M", str(ROOT / "tests/support/mpy_flash.py"), flash
    machine = McuMachine(tmp_path / "terminal", "rp2350-pico2w", "rp2", options)
    folder = tmp_path / "terminal/data"

    async def story(machine: McuMachine) -> None:
        provisioned = sorted(path.name for path in folder.iterdir())
        await cut_after_the_request(machine)
        await machine.power_on()
        await machine.screen("result", timeout_s=PATIENCE_S)  # the reversal's
        await pay(machine, "cda")
        assert sorted(path.name for path in folder.iterdir()) == provisioned

    first, second = sell(machine, monkeypatch, story)
    assert (first["state"], first["reversals"]) == ("reversed", 1)
    assert (second["state"], second["amount"]) == ("approved", 1234)
