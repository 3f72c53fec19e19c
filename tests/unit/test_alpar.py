"""The serial card reader coprocessor: frames, lost and repeated commands, faults of the line,
a wrong device, plugs pulled, and a whole chip sale on a board that has one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import aio
from firmware.buses import alpar
from firmware.buses.alpar import AlparSlot, NotAlpar, ReaderSilent
from firmware.buses.alpar_frames import ACK, MOST, NAK, FrameReader, Refused, cause, encode
from firmware.buses.wire import BusError
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from host_tools import board_file
from host_tools.emulator import deck
from host_tools.emulator.chips import alpar as chips
from host_tools.emulator.chips.card import Card
from host_tools.emulator.rack import BOARDS
from tests.support import virtual_time
from tests.support.alpar_wire import AlparWire, reader_with
from tests.support.handheld import Handheld

SELECT = bytes.fromhex("00A4040008A00000033301010100")
#: No operation lasts longer with a card that is not busy, in ms (docstrings of AlparSlot).
MOST_PRESENT, MOST_POWER = 4000, 60000


def card(protocol: int = 0, **fields: Any) -> Card:
    made = deck.load().cards["approve"].make_card()
    made.protocol = protocol
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# ---- frames ---------------------------------------------------------------------------

frames = st.tuples(st.sampled_from([ACK, NAK]), st.integers(0, 255), st.binary(max_size=MOST))


def taken(reader: FrameReader) -> list[tuple[int, int, bytes]]:
    found = []
    while (frame := reader.next()) is not None:
        found.append((ACK if frame.ack else NAK, frame.opcode, frame.data))
    return found


@given(st.lists(frames, max_size=5), st.data())
def test_frames_come_through_in_whatever_pieces(
    sent: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode(opcode, content, header) for header, opcode, content in sent)
    reader = FrameReader()
    got = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        got += taken(reader)
    assert got == sent and not reader.waiting and reader.noise == 0


@given(st.binary(max_size=40).filter(lambda noise: ACK not in noise and NAK not in noise), frames)
def test_noise_before_a_frame_is_counted_and_forgotten(
    noise: bytes, frame: tuple[int, int, bytes]
) -> None:
    reader = FrameReader()
    reader.feed(noise + encode(frame[1], frame[2], frame[0]))
    assert taken(reader) == [frame] and reader.noise == len(noise)


@given(st.binary(max_size=2000))
def test_any_bytes_end_in_bounded_work(noise: bytes) -> None:
    reader = FrameReader()
    reader.feed(noise)
    for _ in range(len(noise) + 1):
        taken(reader)
        if not reader.waiting:
            break
        reader.give_up()
    assert not reader.waiting
    reader.feed(encode(0x0A, b"07"))
    assert taken(reader) == [(ACK, 0x0A, b"07")]


@given(frames, st.data())
def test_a_wrong_bit_is_never_taken_for_the_frame(
    frame: tuple[int, int, bytes], data: st.DataObject
) -> None:
    good = encode(frame[1], frame[2], frame[0])
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ 1 << data.draw(st.integers(0, 7))]) + good[at + 1 :]
    reader = FrameReader()
    reader.feed(bad)
    assert frame not in taken(reader)


def test_what_was_taken_for_a_frame_is_searched_again() -> None:
    """A header in the noise that announces 300 bytes must not swallow the answer."""
    reader = FrameReader()
    reader.feed(b"\x60\x01\x2c\x00" + encode(0x09, b"\x01"))
    assert taken(reader) == []
    reader.give_up()
    assert taken(reader) == [(ACK, 0x09, b"\x01")]


def test_too_long_a_frame() -> None:
    with pytest.raises(ValueError, match="507"):
        encode(0, bytes(507))
    reader = FrameReader()
    reader.feed(b"\x60\x01\xfb\x00")
    assert taken(reader) == [] and not reader.waiting


def test_causes_have_words() -> None:
    assert cause(0x08) == "buffer too short"
    assert cause(0xC0) == "no card"
    assert cause(0xFF) == "command incomplete"
    assert cause(0x77) == "cause 77"
    assert [code for code in range(256) if not cause(code)] == []


# ---- what goes to the coprocessor ------------------------------------------------------


def talk(
    work: Callable[[Any, AlparSlot, AlparWire], Awaitable[None]], **settings_of_slot: Any
) -> AlparWire:
    reader, slot, wire = reader_with(**settings_of_slot)

    async def whole() -> None:
        await work(reader, slot, wire)

    virtual_time.run(whole())
    return wire


def opcodes(wire: AlparWire) -> list[int]:
    return [opcode for opcode, _ in wire.chip.commands]


@pytest.mark.parametrize("protocol", [0, 1])
def test_reset_is_cold_and_in_emv_mode(protocol: int) -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card(protocol))
        channel = await reader.power_on()
        assert channel.protocol == protocol
        assert (await channel.transmit(SELECT))[1] == 0x9000
        await reader.power_off()
        assert not wire.chip.slot.powered

    wire = talk(work, volts="3")
    assert wire.chip.commands[:4] == [(0x0A, b""), (0x09, b""), (0x4D, b""), (0x6D, b"\x01")]
    assert ((0x0C, b"\xfe") in wire.chip.commands) == (protocol == 1)


def test_with_t0_nothing_but_tpdus_reaches_the_coprocessor() -> None:
    """It has nothing to fetch by itself: 61xx and 6Cxx are the channel's."""

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        channel = await reader.power_on()
        data, sw, _ = await channel.transmit(SELECT)
        assert sw == 0x9000 and data[0] == 0x6F
        assert (await channel.transmit(bytes.fromhex("00200080")))[1] == 0x6700

    wire = talk(work)
    sent = [data for opcode, data in wire.chip.commands if opcode == 0]
    assert sent[0] == SELECT[:-1] and sent[1][:4] == b"\x00\xc0\x00\x00"
    assert sent[2] == bytes.fromhex("0020008000")
    assert wire.chip.tpdus == sent


