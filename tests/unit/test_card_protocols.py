"""Answers to reset, T=0 and T=1 of a terminal that talks to the card itself, without I/O."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.buses import atr, atr_emv, t1_session
from firmware.buses.t0_exchange import T0Error, T0Exchange
from firmware.buses.t1_session import T1Error, T1Session
from host_tools.emulator.chips.bare_t1 import BlockCard

SELECT = bytes.fromhex("00A4040008A00000033301010100")
T0 = bytes.fromhex("3B6500004F50454E54")
T1 = bytes.fromhex("3BE500008131FE454F50454E54AE")


def with_check(answer: str) -> bytes:
    """An ATR from hexadecimal, its TCK added."""
    whole = bytes.fromhex(answer)
    check = 0
    for byte in whole[1:]:
        check ^= byte
    return whole + bytes([check])


# ---- answers to reset -----------------------------------------------------------------


@given(st.binary(min_size=1, max_size=40))
def test_an_answer_is_complete_when_nothing_is_missing(tail: bytes) -> None:
    whole = b"\x3b" + tail
    for end in range(1, len(whole) + 1):
        if not atr.missing(whole[:end]):
            break
    else:
        return
    for shorter in range(end):
        assert 0 < atr.missing(whole[:shorter]) <= end - shorter
    try:
        atr.parse(whole[:end])
    except atr.AtrError as error:
        assert "announces" not in str(error) and "ends before" not in str(error)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (T0, (0, 1, 0, 10, 32, 0, 0)),
        (T1, (1, 1, 0, 10, 254, 4, 5)),
        (bytes.fromhex("3B7513000A4F50454E54"), (0, 1, 10, 10, 32, 0, 0)),  # negotiable: D stays 1
        (with_check("3BF0120000910131 2025"), (1, 2, 0, 10, 32, 2, 5)),
        (bytes.fromhex("3BF01300FF1000"), (0, 4, 0, 10, 32, 0, 0)),
        (bytes.fromhex("3BE00000400A"), (0, 1, 0, 10, 32, 0, 0)),
        (bytes.fromhex("3BE000004020"), (0, 1, 0, 32, 32, 0, 0)),
    ],
)
def test_parameters(answer: bytes, wanted: tuple[int, ...]) -> None:
    got = atr_emv.parameters(atr.parse(answer), False)
    assert wanted == (
        got.protocol,
        got.divisor,
        got.extra,
        got.wi,
        got.ifsc,
        got.bwi,
        got.cwi,
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (bytes.fromhex("3B00"), "TB1"),
        (bytes.fromhex("3B2025"), "TB1"),
        (bytes.fromhex("3BE0000020FF"), "TB2"),
        (bytes.fromhex("3BE000001010"), "TA2"),  # implicit mode
        (bytes.fromhex("3BE000001001"), "TA2"),  # T=1, the ATR offers T=0
        (bytes.fromhex("3BF01400001000"), "TA1"),
        (bytes.fromhex("3BE000004000"), "TC2"),
        (with_check("3BE000008002"), "TD2"),
        (with_check("3BE0000001"), "T=1 without TB3"),
        (with_check("3BE000008101"), "without TB3"),
        (with_check("3BE0000081310F45"), "IFSC"),
        (with_check("3BE000008131FF45"), "IFSC"),
        (with_check("3BE0000081312055"), "TB3"),
        (with_check("3BE0000081312046"), "TB3"),
        (with_check("3BE0000081312000"), "TB3"),  # 2^CWI is not more than N + 1
        (with_check("3BE0001F81312045"), "guard time 31"),
        (with_check("3BE000008171204501"), "CRC"),
    ],
)  # fmt: skip
def test_rejected_answers(answer: bytes, why: str) -> None:
    with pytest.raises(atr.AtrError, match=why):
        atr_emv.parameters(atr.parse(answer), False)


def test_after_a_warm_reset_tb1_is_not_looked_at() -> None:
    for answer in ("3B00", "3B2025"):
        assert atr_emv.parameters(atr.parse(bytes.fromhex(answer)), True).protocol == 0


# ---- T=0 ------------------------------------------------------------------------------


def t0(tpdu: bytes, card_says: list[bytes]) -> tuple[bytes, list[bytes]]:
    exchange = T0Exchange(tpdu)
    sent = []
    for said in card_says:
        sent.append(exchange.send)
        exchange.feed(said)
    assert exchange.done
    return exchange.response, sent


def test_procedure_bytes() -> None:
    ask, give = bytes.fromhex("00B2010C03"), bytes.fromhex("00200080021234")
    assert t0(ask, [b"\xb2", b"abc", b"\x90\x00"]) == (b"abc\x90\x00", [ask, b"", b""])
    assert t0(ask, [b"\x60\x60\xb2", b"abc\x90\x00"])[0] == b"abc\x90\x00"
    assert t0(ask, [b"\x4da\x4db\xb2c\x90\x00"])[0] == b"abc\x90\x00"
    assert t0(ask, [b"\x6c\x09"])[0] == b"\x6c\x09"
    assert t0(give, [b"\x20", b"\x90\x00"]) == (b"\x90\x00", [give[:5], b"\x12\x34"])
    sent = t0(give, [b"\xdf", b"\x60\xdf", b"\x61\x07"])[1]
    assert sent == [give[:5], b"\x12", b"\x34"]
    assert len(t0(bytes.fromhex("00B0000000"), [b"\xb0", bytes(256), b"\x90\x00"])[0]) == 258


@pytest.mark.parametrize(
    ("tpdu", "says"),
    [
        ("00B2010C03", [b"\x00"]),
        ("00B2010C03", [b"\xb3"]),
        ("00B2010C01", [b"\xb2a", b"\xb2"]),
        ("00200080021234", [b"\x20", b"\x20"]),
        ("00200080021234", [b"\x20\x90"]),
        ("00B2010C03", [b"\x90\x00\x00"]),
    ],
)
def test_a_card_against_t0(tpdu: str, says: list[bytes]) -> None:
    with pytest.raises(T0Error):
        t0(bytes.fromhex(tpdu), says)


@pytest.mark.parametrize("bad", ["", "00A40400", "00A4040002AA", "00A4040001AABB"])
def test_not_a_tpdu(bad: str) -> None:
    with pytest.raises(ValueError, match="TPDU"):
        T0Exchange(bytes.fromhex(bad))


@given(st.integers(0, 255), st.binary(max_size=300))
def test_any_card_ends_t0_by_status_or_by_name(p3: int, says: bytes) -> None:
    exchange = T0Exchange(bytes([0, 0xB2, 1, 0x0C, p3]))
    try:
        for byte in says:
            if exchange.done:
                break
            assert exchange.wants >= 1
            exchange.feed(bytes([byte]))
    except T0Error:
        return
    assert len(exchange.response) <= (p3 or 256) + 2


# ---- T=1 ------------------------------------------------------------------------------


def t1(
    session: T1Session, partner: BlockCard, sent: bytes, response: bytes, plan: list[str]
) -> list[bytes]:
    """Let both sides talk until the session is done. ``plan``: what happens to each block of
    the terminal ("deaf") and of the card ("lrc", "cut", "nad", "pcb"), then nothing."""
    asked = []
    for _ in range(400):
        mishap = plan.pop(0) if plan else ""
        apdu = partner.take(sent, mishap == "deaf")
        if apdu is not None:
            asked.append(apdu)
            partner.answer(response)
        came = partner.out
        if mishap == "lrc":
            came = came[:-1] + bytes([came[-1] ^ 1])
        elif mishap == "cut":
            came = came[:-1]
        elif mishap == "nad":
            came = bytes([came[0] ^ 0x21]) + came[1:-1] + bytes([came[-1] ^ 0x21])
        elif mishap == "pcb":
            came = t1_session.block(0xFF)
        sent = session.take(came)
        if session.done:
            return asked
    raise AssertionError("no end")


mishaps = st.sampled_from(["", "", "", "deaf", "lrc", "cut", "nad", "pcb"])


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.binary(min_size=4, max_size=261), st.binary(min_size=2, max_size=258)),
        min_size=1,
        max_size=4,
    ),
    st.integers(16, 254),
    st.booleans(),
    st.lists(mishaps, max_size=12),
)
def test_commands_come_through_once_and_whole_or_the_session_ends(
    talk: list[tuple[bytes, bytes]], ifsc: int, offers: bool, plan: list[str]
) -> None:
    session, partner = T1Session(ifsc), BlockCard()
    try:
        if offers:
            assert t1(session, partner, session.offer(), b"", plan) == []
            assert partner.ifsd == 254
        for command, response in talk:
            assert t1(session, partner, session.begin(command), response, plan) == [command]
            assert session.response == response
    except T1Error:
        assert sum(bool(one) for one in plan) < 12 or plan == []


@given(
    st.lists(st.tuples(st.binary(min_size=4, max_size=100), st.binary(min_size=2, max_size=258)))
)
def test_without_mishaps_nothing_fails(talk: list[tuple[bytes, bytes]]) -> None:
    session, partner = T1Session(16), BlockCard()
    for command, response in talk:
        assert t1(session, partner, session.begin(command), response, []) == [command]
        assert session.response == response


@given(st.lists(mishaps, min_size=1, max_size=20))
def test_two_mishaps_in_a_row_are_borne(plan: list[str]) -> None:
    """With a good exchange after at most two bad ones the command always comes through."""
    calm: list[str] = []
    for one in plan:
        calm += [one, "", "", ""]
    session, partner = T1Session(16), BlockCard()
    command, response = bytes(range(100)), bytes(reversed(range(200)))
    assert t1(session, partner, session.begin(command), response, calm) == [command]
    assert session.response == response


@given(st.lists(st.one_of(st.binary(max_size=20), st.builds(
    t1_session.block, st.integers(0, 255), st.binary(max_size=20))), max_size=40))  # fmt: skip
def test_any_blocks_end_t1_in_time_and_by_name(said: list[bytes]) -> None:
    session = T1Session(254)
    session.begin(SELECT)
    for came in said:
        try:
            sent = session.take(came)
        except T1Error:
            return
        if session.done:
            assert len(session.response) <= t1_session.MOST
            return
        assert t1_session.is_block(sent)


@pytest.mark.soak
def test_every_order_of_six_mishaps() -> None:
    """The command reaches the card once or the session ends; an answer is the card's."""
    command, response = bytes(range(40)), bytes(range(100))
    ended = 0
    for order in itertools.product(("", "deaf", "lrc", "cut", "nad", "pcb"), repeat=6):
        session, partner = T1Session(16), BlockCard()
        try:
            assert t1(session, partner, session.begin(command), response, list(order)) == [command]
            assert session.response == response
        except T1Error:
            ended += 1
    assert 0 < ended < 6**6


def test_requests_of_the_card() -> None:
    session = T1Session(254)
    session.begin(SELECT)
    block = t1_session.block
    assert session.take(block(0xC3, b"\x05")) == block(0xE3, b"\x05") and session.wtx == 5
    assert session.take(block(0xC1, b"\x20")) == block(0xE1, b"\x20") and session.ifsc == 32
    assert session.wtx == 1
    assert session.take(block(0xC3, b"\x00")) == block(0x82)
    assert session.take(block(0xC1, b"\x0f")) == block(0x82)
    with pytest.raises(T1Error, match="3 bad blocks"):
        session.take(block(0xC0))
    session.begin(SELECT)
    with pytest.raises(T1Error, match="aborts"):
        session.take(block(0xC2))
    session.begin(SELECT)
    with pytest.raises(T1Error, match="chains nothing"):
        session.take(block(0x20))
