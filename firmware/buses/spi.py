"""Bus: SPI controller, one chip select."""


class Spi:
    """One chip on an SPI bus, which is selected for each transfer. Most significant
    bit first: a driver whose chip counts bits from the other end turns them round.

    A transfer holds its caller; at 8 MHz 1 KiB takes 1 ms. Raises BusError; a chip
    that is not there shows only in what comes in (mostly 00 or FF).
    """

    #: A transfer may hold its caller for over 5 ms: call it in an ``aio.Worker``.
    blocking = False

    def transfer(self, data: "bytes | bytearray") -> bytes:
        """Clock ``data`` out; as many bytes were clocked in meanwhile."""
        raise NotImplementedError
