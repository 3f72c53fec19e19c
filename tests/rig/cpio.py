"""A newc cpio archive, as the kernel unpacks it for its first file system."""

from __future__ import annotations

import stat
from pathlib import Path


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files: dict[str, bytes], programs: set[str], folders: list[str]) -> bytes:
    """``files``: name (no leading slash) to content; ``programs``: those that may be executed."""
    parts = [_entry(at, name, stat.S_IFDIR | 0o755, b"") for at, name in enumerate(folders, 1)]
    for at, (name, data) in enumerate(files.items(), len(folders) + 1):
        mode = 0o755 if name in programs else 0o644
        parts.append(_entry(at, name, stat.S_IFREG | mode, data))
    return b"".join(parts) + _entry(0, "TRAILER!!!", 0, b"")


def module_order(tree: Path, names: tuple[str, ...]) -> list[Path]:
    """Module files under ``tree`` that ``names`` need, each after what it depends on.

    ``tree`` is lib/modules/VERSION without an index (depmod did not run): the
    dependencies are read out of the modules themselves. Names of drivers that
    are built in are left out. KeyError for a name that is neither.
    """
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    listed = (tree / "modules.builtin").read_text().split()
    built_in = {Path(line).name.split(".ko")[0].replace("-", "_") for line in listed}
    order: list[Path] = []

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in built_in and name not in files:
            return
        path = files[name]
        if path in order:
            return
        for needed in _depends(content(path)):
            add(needed)
        order.append(path)

    for name in names:
        add(name)
    return order


def _depends(module: bytes) -> list[str]:
    """Names of the modules that this one names in its .modinfo section."""
    found: list[str] = []
    for field in module.split(b"\0"):
        # softdep: "pre: crc32c" is an alias, not a file; ext4 loads it by name below.
        if field.startswith(b"depends=") and len(field) > 8:
            found += field[8:].decode().split(",")
    return found


def content(path: Path) -> bytes:
    """A module's bytes, unpacked (Debian 13 ships .ko.xz)."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        import lzma

        return lzma.decompress(data)
    return data
