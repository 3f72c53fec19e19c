"""The boards of microcontrollers under MicroPython itself: their drivers unmodified, ``machine``
and ``network`` proxies to the virtual chips (host_tools/emulator/mpy)."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tools import board_file
from host_tools.emulator import mpy_seats
from host_tools.emulator.chips.wlan_radio import AccessPoint
from host_tools.emulator.rack import Rack
from host_tools.emulator.rack_server import RackServer
from tests.support import rig
from tests.system.test_micropython import ROOT, unpacked

pytestmark = [
    pytest.mark.micropython,
    # ESP32-S3 and RP2350 are 32-bit chips; one of the two also runs as a 64-bit process.
    pytest.mark.parametrize(
        ("name", "port", "arch"),
        [("rp2350-pico2w", "rp2", "i386"), ("esp32-s3", "esp32", "amd64")],
    ),
]


@asynccontextmanager
async def running(
    port: str, arch: str, folder: Path, board: dict[str, Any], rack: Rack, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """MicroPython with these ``words`` in ``folder``, on ``board``, whose chips are the rack's."""
    (folder / "board.py").write_text(board_file.module_text(board), encoding="utf-8")
    server = RackServer(rack)
    socket = str(folder / "rack.sock")
    await server.listen_unix(socket)
    process = await asyncio.create_subprocess_exec(
        unpacked(arch), "-X", "heapsize=2M", *words,
        cwd=folder, env={**os.environ, **mpy_seats.environment(board, socket, port)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await server.close()


def script(name: str) -> tuple[str, ...]:
    """Command line of a script of tests/support, which takes board and data."""
    return str(ROOT / f"tests/support/{name}.py"), "board.py", "."


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def use(
    name: str, port: str, arch: str, tmp_path: Path, key: str, spoil: str = ""
) -> tuple[Rack, list[str]]:
    """What the script said, and the rack as it was left; ``spoil``: a chip that is dead."""
    said: list[str] = []

    async def main() -> Rack:
        board = rig.board(name)
        rack = Rack(_now_us, 3, board)
        rack.radio.air = [AccessPoint(board["bus"]["wlan"]["ssid"], key)]
        if spoil:
            getattr(rack, spoil).mute = True
        async with running(port, arch, tmp_path, board, rack, *script("mpy_mcu")) as process:
            assert process.stdout is not None
            async for line in process.stdout:
                said.append(line.decode().rstrip("\r\n"))
                if said[-1] == "ready":
                    rack.keys.tap("enter", 3_000_000)
            await process.wait()
        return rack

    return asyncio.run(main()), said


def test_every_device_of_the_board(name: str, port: str, arch: str, tmp_path: Path) -> None:
    key = rig.board(name)["bus"]["wlan"]["key"]
    rack, said = use(name, port, arch, tmp_path, key)
    assert said[0].startswith("time 17952480"), said
    assert said[1:] == [
        "percent 84", "tamper False", "card False", "genuine True",
        "wifi started", "link up 3 192.168.4.20", "ready", "key enter",
    ], said  # fmt: skip
    assert rack.display.frame() == bytes(range(256)) * 4
    if rack.display.controller != "sh1106":  # to which luma, too, sends an SSD1306's 20h
        assert rack.display.unknown == []
    assert rack.lamps.state()["ok"]
    assert [hertz for _, hertz in rack.lamps.heard] == [2400, 0]
    assert rack.printer.paper.lines[0].strip() == "MicroPython 收据"
    assert rack.printer.overruns == 0
    assert rack.pins.shorts == []
    assert (rack.mcu.watchdog_ms, rack.mcu.resets) == (8000, 0)
    assert rack.radio.joins == 1


def test_a_dead_gauge_and_a_wrong_password_are_named(
    name: str, port: str, arch: str, tmp_path: Path
) -> None:
    rack, said = use(name, port, arch, tmp_path, "another key", "gauge")
    number = next(bus["port"] for bus in rack.board["bus"].values() if bus["driver"] == "mpy_i2c")
    assert said[0] == f"failed power max17048: i2c {number}, address 0x36: no acknowledge", said
    assert said[-4:] == ["wifi denied", "link down 0 ", "ready", "key enter"], said


def test_a_firmware_that_hangs_is_bitten(name: str, port: str, arch: str, tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board(name)
        board["watchdog"]["timeout_ms"] = 1000
        rack = Rack(_now_us, 3, board)
        async with running(port, arch, tmp_path, board, rack, *script("mpy_hang")) as process:
            assert process.stdout is not None
            assert (await process.stdout.readline()).strip() == b"fed"
            assert rack.mcu.resets == 0
            while rack.mcu.resets == 0:
                await asyncio.sleep(0.02)
            assert process.returncode is None, "it hangs, and only the watchdog helps"

    asyncio.run(main())


def test_what_the_image_starts_by_itself(name: str, port: str, arch: str, tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board(name)
        rack = Rack(_now_us, 3, board)
        (tmp_path / "fonts").symlink_to(ROOT / "firmware/text/data")
        glue = str(ROOT / "boards/micropython/main.py")
        async with running(port, arch, tmp_path, board, rack, glue) as process:
            blank = bytes(len(rack.display.frame()))
            while not (rack.mcu.watchdog_ms and rack.display.on and rack.display.frame() != blank):
                await asyncio.sleep(0.02)
            assert (tmp_path / "till").is_dir()
            assert process.returncode is None

    asyncio.run(main())


def test_the_doctor_examines_the_board(name: str, port: str, arch: str, tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        board = rig.board(name)
        rack = Rack(_now_us, 3, board)
        rack.gauge.mute = True
        words = ("-m", "firmware.doctor", "--board", "board.py", "--data", ".")
        async with running(port, arch, tmp_path, board, rack, *words) as process:
            said, _ = await process.communicate()
        assert process.returncode == 1, said
        told: dict[str, Any] = json.loads(said)
        return told

    told = asyncio.run(main())
    assert told["board"] == name
    states = {device["kind"]: device["state"] for device in told["devices"]}
    assert states.pop("power") == "fail"
    assert "fail" not in states.values(), told
    assert states["display"] == states["clock"] == states["printer"] == "ok"
