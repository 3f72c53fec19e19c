"""The deck: complete, checked, and refused by name when it is wrong."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host_tools.emulator import card_certificates, deck
from host_tools.emulator.chips.card_rsa import RsaKey
from host_tools.emulator.deck_schema import DeckError, fault_is_valid, luhn

DECK = deck.load()
TABLE = json.loads((deck.FOLDER / "deck.json").read_text(encoding="utf-8"))

#: What a deck must have, each as the name of the card that is it.
WANTED = [
    "approve",
    "decline",
    "host-timeout",
    "sda",
    "dda",
    "cda",
    "sda-bad",
    "dda-bad",
    "cda-bad",
    "expired",
    "app-blocked",
    "two-apps",
    "offline-pin",
    "offline-pin-enciphered",
    "online-pin",
    "signature",
    "no-cvm",
    "bypass-allowed",
    "bypass-forbidden",
    "last-try",
    "pin-blocked-in-entry",
    "pin-wrong-host",
    "host-yes-card-no",
    "torn-after-approval",
    "torn-at-apdu",
    "mute",
    "garbled-tlv",
]


def test_every_card_that_was_asked_for_is_there() -> None:
    assert [name for name in WANTED if name not in DECK.cards] == []


def test_every_card_can_be_made_and_answers_to_reset() -> None:
    for spec in DECK.cards.values():
        card = spec.make_card()
        assert bool(card.power_on()) == (not spec.fields["mute"])


def test_a_card_is_signed_once_by_each_key_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What making one costs is its signatures: CA, issuer, no more, and none again."""
    signed: list[int] = []

    def counted(key: RsaKey, data: bytes) -> bytes:
        signed.append(key.n)
        return power(key, data)

    power = RsaKey.private
    card_certificates._signed.cache_clear()
    monkeypatch.setattr(RsaKey, "private", counted)
    DECK.cards["cda-large"].make_card()
    assert len(signed) == len(set(signed)) == 2
    DECK.cards["cda-large"].make_card()
    assert len(signed) == 2


def test_accounts() -> None:
    accounts = DECK.accounts()
    assert len(accounts) == sum(len(spec.apps) for spec in DECK.cards.values())
    assert len({account.pan for account in accounts}) == len(accounts)
    for account in accounts:
        assert luhn(account.pan) and account.pan.startswith("629999")
        assert len(account.expiry) == 4
        assert set(account.imk) == {"ac", "smi", "smc"}
        assert all(len(key) == 16 for key in account.imk.values())


def test_aids_are_ready_for_a_terminal() -> None:
    aids = DECK.aids()
    assert {aid["aid"][:5].hex() for aid in aids} == {"a000000333"}
    assert all(len(aid[f"tac_{kind}"]) == 5 for aid in aids for kind in ("default", "online"))
    assert all(isinstance(aid["floor_limit"], int) for aid in aids)


def test_typed_pins() -> None:
    assert DECK.cards["approve"].typed == ["1234"]
    assert DECK.cards["bypass-allowed"].typed == []
    assert DECK.cards["pin-wrong-host"].typed == ["9999", "1234"]


def test_luhn() -> None:
    assert luhn("4111111111111111") and not luhn("4111111111111112")


Change = Callable[[dict[str, Any]], Any]

WRONG: list[tuple[Change, str]] = [
    (lambda t: t.update(version=2), "version 2"),
    (lambda t: t.pop("aids"), "keys must be"),
    (lambda t: t["cards"].append([]), "without 'id'"),
    (lambda t: t["cards"].append(t["cards"][0]), "'approve': the name stands twice"),
    (lambda t: t["cards"][0].pop("apps"), "'approve': apps: not a list"),
    (lambda t: t["cards"][0].update(apps=[]), "'approve': no application"),
    (lambda t: t["cards"][0].update(colour="red"), "unknown key 'colour'"),
    (lambda t: t["cards"][0].update(protocol=2), "'protocol' may not be 2"),
    (lambda t: t["cards"][0].update(protocol=True), "'protocol' may not be True"),
    (lambda t: t["cards"][0]["apps"][0].update(pan="6299990000000000013"), "'pan' may not be"),
    (lambda t: t["cards"][0]["apps"][0].update(pin="12"), "'pin' may not be '12'"),
    (lambda t: t["cards"][0]["apps"][0].update(expiry="351331"), "'expiry' may not be"),
    (lambda t: t["cards"][0]["apps"][0].update(icc_key="x"), "'icc_key' names no key"),
    (lambda t: t["cards"][0]["apps"][0].update(imk="x"), "'imk' names no key set"),
    (lambda t: t["cards"][0]["apps"][0].update(gpo_format=78), "'gpo_format' may be 77 or 80"),
    (lambda t: t["cards"][0]["apps"][0].update(cvm=[["guess", "always", "fail"]]), "'cvm'"),
    (lambda t: t["cards"][0]["apps"][0].update(account={"balance": -1}), "'balance' may not be -1"),
    (lambda t: t["cards"][0]["apps"][0].update(account={"balance": 1.5}), "'balance' may not be"),
    (
        lambda t: t["cards"][0]["apps"][0].update(account={"host_rule": {"kind": "smile"}}),
        "'host_rule'",
    ),
    (lambda t: t["cards"][0].update(faults=[{"kind": "torn"}]), "'faults'"),
    (lambda t: t["cards"][1]["apps"][0].update(pan="6299990000000000012"), "stands twice"),
    (lambda t: t["defaults"]["app"].pop("label"), "'label' is missing"),
    (lambda t: t["aids"][0].update(tac_denial="00"), r"aids\[0\]: 'tac_denial'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_deck_is_refused_by_name(change: Change, message: str, tmp_path: Path) -> None:
    table = copy.deepcopy(TABLE)
    change(table)
    shutil.copy(deck.FOLDER / "keys.json", tmp_path)
    (tmp_path / "deck.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DeckError, match=message):
        deck.load(tmp_path)


def test_absent_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(DeckError, match=r"keys\.json"):
        deck.load(tmp_path)
    shutil.copy(deck.FOLDER / "keys.json", tmp_path)
    (tmp_path / "deck.json").write_text("{", encoding="utf-8")
    with pytest.raises(DeckError, match=r"deck\.json"):
        deck.load(tmp_path)


@pytest.mark.parametrize(
    ("fault", "valid"),
    [
        ({"at": 3, "kind": "torn"}, True),
        ({"ins": "AE", "nth": 2, "kind": "late", "ms": 5}, True),
        ({"ins": "AE", "kind": "sw", "sw": "6985"}, True),
        ({"at": 3, "ins": "AE", "kind": "torn"}, False),
        ({"at": 3, "nth": 2, "kind": "torn"}, False),
        ({"at": 3, "kind": "sw"}, False),
        ({"at": 3, "kind": "torn", "ms": 4}, False),
        ({"at": -1, "kind": "torn"}, False),
        ([], False),
    ],
)
def test_faults(fault: Any, valid: bool) -> None:
    assert fault_is_valid(fault) is valid
