"""The only module that imports asyncio: waiting, deadlines, races, sections.

Time is the running loop's clock. A test that installs a virtual loop
(tests/support/virtual_time.py) therefore drives every wait of the firmware;
on MicroPython the same is had by replacing ``asyncio.core.ticks``. Times are
integer milliseconds because some boards have 32-bit floats.

Rule for sources that can be raced with ``first``: a cancelled read must not
consume anything, so that what arrives late is found by the next read.
"""

import asyncio
import sys

from firmware.errors import TillError, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    T = TypeVar("T")

Event = asyncio.Event
Lock = asyncio.Lock
CancelledError = asyncio.CancelledError

_CPYTHON = sys.implementation.name == "cpython"


def run(main: "Coroutine[Any, Any, T]") -> "T":
    """Run ``main`` on a fresh loop until it returns."""
    return asyncio.run(main)


def ticks_ms() -> int:
    """Monotonic milliseconds of the running loop (origin unspecified)."""
    if _CPYTHON:
        return int(asyncio.get_running_loop().time() * 1000)
    core: Any = asyncio.core  # type: ignore[attr-defined]
    return int(core.ticks())


def elapsed_ms(since: int) -> int:
    """Milliseconds since ``since``, a value of ``ticks_ms`` (wraps with the port)."""
    if _CPYTHON:
        return ticks_ms() - since
    core: Any = asyncio.core  # type: ignore[attr-defined]
    return int(core.ticks_diff(core.ticks(), since))


async def sleep_ms(ms: int) -> None:
    """Wait ``ms`` milliseconds of the loop's clock; 0 yields once."""
    if _CPYTHON:
        await asyncio.sleep(ms / 1000)
    else:
        await asyncio.sleep_ms(ms)  # type: ignore[attr-defined]


#: ``sleep_ms`` between two looks at something that had no news. A name of its own, so
#: that a meter can tell the cost of waiting from that of work (bench/waits.py).
pause_ms = sleep_ms


class Task:
    """A running coroutine with a name, whose death somebody hears of."""

    def __init__(
        self, name: str, coro: "Coroutine[Any, Any, Any]", ended: "asyncio.Event | None" = None
    ) -> None:
        self.name = name
        self._ended = ended  # set as well at the end: one event for several tasks
        self.error: "BaseException | None" = None
        self.result: "Any" = None
        self.done = Event()
        self._cancelled = False
        self._started = False
        self._coro = coro
        self._task = asyncio.create_task(self._run(coro))

    async def _run(self, coro: "Coroutine[Any, Any, Any]") -> None:
        self._started = True
        try:
            self.result = await coro
        except CancelledError:
            self._cancelled = True
            raise
        except BaseException as error:
            # Kept for whoever joins, never swallowed; a simulated power cut too, so
            # that nobody runs on after it. The interpreter's own exits also stop the loop.
            self.error = error
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._end()

    def _end(self) -> None:
        self.done.set()
        if self._ended is not None:
            self._ended.set()

    def cancel(self) -> None:
        """Ask the coroutine to stop at its next wait. Harmless once it ended."""
        if not self.done.is_set():
            self._task.cancel()
            if not self._started:
                # It never gets to its own ``finally``: whoever waits must hear of it here.
                self._coro.close()
                self._cancelled = True
                self._end()

    async def join(self) -> "Any":
        """Wait for the end; give the result or raise what ended it."""
        await self.done.wait()
        if self.error is not None:
            raise self.error
        if self._cancelled:
            raise TillError("task " + self.name + " was cancelled")
        return self.result


def spawn(name: str, coro: "Coroutine[Any, Any, Any]") -> Task:
    """Start ``coro`` beside the caller. Keep the Task: it owns the error."""
    return Task(name, coro)


