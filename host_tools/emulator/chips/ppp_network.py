"""Chip: what answers behind a call: the mobile network's end of PPP."""

from collections.abc import Callable

from host_tools.emulator.chips.ppp import PppEnd


class PppNetwork:
    """The far end of one call (an ``Endpoint`` of the virtual modem). ``mute``: it takes
    what comes and says nothing."""

    def __init__(
        self, now_ms: Callable[[], int], login: tuple[str, str] | None = None, mute: bool = False
    ) -> None:
        self.mute = mute
        self.closed = False
        self.end = PppEnd(
            now_ms, bytes((10, 64, 0, 1)), bytes((10, 64, 0, 7)), bytes((10, 64, 0, 53)), login
        )
        self.end.begin()

    def feed(self, data: bytes) -> None:
        """Bytes from the terminal."""
        if not self.mute:
            self.end.feed(data)

    def take(self) -> bytes:
        """Bytes towards the terminal."""
        return b"" if self.mute else self.end.take()

    def close(self) -> None:
        """The call ended."""
        self.closed = True
