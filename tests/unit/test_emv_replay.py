"""``till emv replay`` and ``till emv oda`` on recordings made here, and on bad files."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firmware.payment.emv import tlv
from host_tools import emv_oda, emv_recording, emv_replay
from host_tools.commands.emv import app
from host_tools.emv_input import InputError, parse
from tests.portable import emv_card
from tests.support.emv_recorder import Recorder, oda_case, recorded

_AID = {"aid": "A000000333"}


@pytest.mark.parametrize("method", ["", "SDA", "DDA", "CDA"])
def test_a_recording_replays_without_a_mismatch(method: str) -> None:
    case = recorded(Recorder(method))
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved"
    assert result["mismatches"] == []
    assert result["steps_left"] == 0
    assert result["aid"] == emv_card.AID.hex().upper()
    assert result["tvr"] == (
        "0200048000" if method == "SDA" else "0000048000" if method else "8000048000"
    )
    assert [c.upper() for c in result["commands"]] == [s["c"].upper() for s in case["steps"]]


def test_offline_pin_consumes_the_recorded_exchange() -> None:
    card = Recorder("DDA", cvm="0100")
    card.wrong_pins = 1
    case = recorded(card)
    result = emv_replay.replay(case)
    assert (result["outcome"], result["cvm_results"]) == ("approved", "010002")
    assert result["mismatches"] == []


def test_a_changed_command_gets_the_recorded_answer_and_is_reported() -> None:
    case = recorded(Recorder())
    case["random"] = "00000001"
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved"
    assert len(result["mismatches"]) == 2
    assert result["mismatches"][0]["sent"] != result["mismatches"][0]["recorded"]


def test_missing_parts_are_made_up_for() -> None:
    case = recorded(Recorder("DDA"))
    small = {"interface": "contact", "steps": case["steps"]}
    result = emv_replay.replay(small)
    assert result["aid"] == emv_card.AID.hex().upper()
    assert result["outcome"] in ("approved", "declined")
    # PSE and the list's SELECT left out: the recording starts with the final SELECT
    case["steps"] = case["steps"][2:]
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved"
    assert [m["recorded"] is None or "note" in m for m in result["mismatches"]]


def test_t0_procedures_in_a_recording_are_joined() -> None:
    case = recorded(Recorder())
    steps: list[dict[str, str]] = []
    for step in case["steps"]:
        body, sw = step["r"][:-4], step["r"][-4:]
        if body and step["c"][2:4] in ("a4", "a8", "ae"):
            size = f"{len(body) // 2:02x}"
            steps.append({"c": step["c"][:-2], "r": "61" + size})
            steps.append({"c": "00c00000" + size, "r": body + sw})
        elif body and step["c"][2:4] == "b2":
            size = f"{len(body) // 2:02x}"
            steps.append({"c": step["c"], "r": "6c" + size})
            steps.append({"c": step["c"][:-2] + size, "r": body + sw})
        else:
            steps.append(step)
    case["steps"] = steps
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved"
    assert result["mismatches"] == []


def test_unable_and_no_host() -> None:
    case = recorded(Recorder())
    case["host"] = "unable"
    assert emv_replay.replay(case)["online"] is False
    del case["host"]
    assert emv_replay.replay(case)["outcome"] == "approved"
    case["steps"] = case["steps"][:-2]
    assert emv_replay.replay(case)["outcome"] == "online"


def test_a_recording_that_ends_early() -> None:
    case = recorded(Recorder())
    case["steps"] = case["steps"][:5]
    result = emv_replay.replay(case)
    assert result["outcome"] == "terminated"
    assert result["mismatches"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": None, "interface": "contactless"}, "interface"),
        ({"steps": 5}, "steps"),
        ({"steps": [{"c": "00A4zz", "r": "9000"}]}, "steps[0].c"),
        ({"steps": [{"c": "00A40400", "r": "90"}]}, "steps[0].r"),
        ({"steps": [{"c": "00A4", "r": "9000"}]}, "4 bytes"),
        ({"steps": [7]}, "steps[0]"),
        ({"pin": ["guessed"]}, "pin"),
        ({"host": 3}, "host"),
        ({"host": {"8A": "xyz"}}, "host.8A"),
        ({"date": "2611"}, "date"),
        ({"capks": [{"rid": "A0", "index": "57", "modulus": "0", "exponent": "03"}]}, "modulus"),
        ({"capks": [{"rid": "A0", "index": "57", "modulus": "00"}]}, "capks[0].exponent: missing"),
        ({"stepz": [], "steps": None}, "steps: missing"),
        ({"steps": [{"c": "00A40400"}]}, "steps[0].r: missing"),
        ({"steps": [{"c": "00A40400", "r": "", "sw": "90"}]}, "steps[0].sw: 2 bytes"),
        (
            {"steps": [{"c": "00A40400", "r": "6F0284009000", "sw": "6A82"}]},
            "steps[0].sw: is 6A82, but r ends in 9000",
        ),
        ({"host": {"8a": "00", "8A": "05"}}, "host: a tag stands twice"),
        ({"aids": [{"aid": "A0"}]}, "aids[0].aid: an AID has 5 to 16 bytes, not 1"),
        ({"aids": [{"aid": "A000000333"}, {"name": "second"}]}, "aids[1].aid: missing"),
        ({"aids": [_AID | {"tac_default": "000000"}]}, "aids[0].tac_default: 5 bytes"),
        ({"aids": [_AID | {"version": "8C"}]}, "aids[0].version: 2 bytes"),
        ({"aids": [_AID | {"target_percent": 5, "max_target_percent": 4}]}, "aids[0].target"),
        ({"aids": [_AID | {"max_target_percent": 100}]}, "aids[0].max_target_percent: 100"),
        ({"aids": [_AID | {"floor_limit": "1.5"}]}, "aids[0].floor_limit: a whole number"),
        ({"aids": [{"aid": "A000000333", "floor_limit": -1}]}, "floor_limit"),
        ({"terminal": {"9F33": "E0"}}, "9F33"),
        ({"terminal": {"9F35": "99"}}, "terminal.9F35: there is no terminal type 99"),
        ({"transaction": {"9F02": "000000000001", "9F03": "000000000002"}}, "transaction.9F03"),
        ({"revoked": [{"rid": "A000000333", "index": "57"}]}, "revoked[0].serial: missing"),
        ({"online_only": "yes"}, "online_only: true or false"),
        ({"transaction": {"9F02": "0000000000AA"}}, "9F02"),
        ({"random": "5"}, "random"),
        ({"interface": None}, "interface: missing"),
        ({"interface": "contactless"}, "must be 'contact'"),
        ({"steps": []}, "steps: is empty"),
        ({"aids": [{"aid": "A000000333", "partial": "no"}]}, "aids[0].partial: true or false"),
        ({"aids": [{"aid": "A000000333", "default_ddol": 0}]}, "aids[0].default_ddol"),
        ({"aids": {}}, "aids: an array"),
        ({"host": {"91": 0}}, "host.91"),
        ({"host": {"72": 0}}, "host.72"),
        ({"host": "offline"}, "host"),
        ({"pin": ["entered", []]}, "pin[1]"),
        ({"pin": "entered"}, "pin: an array"),
        ({"choices": [{}]}, "choices[0]"),
        ({"choices": ["first"]}, "choices[0]"),
        ({"date": "261332"}, "date: 261332 is no day"),
        ({"date": "²61121"}, "date"),
        ({"date": 261121}, "date"),
        ({"transaction": {"9A": "260230"}}, "transaction.9A"),
        ({"transaction": {"9F02": "01"}}, "transaction.9F02: 6 bytes are needed, not 1"),
        ({"transaction": {"9f02": "000000000001", "9F02": "000000000002"}}, "stands twice"),
        ({"transaction": {"amount": "1"}}, "transaction.amount"),
        ({"terminal": {"9F1B": "00"}}, "terminal.9F1B"),
        ({"terminal": {"0000009F1B": "00"}}, "terminal.9F1B"),
        ({"capks": [{"rid": "A000000333", "index": "57", "sha1": 0}]}, "capks[0].modulus"),
    ],
)
def test_bad_input_names_the_place(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    case = recorded(Recorder()) | change
    with pytest.raises(InputError) as caught:
        emv_replay.replay(case)
    assert words in str(caught.value)
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case))
    result = CliRunner().invoke(app, ["replay", str(file), "--json"])
    assert result.exit_code == 1
    assert words in json.loads(result.stdout)["error"]


def test_files_that_are_no_json(tmp_path: Path) -> None:
    runner = CliRunner()
    file = tmp_path / "case.json"
    for content, offset in (
        (b"{", 1),
        (b"[]", 0),
        (b"\xff\xfe", 0),
        (b"", 0),
        (b'{"steps": 1, "steps": 2}', 0),
        (b'{"date": NaN}', 0),
        (b'{"a":' * 100_000, 0),
        (b"9" * 10_000, 0),
    ):
        file.write_bytes(content)
        for command in ("replay", "oda"):
            result = runner.invoke(app, [command, str(file), "--json"])
            assert result.exit_code == 1
            assert json.loads(result.stdout)["offset"] == offset
            assert runner.invoke(app, [command, str(file)]).exit_code == 1
    assert runner.invoke(app, ["oda", str(tmp_path / "none.json"), "--json"]).exit_code == 1


def test_a_key_that_stands_twice_is_named_with_its_place() -> None:
    text = '{"interface": "contact", "steps": [{"c": "00A40400", "c": "00B2010C00", "r": "9000"}]}'
    with pytest.raises(InputError, match=r"steps\[0\]\.c: stands twice"):
        parse(text.encode(), "case.json")


def test_labels_are_passed_over_at_every_level() -> None:
    case = recorded(Recorder())
    plain = emv_replay.replay(case)
    case |= {"_tool": 7, "name": "approve", "expected": {"outcome": "approved"}}
    case["steps"][0]["comment"] = "SELECT PSE"
    case["terminal"]["_from"] = case["transaction"]["note"] = "the slip"
    case["host"]["_when"] = "later"
    case["aids"][0]["_scheme"] = case["capks"][0]["scheme"] = "UnionPay"
    assert emv_replay.replay(case) == plain


def test_the_result_has_what_the_format_promises() -> None:
    result = emv_replay.replay(recorded(Recorder("CDA")))
    promised = {"outcome", "aid", "tvr", "tsi", "cvm_results", "commands", "mismatches", "trace"}
    assert promised <= set(result)


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["replay", "/dev/zero", "--json"])
    assert result.exit_code == 1 and "larger" in json.loads(result.stdout)["error"]


def test_commands_print(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(recorded(Recorder("CDA"))))
    runner = CliRunner()
    result = runner.invoke(app, ["replay", str(file)])
    assert result.exit_code == 0 and "online_approved" in result.stdout
    assert "Issuer authentication was performed" in result.stdout
    assert runner.invoke(app, ["replay", str(file), "--json"]).exit_code == 0


@pytest.mark.parametrize(
    ("answers", "joined"),
    [
        (["6283", "6C03", "0102039000"], "010203 6283"),  # the warning stays
        (["6283", "6102", "01026101", "039000"], "010203 6283"),
        (["6103", "6C03", "0102039000"], "010203 9000"),
        (["6103", "6A82"], " 6A82"),
        (["6A81"], " 6A81"),
    ],
)
def test_t0_procedures_are_joined(answers: list[str], joined: str) -> None:
    commands = ["00A4040005A000000333"] + ["00C0000000"] * (len(answers) - 1)
    steps = [{"c": c, "r": r} for c, r in zip(commands, answers, strict=True)]
    steps.append({"c": "00B2010C00", "r": "6C02"})
    steps.append({"c": "00B2010C02", "r": "70009000"})
    found = emv_recording.read_steps(steps, [])
    assert [f"{one.data.hex()} {one.sw:04X}" for one in found] == [joined, "7000 9000"]


def _two_applications(choice: Any) -> dict[str, Any]:
    """A card without PSE; the application chosen refuses, the other breaks off."""
    names = [bytes.fromhex("A0000003330101" + last) for last in ("01", "02")]

    def select(name: bytes) -> dict[str, str]:
        fci = tlv.encode(0x84, name) + tlv.encode(0xA5, bytes((0x87, 1, 3 - name[-1])))
        answer = tlv.encode(0x6F, fci) + b"\x90\x00"
        return {"c": f"00A40400{len(name):02X}{name.hex()}00", "r": answer.hex()}

    gpo = "80A8000002830000"
    return {
        "interface": "contact",
        "steps": [
            {"c": "00A404000E315041592E5359532E444446303100", "r": "6A82"},
            select(names[0]),
            select(names[1]),
            select(names[1]),
            {"c": gpo, "r": "6985"},
            select(names[0]),
            {"c": gpo, "r": "6A81"},
            {"c": gpo, "r": "9000"},
        ],
        "aids": [{"aid": name.hex(), "partial": False} for name in names],
        "choices": [choice],
    }


@pytest.mark.parametrize("choice", [0, "A000000333010102", "a000000333010102"])
def test_a_choice_is_an_index_or_an_aid(choice: Any) -> None:
    case = _two_applications(choice)  # the second has the higher priority
    result = emv_replay.replay(case)
    assert (result["outcome"], result["reason"]) == ("terminated", "gpo_refused")
    assert result["aid"] == "A000000333010101"
    assert [c.upper() for c in result["commands"]] == [s["c"].upper() for s in case["steps"][:-1]]
    assert result["mismatches"] == [] and result["steps_left"] == 1


def test_choices_that_choose_nothing() -> None:
    assert emv_replay.replay(_two_applications(None))["reason"] == "no_application_chosen"
    assert emv_replay.replay(_two_applications(7))["reason"] == "no_application_chosen"
    offer = "0 A000000333010102, 1 A000000333010101"
    with pytest.raises(InputError) as caught:
        emv_replay.replay(_two_applications("A0000000031010"))
    assert str(caught.value) == f"choices[0]: A0000000031010 was not on offer: {offer}"
    with pytest.raises(InputError, match=r"choices\[0\]: A000000333 begins more than one AID"):
        emv_replay.replay(_two_applications("A000000333"))
    with pytest.raises(InputError, match=r"choices\[0\]: true chooses none of 0 A0000"):
        emv_replay.replay(_two_applications(True))


def test_a_mismatch_names_the_step_of_the_file() -> None:
    case = _two_applications(0)
    case["steps"][4]["c"] = "80A8000003830100"
    head = {"c": case["steps"][1]["c"], "r": "6120"}
    case["steps"][1]["c"] = "00C0000020"
    case["steps"].insert(1, head)  # one more step, the same exchange
    [mismatch] = emv_replay.replay(case)["mismatches"]
    assert mismatch["step"] == 5 and mismatch["sent"] == "80A8000002830000"


def test_nonsense_in_a_recorded_command_is_not_taken_for_terminal_data() -> None:
    fci = tlv.encode(0x84, b"\xa0\0\0\3\x33\1\1\1") + tlv.encode(
        0xA5, tlv.encode(0x9F38, bytes.fromhex("9F35019F02069F03069A03"))
    )
    select = {"c": "00A4040008A00000033301010100", "r": tlv.encode(0x6F, fci).hex() + "9000"}
    gpo = {"c": "80A80000128310" + "99" + "000000000001" + "000000000002" + "0A0101" + "00"}
    result = emv_replay.replay({"interface": "contact", "steps": [select, gpo | {"r": "6A81"}]})
    assert result["outcome"] == "terminated"
    data = result["commands"][-1][14:]
    assert (data[:2], data[2:14], data[14:26]) == ("22", "000000000001", "0" * 12)


def test_a_file_a_line(tmp_path: Path) -> None:
    runner = CliRunner()
    recordings = [json.dumps(recorded(Recorder(method))) for method in ("SDA", "DDA")]
    file = tmp_path / "case.json"
    file.write_text(recordings[0])
    stdin = recordings[0] + "\n[]\n" + recordings[1] + "\n\n{"
    result = runner.invoke(app, ["replay", "--lines"], input=stdin)
    assert result.exit_code == 0
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document.get("outcome") for document in documents] == [
        "approved", None, "approved", None, None,
    ]  # fmt: skip
    assert all("offset" in documents[place] for place in (1, 3, 4))
    alone = runner.invoke(app, ["replay", "--json", str(file)])
    assert json.loads(alone.stdout) == documents[0]
    result = runner.invoke(app, ["oda", "--lines"], input=json.dumps(oda_case("SDA")) + "\n{}\n")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["sda"]["valid"] for document in documents] == [True, False]
    assert runner.invoke(app, ["replay", "--lines", str(file)]).exit_code == 2
    assert runner.invoke(app, ["oda"]).exit_code == 2


def test_an_overlong_line_is_one_error(tmp_path: Path) -> None:
    huge = '{"x": "' + "0" * (9 << 20) + '"}\n{}\n'
    result = CliRunner().invoke(app, ["oda", "--lines"], input=huge)
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(documents) == 2 and "larger" in documents[0]["error"]
    assert documents[1]["issuer"]["valid"] is False


def test_keys_that_no_terminal_loads_are_passed_over() -> None:
    case = recorded(Recorder("SDA"))
    case["capks"].insert(0, dict(case["capks"][0], sha1="00" * 20))
    case["capks"].append(dict(case["capks"][0], index="58", exponent="02", sha1=None))
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved" and result["tvr"].startswith("02")
    assert ["hash" in result["warnings"][0], "exponent" in result["warnings"][1]] == [True] * 2
    case["capks"] = case["capks"][:1]
    assert emv_replay.replay(case)["tvr"].startswith("42")


@pytest.mark.parametrize("form", ["010001", "01 00 01", 65537])
def test_forms_of_exponent_index_and_rid(form: Any) -> None:
    case = oda_case("SDA")
    case["capk"] |= {"exponent": form, "index": 0x57, "rid": case.pop("rid")}
    assert emv_oda.check(case)["sda"]["valid"]


def test_oda_steps() -> None:
    result = emv_oda.check(oda_case("SDA"))
    assert result["issuer"]["valid"] and result["issuer"]["serial"] == "000001"
    assert result["issuer"]["modulus"] == f"{emv_card.ISSUER_N:0256X}"
    assert result["sda"] == {"valid": True, "data_authentication_code": "DAC0"}
    assert not result["icc"]["valid"] and "9F46" in result["icc"]["reason"]
    result = emv_oda.check(oda_case("DDA"))
    assert result["icc"]["valid"] and result["icc"]["modulus"] == f"{emv_card.ICC_N:0256X}"
    assert result["dda"]["icc_dynamic_number"] == "11" * 8
    assert not result["sda"]["valid"] and not result["cda"]["valid"]


def test_oda_without_static_or_transaction_data() -> None:
    case = oda_case("DDA")
    del case["static_data"]
    result = emv_oda.check(case)
    assert not result["icc"]["valid"] and "static_data" in result["icc"]["reason"]
    assert result["icc"]["modulus"] == f"{emv_card.ICC_N:0256X}"
    assert result["dda"]["valid"] and not result["dda"]["icc_key_checked"]
    case = oda_case("SDA")
    del case["static_data"]
    result = emv_oda.check(case)
    assert not result["sda"]["valid"]
    assert result["sda"]["data_authentication_code"] == "DAC0"
    dynamic = b"\x08" + b"\x22" * 8 + b"\x80" + b"\xac" * 8 + hashlib.sha1(b"data").digest()
    signed = emv_card.sign(
        b"\x05\x01" + bytes((len(dynamic),)) + dynamic, b"\x5a" * 4, emv_card.ICC_N, emv_card.ICC_D
    )
    case = oda_case("CDA")
    case["tags"] |= {"9F4B": signed.hex(), "9F27": "80"}
    case["unpredictable_number"] = "5a" * 4
    result = emv_oda.check(case)["cda"]
    assert result["valid"] and not result["transaction_data_checked"]
    assert (result["cid"], result["cryptogram"]) == ("80", "AC" * 8)
    case["transaction_data"] = b"data".hex()
    assert emv_oda.check(case)["cda"]["transaction_data_checked"]
    case["transaction_data"] = "00"
    assert "hash" in emv_oda.check(case)["cda"]["reason"]
    case["tags"]["9F27"] = "40"
    assert "CID" in emv_oda.check(case)["cda"]["reason"]


def test_oda_names_the_failing_check() -> None:
    case = oda_case("DDA")
    case["tags"]["5A"] = "5010940000000012"
    assert "issuer" in emv_oda.check(case)["issuer"]["reason"]
    case = oda_case("DDA")
    case["static_data"] += "00"
    result = emv_oda.check(case)
    assert "hash" in result["icc"]["reason"] and result["dda"]["reason"] == "no ICC key"
    case = oda_case("DDA")
    case["dynamic_data"] = "00"
    assert "hash" in emv_oda.check(case)["dda"]["reason"]
    case = oda_case("SDA")
    case["capk"]["sha1"] = "00" * 20
    assert "hash" in emv_oda.check(case)["issuer"]["reason"]
    for empty in ({}, {"capk": {}}, {"tags": {}}):
        result = emv_oda.check(empty)
        assert [verdict["valid"] for verdict in result.values()] == [False] * 5


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"tags": {"90": "0"}}, "tags.90: an odd number"),
        ({"tags": {"card": "00"}}, "tags.card"),
        ({"tags": []}, "tags: an object"),
        ({"date": "261399"}, "date"),
        ({"date": 0}, "date"),
        ({"rid": 5}, "rid"),
        ({"static_data": ["00"]}, "static_data"),
    ],
)
def test_oda_refuses_what_it_cannot_read(case: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        emv_oda.check(case)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("expiry", "valid"),
    [("20301231", True), ("301231", True), ("20251231", False), ("251231", False), (None, True)],
)
def test_oda_reads_the_last_day_of_a_key(expiry: str | None, valid: bool) -> None:
    case = oda_case("SDA") | {"date": "261121"}
    case["capk"] |= {"expiry": expiry, "scheme": "a list's own word"}
    assert emv_oda.check(case)["issuer"]["valid"] is valid
    case["capk"]["expiry"] = "next year"
    with pytest.raises(InputError, match=r"capk\.expiry"):
        emv_oda.check(case)


_ODDITIES: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, "", "0", "zz", "00" * 300, [], {}, [[]], {"x": {}}, "\ud800",
)  # fmt: skip


def _mutated(value: Any, source: random.Random) -> Any:
    """A copy of a JSON value with a few places changed."""
    copy = json.loads(json.dumps(value))
    for _ in range(source.randrange(1, 4)):
        place: Any = copy
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = source.choice(keys)
            if isinstance(place[key], (dict, list)) and source.random() < 0.9:
                place = place[key]
                continue
            _change(place, key, source)
            break
    return copy


def _change(place: Any, key: Any, source: random.Random) -> None:
    old = place[key]
    kind = source.randrange(6)
    if kind == 0:
        del place[key]
    elif kind == 1 or not isinstance(old, str) or not old:
        place[key] = source.choice(_ODDITIES)
    else:  # a digit changed, some cut out, some put in, or the end cut off
        at = source.randrange(len(old))
        put = "".join(source.choices("0123456789ABCDEF", k=source.choice((1, 2, 4))))
        place[key] = (
            old[:at] + put + old[at + len(put) :],
            old[:at] + old[at + 2 :],
            old[:at] + put + old[at:],
            old[: at & ~1],
        )[kind - 2]


@pytest.mark.parametrize("seed", range(8))
def test_mutated_files_end_in_a_result_or_a_named_error(seed: int) -> None:
    source = random.Random(seed)
    method = ("SDA", "DDA", "CDA", "")[seed % 4]
    replays = recorded(Recorder(method)) | {"pin": ["entered"], "choices": [0]}
    checks = oda_case(method or "SDA") | {"date": "261121"}
    ends = {"result": 0, "error": 0}
    for _ in range(125):
        for work, case in ((emv_replay.replay, replays), (emv_oda.check, checks)):
            text = json.dumps(_mutated(case, source)).encode()
            try:
                json.dumps(work(parse(text, "line")))
            except InputError as error:
                assert len(str(error)) > 5
                ends["error"] += 1
            else:
                ends["result"] += 1
    assert min(ends.values()) > 20
