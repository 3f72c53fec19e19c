"""``till emv`` on recordings of other people: other AIDs, keys, hex forms, broken-off sessions."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firmware.payment.emv import tlv
from host_tools import emv_input, emv_oda, emv_replay
from host_tools.commands.emv import app
from host_tools.decoders import tlv as tlv_decoder
from host_tools.decoders import track
from host_tools.decoders.common import BadInput
from host_tools.emv_input import InputError
from tests.portable import emv_card
from tests.support.emv_recorder import Recorder, oda_case, recorded

AID8 = emv_card.AID.hex().upper()
AID7 = AID8[:14]
PSE_ABSENT = {"c": "00A404000E315041592E5359532E444446303100", "r": "6A82"}


def select(name: str) -> str:
    """The command that asks for this AID."""
    return f"00A40400{len(name) // 2:02X}{name}00"


def without_pse(asked: str = AID8, **changes: Any) -> dict[str, Any]:
    """A whole recording of one SELECT, of ``asked``; the card names its 8-byte AID."""
    case = recorded(Recorder("DDA"))
    final = max(at for at, step in enumerate(case["steps"]) if step["c"][2:4] == "a4")
    case["steps"] = [{**case["steps"][final], "c": select(asked)}, *case["steps"][final + 1 :]]
    return case | changes


def listed(*names: str) -> list[dict[str, Any]]:
    return [recorded(Recorder())["aids"][0] | {"aid": name} for name in names]


# ---- SELECT ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "aids"),
    [
        (AID8, listed(AID7)),
        (AID8, listed(AID8[:10])),
        (AID7, listed(AID8)),
        (AID7, listed(AID7)),
        (AID7, None),
        (AID8[:-1] + "2", listed(AID8)),
        (AID8[:-1] + "2", None),
        (AID8, listed("A0000000031010", AID8[:10], "A0000000041010")),
    ],
)
def test_a_select_of_another_name_gets_the_recorded_answer(asked: str, aids: Any) -> None:
    result = emv_replay.replay(without_pse(asked, aids=aids))
    assert (result["aid"], result["steps_left"]) == (AID8, 0)
    if aids is None:  # no action codes, but the same cryptograms
        assert result["reason"] in ("online_approved", "card_declined", "host_declined")
    else:
        assert result["outcome"] == "approved"
    sent = [mismatch["sent"] for mismatch in result["mismatches"]]
    assert PSE_ABSENT["c"] in sent
    assert any(
        mismatch["note"].startswith(("differs", "answered")) for mismatch in result["mismatches"]
    )
    assert all(command[2:4] == "A4" for command in sent)


def test_a_select_of_quite_another_aid_is_reported_beside_the_recorded_one() -> None:
    other = AID8[:-1] + "2"
    result = emv_replay.replay(without_pse(aids=listed(other)))
    assert result["reason"] == "no_application"  # the card named another
    differing = [one for one in result["mismatches"] if one["sent"] == select(other)]
    assert [(one["recorded"], one["note"]) for one in differing] == [(select(AID8), "differs")]


def test_a_recording_without_pse_has_none() -> None:
    result = emv_replay.replay(without_pse())
    assert result["mismatches"][0]["sent"] == PSE_ABSENT["c"]
    assert result["mismatches"][0]["note"] == "not in the recording"
    assert result["trace"][0]["sw"] == "6A82"


def fci(name: str) -> str:
    body = tlv.encode(0x84, bytes.fromhex(name)) + tlv.encode(0xA5, b"\x87\x01\x01")
    return tlv.encode(0x6F, body).hex() + "9000"


def test_a_partial_name_finds_each_application_once() -> None:
    first, second = AID8, AID8[:-1] + "2"
    steps = [
        PSE_ABSENT,
        *({"c": select(name), "r": fci(name)} for name in (first, second, second)),
        {"c": "80A8000002830000", "r": "6A81"},
    ]
    case = {"interface": "contact", "steps": steps, "aids": listed(AID8[:10]), "choices": [1]}
    result = emv_replay.replay(case)
    following = [command for command in result["commands"] if command[6:8] == "02"]
    assert len(following) == 2  # the second application, then no more
    assert result["commands"][-2:] == [select(second), "80A8000002830000"]
    assert result["aid"] == second


def test_a_next_occurrence_is_given_once() -> None:
    following = select(AID8[:10]).replace("00A40400", "00A40402")
    steps = [
        PSE_ABSENT,
        {"c": select(AID8[:10]), "r": fci(AID8)},
        {"c": following, "r": fci(AID8[:-1] + "2")},
        {"c": select(AID8), "r": "6985"},
    ]
    case = {"interface": "contact", "steps": steps, "aids": listed(AID8[:10]), "choices": [0, 0]}
    assert emv_replay.replay(case)["commands"].count(following) == 2


# ---- choices --------------------------------------------------------------------------


def to_be_confirmed(choice: Any) -> dict[str, Any]:
    """A card of one application that wants the cardholder's consent."""
    name = tlv.encode(0x84, bytes.fromhex(AID8)) + tlv.encode(0xA5, b"\x87\x01\x81")
    return {
        "interface": "contact",
        "steps": [
            {"c": select(AID8), "r": tlv.encode(0x6F, name).hex() + "9000"},
            {"c": "80A8000002830000", "r": "6A81"},
        ],
        "aids": listed(AID8),
        "choices": [choice],
    }


