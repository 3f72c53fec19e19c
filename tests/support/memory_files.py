"""hal.files in RAM, with power cuts: for tests of what stands on files.

Runs under MicroPython too. ``cut_at`` counts the operations that change
storage: that one stops half-way with PowerCut, and so does every later one.
``after_cut`` gives the disk that the next boot finds.
"""

from firmware.hal.files import AppendFile, Files, NoSuchFile


class PowerCut(Exception):
    """The supply failed. Not a TillError: no firmware may catch it."""


class _Append(AppendFile):
    def __init__(self, disk: "MemoryFiles", name: str) -> None:
        self._disk = disk
        self._name = name

    async def append(self, data: bytes) -> None:
        self._disk.step()
        self._disk.now[self._name] = self._disk.now[self._name] + bytes(data)

    async def sync(self) -> None:
        self._disk.step()
        self._disk.barriers += 1
        self._disk.durable[self._name] = self._disk.now[self._name]

    async def close(self) -> None:
        self._disk.closed += 1


class MemoryFiles(Files):
    """One flat folder of bytes."""

    def __init__(self, content: "dict[str, bytes] | None" = None) -> None:
        self.now: "dict[str, bytes]" = {}
        self.durable: "dict[str, bytes]" = {}
        for name in content or {}:
            self.now[name] = self.durable[name] = (content or {})[name]
        self.cut_at = -1
        self.steps = 0
        self.barriers = 0
        self.closed = 0
        self._pending: "tuple[str, bytes] | None" = None

    def step(self) -> bool:
        """Count an operation; PowerCut at ``cut_at`` and after."""
        self.steps += 1
        if 0 <= self.cut_at < self.steps:
            raise PowerCut("operation " + str(self.steps))
        return True

    def after_cut(self, unsynced: str) -> "MemoryFiles":
        """``unsynced``: "lost", "kept" or "torn" (half of each unsynced tail,
        its last byte spoilt). A replace that was cut is lost or kept whole."""
        disk = MemoryFiles(self.durable)
        if unsynced != "lost":
            for name in self.now:
                old = self.durable.get(name, b"")
                tail = self.now[name][len(old) :]
                if unsynced == "torn" and tail:
                    tail = tail[: (len(tail) + 1) // 2]
                    tail = tail[:-1] + bytes([tail[-1] ^ 0xFF])
                disk.now[name] = disk.durable[name] = old + tail
            if self._pending is not None:
                disk.now[self._pending[0]] = disk.durable[self._pending[0]] = self._pending[1]
        return disk

    async def list(self) -> "list[str]":
        return sorted(self.now)

    async def size(self, name: str) -> int:
        return len(self._content(name))

    async def read(self, name: str, offset: int = 0, most: int = -1) -> bytes:
        data = self._content(name)[offset:]
        return data if most < 0 else data[:most]

    async def open_append(self, name: str) -> AppendFile:
        if name not in self.now:
            self.step()
            self.now[name] = self.durable[name] = b""
        return _Append(self, name)

    async def replace(self, name: str, data: bytes) -> None:
        self._pending = (name, bytes(data))
        self.step()
        self._pending = None
        self.barriers += 3
        self.now[name] = self.durable[name] = bytes(data)

    async def truncate(self, name: str, size: int) -> None:
        self._content(name)
        self.step()
        self.now[name] = self.durable[name] = self.now[name][:size]

    async def rename(self, old: str, new: str) -> None:
        self._content(old)
        self.step()
        self.now[new] = self.durable[new] = self.now.pop(old)
        self.durable.pop(old, None)

    async def remove(self, name: str) -> None:
        self._content(name)
        self.step()
        del self.now[name]
        self.durable.pop(name, None)

    async def sync_folder(self) -> None:
        self.step()
        self.barriers += 1

    async def free(self) -> int:
        return 1 << 20

    def _content(self, name: str) -> bytes:
        if name not in self.now:
            raise NoSuchFile(name)
        return self.now[name]
