"""Restart of a microcontroller: MicroPython's ``machine.reset``, which never returns."""

from firmware.hal.restart import Restarter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MpyRestarter(Restarter):
    """The chip's own reset: memory and peripherals begin anew."""

    def __init__(self) -> None:
        import machine

        self._machine: "Any" = machine

    async def restart(self) -> None:
        """Reset the chip."""
        self._machine.reset()
