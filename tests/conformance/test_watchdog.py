"""Conformance of hal.watchdog: what every watchdog driver must do, and who feeds it.

The kernel's node is played by a file that keeps what is written, and by the
answers of its ioctls; the rig starves a real one (docs/rig.md).
"""

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.drivers import watchdog_linux
from firmware.drivers.watchdog_linux import CARD_RESET, MAGIC_CLOSE, LinuxWatchdog
from firmware.hal.watchdog import WatchdogError
from firmware.main import serve
from firmware.services import heartbeat
from firmware.services.heartbeat import Heartbeat
from tests.support import rig
from tests.support.memory_files import MemoryFiles
from tests.support.virtual_time import run


class Kernel:
    """The ioctls of linux/watchdog.h."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "watchdog"
        self.path.write_bytes(b"")
        self.rounded_to = 1
        self.options = MAGIC_CLOSE
        self.boot_status: int | None = 0
        self.refuses = False
        monkeypatch.setattr(fcntl, "ioctl", self.ioctl)

    def ioctl(self, node: int, request: int, data: bytes) -> bytes:
        if self.refuses:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if request == watchdog_linux.SETTIMEOUT:
            wanted = struct.unpack("i", data)[0]
            return struct.pack("i", -(-wanted // self.rounded_to) * self.rounded_to)
        if request == watchdog_linux.GETTIMEOUT:
            return struct.pack("i", 32)
        if request == watchdog_linux.GETSUPPORT:
            return struct.pack("II32s", self.options, 1, b"test")
        assert request == watchdog_linux.GETBOOTSTATUS
        if self.boot_status is None:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return struct.pack("i", self.boot_status)

    @property
    def got(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def test_it_is_armed_fed_and_disarmed_by_the_magic_close(kernel: Kernel) -> None:
    async def main() -> None:
        kernel.rounded_to = 16
        watchdog = LinuxWatchdog(str(kernel.path), 30)
        assert watchdog.timeout_ms == 30_000
        with pytest.raises(WatchdogError, match="was not started"):
            await watchdog.feed()
        with pytest.raises(WatchdogError, match="was not started"):
            await watchdog.bitten()
        await watchdog.stop()
        assert kernel.got == b""
        await watchdog.start()
        await watchdog.start()
        assert watchdog.timeout_ms == 32_000  # what the device took
        await watchdog.feed()
        assert kernel.got == b".."
        await watchdog.stop()
        await watchdog.stop()
        assert kernel.got == b"..V"
        with pytest.raises(WatchdogError):
            await watchdog.feed()

    run(main())


def test_a_device_that_is_no_watchdog_or_goes_at_any_moment_is_named(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(node: int, data: bytes) -> int:
        raise OSError(errno.ENODEV, "No such device")

    async def main() -> None:
        watchdog = LinuxWatchdog(str(kernel.path), 30)
        kernel.refuses = True
        with pytest.raises(WatchdogError, match="takes no time"):
            await watchdog.start()
        assert kernel.got == b"V"
        monkeypatch.setattr(os, "write", gone)
        with pytest.raises(WatchdogError, match="takes no time"):
            await watchdog.start()
        kernel.refuses = False
        for _ in range(2):
            with pytest.raises(WatchdogError, match="cannot be fed: No such device"):
                await watchdog.start()
            with pytest.raises(WatchdogError, match="cannot be stopped: No such device"):
                await watchdog.stop()
        assert not watchdog.armed

    run(main())


def test_it_tells_whether_it_has_bitten(kernel: Kernel) -> None:
    async def main() -> None:
        watchdog = LinuxWatchdog(str(kernel.path), 30)
        await watchdog.start()
        for status, bitten in [(0, False), (CARD_RESET, True), (0x02, False), (None, False)]:
            kernel.boot_status = status
            assert await watchdog.bitten() == bitten
        await watchdog.stop()

    run(main())


def test_a_check_asks_it_and_never_arms_it(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        watchdog = LinuxWatchdog(str(kernel.path), 30)
        assert (await watchdog.check(), watchdog.armed, kernel.got) == ("", False, b"")
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(WatchdogError, match="cannot be opened: Permission denied"):
            await watchdog.check()
        monkeypatch.undo()
        monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
        await watchdog.start()
        assert (await watchdog.check(), watchdog.armed) == ("32 s", True)
        kernel.refuses = True
        with pytest.raises(WatchdogError, match="does not tell its time"):
            await watchdog.check()
        await watchdog.stop()
        assert not watchdog.armed
        kernel.path.unlink()
        with pytest.raises(WatchdogError, match="is not there"):
            await watchdog.check()

    run(main())


def test_one_that_cannot_be_disarmed_says_so(kernel: Kernel) -> None:
    async def main() -> None:
        kernel.options = 0
        watchdog = LinuxWatchdog(str(kernel.path), 30)
        await watchdog.start()
        with pytest.raises(WatchdogError, match="resets the board"):
            await watchdog.stop()

    run(main())


def test_one_that_is_absent_taken_or_no_watchdog_is_named(kernel: Kernel, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(WatchdogError, match="is not there"):
            LinuxWatchdog(str(tmp_path / "none"), 30)
        folder = LinuxWatchdog(str(tmp_path), 30)
        with pytest.raises(WatchdogError, match="cannot be opened"):
            await folder.start()
        kernel.refuses = True
        other = LinuxWatchdog(str(kernel.path), 30)
        with pytest.raises(WatchdogError, match="takes no time"):
            await other.start()
        assert kernel.got == b"V"  # armed by the opening, it is let go again
        for seconds in (0, 4, 3601):
            with pytest.raises(ValueError, match="5 to 3600"):
                LinuxWatchdog(str(kernel.path), seconds)

    run(main())


def test_a_healthy_firmware_feeds_it_in_time_for_ever(kernel: Kernel) -> None:
    async def main() -> None:
        watchdog = LinuxWatchdog(str(kernel.path), 20)
        heart = Heartbeat(watchdog)
        heart.expect("journal", 60_000)
        task = aio.spawn("heart", heart.run())
        fed = 0
        for _ in range(100):
            await aio.sleep_ms(20_000)
            assert len(kernel.got) > fed
            fed = len(kernel.got)
            heart.sign("journal")
        assert set(kernel.got) == {ord(".")}
        task.cancel()

    run(main())


def test_who_falls_silent_ends_the_feeding_for_good(kernel: Kernel) -> None:
    async def main() -> None:
        watchdog = LinuxWatchdog(str(kernel.path), 20)
        heart = Heartbeat(watchdog)
        heart.expect("printer", 10_000)
        heart.expect("network", 3_600_000)
        task = aio.spawn("heart", heart.run())
        await aio.sleep_ms(9_000)
        heart.forget("printer")  # it ended in order: nobody waits for it
        await aio.sleep_ms(60_000)
        assert heart.silent() == []
        heart.expect("keypad", 10_000)
        await aio.sleep_ms(11_000)
        assert heart.silent() == ["keypad"]
        await aio.sleep_ms(5_000)
        fed = kernel.got
        heart.sign("keypad")
        await aio.sleep_ms(60_000)
        assert kernel.got == fed
        with pytest.raises(KeyError):
            heart.sign("nobody")
        task.cancel()

    run(main())


class Devices:
    """What a board's devices are to the feeder."""

    def __init__(self, watchdog: LinuxWatchdog) -> None:
        self.watchdog: LinuxWatchdog | None = watchdog
        self.failures: list[tuple[str, str, Any]] = []