def test_the_speed_is_negotiated_only_on_a_board_that_says_so() -> None:
    fast = b"\x3b\x75\x13\x00\x00OPENT"

    def quick() -> Card:
        made = card()
        made.power_on = lambda kept=made.power_on: kept() and fast  # type: ignore[method-assign,misc]
        return made

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(quick())
        channel = await reader.power_on()
        assert channel.atr == fast
        assert (await channel.transmit(SELECT))[1] == 0x9000

    wire = talk(work)
    assert 0x10 not in opcodes(wire) and wire.chip.speed == 0x11
    wire = talk(work, pps=True)
    assert (0x10, b"\x00\x13") in wire.chip.commands and wire.chip.speed == 0x13

    async def stubborn(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.faults.mute_pps = True
        await work(reader, slot, wire)

    wire = talk(stubborn, pps=True)
    assert opcodes(wire).count(0x6E) == 2 and wire.chip.speed == 0x11


def test_a_mask_without_ifsd_request_does() -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.faults.refuse = frozenset({0x0C})
        wire.chip.slot.insert(card(1))
        channel = await reader.power_on()
        assert (await channel.transmit(SELECT))[1] == 0x9000

    talk(work)


# ---- faults of the line ----------------------------------------------------------------


def test_a_card_command_whose_answer_is_lost_is_never_sent_again() -> None:
    """The card did what it said; done twice, a PIN try would be gone."""

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        for fault in ("wrong_lrc", "truncated", "lost"):
            wire.chip.slot.insert(card())
            channel = await reader.power_on()
            before = opcodes(wire).count(0)
            setattr(wire.chip.faults, fault, 1)
            began = aio.ticks_ms()
            with pytest.raises(CardMute):
                await channel.transmit(SELECT)
            assert aio.elapsed_ms(began) <= alpar.MOST_BUSY_MS + MOST_PRESENT
            assert opcodes(wire).count(0) == before + 1
            with pytest.raises(CardMute):
                await channel.transmit(SELECT)
            assert opcodes(wire).count(0) == before + 1
            again = await reader.power_on()
            assert (await again.transmit(SELECT))[1] == 0x9000

    talk(work)


def test_a_card_command_that_was_not_heard_is_sent_again() -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        channel = await reader.power_on()
        wire.chip.faults.deaf = 2
        assert (await channel.transmit(SELECT))[1] == 0x9000
        assert wire.chip.slot.commands == 2  # SELECT and GET RESPONSE, once each
        wire.chip.faults.deaf = 3
        with pytest.raises(CardMute, match="check byte wrong"):
            await channel.transmit(SELECT)

    talk(work)


def test_the_answer_to_another_command_is_not_taken_for_ours() -> None:
    """Given up in mid-command; what the old command still brings must not answer the next."""

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card(faults=[{"at": 1, "kind": "late", "ms": 3000}]))
        channel = await reader.power_on()
        assert (await aio.first(("c", channel.transmit(SELECT)), timeout_ms=200))[0] == "timeout"
        assert await reader.present() is True  # told while the coprocessor is busy
        again = await reader.power_on()
        data, sw, _ = await again.transmit(bytes.fromhex("80CA9F3600"))
        assert (data, sw) == (b"", 0x6985)  # nothing is selected after the reset

    talk(work)


