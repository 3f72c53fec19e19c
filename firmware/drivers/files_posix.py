"""hal.files on a folder of a POSIX file system (Linux, CPython only).

Durability: fsync of the file for its data, fsync of the folder for its names
(POSIX promises no less and Linux file systems need no more). A write or sync
that fails is never retried as if nothing had happened: after a failed fsync
the kernel may have dropped the pages.
"""

import errno
import os
import stat

from firmware import aio
from firmware.hal.files import AppendFile, Files, FilesError, NoSuchFile, StorageFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

#: A hop to the thread and back costs as much as a fast disk's fsync. After this
#: many quick ones in a row the loop does them itself, until one is slow again.
_QUICK_RUN = 16
_QUICK_MS = 2

_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
#: ``replace`` writes here first; a leading dot keeps it out of the name space.
_TEMPORARY = ".new-"


class FileOps:
    """The system calls under the driver, on one folder; each may raise OSError.

    A simulated disk stands here in tests (tests/support/faulty_disk.py).
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def names(self) -> "list[str]":
        """Names of the regular files."""
        with os.scandir(self._folder) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]

    def size(self, name: str) -> int:
        """Bytes of the file."""
        return os.stat(self._path(name)).st_size

    def read(self, name: str, offset: int, most: int) -> bytes:
        """At most ``most`` bytes (all for -1) from ``offset``."""
        # A pipe in a file's place must not make the open wait for a writer.
        handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if stat.S_ISFIFO(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "a pipe, not a file")
            if hasattr(os, "posix_fadvise"):
                # What a failed fsync left behind is in memory, counts as clean and is on no
                # disk: a process that starts anew must read what a power cut leaves.
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(offset)
            return file.read(most)

    def open(self, name: str, empty: bool) -> int:
        """Descriptor for appending, created if absent; emptied if ``empty``."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= os.O_NONBLOCK  # a pipe in the file's place fails instead of waiting
        return os.open(self._path(name), flags | (os.O_TRUNC if empty else 0), 0o600)

    def write(self, handle: int, data: bytes) -> int:
        """Append; how many bytes were taken."""
        return os.write(handle, data)

    def length(self, handle: int) -> int:
        """Bytes of the open file."""
        return os.fstat(handle).st_size

    def truncate(self, handle: int, size: int) -> None:
        """Cut the open file."""
        os.ftruncate(handle, size)

    def fsync(self, handle: int) -> None:
        """The file's data and length are durable when this returns."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Give the descriptor back."""
        os.close(handle)

    def rename(self, old: str, new: str) -> None:
        """Atomically give the file another name."""
        os.replace(self._path(old), self._path(new))

    def remove(self, name: str) -> None:
        """Remove the name."""
        os.unlink(self._path(name))

    def fsync_folder(self) -> None:
        """Names are durable when this returns."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def free(self) -> int:
        """Bytes that an unprivileged writer can still use."""
        room = os.statvfs(self._folder)
        return room.f_bavail * room.f_frsize


def _failure(error: OSError, what: str) -> FilesError:
    detail = what + ": " + (error.strerror or str(error))
    if error.errno == errno.ENOENT:
        return NoSuchFile(detail)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(detail)
    return FilesError(detail)


def check_name(name: str) -> str:
    """``name`` if hal.files allows it, else FilesError."""
    if not 0 < len(name) <= 64 or name[0] == "." or not _NAME.issuperset(name):
        raise FilesError("not a file name: " + repr(name[:80]))
    return name


class _Inline:
    """Runs a call in the loop itself."""

    async def call(self, function: "Callable[..., T]", *args: object) -> "T":
        return function(*args)


class PosixFiles(Files):
    """One folder. Slow calls run in a thread of their own so that a slow disk does
    not stop the loop; with ``inline`` they run in the loop (a simulated disk on
    the virtual clock, or a tool without a user interface)."""

    def __init__(
        self, folder: str = "", ops: "FileOps | None" = None, inline: bool = False
    ) -> None:
        self._ops = ops if ops is not None else FileOps(folder)
        self._runner: "aio.Worker | _Inline" = _Inline() if inline else aio.Worker("files")
        self._quick = 0

    async def _call(self, what: str, function: "Callable[..., T]", *args: object) -> "T":
        try:
            return await self._runner.call(function, *args)
        except OSError as error:
            raise _failure(error, what) from error

    async def sync_handle(self, handle: int, name: str) -> None:
        """fsync; in the thread unless the disk has shown that it is quick."""
        begin = aio.ticks_ms()
        try:
            if self._quick >= _QUICK_RUN:
                self._ops.fsync(handle)
            else:
                await self._runner.call(self._ops.fsync, handle)
        except OSError as error:
            raise _failure(error, "sync of " + name) from error
        self._quick = self._quick + 1 if aio.elapsed_ms(begin) < _QUICK_MS else 0

    async def list(self) -> "list[str]":
        names = await self._call("list", self._ops.names)
        return sorted(name for name in names if name[0] != ".")

    async def size(self, name: str) -> int:
        return await self._call("size of " + name, self._ops.size, check_name(name))

    async def read(self, name: str, offset: int = 0, most: int = -1) -> bytes:
        return await self._call("read " + name, self._ops.read, check_name(name), offset, most)

    async def open_append(self, name: str) -> AppendFile:
        handle = await self._call("open " + name, self._ops.open, check_name(name), False)
        return _PosixAppend(self, self._ops, handle, name)

    async def replace(self, name: str, data: bytes) -> None:
        await self._call("replace " + name, self._replace, check_name(name), data)

    def _replace(self, name: str, data: bytes) -> None:
        temporary = _TEMPORARY + name
        handle = self._ops.open(temporary, True)
        try:
            _write_all(self._ops, handle, data)
            self._ops.fsync(handle)
        except OSError:
            self._ops.remove(temporary)
            raise
        finally:
            self._ops.close(handle)
        self._ops.rename(temporary, name)
        self._ops.fsync_folder()

    async def truncate(self, name: str, size: int) -> None:
        await self._call("truncate " + name, self._truncate, check_name(name), size)

    def _truncate(self, name: str, size: int) -> None:
        if size > self._ops.size(name):  # also raises ENOENT: open would create
            raise OSError(errno.EINVAL, "the file is shorter than that")
        handle = self._ops.open(name, False)
        try:
            self._ops.truncate(handle, size)
            self._ops.fsync(handle)
        finally:
            self._ops.close(handle)

    async def rename(self, old: str, new: str) -> None:
        await self._call("rename " + old, self._ops.rename, check_name(old), check_name(new))

    async def remove(self, name: str) -> None:
        await self._call("remove " + name, self._ops.remove, check_name(name))

    async def sync_folder(self) -> None:
        await self._call("sync of the folder", self._ops.fsync_folder)

    async def free(self) -> int:
        return await self._call("free space", self._ops.free)

    def close(self) -> None:
        """Stop the thread after its last call."""
        if isinstance(self._runner, aio.Worker):
            self._runner.close()


def _write_all(ops: FileOps, handle: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        count = ops.write(handle, data[done:])
        if count <= 0:
            raise OSError(errno.EIO, "nothing was written")
        done += count


class _PosixAppend(AppendFile):
    def __init__(self, files: PosixFiles, ops: FileOps, handle: int, name: str) -> None:
        self._files = files
        self._ops = ops
        self._handle = handle
        self._name = name

    def _open(self) -> int:
        if self._handle < 0:
            raise FilesError(self._name + " is closed")
        return self._handle

    async def append(self, data: bytes) -> None:
        # In the loop: it ends in the page cache, microseconds away.
        handle = self._open()
        try:
            before = self._ops.length(handle)
            try:
                _write_all(self._ops, handle, data)
            except OSError:
                self._ops.truncate(handle, before)  # no half a record stays behind
                raise
        except OSError as error:
            raise _failure(error, "append to " + self._name) from error

    async def sync(self) -> None:
        await self._files.sync_handle(self._open(), self._name)

    async def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            self._ops.close(handle)
