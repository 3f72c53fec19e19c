"""The PN532 driver on a bad line, on each bus: noise, loss, truncation, damage, stalls,
another device in its place. Each ends in a named error or a right answer, in bounded time,
and no APDU ever reaches a card twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import aio
from firmware.buses.i2c import I2c
from firmware.buses.serial_port import SerialPort
from firmware.buses.spi import Spi
from firmware.buses.wire import BusError
from firmware.drivers.pn532 import Pn532, parse_targets
from firmware.drivers.pn532_frame import ACK, LONGEST, TO_HOST, FrameReader, encode
from firmware.drivers.pn532_port import I2cPn532, Pn532Port, SerialPn532, SpiPn532
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.hal.card_reader import CardError, CardMute, CardRemoved, ReaderMissing
from host_tools.emulator import deck
from host_tools.emulator.chips import pn532
from host_tools.emulator.chips.card import Card
from host_tools.emulator.chips.pn532 import Spoil, take_frame
from tests.support.tap_rig import BUSES, TapRig
from tests.support.virtual_time import run

DECK = deck.load()
PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"
AID = bytes.fromhex("00A4040008A00000033301010100")

Work = Callable[[TapRig], Coroutine[Any, Any, None]]

# ---- the codec --------------------------------------------------------------------


def frames(stream: bytes, cuts: list[int]) -> list[tuple[str, bytes]]:
    """What a reader finds when the stream comes in parts."""
    reader = FrameReader()
    found = []
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    for begin, end in zip([0, *places], [*places, len(stream)], strict=True):
        reader.feed(stream[begin:end])
        while (one := reader.next()) is not None:
            found.append(one)
    return found


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=LONGEST - 1), cuts=st.lists(st.integers(0, 400)))
def test_every_frame_comes_back_whole_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    frame = encode(data, TO_HOST)
    assert frames(frame, cuts) == [("data", b"\xd5" + data)]
    assert take_frame(encode(data)) == (b"\xd4" + data, b"\x00")
    assert pn532.frame(b"\xd5" + data) == frame


@settings(deadline=None)
@given(noise=st.binary(max_size=600), cuts=st.lists(st.integers(0, 600), max_size=5))
def test_any_bytes_are_taken_and_held_in_bounds(noise: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    places = sorted(cut % (len(noise) + 1) for cut in cuts)
    for begin, end in zip([0, *places], [*places, len(noise)], strict=True):
        reader.feed(noise[begin:end])
        while (one := reader.next()) is not None:
            kind, body = one
            assert kind in ("ack", "nack", "error", "data", "bad")
            assert kind != "data" or 2 <= len(body) <= LONGEST
        assert len(reader._held) <= LONGEST + 11
    take_frame(noise)


@settings(deadline=None)
@given(
    noise=st.binary(max_size=40).filter(lambda noise: b"\xff" not in noise),
    data=st.binary(min_size=1, max_size=60),
)
def test_noise_without_a_start_costs_no_frame(noise: bytes, data: bytes) -> None:
    stream = noise + encode(data, TO_HOST) + noise + ACK
    assert frames(stream, []) == [("data", b"\xd5" + data), ("ack", b"")]


@settings(deadline=None)
@given(kind=st.sampled_from([0, 3]), data=st.binary(max_size=300))
def test_any_list_of_cards_is_read_or_refused(kind: int, data: bytes) -> None:
    try:
        targets = parse_targets(kind, data)
    except ValueError:
        return
    assert len(targets) == (data[0] if data else 0)


# ---- the line ---------------------------------------------------------------------


def on(bus: str, work: Work) -> None:
    async def main() -> None:
        await work(TapRig(bus))

    run(main())


def held(rig: TapRig, kind: str = "A") -> Card:
    card = DECK.cards["approve"].make_card()
    card.contactless = kind
    rig.chip.put(card)
    return card


def _flip(at: int) -> Spoil:
    return lambda frame: frame[: at % len(frame)] + bytes(
        (frame[at % len(frame)] ^ 0x10,)
    ) + frame[at % len(frame) + 1 :]  # fmt: skip


def _cut(count: int) -> Spoil:
    return lambda frame: frame[: count % len(frame)]


def _as_it_is(frame: bytes) -> bytes:
    return frame


def _lost(frame: bytes) -> bytes:
    return b""


def _twice(frame: bytes) -> bytes:
    return frame + frame


def _noisy(frame: bytes) -> bytes:
    return b"\x80\x00\xff\x55" + frame


SPOILS: dict[str, Spoil] = {
    "length": _flip(3),
    "length check": _flip(4),
    "code": _flip(6),
    "data": _flip(9),
    "data check": _flip(-2),
    "start": _flip(2),
    "cut in the head": _cut(4),
    "cut in the data": _cut(9),
    "cut before the end": _cut(-2),
    "noise": _noisy,
    "twice": _twice,
}


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("name", SPOILS)
def test_a_damaged_answer_is_asked_for_again_and_the_apdu_is_not(bus: str, name: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.spoil = [_as_it_is, SPOILS[name]]  # the ACK passes, the answer does not
        began = aio.ticks_ms()
        try:
            assert (await channel.transmit(PPSE))[1] == 0x9000
        except CardMute:
            assert name in ("start", "noise")  # nothing that looked like a frame came
        assert rig.chip.exchanges == [PPSE]
        assert aio.elapsed_ms(began) < 8000
        assert rig.chip.violations == []

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("name", ["lost", *SPOILS])
def test_a_damaged_ack_of_an_apdu_ends_or_is_passed_over(bus: str, name: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.spoil = [SPOILS.get(name, _lost)]
        try:
            assert (await channel.transmit(PPSE))[1] == 0x9000
        except CardError:
            rig.chip.violations.clear()
        rig.chip.spoil = []
        assert (await (await rig.reader.wait_tap(1000)).transmit(AID))[1] == 0x9000
        assert rig.chip.exchanges == [PPSE, AID]

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_an_answer_that_stays_damaged_is_given_up(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.spoil = [_as_it_is, *[_flip(9)] * 4]
        with pytest.raises(CardMute):
            await channel.transmit(PPSE)
        assert rig.chip.exchanges == [PPSE]
        assert (await (await rig.reader.wait_tap(1000)).transmit(AID))[1] == 0x9000

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("count", [1, 2])
def test_commands_that_get_lost_are_sent_again(bus: str, count: int) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        await rig.reader.field(True)
        rig.chip.deaf = count
        channel = await rig.reader.wait_tap(1000)
        assert (await channel.transmit(PPSE))[1] == 0x9000

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_an_apdu_that_gets_lost_is_not_sent_again(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.deaf = 1
        began = aio.ticks_ms()
        with pytest.raises(CardMute):
            await channel.transmit(PPSE)
        assert aio.elapsed_ms(began) < 1000
        assert rig.chip.exchanges == []

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_an_apdu_whose_ack_is_lost_reaches_the_card_once(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        slow = held(rig)
        slow.faults = [{"kind": "late", "at": 1, "ms": 400}]
        channel = await rig.reader.wait_tap()
        rig.chip.spoil = [_lost]
        with pytest.raises(CardMute):
            await channel.transmit(PPSE)
        assert rig.chip.exchanges == [PPSE]

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_a_chip_that_stalls_is_missing_and_may_recover(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.stalled = True
        began = aio.ticks_ms()
        with pytest.raises(ReaderMissing):
            await channel.transmit(PPSE)
        with pytest.raises(ReaderMissing):
            await rig.reader.wait_tap()
        assert aio.elapsed_ms(began) < 5000
        rig.chip.stalled = False
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_a_chip_that_lost_its_supply_is_set_up_again(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        held(rig)
        channel = await rig.reader.wait_tap()
        rig.chip.reset()
        with pytest.raises(CardError):
            await channel.transmit(PPSE)
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000
        rig.chip.reset()
        with pytest.raises(ReaderMissing):
            while True:
                await rig.reader.field(True)
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
def test_another_chip_of_the_family_is_named(bus: str) -> None:
    async def work(rig: TapRig) -> None:
        rig.chip.firmware = bytes((0x33, 2, 7, 7))
        with pytest.raises(ReaderMissing, match="another chip"):
            await rig.reader.wait_tap()

    on(bus, work)


def storm(seed: int, bus: str, taps: int = 4) -> None:
    """Taps and APDUs over a line that damages every few frames, and a hand that fidgets."""
    draw = random.Random(seed)

    async def work(rig: TapRig) -> None:
        card = held(rig, draw.choice("AB"))
        clean = await rig.reader.wait_tap(1000)
        truth = {command: (await clean.transmit(command))[:2] for command in (PPSE, AID)}
        sent = 0
        for _ in range(taps):
            choices = [_lost, _noisy, _twice, _as_it_is, _as_it_is, _as_it_is,
                       _flip(draw.randrange(40)), _cut(draw.randrange(40))]  # fmt: skip
            rig.chip.spoil = [draw.choice(choices) for _ in range(30)]
            rig.chip.deaf = draw.choice([0, 0, 1])
            if draw.random() < 0.2:
                card.tear_next()
            if not rig.chip.cards:
                card = held(rig)
            began = aio.ticks_ms()
            seen = len(rig.chip.exchanges)
            try:
                channel = await rig.reader.wait_tap(500)
                sent = 0
                for command in (PPSE, AID, PPSE):
                    sent += 1
                    assert (await channel.transmit(command))[:2] == truth[command]
            except CardError:
                pass
            assert len(rig.chip.exchanges) - seen <= sent
            assert aio.elapsed_ms(began) < 60_000
        rig.chip.spoil, rig.chip.deaf = [], 0
        rig.chip.take()
        held(rig)
        assert (await (await rig.reader.wait_tap(1000)).transmit(PPSE))[1] == 0x9000

    on(bus, work)


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("seed", range(6))
def test_a_bad_line_ends_in_names_and_leaves_the_reader_usable(seed: int, bus: str) -> None:
    storm(seed, bus)


@pytest.mark.soak
@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("seed", range(6, 300))
def test_many_bad_lines(seed: int, bus: str) -> None:
    storm(seed, bus, taps=12)


# ---- other devices in its place -----------------------------------------------------


class Babbler(I2c, Spi, SerialPort):  # type: ignore[misc]  # one device, whichever bus asks
    """Says the same byte, or noise of a seed, to every read; acknowledges everything."""

    blocking = False

    def __init__(self, byte: int) -> None:
        self._draw = random.Random(byte)
        self._byte = byte

    def _say(self, count: int) -> bytes:
        if self._byte < 0:
            return self._draw.randbytes(count)
        return bytes((self._byte,)) * count

    def both(self, *arguments: Any) -> bytes:
        return self._say(arguments[2] if len(arguments) == 3 else len(arguments[0]))

    transfer = both

    async def write(self, data: bytes) -> int:
        return len(data)

    async def read(self, most: int, timeout_ms: int | None = None) -> bytes:
        await aio.sleep_ms(min(2, timeout_ms or 2))
        return self._say(min(most, 23))

    def drop_input(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("byte", [-1, -2, -3, 0x00, 0x01, 0x80, 0xFF, 0x55])
@pytest.mark.parametrize("port", [SerialPn532, I2cPn532, SpiPn532])
def test_whatever_babbles_in_its_place_is_no_reader(
    byte: int, port: Callable[[Babbler], Pn532Port]
) -> None:
    async def main() -> None:
        reader = Pn532Reader(Pn532(port(Babbler(byte))))
        for act in (reader.wait_tap, reader.wait_removed, reader.release):
            with pytest.raises(ReaderMissing):
                await aio.deadline(20_000, act())
        await aio.deadline(20_000, reader.close())

    run(main())


class FullPort(SerialPort):
    """A serial port that takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        self.room = room

    async def write(self, data: bytes) -> int:
        taken = min(len(data), self.room)
        self.room -= taken
        return taken

    def drop_input(self) -> None:
        pass


