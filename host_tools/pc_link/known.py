"""The terminals that this PC knows, by serial number: one file each, written whole or not at all.

An entry is made by pairing only. ``confirmed`` False: the terminal's last word of the pairing
has not come yet (docs/link.md, Pairing, steps 7 and 8).
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from firmware.link import services
from host_tools import folders
from host_tools.errors import UserError
from host_tools.texts import said
from host_tools.whole_file import settle, write

_FOLDER = "terminals"
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Known:
    """A terminal. ``key``: its static key; ``place``: where it was reached last; ``made``: when,
    in Unix seconds."""

    serial: str
    key: bytes
    name: str = ""
    board: str = ""
    roles: tuple[str, ...] = ()
    confirmed: bool = False
    place: str = ""
    usb: str = ""
    made: int = 0

    @property
    def fingerprint(self) -> str:
        """Of its key, as people compare it."""
        return services.fingerprint(self.key)


class KnownTerminals:
    """``folder``: the settings folder, the user's if not given."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or folders.config()) / _FOLDER

    def all(self) -> list[Known]:
        """Every terminal, by serial number. UserError names a file that is damaged."""
        if not self._folder.is_dir():
            return []
        read = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        return sorted(read, key=lambda one: one.serial)

    def get(self, serial: str) -> Known | None:
        """The terminal of that serial number. UserError when its file is damaged."""
        path = self._path(serial)
        if not path.exists():
            return None
        known = _read(path)
        if known.serial != serial:
            raise _damaged(path)
        return known

    def put(self, known: Known) -> None:
        """Keep it; on stable storage when this returns. UserError."""
        path = self._path(known.serial)
        entry = asdict(known)
        entry["key"] = known.key.hex()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(path, json.dumps(entry, indent=1).encode())
        except OSError as error:
            raise UserError(
                said("the terminal cannot be kept in {folder}: {cause}", folder=self._folder,
                     cause=error.strerror)
            ) from None  # fmt: skip

    def change(self, serial: str, **values: Any) -> None:
        """Keep new ``values`` of a terminal that is known, if they are new."""
        known = self.get(serial)
        if known is not None and (changed := replace(known, **values)) != known:
            self.put(changed)

    def remove(self, serial: str) -> bool:
        """Forget it; whether it was known. A damaged file goes as well. UserError."""
        path = self._path(serial)
        try:
            path.unlink()
            settle(self._folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        return True

    def _path(self, serial: str) -> Path:
        """A name that any file system takes, and no two serial numbers share."""
        plain = re.sub(r"[^A-Za-z0-9-]", "_", serial)[:24]
        mark = hashlib.sha256(serial.encode()).hexdigest()[:12]
        return self._folder / f"{plain}-{mark}.json"


def _damaged(path: Path) -> UserError:
    return UserError(
        said("{file}: no entry of a known terminal; remove it and pair that terminal again",
             file=path)
    )  # fmt: skip


def _read(path: Path) -> Known:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(entry, dict):
        raise _damaged(path)
    texts = ("serial", "key", "name", "board", "place", "usb")
    roles = entry.get("roles")
    good = (
        all(isinstance(entry.get(key), str) for key in texts)
        and _KEY.fullmatch(entry["key"]) is not None
        and isinstance(roles, list)
        and all(isinstance(role, str) for role in roles)
        and isinstance(entry.get("confirmed"), bool)
        and isinstance(entry.get("made"), int)
    )
    if not good:
        raise _damaged(path)
    return Known(
        entry["serial"], bytes.fromhex(entry["key"]), entry["name"], entry["board"],
        tuple(entry["roles"]), entry["confirmed"], entry["place"], entry["usb"], entry["made"],
    )  # fmt: skip
