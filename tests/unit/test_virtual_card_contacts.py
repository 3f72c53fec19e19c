"""The virtual card at its contacts: ATR, T=0, T=1, faults, hostile bytes, saved state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.emulator import deck
from host_tools.emulator.chips.card import Card, answer_to_reset
from host_tools.emulator.chips.card_slot import CardSlotChip
from host_tools.emulator.chips.card_tlv import garbled, tlv
from host_tools.emulator.chips.errors import ChipError

DECK = deck.load()
SELECT_APDU = bytes.fromhex("00A4040008A00000033301010100")
SELECT_TPDU = SELECT_APDU[:-1]


def powered(name: str = "approve", protocol: int = 0, faults: Any = None) -> Card:
    card = DECK.cards[name].make_card()
    card.protocol = protocol
    if faults is not None:
        card.faults = faults
    assert card.power_on() == answer_to_reset(protocol)
    return card


def ask(card: Card, command: str) -> str:
    return card.exchange(bytes.fromhex(command))[0].hex().upper()


def test_answers_to_reset() -> None:
    assert answer_to_reset(0).hex().upper() == "3B6500004F50454E54"
    assert answer_to_reset(1).hex().upper() == "3BE500008131FE454F50454E54AE"


def test_t0_procedures() -> None:
    card = powered()
    fci = card.applications[0].data.fci
    announced = f"{len(fci):02X}"
    assert ask(card, SELECT_TPDU.hex()) == "61" + announced
    assert ask(card, "00C0000000") == "6C" + announced
    assert ask(card, "00C00000" + announced) == fci.hex().upper() + "9000"
    assert ask(card, "00C00000" + announced) == "6985"  # only once
    assert ask(card, "00B2010C00")[:2] == "6C"
    length = len(card.applications[0].data.records[(1, 1)])
    assert ask(card, f"00B2010C{length:02X}")[-4:] == "9000"
    assert ask(card, SELECT_APDU.hex()) == "6700"  # an APDU where a TPDU belongs
    assert ask(card, "00B2010C") == "6C" + f"{length:02X}"
    assert ask(card, "00C0010000") == "6A86"


def test_any_other_command_drops_what_waits() -> None:
    card = powered()
    ask(card, SELECT_TPDU.hex())
    ask(card, "80CA9F3600")
    assert ask(card, "00C0000000") == "6985"


def test_t0_warning_then_data() -> None:
    card = powered("app-blocked")
    assert ask(card, SELECT_TPDU.hex()) == "6283"
    length = ask(card, "00C0000000")[2:]
    assert ask(card, "00C00000" + length)[:2] == "6F"


def test_t1_cases() -> None:
    card = powered(protocol=1)
    assert ask(card, SELECT_APDU.hex())[-4:] == "9000"
    assert ask(card, SELECT_TPDU.hex()) == "6700"  # no Le though data is expected
    assert ask(card, "80CA9F3605") == "6C05" or ask(card, "80CA9F3601") == "6C05"
    assert ask(card, "80CA9F3605")[-4:] == "9000"
    assert ask(card, "00C0000000") == "6D00"
    assert ask(card, "00A40400") == "6700"
    assert ask(card, "00A404000000") == "6700"
    assert ask(card, "0020008008241234FFFFFFFFFF00") == "6700"


@pytest.mark.parametrize("protocol", [0, 1])
def test_select_by_name(protocol: int) -> None:
    card = powered("two-apps", protocol)

    def select(aid: str, p2: str = "00") -> tuple[str, bytes]:
        le = "00" if protocol else ""
        first = ask(card, f"00A404{p2}{len(aid) // 2:02X}{aid}{le}")
        if first[:2] == "61":
            first = ask(card, "00C00000" + first[2:])
        data = bytes.fromhex(first[:-4])
        return first[-4:], data[4 : 4 + data[3]] if data else b""

    debit, credit = (application.data.aid for application in card.applications)
    assert select("A000000333") == ("9000", debit)  # partial: the first that begins so
    assert select("A000000333", "02") == ("9000", credit)  # next occurrence
    assert select("A000000333", "02") == ("6A82", b"")
    assert select(credit.hex()) == ("9000", credit)
    assert select("A0000003330101", "02") == ("6A82", b"")  # goes on from the last match
    assert select("A000000444") == ("6A82", b"")
    assert select(debit.hex() + "01") == ("6A82", b"")
    assert select(debit.hex(), "01")[0] == "6A86"
    assert select(b"1PAY.SYS.DDF01".hex())[0] == "9000"


def test_directory() -> None:
    card = powered("two-apps", 1)
    ask(card, "00A404000E315041592E5359532E444446303100")
    record = ask(card, "00B2010C00")
    assert record[:2] == "70" and record.count("61") >= 2
    assert all(a.data.aid.hex().upper() in record for a in card.applications)
    assert ask(card, "00B2020C00") == "6A83"
    assert ask(card, "00B2011400") == "6A82"
    none = powered("no-pse", 1)
    assert ask(none, "00A404000E315041592E5359532E444446303100") == "6A82"


def test_card_blocked_and_no_selection() -> None:
    assert ask(powered("card-blocked", 1), SELECT_APDU.hex()) == "6A81"
    card = powered(protocol=1)
    for command in ("00B2010C00", "80CA9F3600", "0084000000", "80A8000002830000"):
        assert ask(card, command) == "6985"


class TestFaults:
    def test_torn_leaves_the_slot(self) -> None:
        slot = CardSlotChip()
        card = DECK.cards["approve"].make_card()
        card.faults = [{"at": 2, "kind": "torn"}]
        slot.insert(card)
        slot.transfer(2, b"")
        slot.transfer(3, SELECT_TPDU)
        slot.transfer(3, b"\x00\xc0\x00\x00\x34")  # belongs to the first command
        with pytest.raises(ChipError, match="left"):
            slot.transfer(3, bytes.fromhex("80CA9F3600"))
        assert slot.transfer(1, b"")[0] == b"\x00"

    def test_nth_of_an_instruction_and_6c_repetition(self) -> None:
        card = powered(faults=[{"ins": "CA", "nth": 2, "kind": "sw", "sw": "6985"}])
        ask(card, SELECT_TPDU.hex())
        assert ask(card, "80CA9F3600") == "6C05"
        assert ask(card, "80CA9F3605")[-4:] == "9000"  # the same command again
        assert ask(card, "80CA9F3600") == "6985"

    def test_mute_stays_mute(self) -> None:
        card = powered(faults=[{"at": 1, "kind": "mute"}])
        assert ask(card, SELECT_TPDU.hex()) == "" and ask(card, SELECT_TPDU.hex()) == ""
        assert not card.torn

    def test_mute_and_torn_at_reset(self) -> None:
        card = DECK.cards["mute"].make_card()
        assert card.power_on() == b"" and card.exchange(SELECT_TPDU) == (b"", 0)
        card = DECK.cards["approve"].make_card()
        card.faults = [{"at": 0, "kind": "torn"}]
        slot = CardSlotChip()
        slot.insert(card)
        with pytest.raises(ChipError, match="left"):
            slot.transfer(2, b"")
        assert slot.card is None

    def test_late(self) -> None:
        card = powered(faults=[{"at": 1, "kind": "late", "ms": 900}])
        assert card.exchange(SELECT_TPDU)[1] >= 900_000

    def test_every_status_at_every_command(self) -> None:
        for status in ("6283", "6300", "6700", "6985", "6A82", "6F00", "0000", "FFFF"):
            for ins in ("A4", "A8", "B2", "AE"):
                card = powered(protocol=1, faults=[{"ins": ins, "kind": "sw", "sw": status}])
                assert ask(card, f"00{ins}040000") == status

    def test_garbled_in_the_repetition_that_t0_needs(self) -> None:
        card, clean = powered("garbled-tlv"), powered()
        for each in (card, clean):
            ask(each, SELECT_TPDU.hex())
            ask(each, "00B2010C00")
        length = ask(card, "00B2020C00")[2:]
        assert ask(clean, "00B2020C00")[2:] == length
        assert ask(card, "00B2020C" + length) != ask(clean, "00B2020C" + length)
        # The next command is whole again.
        whole = ask(card, "00B2010C00")[2:]
        assert ask(card, "00B2010C" + whole)[:8] == "7023" + "5711"
        # An answer that waits for GET RESPONSE is garbled where it waits.
        card = powered(faults=[{"ins": "A8", "kind": "garble"}])
        ask(card, SELECT_TPDU.hex())
        announced = ask(card, "80A8000009830701569999990156")[2:]
        assert ask(card, "00C00000" + announced)[:8] == "7712827F"

    def test_garbled_runs_past_the_end(self) -> None:
        record = tlv(0x70, tlv(0x5A, b"\x62\x99"), tlv(0x9F07, b"\xff\x00"))
        assert garbled(record)[:4].hex() == "70095a7f"
        card = powered("garbled-tlv", 1)
        ask(card, SELECT_APDU.hex())
        whole = ask(card, "00B2010C00")
        bad = ask(card, "00B2020C00")
        clean = powered(protocol=1)
        ask(clean, SELECT_APDU.hex())
        assert whole[:2] == bad[:2] == "70"
        assert bad != ask(clean, "00B2020C00") and bad[-4:] == "9000"


class TestSlot:
    def test_operations(self) -> None:
        slot = CardSlotChip()
        assert slot.transfer(1, b"")[0] == b"\x00"
        with pytest.raises(ChipError, match="no card"):
            slot.transfer(2, b"")
        with pytest.raises(ChipError, match="operation"):
            slot.transfer(9, b"")
        card = DECK.cards["approve"].make_card()
        slot.insert(card)
        assert slot.transfer(1, b"")[0] == b"\x01"
        with pytest.raises(ChipError, match="no power"):
            slot.transfer(3, SELECT_TPDU)
        assert slot.transfer(2, b"")[0] == answer_to_reset(0)
        assert slot.transfer(3, SELECT_TPDU)[0][0] == 0x61
        slot.transfer(4, b"")
        with pytest.raises(ChipError, match="no power"):
            slot.transfer(3, SELECT_TPDU)
        assert slot.remove() is card
        assert slot.remove() is None

    def test_a_second_card_pushes_the_first_out(self) -> None:
        slot = CardSlotChip()
        first, second = (DECK.cards[name].make_card() for name in ("approve", "dda"))
        slot.insert(first)
        slot.transfer(2, b"")
        slot.insert(second)
        assert slot.card is second and not slot.powered

    def test_broken_reader(self) -> None:
        slot = CardSlotChip()
        slot.broken = True
        for op in (1, 2, 3, 4):
            with pytest.raises(ChipError):
                slot.transfer(op, b"")


class TestState:
    def test_counters_survive_power_and_serialisation(self) -> None:
        card = powered(protocol=1)
        for _ in range(2):
            card.power_on()
            ask(card, SELECT_APDU.hex())
            assert ask(card, "80A8000009830701569999990156" + "00")[-4:] == "9000"
            ask(card, "0020008008249999FFFFFFFFFF")
        saved = json.loads(json.dumps(card.state()))
        other = powered(protocol=1)
        other.load_state(saved)
        other.power_on()
        ask(other, SELECT_APDU.hex())
        assert ask(other, "80CA9F3600") == "9F360200029000"
        assert ask(other, "80CA9F1700") == "9F1701019000"
        assert other.state() == saved
        other.reset()
        other.power_on()
        ask(other, SELECT_APDU.hex())
        assert ask(other, "80CA9F3600") == "9F360200009000"
        assert other.state() == DECK.cards["approve"].make_card().state()

    @pytest.mark.parametrize(
        "bad", [{}, {"applications": {}, "drawn": 1, "blocked": False}, {"applications": 1}]
    )
    def test_foreign_state_is_refused_and_changes_nothing(self, bad: Any) -> None:
        card = DECK.cards["approve"].make_card()
        before = card.state()
        with pytest.raises((KeyError, TypeError, ValueError)):
            card.load_state(bad)
        assert card.state() == before

    def test_random_numbers_repeat_from_the_factory(self) -> None:
        def challenge(card: Card) -> str:
            ask(card, SELECT_APDU.hex())
            return ask(card, "0084000000")

        one, two = powered(protocol=1), powered(protocol=1)
        assert challenge(one) == challenge(two) != challenge(one)
        assert challenge(powered("dda", 1)) != challenge(powered(protocol=1))


INS = st.sampled_from([0xA4, 0xA8, 0xB2, 0xCA, 0xC0, 0x84, 0x20, 0x88, 0x82, 0xAE, 0x24, 0xDA])
HEADERS = st.builds(
    lambda cla, ins, p1, p2: bytes([cla, ins, p1, p2]),
    st.sampled_from([0x00, 0x80, 0x84, 0xFF]),
    INS,
    st.sampled_from([0, 1, 2, 4, 0x40, 0x50, 0x80, 0x90, 0x9F]),
    st.sampled_from([0, 2, 0x0C, 0x14, 0x36, 0x80, 0x88]),
)
COMMANDS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, data: head + bytes([len(data)]) + data, HEADERS, st.binary(max_size=160)
    ),
    st.sampled_from(
        [
            SELECT_TPDU,
            SELECT_APDU,
            bytes.fromhex("80A8000009830701569999990156"),
            bytes.fromhex("80A800000983070156999999015600"),
            bytes.fromhex("80AE80001D") + bytes(29),
            bytes.fromhex("80AE900020") + bytes(32),
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["approve", "cda", "no-oda", "offline-pin-enciphered", "two-apps"]),
    protocol=st.sampled_from([0, 1]),
    commands=st.lists(COMMANDS, max_size=12),
)
def test_any_bytes_get_a_status_word(name: str, protocol: int, commands: list[bytes]) -> None:
    card = powered(name, protocol)
    for command in [SELECT_APDU if protocol else SELECT_TPDU, *commands]:
        answer, busy = card.exchange(command)
        assert 2 <= len(answer) <= 258
        assert busy > 0
    card.load_state(json.loads(json.dumps(card.state())))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=260))
def test_garbling_never_fails(data: bytes) -> None:
    assert len(garbled(data)) == len(data)
