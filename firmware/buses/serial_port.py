"""Bus: asynchronous serial port."""

from firmware import aio
from firmware.buses.wire import BusError

#: A polled read looks again after 1, 2, 4 ... ms, at most after this many.
POLL_MOST_MS = 32


class SerialPort:
    """Bytes with a baud rate. Raises BusError when the port is gone."""

    baud = 9600

    async def begin(self) -> None:
        """A job begins: a port that holds a connection or a node for one opens it."""

    async def sent(self) -> None:
        """Wait until what was written has left our hands, where the port can tell.
        BusError when it cannot leave, or the far end went."""

    async def end(self) -> None:
        """The job ended: what ``begin`` opened is closed."""

    def set_mode(self, baud: int, parity: str, stop: int) -> None:
        """8 data bits at another pace, with ``parity`` "none", "even" or "odd" and 1 or 2
        ``stop`` bits, until the next call. Characters with a wrong parity are received as
        they are; what was received and not read may be lost. BusError when the port has no
        such mode."""
        raise BusError("this serial port has one mode only")

    async def write(self, data: bytes) -> int:
        """Send; returns how many bytes were accepted (the rest was not)."""
        raise NotImplementedError

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came within ``timeout_ms``.

        Cancelling it loses nothing.
        """
        raise NotImplementedError

    def drop_input(self) -> None:
        """Forget what was received and not read."""
        raise NotImplementedError

    def take_input(self, most: int) -> bytes:
        """At most ``most`` bytes of what was received and not read, without waiting; b""
        for none, or where the port can only forget them. BusError."""
        self.drop_input()
        return b""

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        raise NotImplementedError


class PolledSerial(SerialPort):
    """A port that can only be asked what has arrived."""

    _pause_most = POLL_MOST_MS

    def _take(self, most: int) -> bytes:
        """At most ``most`` bytes that are there, b"" for none. BusError."""
        raise NotImplementedError

    def take_input(self, most: int) -> bytes:
        """See ``SerialPort.take_input``."""
        return self._take(most)

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError."""
        began = aio.ticks_ms()
        pause = 1
        # What always has something to say must not hold the loop, nor its time-outs.
        await aio.sleep_ms(0)
        while True:
            data = self._take(most)
            if data:
                return data
            if timeout_ms is not None:
                left = timeout_ms - aio.elapsed_ms(began)
                if left <= 0:
                    return b""
                pause = min(pause, left)
            await aio.pause_ms(pause)
            pause = min(pause * 2, self._pause_most)
