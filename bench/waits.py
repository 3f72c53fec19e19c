"""Runs the terminal and tells its work from its waiting.

    python bench/waits.py SHARED -m firmware.main ...

All CPU of the process (user and kernel, every thread) goes into one of two
sums, turn by turn of the event loop. *Waiting* is a turn in which every task
that ran came from ``aio.pause_ms`` and went straight back into it, from the
same loop of the same call: it looked at keys, card, printer or network, found
no news, and did nothing else; with it go the timer and the sleep of the
kernel that led to that turn. Everything else is *work*: a look that brought
news, and any turn that did both. The sums, in nanoseconds, stand in the file
SHARED (two 64-bit numbers of this machine: work, waiting).
"""

import asyncio
import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

SUMS = struct.Struct("=qq")
#: What a timer of ``sleep`` calls; the task that slept runs in the next turn.
_TIMER = "_set_result_unless_cancelled"


def read(shared: Path) -> tuple[float, float]:
    """(work, waiting) so far, ms of CPU."""
    work, waiting = SUMS.unpack(shared.read_bytes())
    return work / 1e6, waiting / 1e6


class _Meter:
    def __init__(self, shared: mmap.mmap) -> None:
        self._shared = shared
        self._sums = [0, 0]
        self._last = time.process_time_ns()
        self._owed = 0  # of turns in which only timers ran: the next turn says whose
        self.handles = self.timers = self.idle = 0
        #: The loop that came out of a pause and has not been seen to do more.
        self.back: FrameType | None = None

    def turn(self) -> None:
        """A turn of the event loop has ended."""
        now = time.process_time_ns()
        self._owed += now - self._last
        self._last = now
        if self.handles > self.timers:
            waited = self.handles == self.timers + self.idle
            self._sums[waited] += self._owed
            self._owed = 0
            SUMS.pack_into(self._shared, 0, *self._sums)
        self.handles = self.timers = self.idle = 0
        self.back = None


def _install(meter: _Meter) -> None:
    from firmware import aio

    sleep = aio.sleep_ms
    run_once: Any = asyncio.BaseEventLoop._run_once  # type: ignore[attr-defined]
    run: Any = asyncio.Handle._run

    async def pause_ms(ms: int) -> None:
        caller = sys._getframe(1)
        meter.idle += caller is meter.back
        await sleep(ms)
        meter.back = caller

    def counted(handle: Any) -> None:
        meter.handles += 1
        meter.timers += getattr(handle._callback, "__name__", "") == _TIMER
        run(handle)

    def turn(loop: Any) -> None:
        run_once(loop)
        meter.turn()

    aio.pause_ms = pause_ms
    asyncio.Handle._run = counted  # type: ignore[method-assign]
    asyncio.BaseEventLoop._run_once = turn  # type: ignore[attr-defined]


def _main(shared: str, module: str, words: list[str]) -> None:
    with open(shared, "r+b") as file:
        _install(_Meter(mmap.mmap(file.fileno(), SUMS.size)))
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose names are not the terminal's
    if sys.argv[2] != "-m":
        raise SystemExit(__doc__)
    _main(sys.argv[1], sys.argv[3], sys.argv[4:])
