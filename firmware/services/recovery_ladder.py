"""The recovery ladder: from a new call to a reboot, each rung in bounded time.

Field reports have modems that stay away for 20 to 50 minutes though the network is
there. Here the first rung is a second probe, which the supervisor does before it
calls a link down; then each rung is tried once, the next when a probe through
the link still fails. All are noted with cause, time and what came of them.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.bearer import BearerError
from firmware.services.link_probe import CAPTIVE, HOST, REACHED, UNREACHED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from firmware.hal.bearer import Bearer

#: Rungs in order, with the most time each may take. With the supervisor's time to
#: notice and a look after each they end within five minutes, also where a beacon is
#: asked; tests/unit/test_recovery_ladder.py adds it up for each board.
RUNGS = (
    ("bearer", 15000),
    ("radio", 35000),
    ("modem", 35000),
    ("usb", 30000),
    ("power", 40000),
    ("reboot", 45000),
)
#: Causes that no reset cures: somebody has to come, or to pay.
HOPELESS = ("no_sim", "sim_pin", "sim_puk")
#: Rungs that help while the network itself is missing: a device that answers and
#: has a SIM is not mended by restarts, and each restart begins the search anew.
SEARCHING = ("radio",)
IN_SEARCH = ("searching", "no_service", "denied")
#: With these a call or a join ends at once: the device searches by itself, was refused,
#: or does not hear. Wi-Fi's "no_service" is not among them: nobody else joins again.
NO_USE_CALLING = ("searching", "denied", "mute")
#: Rungs that a device which does not answer cannot hear.
DEAF = ("bearer", "radio", "modem")
#: With these there is nothing to reset: the link carries, and who answers, or does not,
#: is beyond it.
CARRIES = (REACHED, HOST, CAPTIVE)
#: Each climb that did not help makes the rungs of the next so much more patient.
PATIENCE_MOST = 8


class Step:
    """One thing done about a link. ``at_ms``: ticks; ``cause``: why; ``took_ms``;
    ``result``: "reached", or what was wrong with it; ``left``: what a rung of the
    ladder left wrong with the link."""

    def __init__(self, at_ms: int, link: str, what: str, cause: str) -> None:
        self.at_ms = at_ms
        self.link = link
        self.what = what
        self.cause = cause
        self.took_ms = 0
        self.result = ""
        self.left = ""

    def __repr__(self) -> str:
        return (
            self.link + " " + self.what + " because of " + self.cause + ": " + self.result
            + " after " + str(self.took_ms) + " ms"
        )  # fmt: skip


class Ladder:
    """The ladder of one bearer.

    ``probe()`` asks the host: REACHED, or what is wrong. ``note(step)`` keeps a step.
    ``reboot(cause)`` restarts the terminal, and gives False when it may not now;
    it is used for a device that fails, not because a distant host is silent,
    unless a beacon is silent too (``beacon``).
    """

    def __init__(
        self,
        name: str,
        bearer: "Bearer",
        probe: "Callable[[], Awaitable[str]]",
        note: "Callable[[Step], None]",
        reboot: "Callable[[str], Awaitable[bool]] | None" = None,
        beacon: bool = False,
    ) -> None:
        self._beacon = beacon
        self._name = name
        self._bearer = bearer
        self._probe = probe
        self._note = note
        self._reboot = reboot
        self._patience = 1

    @property
    def patience(self) -> int:
        """1, doubled by each climb that did not help."""
        return self._patience

    def rested(self) -> None:
        """The link is up: the next climb is as quick as the first."""
        self._patience = 1

    async def climb(self, cause: str, free: "Callable[[], Awaitable[None]]") -> bool:
        """Rung after rung until the link carries; whether it does. ``cause``: what is
        wrong by the look just made. ``free()`` returns when no payment uses the link,
        or when it has used it too long."""
        for rung, most_ms in RUNGS:
            if not self._helps(rung, cause):
                continue
            await free()
            step = await self._do(rung, cause, most_ms * self._patience)
            self._note(step)
            if step.result in CARRIES:
                self._patience = 1
                return True
            cause = step.left
        self._patience = min(self._patience * 2, PATIENCE_MOST)
        return False

    async def nudge(self, cause: str, free: "Callable[[], Awaitable[None]]") -> bool:
        """The first rung alone, while the ladder rests after a climb in vain: a network
        that came back by itself carries nothing until it is called or joined again.
        As ``climb``; only a link that carries is noted."""
        rung, most_ms = RUNGS[0]
        if cause in HOPELESS or cause in NO_USE_CALLING or rung not in self._bearer.levels:
            return False
        await free()
        step = await self._do(rung, cause, most_ms)
        if step.result not in CARRIES:
            return False
        self._note(step)
        self._patience = 1
        return True

    def _helps(self, rung: str, cause: str) -> bool:
        if cause in HOPELESS:
            return False
        if cause in IN_SEARCH:
            return rung in SEARCHING and rung in self._bearer.levels
        if cause == "mute" and rung in DEAF:
            return False
        if rung == "reboot":
            ours = self._beacon or cause != "unreached"
            return self._reboot is not None and bool(self._bearer.levels) and ours
        return rung in self._bearer.levels

    async def _do(self, rung: str, cause: str, most_ms: int) -> Step:
        """Do it, and ask once what came of it: the host when it was done, else the
        bearer alone. Asking both each time would not fit into the five minutes."""
        step = Step(aio.ticks_ms(), self._name, rung, cause)
        try:
            if rung != "reboot":
                await self._bearer.reset(rung, most_ms)
            elif self._reboot is None or not await self._reboot(cause):
                step.result = "not now"
        except BearerError as error:
            step.result = error.cause
        except TillError as error:
            step.result = str(error)
        if step.result:
            step.took_ms = aio.elapsed_ms(step.at_ms)
            step.left = (await self._bearer.status()).cause or UNREACHED
        else:
            step.result = step.left = await self._probe()
            step.took_ms = aio.elapsed_ms(step.at_ms)
        return step
