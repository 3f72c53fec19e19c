"""Feeds the watchdog while the firmware is healthy, and only then.

The feeding runs in the same loop as everything else: a loop that hangs feeds
nothing. Beside that, whoever must never stand still gives a sign of life by
name; one that is silent for longer than it promised ends the feeding.
"""

from firmware import aio
from firmware.hal.watchdog import WatchdogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal.watchdog import Watchdog


class Heartbeat:
    """The one feeder of a board's watchdog."""

    def __init__(self, watchdog: "Watchdog") -> None:
        self._watchdog = watchdog
        #: Name: [ticks of the last sign, ms that it may be silent].
        self._signs: "dict[str, list[int]]" = {}

    def expect(self, name: str, most_ms: int) -> None:
        """From now on ``name`` gives a sign every ``most_ms`` at the latest."""
        self._signs[name] = [aio.ticks_ms(), most_ms]

    def sign(self, name: str) -> None:
        """``name`` lives. KeyError for one that is not expected."""
        self._signs[name][0] = aio.ticks_ms()

    def forget(self, name: str) -> None:
        """``name`` ended as it should."""
        self._signs.pop(name, None)

    def silent(self) -> "list[str]":
        """Who is silent for longer than promised."""
        return [n for n, (at, most) in self._signs.items() if aio.elapsed_ms(at) > most]

    async def run(self) -> None:
        """Start the watchdog and feed it for as long as nobody is silent.

        Ends only by cancellation or WatchdogError; once somebody was silent too
        long, the board is reset even if he speaks again.
        """
        await self._watchdog.start()
        while True:
            await aio.sleep_ms(self._watchdog.timeout_ms // 4)
            if self.silent():
                break
            await self._watchdog.feed()
        while True:  # until the reset
            await aio.sleep_ms(self._watchdog.timeout_ms)


async def begin(devices: "Any") -> "list[aio.Task]":
    """Arm the board's watchdog and feed it from now on: the task that does.

    None where the watchdog refuses; it is among ``devices.failures`` afterwards.
    """
    watchdog = devices.watchdog
    try:
        await watchdog.start()
    except WatchdogError as error:
        devices.failures.append(("watchdog", watchdog.__class__.__name__, error))
        devices.watchdog = None
        return []
    return [aio.spawn("watchdog", Heartbeat(watchdog).run())]
