"""Bus: SPI controller, one chip select."""


class Spi:
    """One chip on an SPI bus, which is selected for each transfer. Most significant
    bit first: a driver whose chip counts bits from the other end turns them round.

    A transfer holds its caller; at 8 MHz 1 KiB takes 1 ms. Raises BusError.
    """

    def transfer(self, data: "bytes | bytearray") -> bytes:
        """Clock ``data`` out; as many bytes were clocked in meanwhile."""
        raise NotImplementedError
