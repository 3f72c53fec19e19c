"""Card readers on serial ports driven by MicroPython, with its own clock and the wire between."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tools import board_file
from host_tools.emulator import deck
from host_tools.emulator.rack import Rack
from host_tools.emulator.rack_server import RackServer
from tests.system.test_micropython import ROOT, unpacked
from tests.unit.test_alpar import board_with_coprocessor
from tests.unit.test_bare_reader import board_with_contacts


@pytest.mark.micropython
@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("made", [board_with_coprocessor, board_with_contacts])
def test_a_card_is_read(made: Callable[[Path], Path | str], protocol: int, tmp_path: Path) -> None:
    interpreter = unpacked("i386")
    data = board_file.compiled(
        board_file.read(board_file.find(str(made(tmp_path)))), "0.1.0", 1_795_000_000
    )
    module = tmp_path / "board.py"
    module.write_text(board_file.module_text(data), encoding="utf-8")
    card = deck.load().cards["approve"].make_card()
    card.protocol = protocol

    async def main() -> str:
        rack = Rack(lambda: time.monotonic_ns() // 1000, 3, data)
        rack.slot.insert(card)
        server = RackServer(rack)
        address = str(tmp_path / "rack.sock")
        await server.listen_unix(address)
        process = await asyncio.create_subprocess_exec(
            str(interpreter), "-X", "heapsize=2M", str(ROOT / "tests/support/mpy_card.py"),
            str(ROOT), str(module), address, str(tmp_path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await server.close()
        return out.decode()

    line = f"T={protocol} 0x6f 0x9000\n"
    assert asyncio.run(main()) == line * 2 + "present True\n"
