"""``asyncio.run`` for MicroPython's WebAssembly build, on virtual time.

That build hands its tasks to the browser's timers and has neither ``run`` nor
an I/O queue. Here its own scheduler is turned by hand instead, and whenever
nothing can run the clock jumps to the next waiter. Imported by
tests/support/wasm_runner.mjs before any test.
"""

import asyncio


class _Clock:
    def __init__(self):
        self.now = 0

    def wait_io_event(self, dt):
        """Nothing runs for ``dt`` ms: let them pass."""
        self.now += dt


def run(coroutine):
    """Run ``coroutine`` to its end; its result."""
    core = asyncio.core
    ended = []

    async def main():
        try:
            ended.append((await coroutine, None))
        except BaseException as error:  # noqa: BLE001 - raised again by run, outside the task
            ended.append((None, error))

    kept = core._schedule_run_iter
    # tests/portable/virtual_run.py puts its own clock here.
    core._schedule_run_iter = lambda dt: core._io_queue.wait_io_event(dt)
    task = asyncio.create_task(main())
    try:
        while not (ended and task.done()):
            if core._task_queue.peek() is None:
                raise RuntimeError("deadlock: nothing is left that could run")
            core._run_iter()
    finally:
        core._schedule_run_iter = kept
    result, error = ended[0]
    if error is not None:
        raise error
    return result


_clock = _Clock()
asyncio.core._io_queue = _clock
asyncio.core.ticks = lambda: asyncio.core._io_queue.now
asyncio.run = run
