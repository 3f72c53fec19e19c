"""A PC is paired with a terminal that runs MicroPython, and served: the PC's own tools at one
end of the cable, the 32-bit unix port at the other. Real clock: order, never duration."""

import asyncio
import ssl
from pathlib import Path

import pytest

from firmware.crypto.x25519 import KeyPair
from firmware.link import packets
from firmware.link.frames import encode
from host_tools.emulator.machine import Machine
from host_tools.pc_link import connection, known, pairing
from tests.support.mpy_terminal import PATIENCE_S, McuMachine, booted, by_pins, pay
from tests.system.test_micropython import ROOT, unpacked
from tests.system.test_micropython_mcu_memory import HEAPS, PROXIES, TLS, image

pytestmark = pytest.mark.micropython
assert image  # a fixture

ROLES = ["sync", "service"]


async def paired_and_served(machine: Machine, folder: Path) -> None:
    """Window, fingerprint, roles and code by keys; then requests, and the cable out and in."""
    settings = connection.Settings(
        known=known.KnownTerminals(folder / "known.json"),
        static=KeyPair(bytes([3]) * 32),
        name="Test PC",
    )

    async def code() -> str:
        await machine.screen("pair_code", timeout_s=PATIENCE_S)
        (digits,) = [node["text"] for node in machine.tree["nodes"] if node["name"] == "code"]
        return str(digits).replace(" ", "")

    async with connection.connect(machine.pc.target, settings, stranger=True) as terminal:
        assert terminal.hello[1] == []
        await machine.press("menu")
        await machine.screen("menu", timeout_s=PATIENCE_S)
        await machine.press("up", "enter")
        async with asyncio.timeout(PATIENCE_S):
            while len(machine.tree["nodes"][1].get("items", [])) != 2:
                await asyncio.sleep(0.05)
        await machine.press("1")
        await machine.screen("secret", timeout_s=PATIENCE_S)
        await machine.press(*"123456", "enter")
        await machine.screen("pair_wait", timeout_s=PATIENCE_S)
        asked = asyncio.create_task(
            pairing.pair(terminal, settings.known, ROLES, code, lambda text: None)
        )
        for screen in ("pair_asks", "pair_roles"):
            await machine.screen(screen, timeout_s=PATIENCE_S)
            await machine.press("enter")
        assert list((await asked).roles) == ROLES
        await machine.screen("pair_done", timeout_s=PATIENCE_S)
        await machine.press("enter")
        await machine.screen("idle", timeout_s=PATIENCE_S)
        assert (await terminal.ask("hello"))[1] == ROLES
        (entry,) = (await terminal.ask("pairs"))[1]
        assert entry[2] == "Test PC" and entry[3] == ROLES
        assert (await terminal.ask("status"))[1] == "ready"
        call = await terminal.open("journal_read", {1: 0, 2: 1000})
        frames = b"".join([item[3] async for item in call.items()])
        assert len(frames) > 100
        await machine.pc.plug(False)
        await machine.pc.plug(True)
        assert (await terminal.ask("pairs"))[1] == [entry]


def test_a_pc_is_paired_and_served(tmp_path: Path) -> None:
    machine = Machine(
        tmp_path / "terminal", "virtual-sockets", 3, (unpacked("i386"), "-X", "heapsize=4M")
    )
    machine.acquirer.context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def main() -> None:
        try:
            await booted(machine)
            await paired_and_served(machine, tmp_path)
            await machine.power_cut()
        finally:
            await machine.stop()

    asyncio.run(main())
    assert machine.printed_stderr == []


def test_a_pc_takes_no_memory_from_payments(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest board has none left for the link: the PC gets no answer, payments go on."""
    port, heap = HEAPS["rp2350-pico2w"]
    options = (
        "-X", f"heapsize={heap - TLS + PROXIES}K", str(ROOT / "bench/memory_boot.py"), str(image),
        str(tmp_path / "notes"),
    )  # fmt: skip
    machine = McuMachine(tmp_path / "terminal", "rp2350-pico2w", port, options)
    machine.acquirer.context.minimum_version = ssl.TLSVersion.TLSv1_3
    by_pins(monkeypatch)

    async def main() -> None:
        try:
            await booted(machine)
            await pay(machine, "cda-large")
            machine.rack.pc.feed(encode(packets.open_packet(b"half....", 1040, 4096)))
            async with asyncio.timeout(PATIENCE_S):
                while not machine.printed_stderr:
                    await asyncio.sleep(0.05)
            await pay(machine, "cda-large")
            assert len(machine.acquirer.transactions()) == 2
            await machine.power_cut()
        finally:
            await machine.stop()

    asyncio.run(main())
    (said,) = machine.printed_stderr
    assert said.startswith("till: pc_pipe: the link takes ")
