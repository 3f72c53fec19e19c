"""A terminal over the link: connects, checks who it is, carries requests, comes back after the
cable was pulled.

A session that was lost is resumed as long as both ends hold it. Where it ended for good, what
was asked fails with code ``lost``, and the next request opens a new session, with the same
checks as the first.
"""

import asyncio
import contextlib
import os
import platform
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from firmware import aio
from firmware.errors import TillError
from firmware.hal.pc_pipe import PipeError
from firmware.link import packets, services
from firmware.link.delivery import PcEnd
from firmware.link.end import NoAnswer, Parameters
from firmware.link.runner import Runner, StreamOver
from firmware.link.session import (
    BOARD,
    CREDIT,
    MOST_MESSAGE,
    NAME,
    SERIAL,
    VERSION,
    PcSession,
)
from firmware.link.streams import END, ERROR, ITEM, Stream, StreamRefused
from host_tools.errors import UserError
from host_tools.pc_link import clock, keys, refusals
from host_tools.pc_link.calls import Call, CallFailed, Terminal
from host_tools.pc_link.discovery import printable
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.pipes import Line
from host_tools.pc_link.targets import Target, resolve
from host_tools.texts import said

if TYPE_CHECKING:
    from firmware.crypto.x25519 import StaticKey

#: Bytes of a message and of a stream that this PC takes: a chunk of the journal and its head.
MOST, STREAM_CREDIT = 1 << 17, 1 << 17
#: OPENs before a terminal counts as silent, 0.5 s apart: one that starts a program is slow.
OPEN_TRIES = 20
#: Until a session stands, or the terminal is given up; the last word is waited for so long.
READY_MS, LAST_WORD_MS = 20_000, 500
#: How much later than its deadline, or than CANCEL, a terminal's answer may come.
LATE_MS = 3000


class Alarm(UserError):
    """A terminal that is not what it says, or not the one that it was. Nothing was asked of it."""


def pc_name() -> str:
    """What the merchant reads of this PC: 1 to 40 characters (OPENTILL_PC_NAME, or the
    computer's name)."""
    name = os.environ.get("OPENTILL_PC_NAME") or platform.node() or "PC"
    name = "".join(char for char in name if char.isprintable())[:40]
    while len(name.encode()) > 120:
        name = name[:-1]
    return name or "PC"


def till_version() -> str:
    """The version that a terminal is told."""
    from importlib import metadata

    try:
        return metadata.version("opentill")[:32]
    except metadata.PackageNotFoundError:
        return "0"


@dataclass
class Settings:
    """What a connection needs of this PC; the user's own where nothing is given. ``name``: shown
    to the merchant. ``tells``: hears "lost", "resumed" and "again" (a new session)."""

    known: KnownTerminals = field(default_factory=KnownTerminals)
    static: "StaticKey | None" = None
    name: str = field(default_factory=pc_name)
    tells: Callable[[str], None] | None = None


@contextlib.asynccontextmanager
async def connect(
    target: Target | str = "",
    settings: Settings | None = None,
    stranger: bool = False,
    line: Line | None = None,
) -> AsyncIterator["LinkedTerminal"]:
    """A terminal that is connected, while the context lasts. With ``stranger`` one that does
    not know this PC, too. ``line``: a pipe instead of the target's own. CallFailed, Alarm and
    other UserErrors."""
    chosen = settings or Settings()
    place = await resolve(target, chosen.known) if isinstance(target, str) else target
    terminal = LinkedTerminal(place, chosen, line or place.pipe(), stranger)
    try:
        await terminal.begin()
        yield terminal
    finally:
        await terminal.close()


