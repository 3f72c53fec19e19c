"""The whole firmware on a microcontroller's board under MicroPython: panel, keys, printer, card
coprocessor and Wi-Fi by ``machine`` and ``network``, TLS on real sockets, one chip sale."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from host_tools import board_file
from host_tools.emulator import machine as machines
from host_tools.emulator import mpy_seats, scripted
from host_tools.emulator.chips.wlan_radio import AccessPoint
from host_tools.emulator.machine import Machine
from tests.system.test_micropython import unpacked

#: Waits end at an event; this only ends a test that has failed.
PATIENCE_S = 60.0
#: A look at the keypad is four reads of a pin while nothing is pressed, else twenty.
READS = 80


class Pico(Machine):
    """A board of ``boards/`` as it is, but for the flag that lets software be it.
    ``options``: of the interpreter."""

    def __init__(
        self, folder: Path, name: str, port: str, options: tuple[str, ...] = ("-X", "heapsize=4M")
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        source = board_file.find(name).read_text(encoding="utf-8")
        toml = folder / "board.toml"
        toml.write_text(source.replace("emulated = false", "emulated = true"), encoding="utf-8")
        super().__init__(folder, str(toml), 3)
        around = mpy_seats.environment(self.board, str(self.socket), port)
        pairs = [f"{key}={value}" for key, value in around.items()]
        self.interpreter = ("/usr/bin/env", *pairs, unpacked("i386"), *options)
        wlan = self.board["bus"]["wlan"]
        self.rack.radio.air = [AccessPoint(wlan["ssid"], wlan["key"])]


def sell(machine: Pico, card: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """One approved sale with both receipts: what the bank booked."""
    monkeypatch.setattr(machines, "SCANS", READS)
    monkeypatch.setattr(machines, "SCAN_OPS", (2,))
    rows: list[dict[str, Any]] = []

    async def main() -> None:
        try:
            await machine.open()
            machine.enrol(
                host="127.0.0.1",
                port=machine.bank_port,
                plain_key=True,  # the unix port's TLS cannot decipher PKCS#8 quickly
                languages=("en", "zh"),
            )
            await machine.power_on()
            await machine.screen("idle", timeout_s=PATIENCE_S)
            tree = await scripted.pay(machine, "1234", card, ("question", "message"))
            assert tree["screen"] == "question", (tree, machine.printed_stderr)
            await machine.press("enter")
            await machine.screen("remove_card", timeout_s=PATIENCE_S)
            machine.remove()
            await machine.screen("idle", timeout_s=PATIENCE_S)
            rows.extend(machine.acquirer.transactions())
        finally:
            await machine.stop()

    asyncio.run(main())
    assert machine.printed_stderr == []
    return rows


@pytest.mark.micropython
@pytest.mark.parametrize(
    ("name", "port"),
    [("rp2350-pico2w", "rp2"), pytest.param("esp32-s3", "esp32", marks=pytest.mark.soak)],
)
def test_a_chip_sale(name: str, port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Pico(tmp_path, name, port)
    (row,) = sell(machine, "cda", monkeypatch)
    assert (row["state"], row["amount"], row["currency"]) == ("approved", 1234, 156)
    paper = machine.rack.printer.paper.text()
    assert paper.count(row["rrn"]) == 2
    assert paper.count("CNY 12.34") == 2
    assert machine.rack.printer.overruns == 0
    assert machine.rack.net.connects == [], "the virtual modem was dialled"
    assert machine.rack.radio.joins == 1
    assert machine.rack.mcu.resets == 0
    assert machine.rack.pins.shorts == []
