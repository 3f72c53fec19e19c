"""Every chip card reader must do this: T=0 and T=1, on the wire, behind a coprocessor
on a serial port, on a bare serial port, and behind a real pcscd."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest

from firmware import aio
from firmware.buses.pcsc_linux import PcscSlot, ReaderNotFound
from firmware.drivers.chip_reader import ChipReader
from firmware.hal.card_reader import CardChannel, CardMute, CardReader, CardRemoved, ReaderMissing
from host_tools.emulator import deck
from host_tools.emulator.chips.card import Card
from host_tools.emulator.vpcd import VpcdCard
from tests.support import alpar_wire, bare_wire, pcscd, virtual_time
from tests.support.card_sale import Sale
from tests.support.card_wire import reader_with

Work = Callable[[], Coroutine[Any, Any, None]]


class Bench(Protocol):
    """A reader, and hands that put cards in and take them out."""

    protocol: int
    reader: CardReader

    def insert(self, card: Card) -> None: ...
    def remove(self) -> None: ...
    def run(self, work: Work) -> None: ...


class TimedBench(Bench, Protocol):
    """A bench on virtual time whose reader can be taken away."""

    def unplug(self) -> None: ...


class WireBench:
    """Virtual time; the slot is a chip on the wire."""

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        reader, self.wire = reader_with()
        self.reader: CardReader = reader

    def insert(self, card: Card) -> None:
        self.wire.slot.insert(card)

    def remove(self) -> None:
        self.wire.slot.remove()

    def unplug(self) -> None:
        self.wire.slot.broken = True

    def run(self, work: Work) -> None:
        virtual_time.run(work())


class AlparBench:
    """Virtual time; a TDA8029 on a serial port of the wire."""

    def __init__(self, protocol: int, resolves: bool = True) -> None:
        self.protocol = protocol
        reader, _, self.wire = alpar_wire.reader_with()
        self.reader: CardReader = reader
        self.wire.chip.resolves = resolves

    def insert(self, card: Card) -> None:
        self.wire.chip.slot.insert(card)

    def remove(self) -> None:
        self.wire.chip.slot.remove()

    def unplug(self) -> None:
        self.wire.chip.line.unplugged = True

    def run(self, work: Work) -> None:
        virtual_time.run(work())


class BareBench:
    """Virtual time; the card's contacts on a serial port and pins of the wire."""

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        reader, _, self.wire = bare_wire.reader_with()
        self.reader: CardReader = reader

    def insert(self, card: Card) -> None:
        self.wire.chip.slot.insert(card)

    def remove(self) -> None:
        self.wire.chip.slot.remove()

    def unplug(self) -> None:
        self.wire.broken = True

    def run(self, work: Work) -> None:
        virtual_time.run(work())


class PcscBench:
    """Real time; pyscard, pcscd and vsmartcard's reader."""

    def __init__(self, protocol: int, daemon: pcscd.PcscDaemon) -> None:
        self.protocol = protocol
        self.daemon = daemon
        self._card: VpcdCard | None = None
        self.slot = PcscSlot("OpenTill Virtual 00 00")
        self.reader: CardReader = ChipReader(self.slot)

    def insert(self, card: Card) -> None:
        self._card = self.daemon.insert(card)

    def remove(self) -> None:
        if self._card is not None:
            self._card.remove()
            self._card = None

    def run(self, work: Work) -> None:
        async def whole() -> None:
            try:
                await aio.deadline(30000, work(), "the test")
            finally:
                self.remove()
                await aio.deadline(10000, self.reader.wait_removed(), "removal")
                await self.slot.close()

        aio.run(whole())


@pytest.fixture
def daemon() -> pcscd.PcscDaemon:
    if pcscd.why_not():
        pytest.skip(pcscd.why_not())
    return pcscd.shared()


@pytest.fixture(
    params=[
        ("wire", 0),
        ("wire", 1),
        ("alpar", 0),
        ("alpar", 1),
        ("alpar-tpdu", 0),
        ("bare", 0),
        ("bare", 1),
        pytest.param(("pcsc", 0), marks=pytest.mark.pcscd),
        pytest.param(("pcsc", 1), marks=pytest.mark.pcscd),
    ],
    ids=lambda param: f"{param[0]}-t{param[1]}",
)
def bench(request: pytest.FixtureRequest) -> Bench:
    kind, protocol = request.param
    if kind == "wire":
        return WireBench(protocol)
    if kind.startswith("alpar"):
        return AlparBench(protocol, kind == "alpar")
    if kind == "bare":
        return BareBench(protocol)
    return PcscBench(protocol, request.getfixturevalue("daemon"))


