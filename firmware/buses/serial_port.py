"""Bus: asynchronous serial port."""


class SerialPort:
    """Bytes with a baud rate. Raises BusError when the port is gone."""

    baud = 9600

    async def begin(self) -> None:
        """A job begins: a port that holds a connection or a node for one opens it."""

    async def end(self) -> None:
        """The job ended: what ``begin`` opened is closed."""

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
