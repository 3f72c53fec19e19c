"""Power: MAX17048 fuel gauge on I2C (Maxim 19-6171 rev. 7) with a pin for mains."""

from firmware.buses.pins import IN_PULLUP
from firmware.buses.wire import BusError
from firmware.hal.power import Power, PowerError, PowerStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.i2c import I2c
    from firmware.buses.pins import Pins


#: Below this a lithium cell is empty; boards with another end of discharge say so.
CUTOFF_MV = 3000


class Max17048(Power):
    """``mains_level``: what the pin reads while external power is there; ``cutoff_mv``:
    a cell below it counts as a brown-out."""

    brown_outs: int = 0

    def __init__(
        self,
        bus: "I2c",
        address: int,
        pins: "Pins | None" = None,
        mains_pin: int = -1,
        mains_level: int = 0,
        cutoff_mv: int = CUTOFF_MV,
    ) -> None:
        self._bus = bus
        self._address = address
        self._pins = pins
        self._pin = mains_pin
        self._level = mains_level
        self._cutoff = cutoff_mv
        self._below = False
        try:
            if pins is not None:
                pins.mode(mains_pin, IN_PULLUP)
        except BusError as error:
            raise PowerError(str(error)) from None
        if self._word(0x08) & 0xFFF0 != 0x0010:
            raise PowerError("max17048: another chip answers at its address")

    def _word(self, register: int) -> int:
        try:
            return int.from_bytes(self._bus.transfer(self._address, bytes((register,)), 2), "big")
        except BusError as error:
            raise PowerError(str(error)) from None

    async def status(self) -> PowerStatus:
        """Charge, mains and voltage. PowerError."""
        millivolts = self._word(0x02) * 5 // 64  # VCELL: 78.125 uV a step
        below = millivolts < self._cutoff
        if below and not self._below:
            self.brown_outs += 1
        self._below = below
        percent = self._word(0x04) + 128 >> 8  # SOC: 1/256 percent a step
        mains = False
        if self._pins is not None:
            try:
                mains = self._pins.read(self._pin) == self._level
            except BusError as error:
                raise PowerError(str(error)) from None
        return PowerStatus(min(percent, 100), mains, millivolts)