@pytest.fixture(
    params=[("wire", 0), ("wire", 1), ("alpar", 0), ("alpar", 1), ("bare", 0), ("bare", 1)],
    ids=lambda param: f"{param[0]}-t{param[1]}",
)
def timed(request: pytest.FixtureRequest) -> TimedBench:
    kind, protocol = request.param
    benches: dict[str, Callable[[int], TimedBench]] = {
        "wire": WireBench,
        "alpar": AlparBench,
        "bare": BareBench,
    }
    return benches[kind](protocol)


def card(bench: Bench, name: str = "approve", **fields: Any) -> Card:
    """A card of the deck that talks the bench's protocol."""
    made = deck.load().cards[name].make_card()
    made.protocol = bench.protocol
    for field, value in fields.items():
        setattr(made, field, value)
    return made


async def powered(bench: Bench, made: Card) -> CardChannel:
    bench.insert(made)
    await bench.reader.wait_present()
    return await bench.reader.power_on()


def test_empty_slot(bench: Bench) -> None:
    async def work() -> None:
        assert await bench.reader.present() is False
        await bench.reader.wait_removed()
        with pytest.raises(CardRemoved):
            await bench.reader.power_on()
        await bench.reader.power_off()

    bench.run(work)


def test_a_card_that_comes_is_counted_once(bench: Bench) -> None:
    async def work() -> None:
        made = card(bench)
        await bench.reader.wait_removed()
        assert bench.reader.inserts == 0
        for count in (1, 2):
            await powered(bench, made)
            await bench.reader.power_on()
            assert bench.reader.inserts == count and await bench.reader.present()
            await bench.reader.power_off()
            bench.remove()
            await bench.reader.wait_removed()
        assert bench.reader.inserts == 2

    bench.run(work)


def test_a_whole_payment(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench, "cda"))
        assert channel.atr[0] == 0x3B

        async def transmit(command: bytes) -> tuple[bytes, int]:
            data, sw, elapsed_us = await channel.transmit(command)
            assert elapsed_us >= 0
            return data, sw

        sale = Sale(transmit)
        directory = await sale.send("00A40400", b"1PAY.SYS.DDF01")
        assert sale.sw == 0x9000 and directory[0] == 0x6F
        assert await sale.send("00B2010C")
        assert await sale.send("00B2020C") == b"" and sale.sw == 0x6A83
        await sale.select()
        await sale.start()
        assert sale.card[0x5A].hex().startswith("629999")
        await sale.send("00200080", bytes.fromhex("241234FFFFFFFFFF"), expect=False)
        assert sale.sw == 0x9000
        found = await sale.first(0x90)
        assert found[0x9F27] == b"\x80" and len(found[0x9F4B]) == 128
        assert (await sale.second())[0x9F27] == b"\x40"

    bench.run(work)


def test_warnings_keep_status_and_data(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench, "app-blocked"))
        data, sw, _ = await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        assert (data[:1], sw) == (b"\x6f", 0x6283)

    bench.run(work)


def test_errors_come_through(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench))
        for command, status in (
            ("00A4040008B00000033301010100", 0x6A82),
            ("00A4000008A00000033301010100", 0x6A86),
            ("0099000000", 0x6D00),
            ("0084000000", 0x6985),
        ):
            data, sw, _ = await channel.transmit(bytes.fromhex(command))
            assert (data, sw) == (b"", status)

    bench.run(work)


def test_reset_forgets_the_selection_and_kills_the_old_channel(bench: Bench) -> None:
    async def work() -> None:
        old = await powered(bench, card(bench))
        await old.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        new = await bench.reader.power_on()
        assert (await new.transmit(bytes.fromhex("80CA9F3600")))[1] == 0x6985
        with pytest.raises(CardRemoved):
            await old.transmit(bytes.fromhex("80CA9F3600"))

    bench.run(work)


def test_removal_between_commands(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench))
        bench.remove()
        await bench.reader.wait_removed()
        with pytest.raises(CardRemoved):
            await channel.transmit(bytes.fromhex("80CA9F3600"))
        assert await bench.reader.present() is False
        await bench.reader.power_off()

    bench.run(work)


def test_torn_out_during_a_command(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench, faults=[{"at": 2, "kind": "torn"}]))
        assert (await channel.transmit(bytes.fromhex("00A4040008A00000033301010100")))[1] == 0x9000
        with pytest.raises(CardRemoved):
            await channel.transmit(bytes.fromhex("80CA9F3600"))

    bench.run(work)


