"""Bus: I2C master."""


class I2c:
    """One I2C bus. Raises BusError when the chip does not acknowledge.

    Most transactions are a few bytes: under 1 ms at 100 kHz, so drivers make
    them without a thread; longer ones look at ``blocking``.
    """

    #: A transfer holds its caller until it is over: over 5 ms of bytes (at
    #: 100 kHz some 50) go through an ``aio.Worker``.
    blocking = False

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        """Write, then (repeated start) read ``read`` bytes; either part may be empty."""
        raise NotImplementedError
