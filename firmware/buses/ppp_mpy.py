"""Carrier: PPP of a MicroPython port (lwIP) on the UART of a modem that has a call.

``network.PPP`` reads and writes the peripheral itself, from an interrupt and
perhaps from lwIP's own thread, so it is given the port's own UART: while it is
up nobody else reads there, and what the modem says of the call's end
(``NO CARRIER``) is seen by nobody: PPP's own end is (``lost``), and the probe
above finds a call that died without one.
The stock image of esp32 has it; others need MICROPY_PY_NETWORK_PPP_LWIP.
"""

from firmware import aio
from firmware.buses.data_line import Carrier
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.buses.data_line import DataLine
    from firmware.buses.serial_mpy import MpySerial

#: How often it is looked at, and how long a farewell may take.
LOOK_MS, FAREWELL_MS = 50, 3000


class MpyPpp(Carrier):
    """``port``: where the modem's call is. ``user`` and ``key`` for networks that ask (PAP)."""

    def __init__(self, port: "MpySerial", user: str = "", key: str = "") -> None:
        """BusError when this MicroPython has no PPP."""
        try:
            from network import PPP
        except ImportError:
            raise BusError("ppp: this MicroPython has no PPP") from None
        self._class: "Any" = PPP
        self._port = port
        self._ppp: "Any" = None
        self.login(user, key)

    def login(self, user: str, password: str) -> None:
        """Who we are to networks that ask (PAP), from the next ``up`` on."""
        self._login: "dict[str, Any]" = {}
        if user:
            pap = self._class.SEC_PAP
            self._login = {"security": pap, "user": user, "key": password}

    async def up(self, line: "DataLine") -> str:
        """Agree with the network; our address. BusError."""
        await self.down()
        try:
            self._ppp = self._class(self._port.uart)
            self._ppp.connect(**self._login)
            while not self._ppp.isconnected():
                state = self._ppp.status()
                if state <= 0:
                    raise BusError("ppp: the network ended it, status " + str(state))
                await aio.pause_ms(LOOK_MS)
            return str(self._ppp.ipconfig("addr4")[0])
        except (OSError, ValueError) as error:
            await self.down()
            raise BusError("ppp: " + str(error)) from None
        except BaseException:  # given up by the caller, too
            await self.down()
            raise

    def lost(self) -> str:
        """Why it ended by itself since ``up``; "" while it stands or nobody started it."""
        if self._ppp is None:
            return ""
        try:
            if self._ppp.isconnected():
                return ""
            return "ppp: the network ended it, status " + str(self._ppp.status())
        except OSError as error:
            return "ppp: " + str(error)

    async def down(self) -> None:
        """Take the address away; the call itself is the modem's to end."""
        ppp, self._ppp = self._ppp, None
        if ppp is None:
            return
        began = aio.ticks_ms()
        try:
            ppp.disconnect()
            while ppp.isconnected() and aio.elapsed_ms(began) < FAREWELL_MS:
                await aio.pause_ms(LOOK_MS)
        except OSError:  # the peripheral is gone, and PPP with it
            pass
        finally:
            self._port.uart.irq(None)
