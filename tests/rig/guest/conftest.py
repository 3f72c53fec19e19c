"""Every test in the guest has a time limit; kernel modules are loaded by name."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import pytest

#: Seconds for a test, and for what goes before and after it, by the guest's clock (TCG is
#: slow: ten to thirty times, and more beside other work).
LIMIT_S = 120
#: For one with the mark ``soak``, which says now and then that it is alive (waiting.tell).
SOAK_LIMIT_S = 1200
#: One that does not even end then has its threads shown so much later, and ends the run. The
#: host waits longer for a line (run.SILENCE_S).
STUCK_S = 15


def pytest_configure() -> None:
    """No loop is made for who asks outside of one, as evdev does when it closes a device:
    nobody would close that."""
    asyncio.set_event_loop(None)


class TookTooLong(Exception):
    """A test hangs."""


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    """Time that pytest takes to tell of a failure does not count."""
    limit_s = SOAK_LIMIT_S if item.get_closest_marker("soak") else LIMIT_S

    def stop(*_: object) -> None:
        raise TookTooLong(f"over {limit_s} s")

    signal.signal(signal.SIGALRM, stop)
    with open("/dev/console", "w") as console:
        faulthandler.dump_traceback_later(limit_s + STUCK_S, exit=True, file=console)
        signal.alarm(limit_s)
        try:
            yield
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        yield


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """Load kernel modules, or skip with the kernel's reason."""

    def load(*names: str, options: Sequence[str] = ()) -> None:
        for name in names:
            command = ["modprobe", name, *options]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no kernel module {name}: {done.stderr.strip()}")

    return load
