"""The kernel's trace of a sale: what it says, when it leaves, what is never in it."""

import json
import re
from typing import Any

import pytest

from firmware import main
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.vault import SlotStatus
from tests.support import virtual_time
from tests.support.handheld import Handheld

PIN = "1234"


def set_bits(entries: list[dict[str, Any]], word: str) -> str:
    """The word that the trace's bits of it make, as hex."""
    value = bytearray(5 if word == "TVR" else 2)
    for entry in entries:
        if entry["t"] == "bit" and entry["word"] == word:
            value[entry["byte"] - 1] |= 1 << (entry["bit"] - 1)
    return value.hex().upper()


async def sale(t: Handheld, card: str) -> list[dict[str, Any]]:
    """One sale to its end; the trace's entries."""
    await t.power_on()
    await t.pay("1234", card)
    await t.back_to_idle()
    assert t.traced is not None
    return [json.loads(line) for line in t.traced]


@pytest.mark.parametrize("card", ["approve", "sda", "dda", "no-oda", "expired", "offline-pin"])
def test_the_bits_of_the_trace_are_those_of_the_slip(card: str) -> None:
    async def story() -> None:
        t = Handheld()
        t.traced = []
        entries = await sale(t, card)
        found = re.search(r"TVR: ([0-9A-F]{10})", t.paper)
        assert found, t.paper
        outcome = entries[-1]
        assert outcome["t"] == "outcome"
        assert set_bits(entries, "TVR") == outcome["tvr"] == found.group(1)
        tsi = re.search(r"TSI: ([0-9A-F]{4})", t.paper)
        assert tsi and set_bits(entries, "TSI") == tsi.group(1)
        assert all(entry["rule"] for entry in entries if entry["t"] in ("rule", "bit"))
        text = "\n".join(t.traced)
        spec = t.deck.cards[card]
        for secret in (spec.pan, spec.pan.encode().hex().upper(), PIN.encode().hex()):
            assert secret not in text
        for app in spec.apps:
            assert app.pan not in text
        for entry in entries:
            if entry["t"] == "apdu" and entry["c"][2:4] == "20":
                assert len(entry["c"]) == 8  # the header of VERIFY
        await t.power_off()

    virtual_time.run(story())


def test_a_step_is_told_when_it_ends() -> None:
    async def story() -> None:
        t = Handheld()
        t.traced = []
        await t.power_on()
        await t.press("1", "2", "3")
        await t.until("amount")
        await t.press("enter")
        await t.until("present_card")
        t.insert("approve")
        await t.until("pin")
        kinds = [json.loads(line)["t"] for line in t.traced]
        assert {"apdu", "stage", "bit"} <= set(kinds) and "outcome" not in kinds
        told = len(kinds)
        await t.press(*PIN, "enter")
        await t.until("result")
        kinds = [json.loads(line)["t"] for line in t.traced]
        assert "outcome" not in kinds[:told] and kinds.count("outcome") == 1
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("test_keys", [True, False])
def test_a_full_trace_needs_test_keys_alone(
    test_keys: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = SoftVault.status

    async def status(vault: SoftVault) -> dict[str, SlotStatus]:
        """The slots, as if the acquirer's key were no test key."""
        slots = await honest(vault)
        slots["tmk"].test = slots["tmk"].test and test_keys
        return slots

    async def story() -> None:
        t = Handheld()
        t.traced, t.full_trace = [], True
        await t.power_on()
        monkeypatch.setattr(SoftVault, "status", status)
        await t.pay("1234", "approve")
        text = "\n".join(t.traced)
        assert (t.deck.cards["approve"].pan in text) is test_keys
        await t.power_off()

    virtual_time.run(story())


def test_without_a_debug_link_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from firmware.app import sale as flow

    made: list[Any] = []

    class Watched(flow.Trace):  # type: ignore[name-defined, misc]
        def __init__(self, *values: Any, **more: Any) -> None:
            super().__init__(*values, **more)
            made.append(self)

    async def story() -> None:
        monkeypatch.setattr(flow, "Trace", Watched)
        t = Handheld()
        await t.power_on()
        await t.pay("1234", "approve")
        assert "result.approved" in t.keys_shown()
        assert [trace.entries for trace in made] == [[]]
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("words", [["--trace", "all"], ["--trace"], ["--trace", "full", "x"]])
def test_a_trace_that_there_is_not_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--board", "b", "--data", "d", "--wire", "w", *words])
    assert ended.value.code == main.USAGE
    assert "[--trace masked|full]" in capsys.readouterr().err
