"""Contract: watchdog, which resets a board whose firmware no longer runs."""

from firmware.errors import TillError


class WatchdogError(TillError):
    """The watchdog is not there, is taken, or refuses."""

    text_key = "error.watchdog"


class Watchdog:
    """Bites ``timeout_ms`` after the last feeding, once it was started.

    Only ``services.heartbeat`` feeds it. A firmware that ends without ``stop``
    leaves it running, on purpose.
    """

    timeout_ms = 0
    #: Whether it runs.
    armed = False

    async def start(self) -> None:
        """Arm it and feed it. WatchdogError."""
        raise NotImplementedError

    async def feed(self) -> None:
        """Begin the time anew. WatchdogError; also before ``start``."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Disarm it for an orderly end. WatchdogError where it cannot be disarmed:
        the board is reset soon. Harmless when it was not started."""
        raise NotImplementedError

    async def check(self) -> str:
        """Ask the device, without arming it: the time that it says it has, for
        engineers, "" where it has no such answer. WatchdogError when it is not there
        or not ours to open."""
        raise NotImplementedError

    async def bitten(self) -> bool:
        """Whether the board's last reset was its doing; False where it cannot tell.
        WatchdogError where only one that is ``armed`` can be asked."""
        raise NotImplementedError
