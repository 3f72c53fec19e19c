"""hal.files on MicroPython's mounted file system (littlefs; VfsPosix on the unix port).

What the driver relies on:

- littlefs (design notes, "power-loss resilience"): a file keeps its last
  flushed content until the next flush or close, which replaces it atomically;
  rename and remove are atomic and durable when they return. ``flush`` is
  lfs_file_sync.
- VfsPosix: ``flush`` of a raw file is fsync, and ``os.sync`` where the port has
  it writes the names.
- FAT gives neither an atomic rename over a file nor a safe append: a rename
  that refuses to replace is a named error, never a remove and a rename.

There is no truncate in MicroPython: the file's beginning is copied and put in
its place. Calls run in the loop: flash is driven by the same core anyway.
"""

import os

from firmware.hal.files import AppendFile, Files, FilesError, NoSuchFile, StorageFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENOENT = 2
_ENOSPC = 28
_EDQUOT = 122
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_TEMPORARY = ".new-"
_CHUNK = 512


def _failure(error: OSError, what: str) -> FilesError:
    number = error.errno
    detail = what + ": error " + str(number)
    if number == _ENOENT:
        return NoSuchFile(detail)
    if number in (_ENOSPC, _EDQUOT):
        return StorageFull(detail)
    return FilesError(detail)


def _check(name: str) -> str:
    good = 0 < len(name) <= 64 and name[0] != "."
    if not good or not all(letter in _NAME for letter in name):
        raise FilesError("not a file name: " + repr(name[:80]))
    return name


class MpyFiles(Files):
    """One folder of a mounted file system; made if it is absent."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            os.stat(folder)
        except OSError:
            try:
                os.mkdir(folder)
            except OSError as error:
                raise _failure(error, "make " + folder) from None

    def _path(self, name: str) -> str:
        return self._folder + "/" + _check(name)

    async def list(self) -> "list[str]":
        try:
            return sorted(name for name in os.listdir(self._folder) if name[0] != ".")
        except OSError as error:
            raise _failure(error, "list") from None

    def _size(self, path: str) -> int:
        return os.stat(path)[6]

    async def size(self, name: str) -> int:
        try:
            return self._size(self._path(name))
        except OSError as error:
            raise _failure(error, "size of " + name) from None

    async def read(self, name: str, offset: int = 0, most: int = -1) -> bytes:
        try:
            with open(self._path(name), "rb") as file:
                # MicroPython allocates what is asked for, not what is there.
                left = max(0, file.seek(0, 2) - offset)
                file.seek(offset)
                return file.read(left if most < 0 else min(most, left))
        except OSError as error:
            raise _failure(error, "read " + name) from None

    async def open_append(self, name: str) -> AppendFile:
        try:
            return _MpyAppend(self, self._path(name), name)
        except OSError as error:
            raise _failure(error, "open " + name) from None

    async def replace(self, name: str, data: bytes) -> None:
        path = self._path(name)
        temporary = self._folder + "/" + _TEMPORARY + name
        try:
            with _raw(temporary, "wb") as file:
                _write_all(file, data)
                file.flush()
                _durable(file)
            os.rename(temporary, path)
        except OSError as error:
            raise _failure(error, "replace " + name) from None
        await self.sync_folder()

    async def truncate(self, name: str, size: int) -> None:
        path = self._path(name)
        try:
            if size > self._size(path):
                raise FilesError("truncate " + name + ": the file is shorter than that")
            self._cut(path, name, size)
        except OSError as error:
            raise _failure(error, "truncate " + name) from None
        await self.sync_folder()

    def _cut(self, path: str, name: str, size: int) -> None:
        temporary = self._folder + "/" + _TEMPORARY + name
        with open(path, "rb") as source, _raw(temporary, "wb") as file:
            left = size
            while left:
                chunk = source.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(5)
                _write_all(file, chunk)
                left -= len(chunk)
            file.flush()
            _durable(file)
        os.rename(temporary, path)

    async def rename(self, old: str, new: str) -> None:
        try:
            os.rename(self._path(old), self._path(new))
        except OSError as error:
            raise _failure(error, "rename " + old) from None

    async def remove(self, name: str) -> None:
        try:
            os.remove(self._path(name))
        except OSError as error:
            raise _failure(error, "remove " + name) from None

    async def sync_folder(self) -> None:
        sync = getattr(os, "sync", None)
        if sync is not None:
            sync()

    async def free(self) -> int:
        try:
            room = os.statvfs(self._folder)
        except OSError as error:
            raise _failure(error, "free space") from None
        return room[1] * room[4]  # f_frsize * f_bavail


def _raw(path: str, mode: str) -> "Any":
    """An unbuffered file; MicroPython's files are unbuffered, or littlefs's own."""
    return open(path, mode, 0)


def _durable(file: "Any") -> None:
    """CPython (tests on a PC) has an fsync apart from flush; MicroPython has not."""
    fsync = getattr(os, "fsync", None)
    if fsync is not None:
        fsync(file.fileno())


def _write_all(file: "Any", data: bytes) -> None:
    done = 0
    while done < len(data):
        count = file.write(data[done:])
        if not count:
            raise OSError(_ENOSPC)
        done += count


class _MpyAppend(AppendFile):
    def __init__(self, files: MpyFiles, path: str, name: str) -> None:
        self._files = files
        self._path = path
        self._name = name
        self._file: "Any" = _raw(path, "ab")
        # littlefs reports a file's size as of its last flush; so it is counted here.
        self._size: int = self._file.seek(0, 2)

    def _open(self) -> "Any":
        if self._file is None:
            raise FilesError(self._name + " is closed")
        return self._file

    async def append(self, data: bytes) -> None:
        file = self._open()
        try:
            _write_all(file, data)
        except OSError as error:
            self._undo(self._size)
            raise _failure(error, "append to " + self._name) from None
        self._size += len(data)

    def _undo(self, size: int) -> None:
        """Half a record must not stay behind: close, cut, open again."""
        file, self._file = self._file, None
        try:
            file.close()
            self._files._cut(self._path, self._name, size)
            self._file = _raw(self._path, "ab")
        except OSError as error:
            raise _failure(error, "undo of an append to " + self._name) from None

    async def sync(self) -> None:
        file = self._open()
        try:
            file.flush()
            _durable(file)
        except OSError as error:
            raise _failure(error, "sync of " + self._name) from None

    async def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise _failure(error, "close " + self._name) from None
