"""The PC's own key of the link: in the system's keyring, else in a file of its owner.

``pc-key.json`` in the settings folder says where the key is, and its public half. It is
made once, at the first use; two programs that make it at the same moment end with one. A key
that is there and cannot be had is an error, never a reason for a new one: every terminal would
see a stranger.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from firmware.crypto.x25519 import SIZE, KeyPair
from host_tools import folders
from host_tools.errors import UserError
from host_tools.texts import said

FILE = "pc-key.json"
#: The keyring's name of us.
_SERVICE = "opentill"
_KEYRING, _IN_FILE = "keyring", "file"
_OTHERS = 0o077
#: Keyrings that keep nothing, or keep it in the clear where the file does better.
_NOT_SAFE = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")


def load(folder: Path | None = None, keyring: Any = None) -> KeyPair:
    """The PC's key; made if there is none. UserError when it is there and cannot be had.
    ``keyring``: another module than the package ``keyring``."""
    place = (folder or folders.config()) / FILE
    if not place.exists():
        _make(place, keyring)
    entry = _entry(place)
    if entry["where"] == _IN_FILE:
        _only_owner(place)
        private = entry["private"]
    else:
        private = _from_keyring(entry["public"], keyring)
    try:
        raw = base64.b64decode(private, validate=True)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != SIZE or (pair := KeyPair(raw)).public.hex() != entry["public"]:
        raise UserError(
            said("{file}: the PC's key is damaged; put back your copy of it, or remove the file "
                 "and pair every terminal again", file=place)
        )  # fmt: skip
    return pair


def _entry(place: Path) -> dict[str, str]:
    try:
        entry = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None
    except ValueError:
        entry = None
    known = isinstance(entry, dict) and entry.get("where") in (_KEYRING, _IN_FILE)
    if not known or not all(isinstance(value, str) for value in entry.values()):
        raise UserError(
            said("{file}: the PC's key is damaged; put back your copy of it, or remove the file "
                 "and pair every terminal again", file=place)
        )  # fmt: skip
    return {"public": "", "private": "", **entry}


def _make(place: Path, keyring: Any) -> None:
    raw = secrets.token_bytes(SIZE)
    public = KeyPair(raw).public.hex()
    private = base64.b64encode(raw).decode()
    if _kept(public, private, keyring):
        entry = {"where": _KEYRING, "public": public}
    else:
        entry = {"where": _IN_FILE, "public": public, "private": private}
    made = place.with_name(f"{FILE}.{secrets.token_hex(8)}")
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                if sys.platform == "win32":
                    _owner_only(made)
                json.dump(entry, file)
                file.flush()
                os.fsync(file.fileno())
            _first(made, place)
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            said("the PC's key cannot be kept in {folder}: {cause}", folder=place.parent,
                 cause=error.strerror)
        ) from None  # fmt: skip


def _first(made: Path, place: Path) -> None:
    """Give it its name, unless another was quicker."""
    try:
        if sys.platform == "win32":
            os.rename(made, place)  # refuses there what exists
        else:
            os.link(made, place)
    except FileExistsError:
        return


def _owner_only(path: Path) -> None:
    """Windows: inherit no rights, the owner alone has them. OSError."""
    user = os.environ.get("USERNAME", "")
    words = ["icacls", str(path), "/inheritance:r", "/grant:r", f"{user}:F"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.returncode, f"icacls ended with code {done.returncode}")


def _only_owner(place: Path) -> None:
    if os.name != "posix":
        return
    seen = place.stat()
    if seen.st_mode & _OTHERS or seen.st_uid != os.geteuid():
        raise UserError(
            said("{file} can be read by others; if nobody did, type: chmod 600 {file} - else "
                 "remove it, and pair every terminal again", file=place)
        )  # fmt: skip


def _usable(keyring: Any) -> Any:
    """The package ``keyring`` if it keeps secrets here; None where there is none that does."""
    if keyring is None:
        if folders.portable():
            return None
        try:
            import keyring
        except ImportError:
            return None
    backend = keyring.get_keyring()
    for one in getattr(backend, "backends", [backend]):
        if not type(one).__module__.startswith(_NOT_SAFE) and one.priority > 0:
            return keyring
    return None


def _kept(public: str, private: str, keyring: Any) -> bool:
    """Whether the keyring took it, and gives it back."""
    usable = _usable(keyring)
    if usable is None:
        return False
    try:
        usable.set_password(_SERVICE, public, private)
        return bool(usable.get_password(_SERVICE, public) == private)
    except Exception as error:  # noqa: BLE001 - back ends raise what they like; the file serves
        print(said("the system's keyring is not used: {cause}", cause=error), file=sys.stderr)
        return False


def _from_keyring(public: str, keyring: Any) -> str:
    usable = _usable(keyring)
    cause = ""
    if usable is not None:
        try:
            private = usable.get_password(_SERVICE, public)
        except Exception as error:  # noqa: BLE001 - back ends raise what they like
            private, cause = None, f" ({error})"
        if private:
            return str(private)
    raise UserError(
        said("the PC's key is in the system's keyring, which does not give it{cause}; unlock the "
             "keyring, or log in at the desktop, and try again", cause=cause)
    )  # fmt: skip
