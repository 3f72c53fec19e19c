"""``run(coroutine)`` on virtual time, and the error of one, on both interpreters.

CPython uses the project's virtual loop. MicroPython's asyncio gets its clock
and its I/O queue replaced (docs/portable.md): time moves only when nothing
can run. Used by portable tests only.
"""

import sys

from firmware import aio

if sys.implementation.name == "cpython":
    from tests.support.virtual_time import run
else:
    import asyncio

    class _JumpingQueue:
        """Instead of polling sockets, moves the clock to the next waiter."""

        def __init__(self, now):
            self.now = now

        def wait_io_event(self, dt):
            if dt < 0:
                raise RuntimeError("deadlock on the virtual clock")
            self.now += dt

        def remove(self, task):
            raise RuntimeError("a virtual-clock test must not open sockets")

    def run(main):
        """Run ``main`` to its end; its result."""
        core = asyncio.core
        kept = core.ticks, core._io_queue
        queue = _JumpingQueue(core.ticks())
        core._io_queue = queue
        core.ticks = lambda: queue.now
        try:
            return aio.run(main)
        finally:
            core.ticks, core._io_queue = kept


def raised(kind, coroutine):
    """The error of ``kind`` in which ``coroutine`` ends; it must."""

    async def main():
        try:
            await coroutine
        except kind as error:
            return error
        raise AssertionError("no " + kind.__name__)

    return run(main())
