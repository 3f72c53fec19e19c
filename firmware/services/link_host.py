"""The terminal's end of the PC link: takes what a PC asks for, and has it done (docs/link.md).

One ``LinkHost`` stands on one pipe for the terminal's whole life. Each request is looked up in
``firmware.link.services``, its asker in the pair table at that moment, its arguments are
checked, and its handler runs as a task of its own. Every request is answered: what a handler
raises becomes ERROR, and what no code foresaw ERROR ``failed`` before the app hears of it.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.link import packets, services
from firmware.link.delivery import TerminalEnd
from firmware.link.end import Parameters
from firmware.link.runner import Runner, StreamOver
from firmware.link.session import (
    BOARD,
    CREDIT,
    MOST_MESSAGE,
    MOST_STREAMS,
    NAME,
    SERIAL,
    VERSION,
    TerminalSession,
)
from firmware.link.streams import CANCEL, END, ERROR, ITEM, REQUEST, StreamRefused
from firmware.services.link_calls import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.hal.pc_pipe import PcPipe
    from firmware.link.streams import Stream
    from firmware.services.link_calls import Handler
    from firmware.services.pair_table import Pair

#: A request whose first chunk came has so long to come whole.
REQUEST_MS = 10_000
#: A longer deadline counts as this one: a day.
_MOST_DEADLINE_MS = 86_400_000
#: The last word before the terminal stops waits no longer for the pipe.
_LAST_WORD_MS = 300


class Limits:
    """What this end takes. ``small``: for a microcontroller of RP2350's size."""

    def __init__(self, small: bool = False) -> None:
        self.most_message = 4096 if small else 65536
        self.credit = 2048 if small else 65536
        self.most_streams = 3 if small else 8
        #: Bytes asked of the pipe at once; messages of a stream that wait before a sender does.
        self.read = 1024 if small else 4096
        self.backlog = 2048 if small else 16384
        #: From one session's beginning to the next one's: a handshake is a second's work for
        #: a microcontroller, and nobody may keep it busy with them.
        self.rest_ms = 4000 if small else 0
        self.small = small

    def parameters(self) -> Parameters:
        """Those of delivery."""
        return Parameters(1040, 4096, 16, 8192) if self.small else Parameters()


