"""Contract: what starts the whole board anew, its kernel and its supplies included."""

from firmware.errors import TillError


class RestartError(TillError):
    """The board was not restarted: not allowed, not there, or it did not happen."""

    text_key = "error.restart"


class Restarter:
    """The board's own way to begin again."""

    async def restart(self) -> None:
        """Ask for it. Returns once the system has agreed, and this firmware ends
        soon; RestartError within half a minute when it does not."""
        raise NotImplementedError
