"""Buses on a wire: display, I2C, SPI, pins and serial port whose chips are software.

Operation numbers and payloads are the table of ``firmware.buses.wire``. Each
bus sums up ``busy_us``, the time a real bus would have been occupied.
"""

from firmware.buses.display_bus import DisplayBus
from firmware.buses.i2c import I2c
from firmware.buses.pins import Pins
from firmware.buses.serial_port import PolledSerial
from firmware.buses.spi import Spi
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.buses.pins import Step
    from firmware.buses.wire import Wire

#: Largest part of a serial write in one transfer.
PART = 4096
#: Parts that are forgotten at once: a device that never stops must not hold its caller.
MOST_DROPS = 64
#: Operations of kind "pins" by step.
_STEPS = {"write": 1, "read": 2, "mode": 3}


class WireDisplay(DisplayBus):
    """A display controller on the wire."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus
        self.busy_us = 0

    def command(self, *commands: int) -> None:
        """Send command bytes. BusError."""
        self.busy_us += self._wire.transfer(self._bus, 1, bytes(commands))[1]

    def data(self, data: "bytes | bytearray | list[int]") -> None:
        """Send display memory bytes. BusError."""
        self.busy_us += self._wire.transfer(self._bus, 2, bytes(data))[1]

    def write(self, parts: "list[tuple[bytes, bytes | bytearray]]") -> None:
        """All parts in one transfer. BusError."""
        payload = bytearray()
        for commands, data in parts:
            payload.append(len(commands))
            payload += commands
            payload += len(data).to_bytes(2, "big")
            payload += data
        self.busy_us += self._wire.transfer(self._bus, 3, bytes(payload))[1]


class WireI2c(I2c):
    """An I2C bus on the wire."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus
        self.busy_us = 0

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        """One transaction. BusError when the chip does not acknowledge."""
        if not 0 <= address <= 127 or not 0 <= read <= 65535:
            raise ValueError("I2C address or length out of range")
        op, width = (1, 1) if read < 256 else (2, 2)
        request = bytes((address,)) + read.to_bytes(width, "big") + write
        answer, busy = self._wire.transfer(self._bus, op, request)
        self.busy_us += busy
        if len(answer) != read:
            raise BusError("i2c: " + str(len(answer)) + " bytes instead of " + str(read))
        return answer


class WireSpi(Spi):
    """An SPI bus with one chip on the wire."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus
        self.busy_us = 0

    def transfer(self, data: "bytes | bytearray") -> bytes:
        """One select. BusError when the bus is gone."""
        answer, busy = self._wire.transfer(self._bus, 1, bytes(data))
        self.busy_us += busy
        if len(answer) != len(data):
            raise BusError("spi: " + str(len(answer)) + " bytes instead of " + str(len(data)))
        return answer


class WirePins(Pins):
    """General-purpose pins on the wire."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus

    def mode(self, pin: int, mode: int) -> None:
        """IN, IN_PULLUP or OUT. BusError."""
        self._wire.transfer(self._bus, 3, bytes((pin, mode)))

    def write(self, pin: int, level: int) -> None:
        """Drive an output. BusError."""
        self._wire.transfer(self._bus, 1, bytes((pin, 1 if level else 0)))

    def read(self, pin: int) -> int:
        """Level, 0 or 1. BusError."""
        answer = self._wire.transfer(self._bus, 2, bytes((pin,)))[0]
        if len(answer) != 1:
            raise BusError("pins: malformed answer")
        return answer[0] & 1

    def pwm(self, pin: int, frequency: int, duty: int) -> None:
        """Square wave; duty 0 stops it. BusError."""
        self._wire.transfer(
            self._bus, 4, bytes((pin,)) + frequency.to_bytes(2, "big") + bytes((duty,))
        )

    def plan(self, steps: "list[Step]") -> "Callable[[], list[int]]":
        """All steps in one transfer. BusError."""
        coded = bytearray()
        reads = 0
        for what, pin, value in steps:
            if what not in _STEPS:
                raise ValueError("no pin step " + what)
            coded.append(_STEPS[what])
            coded.append(pin)
            coded.append(value)
            reads += what == "read"
        payload = bytes(coded)

        def run() -> "list[int]":
            answer = self._wire.transfer(self._bus, 5, payload)[0]
            if len(answer) != reads:
                raise BusError("pins: malformed answer")
            return [level & 1 for level in answer]

        return run


class WireSerial(PolledSerial):
    """A serial port on the wire."""

    def __init__(self, wire: "Wire", bus: str, baud: int) -> None:
        self._wire = wire
        self._bus = bus
        self.baud = baud
        self.set_mode(baud, "none", 1)

    def set_mode(self, baud: int, parity: str, stop: int) -> None:
        """The pace alone: software chips have no parity. BusError."""
        self._wire.transfer(self._bus, 3, baud.to_bytes(4, "big"))
        self.baud = baud

    async def write(self, data: bytes) -> int:
        """Hand bytes over; returns how many the port took. BusError."""
        done = 0
        while done < len(data):
            part = data[done : done + PART]
            answer = self._wire.transfer(self._bus, 1, part)[0]
            if len(answer) != 2:
                raise BusError("serial: malformed answer")
            taken = int.from_bytes(answer, "big")
            done += taken
            if taken < len(part):
                break
        return done

    def _take(self, most: int) -> bytes:
        return self._wire.transfer(self._bus, 2, min(most, 65000).to_bytes(2, "big"))[0]

    def drop_input(self) -> None:
        """Forget what was received and not read. BusError."""
        for _ in range(MOST_DROPS):
            if not self._take(PART):
                return

    async def close(self) -> None:
        """The wire outlives the port: nothing to release."""
