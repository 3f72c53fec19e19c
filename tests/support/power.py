"""One life of the firmware, from power on until the power goes.

Lost power stops everything at once. In one Python process that means: every
task that the firmware made is known (a context variable marks them as they
are made), and the wire and the disk of a life that is over refuse each touch
with PowerCut. Whatever a dying task's ``finally`` still tries, nothing comes
of it.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from firmware.buses.wire import Wire
from firmware.drivers.files_posix import FileOps, PosixFiles
from tests.support.faulty_disk import FaultyDisk, PowerCut

#: Which life the running code belongs to; None for the test and the bank.
_LIFE: "contextvars.ContextVar[Life | None]" = contextvars.ContextVar("life", default=None)

#: Transfers that change something outside the disk: power cuts fall around each.
EVENTS = {
    ("card", 2): "card reset",
    ("card", 3): "APDU",
    ("net", 2): "connect",
    ("net", 3): "send",
    ("printer", 1): "print",
}
#: Turns of the loop in which cancelled tasks must have ended.
_TURNS = 1000


class Life:
    """Wire, files and tasks of the firmware between two power cuts."""

    def __init__(self, wire: Wire, disk: FaultyDisk, on_cut: Callable[[], None]) -> None:
        self._disk = disk
        self._over = False
        self._on_cut = on_cut
        self.tasks: set[asyncio.Task[Any]] = set()
        self.wire = LifeWire(wire, disk, self)
        self.files = PosixFiles(ops=_LifeOps(disk, self), inline=True)
        asyncio.get_running_loop().set_task_factory(_make_task)

    @property
    def over(self) -> bool:
        """Whether the power is gone."""
        return self._over or self._disk.dead

    def check(self) -> None:
        """PowerCut when the power is gone."""
        if self.over:
            self._on_cut()
            raise PowerCut("the power is off")

    def start(self, firmware: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run ``firmware`` as this life's first task."""
        context = contextvars.copy_context()
        context.run(_LIFE.set, self)
        return asyncio.create_task(firmware, context=context)

    async def end(self) -> None:
        """Take the power and wait until no task of the firmware is left.

        AssertionError names a task that lost power does not stop.
        """
        self._over = True
        for _ in range(_TURNS):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                # A task that never began could not close what it was given to await:
                # it begins in the next turn, and the first thing it touches is dead.
                if inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED:  # type: ignore[arg-type]
                    task.cancel()
            await asyncio.sleep(0)  # virtual time stands still meanwhile
        else:
            raise AssertionError(f"lost power does not stop {left}")
        for task in self.tasks:
            if not task.cancelled():
                task.exception()  # taken note of: the loop need not complain
        self.tasks.clear()


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **more)
    context = more.get("context")
    life = context.get(_LIFE) if context is not None else _LIFE.get()
    if life is not None:
        life.tasks.add(task)
    return task


class LifeWire(Wire):
    """The rack's wire for one life; tells the disk of each outside event."""

    def __init__(self, wire: Wire, disk: FaultyDisk, life: Life) -> None:
        self._wire = wire
        self._disk = disk
        self._life = life

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        """As the rack's; PowerCut instead when the power goes before or after."""
        self._life.check()
        what = EVENTS.get((bus, op), "")
        if what:
            self._disk.begin(what)
        answer = self._wire.transfer(bus, op, payload)
        self._life.check()  # the bank's end may have cut the power meanwhile
        if what:
            self._disk.end()
        elif bus == "net" and op == 4 and len(answer[0]) > 1:
            self._disk.event("receive")
        return answer


class _LifeOps(FileOps):
    """The disk for one life."""

    def __init__(self, disk: FaultyDisk, life: Life) -> None:
        self._disk = disk
        self._life = life

    def names(self) -> list[str]:
        self._life.check()
        return self._disk.names()

    def size(self, name: str) -> int:
        self._life.check()
        return self._disk.size(name)

    def read(self, name: str, offset: int, most: int) -> bytes:
        self._life.check()
        return self._disk.read(name, offset, most)

    def open(self, name: str, empty: bool) -> int:
        self._life.check()
        return self._disk.open(name, empty)

    def write(self, handle: int, data: bytes) -> int:
        self._life.check()
        return self._disk.write(handle, data)

    def length(self, handle: int) -> int:
        self._life.check()
        return self._disk.length(handle)

    def truncate(self, handle: int, size: int) -> None:
        self._life.check()
        self._disk.truncate(handle, size)

    def fsync(self, handle: int) -> None:
        self._life.check()
        self._disk.fsync(handle)

    def close(self, handle: int) -> None:
        if not self._life.over:  # closing after the cut harms nobody
            self._disk.close(handle)

    def rename(self, old: str, new: str) -> None:
        self._life.check()
        self._disk.rename(old, new)

    def remove(self, name: str) -> None:
        self._life.check()
        self._disk.remove(name)

    def fsync_folder(self) -> None:
        self._life.check()
        self._disk.fsync_folder()

    def free(self) -> int:
        self._life.check()
        return self._disk.free()
