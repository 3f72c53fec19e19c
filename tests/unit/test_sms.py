"""Short messages from the modem's store, and readers of whatever a modem may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.app import sms_menu
from firmware.drivers import modem_scripts as scripts
from firmware.drivers import sms_pdu
from firmware.drivers.at_channel import AtChannel
from firmware.drivers.at_engine import Answer, Command
from firmware.hal import bearer
from firmware.hal.bearer import BearerError
from firmware.hal.mobile import ShortMessage
from host_tools.emulator.chips.modem_families import FAMILIES
from tests.portable.test_modem_scripts import CHINESE, HELLO
from tests.support.modem_rig import ModemRig
from tests.support.virtual_time import run


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_messages_are_taken_and_deleted(family: str) -> None:
    async def main() -> None:
        rig = ModemRig(family)
        for pdu in (HELLO, b"00FFFF", CHINESE):
            rig.chip.receive_message(pdu.decode())
        await rig.modem.start(40_000)
        found = await rig.modem.messages()
        assert [message.text for message in found] == ["hellohello", "OK验证码"]
        assert rig.chip.messages == {}
        assert (await rig.modem.status()).state == bearer.UP
        single = ModemRig(family, ports=1)
        await single.modem.start(40_000)
        with pytest.raises(BearerError, match="only port"):
            await single.modem.messages()
        assert (await single.modem.status()).state == bearer.UP

    run(main())


def test_a_full_store_is_emptied_in_parts() -> None:
    async def main() -> None:
        rig = ModemRig()
        for _ in range(40):
            rig.chip.receive_message(HELLO.decode())
        counts = [len(await rig.modem.messages()) for _ in range(4)]
        assert counts == [16, 16, 8, 0]

    run(main())


def test_a_body_at_the_prompt() -> None:
    async def main() -> None:
        rig = ModemRig(ports=1)
        line = AtChannel(rig.modem._line._port, scripts.URCS)
        await line.sync()
        port = rig.modem._line._port
        command = Command(b"AT+CMGS=9", b"+CMGS:", prompt=True)
        await port.write(line.engine.send(command))
        assert await line._until("prompt", 1000)
        await port.write(line.engine.body(b"0011"))
        assert await line._until("final", 1000)
        assert line._answer is not None and line._answer.lines == [b"+CMGS: 7"]
        assert rig.chip.log[-1] == "body 0011"

    run(main())


# ---- whatever a modem says --------------------------------------------------------------


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(
    (b"+CPIN: ", b"+QCSQ: \"LTE\",", b"+CESQ: 1,2,3,4,5,6", b"+CSQ: ", b"+CGDCONT: 1", b"+CMGL: 1")
)), max_size=5))  # fmt: skip
def test_no_line_breaks_a_reader(lines: list[bytes]) -> None:
    answer = Answer()
    answer.result = b"OK"
    answer.lines = lines
    scripts.sim_state(answer)
    for family in (*scripts.FAMILIES, scripts.GENERIC):
        scripts.tries_left(family, lines)
    scripts.registration(lines)
    bars = scripts.bars(lines)
    assert bars is None or 0 <= bars <= 4
    scripts.operator(lines)
    scripts.address(lines)
    scripts.counters(lines)
    scripts.messages(lines)
    scripts.has_context(lines, "x")


@given(st.binary(max_size=200).map(lambda raw: raw.hex().encode()))
def test_no_unit_breaks_the_message_reader(digits: bytes) -> None:
    try:
        message = sms_pdu.parse(digits)
    except ValueError:
        return
    assert len(message.text) <= 160 and 1 <= message.part <= message.parts


#: The default alphabet as TS 23.038, 6.2.1 tables it, column by column.
GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)  # fmt: skip
EXTRA = {"^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101}


def _packed(values: list[int], skip: int) -> bytes:
    """7-bit values as one number, ``skip`` bits up: TS 23.038, 6.1.2.1 in other words."""
    bits = sum(value << (7 * at) for at, value in enumerate(values)) << skip
    return bits.to_bytes((7 * len(values) + skip + 7) // 8, "little")


def _unit(sender: str, coding: int, size: int, body: bytes, header: bool = False) -> bytes:
    """An SMS-DELIVER in hexadecimal digits."""
    digits = sender.lstrip("+")
    if digits.isdigit():
        even = digits + "F" * (len(digits) % 2)
        swapped = "".join(even[at + 1] + even[at] for at in range(0, len(even), 2))
        number = bytes((len(digits), 0x91 if "+" in sender else 0x81)) + bytes.fromhex(swapped)
    else:
        packed = _packed([GSM.index(char) for char in sender], 0)
        number = bytes(((len(sender) * 7 + 3) // 4, 0xD0)) + packed
    first = 0x44 if header else 0x04
    unit = bytes((0, first)) + number + bytes((0, coding)) + bytes(7) + bytes((size,)) + body
    return unit.hex().upper().encode()


senders = st.one_of(
    st.from_regex(r"\+?[0-9]{3,15}", fullmatch=True),
    st.text(st.sampled_from("ABCabc -"), min_size=1, max_size=11).filter(str.strip),
)
gsm_texts = st.text(st.sampled_from(GSM.replace("\x1b", "") + "".join(EXTRA)), max_size=70)


@given(senders, gsm_texts, st.one_of(st.none(), st.integers(1, 9)))
def test_seven_bit_messages_of_another_encoder(sender: str, text: str, part: int | None) -> None:
    values: list[int] = []
    for char in text:
        values += [27, EXTRA[char]] if char in EXTRA else [GSM.index(char)]
    if part is None:
        unit = _unit(sender, 0, len(values), _packed(values, 0))
        expected = (1, 1)
    else:
        # Six octets of header are 48 bits: the text begins at the seventh septet's end.
        packed = _packed(values, 1)
        header = bytes((5, 0, 3, 0x5A, 9, part))
        unit = _unit(sender, 0, 7 + len(values), header + packed, header=True)
        expected = (part, 9)
    message = sms_pdu.parse(unit)
    assert (message.sender, message.text) == (sender, text)
    assert (message.part, message.parts) == expected


@given(senders, st.text(max_size=30), st.sampled_from((0x08, 0x18, 0xE0)))
def test_wide_messages_of_another_encoder(sender: str, text: str, coding: int) -> None:
    body = text.encode("utf-16-be")
    message = sms_pdu.parse(_unit(sender, coding, len(body), body))
    assert (message.sender, message.text) == (sender, text)


def test_what_is_no_text_has_none() -> None:
    for coding in (0x04, 0xF4, 0xF5):
        assert sms_pdu.parse(_unit("123", coding, 3, b"abc")).text == ""
    lone = sms_pdu.parse(_unit("123", 8, 4, bytes.fromhex("D83D0041")))
    assert lone.text == "?A"


def test_lines_keep_words_and_numbers_together() -> None:
    def told(text: str) -> list[str]:
        message = ShortMessage("10086\n", text, 2, 3, "2026-11-21 14:05:09")
        (sender, time), lines = sms_menu.lines(message)[:2], sms_menu.lines(message)[2:]
        assert sender == ("10086", "2/3") and time == ("2026-11-21 14:05", "")
        assert all(right == "" for _, right in lines)
        return [left for left, _ in lines]

    assert told("Your data: 80 % used. Pay") == ["Your data: 80", "% used. Pay"]
    assert told("您的验证码是482913，请勿告诉他人") == ["您的验证码是", "482913，请勿告", "诉他人"]
    assert told("x" * 30) == ["x" * 14, "x" * 14, "xx"]
    assert told("\x1b[2J\x00") == ["[2J"] and told("") == []


@given(st.text(max_size=200))
def test_any_text_makes_lines_that_fit(text: str) -> None:
    lines = [left for left, _ in sms_menu.lines(ShortMessage("", text, 1, 1))[1:]]
    assert all(1 <= len(line) <= sms_menu.COLUMNS for line in lines)
    kept = "".join(sign for sign in text if sign > " " and sign != "\x7f")
    assert "".join(lines).replace(" ", "") == kept.replace(" ", "") or not kept.isascii()
