"""`till decode` and `till encode`: results, errors with place, no traceback."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from firmware.payment.emv import tlv as ber
from firmware.payment.host import messages, unionpay
from firmware.payment.host.frame import Frame, encode_frame
from firmware.payment.host.iso8583 import Message
from host_tools.commands import decode as decode_command
from host_tools.commands import encode as encode_command
from host_tools.decoders import bits, cvm, dol, iso8583, tlv, track
from host_tools.decoders.common import BadInput
from tests.unit.test_iso8583_oracle import MESSAGES

ROOT = Path(__file__).resolve().parents[2]
TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603100311200")
PAN = "6222021234567890128"


def sale() -> Message:
    message = messages.sale(
        stan=7,
        batch=3,
        amount=1234,
        currency=156,
        terminal_id="12345678",
        merchant_id="898888888888888",
        pan=PAN,
        expiry="3012",
        csn=1,
        track2=PAN + "D30122201234",
        pin_block=bytes.fromhex("ACF46E73838A82F9"),
        emv={0x9F26: bytes(8), 0x9F10: b"\x07", 0x9F36: b"\0\5", 0x95: bytes(5)},
    )
    message.fields[55] = message.data(55) + bytes.fromhex("5A0A6222021234567890128F")
    message.fields[64] = b"8A9E91B8"
    return message


def frame(message: Message) -> str:
    return encode_frame(Frame(TPDU, HEADER, unionpay.codec().encode(message))).hex()


def call(*arguments: str, stdin: bytes = b"", app: Any = decode_command.app) -> Result:
    result: Result = CliRunner().invoke(app, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_sale_frame_masked_and_unmasked() -> None:
    document = json.loads(call("8583", "--json", "--dialect", "unionpay", frame(sale())).output)
    assert document["mti"] == "0200"
    assert document["tpdu"] == TPDU.hex().upper()
    assert document["header"] == HEADER.hex().upper()
    assert document["fields"]["3"] == "000000"
    assert document["fields"]["2"] == "622202*********0128"
    assert document["fields"]["35"] == "622202*********0128D***********"
    assert document["fields"]["52"] == "*" * 16
    assert document["fields"]["23"] == "001"
    assert document["subfields"]["60"]["60.2"] == "000003"
    assert document["subfields"]["55"][0]["tag"] == "9F26"
    assert "packing" not in document
    everything = json.dumps(document) + call("8583", frame(sale())).output
    for secret in (PAN, PAN[6:15], "30122201234", "ACF46E73838A82F9"):
        assert secret not in everything
    clear = json.loads(call("8583", "--json", "--unmask", frame(sale())).output)
    assert clear["fields"]["2"] == PAN
    assert clear["fields"]["52"] == "ACF46E73838A82F9"
    assert clear["subfields"]["55"][-1]["value"] == PAN + "F"


def test_encode_is_the_inverse_of_decode() -> None:
    for body in (False, True):
        data = frame(sale())[26:] if body else frame(sale())
        options = ["--body"] if body else []
        shown = call("8583", "--json", "--unmask", *options, data).output
        again = call("8583", *options, stdin=shown.encode(), app=encode_command.app)
        assert again.exit_code == 0
        assert again.output.strip() == data.upper()
        as_json = call("8583", "--json", *options, shown, app=encode_command.app)
        assert json.loads(as_json.output) == {"hex": data.upper()}


@settings(max_examples=200, deadline=None)
@given(
    MESSAGES, st.booleans(), st.binary(min_size=4, max_size=4), st.binary(min_size=6, max_size=6)
)
def test_every_message_is_encoded_as_it_was_decoded(
    message: Message, body: bool, tpdu: bytes, header: bytes
) -> None:
    encoded = unionpay.codec().encode(message)
    data = encoded if body else encode_frame(Frame(b"\x60" + tpdu, header, encoded))
    document = json.loads(json.dumps(iso8583.decode(data.hex(), body, mask=False)))
    assert iso8583.encode(document, body) == data
    assert iso8583.render(iso8583.decode(data.hex(), body))


def test_field_23_packed_to_the_left_is_read_and_written_back() -> None:
    standard = unionpay.codec().encode(Message("0200", {23: "001"})).hex()
    assert standard.endswith("0001")
    for digits, left in (("0010", "001"), ("0090", "009"), ("1230", "123")):
        data = standard[:-4] + digits
        document = iso8583.decode(data, body=True)
        assert document["fields"]["23"] == left
        assert document["packing"] == {"23": "left"}
        assert iso8583.encode(document).hex() == data
    assert iso8583.decode(standard[:-4] + "0099", body=True)["fields"]["23"] == "099"
    for right in ("000", "100", "120", "990"):
        document = iso8583.decode(standard[:-4] + "0" + right, body=True)
        assert document["fields"]["23"] == right and "packing" not in document


def test_a_fill_digit_f_is_told_and_written_back() -> None:
    track = "6210940000000000000D1"
    message = Message("0200", {2: "6210000000000000019", 22: "051", 35: track, 60: "22"})
    zeros = unionpay.codec().encode(message).hex()
    assert "packing" not in iso8583.decode(zeros, body=True)
    for name, old, new in (("2", "0190", "019f"), ("22", "0510", "051f"), ("35", "d10", "d1f")):
        assert zeros.count(old) == 1, name
        data = zeros.replace(old, new)
        document = iso8583.decode(data, body=True, mask=False)
        assert document["packing"] == {name: "F"}
        assert iso8583.encode(document).hex() == data
    both = zeros.replace("0190", "019f").replace("0510", "051f")
    document = iso8583.decode(both, body=True, mask=False)
    assert document["packing"] == {"2": "F", "22": "F"}
    assert iso8583.encode(document).hex() == both
    assert any("field 22 is filled with F" in line for line in iso8583.render(document))


def test_the_parts_of_63_2_are_told_apart() -> None:
    def parts(text: bytes) -> dict[str, str]:
        message = Message("0210", {39: "51", 63: (b"CUP" + text).decode("latin-1")})
        data = unionpay.codec().encode(message).hex()
        found: dict[str, str] = iso8583.decode(data, body=True)["subfields"]["63"]
        return found

    whole = parts("发卡行".encode("gb18030").ljust(20) + b"UP".ljust(20) + b"ACQ".ljust(20) + b"T")
    assert [whole[f"63.2.{n}"] for n in (1, 2, 3, 4)] == ["发卡行", "UP", "ACQ", "T"]
    assert parts(b"short text") == {"63.1": "CUP", "63.2": "short text"}
    assert set(parts(b"x" * 25)) == {"63.1", "63.2", "63.2.1", "63.2.2"}
    assert parts("行".encode("gb18030")[:1] + b" " * 30)["63.2.1"]  # half a character


def test_a_pan_that_a_host_repeats_elsewhere_is_hidden_too() -> None:
    pan = "6210940000000005"
    emv = bytes.fromhex("9F0306000000000000C408") + bytes.fromhex(pan)
    message = Message("0210", {2: pan, 55: emv, 62: b"card " + pan.encode()})
    data = unionpay.codec().encode(message).hex()
    said = json.dumps(iso8583.decode(data, body=True))
    assert pan not in said and pan.encode().hex().upper() not in said
    assert said.count("621094******0005") >= 3
    assert pan in json.dumps(iso8583.decode(data, body=True, mask=False))


@pytest.mark.parametrize(
    "packing", [{"23": "up"}, {"35": "left"}, {"55": "F"}, {"x": "F"}, ["23"], {"2": 1}]
)
def test_a_packing_that_makes_no_sense_is_refused(packing: object) -> None:
    with pytest.raises(BadInput, match="packing"):
        iso8583.encode({"mti": "0200", "fields": {"23": "001"}, "packing": packing})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"mti": "0800", "fields": {"11": "000001", "11": "000002"}}', "'11'"),
        ('{"mti": "0800", "mti": "0820", "fields": {}}', "'mti'"),
    ],
)
def test_a_key_that_occurs_twice_is_named_and_not_chosen_from(text: str, name: str) -> None:
    result = call("8583", text, app=encode_command.app)
    assert result.exit_code == 1
    assert result.stderr == f"error: key {name} occurs twice\n"


def test_masked_messages_are_not_encoded() -> None:
    document = iso8583.decode(frame(sale()))
    with pytest.raises(BadInput, match="field 2: is masked"):
        iso8583.encode(document)


def test_errors_name_field_and_offset() -> None:
    data = frame(sale())
    cut = call("8583", "--json", "--body", data[26:-2])
    assert cut.exit_code == 1
    assert json.loads(cut.output)["offset"] == len(data[26:]) // 2 - 8
    assert "field 64" in json.loads(cut.output)["error"]
    whole = bytearray.fromhex(data)
    whole[23:24] = b"\xff"  # 2-byte length, TPDU, header, MTI, bitmap: field 2's length
    document = json.loads(call("8583", "--json", whole.hex()).output)
    assert document["offset"] == 23
    assert "field 2" in document["error"]
    assert json.loads(call("8583", "--json", data[:-2]).output)["offset"] == 0


@pytest.mark.parametrize(
    ("command", "text", "offset"),
    [
        ("tlv", "9F26081", 7),
        ("tlv", "9F26zz", 4),
        ("tlv", "9F2608", 0),
        ("tlv", "6F0384035A", 2),
        ("tlv", " ", 0),
        ("8583", "00", 0),
        ("tvr", "00", 1),
        ("tsi", "0000FF", 2),
        ("aip", "00", 1),
        ("cvm", "0102", 2),
        ("cvm", "000000000000000001", 8),
        ("dol", "9F", 0),
        ("track", ";41111111111x1111=2512", 12),
        ("track", ";4111111111111111=2513101", 20),
        ("track", "4111111111111111D2A", 9),
        ("track", "%C4111^X^", 1),
    ],
)
def test_bad_inputs_exit_1_with_their_place(command: str, text: str, offset: int) -> None:
    result = call(command, "--json", text)
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert document["offset"] == offset
    assert document["error"]
    plain = call(command, text)
    assert plain.exit_code == 1
    assert plain.stdout == ""
    assert f"offset {offset}" in plain.stderr


def test_unknown_dialect() -> None:
    for app in (decode_command.app, encode_command.app):
        for options in ((), ("--json",), ("--lines",)):
            result = call("8583", "--dialect", "klingon", *options, app=app)
            assert result.exit_code == 2
            assert "only unionpay" in " ".join(result.stderr.split())


def test_tlv() -> None:
    document = tlv.decode("6F1A840E315041592E5359532E4444463031A5088801025F2D02656E")
    assert list(document) == ["children"]
    found = document["children"]
    assert found[0]["tag"] == "6F"
    assert found[0]["length"] == 26
    assert [child["tag"] for child in found[0]["children"]] == ["84", "A5"]
    assert found[0]["children"][1]["children"][1] == {
        "tag": "5F2D",
        "name": "Language Preference",
        "length": 2,
        "value": "656E",
        "children": [],
    }


def test_tlv_masks_readable_output_even_with_padding_and_long_lengths() -> None:
    record = "70810F" + "0000" + "5A0A6222021234567890128F" + "FF"
    shown = call("tlv", record).output
    assert "622202*********0128F" in shown
    assert PAN not in shown
    assert PAN in call("tlv", "--unmask", record).output
    masked = tlv.decode(record, mask=True)["children"]
    assert masked[0]["value"] == "00005A0A622202*********0128FFF"
    assert masked[0]["children"][0]["value"] == "622202*********0128F"


def test_bits() -> None:
    assert bits.decode("tvr", "0000048000")["bits"] == [
        {"byte": 3, "bit": 3, "name": "Online PIN entered (online CVM captured)"},
        {"byte": 4, "bit": 8, "name": "Transaction exceeds floor limit"},
    ]
    assert [item["name"] for item in bits.decode("tsi", "E800")["bits"]] == [
        "Offline data authentication was performed",
        "Cardholder verification was performed",
        "Card risk management was performed",
        "Terminal risk management was performed",
    ]
    names = [item["name"] for item in bits.decode("aip", "7D00")["bits"]]
    assert names[0] == "SDA supported"
    assert names[-1] == "CDA supported"
    assert bits.decode("tvr", "0004000000")["bits"][0]["name"] == "Reserved for future use"
    names = [item["name"] for item in bits.decode("tvr", "FFFFFFFFFF")["bits"]]
    assert len(names) == 40
    assert names[7] == "XDA selected"
    assert names[22:24] != ["Reserved for future use"] * 2
    assert names[36:] == [
        "Reserved for contactless",
        "CA ECC key missing",
        "ECC key recovery failed",
        "Reserved for contactless",
    ]
    assert "no bit is set" in call("tvr", "0000000000").output


def test_cvm() -> None:
    result = cvm.decode("420302")
    assert result["method"] == "Enciphered PIN verified online"
    assert result["condition"] == "If the terminal supports the CVM"
    assert result["result"] == "Successful"
    found = cvm.decode("000003E8000007D0" + "4106" + "5E03" + "1F00")
    assert (found["x"], found["y"]) == (1000, 2000)
    assert [rule["method"] for rule in found["rules"]] == [
        "Plaintext PIN verified by the card",
        "Signature",
        "No CVM required",
    ]
    assert [rule["if_unsuccessful"] for rule in found["rules"]] == ["next", "next", "fail"]
    assert cvm.decode("00" * 8)["rules"] == []


def test_dol() -> None:
    found = dol.decode("9F37049F02065F2A02DF810C01")
    assert found["total"] == 13
    assert found["entries"][0] == {"tag": "9F37", "name": "Unpredictable Number", "length": 4}
    assert "warnings" in dol.decode("9F10FF")


@pytest.mark.parametrize(
    "text",
    [
        ";4111111111111111=25121011234?",
        "4111111111111111=25121011234",
        "4111111111111111D25121011234",
        "4111 1111 1111 1111 d2512 1011234",
        "%B4111111111111111^DOE/JOHN^25121011234?",
    ],
)
def test_tracks(text: str) -> None:
    clear = track.decode(text, mask=False)
    assert clear["pan"] == "4111111111111111"
    assert clear["expiry"] == "2512"
    assert clear["service_code"] == "101"
    assert clear["discretionary"] == "1234"
    assert clear["luhn"] is True
    hidden = track.decode(text)
    assert hidden["pan"] == "411111******1111"
    assert "1234" not in str(hidden)


def test_track_2_as_field_35_has_it() -> None:
    odd = track.decode("6224242900000113D280620139490310131", mask=False)
    assert (odd["expiry"], odd["service_code"]) == ("2806", "201")
    assert odd == track.decode("6224242900000113D280620139490310131F", mask=False)
    with pytest.raises(BadInput, match="odd"):
        track.decode("622424290000011")


def test_lines_run_on_after_errors() -> None:
    stdin = b"9F3602 0005\nzz\n\n\xff\xff\n9A03261121\r\n" + b"0" * (1 << 21) + b"\n95050000000000"
    result = call("tlv", "--lines", stdin=stdin)
    assert result.exit_code == 0
    documents = [json.loads(line) for line in result.output.splitlines()]
    assert len(documents) == 7
    assert all(isinstance(document, dict) for document in documents)
    assert documents[0]["children"][0]["tag"] == "9F36"
    assert documents[0] == json.loads(call("tlv", "--json", "9F36020005").output)
    assert documents[1] == {"error": "'z' is not a hexadecimal digit", "offset": 0}
    assert [("error" in item) for item in documents] == [
        False, True, True, True, False, True, False,
    ]  # fmt: skip


def test_standard_input_and_usage() -> None:
    assert call("tvr", "-", stdin=b"0000000000\n").exit_code == 0
    assert call("tvr", "--lines", "0000000000").exit_code == 2
    assert call("tvr", stdin=b"\xef\xbb\xbf0000000000\r\n").exit_code == 0
    assert call("tvr").exit_code == 2
    assert call("tvr", "-").exit_code == 1
    assert call("nothing").exit_code == 2


def test_lines_take_what_editors_and_other_systems_write() -> None:
    stdin = b"\xef\xbb\xbf0000048000\r\n00\x00000000\r\n0000000000"
    result = call("tvr", "--lines", stdin=stdin)
    documents = [json.loads(line) for line in result.output.splitlines()]
    assert [document.get("value") for document in documents] == ["0000048000", None, "0000000000"]
    assert documents[1] == {"error": r"'\x00' is not a hexadecimal digit", "offset": 2}
    text = '{"mti": "0210", "fields": {"63": "CUP\u00d6\u00d0"}}'
    plain = call("8583", stdin=text.encode(), app=encode_command.app)
    escaped = call("8583", text.encode("ascii", "backslashreplace").decode().replace("x", "u00"),
                   app=encode_command.app)  # fmt: skip
    assert plain.exit_code == 0 and plain.output == escaped.output


def test_readable_output_says_yes_and_no() -> None:
    shown = call("track", ";4111111111111112=25122011234?").output
    assert "luhn: no" in shown and "chip: yes" in shown
    assert json.loads(call("track", "--json", ";4111111111111112=25122011234?").output)["chip"]


def test_national_text_is_read() -> None:
    text = "CUP" + "中文".encode("gb18030").decode("latin-1")
    document = iso8583.decode(frame(Message("0210", {63: text})))
    assert document["subfields"]["63"] == {"63.1": "CUP", "63.2": "中文"}
    assert "中文" in call("8583", frame(Message("0210", {63: text}))).output


def test_key_block_and_rows() -> None:
    keys = Message("0810", {60: "00000001003", 62: bytes(range(40))})
    document = iso8583.decode(frame(keys))
    assert document["subfields"]["62"]["mac.kcv"] == "24252627"
    rows = "01" + "00" + "000001" + "0" + PAN + "000000000100"
    document = iso8583.decode(frame(Message("0320", {48: rows, 60: "00000001201"})))
    assert document["subfields"]["48"][0]["pan"] == "0622202*********0128"
    assert PAN not in json.dumps(document)
    cut = Message("0320", {48: rows[:-2], 60: "00000001201"})  # a row too short to be one
    document = iso8583.decode(frame(cut))
    assert PAN not in json.dumps(document) and "field 48" in document["warnings"][0]
    with pytest.raises(BadInput, match="field 48: is masked"):
        iso8583.encode(document)
    listed = bytes.fromhex("319F0605A0000003339F220103DF05083230323431323331")
    capks = Message("0830", {60: "00000001372", 62: listed})
    document = iso8583.decode(frame(capks))
    assert document["subfields"]["62"]["status"] == "1"
    assert document["subfields"]["62"]["objects"][1]["value"] == "03"
    assert "9F22" in call("8583", frame(capks)).output
    capks.fields[62] = listed[:-1]
    assert "field 62" in iso8583.decode(frame(capks))["warnings"][0]
    odd = iso8583.decode(frame(Message("0210", {60: "220"})))
    assert "60.2" in odd["warnings"][0]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "null",
        "1e999",
        "9" * 5000,
        "[" * 100000,
        '{"mti":"0200"}',
        '{"mti":1,"fields":{}}',
        '{"mti":"02x0","fields":{}}',
        '{"mti":"0200","fields":[]}',
        '{"mti":"0200","fields":{"x":"1"}}',
        '{"mti":"0200","fields":{"03":"000000"}}',
        '{"mti":"0200","fields":{"3":0}}',
        '{"mti":"0200","fields":{"3":"00000"}}',
        '{"mti":"0200","fields":{"3":"\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661"}}',
        '{"mti":"0200","fields":{"41":"\\ud800bcdefgh"}}',
        '{"mti":"0200","fields":{"63":"\\ud800bcdefgh"}}',
        '{"mti":"0200","fields":{"52":"zz"}}',
        '{"mti":"0200","fields":{"999":"1"}}',
        '{"mti":"0200","fields":{"\\u00b2":"1"}}',
        '{"mti":"0200","fields":{},"tpdu":"60"}',
        '{"mti":"0200","fields":{},"tpdu":"60","header":"60"}',
        '{"mti":"0200","fields":{},"tpdu":7,"header":"60"}',
        '{"mti":"0200","fields":{},"packing":{"23":"up"}}',
        '{"mti":"\\u0661\\u0661\\u0661\\u0661","fields":{}}',
    ],
)
def test_bad_documents_are_refused(document: str) -> None:
    result = call("8583", "--json", "-", stdin=document.encode(), app=encode_command.app)
    assert result.exit_code == 1
    assert json.loads(result.output)["error"]


COMMANDS = ["tlv", "8583", "track", "tvr", "tsi", "cvm", "aip", "dol"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(COMMANDS), st.one_of(st.text(), st.binary().map(bytes.hex)))
def test_no_input_raises(command: str, text: str) -> None:
    for options in ((), ("--json",), ("--body",) if command == "8583" else ()):
        result = call(command, *options, "--", text)
        assert result.exit_code in (0, 1)
        if result.exit_code:
            assert "Traceback" not in result.output


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=200))
def test_mutated_frames_never_raise(noise: bytes, tail: bytes) -> None:
    body = bytearray(unionpay.codec().encode(sale()))
    for place, byte in enumerate(noise):
        body[(place * 37 + byte) % len(body)] ^= byte
    for data in (bytes(body) + tail, bytes(body), tail):
        try:
            document = iso8583.decode(data.hex(), body=True, mask=False)
        except BadInput as error:
            assert error.reason
            assert error.offset is None or 0 <= error.offset <= len(data)
        else:
            assert unionpay.codec().decode(iso8583.encode(document)).mti == document["mti"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_masking_never_changes_lengths_or_shows_a_pan(data: bytes) -> None:
    wrapped = ber.encode(
        0x70, ber.encode(0x5A, bytes.fromhex(PAN + "F")) + ber.encode(0xDF31, data[:100])
    )
    masked = tlv.decode(wrapped.hex(), mask=True)["children"]
    clear = tlv.decode(wrapped.hex())["children"]
    assert len(masked[0]["value"]) == len(clear[0]["value"])
    assert PAN not in masked[0]["value"]


def test_the_command_itself_starts_light_and_leaves_quietly() -> None:
    probe = (
        "import sys; sys.argv=['till','decode','tvr','0000000000'];"
        "from host_tools.till import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "heavy={'cryptography','sqlalchemy','starlette','PIL','uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, capture_output=True)
    command = f"yes 9F36020005 | {sys.executable} -m host_tools.till decode tlv --lines | head -2"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, check=True, capture_output=True)
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 2
