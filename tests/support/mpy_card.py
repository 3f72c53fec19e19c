"""Reads a card with a board's reader: run under MicroPython by
tests/system/test_micropython_readers.py.

    mpy_card.py ROOT BOARD.py WIRE DATA
"""

import sys

sys.path.insert(0, sys.argv[1])

from firmware import aio, board_loader
from firmware.buses.wire_stream import connect


async def main():  # type: ignore[no-untyped-def]  # also runs where typing is absent
    board = board_loader.load(sys.argv[2])
    devices = await board_loader.build(board, connect(sys.argv[3]), sys.argv[4])
    reader = devices.card_reader
    await reader.wait_present()
    for _ in range(2):
        channel = await reader.power_on()
        data, sw, _ = await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        print("T=" + str(channel.protocol), hex(data[0]), hex(sw))
    await reader.power_off()
    print("present " + str(await reader.present()))


aio.run(main())
