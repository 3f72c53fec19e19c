"""The trace: readable, and without a secret of the deck, whatever the card answers."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from host_tools.emulator import tap
from host_tools.emulator.deck import load
from tests.support.handheld import Handheld
from tests.support.virtual_time import run

DECK = load()
PANS = [app.pan for spec in DECK.cards.values() for app in spec.apps]
NAMES = {app["name"] for spec in DECK.cards.values() for app in spec.apps if "name" in app.fields}
SCRUB = tap.EntryScrub(PANS)

pans = st.sampled_from(PANS)
noise = st.binary(max_size=40)


def tlv(tag: str, value: bytes) -> bytes:
    return bytes.fromhex(tag) + bytes([len(value)]) + value


def packed(digits: str) -> bytes:
    return bytes.fromhex(digits + "F" * (len(digits) % 2))


def clean(entry: tap.Entry, pan: str) -> None:
    text = json.dumps(SCRUB.entry(entry))
    assert pan not in text
    assert pan.encode().hex().upper() not in text.upper()
    assert pan[6:-4] not in text


@given(
    pans, st.sampled_from(["5A", "57", "9F6B", "56", "9F20", "C1", "9F55"]), noise, st.booleans()
)
def test_no_answer_of_a_card_shows_its_number(
    pan: str, tag: str, more: bytes, wrapped: bool
) -> None:
    data = tlv(tag, packed(pan)[:60]) + tlv("9F36", b"\x00\x01")
    data = tlv("70", data) if wrapped else data
    clean(tap.apdu_entry(bytes.fromhex("00B2010C00"), data + more + b"\x90\x00", 1000), pan)


@given(pans, noise, noise)
def test_no_garbled_answer_shows_it_either(pan: str, before: bytes, after: bytes) -> None:
    for digits in (packed(pan), pan.encode()):
        entry = tap.apdu_entry(
            bytes.fromhex("00B2010C00"), before + digits + after + b"\x90\x00", 1000
        )
        clean(entry, pan)


@given(pans, st.sampled_from(["20", "24", "A4", "A8", "AE", "88", "82", "DA", "00"]))
def test_no_command_shows_it(pan: str, ins: str) -> None:
    body = packed(pan)
    command = bytes.fromhex(f"00{ins}0080") + bytes([len(body)]) + body
    clean(tap.apdu_entry(command, b"\x90\x00", 0), pan)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=60))
def test_nothing_that_a_card_says_breaks_the_tap(
    command: bytes, response: bytes, frame: bytes
) -> None:
    card = tap.CardTap()
    for _ in range(2):
        assert card.apdu(command, response, 1)["kind"] == "apdu"
    assert tap.message_entry(len(frame).to_bytes(2, "big") + frame, "to bank")["kind"] == "iso"


def test_a_pin_is_never_in_a_verify_entry() -> None:
    block = bytes.fromhex("241234FFFFFFFFFF")
    entry = tap.apdu_entry(bytes.fromhex("0020008008") + block, b"\x90\x00", 0)
    text = json.dumps(entry)
    assert "1234" not in text
    assert "never shown" in text


def test_names_and_certificates_that_hold_the_number_are_hidden() -> None:
    data = tlv("5F20", b"DOE/JANE") + tlv("9F46", bytes(range(96))) + tlv("9F2D", bytes(96))
    entry = tap.apdu_entry(bytes.fromhex("00B2010C00"), tlv("70", data[:120]) + b"\x90\x00", 0)
    entry = tap.apdu_entry(
        bytes.fromhex("00B2010C00"), b"\x70\x81" + bytes([len(data)]) + data + b"\x90\x00", 0
    )
    text = json.dumps(entry)
    assert b"DOE/JANE".hex().upper() not in text
    assert bytes(range(90, 96)).hex().upper() not in text
    assert text.count("hidden:") == 3


def test_commands_are_divided_by_the_lists_that_the_card_gave() -> None:
    card = tap.CardTap()
    fci = tlv("6F", tlv("A5", tlv("9F38", bytes.fromhex("9F02069A03"))))
    card.apdu(bytes.fromhex("00A4040005A000000333"), fci + b"\x90\x00", 0)
    entry = card.apdu(
        bytes.fromhex("80A800000B8309") + bytes.fromhex("000000001234261121"),
        bytes.fromhex("80062000080101009000"),
        0,
    )
    rows = {name.strip(): value for name, value in entry["fields"]}
    assert rows["9F02 Amount, Authorised (Numeric)"] == "000000001234"
    assert rows["9A Transaction Date"] == "261121"
    assert rows["82 Application Interchange Profile"] == "2000"


def test_a_whole_sale_shows_no_secret() -> None:
    async def story() -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        t = Handheld()
        card = tap.CardTap()
        inner, handle = t.rack.slot.transfer, t.acquirer.bank.handle

        def slot(op: int, payload: bytes) -> tuple[bytes, int]:
            answer, busy = inner(op, payload)
            if op == 2:
                entries.append(card.reset(answer))
            elif op == 3:
                entries.append(card.apdu(payload, answer, busy))
            return answer, busy

        def bank(frame: bytes, peer: Any) -> Any:
            entries.append(tap.message_entry(len(frame).to_bytes(2, "big") + frame, "to bank"))
            answers = handle(frame, peer)
            for answer in answers:
                if answer.data:
                    entries.append(tap.message_entry(answer.data, "from bank"))
            return answers

        t.rack.slot.transfer = slot  # type: ignore[method-assign]
        t.acquirer.bank.handle = bank  # type: ignore[method-assign]
        await t.power_on()
        await t.pay("5678", "offline-pin-enciphered")
        await t.until("question", "remove_card", "idle")
        await t.power_off()
        return entries

    entries = run(story())
    text = json.dumps(entries)  # before the second net: the tap alone must do
    spec = DECK.cards["offline-pin-enciphered"]
    for app in spec.apps:
        assert app.pan not in text
        assert app.pan[3:] not in text
    titles = [entry["title"] for entry in entries]
    assert titles.index("VERIFY") < titles.index("GENERATE AC") < titles.index("0200 to bank")
    sale = next(entry for entry in entries if entry["title"] == "0200 to bank")
    rows = {name.strip(): value for name, value in sale["fields"]}
    assert rows["4 amount"] == "000000005678"
    assert rows["9F26 Application Cryptogram"]
    assert rows["2 primary account number"].count("*") == len(spec.pan) - 10
