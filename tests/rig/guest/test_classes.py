"""The kernel's own clock and watchdog, through the drivers of the terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware import aio
from firmware.drivers.rtc_linux import LinuxRtc
from firmware.drivers.watchdog_linux import LinuxWatchdog
from firmware.hal.watchdog import WatchdogError

Need = Callable[..., None]


def test_the_clock_chip_is_read_and_set(need: Need) -> None:
    """The PC's clock chip, which QEMU plays."""
    if not Path("/dev/rtc0").exists():
        need("rtc_cmos")

    async def main() -> None:
        clock = LinuxRtc()
        before = await clock.now()
        assert before > 1_700_000_000
        for seconds in (1_709_251_199, 1_795_248_059):  # the end of a 29 February
            await clock.set(seconds)
            assert seconds <= await clock.now() <= seconds + 30
        await clock.set(before)

    aio.run(main())


def test_the_watchdog_is_armed_taken_and_disarmed(need: Need) -> None:
    """Were it not disarmed, it would reset the guest before the other tests end."""
    need("softdog")

    async def main() -> None:
        watchdog = LinuxWatchdog("/dev/watchdog", 30)
        await watchdog.start()
        assert watchdog.timeout_ms == 30_000
        await watchdog.feed()
        assert not await watchdog.bitten()
        other = LinuxWatchdog("/dev/watchdog", 30)
        with pytest.raises(WatchdogError, match=r"cannot be opened: .*busy"):
            await other.start()
        await watchdog.stop()
        await other.start()
        await other.stop()

    try:
        aio.run(main())
    finally:
        subprocess.run(["rmmod", "softdog"], check=False)
