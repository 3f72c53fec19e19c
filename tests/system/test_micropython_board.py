"""The virtual board driven by MicroPython: its drivers, our chips, the wire between."""

import asyncio
import time
from pathlib import Path

import pytest

from host_tools import board_file
from host_tools.emulator.rack import Rack
from host_tools.emulator.rack_server import RackServer
from tests.support import rig
from tests.system.test_micropython import ROOT, unpacked


@pytest.mark.micropython
@pytest.mark.parametrize("arch", ["amd64", "i386"])
@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("name", ["virtual", "virtual-sh1106"])
def test_every_device_of_the_virtual_board(
    arch: str, transport: str, name: str, tmp_path: Path
) -> None:
    interpreter = unpacked(arch)
    data = rig.board(name)
    module = tmp_path / "board.py"
    module.write_text(board_file.module_text(data), encoding="utf-8")
    said: list[str] = []

    async def main() -> Rack:
        rack = Rack(lambda: time.monotonic_ns() // 1000, 3, data)
        server = RackServer(rack)
        address = str(tmp_path / "rack.sock")
        if transport == "unix":
            await server.listen_unix(address)
        else:
            address = f"127.0.0.1:{await server.listen_tcp()}"
        process = await asyncio.create_subprocess_exec(
            str(interpreter), "-X", "heapsize=2M", str(ROOT / "tests/support/mpy_board.py"),
            str(ROOT), str(module), address, str(tmp_path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                async for line in process.stdout:
                    said.append(line.decode().strip())
                    if said[-1] == "ready":
                        rack.keys.tap("enter", 300_000)
                assert await process.wait() == 0, said
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await server.close()
        return rack

    rack = asyncio.run(main())
    assert said[1:] == ["percent 84", "tamper False", "card False", "ready", "key enter"], said
    assert said[0].startswith("time 17952480")
    assert rack.display.frame() == bytes(range(256)) * 4
    assert rack.lamps.state()["ok"]
    assert rack.printer.paper.lines[0].strip() == "MicroPython 收据"
    assert rack.printer.overruns == 0