@pytest.mark.parametrize("room", [0, 5, 30])
def test_a_serial_port_that_takes_nothing_is_named(room: int) -> None:
    async def main() -> None:
        chip = Pn532(SerialPn532(FullPort(room)))
        if room == 30:
            with pytest.raises(NotImplementedError):
                await chip.field(True)
            return
        with pytest.raises(BusError, match="takes nothing"):
            await aio.deadline(2000, chip.field(True))

    run(main())


class Threaded(I2c):
    """A blocking bus, as Linux has it: transfers come from a thread of their own."""

    blocking = True

    def __init__(self) -> None:
        self.now = 0
        self.chip = pn532.Pn532(lambda: self.now)

    def transfer(self, address: int, write: bytes, read: int) -> bytes:
        from host_tools.emulator.chips.errors import ChipError

        self.now += 1000
        try:
            return self.chip.i2c.exchange(write, read)
        except ChipError as error:
            raise BusError(str(error)) from None


def test_a_blocking_bus_is_served_from_a_thread() -> None:
    async def main() -> None:
        bus = Threaded()
        card = DECK.cards["approve"].make_card()
        bus.chip.put(card)
        reader = Pn532Reader(Pn532(I2cPn532(bus)))
        channel = await reader.wait_tap(5000)
        assert (await channel.transmit(PPSE))[1] == 0x9000
        await reader.close()
        await reader.close()
        with pytest.raises(CardRemoved):
            await channel.transmit(PPSE)

    aio.run(main())
