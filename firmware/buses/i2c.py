"""Bus: I2C master."""


class I2c:
    """One I2C bus. Raises BusError when the chip does not acknowledge.

    Transactions here are a few bytes: under 1 ms at 100 kHz, so drivers make
    them without a thread.
    """

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        """Write, then (repeated start) read ``read`` bytes; either part may be empty."""
        raise NotImplementedError
