"""A real littlefs on flash that loses power, under the MicroPython files driver.

The block device counts programs and erases; at the set one it does part of
the work and dies, as flash does: an erase leaves a block half erased, a
program half programmed. ``mount`` gives the ``os`` and ``open`` that
files_mpy uses, backed by littlefs-python.
"""

import errno
from typing import Any

import littlefs

from firmware.drivers import files_mpy
from tests.support.faulty_disk import PowerCut


class Flash(littlefs.UserContext):
    """NOR flash in RAM: erase sets a block to FF, program clears bits."""

    def __init__(self, blocks: int = 64, block: int = 1024) -> None:
        super().__init__(blocks * block)
        self.block = block
        self.blocks = blocks
        self.data = bytearray(b"\xff" * (blocks * block))
        self.events = 0
        self.cut_at: int | None = None
        self.dead = False

    def _due(self) -> bool:
        if self.dead:
            return True
        self.events += 1
        if self.cut_at is not None and self.events >= self.cut_at:
            self.dead = True
        return self.dead

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        at = block * self.block + off
        return self.data[at : at + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        was_dead = self.dead
        due = self._due()
        if was_dead:
            return int(littlefs.errors.LittleFSError.Error.LFS_ERR_IO)
        at = block * self.block + off
        part = data[: len(data) // 2] if due else data
        self.data[at : at + len(part)] = part
        return int(littlefs.errors.LittleFSError.Error.LFS_ERR_IO) if due else 0

    def erase(self, cfg: Any, block: int) -> int:
        was_dead = self.dead
        due = self._due()
        if was_dead:
            return int(littlefs.errors.LittleFSError.Error.LFS_ERR_IO)
        size = self.block // 2 if due else self.block
        at = block * self.block
        self.data[at : at + size] = b"\xff" * size
        return int(littlefs.errors.LittleFSError.Error.LFS_ERR_IO) if due else 0

    def sync(self, cfg: Any) -> int:
        return 0

    def clone(self) -> "Flash":
        twin = Flash(self.blocks, self.block)
        twin.data = bytearray(self.data)
        return twin


class _File:
    def __init__(self, shim: "Mounted", path: str, mode: str) -> None:
        self._shim = shim
        self._file = shim.call(shim.fs.open, path, mode, 0)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def read(self, most: int = -1) -> bytes:
        if most >= 0:
            return bytes(self._shim.call(self._file.read, most))
        out = b""
        while part := self.read(512):  # littlefs-python's readall fails past the end
            out += part
        return out

    def write(self, data: bytes) -> int:
        return int(self._shim.call(self._file.write, data))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._shim.call(self._file.seek, offset, whence))

    def flush(self) -> None:
        self._shim.call(self._file.flush)

    def close(self) -> None:
        self._shim.call(self._file.close)


class Mounted:
    """The few calls of ``os`` that files_mpy makes, and ``open``."""

    def __init__(self, flash: Flash, fresh: bool = False) -> None:
        self.flash = flash
        self.fs = littlefs.LittleFS(
            context=flash,
            mount=False,
            block_size=flash.block,
            block_count=flash.blocks,
            read_size=16,
            prog_size=16,
            cache_size=128,
            lookahead_size=16,
        )
        if fresh:
            self.fs.format()
        self.fs.mount()

    def call(self, function: Any, *args: Any) -> Any:
        """A littlefs error becomes the OSError that MicroPython would raise."""
        if self.flash.dead:
            raise PowerCut("the power is off")
        try:
            result = function(*args)
        except littlefs.errors.LittleFSError as error:
            if self.flash.dead:
                raise PowerCut(f"at flash event {self.flash.events}") from error
            raise OSError(-error.code, error.name) from error
        except OSError as error:
            if self.flash.dead:
                raise PowerCut(f"at flash event {self.flash.events}") from error
            # littlefs-python sets no number here, MicroPython does.
            absent = isinstance(error, FileNotFoundError)
            raise OSError(errno.ENOENT if absent else errno.EIO, str(error)) from error
        if self.flash.dead:
            raise PowerCut(f"at flash event {self.flash.events}")
        return result

    def open(self, path: str, mode: str, buffering: int = -1) -> _File:
        if "a" in mode and not self._exists(path):
            _File(self, path, "wb").close()  # littlefs-python's "a" does not create
        return _File(self, path, mode)

    def _exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def listdir(self, path: str) -> list[str]:
        return list(self.call(self.fs.listdir, path))

    def stat(self, path: str) -> tuple[int, ...]:
        found = self.call(self.fs.stat, path)
        return (0, 0, 0, 0, 0, 0, found.size)

    def mkdir(self, path: str) -> None:
        self.call(self.fs.mkdir, path)

    def rename(self, old: str, new: str) -> None:
        self.call(self.fs.rename, old, new)

    def remove(self, path: str) -> None:
        self.call(self.fs.remove, path)

    def statvfs(self, path: str) -> tuple[int, ...]:
        free = self.flash.blocks - int(self.call(lambda: self.fs.used_block_count))
        return (self.flash.block, self.flash.block, self.flash.blocks, free, free)


def mount(monkeypatch: Any, flash: Flash, fresh: bool = False) -> files_mpy.MpyFiles:
    """The MicroPython driver on this flash."""
    mounted = Mounted(flash, fresh)
    monkeypatch.setattr(files_mpy, "os", mounted)
    monkeypatch.setattr(files_mpy, "open", mounted.open, raising=False)
    return files_mpy.MpyFiles("/till")