class LinkedTerminal(Terminal):
    """``hello``: what it said when the session began (docs/link.md, Services); ``roles``: this
    PC's there; ``clock_ahead_s``: its clock's lead on this PC's, None without a clock; ``key``:
    its static key; ``channel``: the session's handshake hash."""

    def __init__(self, target: Target, settings: Settings, line: Line, stranger: bool) -> None:
        self._target = target
        self._settings = settings
        self._line = line
        self._stranger = stranger
        self._static = settings.static or keys.load()
        self._runner: Runner | None = None
        self._task: aio.Task | None = None
        self._ready: asyncio.Future[None] | None = None
        self._beginning = asyncio.Lock()
        self._trouble = ""
        self._why: TillError | None = None
        self._begun = False
        self._closed = False
        self.hello: dict[int, Any] = {}
        self.clock_ahead_s: int | None = None
        self.roles: list[str] = []
        self.key = b""
        self.channel = b""

    @property
    def place(self) -> str:
        """Where it is."""
        return self._line.place or self._target.text

    @property
    def usb(self) -> str:
        """The USB name of its port, "" for none."""
        return self._target.usb

    # -- sessions

    async def begin(self) -> None:
        """Connect, if there is no session. CallFailed, Alarm, UserError."""
        async with self._beginning:
            if self._closed:
                raise CallFailed(said("the connection was closed"), services.LOST)
            if self._task is not None and not self._task.done.is_set() and self._standing():
                return
            await self._stop()
            again, self._begun = self._begun, True
            try:
                await self._line.reopen()
            except PipeError as error:
                raise refusals.no_port(self._target.text, error) from None
            try:
                await self._shake()
                await self._greet()
            except BaseException:
                await self._stop()
                raise
            if again and self._settings.tells is not None:
                self._settings.tells("again")

    def _standing(self) -> bool:
        return self._runner is not None and self._runner.session.ready

    async def _shake(self) -> None:
        own = {
            NAME: self._settings.name,
            VERSION: till_version(),
            MOST_MESSAGE: MOST,
            CREDIT: STREAM_CREDIT,
        }
        parameters = Parameters()
        parameters.open_tries = OPEN_TRIES
        end = PcEnd(parameters, self._line.reliable)
        session = PcSession(end, self._static, own, secrets.token_bytes, self._trusts)
        self._trouble, self._why = "", None
        self._ready = asyncio.get_running_loop().create_future()
        self._runner = Runner(session, self._line, self._line.reopen, self._heard, once=True)
        session.connect(aio.ticks_ms())
        self._task = aio.spawn("pc link", self._carry(self._runner))
        try:
            async with asyncio.timeout(READY_MS / 1000):
                await self._ready
        except TimeoutError:
            raise refusals.ended(self.place, NoAnswer("no handshake in time")) from None
        if not session.ready:  # the terminal ended it in the same breath
            raise refusals.ended(self.place, self._why)
        peer = session.peer
        self.serial, self.board, self.firmware = peer[SERIAL], peer[BOARD], peer[VERSION]
        self.most_message = peer[MOST_MESSAGE]
        self.key, self.channel = session.peer_key, session.hash
        self.fingerprint = services.fingerprint(self.key)

    async def _carry(self, runner: Runner) -> None:
        """The session to its end; whoever waits for something of it hears of that."""
        try:
            await runner.run()
        finally:
            _end(runner)
            self._heard("ended", None)

    def _trusts(self, serial: str, key: bytes) -> bool:
        """Asked before this PC has said who it is."""
        if self.key and key != self.key:
            self._trouble = said("DANGER: another terminal than before answers at {place} "
                                 "({serial}); nothing was told to it", place=self.place,
                                 serial=printable(serial))  # fmt: skip
            return False
        wanted = self._target.serial or self.serial
        if wanted and wanted != serial:
            self._trouble = said("{place} is terminal {serial}, not {wanted}; `till devices` shows "
                                 "what there is", place=self.place, serial=printable(serial),
                                 wanted=wanted)  # fmt: skip
            return False
        try:
            entry = self._settings.known.get(serial)
        except UserError as error:
            self._trouble = str(error)
            return False
        return entry is None or entry.key == key

    def _heard(self, what: str, error: TillError | None) -> None:
        ready = self._ready
        if what == "ready" and ready is not None and not ready.done():
            ready.set_result(None)
        if what == "ended" and error is not None:
            self._why = error
        if what == "ended" and ready is not None and not ready.done():
            trouble = self._trouble
            failed = Alarm(trouble) if trouble else refusals.ended(self.place, error)
            ready.set_exception(failed)
            ready.exception()  # it counts as seen, should nobody wait any more
        if what in ("lost", "resumed") and self._settings.tells is not None:
            self._settings.tells(what)

    async def _greet(self) -> None:
        """``hello``, and whether what it says agrees with what this PC keeps."""
        asked_ms = clock.now_ms()
        call = await self._open("hello", {}, READY_MS)
        self.hello = await call.result()
        self.clock_ahead_s = clock.ahead_s(self.hello.get(2), asked_ms)
        roles = [role for role in self.hello[1] if isinstance(role, str)]
        self.roles = [printable(role, 16) for role in roles]
        entry = self._settings.known.get(self.serial)
        if self.roles and entry is None:
            raise Alarm(
                said("ALARM: terminal {serial} says that it is paired with this PC, which never "
                     "paired with it (its key: {fingerprint}). Do not go on. If this PC's "
                     "settings were lost, revoke it on the terminal and pair again",
                     serial=self.serial, fingerprint=self.fingerprint)
            )  # fmt: skip
        if entry is not None and self.roles:
            usb = self.usb or entry.usb
            self._settings.known.change(
                self.serial, confirmed=True, roles=tuple(self.roles), place=self.place, usb=usb
            )
        if not self.roles and not self._stranger:
            raise self._unknown(entry)

    def _unknown(self, entry: Known | None) -> CallFailed:
        if entry is None:
            text = said("terminal {serial} is not paired with this PC; type: till pair {place}",
                        serial=self.serial, place=self.place)  # fmt: skip
        else:
            text = said("terminal {serial} does not know this PC any more: it was revoked there, "
                        "or the pairing was cut off; type: till pair {place}", serial=self.serial,
                        place=self.place)  # fmt: skip
        return CallFailed(text, refusals.STRANGER)

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        task, self._task = self._task, None
        if runner is None or task is None:
            return
        _end(runner)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_MS / 1000):
                await task.done.wait()
        task.cancel()
        await task.done.wait()
        if task.error is not None:
            raise task.error

    async def close(self) -> None:
        """End the session and the pipe. May be called twice."""
        self._closed = True
        try:
            await self._stop()
        finally:
            await self._line.close()

    # -- requests

    async def open(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 0
    ) -> Call:
        try:
            services.check(services.SERVICES[service][1], arguments or {})
        except services.NotOfTable as error:
            raise refusals.refused(services.BAD_ARGUMENTS, {1: str(error)}) from None
        await self.begin()
        return await self._open(service, arguments or {}, deadline_ms)

    async def _open(self, service: str, arguments: dict[int, Any], deadline_ms: int) -> Call:
        runner = self._runner
        streams = runner.session.streams if runner is not None else None
        if runner is None or streams is None:
            raise refusals.refused(services.LOST, {})
        try:
            stream = streams.open(service, deadline_ms, arguments)
        except StreamRefused as error:
            raise refusals.refused(refusals.STREAMS, {1: str(error)}) from None
        runner.wake()
        return _LinkedCall(runner, stream, service, deadline_ms)


