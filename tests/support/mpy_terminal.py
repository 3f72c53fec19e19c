"""A terminal in a MicroPython process: enrolled, booted, paid on. Boards with virtual chips run
as they are; those of microcontrollers too, ``machine`` and ``network`` being proxies."""

import asyncio
import time
from pathlib import Path

import pytest

from host_tools import board_file
from host_tools.emulator import machine as machines
from host_tools.emulator import mpy_seats, scripted
from host_tools.emulator.chips.ppp_network import PppNetwork
from host_tools.emulator.chips.wlan_radio import AccessPoint
from host_tools.emulator.machine import Machine
from tests.system.test_micropython import unpacked

#: Waits end at an event; this only ends a test that has failed.
PATIENCE_S = 60.0
#: A machine that does other work too may not run a terminal for seconds.
SLOWER = 10
#: A look at the keypad by ``machine.Pin`` is four reads while nothing is pressed, else twenty.
READS, READ = 80, 2


class McuMachine(Machine):
    """A microcontroller's board of ``boards/`` as it is, but for the flag that lets software be
    it. ``options``: of the interpreter. Its Wi-Fi is in the air, and a call of its modem ends
    in a network that agrees to PPP."""

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
        self.point = AccessPoint(wlan["ssid"], wlan["key"])
        self.rack.radio.air = [self.point]
        self.rack.mcu.slower = SLOWER
        #: The network's end of each call.
        self.calls: list[PppNetwork] = []
        self.rack.modem.dial = self._dial

    async def power_cut(self) -> None:
        """Of the chip and its radio too."""
        await super().power_cut()
        self.rack.mcu.power_off()
        self.rack.radio.transfer(1, b"\x00")

    def _dial(self) -> PppNetwork:
        self.calls.append(PppNetwork(lambda: time.monotonic_ns() // 1_000_000))
        return self.calls[-1]


def by_pins(patch: pytest.MonkeyPatch) -> None:
    """Let ``Machine`` count looks at a keypad whose pins are read one by one."""
    patch.setattr(machines, "SCANS", READS)
    patch.setattr(machines, "SCAN_OPS", (READ,))


async def booted(machine: Machine) -> None:
    """Enrol it at its bank and power it, up to the idle screen."""
    await machine.open()
    machine.enrol(
        host="127.0.0.1",
        port=machine.bank_port,
        plain_key=True,  # the unix port's TLS cannot decipher PKCS#8 quickly
        languages=("en", "zh"),
    )
    await machine.power_on()
    await machine.screen("idle", timeout_s=PATIENCE_S)


async def fed(machine: McuMachine) -> None:
    """Wait until the terminal has fed its watchdog once more. TimeoutError."""
    before = machine.rack.mcu.feeds
    async with asyncio.timeout(PATIENCE_S):
        while machine.rack.mcu.feeds == before:
            await asyncio.sleep(0.05)  # chips and bank are in this loop


async def cut_after_the_request(machine: Machine) -> None:
    """A payment that the bank booked, whose answer never came, and a power cut."""
    machine.acquirer.rule("drop")
    await scripted.key_amount(machine, "1234")
    machine.insert("approve")
    await machine.screen("pin", timeout_s=PATIENCE_S)
    await machine.press(*machine.deck.cards["approve"].typed[0], "enter")
    await machine.booked(PATIENCE_S, before=0)
    await machine.power_cut()
    machine.remove()


async def pay(machine: Machine, card: str) -> None:
    """One approved payment with both receipts, up to the idle screen."""
    tree = await scripted.pay(machine, "1234", card, ("question", "message"))
    assert tree["screen"] == "question", (tree, machine.printed_stderr)
    await machine.press("enter")
    await machine.screen("remove_card", timeout_s=PATIENCE_S)
    machine.remove()
    await machine.screen("idle", timeout_s=PATIENCE_S)
