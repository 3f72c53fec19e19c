"""Tokens of the REST API: each client has one, which says what it may do.

A token is ``ot_ID_SECRET``. The file beside register.toml keeps a salted scrypt hash of the
secret, so that who reads the file can do nothing with it.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from host_tools import whole_file
from host_tools.errors import UserError
from host_tools.texts import said

FILE = "api-tokens.json"
#: What a token may: begin and take back payments; read payments and reports.
START, READ = "start", "read"
RIGHTS = (START, READ)
VERSION = 1
MOST_NAME, MOST_TOKENS = 36, 100
_PREFIX, _LEAST, _MOST = "ot_", 40, 100
#: scrypt: 16 MiB and some 50 ms a guess.
_COST, _BLOCK, _LANES, _MEMORY = 1 << 14, 8, 1, 1 << 26


@dataclass(frozen=True)
class Token:
    """A client's token as the file has it. ``made``: Unix seconds."""

    name: str
    may: tuple[str, ...]
    id: str
    salt: str
    hash: str
    made: int


class Tokens:
    """The tokens of a file; one that another command changes is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int, int] | None = None
        self._tokens: list[Token] = []
        #: SHA-256 of what was found right: scrypt is not for every request.
        self._right: dict[bytes, Token] = {}

    def all(self) -> list[Token]:
        """Those that are valid. UserError: the file cannot be used."""
        self._refresh()
        return list(self._tokens)

    def add(self, name: str, may: Sequence[str], now: int | None = None) -> str:
        """Make a client's token; it is nowhere else. UserError."""
        whole = name.isascii() and name.isprintable() and name == name.strip()
        if not name or not whole or len(name) > MOST_NAME:
            raise UserError(said("a client's name is 1 to 36 letters, digits and signs"))
        unknown = [right for right in may if right not in RIGHTS]
        if unknown or not may:
            raise UserError(said("a token may: {rights}", rights=", ".join(RIGHTS)))
        known = self.all()
        if any(token.name == name for token in known):
            raise UserError(said("{name} has a token; revoke it first", name=name))
        if len(known) >= MOST_TOKENS:
            raise UserError(said("there are {count} tokens; revoke one", count=len(known)))
        identifier, salt = secrets.token_hex(4), secrets.token_bytes(16)
        secret = secrets.token_urlsafe(32)
        rights = tuple(right for right in RIGHTS if right in may)
        made = int(time.time()) if now is None else now
        token = Token(name, rights, identifier, salt.hex(), _hash(secret, salt).hex(), made)
        self._write([*known, token])
        return f"{_PREFIX}{identifier}_{secret}"

    def revoke(self, name: str) -> None:
        """End a client's token; a server that runs refuses it at once. UserError."""
        known = self.all()
        left = [token for token in known if token.name != name]
        if len(left) == len(known):
            raise UserError(said("no client {name} has a token", name=repr(name)[:50]))
        self._write(left)

    def quick(self, text: str) -> Token | None:
        """The token ``text`` when it was found right before. UserError."""
        self._refresh()
        return self._right.get(hashlib.sha256(text.encode()).digest())

    def slow(self, text: str) -> Token | None:
        """The token ``text``, or None when it is none of ours. UserError."""
        self._refresh()
        if not text.startswith(_PREFIX) or not _LEAST <= len(text) <= _MOST:
            return None
        identifier, _, secret = text.removeprefix(_PREFIX).partition("_")
        for token in self._tokens:
            if token.id == identifier:
                right = _hash(secret, bytes.fromhex(token.salt))
                if hmac.compare_digest(right, bytes.fromhex(token.hash)):
                    self._right[hashlib.sha256(text.encode()).digest()] = token
                    return token
        return None

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._tokens, self._right, self._read_at = [], {}, None
            return
        except OSError as error:
            raise self._unusable(error.strerror or "") from None
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen == self._read_at:
            return
        if os.name == "posix" and found.st_mode & 0o077:
            raise self._unusable(said("others can read it; type: chmod 600 FILE"))
        try:
            value: Any = json.loads(self._path.read_bytes())
            if value["version"] != VERSION:
                raise ValueError("version")
            tokens = [Token(**{**one, "may": tuple(one["may"])}) for one in value["tokens"]]
            for token in tokens:
                bytes.fromhex(token.salt + token.hash)
        except OSError as error:
            raise self._unusable(error.strerror or "") from None
        except (ValueError, TypeError, LookupError):
            raise self._unusable(said("it is damaged")) from None
        self._tokens, self._right, self._read_at = tokens, {}, seen

    def _write(self, tokens: list[Token]) -> None:
        value = {"version": VERSION, "tokens": [asdict(token) for token in tokens]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            whole_file.write(self._path, json.dumps(value, indent=1).encode(), private=True)
        except OSError as error:
            raise self._unusable(error.strerror or "") from None
        self._read_at = None

    def _unusable(self, why: str) -> UserError:
        return UserError(said("{path}: the tokens cannot be used: {why}", path=self._path, why=why))


def _hash(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=32
    )
