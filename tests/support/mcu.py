"""A virtual microcontroller in this process: ``machine`` and ``network`` on a rack."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from firmware.buses.wire import Wire
from host_tools.emulator.mpy import mcu

#: Parents first.
NAMES = ("machine", "network", "usb", "usb.device", "usb.device.cdc")


def _now_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)


@contextmanager
def installed(wire: Wire, seats: dict[str, str], port: str) -> Iterator[Any]:
    """The modules ``machine`` and ``network`` of ``port`` ("rp2", "esp32"), led to ``wire``."""
    mcu.attach(wire, seats, port, _now_ms)
    before = {name: sys.modules.get(name) for name in NAMES}
    modules = {}
    for name in before:
        module = importlib.import_module(f"host_tools.emulator.mpy.{name}")
        # The constants of "network" are the port's.
        modules[name] = importlib.reload(module) if name == "network" else module
    sys.modules.update(modules)
    try:
        yield modules["machine"]
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
