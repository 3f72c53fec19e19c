"""Bus: asynchronous serial port."""

from firmware.buses.wire import BusError


class SerialPort:
    """Bytes with a baud rate. Raises BusError when the port is gone."""

    baud = 9600

    async def begin(self) -> None:
        """A job begins: a port that holds a connection or a node for one opens it."""

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

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        raise NotImplementedError
