"""A disk that loses power: simulated below the POSIX files driver.

Model. A write is volatile until the fsync of its file, a name until the fsync
of the folder. At a cut each unsynced item has a fate of its own: a write is
lost, kept, kept as zeros (the length arrived, the data did not) or torn, in
pieces of one 512-byte sector; a name change happens or does not (a rename is
atomic). ``reboot`` picks fates by the seed or takes them; ``fates`` enumerates
them. Events (everything that changes the disk, syncs included) are counted,
and a cut can be set before or after any of them.
"""

import errno
import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from firmware.drivers.files_posix import FileOps, PosixFiles

SECTOR = 512

#: Fates of an unsynced item; names know only LOST and KEPT.
LOST, KEPT, ZEROS, TORN = 0, 1, 2, 3


class PowerCut(BaseException):
    """The power is gone. Not an Exception: nothing may catch it and go on."""


class _Write(NamedTuple):
    inode: int
    offset: int
    data: bytes


class _Cut(NamedTuple):
    inode: int
    size: int


class _Name(NamedTuple):
    old: str  # "" for a creation
    new: str  # "" for a removal
    inode: int


_Item = _Write | _Cut | _Name


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _rename(names: dict[str, int], item: _Name) -> None:
    if item.old:
        names.pop(item.old, None)
    if item.new:
        names[item.new] = item.inode


def _sound(what: str, name: str) -> int:
    return 0


