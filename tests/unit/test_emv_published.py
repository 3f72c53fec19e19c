"""What others published: card sessions, certificates and a message, against our tools.

The verdicts are theirs: TVR, TSI and CVM results stand in the data that their
terminals sent to the card. docs/emv-disagreements.md says where we differ.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from host_tools import emv_oda, emv_replay
from host_tools.decoders import iso8583

PUBLISHED = json.loads(Path(__file__).with_name("published_emv.json").read_text("utf-8"))


_SIGNED = (("90", "issuer"), ("9F46", "icc"), ("93", "sda"), ("9F4B", "dda"), ("9F4B", "cda"))


def _source(entry: dict[str, Any]) -> str:
    return str(entry["source"].rsplit("/", 1)[-1])


@pytest.mark.parametrize("entry", PUBLISHED["recordings"], ids=_source)
def test_a_published_session_replays_to_its_own_verdicts(entry: dict[str, Any]) -> None:
    case = entry["case"]
    result = emv_replay.replay(case | {"capks": PUBLISHED["capks"]})
    assert {name: result[name] for name in entry["expected"]} == entry["expected"]
    assert result["steps_left"] == 0
    sent = [command for command in result["commands"] if command[2:4] == "AE"]
    recorded = [step["c"] for step in case["steps"] if step["c"][2:4] == "AE"]
    # One of the terminals drew a second unpredictable number for GENERATE AC,
    # and none of them said Le.
    ours = [command[:-2].replace(case["random"], entry["unpredictable_number"]) for command in sent]
    assert len(ours) == 2
    for mine, theirs in zip(ours, recorded, strict=True):
        assert theirs in (mine, mine + "00")


@pytest.mark.parametrize("entry", PUBLISHED["recordings"], ids=_source)
def test_what_is_not_given_is_read_off_the_recording(entry: dict[str, Any]) -> None:
    case = entry["case"]
    bare: dict[str, Any] = {name: case[name] for name in ("interface", "steps", "aids", "host")}
    bare["terminal"] = {"9F33": case["terminal"]["9F33"]}
    result = emv_replay.replay(bare | {"capks": PUBLISHED["capks"]})
    assert {name: result[name] for name in entry["expected"]} == entry["expected"]


@pytest.mark.parametrize("entry", PUBLISHED["certificates"], ids=_source)
def test_published_certificates_and_signatures_open(entry: dict[str, Any]) -> None:
    case = entry["case"]
    wanted = case["rid"], case["capk"]["index"]
    [key] = [key for key in PUBLISHED["capks"] if (key["rid"], key["index"]) == wanted]
    result = emv_oda.check(case | {"capk": key})
    for step, expected in entry["expected"].items():
        assert {name: result[step][name] for name in expected} == expected
    for step, end in entry["modulus_ends"].items():
        assert result[step]["modulus"].endswith(end)
    # One bit of any certificate or signature, and its step fails.
    for tag, step in _SIGNED:
        if tag in case["tags"]:
            value = bytearray.fromhex(case["tags"][tag])
            value[-1] ^= 1
            bad = case | {"capk": key, "tags": case["tags"] | {tag: value.hex()}}
            assert set(emv_oda.check(bad)[step]) == {"valid", "reason", "clause"}


@pytest.mark.parametrize("entry", PUBLISHED["messages"], ids=_source)
def test_a_published_message_reads_as_its_author_reads_it(entry: dict[str, Any]) -> None:
    document = iso8583.decode(entry["frame"], mask=False)
    assert {name: document["fields"][name] for name in entry["expected"]} == entry["expected"]
    assert iso8583.encode(document).hex().upper() == entry["frame"]
