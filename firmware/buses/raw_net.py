"""Bus: unprotected TCP, below TLS."""

from firmware.buses.wire import BusError


class NothingSent(BusError):
    """A write failed before the first of its bytes was taken."""


class NameUnknown(BusError):
    """The host's name has no address, or nobody could tell it."""


class RawConnection:
    """An open TCP connection. Raises BusError when it broke.

    ``name_ms``: what looking up the host's name took, -1 if that is not known.
    """

    name_ms = -1

    async def write(self, data: bytes) -> None:
        """Hand over all of ``data`` for sending. NothingSent when it is proved
        that no byte of ``data`` was taken, any other BusError when some may be."""
        raise NotImplementedError

    async def read(self, most: int) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" at the end of the stream. Cancelling
        it loses nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Close at once. Never raises, may be called twice."""
        raise NotImplementedError


class RawNet:
    """A network interface. Addresses are host names or literals."""

    async def link(self) -> "tuple[bool, int]":
        """(up, bars 0 to 4)."""
        raise NotImplementedError

    def address(self) -> str:
        """Our IPv4 address on it; "" when it has none, or when nobody can tell."""
        return ""

    def doubt(self, host: str) -> None:
        """Who answers at the host's address is not the host: a name that was looked up is
        to be looked up again."""

    async def connect(self, host: str, port: int) -> RawConnection:
        """TCP connect, no TLS. NameUnknown; BusError: refused, no route."""
        raise NotImplementedError
