"""Indicators: lamps on pins, and a buzzer on a pin that gives a square wave."""

from firmware import aio
from firmware.buses.pins import OUT
from firmware.buses.wire import BusError
from firmware.hal.indicators import LAMPS, SOUNDS, IndicatorError, Indicators

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins

#: Sound: (Hz, ms) one after another; 0 Hz is a pause. They differ in rhythm
#: as well as pitch, for those who hear only part of the range.
PATTERNS = {
    "key": ((2400, 15),),
    "ok": ((1600, 80), (0, 30), (2400, 160)),
    "error": ((400, 250), (0, 80), (400, 250), (0, 80), (400, 250)),
    "card": ((2000, 60),),
    "remove": ((2700, 120), (0, 120), (2700, 120), (0, 120), (2700, 120)),
}


class LampsAndBuzzer(Indicators):
    """``lamps``: name of hal.indicators to pin; ``buzzer``: its pin or None, on the
    bus ``waves`` where that is another one."""

    def __init__(
        self,
        pins: "Pins",
        lamps: "dict[str, int]",
        buzzer: "int | None",
        waves: "Pins | None" = None,
    ) -> None:
        for name in lamps:
            if name not in LAMPS:
                raise ValueError("no lamp is named " + name)
        self._pins = pins
        self._waves = waves or pins
        self._lamps = lamps
        self._buzzer = buzzer
        self._playing: "aio.Task | None" = None
        try:
            for pin in lamps.values():
                pins.mode(pin, OUT)
                pins.write(pin, 0)
            if buzzer is not None:
                self._waves.mode(buzzer, OUT)
                self._waves.pwm(buzzer, 0, 0)
        except BusError as error:
            raise IndicatorError(str(error)) from None

    async def lamp(self, name: str, on: bool) -> None:
        """Switch a lamp. IndicatorError; ValueError for a name that is no lamp."""
        if name not in LAMPS:
            raise ValueError("no lamp is named " + name)
        pin = self._lamps.get(name)
        if pin is None:
            return
        try:
            self._pins.write(pin, 1 if on else 0)
        except BusError as error:
            raise IndicatorError(str(error)) from None

    async def sound(self, name: str) -> None:
        """Start a sound; one that still plays is cut short. IndicatorError, ValueError."""
        if name not in SOUNDS:
            raise ValueError("no sound is named " + name)
        if self._buzzer is None:
            return
        last, self._playing = self._playing, None
        if last is not None:
            last.cancel()
            await last.done.wait()
            if last.error is not None:
                raise last.error
        self._playing = aio.spawn("sound", self._play(self._buzzer, name))

    async def _play(self, pin: int, name: str) -> None:
        try:
            for frequency, duration in PATTERNS[name]:
                self._waves.pwm(pin, frequency, 50 if frequency else 0)
                await aio.sleep_ms(duration)
        except BusError as error:
            raise IndicatorError(str(error)) from None
        finally:
            try:
                self._waves.pwm(pin, 0, 0)
            except BusError:  # said above, or by the next lamp or sound
                pass
