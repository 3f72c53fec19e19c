"""The PC link of this terminal: who serves what, from the first byte of a PC to the end.

Nothing of the link is imported before a PC says something: a terminal without one keeps its
memory. What a service needs is imported when it is first asked for (``_ROOMS``).
"""

import sys

from firmware import aio
from firmware.app import quiet
from firmware.errors import TillError
from firmware.hal.clock import ClockError
from firmware.hal.pc_pipe import PipeError
from firmware.payment.journal import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.app.pc_state import PcState
    from firmware.app.terminal import Terminal
    from firmware.hal.pc_pipe import PcPipe
    from firmware.services.link_calls import Call, Handler
    from firmware.services.link_host import LinkHost
    from firmware.services.pair_table import PairTable
    from firmware.services.pair_window import Pairings

#: A pipe that is broken is tried again after so long.
AGAIN_MS = 500
#: Without so much free heap a microcontroller serves no PC: a payment needs it more.
LEAST_ROOM = 160 * 1024
#: Kinds of devices that PCs come by.
PIPES = ("pc_pipe", "pc_net")
#: While a paired PC is on one pipe, those on others are told to ask again after so long.
BUSY_S = 5
#: The last answer to a PC that revoked itself has so long to get out.
LAST_ANSWER_MS = 500
#: What may not be interrupted has so long to end with the terminal.
STOP_MS = 5_000
#: MicroPython's clock starts again at this.
_PERIOD = 0 if sys.implementation.name == "cpython" else 1 << 30


class PcLink:
    """Made by ``begin``, with the pipes that there are."""

    def __init__(self, t: "Terminal", pipes: "list[tuple[str, PcPipe]]") -> None:
        self.t = t
        self._pipes = pipes
        #: Of the pipes on which a PC was heard.
        self._hosts: "list[LinkHost]" = []
        self._said: "list[str]" = []
        self._pairings: "Pairings | None" = None
        self._handlers: "dict[str, Handler]" = {}
        self._state: "PcState | None" = None
        if sys.implementation.name == "cpython":
            self.state()  # the log is kept from the start; elsewhere from its first reader on
        self._beside: "list[aio.Task]" = []
        self._tasks = [aio.spawn("PC link " + kind, self._keep(kind, pipe)) for kind, pipe in pipes]

    def state(self) -> "PcState":
        """What a PC is told of the terminal; listens from its first use on."""
        if self._state is None:
            from firmware.app.pc_state import PcState

            self._state = PcState(self.t)
        return self._state

    def roles(self, key: bytes) -> "tuple[str, ...]":
        """Those of the pair with this static key, none for a stranger."""
        pair = self._pairings.table.find(key) if self._pairings is not None else None
        return tuple(pair.roles) if pair is not None else ()

    async def stop(self) -> None:
        """End it: a PC that is there is told, handlers are waited for."""
        await aio.first(("ended", self._end()), timeout_ms=STOP_MS)
        for _, pipe in self._pipes:
            await pipe.close()

    async def _end(self) -> None:
        tasks = self._tasks + self._beside
        for task in tasks:
            task.cancel()
        for task in tasks:
            await task.done.wait()

    def tampered(self) -> None:
        """The vault is erased: no PC is paired any more."""
        if self._pairings is not None:
            self._pairings.table.forget()
            self._pairings.close()
        for host in self._hosts:
            from firmware.link import packets

            host.drop(packets.REVOKED)

    async def pairings(self) -> "Pairings":
        """The pair table with what belongs to it, read at the first use. A table that is lost
        is named on the self-test's page and in the journal, and begun anew."""
        if self._pairings is None:
            from firmware.services.pair_table import PairTable
            from firmware.services.pair_window import Pairings

            t = self.t
            table = PairTable(t.devices.files, t.devices.vault)
            await self._load(table)
            if self._pairings is None:  # another task may have been first
                self._pairings = Pairings(
                    table, t.journal, t.devices.entropy, self.note, self.now, self._revoked
                )  # fmt: skip
        return self._pairings

    async def _load(self, table: "PairTable") -> None:
        try:
            await table.load()
        except TillError as error:
            from firmware.services.self_test import Result

            self.t.results = [one for one in self.t.results if one.kind != "pairs"]
            self.t.results.append(Result("pairs", "fail", error.text_key, str(error)))
            await self.note("pairs_lost", str(error)[:80])

    async def note(self, code: str, detail: str) -> None:
        """A NOTICE in the journal, where it takes one."""
        t = self.t
        if not t.may_journal:
            return
        body: "dict[int, Any]" = {records.K_CODE: code, records.K_DETAIL: detail}
        now = await self.now()
        if now:
            body[records.K_TIME] = now
        try:
            await t.journal.append(records.NOTICE, body, sync=False)
        except TillError as error:
            t.note_failure("files", error)

    async def now(self) -> int:
        """Unix seconds, 0 while the clock is dead."""
        try:
            return await self.t.now()
        except ClockError:
            return 0

    def _revoked(self, key: bytes, soon: bool) -> None:
        for host in self._hosts:
            if host.key == key:
                self._spawn("revoked", self._drop(host, key, LAST_ANSWER_MS if soon else 0))

    async def _drop(self, host: "LinkHost", key: bytes, after_ms: int) -> None:
        from firmware.link import packets

        await aio.sleep_ms(after_ms)
        if host.key == key:
            host.drop(packets.REVOKED)

    def _spawn(self, name: str, work: "Any") -> None:
        self._beside = [task for task in self._beside if not task.done.is_set()]
        self._beside.append(aio.spawn(name, work))

    # -- serving

    async def _keep(self, kind: str, pipe: "PcPipe") -> None:
        """Serve a pipe. What no code foresaw ends the terminal's life at the idle screen, as
        any other defect."""
        serving = aio.spawn("PC link serve", self._run(kind, pipe))
        try:
            await serving.done.wait()
        finally:
            serving.cancel()
            await serving.done.wait()
        self.t.note_end(serving)

    async def _run(self, kind: str, pipe: "PcPipe") -> None:
        """Wait for a PC's first byte, then serve."""
        while True:
            try:
                first = await pipe.read(1024)
            except PipeError:
                await aio.sleep_ms(AGAIN_MS)
                continue
            try:
                host = await self._make(kind, pipe)
            except TillError as error:  # no vault, no memory: no link
                self._say(kind, error)
                await aio.sleep_ms(AGAIN_MS)
                continue
            break
        self._hosts.append(host)
        host.arrived(first)
        await host.run()

    def _say(self, kind: str, error: TillError) -> None:
        """Name on stderr what keeps a PC from being served, once in a life."""
        if kind not in self._said:
            self._said.append(kind)
            print("till: " + kind + ": " + str(error), file=sys.stderr)

    async def _make(self, kind: str, pipe: "PcPipe") -> "LinkHost":
        """The host with the terminal's key and pairs. VaultError, FilesError."""
        if self.t.free:
            quiet.tidy(self.t.view)
        room = quiet.room()
        if room is not None and room < LEAST_ROOM:
            raise PipeError(
                "the link takes " + str(LEAST_ROOM) + " bytes of memory, not " + str(room)
            )
        for name in (  # leaves first, as main does
            "firmware.crypto.x25519", "firmware.crypto.chacha_poly", "firmware.link.packets",
            "firmware.link.window", "firmware.link.noise", "firmware.link.delivery",
            "firmware.link.streams", "firmware.link.session", "firmware.link.runner",
            "firmware.services.link_host",
        ):  # fmt: skip
            __import__(name)
        from firmware.services.link_host import Limits, LinkHost

        t = self.t
        board = t.board
        pairings = await self.pairings()
        return LinkHost(
            pipe,
            await t.devices.vault.link_key(),
            (str(board["serial"]), str(board["name"]), str(board["version"])),
            t.devices.entropy.random,
            pairings.table.find,
            self._handler,
            self._session,
            t.note_end,
            Limits(bool(board.get(kind, {}).get("small", False))),
            _PERIOD,
        )

    def _session(self, host: "LinkHost") -> None:
        """A PC is there, or gone. A paired one has the terminal for itself; a stranger keeps
        nobody out."""
        assert self._pairings is not None
        paired = self._pairings.table.find(host.key) is not None
        for other in self._hosts:
            if other is not host:
                other.hold_off(BUSY_S if paired else 0)
        if paired:
            self._spawn("seen", self._saw(self._pairings.table, host.key))
            from firmware.link.services import REGISTER

            if REGISTER in self.roles(host.key):
                from firmware.app import register

                register.prepare()

    async def _saw(self, table: "PairTable", key: bytes) -> None:
        now = await self.now()
        if not now:
            return
        try:
            await table.saw(key, now)
        except TillError as error:
            self.t.note_failure("files", error)

    def _handler(self, service: str) -> "Handler | None":
        if service not in self._handlers and service in _ROOMS:
            self._handlers.update(_ROOMS[service](self))
        return self._handlers.get(service)


