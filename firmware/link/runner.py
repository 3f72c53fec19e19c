"""Carries a session over a pipe: the one place of the link that waits (docs/link.md).

Both ends use it: the terminal for as long as it lives, the PC for one session. All waiting
goes through ``aio``, all bytes through ``hal.pc_pipe``.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.pc_pipe import PipeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from firmware.hal.pc_pipe import PcPipe
    from firmware.link.session import Session
    from firmware.link.streams import Stream

#: Bytes asked of the pipe at once; messages of a stream that may wait before a sender does.
READ, BACKLOG = 4096, 16384
#: Between two tries to have the pipe again.
AGAIN_MS = 300
#: Requests that wait to be taken; a PC opens no more at once than it was told.
_REQUESTS = 64


class StreamOver(TillError):
    """The stream ended, and all of it was read."""

    text_key = "error.pc_pipe"


class Runner:
    """``run`` is spawned once. ``reopen``: makes the pipe anew (PipeError when it cannot yet);
    the PC's, for a terminal waits for the next PC by reading. ``on_event``: hears what the
    session's ``event`` gives. ``once``: ``run`` returns when the session has ended. ``read``
    and ``backlog``: other limits than READ and BACKLOG."""

    def __init__(
        self,
        session: "Session",
        pipe: "PcPipe",
        reopen: "Callable[[], Awaitable[None]] | None" = None,
        on_event: "Callable[[str, TillError | None], None] | None" = None,
        once: bool = False,
        read: int = READ,
        backlog: int = BACKLOG,
    ) -> None:
        self.session = session
        self._pipe = pipe
        self._reopen = reopen
        self._on_event = on_event
        self._once = once
        self._most_read = read
        self._backlog = backlog
        self._over = False
        self._up = True
        self._wake = aio.Event()
        self._moved = aio.Event()
        self._fresh = aio.Queue(_REQUESTS)

    # -- for services

    async def accept(self) -> "Stream":
        """The next stream that a PC opened."""
        stream: "Stream" = await self._fresh.get()
        return stream

    async def receive(self, stream: "Stream") -> "tuple[int, Any]":
        """The stream's next message. StreamOver after its last."""
        while True:
            message = stream.read()
            if message is not None:
                self._wake.set()  # its bytes may be given back
                return message
            if stream.over:
                raise StreamOver("stream " + str(stream.number))
            if stream.news is None:
                stream.news = aio.Event()
            stream.news.clear()
            await stream.news.wait()

    async def send(self, stream: "Stream", kind: int, value: object) -> None:
        """Queue a message, once there is room for it. StreamRefused."""
        while stream.backlog > self._backlog and not stream.over:
            self._moved.clear()
            await self._moved.wait()
        stream.send(kind, value)
        self._wake.set()

    def wake(self) -> None:
        """Something was done with session or streams: look again."""
        self._wake.set()

    # -- the pipe

    async def run(self) -> None:
        """Carry until cancelled, or with ``once`` until the session has ended."""
        reader = aio.spawn("link read", self._read())
        try:
            while True:
                self._wake.clear()
                lost = self._turn()
                data = self.session.end.output(aio.ticks_ms())
                lost = self._turn() or lost  # time passed may have ended it
                await self._write(data)
                if self._over and self._once:
                    return
                if lost and self._reopen is not None and self._up:
                    await _stopped(reader)
                    self._gone()
                    reader = aio.spawn("link read", self._read())
                elif reader.error is not None:
                    await reader.join()
                wait = self.session.end.wait_ms(aio.ticks_ms())
                if wait is None:
                    await self._wake.wait()
                elif wait and not self._wake.is_set():
                    await aio.first(("wake", self._wake.wait()), timeout_ms=wait)
                else:
                    await aio.sleep_ms(0)
        finally:
            await _stopped(reader)

    def _turn(self) -> bool:
        """What became possible; whether the pipe was given up."""
        for stream in self.session.turn():
            if stream.news is None:
                stream.news = aio.Event()
                if not self.session.opens:
                    self._fresh.put(stream)
            stream.news.set()
        self._moved.set()
        lost = False
        event = self.session.event()
        while event is not None:
            what, error = event
            lost = lost or what == "lost"
            if what == "ended":
                self._over = True
            if self._on_event is not None:
                self._on_event(what, error)
            event = self.session.event()
        return lost

    async def _write(self, data: bytes) -> None:
        if not data or not self._up:
            return
        try:
            await self._pipe.write(data)
        except PipeError:
            self._gone()

    def _gone(self) -> None:
        if self._up:
            self._up = False
            self.session.end.pipe_lost(aio.ticks_ms())
            self._wake.set()

    def _back(self) -> None:
        if not self._up:
            self._up = True
            self.session.end.pipe_back(aio.ticks_ms())

    async def _read(self) -> None:
        while True:
            if not self._up and self._reopen is not None:
                try:
                    await self._reopen()
                except PipeError:
                    await aio.sleep_ms(AGAIN_MS)
                    continue
                self._back()
                self._wake.set()
            try:
                data = await self._pipe.read(self._most_read)
            except PipeError:
                self._gone()
                await aio.sleep_ms(AGAIN_MS)
                continue
            self._back()
            self.session.end.arrived(data, aio.ticks_ms())
            self._wake.set()


async def _stopped(task: aio.Task) -> None:
    task.cancel()
    await task.done.wait()
