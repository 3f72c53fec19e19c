"""Boots a board's devices and uses them: run under MicroPython by
tests/system/test_micropython_board.py.

    mpy_board.py ROOT BOARD.py WIRE DATA
"""

import sys

sys.path.insert(0, sys.argv[1])

from firmware import aio, board_loader
from firmware.buses.wire_stream import connect


async def main():  # type: ignore[no-untyped-def]  # also runs where typing is absent
    board = board_loader.load(sys.argv[2])
    devices = await board_loader.build(board, connect(sys.argv[3]), sys.argv[4])
    for kind, driver, error in devices.failures:
        print("failed " + kind + " " + driver + ": " + str(error))
    frame = bytes(range(256)) * 4
    await devices.display.show(frame)
    await devices.indicators.lamp("ok", True)
    print("time " + str(await devices.clock.now()))
    print("percent " + str((await devices.power.status()).percent))
    print("tamper " + str(await devices.tamper.open()))
    print("card " + str(await devices.card_reader.present()))
    await devices.printer.print([("text", "MicroPython 收据", "bc"), ("cut",)])
    print("ready")
    print("key " + await devices.keypad.read())


aio.run(main())
