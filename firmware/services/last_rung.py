"""The recovery ladder's last rung: the terminal starts anew, at most once an hour.

A ladder asks and waits; the idle screen grants, where no payment is in flight and
nobody is at the keys. What was done is in a file that a restart does not reset:
when by the calendar, how often in all, and why.
"""

from firmware import aio
from firmware.hal.files import NoSuchFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.errors import TillError
    from firmware.hal.clock import Clock
    from firmware.hal.files import Files

#: Least time between two restarts, by the calendar.
EVERY_S = 3600
FILE = "reboot.at"
#: A merchant who is busy for so long is left alone; the ladder asks again.
GRANT_MS = 40_000
#: A system that agreed has to end this life within this time.
END_MS = 60_000


class LastRung:
    """One for all links of a terminal."""

    def __init__(self, clock: "Clock", files: "Files") -> None:
        self._clock = clock
        self._files = files
        #: Why a ladder wants the restart now; "" for nobody does.
        self.wanted = ""
        self._refusal: "TillError | None" = None
        self._answered = aio.Event()
        self._granted = False

    async def ask(self, cause: str) -> bool:
        """Want a restart for ``cause``. False when the last one was within the hour, or
        may have been, or nobody granted it in time; else this life ends in here.

        ClockError without a calendar, for then nobody knows when the last one was;
        FilesError; what kept a granted one from happening.
        """
        if self.wanted or not await self._due():
            return False
        self._refusal, self._granted = None, False
        self._answered.clear()
        self.wanted = cause
        try:
            name, _ = await aio.first(("answer", self._answered.wait()), timeout_ms=GRANT_MS)
            if name == "timeout" and self._granted:
                # Under way: it ends with this life, or with the refusal that follows.
                await self._answered.wait()
        finally:
            self.wanted = ""
        if self._refusal is not None:
            raise self._refusal
        return False

    async def grant(self) -> int:
        """The idle screen's part: note it, before it is done, for one that fails half
        way counts as well. How often it was done in all. ClockError, FilesError."""
        self._granted = True
        now = await self._clock.now()
        count = (await self._last())[1] + 1
        await self._note(now, count, self.wanted)
        return count

    def refuse(self, error: "TillError") -> None:
        """It was granted and did not happen."""
        self._refusal = error
        self._answered.set()

    async def _due(self) -> bool:
        """Whether the last one was an hour ago. A calendar that went back does not tell
        how long it is: the hour begins anew, so that restarts never follow each other."""
        now = await self._clock.now()
        last, count, why = await self._last()
        if now < last:
            await self._note(now, count, why)
            return False
        return now - last >= EVERY_S

    async def _note(self, when: int, count: int, why: str) -> None:
        text = str(when) + " " + str(count) + " " + why
        await self._files.replace(FILE, text.encode())

    async def _last(self) -> "tuple[int, int, str]":
        """When it was last done, how often in all, and why; none when the file is not
        there or damaged."""
        try:
            text = await self._files.read(FILE, 0, 64)
        except NoSuchFile:
            return -EVERY_S, 0, ""
        words = text.split(b" ", 2)
        if len(words) < 3 or not (words[0].isdigit() and words[1].isdigit()):
            return -EVERY_S, 0, ""
        why = "".join([chr(byte) for byte in words[2] if 32 <= byte < 127])
        return int(words[0]), int(words[1]), why