class FaultyDisk(FileOps):
    """Stands in for the system calls of ``PosixFiles``; see ``files``."""

    def __init__(self, seed: int = 0, capacity: int = 8 << 20) -> None:
        self._random = random.Random(seed)
        self.capacity = capacity
        #: Things done to the disk, and durable barriers among them, since the start.
        self.events = 0
        self.barriers = 0
        #: One line for each event, for a failing test to show.
        self.log: list[str] = []
        self.dead = False
        #: Called at the cut; must not raise.
        self.on_cut: Callable[[], None] = lambda: None
        #: Asked at each "write" and "fsync", with the file's name: the errno that it
        #: fails with, 0 for none. Power on takes it back.
        self.fault: Callable[[str, str], int] = _sound
        #: Asked at each boundary of an event (True: one is about to begin) whether the
        #: power goes there.
        self.strike: Callable[[bool], bool] = lambda before: False
        self._cut_at: int | None = None
        self._cut_before = False
        self._fail_sync = 0
        self._now: dict[int, bytearray] = {}
        self._durable: dict[int, bytearray] = {}
        self._names: dict[str, int] = {}
        self._durable_names: dict[str, int] = {}
        self._pending: list[_Item] = []
        self._handles: dict[int, int] = {}
        self._next = 1

    # --- what a test does -------------------------------------------------

    def files(self) -> PosixFiles:
        """The real driver on this disk, in the loop itself (no thread)."""
        return PosixFiles(ops=self, inline=True)

    def cut_after(self, events: int) -> None:
        """Lose power right after the ``events``-th event from now is done
        (0: now, at the next touch of the disk)."""
        self._cut_at = self.events + events
        self._cut_before = False

    def cut_before(self, events: int) -> None:
        """Lose power when the ``events``-th event from now is about to begin:
        everything between it and the event before has happened."""
        self._cut_at = self.events + events
        self._cut_before = True

    def cut_never(self) -> None:
        """Take a cut that has not struck back."""
        self._cut_at = None

    def pending_names(self) -> list[bool]:
        """For each unsynced item in order: whether it is a name."""
        return [isinstance(item, _Name) for item in self._pending]

    def cut_now(self) -> None:
        """Lose power here; raises PowerCut."""
        self.dead = True
        self.on_cut()
        raise PowerCut(f"after event {self.events}")

    def event(self, what: str) -> None:
        """Something outside the disk (an APDU, a socket send, a vault write, a
        print): counted like the rest, so that cuts fall before and after it."""
        self.begin(what)
        self.end()

    def fail_syncs(self, count: int = 1) -> None:
        """The next ``count`` file syncs fail with EIO; their data stays unsynced."""
        self._fail_sync = count

    @property
    def pending(self) -> int:
        """How many unsynced items wait for a fate."""
        return len(self._pending)

    def fates(self, limit: int = 64) -> Iterator[tuple[int, ...]]:
        """Fates of the unsynced items worth trying: all of them if they are at
        most ``limit``, else the telling ones (none, all, each prefix, each item
        alone kept, lost, zeroed or torn)."""
        choices = [
            (LOST, KEPT, ZEROS, TORN) if isinstance(item, _Write) else (LOST, KEPT)
            for item in self._pending
        ]
        total = 1
        for choice in choices:
            total *= len(choice)
        if total <= limit:
            yield from itertools.product(*choices)
            return
        count = len(choices)
        seen: set[tuple[int, ...]] = set()
        for base, other in ((LOST, KEPT), (KEPT, LOST), (KEPT, ZEROS), (KEPT, TORN)):
            seen.add((base,) * count)
            for i in range(count):
                if other in choices[i]:
                    seen.add((base,) * i + (other,) + (base,) * (count - i - 1))
                    if other in (LOST, TORN):
                        seen.add((base,) * i + (other,) + (LOST,) * (count - i - 1))
        yield from sorted(seen)[:limit]

    def reboot(self, survivors: tuple[int, ...] | None = None) -> None:
        """Power again: unsynced items meet their fates (by the seed if not
        given), handles are gone, no cut is set."""
        if survivors is None:
            survivors = tuple(
                self._random.choice((LOST, KEPT, ZEROS, TORN) if isinstance(i, _Write) else (0, 1))
                for i in self._pending
            )
        if len(survivors) != len(self._pending):
            raise ValueError(f"{len(self._pending)} items are unsynced")
        for item, fate in zip(self._pending, survivors, strict=True):
            self._settle(item, fate)
        self._pending = []
        self._names = dict(self._durable_names)
        self._durable = {
            inode: content
            for inode, content in self._durable.items()
            if inode in self._names.values()
        }
        self._now = {inode: bytearray(content) for inode, content in self._durable.items()}
        for inode in self._names.values():
            self._now.setdefault(inode, bytearray())
            self._durable.setdefault(inode, bytearray())
        self._handles = {}
        self.dead = False
        self._cut_at = None
        self._fail_sync = 0
        self.fault = _sound

    def clone(self) -> "FaultyDisk":
        """The same disk, apart: to try several fates of one cut."""
        twin = FaultyDisk(0, self.capacity)
        twin._random.setstate(self._random.getstate())
        twin.events, twin.barriers, twin.log = self.events, self.barriers, list(self.log)
        twin.dead = self.dead
        twin._now = {inode: bytearray(data) for inode, data in self._now.items()}
        twin._durable = {inode: bytearray(data) for inode, data in self._durable.items()}
        twin._names, twin._durable_names = dict(self._names), dict(self._durable_names)
        twin._pending = list(self._pending)
        twin._handles, twin._next = dict(self._handles), self._next
        return twin

    def snapshot(self) -> dict[str, bytes]:
        """Every file as it reads now."""
        return {name: bytes(self._now[inode]) for name, inode in sorted(self._names.items())}

    def restore(self, content: dict[str, bytes]) -> None:
        """Put these files there, durably, and no others: an old copy, or damage."""
        self._now, self._durable, self._names = {}, {}, {}
        for name, data in content.items():
            inode, self._next = self._next, self._next + 1
            self._now[inode], self._durable[inode] = bytearray(data), bytearray(data)
            self._names[name] = inode
        self._durable_names = dict(self._names)
        self._pending, self._handles = [], {}

    # --- the model --------------------------------------------------------

    def _settle(self, item: _Item, fate: int) -> None:
        if fate == LOST:
            return
        if isinstance(item, _Name):
            _rename(self._durable_names, item)
            return
        content = self._durable.setdefault(item.inode, bytearray())
        if isinstance(item, _Cut):
            del content[item.size :]
        elif fate == ZEROS:
            grown = item.offset + len(item.data) - len(content)
            if grown > 0:
                content.extend(bytes(grown))
        elif fate == TORN:
            _put(content, item.offset, item.data[: self._random.randrange(len(item.data))])
        else:
            _put(content, item.offset, item.data)

    def begin(self, what: str) -> None:
        """Something is about to change the disk or, for a test's taps, the world."""
        if self.dead:
            raise PowerCut("the power is off")
        if self._cut_at is not None:
            due = self._cut_at - 1 if self._cut_before else self._cut_at
            if self.events >= due:
                self.cut_now()
        if self.strike(True):
            self.cut_now()
        self.log.append(what)

    def end(self) -> None:
        """What ``begin`` announced is done."""
        self.events += 1
        if self._cut_at is not None and not self._cut_before and self.events >= self._cut_at:
            self.cut_now()
        if self.strike(False):
            self.cut_now()

    def _alive(self) -> None:
        if self.dead:
            raise PowerCut("the power is off")

    def _inode(self, name: str) -> int:
        self._alive()
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return self._names[name]

    def _used(self) -> int:
        return sum(len(self._now[inode]) for inode in self._names.values())

    # --- FileOps ----------------------------------------------------------

    def names(self) -> list[str]:
        self._alive()
        return list(self._names)

    def size(self, name: str) -> int:
        return len(self._now[self._inode(name)])

    def read(self, name: str, offset: int, most: int) -> bytes:
        data = self._now[self._inode(name)]
        return bytes(data[offset:] if most < 0 else data[offset : offset + most])

    def open(self, name: str, empty: bool) -> int:
        self._alive()
        inode = self._names.get(name)
        if inode is None:
            self.begin(f"create {name}")
            inode, self._next = self._next, self._next + 1
            self._now[inode] = bytearray()
            self._names[name] = inode
            self._pending.append(_Name("", name, inode))
            self.end()
        elif empty and self._now[inode]:
            self.begin(f"empty {name}")
            self._now[inode] = bytearray()
            self._pending.append(_Cut(inode, 0))
            self.end()
        handle, self._next = self._next, self._next + 1
        self._handles[handle] = inode
        return handle

    def write(self, handle: int, data: bytes) -> int:
        inode = self._handles[handle] if not self.dead else 0
        self.begin(f"write {len(data)}")
        self._ask("write", inode)
        room = self.capacity - self._used()
        if room <= 0:
            raise OSError(errno.ENOSPC, "no space left")
        data = data[:room]  # a real disk takes what fits and says so
        content = self._now[inode]
        at = len(content)
        content.extend(data)
        done = 0
        while done < len(data):
            step = min(SECTOR - (at + done) % SECTOR, len(data) - done)
            self._pending.append(_Write(inode, at + done, bytes(data[done : done + step])))
            done += step
        self.end()
        return len(data)

    def _ask(self, what: str, inode: int) -> None:
        names = [name for name, there in self._names.items() if there == inode]
        code = self.fault(what, names[0] if names else "")
        if code:
            raise OSError(code, errno.errorcode[code])

    def length(self, handle: int) -> int:
        self._alive()
        return len(self._now[self._handles[handle]])

    def truncate(self, handle: int, size: int) -> None:
        self.begin(f"truncate to {size}")
        inode = self._handles[handle]
        del self._now[inode][size:]
        self._pending.append(_Cut(inode, size))
        self.end()

    def fsync(self, handle: int) -> None:
        self.begin("fsync")
        inode = self._handles[handle]
        if self._fail_sync:
            self._fail_sync -= 1
            raise OSError(errno.EIO, "input/output error")
        self._ask("fsync", inode)
        self._durable[inode] = bytearray(self._now[inode])
        self._pending = [
            item for item in self._pending if isinstance(item, _Name) or item.inode != inode
        ]
        self.barriers += 1
        self.end()

    def close(self, handle: int) -> None:
        self._handles.pop(handle, None)  # closing after the cut harms nobody

    def rename(self, old: str, new: str) -> None:
        inode = self._inode(old)
        self.begin(f"rename {old} {new}")
        item = _Name(old, new, inode)
        _rename(self._names, item)
        self._pending.append(item)
        self.end()

    def remove(self, name: str) -> None:
        inode = self._inode(name)
        self.begin(f"remove {name}")
        item = _Name(name, "", inode)
        _rename(self._names, item)
        self._pending.append(item)
        self.end()

    def fsync_folder(self) -> None:
        self.begin("fsync folder")
        self._durable_names = dict(self._names)
        self._pending = [item for item in self._pending if not isinstance(item, _Name)]
        self.barriers += 1
        self.end()

    def free(self) -> int:
        self._alive()
        return max(0, self.capacity - self._used())