def test_a_watchdog_that_refuses_is_a_failure_of_the_board(kernel: Kernel) -> None:
    async def main() -> None:
        devices = Devices(LinuxWatchdog(str(kernel.path), 20))
        kernel.refuses = True
        assert await heartbeat.begin(devices) == []
        assert devices.watchdog is None
        ((kind, _, error),) = devices.failures
        assert kind == "watchdog" and "takes no time" in str(error)
        kernel.refuses = False
        (task,) = await heartbeat.begin(Devices(LinuxWatchdog(str(kernel.path), 20)))
        await aio.sleep_ms(60_000)
        assert kernel.got.endswith(b"....")
        task.cancel()

    run(main())


def _board(kernel: Kernel) -> dict[str, Any]:
    data = rig.board()
    return {
        **data, "watchdog": {"driver": "linux_watchdog", "path": str(kernel.path), "timeout_s": 20}
    }  # fmt: skip


def test_a_terminal_feeds_it_from_boot_and_disarms_it_when_it_ends_in_order(
    kernel: Kernel, tmp_path: Path
) -> None:
    async def main() -> None:
        data = _board(kernel)
        serving = serve(data, rig.rack(data), str(tmp_path), given={"files": MemoryFiles()})
        task = aio.spawn("terminal", serving)
        await aio.sleep_ms(120_000)
        assert kernel.got.count(b".") >= 24
        task.cancel()
        await task.done.wait()
        assert kernel.got.endswith(b".V")

    run(main())


def test_a_terminal_that_dies_leaves_it_running(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        await aio.sleep_ms(60_000)
        raise ZeroDivisionError("a defect")

    async def main() -> None:
        from firmware.app import idle

        monkeypatch.setattr(idle, "run", broken)
        data = _board(kernel)
        serving = serve(data, rig.rack(data), str(tmp_path), given={"files": MemoryFiles()})
        task = aio.spawn("terminal", serving)
        with pytest.raises(ZeroDivisionError):
            await task.join()
        fed = kernel.got
        assert b"V" not in fed
        await aio.sleep_ms(60_000)
        assert kernel.got == fed

    run(main())


def test_a_terminal_whose_watchdog_refuses_serves_without_it(
    kernel: Kernel, tmp_path: Path
) -> None:
    async def main() -> None:
        kernel.refuses = True
        data = _board(kernel)
        seen: list[str] = []

        def on_screen(tree: dict[str, Any]) -> None:
            seen.append(repr(tree))

        serving = serve(
            data, rig.rack(data), str(tmp_path), on_screen, given={"files": MemoryFiles()}
        )
        task = aio.spawn("terminal", serving)
        await aio.sleep_ms(20_000)
        assert not task.done.is_set()
        assert seen
        task.cancel()
        await task.done.wait()

    run(main())