@pytest.mark.parametrize("choice", [True, 1, "1", AID8, AID8.lower(), AID7])
def test_consent_is_true_one_or_the_aid(choice: Any) -> None:
    result = emv_replay.replay(to_be_confirmed(choice))
    assert (result["reason"], "warnings" in result) == ("gpo_refused", False)


@pytest.mark.parametrize(("choice", "warned"), [(False, False), (None, False), (0, True)])
def test_consent_refused(choice: Any, warned: bool) -> None:
    result = emv_replay.replay(to_be_confirmed(choice))
    assert result["reason"] == "application_not_confirmed"
    assert ["choices[0]: 0 is read as no" in text for text in result.get("warnings", ())] == (
        [True] * warned
    )


@pytest.mark.parametrize("choice", [2, "A0000000031010"])
def test_what_is_no_answer_to_a_confirmation(choice: Any) -> None:
    with pytest.raises(InputError, match=rf"choices\[0\]: {choice} .*0 {AID8}"):
        emv_replay.replay(to_be_confirmed(choice))


def test_choices_and_pins_that_nobody_asked_for_are_told(tmp_path: Path) -> None:
    case = recorded(Recorder("DDA")) | {"choices": [0, AID8], "pin": ["entered", "entered"]}
    result = emv_replay.replay(case)
    assert result["outcome"] == "approved"
    warnings = ["pin[1]", "choices[0]", "choices[1]"]  # one online PIN was asked for
    assert result["warnings"] == [f"{place}: not used" for place in warnings]
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case))
    shown = CliRunner().invoke(app, ["replay", str(file)]).stdout.splitlines()
    assert [line for line in shown if line.startswith("warning")] == [
        f"warning: {text}" for text in result["warnings"]
    ]


# ---- keys -----------------------------------------------------------------------------


def test_keys_that_nobody_knows_are_told_and_not_used() -> None:
    case = recorded(Recorder("DDA"))
    plain = emv_replay.replay(case)
    case |= {"version": 2, "comment": "mine", "stepz": []}
    case["aids"][0] |= {"priority": 1, "label": "Debit", "tac_denail": "00"}
    case["steps"][1]["time"] = 7
    case["host"]["39"] = "00"
    result = emv_replay.replay(case)
    assert result.pop("warnings") == [
        "version: not known, not used",
        "stepz: not known, not used; did you mean steps?",
        "steps[1].time: not known, not used",
        "aids[0].priority: not known, not used",
        "aids[0].label: not known, not used",
        "aids[0].tac_denail: not known, not used; did you mean tac_denial?",
        "host.39: not known, not used",
    ]
    assert result == plain


def test_warnings_are_bounded() -> None:
    case = recorded(Recorder()) | {f"key{number}": 0 for number in range(20_000)}
    warnings = emv_replay.replay(case)["warnings"]
    assert len(warnings) == emv_input.MOST_WARNINGS + 1 and warnings[-1] == "and 19900 more"


@pytest.mark.parametrize("both", [False, True])
def test_a_status_word_may_stand_apart(both: bool) -> None:
    case = recorded(Recorder("DDA"))
    plain = emv_replay.replay(case)
    for step in case["steps"]:
        step["sw"] = step["r"][-4:]
        if not both:
            step["r"] = step["r"][:-4]
    result = emv_replay.replay(case)
    assert result == plain and not result["mismatches"]


# ---- hexadecimal ----------------------------------------------------------------------

FORMS = ["9f3602 0005", "0x9F36020005", "9F-36-02-00-05", "9F:36:02:00:05", "\t9F36\r\n020005\r\n"]


@pytest.mark.parametrize("text", FORMS)
def test_one_reading_of_hex_for_all(text: str) -> None:
    assert tlv_decoder.decode(text)["children"][0]["value"] == "0005"
    assert emv_input.hex_bytes(text, "x") == bytes.fromhex("9F36020005")
    assert emv_input.tags_of({"0x9F36": text}, "tags") == {0x9F36: bytes.fromhex("9F36020005")}


@pytest.mark.parametrize(
    ("text", "reason", "offset"),
    [
        ("9F 36 0", "an odd number of hexadecimal digits", 7),
        ("9F36 0g", "'g' is not a hexadecimal digit", 6),
        ("9F3:6", "':' stands inside a byte", 3),
        ("-9F36", "'-' is not a hexadecimal digit", 0),
        ("9F0x36", "'x' is not a hexadecimal digit", 3),
    ],
)
def test_what_is_no_hex_names_the_place(text: str, reason: str, offset: int) -> None:
    with pytest.raises(BadInput) as bad:
        tlv_decoder.decode(text)
    assert (bad.value.reason, bad.value.offset) == (reason, offset)
    with pytest.raises(InputError) as caught:
        emv_input.hex_bytes(text, "steps[3].r")
    assert (str(caught.value), caught.value.offset) == (f"steps[3].r: {reason}", offset)


