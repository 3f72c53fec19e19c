"""Restart of a device by one pin: a power key, a reset input or a supply switch."""

from firmware import aio
from firmware.buses.data_line import Restart
from firmware.buses.pins import OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins


class PinRestart(Restart):
    """``steps``: levels of ``pin`` with the time in ms that each is held; the last
    level stays. A key that is pressed once to switch off and once to switch on:
    ``((1, 800), (0, 6000), (1, 600), (0, 0))``."""

    def __init__(self, pins: "Pins", pin: int, steps: "tuple[tuple[int, int], ...]") -> None:
        if not steps:
            raise ValueError("a restart by pin needs its levels")
        self._pins = pins
        self._pin = pin
        self._steps = steps
        pins.mode(pin, OUT)
        pins.write(pin, steps[-1][0])

    async def cycle(self) -> None:
        try:
            for level, ms in self._steps:
                self._pins.write(self._pin, level)
                await aio.sleep_ms(ms)
        finally:
            # Also when it is given up half way: a key held down is no rest.
            self._pins.write(self._pin, self._steps[-1][0])
