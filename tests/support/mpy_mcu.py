"""Uses every device of a microcontroller's board: run under MicroPython, the proxies of
``machine`` and ``network`` on its path, by tests/system/test_micropython_mcu.py.

    mpy_mcu.py BOARD.py DATA
"""

import sys

from firmware import aio, board_loader


async def main():  # type: ignore[no-untyped-def]  # also runs where typing is absent
    board = board_loader.load(sys.argv[1])
    devices = await board_loader.build(board, None, sys.argv[2])
    for kind, driver, error in devices.failures:
        print("failed " + kind + " " + driver + ": " + str(error))
    await devices.watchdog.start()
    await devices.display.show(bytes(range(256)) * 4)
    await devices.indicators.lamp("ok", True)
    await devices.indicators.sound("key")
    print("time " + str(await devices.clock.now()))
    if devices.power is not None:
        print("percent " + str((await devices.power.status()).percent))
    print("tamper " + str(await devices.tamper.open()))
    print("card " + str(await devices.card_reader.present()))
    await devices.entropy.self_test()
    print("genuine " + str(devices.entropy.genuine))
    await devices.printer.print([("text", "MicroPython 收据", "bc"), ("cut",)])
    links = devices.network
    while not links.steps:
        await aio.sleep_ms(50)
    print(links.steps[0].link + " " + links.steps[0].result)
    status = await links.ways[0].bearer.status()
    print("link " + status.state + " " + str(status.bars) + " " + status.address)
    await links.stop()
    await devices.watchdog.feed()
    print("ready")
    print("key " + await devices.keypad.read())


aio.run(main())