class LinkHost:
    """``handler`` gives the handler of a service that is in the table, None where this
    terminal has none; ``find`` the pair table's entry of a static key. ``on_session`` hears when
    a PC is known by its key, and when it is gone; ``on_defect`` of a task that no TillError
    ended. ``period``: of the clock, as for delivery's ends."""

    def __init__(
        self,
        pipe: "PcPipe",
        static: "StaticKey",
        own: "tuple[str, str, str]",
        random: "Callable[[int], bytes]",
        find: "Callable[[bytes], Pair | None]",
        handler: "Callable[[str], Handler | None]",
        on_session: "Callable[[LinkHost], None]",
        on_defect: "Callable[[aio.Task], None]",
        limits: "Limits | None" = None,
        period: int = 0,
    ) -> None:
        """``own``: serial number, board, firmware's version."""
        takes = limits or Limits()
        self._pipe = pipe
        self._find = find
        self._handler = handler
        self._on_session = on_session
        self._on_defect = on_defect
        self._rest_ms = takes.rest_ms
        self._drew_at: "int | None" = None
        self._most = 2 * takes.most_streams
        self._serving: "list[aio.Task]" = []
        said: "dict[int, Any]" = {
            MOST_MESSAGE: takes.most_message,
            CREDIT: takes.credit,
            MOST_STREAMS: takes.most_streams,
        }
        for key, text in ((SERIAL, own[0]), (BOARD, own[1]), (VERSION, own[2])):
            said[key] = text[:32]
        self._end = TerminalEnd(takes.parameters(), pipe.reliable, period)
        self.session = TerminalSession(self._end, static, said, random, self._may_open)
        self._runner = Runner(
            self.session, pipe, None, self._heard, False, takes.read, takes.backlog
        )

    @property
    def key(self) -> bytes:
        """Static key of the PC that is there; b"" for none."""
        return self.session.peer_key

    def hold_off(self, seconds: int) -> None:
        """Refuse other PCs: another pipe has one. They may ask again after ``seconds``; 0: all
        are welcome."""
        self._end.busy_s = seconds

    def arrived(self, data: bytes) -> None:
        """Bytes that somebody else read from the pipe before ``run``."""
        self.session.end.arrived(data, aio.ticks_ms())

    def drop(self, reason: int) -> None:
        """End the session that there is: CLOSE with ``reason``."""
        for stream in self.session.close(reason):
            if stream.news is not None:
                stream.news.set()
        self._runner.wake()

    async def run(self) -> None:
        """Serve until cancelled; whoever is there then is told. A defect is raised."""
        ended = aio.Event()
        tasks = [
            aio.Task("link carry", self._runner.run(), ended),
            aio.Task("link accept", self._accept(), ended),
        ]
        try:
            await ended.wait()
        finally:
            for task in tasks + self._serving:
                task.cancel()
            for task in tasks + self._serving:
                await task.done.wait()
            await self._say_last()
        for task in tasks:
            if task.error is not None:
                raise task.error

    async def _say_last(self) -> None:
        self.session.close(packets.STOPPING)
        data = self.session.end.output(aio.ticks_ms())
        if data:
            await aio.first(("told", self._tell(data)), timeout_ms=_LAST_WORD_MS)

    async def _tell(self, data: bytes) -> None:
        try:
            await self._pipe.write(data)
        except TillError:
            pass  # nobody listens any more

    def _may_open(self) -> bool:
        """Whether another session may begin: after the first, one each rest."""
        if self._drew_at is not None and aio.elapsed_ms(self._drew_at) < self._rest_ms:
            return False
        self._drew_at = aio.ticks_ms()
        return True

    def _heard(self, what: str, error: "TillError | None") -> None:
        if what in ("ready", "ended"):
            self._on_session(self)

    async def _accept(self) -> None:
        while True:
            stream = await self._runner.accept()
            self._serving = [task for task in self._serving if not task.done.is_set()]
            if len(self._serving) >= self._most:  # those before still tidy up
                self._error(stream, services.BUSY, {})
            else:
                self._serving.append(aio.spawn("link request", self._guarded(stream)))

    # -- one request

    async def _guarded(self, stream: "Stream") -> None:
        """A defect of ours is answered as well."""
        task = aio.spawn("link serve", self._serve(stream))
        try:
            await task.done.wait()
        finally:
            task.cancel()
            await task.done.wait()
        if task.error is not None:
            self._failed(stream, task.error)
            if not isinstance(task.error, MemoryError):
                self._on_defect(task)

    async def _serve(self, stream: "Stream") -> None:
        what, asked = await aio.first(("asked", self._request(stream)), timeout_ms=REQUEST_MS)
        if what == "timeout":
            self._error(stream, services.DEADLINE, {})
        elif asked is None or stream.over:
            self._error(stream, services.CANCELLED, {})
        else:
            try:
                handler, call = self._checked(stream, asked[0], asked[2])
            except services.CallRefused as refusal:
                self._error(stream, refusal.code, refusal.details)
                return
            await self._work(stream, handler, call, min(asked[1], _MOST_DEADLINE_MS))

    async def _request(self, stream: "Stream") -> "Any":
        """The whole REQUEST; None when it was given up before."""
        try:
            kind, value = await self._runner.receive(stream)
        except StreamOver:
            return None
        return value if kind == REQUEST else None

    def _checked(
        self, stream: "Stream", service: str, arguments: "dict[Any, Any]"
    ) -> "tuple[Handler, _Asked]":
        """CallRefused: no such service, not for this PC, or arguments that it does not take."""
        if service not in services.SERVICES:
            raise services.CallRefused(services.NO_SERVICE)
        key = self.session.peer_key
        pair = self._find(key)
        roles = pair.roles if pair is not None else ()
        if not services.allows(service, roles):
            raise services.CallRefused(services.NOT_ALLOWED)
        handler = self._handler(service)
        if handler is None:
            raise services.CallRefused(services.NO_SERVICE)
        try:
            services.check(services.SERVICES[service][1], arguments)
        except services.NotOfTable as error:
            raise services.CallRefused(services.BAD_ARGUMENTS, {1: str(error)[:80]}) from None
        name = pair.name if pair is not None else str(self.session.peer[NAME])
        call = _Asked(self._runner, stream, service, arguments, key, name, roles)
        call.channel = self.session.hash
        if self.session.streams is not None:
            call.most_message = self.session.streams.most_message_of_peer
        return handler, call

    async def _work(
        self, stream: "Stream", handler: "Handler", call: "_Asked", deadline_ms: int
    ) -> None:
        task = aio.spawn("link " + call.service, handler(call))  # type: ignore[arg-type]
        try:
            what, _ = await aio.first(
                ("done", task.done.wait()), ("gone", call.gone()), timeout_ms=deadline_ms or None
            )
            if what == "gone":
                self._error(stream, services.CANCELLED, {})
            elif what == "timeout" and not call.ended:
                self._error(stream, services.DEADLINE, {})
        finally:
            if not call.ended:
                task.cancel()
            await task.done.wait()
        if stream.cancelled:
            self._error(stream, services.CANCELLED, {})
        elif what == "done" and (task.error is not None or not call.ended):
            self._failed(stream, task.error)
        if task.error is not None and not isinstance(task.error, (TillError, MemoryError)):
            self._on_defect(task)

    def _failed(self, stream: "Stream", error: "BaseException | None") -> None:
        """The answer to what its handler ended with; None: it said nothing."""
        if isinstance(error, services.CallRefused):
            self._error(stream, error.code, error.details)
        elif isinstance(error, TillError):
            self._error(stream, services.FAILED, {1: error.text_key, 2: str(error)[:80]})
        elif isinstance(error, MemoryError):  # of a microcontroller: no payment pays for a PC
            self._error(stream, services.FAILED, {1: "error.pc_pipe", 2: "memory"})
        else:
            self._error(stream, services.FAILED, {1: "error.crash"})

    def _error(self, stream: "Stream", code: str, details: "dict[int, Any]") -> None:
        """The last word, where none has left yet."""
        if stream.over:
            return
        try:
            stream.send(ERROR, [code, details])
        except StreamRefused:
            try:
                stream.send(ERROR, [code, {}])  # the details were too long
            except StreamRefused:
                return  # an ERROR is on its way already
        self._runner.wake()


class _Asked(Call):
    """A request at work."""

    def __init__(
        self,
        runner: Runner,
        stream: "Stream",
        service: str,
        arguments: "dict[int, Any]",
        key: bytes,
        name: str,
        roles: "tuple[str, ...]",
    ) -> None:
        self._runner = runner
        self._stream = stream
        self.service = service
        self.arguments = arguments
        self.key = key
        self.name = name
        self.roles = roles
        #: Its END is queued: from there nothing of the PC's cancels the handler.
        self.ended = False

    async def item(self, value: "dict[int, Any]") -> None:
        await self._runner.send(self._stream, ITEM, value)

    async def end(self, value: "dict[int, Any]") -> None:
        await self._runner.send(self._stream, END, value)
        self.ended = True

    async def next(self) -> "tuple[bool, dict[int, Any]]":
        kind, value = await self._runner.receive(self._stream)
        if kind in (CANCEL, ERROR):
            raise StreamOver("the PC gave it up")
        return kind == END, value

    async def gone(self) -> None:
        """Wait until the PC gave it up, or the link is lost for good."""
        stream = self._stream
        while self.ended or not (stream.cancelled or stream.over):
            stream.news.clear()
            await stream.news.wait()
