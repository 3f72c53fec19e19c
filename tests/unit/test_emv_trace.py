"""A terminal's own full trace, replayed: ``till emv replay TRACE``, ``till emv recording``."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from host_tools import emv_replay, emv_trace
from host_tools.commands.emv import app
from host_tools.emv_input import InputError
from tests.device.test_deck import sell
from tests.support import virtual_time
from tests.support.handheld import DECK, Handheld


def traced(cards: Iterable[str]) -> tuple[str, bytes]:
    """The full trace of a sale with each card, and the terminal's bundle."""
    found: list[str] = []
    bundle: list[bytes] = []

    async def story() -> None:
        t = Handheld()
        t.traced, t.full_trace = found, True
        bundle.append(t.disk.snapshot()["bundle.cbor"])
        await t.power_on()
        for card in cards:
            await sell(t, card)
            await t.back_to_idle()
        await t.power_off()

    virtual_time.run(story())
    return "\n".join(found) + "\n", bundle[0]


def replayed(trace: str, bundle: bytes) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(recording, its result) of each sale."""
    given = emv_trace.bundle_keys(bundle, "bundle.cbor")
    tables = emv_trace.recordings(trace.encode(), "trace", given)
    return [(table, emv_replay.replay(table)) for table in tables]


CARDS = (
    "approve", "sda", "cda", "dda-bad", "two-apps", "confirm-app", "no-pse",
    "offline-pin-enciphered", "bypass-allowed", "pin-wrong-once", "host-timeout",
    "script-put-data", "external-auth",
)  # fmt: skip


def assert_agrees(table: dict[str, Any], result: dict[str, Any]) -> None:
    """The replay did and decided what the terminal did and decided."""
    assert result["mismatches"] == [] and result["steps_left"] == 0
    assert {name: result[name] for name in table["expected"]} == table["expected"]
    assert "warnings" not in result


def test_real_sales_replay_to_their_own_verdicts() -> None:
    trace, bundle = traced(CARDS)
    found = replayed(trace, bundle)
    assert len(found) == len(CARDS)
    for table, result in found:
        assert_agrees(table, result)
    assert len({result["tvr"] for _, result in found}) > 4
    assert {result["outcome"] for _, result in found} == {"approved", "declined"}


@pytest.mark.soak
@pytest.mark.parametrize("card", sorted(DECK.cards))
def test_every_card_of_the_deck(card: str) -> None:
    trace, bundle = traced([card])
    if not trace.strip():
        assert card == "mute"
        return
    for table, result in replayed(trace, bundle):  # several where the PIN is asked for again
        ended = table["expected"]["reason"]
        if ended not in ("card_removed", "reader"):
            assert_agrees(table, result)
            continue
        # The command that got no answer stands in no trace.
        assert result["reason"] == "card_removed" and result["tvr"] == table["expected"]["tvr"]
        assert [one["note"] for one in result["mismatches"]] == ["the recording has ended"]


def test_a_card_taken_out_after_the_issuers_answer() -> None:
    [(table, result)] = replayed(*traced(["torn-after-approval"]))
    assert {name: result[name] for name in table["expected"]} == table["expected"]
    assert result["commands"][-1].startswith("80AE")


def test_the_commands_take_a_trace_as_it_is(tmp_path: Path) -> None:
    trace, bundle = traced(["approve", "sda"])
    file, bundle_file = tmp_path / "trace.jsonl", tmp_path / "bundle.cbor"
    file.write_text(trace)
    bundle_file.write_bytes(bundle)
    run = CliRunner().invoke
    given = ["--bundle", str(bundle_file)]
    last = json.loads(run(app, ["replay", "--json", str(file), *given]).stdout)
    assert (last["reason"], last["mismatches"]) == ("online_approved", [])
    assert last.pop("warnings") == [
        "the trace holds 2 sales, this is the last; till emv recording gives each"
    ]
    made = run(app, ["recording", str(file), *given])
    assert made.exit_code == 0 and len(made.stdout.splitlines()) == 2
    lines = run(app, ["replay", "--lines"], input=made.stdout).stdout.splitlines()
    assert json.loads(lines[1]) == last and json.loads(lines[0])["mismatches"] == []
    assert "online_approved" in run(app, ["replay", str(file), *given]).stdout
    # Without the bundle there are no CA keys: the sale is another's, and says so.
    bare = json.loads(run(app, ["replay", "--json", str(file)]).stdout)
    assert bare["aid"] == last["aid"] and bare["mismatches"] and bare["tvr"] != last["tvr"]
    # A recording gets from the bundle what it lacks, by line too.
    without = run(app, ["recording", str(file)]).stdout
    lines = run(app, ["replay", "--lines", *given], input=without).stdout.splitlines()
    assert json.loads(lines[1]) == last


def test_traces_and_bundles_that_cannot_be_used(tmp_path: Path) -> None:
    entry = {"t": "apdu", "c": "00A4040007A0000003330101", "r": "6F00", "sw": "9000", "us": 1}
    for changed, words in (
        ({"r": "5A08******"}, "line 2: r: masked; a replay needs a full trace"),
        ({"c": "80A80000******"}, "line 2: c: masked"),
        ({"sw": None}, "line 2: sw: a text"),
    ):
        lines = [json.dumps(one) for one in ({"t": "rule"}, entry | changed)]
        with pytest.raises(InputError, match="trace, " + words):
            emv_trace.recordings("\n".join(lines).encode(), "trace", {})
    with pytest.raises(InputError, match="no command to a card"):
        emv_trace.recordings(b'{"t": "outcome"}\n', "trace", {})
    with pytest.raises(InputError, match="line 2: not JSON"):
        emv_trace.recordings(json.dumps(entry).encode() + b"\n{", "trace", {})
    with pytest.raises(InputError, match="one entry of a trace"):
        emv_replay.replay(entry)
    file = tmp_path / "bundle.cbor"
    for content in (b"", b"\x82\x41\xa0\x40", b"\xf6", b"\x82\x01\x02", b"\x80"):
        file.write_bytes(content)
        run = CliRunner().invoke(app, ["replay", "--json", "-", "--bundle", str(file)], input="{}")
        assert run.exit_code == 1
        assert "bundle.cbor: no provisioning bundle" in json.loads(run.stdout)["error"]


def test_mutated_traces_and_bundles_end_in_a_result_or_a_named_error() -> None:
    trace, bundle = traced(["offline-pin"])
    source = random.Random(8)
    ends = {"result": 0, "error": 0}
    for _ in range(150):
        lines, data = trace.encode().splitlines(), bytearray(bundle)
        for at in (source.randrange(len(lines)), source.randrange(len(lines))):
            line = bytearray(lines[at])
            line[source.randrange(len(line))] = source.choice(b'0123456789ABCDEF"{},:')
            lines[at] = bytes(line)
        if source.random() < 0.3:
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        try:
            given = emv_trace.bundle_keys(bytes(data), "bundle.cbor")
            for table in emv_trace.recordings(b"\n".join(lines), "trace", given):
                json.dumps(emv_replay.replay(table))
            ends["result"] += 1
        except InputError as error:
            assert len(str(error)) > 5
            ends["error"] += 1
    assert min(ends.values()) > 20


def test_a_sale_without_an_end_does_not_run_into_the_next() -> None:
    def apdu(command: str) -> str:
        return json.dumps({"t": "apdu", "c": command, "r": "", "sw": "6A82"})

    pse = "00A404000E315041592E5359532E444446303100"
    one = [apdu(pse), apdu("00A4040007A000000333010100"), apdu("80A8000002830000")]
    found = emv_trace.recordings("\n".join(one + one).encode(), "trace", {})
    assert [len(table["steps"]) for table in found] == [3, 3]
    assert found[0]["steps"][0] == {"c": pse, "r": "6A82"}
