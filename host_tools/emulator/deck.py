"""The deck: virtual cards as data, with the accounts that the test bank keeps for them.

docs/deck.md describes deck.json and keys.json. ``load()`` checks both; what
it gives is plain data, and ``CardSpec.make_card()`` a chip that answers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_tools.emulator import deck_schema as schema
from host_tools.emulator.deck_schema import DeckError

if TYPE_CHECKING:
    from host_tools.emulator.chips.card import Card

FOLDER = Path(__file__).parent / "deck"

__all__ = ["Account", "AppSpec", "CardSpec", "Deck", "DeckError", "load"]


@dataclass(frozen=True)
class Account:
    """What the issuer knows of one application of one card.

    ``expiry`` is YYMM, ``balance`` minor units of ``currency`` (ISO 4217
    numeric), ``imk`` the issuer master keys "ac", "smi" and "smc" (16 bytes
    each), ``host_rule`` None or a table with "kind" (docs/deck.md).
    """

    card: str
    pan: str
    csn: str
    expiry: str
    name: str
    pin: str
    imk_name: str
    imk: dict[str, bytes]
    balance: int
    currency: int
    status: str
    host_rule: dict[str, Any] | None


@dataclass(frozen=True)
class AppSpec:
    """One application of a card: the checked table of deck.json."""

    fields: dict[str, Any]
    account: Account

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    @property
    def aid(self) -> bytes:
        """The ADF name (5 to 16 bytes)."""
        return bytes.fromhex(self.fields["aid"])

    @property
    def pan(self) -> str:
        """The application PAN, digits."""
        return str(self.fields["pan"])

    @property
    def typed(self) -> list[str]:
        """PINs that the cardholder keys, in turn; the right one if not said."""
        typed = self.fields["typed"]
        return [self.fields["pin"]] if typed is None else list(typed)


@dataclass(frozen=True)
class CardSpec:
    """One card of the deck."""

    name: str
    title: dict[str, str]
    fields: dict[str, Any]
    apps: tuple[AppSpec, ...]
    deck: Deck

    @property
    def pan(self) -> str:
        """PAN of the first application."""
        return self.apps[0].pan

    @property
    def pin(self) -> str:
        """The right PIN of the first application."""
        return str(self.apps[0]["pin"])

    @property
    def typed(self) -> list[str]:
        """PINs that the cardholder keys, in turn, for the first application."""
        return self.apps[0].typed

    @property
    def stripe(self) -> str:
        """Track 2 between its sentinels, of the first application."""
        app = self.apps[0]
        return f"{app.pan}={app['expiry'][:4]}{app['service_code']}{'0' * 10}"[:37]

    @property
    def expect(self) -> str:
        """How a sale on an online-only terminal is meant to end (docs/deck.md)."""
        return str(self.fields["expect"])

    def make_card(self) -> Card:
        """A new chip in the state it left the factory in."""
        from host_tools.emulator.personalise import make_card

        return make_card(self)


class Deck:
    """All cards, in the order of the file, with the keys behind them."""

    def __init__(self, table: dict[str, Any], keys: dict[str, Any]) -> None:
        self.keys = keys
        self.cards: dict[str, CardSpec] = {}
        _only(table, "deck.json", {"version", "note", "defaults", "aids", "cards"})
        if table["version"] != 1:
            raise DeckError(f"deck.json: version {table['version']!r}, known is 1")
        defaults = table["defaults"]
        _only(defaults, "deck.json: defaults", {"card", "app", "account", "aid"})
        self._defaults = defaults
        self._aids = [
            schema.check(f"aids[{place}]", aid, schema.AID, defaults["aid"])
            for place, aid in enumerate(_list(table["aids"], "aids"))
        ]
        for entry in _list(table["cards"], "cards"):
            self._add(entry)
        pans = [app.pan for spec in self.cards.values() for app in spec.apps]
        for pan in pans:
            if pans.count(pan) > 1:
                raise DeckError(f"deck.json: PAN ending {pan[-4:]} stands twice")

    def _add(self, entry: Any) -> None:
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            raise DeckError("deck.json: a card without 'id'")
        name = entry["id"]
        where = f"card {name!r}"
        if name in self.cards:
            raise DeckError(f"{where}: the name stands twice")
        rest = {key: value for key, value in entry.items() if key not in ("id", "apps")}
        fields = schema.check(where, rest, schema.CARD, self._defaults["card"])
        apps = _list(entry.get("apps"), f"{where}: apps")
        if not apps:
            raise DeckError(f"{where}: no application")
        specs = tuple(
            self._app(name, f"{where}, application {place}", app) for place, app in enumerate(apps)
        )
        self.cards[name] = CardSpec(name, fields["title"], fields, specs, self)

    def _app(self, card: str, where: str, given: Any) -> AppSpec:
        if not isinstance(given, dict):
            raise DeckError(f"{where}: not a table")
        rest = {key: value for key, value in given.items() if key != "account"}
        fields = schema.check(where, rest, schema.APPLICATION, self._defaults["app"])
        held = schema.check(
            f"{where}, account",
            given.get("account", {}),
            schema.ACCOUNT,
            self._defaults["account"],
        )
        for key, room in (("issuer_key", "issuer"), ("icc_key", "icc"), ("pin_key", "icc")):
            if fields[key] is not None and fields[key] not in self.keys[room]:
                raise DeckError(f"{where}: {key!r} names no key of keys.json: {fields[key]!r}")
        if fields["imk"] not in self.keys["imk"]:
            raise DeckError(f"{where}: 'imk' names no key set of keys.json: {fields['imk']!r}")
        if fields["gpo_format"] not in (77, 80):
            raise DeckError(f"{where}: 'gpo_format' may be 77 or 80")
        imk = {key: bytes.fromhex(value) for key, value in self.keys["imk"][fields["imk"]].items()}
        account = Account(
            card=card,
            pan=fields["pan"],
            csn=fields["csn"],
            expiry=fields["expiry"][:4],
            name=fields["name"],
            pin=fields["pin"] if held["pin"] is None else held["pin"],
            imk_name=fields["imk"],
            imk=imk,
            balance=held["balance"],
            currency=held["currency"],
            status=held["status"],
            host_rule=held["host_rule"],
        )
        return AppSpec(fields, account)

    def accounts(self) -> list[Account]:
        """One account for each application of each card."""
        return [app.account for spec in self.cards.values() for app in spec.apps]

    def aids(self) -> list[dict[str, Any]]:
        """What a terminal is told of each AID; byte strings as bytes, amounts as int."""
        return [
            {
                key: bytes.fromhex(value)
                if key in ("aid", "ddol", "tdol", "version") or key.startswith("tac_")
                else value
                for key, value in aid.items()
            }
            for aid in self._aids
        ]

    def capks(self) -> list[dict[str, Any]]:
        """CA public keys: rid, index, modulus, exponent, sha1, expiry (YYYYMMDD)."""
        rid = bytes.fromhex(self.keys["rid"])
        found = []
        for name, key in self.keys["ca"].items():
            index = int(name, 16)
            modulus = bytes.fromhex(key["n"])
            number = int(key["e"], 16)
            exponent = number.to_bytes((number.bit_length() + 7) // 8, "big")
            digest = hashlib.sha1(rid + bytes([index]) + modulus + exponent).digest()
            found.append(
                {
                    "rid": rid,
                    "index": index,
                    "modulus": modulus,
                    "exponent": exponent,
                    "sha1": digest,
                    "expiry": key["expiry"],
                }
            )
        return found


def _only(table: Any, where: str, keys: set[str]) -> None:
    if not isinstance(table, dict):
        raise DeckError(f"{where}: not a table")
    if set(table) != keys:
        raise DeckError(f"{where}: keys must be {', '.join(sorted(keys))}")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DeckError(f"{where}: not a list")
    return value


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeckError(f"{path.name}: {error}") from error


def load(folder: Path = FOLDER) -> Deck:
    """Read and check deck.json and keys.json. DeckError names what is wrong."""
    keys = _read(folder / "keys.json")
    _only(keys, "keys.json", {"note", "rid", "ca", "issuer", "icc", "imk"})
    return Deck(_read(folder / "deck.json"), keys)