def test_what_came_unasked_does_not_answer_a_question() -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        assert await reader.present() is True
        wire.chip.line.feed(encode(0x09, b"\x00"))
        await asyncio.sleep(0.1)
        assert await reader.present() is True

    talk(work)


@pytest.mark.parametrize("code", [0xF0, 0xFF])
def test_a_reader_that_refuses_everything(code: int) -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        channel = await reader.power_on()
        wire.chip.faults.nak, wire.chip.faults.nak_code = 1 << 30, code
        began = aio.ticks_ms()
        with pytest.raises(ReaderMissing):
            await channel.transmit(SELECT)
        with pytest.raises(Refused):
            await slot.present()
        assert aio.elapsed_ms(began) <= MOST_PRESENT
        wire.chip.faults.nak = 0
        again = await reader.power_on()
        assert (await again.transmit(SELECT))[1] == 0x9000

    talk(work)


def test_a_stalled_reader_is_named_in_time_and_found_again() -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        await reader.power_on()
        wire.chip.faults.stalled = True
        for call in (slot.present, slot.power_on, slot.power_off):
            began = aio.ticks_ms()
            with pytest.raises(ReaderSilent):
                await call()
            assert aio.elapsed_ms(began) <= MOST_PRESENT
        wire.chip.faults.stalled = False
        channel = await reader.power_on()
        assert (await channel.transmit(SELECT))[1] == 0x9000

    talk(work)


def test_other_devices_on_the_port_are_told_apart() -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        for faults in (
            chips.Faults(foreign=b"\r\nERROR\r\n"),
            chips.Faults(foreign=b"\x60\xe0" * 300),
            chips.Faults(echo=True),
        ):
            wire.chip.faults = faults
            for call in (slot.present, slot.power_on, slot.power_off):
                began = aio.ticks_ms()
                with pytest.raises(NotAlpar):
                    await call()
                assert aio.elapsed_ms(began) <= MOST_PRESENT
            with pytest.raises(ReaderMissing):
                await reader.wait_present()
        wire.chip.faults = chips.Faults()
        await asyncio.sleep(1)
        assert await reader.present()

    talk(work)


@pytest.mark.parametrize("tells", [True, False])
def test_a_card_torn_out_of_a_long_command(tells: bool) -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.faults.tells = tells
        wire.chip.slot.insert(card(faults=[{"at": 1, "kind": "late", "ms": 20000}]))
        channel = await reader.power_on()

        async def hand() -> None:
            await aio.sleep_ms(1500)
            wire.chip.slot.remove()

        pull = aio.spawn("hand", hand())
        began = aio.ticks_ms()
        with pytest.raises(CardRemoved):
            await channel.transmit(SELECT)
        assert 1500 <= aio.elapsed_ms(began) <= 1800
        await pull.join()
        assert await reader.present() is False
        wire.chip.slot.insert(card())
        again = await reader.power_on()
        assert (await again.transmit(SELECT))[1] == 0x9000

    talk(work)


@pytest.mark.parametrize("when_ms", [0, 1, 3, 8, 20, 60, 400])
def test_the_plug_pulled_in_mid_command(when_ms: int) -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card(faults=[{"at": 1, "kind": "late", "ms": 300}]))
        channel = await reader.power_on()

        async def hand() -> None:
            await aio.sleep_ms(when_ms)
            wire.chip.line.unplugged = True

        pull = aio.spawn("hand", hand())
        with pytest.raises(ReaderMissing):
            await channel.transmit(SELECT)
            await aio.sleep_ms(500)
            await channel.transmit(SELECT)
        await pull.join()
        with pytest.raises(ReaderMissing):
            await reader.present()
        wire.chip.line.unplugged = False
        wire.chip.restart()
        assert await reader.present()
        with pytest.raises((ReaderMissing, CardRemoved)):
            await channel.transmit(SELECT)
        again = await reader.power_on()
        assert (await again.transmit(SELECT))[1] == 0x9000

    talk(work)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1]), st.integers(1, 400))
