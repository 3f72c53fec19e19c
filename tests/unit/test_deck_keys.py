"""The generator of the deck's keys makes what the deck can read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from host_tools.emulator import deck, make_deck_keys
from host_tools.emulator.chips.card_rsa import RsaKey


def test_generated_keys_carry_a_deck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "keys.json"
    monkeypatch.setattr(sys, "argv", ["make_deck_keys", str(target)])
    assert make_deck_keys.main() == 0
    (tmp_path / "deck.json").write_bytes((deck.FOLDER / "deck.json").read_bytes())
    made = deck.load(tmp_path)
    published = deck.load()
    assert made.keys["note"] == published.keys["note"]
    assert made.capks()[0]["modulus"] != published.capks()[0]["modulus"]
    for room in ("ca", "issuer", "icc"):
        assert set(made.keys[room]) == set(published.keys[room])
        for name, table in made.keys[room].items():
            key = RsaKey.from_hex(table)
            assert key.n.bit_length() == table["bits"] == published.keys[room][name]["bits"]
            assert key.p * key.q == key.n
    for key in json.loads(target.read_text())["imk"]["upi-test"].values():
        assert all(byte.bit_count() % 2 for byte in bytes.fromhex(key))
    assert made.cards["cda"].make_card().power_on()


def test_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["make_deck_keys"])
    assert make_deck_keys.main() == 2
    assert "usage" in capsys.readouterr().err
