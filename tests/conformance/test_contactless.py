"""Every contactless reader must do this: a PN532 on each of its buses, and a reader that
poses as a card slot."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from firmware import aio
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from firmware.hal.contactless import ManyCards, NoTap
from host_tools.emulator import deck
from host_tools.emulator.chips.card import Card
from tests.support.tap_rig import BUSES, SlotRig, TapRig
from tests.support.virtual_time import run

DECK = deck.load()
PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"
PSE = bytes.fromhex("00A404000E") + b"1PAY.SYS.DDF01" + b"\x00"
AID = bytes.fromhex("00A4040008A00000033301010100")

Rig = TapRig | SlotRig
Work = Callable[[Any], Coroutine[Any, Any, None]]
Drive = Callable[[Work], None]


def card(name: str = "approve", kind: str = "") -> Card:
    made = DECK.cards[name].make_card()
    if kind:
        made.contactless = kind
    return made


def driven(kind: str) -> Drive:
    def whole(work: Work) -> None:
        async def main() -> None:
            rig: Rig = SlotRig() if kind == "slot" else TapRig(kind)
            await work(rig)
            await rig.reader.close()
            await rig.reader.close()
            if isinstance(rig, TapRig):
                assert rig.chip.violations == []

        run(main())

    return whole


@pytest.fixture(params=[*BUSES, "slot"])
def drive(request: pytest.FixtureRequest) -> Drive:
    """Runs work on a rig; afterwards the host has kept the chip's rules."""
    return driven(request.param)


@pytest.fixture(params=BUSES)
def antenna(request: pytest.FixtureRequest) -> Drive:
    """The same for a reader whose field is ours."""
    return driven(request.param)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_tap_gives_a_channel_that_answers_select_ppse(drive: Drive, kind: str) -> None:
    async def work(rig: Rig) -> None:
        held = rig.chip.put(card(kind=kind))
        channel = await rig.reader.wait_tap(1000)
        if isinstance(rig, SlotRig):
            assert (channel.kind, channel.atr) == ("", held.pseudo_atr)
        else:
            assert channel.kind == kind
            assert channel.atr == (held.ats if kind == "A" else held.atqb)
        data, sw, elapsed_us = await channel.transmit(PPSE)
        assert sw == 0x9000 and elapsed_us > 0
        assert data.startswith(bytes.fromhex("6F")) and b"2PAY.SYS.DDF01" in data
        assert bytes.fromhex("BF0C") in data and bytes.fromhex("4F08A000000333010101") in data
        data, sw, _ = await channel.transmit(AID)
        assert (data[:1], sw) == (b"\x6f", 0x9000)
        assert rig.chip.exchanges == [PPSE, AID]
        await rig.reader.release()
        assert not rig.chip.field
        with pytest.raises(CardRemoved):
            await channel.transmit(PPSE)
        assert rig.reader.taps == 1
        await rig.reader.wait_tap(1000)
        assert rig.reader.taps == 2

    drive(work)


