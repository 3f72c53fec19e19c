"""Several links behind one ``hal.network``: which one carries, and what to do when none does.

Each link is watched on its own: its bearer's state, then a probe to the
acquirer through that link. Two failures in a row make it down, two successes
up; in between it is degraded. The best link carries: up before degraded, free
before metered, then the board's or merchant's order. A connection is tried on
the next link only while no byte of the application has left (hal.network:
``connect`` fails with ``sent`` False); an open stream stays where it is, and a
request that was cut is the payment flow's to settle, never sent again here.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.bearer import DEGRADED, DOWN, UP, BearerError
from firmware.hal.network import LinkDown, LinkStatus, NetworkError, NetworkLink, Stream
from firmware.services.link_probe import CAPTIVE, HOST, REACHED, UNASKED, verdict_of
from firmware.services.recovery_ladder import HOPELESS, Ladder, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from firmware.hal.bearer import Bearer
    from firmware.hal.network import TlsConfig

    #: Asks through a link, within so many ms: REACHED, UNREACHED, CAPTIVE or UNASKED.
    Probe = Callable[[NetworkLink, int], Awaitable[str]]

#: How often the link that carries is looked at, and one that stands by; metered
#: ones more rarely, for a look costs data.
CARRYING_MS = 15000
STANDBY_MS = 60000
STANDBY_METERED_MS = 300000
#: One probe; all of a look (bearer, probe, beacon); the pause before it is made once more.
PROBE_MS = 4000
LOOK_MS = 10000
AGAIN_MS = 1000
#: First start of a bearer: power-on, SIM, registration, call.
START_MS = 90000
#: A better link must have been up so long before it is gone back to.
HOLD_MS = 30000
#: Rest after a climb of the ladder that did not help, times the ladder's patience.
REST_MS = 60000
#: Pause while only a person can help.
HELPLESS_MS = 300000
#: A payment keeps its link from being reset for so long at most: longer than any
#: host's answer takes.
GRACE_MS = 75000
#: Steps kept for the network test screen and the log.
STEPS = 64
#: Least time that the first of several links gets to connect.
FIRST_MS = 4000


class Way:
    """One link: its bearer, and the network through it.

    ``rank``: lower is better. ``metered``: costs by the byte. ``warm``: kept up
    though another link carries; else started when it is needed. ``probe``: asks
    the acquirer, None when the bearer's own state is all there is to know.
    ``beacon``: asks somebody else who is always there, so that a bank that is
    down is not taken for a link that is.
    """

    def __init__(
        self,
        name: str,
        bearer: "Bearer",
        link: NetworkLink,
        probe: "Probe | None",
        rank: int = 0,
        metered: bool = False,
        warm: bool = True,
        beacon: "Probe | None" = None,
    ) -> None:
        self.beacon = beacon
        self.name = name
        self.bearer = bearer
        self.link = link
        self.probe = probe
        self.rank = rank
        self.metered = metered
        self.warm = warm
        self.state = DOWN
        self.cause = "stopped"
        self.bars = 0
        #: As the bearer last told it.
        self.address = ""
        #: Something failed on it since it was last asked all the way (``link_probe``).
        self.doubted = True
        #: Ticks since which the state is what it is.
        self.since_ms = 0
        self.started = False
        self.streams = 0
        self.wake = aio.Event()
        self.idle = aio.Event()
        self.idle.set()
        self.failures = 0
        self.successes = 0
        #: Rest from the ladder, and since when.
        self.rest_ms = 0
        self.rested_ms = 0


class _OpenStream(Stream):
    """A stream that counts as use of its link until it is closed."""

    def __init__(self, stream: Stream, way: Way) -> None:
        self._stream = stream
        self.took = stream.took
        self._way: "Way | None" = way
        way.streams += 1
        way.idle.clear()

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def read(self, most: int) -> bytes:
        return await self._stream.read(most)

    async def close(self) -> None:
        way = self._way
        if way is not None:
            self._way = None
            way.streams -= 1
            if not way.streams:
                way.idle.set()
        await self._stream.close()


class LinkSupervisor(NetworkLink):
    """``ways``: the links. ``reboot(cause)``: the ladder's last rung, or None.
    ``on_step``: hears of each step, for the terminal's log."""

    def __init__(
        self,
        ways: "list[Way]",
        reboot: "Callable[[str], Awaitable[bool]] | None" = None,
        on_step: "Callable[[Step], None] | None" = None,
    ) -> None:
        if not ways:
            raise ValueError("a terminal has at least one link")
        self.ways = ways
        self.active = ways[0]
        #: What was done and found, the latest last.
        self.steps: "list[Step]" = []
        self._on_step = on_step
        self._reboot = reboot
        self._needed = aio.Event()
        self._tasks: "list[aio.Task]" = []

    # ---- hal.network ----------------------------------------------------------------

    async def status(self) -> LinkStatus:
        way = self.active
        up = way.state != DOWN
        return LinkStatus(up, way.bearer.kind, way.bars, way.address if up else "")

    async def connect(self, host: str, port: int, tls: "TlsConfig", timeout_ms: int) -> Stream:
        started = aio.ticks_ms()
        failure: "NetworkError | None" = None
        ways = self._order()
        for at, way in enumerate(ways):
            left = timeout_ms - aio.elapsed_ms(started)
            if left <= 0:
                break
            if at + 1 < len(ways):
                # Half for the better link; the rest for those behind it.
                left = min(left, max(left // 2, FIRST_MS))
            try:
                return _OpenStream(await way.link.connect(host, port, tls, left), way)
            except NetworkError as error:
                # The best link's word counts, unless another one reached the host.
                if failure is None or verdict_of(error) == REACHED:
                    failure = error
                way.doubted = True
                way.wake.set()
                if verdict_of(error) in (REACHED, UNASKED):
                    break
        raise failure or LinkDown("no link is up")

    def _order(self) -> "list[Way]":
        """The links to connect through: the carrying one, then the others that
        are not down; all when all are down, for a watcher may be behind."""
        ways = [way for way in self.ways if way.state != DOWN] or [
            way for way in self.ways if way.started
        ]
        ways.sort(key=self._worth)
        if self.active in ways:
            ways.remove(self.active)
            ways.insert(0, self.active)
        return ways

    # ---- settings -------------------------------------------------------------------

    def prefer(self, names: "list[str]") -> None:
        """Let the links of these names come before the others, in this order."""
        ways = self.ways
        first = [way for name in names for way in ways if way.name == name]
        others = [way for way in ways if way not in first]
        others.sort(key=lambda way: way.rank)
        for rank, way in enumerate(first + others):
            way.rank = rank
        self._choose()

    def again(self, way: Way) -> None:
        """Its settings changed: it is begun anew as soon as no payment uses it."""
        way.started = False
        way.doubted = True
        way.failures = way.successes = way.rest_ms = 0
        self._set(way, DOWN, "stopped")
        way.wake.set()

    # ---- watching -------------------------------------------------------------------

    def restart_by(self, reboot: "Callable[[str], Awaitable[bool]]") -> None:
        """Give the ladders their last rung, before ``start``. It is for a terminal that
        nothing carries: while another link does, it is not climbed to."""

        async def last(cause: str) -> bool:
            carried = any(way.state != DOWN for way in self.ways)
            return not carried and await reboot(cause)

        self._reboot = last

    def start(self) -> None:
        """Begin to watch; call ``stop`` at the end."""
        self._tasks = [aio.spawn("link " + way.name, self._watch(way)) for way in self.ways]

    async def stop(self) -> None:
        """End the watching and take every link down. Raises what ended a watch early."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.done.wait()
        for way in self.ways:
            await way.bearer.stop()
        for task in tasks:
            if task.error is not None:
                raise task.error

    def _ladder(self, way: Way) -> Ladder:
        return Ladder(
            way.name,
            way.bearer,
            lambda: self._after_rung(way),
            self._note,
            self._reboot,
            way.beacon is not None,
        )

    async def _watch(self, way: Way) -> None:
        ladder = self._ladder(way)
        while True:
            try:
                await self._turn(way, ladder)
            except TillError as error:
                # A broken device of one kind must not end the watch over the link.
                step = Step(aio.ticks_ms(), way.name, "fault", way.cause)
                step.result = str(error)
                self._note(step)
                await self._pause(way, CARRYING_MS)

    async def _turn(self, way: Way, ladder: Ladder) -> None:
        """One look, and what follows from it."""
        if not way.warm:
            await self._wait_needed(way)
        if not way.started:
            await self._free(way)
            await self._begin(way)
        await self._look(way)
        if way.state == DOWN:
            await self._mend(way, ladder)
        else:
            self._rested(way, ladder)
            await self._pause(way, AGAIN_MS if way.state == DEGRADED else self._interval(way))

    async def _wait_needed(self, way: Way) -> None:
        """A cold link rests while another one is not down, or not yet known, and
        it does not carry itself."""
        while any(
            one.state != DOWN or (one.warm and one.cause == "stopped")
            for one in self.ways
            if one is not way
        ):
            if way.started and self.active is not way:
                await way.idle.wait()
                await way.bearer.stop()
                way.started = False
                self._set(way, DOWN, "stopped")
            if self.active is way:
                return
            self._needed.clear()
            await self._needed.wait()

    async def _begin(self, way: Way) -> None:
        way.started = True
        step = Step(aio.ticks_ms(), way.name, "start", way.cause)
        try:
            await way.bearer.start(START_MS)
            step.result = "started"
        except BearerError as error:
            step.result = error.cause
        step.took_ms = aio.elapsed_ms(step.at_ms)
        self._note(step)

    def _interval(self, way: Way) -> int:
        if way is self.active:
            return CARRYING_MS
        return STANDBY_METERED_MS if way.metered else STANDBY_MS

    async def _pause(self, way: Way, ms: int) -> None:
        """Until the next look, or until somebody's connection failed on this link."""
        await aio.first(("wake", way.wake.wait()), timeout_ms=ms)
        way.wake.clear()

    async def _ask(self, way: Way) -> str:
        """REACHED, CAPTIVE, HOST, or why not, within LOOK_MS."""
        began = aio.ticks_ms()
        status = await way.bearer.status()
        way.bars = status.bars
        way.address = status.address
        if status.state == DOWN:
            return status.cause or "no_carrier"
        if way.probe is None:
            return status.cause or REACHED  # a signal that is faint still carries
        verdict = await way.probe(way.link, PROBE_MS)
        if verdict == UNASKED:
            return REACHED  # nothing is known against it
        if verdict in (REACHED, CAPTIVE):
            return verdict
        # A slow device's beacon has less time, so that the whole ladder keeps its own.
        left = min(PROBE_MS, LOOK_MS - aio.elapsed_ms(began))
        if way.beacon is not None and await way.beacon(way.link, left) == REACHED:
            return HOST
        return status.cause or verdict

    async def _after_rung(self, way: Way) -> str:
        """For the ladder: ``_ask``, and what is reached is at once not down."""
        said = await self._ask(way)
        if said == REACHED:
            way.successes = 0
            self._judge(way, said)
        return said

    async def _look(self, way: Way) -> None:
        step = Step(aio.ticks_ms(), way.name, "probe", way.cause)
        again = way.failures > 0 and way.state == DEGRADED
        step.result = await self._ask(way)
        if again:
            # The second probe is the ladder's first rung.
            step.took_ms = aio.elapsed_ms(step.at_ms)
            self._note(step)
        self._judge(way, step.result)

    def _judge(self, way: Way, said: str) -> None:
        """Hysteresis: one success or failure degrades, the second decides."""
        if not way.started:
            return  # it begins anew: what was asked is about what was before
        if said == REACHED:
            way.failures = 0
            way.successes += 1
            self._set(way, UP if way.state == UP or way.successes >= 2 else DEGRADED, "")
            return
        way.successes = 0
        way.failures += 1
        # What the bearer itself says, or a portal, needs no second look.
        sure = way.failures >= 2 or said == CAPTIVE or said in HOPELESS
        self._set(way, DOWN if sure or way.state == DOWN else DEGRADED, said)

    def _set(self, way: Way, state: str, cause: str) -> None:
        way.cause = cause
        if state != way.state:
            step = Step(aio.ticks_ms(), way.name, state, cause or "reached")
            step.took_ms = aio.elapsed_ms(way.since_ms) if way.since_ms else 0
            step.result = "was " + way.state
            way.state = state
            way.since_ms = aio.ticks_ms()
            self._note(step)
        self._choose()

    async def _mend(self, way: Way, ladder: Ladder) -> None:
        if way.cause in HOPELESS:
            await self._pause(way, HELPLESS_MS)
        elif way.cause in (CAPTIVE, HOST):
            # No reset talks to a portal, or mends the bank.
            await self._pause(way, self._interval(way))
        elif self._rests(way):
            # Climbed in vain just now; it may still come back by itself.
            if await ladder.nudge(way.cause, lambda: self._free(way)):
                way.rest_ms = 0
            else:
                await self._pause(way, CARRYING_MS)
        elif await ladder.climb(way.cause, lambda: self._free(way)):
            way.rest_ms = 0
        else:
            way.rest_ms = REST_MS * ladder.patience
            way.rested_ms = aio.ticks_ms()
            await self._pause(way, AGAIN_MS)

    def _rests(self, way: Way) -> bool:
        """A climb in vain was just now: the next one waits."""
        return way.rest_ms > 0 and aio.elapsed_ms(way.rested_ms) < way.rest_ms

    def _rested(self, way: Way, ladder: Ladder) -> None:
        """A link that is up again, by itself or by a rung, owes no patience to the climbs
        that were in vain before."""
        if way.state == UP:
            way.rest_ms = 0
            ladder.rested()

    async def _free(self, way: Way) -> None:
        """Until no payment uses the link, GRACE_MS at most: then it is lost anyway."""
        if way.streams:
            await aio.first(("idle", way.idle.wait()), timeout_ms=GRACE_MS)

    # ---- choosing -------------------------------------------------------------------

    def _worth(self, way: Way) -> "tuple[int, bool, int]":
        """Smaller is better."""
        return (UP, DEGRADED, DOWN).index(way.state), way.metered, way.rank

    def _choose(self) -> None:
        best = min(self.ways, key=self._worth)
        active = self.active
        if best is not active:
            steady = best.state == UP and aio.elapsed_ms(best.since_ms) >= HOLD_MS
            if active.state == DOWN or (active.state == DEGRADED and best.state == UP) or steady:
                step = Step(aio.ticks_ms(), best.name, "carry", active.cause or "preferred")
                step.result = "instead of " + active.name
                self.active = best
                self._note(step)
                best.wake.set()  # looked at more often from now on
        if self.active.state == DOWN:
            self._needed.set()

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        del self.steps[:-STEPS]
        if self._on_step is not None:
            self._on_step(step)