def test_with_a_wrong_byte_in_some_answers_a_card_is_read_or_the_error_named(
    seed: int, protocol: int, permille: int
) -> None:
    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card(protocol))
        wire.chip.faults.garbled = permille
        for _ in range(3):
            began = aio.ticks_ms()
            try:
                channel = await reader.power_on()
                data, sw, _ = await channel.transmit(SELECT)
            except (CardMute, CardRemoved, ReaderMissing):
                assert aio.elapsed_ms(began) <= MOST_POWER + alpar.MOST_BUSY_MS
                continue
            assert sw == 0x9000 and data[:1] == b"\x6f"

    talk(work, seed=seed)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_noise_among_the_bytes_ends_in_time_and_by_name(seed: int, permille: int) -> None:
    """What a check byte of 8 bits lets through is another matter: one in 256."""

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.slot.insert(card())
        wire.chip.faults.noise = permille
        for _ in range(3):
            began = aio.ticks_ms()
            try:
                await (await reader.power_on()).transmit(SELECT)
            except (CardMute, CardRemoved, ReaderMissing):
                assert aio.elapsed_ms(began) <= MOST_POWER + alpar.MOST_BUSY_MS

    talk(work, seed=seed)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(["present", "power_on"]))
def test_whatever_a_device_says_ends_in_time_and_by_name(said: list[bytes], call: str) -> None:
    """Not only noise: frames with the right check byte and absurd contents."""

    async def work(reader: Any, slot: AlparSlot, wire: AlparWire) -> None:
        wire.chip.faults.stalled = True

        async def speak() -> None:
            wire.chip.line.feed(encode(0x0A, b"07"))
            for content in said:
                for opcode in (0x09, 0x4D, 0x6E, 0x0C, 0x00):
                    wire.chip.line.feed(encode(opcode, content))
                await asyncio.sleep(0.05)

        speaker = asyncio.ensure_future(speak())
        began = aio.ticks_ms()
        try:
            await getattr(slot, call)()
        except BusError:
            assert aio.elapsed_ms(began) <= (MOST_PRESENT if call == "present" else MOST_POWER)
        await speaker

    talk(work)


def test_no_such_supply() -> None:
    with pytest.raises(ValueError, match=r"2\.5"):
        reader_with(volts="2.5")


# ---- on a board ------------------------------------------------------------------------


def board_with_coprocessor(folder: Path) -> str:
    """The virtual board with a coprocessor in place of the slot on the wire; its folder."""
    text = (BOARDS / "virtual" / "board.toml").read_text(encoding="utf-8")
    for old, new in (
        (
            'driver = "wire_card"\nwire = "card"',
            'driver = "wire_serial"\nwire = "reader"\nbaud = 38400',
        ),
        ('driver = "chip_reader"', 'driver = "alpar_reader"\nvolts = "5"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "board.toml").write_text(text, encoding="utf-8")
    return str(folder)


def test_the_board_file_knows_its_pace(tmp_path: Path) -> None:
    file = Path(board_with_coprocessor(tmp_path)) / "board.toml"
    board_file.read(file)
    file.write_text(file.read_text().replace("baud = 38400", "baud = 115200"))
    with pytest.raises(board_file.BoardFileError, match="talks at 38400 baud"):
        board_file.read(file)


def test_a_whole_chip_sale(tmp_path: Path) -> None:
    async def work() -> None:
        hand = Handheld(board=board_with_coprocessor(tmp_path))
        await hand.power_on()
        await hand.pay("1234", "cda")
        assert "12.34" in hand.text
        await hand.back_to_idle()
        assert "12.34" in hand.paper
        sent = [data for opcode, data in hand.rack.coprocessor.commands if opcode == 0]
        assert any(data[1] == 0xAE for data in sent)  # GENERATE AC
        await hand.power_off()

    virtual_time.run(work())
