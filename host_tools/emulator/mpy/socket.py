"""Module ``socket`` of the virtual microcontroller: the computer's, where there is a way out.

IP is carried by the computer's kernel, and by neither the virtual radio nor the virtual
modem. What is played is lwIP's one way out (``network.way_out``): without it no
connection can be opened, and the rack is told by which link each one leaves. One that
is open outlives its link, unlike on a chip.
"""

import usocket  # type: ignore[import-not-found]
from usocket import *  # noqa: F403 - the whole module


def socket(family=usocket.AF_INET, kind=usocket.SOCK_STREAM, proto=0):  # type: ignore[no-untyped-def]
    """OSError EHOSTUNREACH without a way out. Those of the rack's wire pass."""
    if family == usocket.AF_INET:
        import network  # which stands on the wire, and so on this module

        from host_tools.emulator.mpy import mcu

        way = network.way_out()
        if not way:
            raise OSError(mcu.EHOSTUNREACH)
        mcu.transfer("mcu", 6, way.encode())
    return usocket.socket(family, kind, proto)
