"""Bus: the bytes of a data call, and what turns them into a network."""


class DataLine:
    """A call in data mode. Raises BusError when the port is gone."""

    async def read(self, most: int) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when the call ended. Cancelling it
        loses nothing."""
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. BusError also when the call ended."""
        raise NotImplementedError


class Carrier:
    """PPP, or whatever runs on the line and gives the terminal an address."""

    #: The system's name of its interface, "" for none; the name servers that the far
    #: end named.
    interface = ""
    dns: "tuple[str, ...]" = ()

    def login(self, user: str, password: str) -> None:
        """Who we are to networks that ask, from the next ``up`` on; mostly "" and "".
        ValueError for what cannot be said."""
        if user or password:
            raise ValueError("this carrier does not say who we are")

    async def up(self, line: DataLine) -> str:
        """Agree with the far end; our address. BusError when it does not agree.
        Bounded by the caller."""
        raise NotImplementedError

    async def down(self) -> None:
        """Take the address away. Never raises, may be called twice."""
        raise NotImplementedError

    def counters(self) -> "tuple[int, int]":
        """Bytes sent and received in all calls since the terminal started, as near as they
        are known; -1 each for a carrier that does not count."""
        return -1, -1

    def lost(self) -> str:
        """Why it ended by itself since ``up``; "" while it stands or nobody started it."""
        return ""


class Restart:
    """A way to restart a device from outside: its supply, power key or USB port."""

    async def cycle(self) -> None:
        """Restart it now; seconds. BusError."""
        raise NotImplementedError