def test_the_contact_directory_is_not_on_the_antenna(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        held = card("t1")
        held.power_on()
        assert held.exchange(PPSE)[0] == b"\x6a\x82"
        assert held.exchange(PSE)[0].endswith(b"\x90\x00")
        rig.chip.put(held)
        channel = await rig.reader.wait_tap()
        assert (await channel.transmit(PSE))[:2] == (b"", 0x6A82)
        with pytest.raises(ValueError, match="short command APDU"):
            await channel.transmit(b"\x00\xa4")

    drive(work)


@pytest.mark.parametrize("length", [1, 64, 200, 245, 246, 247, 253, 254, 255, 256])
def test_answers_of_every_length(drive: Drive, length: int) -> None:
    class Echo(Card):
        def exchange(self, command: bytes) -> tuple[bytes, int]:
            return bytes(i & 0xFF for i in range(length)) + b"\x90\x00", 5_000

    async def work(rig: Rig) -> None:
        rig.chip.put(Echo([], seed=b"e", contactless="A"))
        channel = await rig.reader.wait_tap()
        data, sw, _ = await channel.transmit(bytes.fromhex("00B2010C00"))
        assert (data, sw) == (bytes(i & 0xFF for i in range(length)), 0x9000)
        long = bytes.fromhex("00D60000FF") + bytes(range(255))
        data, sw, _ = await channel.transmit(long)
        assert len(data) == length
        assert rig.chip.exchanges[1] == long

    drive(work)


def test_no_card_is_named_in_time_and_leaves_the_field_off(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        began = aio.ticks_ms()
        with pytest.raises(NoTap):
            await rig.reader.wait_tap(2000)
        assert 2000 <= aio.elapsed_ms(began) < 2500
        assert not rig.chip.field
        await rig.reader.wait_removed()

    drive(work)


def test_a_card_that_comes_later_is_found(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        waiting = aio.spawn("tap", rig.reader.wait_tap(10_000))
        await aio.sleep_ms(3000)
        assert not waiting.done.is_set()
        rig.chip.put(card())
        channel = await aio.deadline(500, waiting.join())
        assert (await channel.transmit(PPSE))[1] == 0x9000

    drive(work)


@pytest.mark.parametrize("kinds", ["AA", "BB", "AB", "AAA"])
def test_two_cards_at_once_are_refused_and_neither_is_talked_to(antenna: Drive, kinds: str) -> None:
    async def work(rig: TapRig) -> None:
        for kind in kinds:
            rig.chip.put(card(kind=kind))
        with pytest.raises(ManyCards):
            await rig.reader.wait_tap(1000)
        assert rig.chip.exchanges == [] and not rig.chip.field and rig.reader.taps == 0
        removing = aio.spawn("removed", rig.reader.wait_removed())
        await aio.sleep_ms(2000)
        assert not removing.done.is_set()
        rig.chip.take()
        await aio.deadline(1000, removing.join())
        rig.chip.put(card())
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    antenna(work)


def test_a_card_without_iso_14443_4_is_refused(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        rig.chip.put(card(), plain=True)
        with pytest.raises(CardMute, match="14443-4"):
            await rig.reader.wait_tap(1000)
        assert not rig.chip.field

    drive(work)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_card_that_leaves_in_mid_command_is_removed(drive: Drive, kind: str) -> None:
    async def work(rig: Rig) -> None:
        pulled = card(kind=kind)
        rig.chip.put(pulled)
        channel = await rig.reader.wait_tap()
        await channel.transmit(PPSE)
        pulled.tear_next()
        for _ in range(2):
            with pytest.raises(CardRemoved):
                await channel.transmit(AID)
        assert rig.chip.exchanges == [PPSE, AID]

    drive(work)


def test_a_card_that_stays_and_is_silent_is_mute(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        silent = card("mute-at-apdu")
        silent.faults = [{"kind": "mute", "at": 1}]
        rig.chip.put(silent)
        channel = await rig.reader.wait_tap()
        for _ in range(2):
            with pytest.raises(CardMute):
                await channel.transmit(PPSE)
        assert rig.chip.exchanges == [PPSE]

    drive(work)


def test_a_dawdling_card_ends_in_time(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        late = card()
        late.faults = [{"kind": "late", "at": 1, "ms": 600_000}]
        rig.chip.put(late)
        channel = await rig.reader.wait_tap()
        began = aio.ticks_ms()
        with pytest.raises(CardMute):
            await channel.transmit(PPSE)
        assert aio.elapsed_ms(began) < 40_000
        rig.chip.take()
        rig.chip.put(card())
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    drive(work)


@pytest.mark.parametrize("ms", [1, 3, 7, 15, 20, 40, 55, 70, 90, 120])
def test_a_cancelled_wait_loses_nothing(drive: Drive, ms: int) -> None:
    async def work(rig: Rig) -> None:
        rig.chip.put(card())
        name, _ = await aio.first(("tap", rig.reader.wait_tap()), timeout_ms=ms)
        channel = await aio.deadline(2000, rig.reader.wait_tap())
        assert name in ("tap", "timeout")
        assert (await channel.transmit(PPSE))[1] == 0x9000

    drive(work)


def test_a_cancelled_command_kills_the_channel_and_the_next_tap_works(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        rig.chip.put(card())
        channel = await rig.reader.wait_tap()
        name, _ = await aio.first(("apdu", channel.transmit(PPSE)), timeout_ms=8)
        assert name == "timeout"
        with pytest.raises(CardRemoved):
            await channel.transmit(PPSE)
        assert (await (await rig.reader.wait_tap(1000)).transmit(AID))[1] == 0x9000
        assert rig.chip.exchanges == [PPSE, AID]

    drive(work)


def test_the_field_can_be_switched(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        await rig.reader.field(True)
        assert rig.chip.field or isinstance(rig, SlotRig)
        await rig.reader.field(False)
        assert not rig.chip.field
        rig.chip.put(card())
        channel = await rig.reader.wait_tap()
        await rig.reader.field(False)
        with pytest.raises(CardRemoved):
            await channel.transmit(PPSE)
        assert rig.chip.exchanges == []

    drive(work)


def test_a_reader_that_is_not_there_is_named_in_time_and_may_come_back(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        rig.chip.unplugged = True
        for act in (
            rig.reader.wait_tap, rig.reader.release, rig.reader.wait_removed,
        ):  # fmt: skip
            with pytest.raises(ReaderMissing):
                await aio.deadline(3000, act())
        rig.chip.unplugged = False
        rig.chip.put(card())
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    drive(work)


def test_a_reader_unplugged_in_mid_command_is_missing(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        slow = card()
        slow.faults = [{"kind": "late", "at": 1, "ms": 500}]
        rig.chip.put(slow)
        channel = await rig.reader.wait_tap()

        async def pull() -> None:
            await aio.sleep_ms(100)
            rig.chip.unplugged = True

        pulling = aio.spawn("pull", pull())
        began = aio.ticks_ms()
        with pytest.raises(ReaderMissing):
            await channel.transmit(PPSE)
        assert aio.elapsed_ms(began) < 10_000
        await pulling.join()
        rig.chip.unplugged = False
        rig.chip.reset()
        slow.faults = []
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    drive(work)


def test_it_says_who_it_is_at_any_time(drive: Drive) -> None:
    async def work(rig: Rig) -> None:
        said = "PN532 1.6" if isinstance(rig, TapRig) else ""
        await rig.reader.release()
        assert await rig.reader.check() == said
        rig.chip.put(card())
        channel = await rig.reader.wait_tap(1000)
        assert await rig.reader.check() == said and not rig.chip.field
        with pytest.raises(CardRemoved):  # that tap is over
            await channel.transmit(PPSE)
        rig.chip.unplugged = True
        for _ in range(2):
            with pytest.raises(ReaderMissing):
                await aio.deadline(3000, rig.reader.check())
        rig.chip.unplugged = False
        assert await rig.reader.check() == said

    drive(work)


def test_another_chip_in_its_place_is_named(antenna: Drive) -> None:
    async def work(rig: TapRig) -> None:
        rig.chip.firmware = bytes((0x33, 1, 6, 7))
        with pytest.raises(ReaderMissing, match="another chip"):
            await rig.reader.check()

    antenna(work)