def test_mute_at_reset(bench: Bench) -> None:
    async def work() -> None:
        if isinstance(bench, PcscBench):
            # vsmartcard's reader holds that a card without ATR is not there.
            bench.insert(card(bench, "mute"))
            with pytest.raises((CardMute, CardRemoved)):
                await bench.reader.power_on()
            return
        bench.insert(card(bench, "mute"))
        await bench.reader.wait_present()
        with pytest.raises(CardMute):
            await bench.reader.power_on()

    bench.run(work)


def test_not_an_apdu(bench: Bench) -> None:
    async def work() -> None:
        channel = await powered(bench, card(bench))
        for bad in (b"", b"\x00\xa4", bytes(300)):
            with pytest.raises(ValueError):
                await channel.transmit(bad)
        assert (await channel.transmit(bytes.fromhex("80CA9F3600")))[1] == 0x6985

    bench.run(work)


def test_reinserted(bench: Bench) -> None:
    async def work() -> None:
        for _ in range(2):
            channel = await powered(bench, card(bench))
            answer = await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
            assert answer[1] == 0x9000
            bench.remove()
            await bench.reader.wait_removed()

    bench.run(work)


# What only virtual time can show: silence and delay.


def test_silence_is_mute_after_the_waiting_time(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed, faults=[{"at": 1, "kind": "mute"}]))
        began = aio.ticks_ms()
        with pytest.raises(CardMute):
            await channel.transmit(bytes.fromhex("80CA9F3600"))
        assert aio.elapsed_ms(began) >= 1000

    timed.run(work)


def test_elapsed_time_is_the_cards(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed, faults=[{"at": 2, "kind": "late", "ms": 700}]))
        select = bytes.fromhex("00A4040008A00000033301010100")
        assert (await channel.transmit(select))[2] < 200_000
        assert 700_000 <= (await channel.transmit(select))[2] < 900_000

    timed.run(work)


def test_a_card_that_never_ends_is_given_up(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed, faults=[{"at": 1, "kind": "late", "ms": 90000}]))
        with pytest.raises(CardMute):
            await channel.transmit(bytes.fromhex("80CA9F3600"))

    timed.run(work)


def test_pulled_while_busy_is_noticed_at_once(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed, faults=[{"at": 1, "kind": "late", "ms": 20000}]))

        async def hand() -> None:
            await aio.sleep_ms(3000)
            timed.remove()

        pull = aio.spawn("hand", hand())
        began = aio.ticks_ms()
        with pytest.raises(CardRemoved):
            await channel.transmit(bytes.fromhex("80CA9F3600"))
        assert 3000 <= aio.elapsed_ms(began) <= 3200
        await pull.join()

    timed.run(work)


def test_a_cancelled_command_kills_the_channel(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed, faults=[{"at": 1, "kind": "late", "ms": 5000}]))
        name, _ = await aio.first(
            ("card", channel.transmit(bytes.fromhex("80CA9F3600"))), timeout_ms=100
        )
        assert name == "timeout"
        with pytest.raises(CardRemoved):
            await channel.transmit(bytes.fromhex("80CA9F3600"))
        again = await timed.reader.power_on()
        assert (await again.transmit(bytes.fromhex("00A4040008A00000033301010100")))[1] == 0x9000

    timed.run(work)


def test_reader_gone(timed: TimedBench) -> None:
    async def work() -> None:
        channel = await powered(timed, card(timed))
        timed.unplug()
        for wait in (timed.reader.present, timed.reader.wait_present, timed.reader.power_on):
            with pytest.raises(ReaderMissing):
                await wait()
        with pytest.raises((ReaderMissing, CardRemoved)):
            await channel.transmit(bytes.fromhex("80CA9F3600"))

    timed.run(work)


def test_waiting_can_be_cancelled(timed: TimedBench) -> None:
    async def work() -> None:
        assert (await aio.first(("card", timed.reader.wait_present()), timeout_ms=500))[0] == (
            "timeout"
        )
        timed.insert(card(timed))
        assert (await aio.first(("card", timed.reader.wait_present()), timeout_ms=500))[0] == "card"

    timed.run(work)


@pytest.mark.pcscd
def test_unknown_reader_names_those_that_are_there(daemon: pcscd.PcscDaemon) -> None:
    async def work() -> None:
        slot = PcscSlot("no such reader")
        with pytest.raises(ReaderNotFound, match="OpenTill Virtual"):
            await slot.present()
        with pytest.raises(ReaderMissing):
            await ChipReader(slot).present()
        await slot.close()

    aio.run(work())
