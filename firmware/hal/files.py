"""Contract: files on stable storage.

The guarantees are those that the journal needs and no more: data is durable
after ``sync`` of its file; a name (create, rename, remove) is durable after
``sync_folder``. Paths are names inside the terminal's one data folder:
letters, digits, ``-``, ``_`` and ``.``, not beginning with a dot, at most 64.
"""

from firmware.errors import TillError


class FilesError(TillError):
    """Storage failed."""

    text_key = "error.storage"


class NoSuchFile(FilesError):
    """The named file is not there."""


class StorageFull(FilesError):
    """No room; nothing of the write may be relied on."""

    text_key = "error.storage_full"


class AppendFile:
    """An open file that is only appended to."""

    async def append(self, data: bytes) -> None:
        """Write at the end. Not durable before ``sync``."""
        raise NotImplementedError

    async def sync(self) -> None:
        """All appended data is on stable storage when this returns."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close without sync."""
        raise NotImplementedError


class Files:
    """One flat folder."""

    async def list(self) -> "list[str]":
        """Names, sorted."""
        raise NotImplementedError

    async def size(self, name: str) -> int:
        """Bytes. NoSuchFile."""
        raise NotImplementedError

    async def read(self, name: str, offset: int = 0, most: int = -1) -> bytes:
        """At most ``most`` bytes from ``offset`` (all for -1). NoSuchFile."""
        raise NotImplementedError

    async def open_append(self, name: str) -> AppendFile:
        """Open for appending; created empty if absent."""
        raise NotImplementedError

    async def replace(self, name: str, data: bytes) -> None:
        """Give ``name`` this content atomically and durably: after a power cut
        it has the old content or the new, never a mixture (temporary file,
        sync, rename, sync of the folder)."""
        raise NotImplementedError

    async def truncate(self, name: str, size: int) -> None:
        """Cut the file to ``size`` bytes, durably. NoSuchFile."""
        raise NotImplementedError

    async def rename(self, old: str, new: str) -> None:
        """Rename, replacing ``new``; durable after ``sync_folder``. NoSuchFile."""
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        """Remove; durable after ``sync_folder``. NoSuchFile."""
        raise NotImplementedError

    async def sync_folder(self) -> None:
        """Names are durable when this returns."""
        raise NotImplementedError

    async def free(self) -> int:
        """Bytes that can still be written."""
        raise NotImplementedError
