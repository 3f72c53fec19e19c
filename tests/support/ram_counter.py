"""A counter chip in RAM, which a power cut does not touch: for tests of what stands on one."""

from firmware.hal.counter import Counter, CounterError, CounterForeign, CounterUnset
from tests.support.faulty_disk import FaultyDisk


class RamCounter(Counter):
    """Its changes are events of ``disk``, so that power is cut before and after each.

    ``fail``: raised by every call while it is set. ``lose``: raised by the next step once
    it is done, as one whose answer was lost.
    """

    def __init__(self, disk: FaultyDisk) -> None:
        self.disk = disk
        self.value = 0
        self.owner = b""
        self.steps = 0
        self.fail: CounterError | None = None
        self.lose: CounterError | None = None

    def with_disk(self, disk: FaultyDisk) -> "RamCounter":
        """The same chip as it stands now, beside another disk."""
        twin = RamCounter(disk)
        twin.value, twin.owner, twin.steps = self.value, self.owner, self.steps
        return twin

    async def find(self, secret: "bytes | bytearray") -> int:
        self._say()
        return self._mine(secret)

    async def make(self, secret: "bytes | bytearray") -> int:
        self._say()
        if self.owner != bytes(secret):
            self.disk.begin("make a counter")
            self.owner = bytes(secret)
            self.value += 1
            self.disk.end()
        return self.value

    async def step(self, secret: "bytes | bytearray") -> int:
        self._say()
        self._mine(secret)
        self.disk.begin("step the counter")
        self.value += 1
        self.steps += 1
        self.disk.end()
        lost, self.lose = self.lose, None
        if lost is not None:
            raise lost
        return self.value

    def _say(self) -> None:
        if self.fail is not None:
            raise self.fail

    def _mine(self, secret: "bytes | bytearray") -> int:
        if not self.owner:
            raise CounterUnset("no counter")
        if self.owner != bytes(secret):
            raise CounterForeign("another's counter")
        return self.value
