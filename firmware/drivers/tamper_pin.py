"""Tamper: a case switch on a pin. A cut wire reads as open."""

from firmware import aio
from firmware.buses.pins import IN_PULLUP
from firmware.buses.wire import BusError
from firmware.hal.tamper import Tamper, TamperError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins

#: Milliseconds between looks.
LOOK_MS = 100


class TamperPin(Tamper):
    """``open_level``: what the pin reads while the case is open. With the usual
    switch to ground that is 1, so that a cut wire reads as open."""

    def __init__(self, pins: "Pins", pin: int, open_level: int = 1) -> None:
        self._pins = pins
        self._pin = pin
        self._open_level = open_level
        try:
            pins.mode(pin, IN_PULLUP)
        except BusError as error:
            raise TamperError(str(error)) from None

    async def open(self) -> bool:
        """Whether the case is open now. TamperError."""
        try:
            return self._pins.read(self._pin) == self._open_level
        except BusError as error:
            raise TamperError(str(error)) from None

    async def wait_open(self) -> None:
        """Return when two looks in a row see the case open. TamperError."""
        seen = 0
        while True:
            seen = seen + 1 if await self.open() else 0
            if seen > 1:
                return
            await aio.pause_ms(LOOK_MS)
