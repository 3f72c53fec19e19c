"""The ladder's last rung: at most hourly, granted by the terminal, counted across restarts."""

import pytest

from firmware import aio
from firmware.errors import TillError
from firmware.hal.clock import Clock, ClockError
from firmware.hal.restart import RestartError
from firmware.services.last_rung import FILE, GRANT_MS, LastRung
from tests.support.memory_files import MemoryFiles
from tests.support.virtual_time import run

NOON = 1_795_248_000


class Calendar(Clock):
    seconds = NOON
    lost = False

    async def now(self) -> int:
        if self.lost:
            raise ClockError("lost power")
        return self.seconds


class Life:
    """One life of a terminal: its rung, and an idle screen that grants or does not."""

    def __init__(self, clock: Calendar, files: MemoryFiles) -> None:
        self.rung = LastRung(clock, files)

    async def asked(self, cause: str, grants: bool = True) -> str:
        """What became of it: "restarted", "not now", or why it failed."""
        asking = aio.spawn("ladder", self._ask(cause))
        await aio.sleep_ms(10)
        if grants and self.rung.wanted:
            await self.rung.grant()
            asking.cancel()  # the life ends
            await asking.done.wait()
            return "restarted"
        await asking.done.wait()
        return str(asking.error) if isinstance(asking.error, TillError) else "not now"

    async def _ask(self, cause: str) -> None:
        assert not await self.rung.ask(cause)


def test_at_most_hourly_and_counted_across_lives() -> None:
    async def main() -> None:
        clock, files = Calendar(), MemoryFiles()
        assert await Life(clock, files).asked("mute") == "restarted"
        assert await files.read(FILE, 0, 64) == b"1795248000 1 mute"
        for seconds, result in ((0, "not now"), (3599, "not now"), (3600, "restarted")):
            clock.seconds = NOON + seconds
            assert await Life(clock, files).asked("no_carrier") == result
        assert await files.read(FILE, 0, 64) == b"1795251600 2 no_carrier"

    run(main())


def test_a_calendar_that_goes_back_begins_the_hour_anew() -> None:
    async def main() -> None:
        clock, files = Calendar(), MemoryFiles()
        assert await Life(clock, files).asked("mute") == "restarted"
        for back in range(1, 6):  # as on a board whose calendar forgets, life after life
            clock.seconds = NOON - 1000 * back
            assert await Life(clock, files).asked("no_carrier") == "not now"
        assert await files.read(FILE, 0, 64) == b"1795243000 1 mute"
        for seconds, result in ((3599, "not now"), (3600, "restarted")):
            clock.seconds = NOON - 5000 + seconds
            assert await Life(clock, files).asked("no_carrier") == result
        assert await files.read(FILE, 0, 64) == b"1795246600 2 no_carrier"

    run(main())


@pytest.mark.parametrize("text", [b"", b"damaged", b"12 x y", b"1795248000", b"\xff" * 64])
def test_a_damaged_note_keeps_nobody_from_restarting(text: bytes) -> None:
    async def main() -> None:
        files = MemoryFiles()
        await files.replace(FILE, text)
        assert await Life(Calendar(), files).asked("mute") == "restarted"
        assert await files.read(FILE, 0, 64) == b"1795248000 1 mute"

    run(main())


def test_nobody_grants_it() -> None:
    async def main() -> None:
        files, began = MemoryFiles(), aio.ticks_ms()
        life = Life(Calendar(), files)
        assert await life.asked("mute", grants=False) == "not now"
        assert GRANT_MS <= aio.elapsed_ms(began) <= GRANT_MS + 100
        assert life.rung.wanted == "" and FILE not in await files.list()
        assert await life.asked("mute") == "restarted"

    run(main())


def test_two_ladders_ask_once() -> None:
    async def main() -> None:
        rung = LastRung(Calendar(), MemoryFiles())
        first = aio.spawn("one", rung.ask("mute"))
        await aio.sleep_ms(10)
        assert not await rung.ask("no_carrier") and rung.wanted == "mute"
        first.cancel()
        await first.done.wait()
        assert rung.wanted == ""

    run(main())


def test_without_a_calendar_nothing_is_restarted() -> None:
    async def main() -> None:
        clock = Calendar()
        clock.lost = True
        rung = LastRung(clock, MemoryFiles())
        with pytest.raises(ClockError):
            await rung.ask("mute")
        assert rung.wanted == ""

    run(main())


def test_what_kept_it_from_happening_is_told_and_the_hour_counts() -> None:
    async def main() -> None:
        clock, files = Calendar(), MemoryFiles()
        rung = LastRung(clock, files)
        asking = aio.spawn("ladder", rung.ask("mute"))
        await aio.sleep_ms(10)
        await rung.grant()
        await aio.sleep_ms(GRANT_MS + 30_000)  # granted is granted
        assert not asking.done.is_set()
        rung.refuse(RestartError("Access denied"))
        await asking.done.wait()
        assert str(asking.error) == "Access denied" and rung.wanted == ""
        clock.seconds += 3599
        assert not await LastRung(clock, files).ask("mute")

    run(main())