def begin(t: "Terminal") -> "PcLink | None":
    """The link, where the board has a pipe and what keeps keys and pairs."""
    devices = t.devices
    if None in (devices.files, devices.vault, devices.entropy):
        return None
    pipes = [(kind, getattr(devices, kind)) for kind in PIPES]
    there = [(kind, pipe) for kind, pipe in pipes if pipe is not None]
    return PcLink(t, there) if there else None


# ---- who serves what ---------------------------------------------------------------------


def _pairing(link: PcLink) -> "dict[str, Handler]":
    assert link._pairings is not None
    return link._pairings.handlers()


def _hello(link: PcLink) -> "dict[str, Handler]":
    async def hello(call: "Call") -> None:
        t = link.t
        sequence, epoch, chain = t.journal.head()
        told: "dict[int, Any]" = {
            1: list(call.roles),
            3: sequence,
            4: epoch,
            5: chain,
            6: sorted(_ROOMS),
            7: not t.free,
            8: t.test or bool(t.devices.capabilities.emulated),
        }
        now = await link.now()
        if now:
            told[2] = now
        await call.end(told)

    return {"hello": hello}


def _journal(link: PcLink) -> "dict[str, Handler]":
    from firmware.services.link_journal import LinkJournal

    return LinkJournal(link.t.journal, link.t.devices.files).handlers()


def _state(link: PcLink) -> "dict[str, Handler]":
    return link.state().handlers()


def _config(link: PcLink) -> "dict[str, Handler]":
    from firmware.app import pc_config

    return pc_config.config(link.t, link.roles).handlers()


def _register(link: PcLink) -> "dict[str, Handler]":
    from firmware.app import register

    return register.handlers(link.t)


def _backup(link: PcLink) -> "dict[str, Handler]":
    from firmware.app import pc_backup

    return pc_backup.backup(link.t).handlers()


#: What makes the handlers of each service, itself among them.
_ROOMS: "dict[str, Callable[[PcLink], dict[str, Handler]]]" = {
    "hello": _hello,
    "pair_ask": _pairing,
    "pairs": _pairing,
    "pair_revoke": _pairing,
    "journal_read": _journal,
    "journal_ack": _journal,
    "status": _state,
    "watch": _state,
    "totals": _state,
    "screen": _state,
    "log": _state,
    "doctor": _state,
    "config_get": _config,
    "config_push": _config,
    "backup": _backup,
    "restore": _backup,
    "sale_start": _register,
    "sale_state": _register,
    "sale_abort": _register,
    "test_sale": _register,
}
