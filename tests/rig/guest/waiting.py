"""Waiting for what the kernel and daemons do by themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

#: A test under way on a loop: what an async function gives.
Story = Coroutine[Any, Any, None]


def until(ready: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Look often until ``ready`` is true. TimeoutError names ``what``."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        threading.Event().wait(0.02)


def tell(text: str) -> None:
    """Say something on the guest's console, which pytest does not keep back."""
    with open("/dev/console", "w") as console:
        console.write(f"rig: {text}\n")
