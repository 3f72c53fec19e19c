"""Watchdog: the microcontroller's own, by MicroPython's ``machine.WDT``.

Once started it cannot be stopped (MicroPython's documentation, "class WDT"):
an orderly end, too, is followed by a reset.
"""

from firmware.hal.watchdog import Watchdog, WatchdogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What every supported chip can do: an RP2040 counts no further than 8388 ms.
LEAST_MS, MOST_MS = 1000, 8388


class MpyWatchdog(Watchdog):
    """``timeout_ms``: of LEAST_MS to MOST_MS."""

    def __init__(self, timeout_ms: int = 8000) -> None:
        import machine

        if not LEAST_MS <= timeout_ms <= MOST_MS:
            raise ValueError("a watchdog's time is " + str(LEAST_MS) + " to " + str(MOST_MS))
        self.timeout_ms = timeout_ms
        self._machine: "Any" = machine
        self._timer: "Any" = None

    async def start(self) -> None:
        """Arm it. WatchdogError."""
        if self._timer is None:
            try:
                self._timer = self._machine.WDT(timeout=self.timeout_ms)
            except (ValueError, TypeError, OSError) as error:
                raise WatchdogError("watchdog: " + str(error)) from None
            self.armed = True
        await self.feed()

    async def feed(self) -> None:
        """Begin the time anew. WatchdogError before ``start``."""
        if self._timer is None:
            raise WatchdogError("watchdog: was not started")
        try:
            self._timer.feed()
        except OSError as error:
            raise WatchdogError("watchdog: cannot be fed: " + str(error)) from None

    async def stop(self) -> None:
        """WatchdogError once it was started: the board is reset soon."""
        if self._timer is not None:
            raise WatchdogError("watchdog: cannot be stopped: it resets the board")

    async def check(self) -> str:
        """The time it was given: the port has no way to ask for it."""
        return str(self.timeout_ms) + " ms" if self.armed else ""

    async def bitten(self) -> bool:
        """Whether the last reset was its doing."""
        machine = self._machine
        return bool(machine.reset_cause() == machine.WDT_RESET)
