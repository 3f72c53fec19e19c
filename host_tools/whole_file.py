"""A file that is under its name whole and durable, or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path, private: bool = False) -> Iterator[Path]:
    """A new, empty file beside ``path``, to be written in the block; behind it the file is on
    stable storage and has that name. What the block raises leaves ``path`` as it was.
    ``private``: for its owner's eyes. OSError."""
    new = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        os.close(os.open(new, flags, 0o600 if private else 0o666))
        yield new
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
        settle(path.parent)
    finally:
        new.unlink(missing_ok=True)


def write(path: Path, content: bytes, private: bool = False) -> None:
    """``content`` as a whole file. OSError."""
    with whole(path, private) as new:
        new.write_bytes(content)


def settle(folder: Path) -> None:
    """A new name in a folder is durable once the folder is (POSIX). OSError."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