async def _stop(tasks: "list[Task]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        if not task.done.is_set():
            await task.done.wait()


async def first(
    *named: "tuple[str, Coroutine[Any, Any, Any]]", timeout_ms: "int | None" = None
) -> "tuple[str, Any]":
    """Race coroutines; give ``(name, result)`` of the first that ends.

    On a tie the earlier argument wins. The losers are cancelled and waited
    for. The winner's error is raised. With ``timeout_ms`` the result is
    ``("timeout", None)`` when nothing ended in time.
    """
    ended = Event()
    tasks = [Task(name, coro, ended) for name, coro in named]
    if timeout_ms is not None:
        tasks.append(Task("timeout", sleep_ms(timeout_ms), ended))
    try:
        winner = None
        while winner is None:
            await ended.wait()
            ended.clear()
            await sleep_ms(0)  # let a task that ended in this same turn set its result
            for task in tasks:
                if task.done.is_set():
                    winner = task
                    break
    finally:
        await _stop(tasks)
    return winner.name, await winner.join()


async def deadline(ms: int, coro: "Coroutine[Any, Any, T]", what: str = "operation") -> "T":
    """Give the result of ``coro`` or raise Timeout after ``ms`` milliseconds."""
    name, value = await first(("value", coro), timeout_ms=ms)
    if name == "timeout":
        raise Timeout(what + " took longer than " + str(ms) + " ms")
    result: "T" = value
    return result


async def protected(coro: "Coroutine[Any, Any, T]") -> "T":
    """Run ``coro`` to its end even if the caller is cancelled meanwhile.

    The section between a journalled request and its committed result runs
    here (docs: rules of money, 3). A cancellation that arrives is delivered
    after the section, never inside it.
    """
    task = Task("protected", coro)
    cancelled = False
    while not task.done.is_set():
        try:
            await task.done.wait()
        except CancelledError:
            cancelled = True
    if cancelled:
        if task.error is not None:
            raise task.error
        raise CancelledError
    result: "T" = await task.join()
    return result


class Queue:
    """A bounded queue. ``put`` drops nothing: it says False when full."""

    def __init__(self, size: int = 32) -> None:
        self._items: "list[Any]" = []
        self._size = size
        self._filled = Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: "Any") -> bool:
        """Append ``item``; False, and nothing changed, when the queue is full."""
        if len(self._items) >= self._size:
            return False
        self._items.append(item)
        self._filled.set()
        return True

    async def get(self) -> "Any":
        """Wait for and take the oldest item. A cancelled get takes nothing."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        return self._items.pop(0)

    def clear(self) -> None:
        """Forget what waits."""
        self._items = []


class _Thread:
    """An executor of one thread for ``run_in_executor``. Those of the standard library are
    waited for when the interpreter ends; a call of this one may never end."""

    def __init__(self, name: str) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._calls: "Any" = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._closed = False

    def submit(self, function: "Callable[..., Any]", *args: "Any") -> "Any":
        """The future of a call. RuntimeError when it is closed."""
        from concurrent.futures import Future

        if self._closed:
            raise RuntimeError(self._thread.name + " is closed")
        if self._thread.ident is None:
            self._thread.start()
        future: "Any" = Future()
        self._calls.put((future, function, args))
        return future

    def _serve(self) -> None:
        while True:
            future, function, args = self._calls.get()
            if future is None:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)
            # Nothing of a call is kept until the next.
            del future, function, args

    def close(self, wait: bool) -> None:
        self._closed = True
        if self._thread.ident is not None:
            self._calls.put((None, None, ()))
            if wait:
                self._thread.join()


class Worker:
    """One thread for one blocking device (CPython only: pyscard, pyserial, fsync).

    Calls run one after another. A call cannot be cancelled: if its awaiter
    goes away the call still ends in its thread, and the next call waits for
    it, so a late result is drained and never mixed up with another's. A
    process that ends does not wait for it.
    """

    def __init__(self, name: str) -> None:
        self._thread: "Any" = _Thread(name)

    async def call(self, function: "Callable[..., T]", *args: "Any") -> "T":
        """Run ``function(*args)`` in the device's thread and wait for it. RuntimeError
        when it is closed."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *args)

    def close(self) -> None:
        """Let the running call end, then stop the thread."""
        self._thread.close(wait=True)

    def abandon(self) -> None:
        """Wait for nothing: the thread stops when its call ends, whenever that is."""
        self._thread.close(wait=False)


async def gather(*waits: "Awaitable[Any]") -> "list[Any]":
    """Wait for all; their results in order; the first error is raised."""
    return list(await asyncio.gather(*waits))


class _Suspended:
    """One turn of MicroPython's scheduler; the I/O queue brings the task back."""

    def __init__(self) -> None:
        self._given = False

    def __iter__(self) -> "_Suspended":
        return self

    def __await__(self) -> "_Suspended":
        return self

    def __next__(self) -> None:
        if self._given:
            raise StopIteration
        self._given = True


async def _ready(handle: "Any", write: bool) -> None:
    if not _CPYTHON:
        queue: Any = asyncio.core._io_queue  # type: ignore[attr-defined]
        if write:
            queue.queue_write(handle)
        else:
            queue.queue_read(handle)
        await _Suspended()  # type: ignore[misc]  # awaitable for MicroPython only
        return
    loop = asyncio.get_running_loop()
    ready = Event()
    number = handle.fileno()
    if write:
        loop.add_writer(number, ready.set)
    else:
        loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        if write:
            loop.remove_writer(number)
        else:
            loop.remove_reader(number)


async def readable(handle: "Any") -> None:
    """Wait until a non-blocking socket has something to read, or an error.

    One waiter for each direction of a socket; the socket must not be closed
    meanwhile (cancel the waiter first).
    """
    await _ready(handle, False)


async def writable(handle: "Any") -> None:
    """Wait until a non-blocking socket takes bytes, is connected, or failed."""
    await _ready(handle, True)
