"""Several links on a stack that has one way out: one of them is up at a time.

A microcontroller's lwIP sends whatever is not for a neighbour by its default
interface, whichever link a connection was meant for. Under MicroPython 1.25 PPP
takes that place when it connects and leaves it empty when it ends
(extmod/network_ppp_lwip.c; lwIP's ``netif_remove``), and Wi-Fi takes it only when
its radio is switched on (cyw43-driver, ``cyw43_cb_tcpip_init``). So the links take
turns, the free and better ones first, and Wi-Fi begins anew after each other one.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.bearer import DEGRADED, DOWN, BearerError
from firmware.services.link_probe import CAPTIVE, HOST
from firmware.services.link_supervisor import (
    AGAIN_MS,
    CARRYING_MS,
    REST_MS,
    START_MS,
    LinkSupervisor,
    Way,
)
from firmware.services.recovery_ladder import HOPELESS, RUNGS, Ladder, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from firmware.hal.network import Stream, TlsConfig

#: A link that another one is better than carries so long before that one has its turn;
#: twice as long each time that one does not come up, so often at most.
TURN_MS = 300000
TURNS_DOUBLED = 3
#: How long Wi-Fi may take to join: another link waits for its turn.
JOIN_MS = 20000


class LinksInTurn(LinkSupervisor):
    """As ``LinkSupervisor``, but nothing stands by: ``Way.warm`` has no meaning."""

    def __init__(
        self,
        ways: "list[Way]",
        reboot: "Callable[[str], Awaitable[bool]] | None" = None,
        on_step: "Callable[[Step], None] | None" = None,
    ) -> None:
        super().__init__(ways, reboot, on_step)
        #: Set while a link carries.
        self._came = aio.Event()
        #: Whose turn it was before.
        self._before: "Way | None" = None
        #: How often the best link did not come up, since it did.
        self._missed = 0
        #: Whose settings were changed: it has the next turn.
        self._wanted: "Way | None" = None

    def again(self, way: Way) -> None:
        super().again(way)
        self._wanted = way
        for one in self.ways:
            one.wake.set()

    def start(self) -> None:
        self._tasks = [aio.spawn("links", self._turns())]

    async def connect(self, host: str, port: int, tls: "TlsConfig", timeout_ms: int) -> "Stream":
        began = aio.ticks_ms()
        if not self._came.is_set():
            # Between two turns nothing is up, but something soon is.
            await aio.first(("up", self._came.wait()), timeout_ms=timeout_ms // 2)
        left = max(timeout_ms - aio.elapsed_ms(began), 1)
        return await super().connect(host, port, tls, left)

    async def _turns(self) -> None:
        ladders = {way.name: self._ladder(way) for way in self.ways}
        at = vain = 0  # ``vain``: turns since a link carried on
        while True:
            ways = sorted(self.ways, key=lambda way: (way.metered, way.rank))
            if self._wanted is not None:
                at = ways.index(self._wanted)
                self._wanted = None
            # Once each was tried in vain, each has its resets; one that died while it
            # carried was tried.
            climbs = vain >= len(ways)
            carried, died = await self._turn_of(ways[at], ladders[ways[at].name], climbs, at == 0)
            if carried:
                vain = 1 if died else 0
                at = 0 if at else 1
            else:
                vain += 1
                at = (at + 1) % len(ways)

    async def _turn_of(
        self, way: Way, ladder: Ladder, climbs: bool, best: bool
    ) -> "tuple[bool, bool]":
        """From taking the stack to leaving it; whether the link carried, and whether it
        was down again before its turn was over. ``climbs``: it may be reset."""
        carried = died = False
        try:
            if await self._take(way, climbs and not self._rests(way)):
                await self._look(way)
            if way.state == DOWN and climbs:
                await self._climb(way, ladder)
            carried = way.state != DOWN
            if best:
                self._missed = 0 if carried else min(self._missed + 1, TURNS_DOUBLED)
            if carried:
                self._came.set()
                await self._carry(way, ladder, 0 if best else TURN_MS << max(self._missed - 1, 0))
                died = way.state == DOWN
            await self._free(way)
        except TillError as error:
            # A broken device of one kind must not end the others' turns.
            step = Step(aio.ticks_ms(), way.name, "fault", way.cause)
            step.result = str(error)
            self._note(step)
            await self._pause(way, AGAIN_MS)
        self._came.clear()
        await way.bearer.stop()
        way.started = False
        way.failures = way.successes = 0
        self._before = way
        # What it was down for is said until its next turn.
        self._set(way, DOWN, way.cause or "stopped")
        return carried, died

    async def _take(self, way: Way, climbs: bool) -> bool:
        """Bring ``way`` up, with the stack's way out as its own; whether it came up.
        It gets the time of a first start, or, when resets follow, of a first rung."""
        wifi = way.bearer.kind == "wifi"
        way.started = True
        step = Step(aio.ticks_ms(), way.name, "start", way.cause)
        try:
            if wifi and self._before is not None and self._before is not way:
                await way.bearer.reset("radio", JOIN_MS)
            else:
                most_ms = RUNGS[0][1] if climbs else START_MS
                await way.bearer.start(JOIN_MS if wifi else most_ms)
            step.result = "started"
        except BearerError as error:
            step.result = error.cause
            self._judge(way, error.cause)
        step.took_ms = aio.elapsed_ms(step.at_ms)
        self._note(step)
        return step.result == "started"

    async def _climb(self, way: Way, ladder: Ladder) -> None:
        """Reset what can be reset, then wait: it may come back by itself, and whoever
        wants to connect may try it."""
        # Nor does a reset help against a portal, or mend the bank.
        if not self._rests(way) and way.cause not in HOPELESS + (CAPTIVE, HOST):
            if await ladder.climb(way.cause, lambda: self._free(way)):
                way.rest_ms = 0
                return
            way.rest_ms = REST_MS * ladder.patience
            way.rested_ms = aio.ticks_ms()
        await self._pause(way, CARRYING_MS)
        await self._look(way)

    async def _carry(self, way: Way, ladder: Ladder, turn_ms: int) -> None:
        """Watch the link until it is down, or its turn is over (0: never), or another
        one's settings were changed."""
        began = aio.ticks_ms()
        while way.state != DOWN:
            self._rested(way, ladder)
            over = turn_ms and aio.elapsed_ms(began) >= turn_ms
            if (over or self._wanted is not None) and not way.streams:
                return
            await self._pause(way, AGAIN_MS if way.state == DEGRADED else CARRYING_MS)
            await self._look(way)
