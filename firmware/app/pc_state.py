"""What a paired PC is told of the terminal: status, totals, screen, doctor, log, watch.

Nothing here asks a device that a payment may be using: the idle screen asked them last,
and what it found is told.
"""

from firmware import aio
from firmware.app.terminal import Terminal
from firmware.errors import TillError
from firmware.hal.clock import ClockError
from firmware.link.services import BAD_ARGUMENTS, CallRefused
from firmware.payment.journal import records
from firmware.services import doctor
from firmware.services.link_watch import LinkWatch
from firmware.services.log_ring import LogRing
from firmware.text.texts import LANGUAGES, Texts
from firmware.ui.tree import REDACTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.services.doctor import Finding
    from firmware.services.link_calls import Call, Handler
    from firmware.services.link_watch import Look

READY, BLOCKED, BUSY = "ready", "blocked", "busy"
#: The same failure of a device is told again after so long.
AGAIN_MS = 600_000
#: (screen, node) that one PC must not read for another: the code that pairs it.
_NOT_FOR_PCS = (("pair_code", "code"),)
#: Bounds of the table in firmware/link/services.py.
_MOST_BLOCKED, _MOST_TOTALS, _MOST_TEXT = 32, 64, 240


class PcState:
    """Listens to the terminal from the moment it is made."""

    def __init__(self, t: Terminal) -> None:
        self.t = t
        self.ring = LogRing()
        looks: "dict[str, Look]" = {
            "journal": self._head,
            "status": self.look,
            "screen": self._tree,
        }
        self.watch = LinkWatch(looks, self.ring)
        self._failures: "dict[str, tuple[str, int]]" = {}
        self._bars: "int | None" = None
        self._percent: "int | None" = None
        self._mains: "bool | None" = None
        for result in t.results:
            if result.state in ("warn", "fail"):
                self.ring.add(result.kind + ": " + result.detail)
        self.ring.on_line = self.watch.changed
        t.failure_listeners.append(self._failed)
        t.journal.listeners.append(self._recorded)
        t.view.listeners.append(self._shown)

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        mine = self.watch.handlers()
        mine["status"] = self.status
        mine["totals"] = self.totals
        mine["screen"] = self.screen
        mine["doctor"] = self.doctor
        return mine

    # -- listening; none of these may raise, a payment calls them

    def _failed(self, kind: str, error: TillError) -> None:
        """A device that stays dead is told anew after a while only: the idle screen asks it
        every few seconds."""
        text = kind + ": " + str(error)
        before = self._failures.get(kind)
        if before is None or before[0] != text or aio.elapsed_ms(before[1]) >= AGAIN_MS:
            self._failures[kind] = (text, aio.ticks_ms())
            self.ring.add(text)

    def _recorded(self, kind: int, body: "dict[int, Any]") -> None:
        if kind == records.NOTICE:
            self.ring.add(body[records.K_CODE] + ": " + body.get(records.K_DETAIL, ""))
        self.watch.changed()

    def _shown(self) -> None:
        screen = self.t.view.screen
        if screen is not None and screen.name == "idle":
            signal, battery = screen.find("signal"), screen.find("battery")
            if signal is not None:
                self._bars = signal.bars
            if battery is not None:
                self._percent, self._mains = battery.percent, battery.mains
        self.watch.changed()

    # -- status

    def state(self) -> str:
        """ready, blocked, or busy with the merchant's own."""
        t = self.t
        if t.view.screen is not None and t.view.screen.name != "idle":
            return BUSY
        return BLOCKED if t.blocked else READY

    async def look(self) -> "dict[int, Any]":
        """What the idle screen knows."""
        t = self.t
        state = t.journal.state
        told: "dict[int, Any]" = {
            1: self.state(),
            2: t.blocked[:_MOST_BLOCKED],
            8: state.batch,
            9: self._totals(),
            10: state.debt is not None,
            11: t.journal.head()[0],
            12: state.acknowledged,
            14: t.test or bool(t.devices.capabilities.emulated),
            17: t.view.language,
        }
        if self._percent is not None:
            told[3] = self._percent
        if self._mains is not None:
            told[4] = self._mains
        if t.devices.printer is not None:
            told[5] = t.printer_trouble or "ok"
        if self._bars is not None and t.devices.network is not None:
            told[6] = "up" if self._bars else "down"
            told[7] = self._bars
        try:
            told[13] = await t.now()
        except ClockError:
            pass  # it is dead, and that is told by its absence
        if t.provision is not None:
            told[15] = t.provision.merchant.terminal_id
            told[16] = t.provision.merchant.merchant_id
        return told

    async def status(self, call: "Call") -> None:
        """The state now."""
        await call.end(await self.look())

    async def totals(self, call: "Call") -> None:
        """Of the open batch, as far as it is durable: the fold shows nothing else."""
        await call.end({1: self.t.journal.state.batch, 2: self._totals()})

    def _totals(self) -> "list[list[Any]]":
        totals = self.t.journal.state.totals
        rows = [[key[0], key[1], totals[key][0], totals[key][1]] for key in sorted(totals)]
        return rows[:_MOST_TOTALS]

    async def _head(self) -> "dict[int, Any]":
        sequence, epoch, chain = self.t.journal.head()
        return {1: sequence, 2: epoch, 3: chain}

    # -- screen

    async def screen(self, call: "Call") -> None:
        """The tree of what stands on the panel, redacted at its source."""
        await call.end(await self._tree())

    async def _tree(self) -> "dict[int, Any]":
        tree = self.t.view.tree()
        for node in tree["nodes"]:
            if (tree["screen"], node["name"]) in _NOT_FOR_PCS:
                node["text"] = REDACTED
        return {1: tree}

    # -- doctor

    async def doctor(self, call: "Call") -> None:
        """Each device as the terminal last found it; the links as they are."""
        language = call.arguments[1]
        if language not in [code for code, _ in LANGUAGES]:
            raise CallRefused(BAD_ARGUMENTS, {1: "language"})
        t = self.t
        texts = Texts(language)
        well = True
        try:
            for finding in doctor.known(t.devices, t.board, t.results):
                well = well and finding.state != "fail"
                await call.item({1: _told(finding, texts)})
        finally:
            texts.close()
        await call.end({1: well})


def _told(finding: "Finding", texts: Texts) -> "dict[int, Any]":
    """1 kind, 2 driver, 3 bus, 4 state, 5 text, 6 cause, 7 next action."""
    says, what_to_do = finding.says, ""
    if finding.state != "ok":
        says = texts.get(finding.text_key) if finding.text_key else ""
        if texts.has(finding.text_key + ".do"):
            what_to_do = texts.get(finding.text_key + ".do")
        engineer = doctor.advice(finding.cause)
        if engineer:
            what_to_do = (what_to_do + " " + texts.get(engineer)).strip()
    kind = finding.kind + (" " + finding.name if finding.name else "")
    buses = ", ".join([str(bus["name"]) for bus in finding.buses])
    told = {1: kind, 2: finding.driver, 3: buses, 4: finding.state, 5: says}
    told[6], told[7] = finding.cause, what_to_do
    return {key: value[:_MOST_TEXT] for key, value in told.items()}
