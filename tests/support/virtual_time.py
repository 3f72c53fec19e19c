"""A loop whose clock moves only when nothing can run.

Nothing that waits on the outside world (socket, pipe, thread, process) may
live in such a loop: the clock would run away from it. ``run`` therefore
refuses to poll anything, and names the culprit if somebody registers one.
With ``descriptors`` it polls those of which both ends are in the loop.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.BaseSelector):
    """Knows only the loop's own self-pipe; time-outs become jumps."""

    loop: VirtualLoop

    def __init__(self) -> None:
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._keys:
            raise RuntimeError("a virtual-clock test must not open sockets, pipes or processes")
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[0] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(0)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.jump(timeout)
        return []

    def get_map(self) -> Any:
        return self._keys


class _PollingSelector(selectors.DefaultSelector):
    """What is there is taken before the clock jumps. That nothing is must mean that nothing is
    on its way: pipes and Unix sockets hand over at once, a pseudo-terminal does not."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop on virtual time, starting at 1000 s."""

    def __init__(self, descriptors: bool = False) -> None:
        selector = _PollingSelector() if descriptors else _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._now = 1000.0

    def time(self) -> float:
        return getattr(self, "_now", 1000.0)

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def jump(self, timeout: float | None) -> None:
        """Nothing can run for ``timeout`` seconds; None for ever."""
        if timeout is None:
            raise RuntimeError("deadlock on the virtual clock: nothing will ever run again")
        if timeout > 0:
            self.advance(timeout)

    # Takes anything, in order to refuse it.
    def run_in_executor(self, *args: Any) -> Any:  # type: ignore[override]
        raise RuntimeError("a virtual-clock test must not use threads")


def run(main: Coroutine[Any, Any, T], limit_s: float = 3600.0, descriptors: bool = False) -> T:
    """Run ``main`` on virtual time; fail when it needs more than ``limit_s``.
    ``descriptors``: it has pipes or Unix sockets, both ends of them."""
    loop = VirtualLoop(descriptors)
    try:

        async def bounded() -> T:
            return await asyncio.wait_for(main, limit_s)

        return loop.run_until_complete(bounded())
    finally:
        _end_all(loop)
        loop.close()


def _end_all(loop: VirtualLoop) -> None:
    """Cancel every task until none is left: one may take a first cancellation for
    another's, and must not go on for ever."""
    ended: set[asyncio.Task[Any]] = set()
    for _ in range(1000):
        pending = asyncio.all_tasks(loop)
        if not pending:
            break
        ended |= pending
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    else:
        raise RuntimeError(f"nothing ends {asyncio.all_tasks(loop)}")
    for task in ended:
        if not task.cancelled():
            task.exception()  # taken note of
