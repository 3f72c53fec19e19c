"""Bus: to a display controller (I2C with control byte, or 4-wire SPI).

Has the two methods that luma.core calls a serial interface, so that a real
luma bus object fits here as it is.
"""


class DisplayBus:
    """Raises BusError when the panel does not acknowledge."""

    #: A transfer may hold its caller for over 5 ms: call it in an ``aio.Worker``.
    blocking = False

    def command(self, *commands: int) -> None:
        """Send command bytes (D/C low, or control byte 00)."""
        raise NotImplementedError

    def data(self, data: "bytes | bytearray | list[int]") -> None:
        """Send display memory bytes (D/C high, or control byte 40)."""
        raise NotImplementedError

    def write(self, parts: "list[tuple[bytes, bytes | bytearray]]") -> None:
        """Send pairs of command bytes and memory bytes, one after another.

        A bus that pays for each call may send them in one go. BusError.
        """
        for commands, data in parts:
            self.command(*commands)
            self.data(data)

    def cleanup(self) -> None:
        """Release the bus (luma calls it at exit)."""
