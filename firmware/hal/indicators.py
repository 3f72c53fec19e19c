"""Contract: lamps and buzzer."""

from firmware.errors import TillError

#: The lamps' names, and the sounds. A board maps the ones it has.
LAMPS = ("ready", "busy", "ok", "error")
SOUNDS = ("key", "ok", "error", "card", "remove")


class IndicatorError(TillError):
    """A lamp or the buzzer could not be driven."""

    text_key = "error.indicator"


class Indicators:
    """Lamps and sounds; a name that the board lacks is accepted and does nothing."""

    async def lamp(self, name: str, on: bool) -> None:
        """Switch a lamp of LAMPS. ValueError for another name."""
        raise NotImplementedError

    async def sound(self, name: str) -> None:
        """Start a sound of SOUNDS and return at once. ValueError for another name."""
        raise NotImplementedError
