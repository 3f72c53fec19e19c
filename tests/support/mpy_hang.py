"""Feeds the watchdog as the firmware does, then hangs: run under MicroPython by
tests/system/test_micropython_mcu.py.

    mpy_hang.py BOARD.py DATA
"""

import sys

from firmware import aio, board_loader
from firmware.services import heartbeat


async def main():  # type: ignore[no-untyped-def]  # also runs where typing is absent
    devices = await board_loader.build(board_loader.load(sys.argv[1]), None, sys.argv[2])
    await heartbeat.begin(devices)
    await aio.sleep_ms(2 * devices.watchdog.timeout_ms)
    print("fed")
    while True:  # nothing else runs any more
        pass


aio.run(main())
