"""Chip: a bank of general-purpose pins, and what is soldered to them.

Pins float unless something drives them: an output of the terminal, a switch
to ground, a closed key between two pins, or a pull-up. Everything connected
forms one net; a net with a low driver reads 0 (keys and switches beat
pull-ups, as copper does), one with a high driver or pull-up reads 1, and a
floating net keeps reading 0.
"""

from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError

IN, IN_PULLUP, OUT = 0, 1, 2


class PinBank:
    """Wire kind "pins": op 1 write, 2 read, 3 mode, 4 square wave,
    5 many of the first three, in order."""

    def __init__(self, clock_us: Callable[[], int], count: int = 64) -> None:
        self._clock_us = clock_us
        self.count = count
        self.modes = [IN] * count
        self.levels = [0] * count
        #: pin: (frequency in Hz, duty in percent) of running square waves.
        self.waves: dict[int, tuple[int, int]] = {}
        #: Level that the outside world forces on a pin (switches, sensors).
        self.driven: dict[int, int] = {}
        #: The same for a pin whose level is asked for at each look.
        self.sensors: dict[int, Callable[[], int]] = {}
        #: Called for the bridges (pairs of connected pins) that hold now.
        self.bridges: list[Callable[[], list[tuple[int, int]]]] = []
        #: Called with (pin, frequency, duty) at each change of a square wave.
        self.on_wave: list[Callable[[int, int, int], None]] = []
        #: Called with the pin after each write and each change of a pin's mode.
        self.on_drive: list[Callable[[int], None]] = []
        #: Pins that were driven high and low at once, which real pins may not survive.
        self.shorts: list[int] = []

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if op == 5:
            return self._many(payload)
        sizes = {1: 2, 2: 1, 3: 2, 4: 4}
        if sizes.get(op) != len(payload):
            raise ChipError(f"pins: operation {op} with {len(payload)} bytes")
        pin = payload[0]
        if pin >= self.count:
            raise ChipError(f"pins: no pin {pin}, the bank has 0 to {self.count - 1}")
        if op == 1:
            if self.modes[pin] != OUT:
                raise ChipError(f"pins: pin {pin} is not an output")
            self.levels[pin] = payload[1] & 1
            self._driven(pin)
        elif op == 2:
            return bytes((self.level(pin),)), 1
        elif op == 3:
            if payload[1] > OUT:
                raise ChipError(f"pins: no mode {payload[1]}")
            self.modes[pin] = payload[1]
            if payload[1] != OUT:
                self._wave(pin, 0, 0)
            self._driven(pin)
        else:
            if self.modes[pin] != OUT:
                raise ChipError(f"pins: pin {pin} is not an output")
            self._wave(pin, int.from_bytes(payload[1:3], "big"), min(payload[3], 100))
        return b"", 1

    def _many(self, payload: bytes) -> tuple[bytes, int]:
        if len(payload) % 3:
            raise ChipError(f"pins: {len(payload)} bytes are no whole steps of 3")
        levels = b""
        busy = 0
        for at in range(0, len(payload), 3):
            step, pin, value = payload[at : at + 3]
            if step not in (1, 2, 3):
                raise ChipError(f"pins: no step {step}")
            args = bytes((pin,)) if step == 2 else bytes((pin, value))
            level, spent = self.transfer(step, args)
            levels += level
            busy += spent
        return levels, busy

    def _driven(self, pin: int) -> None:
        for hear in self.on_drive:
            hear(pin)

    def _wave(self, pin: int, frequency: int, duty: int) -> None:
        before = self.waves.get(pin)
        if frequency == 0 or duty == 0:
            self.waves.pop(pin, None)
            frequency = duty = 0
        else:
            self.waves[pin] = (frequency, duty)
        if self.waves.get(pin) != before:
            for hear in self.on_wave:
                hear(pin, frequency, duty)

    def level(self, pin: int) -> int:
        """What a reader of ``pin`` sees now."""
        net = {pin}
        pairs = [pair for bridge in self.bridges for pair in bridge()]
        grown = bool(pairs)
        while grown:
            grown = False
            for one, other in pairs:
                if (one in net) != (other in net):
                    net.update((one, other))
                    grown = True
        low = high = pulled = False
        for member in net:
            sensor = self.sensors.get(member)
            forced = sensor() if sensor is not None else self.driven.get(member)
            if self.modes[member] == OUT:
                low |= self.levels[member] == 0
                high |= self.levels[member] == 1
            elif forced is not None:
                low |= forced == 0
                high |= forced == 1
            pulled |= self.modes[member] == IN_PULLUP
        if low and high:
            self.shorts.append(pin)
        return 0 if low else int(high or pulled)

    def output(self, pin: int) -> int:
        """Level that the terminal drives on ``pin`` (0 while it is an input)."""
        return self.levels[pin] if self.modes[pin] == OUT else 0


class Lamps:
    """Lamps and a buzzer on a bank: what lights and what sounds."""

    def __init__(
        self, bank: PinBank, clock_us: Callable[[], int], lamps: dict[str, int], buzzer: int | None
    ) -> None:
        self._bank = bank
        self._clock_us = clock_us
        self._lamps = lamps
        self._buzzer = buzzer
        #: (time in us, frequency in Hz, 0 for silence): the sounds heard so far.
        self.heard: list[tuple[int, int]] = []
        bank.on_wave.append(self._hear)

    def _hear(self, pin: int, frequency: int, duty: int) -> None:
        if pin == self._buzzer:
            self.heard.append((self._clock_us(), frequency))
            del self.heard[:-1000]

    @property
    def frequency(self) -> int:
        """What the buzzer sounds now, Hz; 0 for silence."""
        if self._buzzer is None:
            return 0
        return self._bank.waves.get(self._buzzer, (0, 0))[0]

    def state(self) -> dict[str, bool]:
        """Which lamps are lit."""
        return {name: bool(self._bank.output(pin)) for name, pin in self._lamps.items()}


class Switch:
    """A switch to ground on one pin (with the terminal's pull-up, open reads 1)."""

    def __init__(self, bank: PinBank, pin: int, closed: bool) -> None:
        self._bank = bank
        self._pin = pin
        self.set(closed)

    @property
    def closed(self) -> bool:
        """Whether the switch connects its pin to ground."""
        return self._bank.driven.get(self._pin) == 0

    def set(self, closed: bool) -> None:
        """Close or open the switch."""
        if closed:
            self._bank.driven[self._pin] = 0
        else:
            self._bank.driven.pop(self._pin, None)