def test_track_data_in_hex_with_separators_and_without_its_pad_digit() -> None:
    plain = track.decode("6224242900000113D280620139490310131F", mask=False)
    for text in (
        "0x6224242900000113D280620139490310131",
        "62:24:24:29:00:00:01:13:D2:80:62:01:39:49:03:10:13:1",
    ):
        assert track.decode(text, mask=False) == plain


@pytest.mark.parametrize("form", ["10001", "0x010001", "65537", "00010001", "01-00-01", 65537])
def test_forms_of_an_exponent(form: Any) -> None:
    assert emv_input.exponent_of(form, "exponent") == b"\x01\x00\x01"


# ---- a card taken out -----------------------------------------------------------------


@pytest.mark.parametrize("torn", range(11))
def test_an_empty_answer_is_a_card_taken_out(torn: int) -> None:
    case = recorded(Recorder("DDA"))
    case["steps"] = case["steps"][: torn + 1]
    case["steps"][torn]["r"] = ""
    result = emv_replay.replay(case)
    assert result["reason"] == "card_removed" and result["mismatches"] == []
    assert len(result["commands"]) == torn + 1 and result["steps_left"] == 0


def test_a_card_taken_out_before_get_response_or_at_verify() -> None:
    case = recorded(Recorder())
    case["steps"] = [PSE_ABSENT, {"c": select(AID8), "r": "6120"}, {"c": "00C0000020", "r": ""}]
    result = emv_replay.replay(case)
    assert (result["outcome"], result["reason"]) == ("try_again", "card_removed")
    case = recorded(Recorder("DDA", cvm="0100"))
    at = next(at for at, step in enumerate(case["steps"]) if step["c"][2:4] == "20")
    case["steps"][at]["r"] = ""
    result = emv_replay.replay(case)
    assert result["reason"] == "card_removed" and result["commands"][-1] == "00200080"


# ---- limits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "limit", "warned"),
    [
        (10000, 10000, False),
        ("10000", 10000, False),
        ("12345678", 12345678, False),
        ("000000010000", 10000, False),
        ("00002710", 10000, True),
        ("00 00 27 10", 10000, True),
        ("0000C350", 50000, False),
        ("0x2710", 10000, False),
        ("00000000", 0, False),
    ],
)
def test_a_limit_as_a_number_or_as_tag_9f1b(given: Any, limit: int, warned: bool) -> None:
    warnings: list[str] = []
    assert emv_input.limit_of(given, "aids[0].floor_limit", warnings) == limit
    assert ["tag 9F1B" in text and "2710" in text for text in warnings] == [True] * warned


def test_the_floor_limit_as_recorded_decides() -> None:
    case = recorded(Recorder())
    exceeded = 1 << 7  # TVR byte 4, bit 8
    for given, over in (("00003039", True), ("0000303A", False)):  # the amount is 12345
        case["aids"][0]["floor_limit"] = given
        tvr = bytes.fromhex(emv_replay.replay(case)["tvr"])
        assert bool(tvr[3] & exceeded) is over


# ---- oda ------------------------------------------------------------------------------


def test_static_data_that_hold_the_aip_verify_without_tag_82() -> None:
    case = oda_case("DDA")
    case["tags"]["9F4A"] = "82"
    result = emv_oda.check(case)
    assert result["icc"]["valid"] and result["icc"]["aip_appended"] is False
    case["static_data"] = case["static_data"][:-2] + "FF"
    result = emv_oda.check(case)
    assert not result["icc"]["valid"] and "tag 82 is missing" in result["icc"]["reason"]
    assert "hash" in result["icc"]["reason"]
    case["tags"]["82"] = "3C00"
    assert "tag 82" not in emv_oda.check(case)["icc"]["reason"]


@pytest.mark.parametrize("name", ["modulus", "exponent"])
def test_a_key_that_lacks_a_part_says_which(name: str) -> None:
    case = oda_case("DDA")
    del case["capk"][name]
    assert emv_oda.check(case)["issuer"]["reason"] == f"capk.{name} is missing"


def test_a_key_of_another_index_is_mentioned(tmp_path: Path) -> None:
    case = oda_case("DDA") | {"note": "mine", "stuff": 1}
    case["tags"]["8F"] = "57"
    assert emv_oda.check(case)["warnings"] == ["stuff: not known, not used"]
    case["tags"]["8F"] = "56"
    result = emv_oda.check(case)
    assert result["issuer"]["valid"]
    assert result["warnings"][1] == (
        "tags.8F: the card names key 56, capk.index is 57; capk was used"
    )
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case))
    shown = CliRunner().invoke(app, ["oda", str(file)]).stdout
    assert "warning: tags.8F" in shown and "icc: valid" in shown
