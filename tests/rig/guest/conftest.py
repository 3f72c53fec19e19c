"""Every test in the guest has a time limit; kernel modules are loaded by name."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

#: Seconds for one test by the guest's clock (TCG is slow: ten to thirty times).
LIMIT_S = 60
#: A test that does not even end then has its threads shown, and ends the run.
STUCK_S = 75


class TookTooLong(Exception):
    """A test hangs."""


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLong(f"over {LIMIT_S} s")

    signal.signal(signal.SIGALRM, stop)
    with open("/dev/console", "w") as console:
        faulthandler.dump_traceback_later(STUCK_S, exit=True, file=console)
        signal.alarm(LIMIT_S)
        yield
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def need() -> Callable[..., None]:
    """Load kernel modules, or skip with the kernel's reason."""

    def load(*names: str) -> None:
        for name in names:
            done = subprocess.run(["modprobe", name], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no kernel module {name}: {done.stderr.strip()}")

    return load
