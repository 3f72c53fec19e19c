"""Contract: battery and mains."""

from firmware.errors import TillError


class PowerError(TillError):
    """The gauge does not answer."""

    text_key = "error.power"


class PowerStatus:
    """``percent``: 0 to 100, None without a battery. ``mains``: external power
    is there. ``millivolts``: battery voltage, None if unknown."""

    def __init__(self, percent: "int | None", mains: bool, millivolts: "int | None") -> None:
        self.percent = percent
        self.mains = mains
        self.millivolts = millivolts

    def low(self, least_percent: int) -> bool:
        """Whether the battery alone carries the terminal and has less than that."""
        return self.percent is not None and self.percent < least_percent and not self.mains


class Power:
    """The terminal's supply.

    ``brown_outs``: how often ``status`` found it newly below what the board needs since
    the driver began; None where the board cannot know. ``watch_ms``: a dip is over so
    soon that ``status`` is to be asked this often; 0 where nobody need ask for it.
    """

    brown_outs: "int | None" = None
    watch_ms = 0

    async def status(self) -> PowerStatus:
        """Raises PowerError when the gauge does not answer."""
        raise NotImplementedError