def _end(runner: Runner) -> None:
    """CLOSE, if there is a session, and every stream's reader hears of it."""
    for stream in runner.session.close(packets.DONE):
        if stream.news is not None:
            stream.news.set()
    runner.wake()


class _LinkedCall(Call):
    def __init__(self, runner: Runner, stream: Stream, service: str, deadline_ms: int) -> None:
        now = asyncio.get_running_loop().time()
        self._until = now + (deadline_ms + LATE_MS) / 1000 if deadline_ms else None
        self._runner = runner
        self._stream = stream
        _, _, self._item, self._end = services.SERVICES[service]
        self._last: dict[int, Any] | None = None
        self._failed: CallFailed | None = None

    async def items(self) -> AsyncIterator[dict[int, Any]]:
        while self._last is None:
            kind, value = await self._next()
            if kind == ITEM:
                yield value

    async def result(self) -> dict[int, Any]:
        while self._last is None:
            await self._next()
        return self._last

    async def _next(self) -> tuple[int, dict[int, Any]]:
        """The next message, checked by the table."""
        if self._failed is not None:
            raise self._failed
        try:
            async with asyncio.timeout_at(self._until):
                kind, value = await self._runner.receive(self._stream)
            if kind == ERROR:
                raise refusals.refused(value[0], value[1])
            schema = self._end if kind == END else self._item
            if schema is None:
                raise services.NotOfTable("an item, where there is none")
            services.check(schema, value)
        except StreamOver:
            self._failed = refusals.refused(services.LOST, {})
        except TimeoutError:
            self._give_up()
            self._failed = refusals.refused(services.DEADLINE, {})
        except services.NotOfTable as error:
            self._give_up()
            self._failed = refusals.refused(refusals.ANSWER, {1: str(error)})
        except CallFailed as error:
            self._failed = error
        if self._failed is not None:
            raise self._failed
        if kind == END:
            self._last = value
        return kind, value

    async def send(self, item: dict[int, Any], last: bool = False) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            await self._runner.send(self._stream, END if last else ITEM, item)
        except StreamRefused:
            await self.result()  # what the terminal said meanwhile is the better reason
            self._failed = refusals.refused(services.CANCELLED, {})
            raise self._failed from None

    async def cancel(self) -> None:
        self._give_up()
        self._until = asyncio.get_running_loop().time() + LATE_MS / 1000
        while self._last is None and self._failed is None:
            with contextlib.suppress(CallFailed):
                await self._next()

    def _give_up(self) -> None:
        self._stream.cancel()
        if self._stream.news is not None:
            self._stream.news.set()
        self._runner.wake()
