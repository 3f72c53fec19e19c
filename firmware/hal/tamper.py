"""Contract: tamper switch."""

from firmware.errors import TillError


class TamperError(TillError):
    """The tamper circuit cannot be read: a fault, which stands against payments.

    The keys stay: only a case that is seen open erases them.
    """

    text_key = "error.tamper_sensor"


class Tamper:
    """A switch that opens when the case does."""

    async def open(self) -> bool:
        """Whether the case is open now. Raises TamperError."""
        raise NotImplementedError

    async def wait_open(self) -> None:
        """Return when the case opens. Cancelling it loses nothing."""
        raise NotImplementedError
