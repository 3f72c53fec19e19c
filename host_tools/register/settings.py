"""``register.toml``: what listens where, and who may connect (docs/register.md)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.register import guard
from host_tools.register.concert import ConcertRules
from host_tools.register.guard import Place
from host_tools.register.nexo import sealed
from host_tools.register.nexo.certificate import SERVER_FILE
from host_tools.register.nexo.server import Client
from host_tools.register.nexo.station import Speaker
from host_tools.texts import said

FILE = "register.toml"
NEXO, CONCERT, CAISSE, MIS = "nexo", "concert", "caisse_ap", "mis"
#: Shorter secrets are guessed: characters of a passphrase or API key.
LEAST_SECRET = 16

_KEYS: dict[str, dict[str, type]] = {
    "": {"terminal": str, NEXO: dict, CONCERT: dict, CAISSE: dict, MIS: dict},
    NEXO: {"listen": str, "clients": list, "poi": str, "certificate": str, "register": list},
    "nexo.register": {
        "name": str, "sale_ids": list, "key": str, "version": int, "passphrase": str,
        "api_key": str,
    },
    CONCERT: {"port": str, "baud": int, "frame": str, "at_once": bool, "authorisation": bool},
    CAISSE: {"listen": str, "clients": list, "plain_network": bool},
    MIS: {"listen": str, "clients": list, "plain_network": bool},
}  # fmt: skip


@dataclass(frozen=True)
class NexoSettings:
    """The nexo port."""

    place: Place
    certificate: Path
    clients: tuple[Client, ...]
    poi: str = ""


@dataclass(frozen=True)
class ConcertSettings:
    """The Concert cable."""

    port: str
    baud: int = 9600
    frame: str = "8N1"
    rules: ConcertRules = field(default_factory=ConcertRules)


@dataclass(frozen=True)
class RegisterSettings:
    """What is set up; None: not at all. ``terminal``: as on a command line, "" for the only one."""

    terminal: str = ""
    nexo: NexoSettings | None = None
    concert: ConcertSettings | None = None
    caisse_ap: Place | None = None
    mis: Place | None = None

    def names(self) -> list[str]:
        """The adapters that are set up."""
        return [name for name in (NEXO, CONCERT, CAISSE, MIS) if getattr(self, name) is not None]


def load(path: Path) -> RegisterSettings:
    """The file's settings, everything checked. UserError names what is wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(
            said("{path}: {error}; till register setup makes one", path=path, error=error.strerror)
        ) from None
    try:
        value = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(said("{path} is no TOML: {error}", path=path, error=error)) from None
    try:
        return read(value, path.parent)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read(value: Mapping[str, Any], folder: Path) -> RegisterSettings:
    """Settings from the file's tables; its paths are beside it. UserError."""
    _check(value, "")
    return RegisterSettings(
        value.get("terminal", ""),
        _nexo(value[NEXO], folder) if NEXO in value else None,
        _concert(value[CONCERT]) if CONCERT in value else None,
        plain_place(CAISSE, value[CAISSE]) if CAISSE in value else None,
        plain_place(MIS, value[MIS]) if MIS in value else None,
    )


def plain_place(name: str, value: Mapping[str, Any]) -> Place:
    """Where a plain text protocol listens: this computer, or what ``plain_network`` allows."""
    _check(value, name)
    default = "127.0.0.1:9001" if name == MIS else "127.0.0.1:8888"
    return guard.place_of(
        name,
        value.get("listen", default),
        value.get("clients", []),
        plain=True,
        network=value.get("plain_network", False),
    )


def _nexo(value: Mapping[str, Any], folder: Path) -> NexoSettings:
    _check(value, NEXO)
    place = guard.place_of(
        NEXO, value.get("listen", "127.0.0.1:8443"), value.get("clients", []), plain=False
    )
    clients = tuple(_client(one) for one in value.get("register", []))
    keys = [(client.key.identifier, client.key.version) for client in clients if client.key]
    secrets = [client.api_key for client in clients if client.api_key]
    if len(set(keys)) != len(keys) or len(set(secrets)) != len(secrets):
        raise UserError(said("[[nexo.register]] each register has a key of its own"))
    if not clients:
        raise UserError(said("[[nexo.register]] is missing: name each register with its key"))
    return NexoSettings(
        place, folder / value.get("certificate", SERVER_FILE), clients, value.get("poi", "")
    )


def _client(value: Any) -> Client:
    where = "nexo.register"
    _check(value, where)
    speaker = Speaker(value.get("name", ""), tuple(value.get("sale_ids", [])))
    passphrase, api_key = value.get("passphrase", ""), value.get("api_key", "")
    if bool(passphrase) == bool(api_key):
        raise UserError(
            said("[[nexo.register]] has a passphrase with its key, or an api_key to speak plain")
        )
    if len(passphrase or api_key) < LEAST_SECRET:
        raise UserError(
            said(
                "[[nexo.register]] passphrases and api_keys have at least {least} characters",
                least=LEAST_SECRET,
            )
        )
    if api_key:
        return Client(speaker, None, api_key)
    if not value.get("key"):
        raise UserError(said("[[nexo.register]] lacks its key: the KeyIdentifier"))
    return Client(speaker, sealed.key_of(value["key"], value.get("version", 1), passphrase))


def _concert(value: Mapping[str, Any]) -> ConcertSettings:
    _check(value, CONCERT)
    if not value.get("port"):
        raise UserError(said("[concert] lacks its port, such as /dev/ttyUSB0 or COM3"))
    rules = ConcertRules(value.get("at_once", False), value.get("authorisation", False))
    return ConcertSettings(value["port"], value.get("baud", 9600), value.get("frame", "8N1"), rules)


def _check(value: Any, where: str) -> None:
    """UserError: a key that there is not, or of another kind."""
    known = _KEYS[where]
    if not isinstance(value, Mapping):
        raise UserError(said("[{name}] is no table", name=where))
    for key, part in value.items():
        if key not in known:
            raise UserError(
                said(
                    "[{name}] has no {key}; known: {known}",
                    name=where,
                    key=key,
                    known=", ".join(known),
                )
            )
        right = type(part) is known[key]
        if right and isinstance(part, list) and where + key != "nexoregister":
            right = all(isinstance(one, str) for one in part)
        if not right:
            raise UserError(said("[{name}] {key} is of another kind", name=where, key=key))
