"""Bus: the contacts of a card slot on a UART and three pins, without a coprocessor.

The UART's two data lines are joined at the card's I/O contact, so that the terminal
hears what it sends; a front end that adapts levels may stand between. The card's
clock comes from an oscillator of 372 times the bus's baud rate: 3.5712 MHz for
9600. The pins switch the supply (of a front end: its activation), hold the card in
reset and tell whether a card is in.
"""

from firmware import aio
from firmware.buses.pins import IN_PULLUP, OUT
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.pins import Pins
    from firmware.buses.serial_port import SerialPort

#: What operating system, driver and USB adapter add to a wait at the wire.
SLACK_MS = 60


class CardLine:
    """``present``, ``power`` and ``reset``: (pin, level) with which a card is in, has its
    supply, is held in reset. ``echo``: whether the port hears what it sends."""

    def __init__(
        self,
        port: "SerialPort",
        pins: "Pins",
        present: "tuple[int, int]",
        power: "tuple[int, int]",
        reset: "tuple[int, int]",
        echo: bool = True,
    ) -> None:
        self._port = port
        self._pins = pins
        self._present = present
        self._power = power
        self._reset = reset
        self._echo = echo
        self._inverse = False
        self._base = port.baud
        self._ready = False
        self._mode = (0, "")

    @property
    def etu_us(self) -> int:
        """An elementary time unit at F = 372, D = 1, in us."""
        return 1_000_000 // self._base

    def present(self) -> bool:
        """Whether a card is in. BusError."""
        self._set_up()
        return self._pins.read(self._present[0]) == self._present[1]

    def _set_up(self) -> None:
        if not self._ready:
            self._pins.mode(self._present[0], IN_PULLUP)
            for pin, level in ((self._power[0], 1 - self._power[1]), self._reset):
                self._pins.mode(pin, OUT)
                self._pins.write(pin, level)
            self._ready = True

    def activate(self) -> None:
        """Supply on, held in reset. BusError."""
        self._set_up()
        self.hold()
        self._pins.write(self._power[0], self._power[1])

    def hold(self) -> None:
        """Into reset; direct convention and first speed from now on. BusError."""
        self._set_up()
        self._pins.write(self._reset[0], self._reset[1])
        self._inverse = False
        self.speed(1)
        self._port.drop_input()

    def release(self) -> None:
        """Out of reset: the card answers. BusError."""
        self._pins.write(self._reset[0], 1 - self._reset[1])

    def deactivate(self) -> None:
        """Into reset and the supply off. BusError."""
        self._set_up()
        self._pins.write(self._reset[0], self._reset[1])
        self._pins.write(self._power[0], 1 - self._power[1])

    def invert(self) -> None:
        """Inverse convention: most significant bit first, and low is 1. What is sent has
        the right parity after the next ``speed``: until then the card speaks, and a port
        that changes its mode may lose what it hears."""
        self._inverse = True

    def speed(self, divisor: int) -> None:
        """The pace of D = ``divisor`` (F = 372), for both conventions. BusError."""
        # All ten bits of a character are the other way round in the inverse convention.
        mode = (self._base * divisor, "odd" if self._inverse else "even")
        if mode != self._mode:
            self._mode = (0, "")
            self._port.set_mode(mode[0], mode[1], 2)
            self._mode = mode

    async def send(self, data: bytes, extra_etu: int) -> None:
        """All of ``data``, ``extra_etu`` between its characters beyond the two stop
        bits. BusError: the port is gone, or what it heard is not what it sent."""
        step = 1 if extra_etu else len(data)
        for at in range(0, len(data), step):
            part = data[at : at + step]
            await self._put(_turned(part) if self._inverse else part)
            if extra_etu:
                await aio.sleep_ms((extra_etu * self.etu_us + 999) // 1000)

    async def _put(self, data: bytes) -> None:
        began = aio.ticks_ms()
        limit = len(data) * 12 * self.etu_us // 1000 + SLACK_MS
        done = 0
        while done < len(data):
            taken = await self._port.write(data[done:] if done else data)
            done += taken
            if not taken:
                if aio.elapsed_ms(began) > limit:
                    raise BusError("card line: the port takes nothing")
                await aio.sleep_ms(1)
        if not self._echo:
            return
        heard = b""
        while len(heard) < len(data):
            left = limit - aio.elapsed_ms(began)
            part = await self._port.read(len(data) - len(heard), max(left, 1))
            if not part:
                raise BusError("card line: what was sent is not heard")
            heard += part
        if heard != data:
            raise BusError("card line: what was sent is heard differently")

    async def receive(self, most: int, timeout_ms: int) -> bytes:
        """1 to ``most`` characters; b"" when none came in time. BusError."""
        data = await self._port.read(most, timeout_ms)
        return _turned(data) if self._inverse else data

    def drop_input(self) -> None:
        """Forget what came. BusError."""
        self._port.drop_input()


def _turned(data: bytes) -> bytes:
    """Characters of one convention as the other reads them."""
    turned = bytearray()
    for byte in data:
        other = 0
        for bit in range(8):
            if not byte >> bit & 1:
                other |= 0x80 >> bit
        turned.append(other)
    return bytes(turned)
