"""Programs in a fixed number of slots: what waits begins when one ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Bytes of a line of a program, at most.
LINE_MOST = 1 << 20


@dataclass(frozen=True)
class Job:
    """``name`` stands before each line that the program says."""

    name: str
    command: tuple[str, ...]


async def _run(job: Job, free: asyncio.Semaphore) -> int:
    async with free:
        process = await asyncio.create_subprocess_exec(
            *job.command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, limit=LINE_MOST,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                print(f"[{job.name}] {line.decode(errors='replace').rstrip()}", flush=True)
            return await process.wait()
        finally:  # also when somebody stops us: none is left behind
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def _all(jobs: Sequence[Job], slots: int) -> list[int]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    free = asyncio.Semaphore(slots)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_run(job, free)) for job in jobs]
    return [one.result() for one in running]


def run(jobs: Sequence[Job], slots: int) -> list[int]:
    """Their exit statuses, in the same order. The first ``slots`` jobs begin at once, each of
    the others in the slot that is free first. KeyboardInterrupt or CancelledError (for SIGTERM)
    once all of them have ended."""
    return asyncio.run(_all(jobs, slots))
