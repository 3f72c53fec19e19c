"""Stand-ins for a microcontroller's modules ``machine`` and ``network``.

Thin proxies: what a driver does to a peripheral goes as bytes over the wire
(firmware/buses/wire.py) to the virtual board's chips. They run under MicroPython's
unix port, this folder first on MICROPYPATH, and under CPython in tests; they know
nothing of drivers. ``mcu.py`` says where the chips are, ``host_tools/emulator/mpy_seats.py``
what a board has wired to what.
"""
