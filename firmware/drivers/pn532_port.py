"""The PN532's three ways to its host: serial (HSU), I2C and SPI (UM0701-02, 6.2.3 to 6.2.5).

On I2C and SPI the chip says when a frame is ready, and gives it in one
transfer: reading the rest in a second one does not work, so that the caller
says how long the longest expected frame is. Looking whether one is ready
takes nothing away. What follows a frame in a long read counts as padding.
"""

from firmware import aio
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.i2c import I2c
    from firmware.buses.serial_port import SerialPort
    from firmware.buses.spi import Spi

#: 24h, 7 bits; the chip knows no other.
ADDRESS = 0x24
#: Whether a frame is ready is looked at after 1, 2, 4, ... ms, at most so many.
POLL_MOST_MS = 8
#: From the first sign of the host until the chip listens.
WAKE_MS = 5
#: A port that takes nothing for so long is broken.
WRITE_MS = 200
#: First byte of an SPI transfer.
_DATA_WRITE, _STATUS_READ, _DATA_READ = 0x01, 0x02, 0x03
#: Two 55 wake the chip, the rest passes while its oscillator starts.
_WAKE = b"\x55\x55" + bytes(14)


class Pn532Port:
    """Carries bytes of frames. Every call may raise BusError: the bus is gone, or
    nobody acknowledges."""

    async def wake(self) -> None:
        """Make a sleeping chip listen; harmless for one that is awake."""
        raise NotImplementedError

    async def write(self, frame: bytes) -> None:
        """Send one frame."""
        raise NotImplementedError

    async def read(self, most: int, timeout_ms: int) -> bytes:
        """Bytes of a frame of at most ``most`` bytes; b"" when none came in time."""
        raise NotImplementedError

    def drop(self) -> None:
        """Forget what came and was not read."""

    async def close(self) -> None:
        """Let go of the bus. Never raises, may be called twice."""


class SerialPn532(Pn532Port):
    """High-speed UART, 115200 baud from power-on."""

    def __init__(self, port: "SerialPort") -> None:
        self._port = port

    async def wake(self) -> None:
        await self.write(_WAKE)
        await aio.sleep_ms(WAKE_MS)

    async def write(self, frame: bytes) -> None:
        began = aio.ticks_ms()
        at = 0
        while at < len(frame):
            taken = await self._port.write(frame[at:])
            at += taken
            if not taken:
                if aio.elapsed_ms(began) >= WRITE_MS:
                    raise BusError("pn532: the serial port takes nothing")
                await aio.pause_ms(POLL_MOST_MS)

    async def read(self, most: int, timeout_ms: int) -> bytes:
        return await self._port.read(most, timeout_ms)

    def drop(self) -> None:
        self._port.drop_input()

    async def close(self) -> None:
        await self._port.close()


class _PolledPort(Pn532Port):
    def __init__(self, blocking: bool) -> None:
        self._worker = aio.Worker("pn532") if blocking else None

    async def _do(self, function: "Callable[..., Any]", *args: "Any") -> "Any":
        if self._worker is None:
            return function(*args)
        return await self._worker.call(function, *args)

    async def write(self, frame: bytes) -> None:
        await self._do(self._send, frame)

    async def read(self, most: int, timeout_ms: int) -> bytes:
        began = aio.ticks_ms()
        pause = 1
        while True:
            # Also before the first look: a chip that is always ready must not hold the loop.
            await aio.pause_ms(pause)
            pause = min(pause * 2, POLL_MOST_MS)
            if await self._do(self._ready):
                data: bytes = await self._do(self._fetch, most)
                return data
            if aio.elapsed_ms(began) >= timeout_ms:
                return b""

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _send(self, frame: bytes) -> None:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _fetch(self, most: int) -> bytes:
        raise NotImplementedError


class I2cPn532(_PolledPort):
    """I2C, at most 400 kHz; every read begins with the ready byte."""

    def __init__(self, bus: "I2c", address: int = ADDRESS) -> None:
        super().__init__(bus.blocking)
        self._bus = bus
        self._address = address

    async def wake(self) -> None:
        """A chip that wakes up may not acknowledge at once."""
        for last in (False, False, True):
            try:
                await self._do(self._ready)
            except BusError:
                if last:
                    raise
            await aio.sleep_ms(WAKE_MS)

    def _send(self, frame: bytes) -> None:
        self._bus.transfer(self._address, frame, 0)

    def _ready(self) -> bool:
        return self._bus.transfer(self._address, b"", 1)[0] == 1

    def _fetch(self, most: int) -> bytes:
        data = self._bus.transfer(self._address, b"", most + 1)
        return data[1:] if data[0] == 1 else b""


class SpiPn532(_PolledPort):
    """SPI mode 0, at most 5 MHz. The chip sends and takes the least significant bit
    first, which not every controller can: the bytes are turned here."""

    def __init__(self, bus: "Spi") -> None:
        super().__init__(bus.blocking)
        self._bus = bus
        turned = bytearray(256)
        for byte in range(256):
            for bit in range(8):
                if byte & 1 << bit:
                    turned[byte] |= 0x80 >> bit
        self._turned = bytes(turned)

    def _turn(self, data: bytes) -> bytes:
        return bytes([self._turned[byte] for byte in data])

    def _both(self, first: int, rest: bytes) -> bytes:
        """One select: ``first`` and ``rest`` out; what came in behind ``first``."""
        return self._turn(self._bus.transfer(self._turn(bytes((first,)) + rest)))[1:]

    async def wake(self) -> None:
        """Any select wakes it."""
        await self._do(self._ready)
        await aio.sleep_ms(WAKE_MS)

    def _send(self, frame: bytes) -> None:
        self._both(_DATA_WRITE, frame)

    def _ready(self) -> bool:
        return self._both(_STATUS_READ, b"\x00")[0] == 1

    def _fetch(self, most: int) -> bytes:
        return self._both(_DATA_READ, bytes(most))
