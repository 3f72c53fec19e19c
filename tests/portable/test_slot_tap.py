"""The contactless reader that poses as a card slot, on both interpreters."""

from firmware import aio
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError
from firmware.drivers.slot_tap import SlotTap
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from firmware.hal.contactless import NoTap
from tests.portable.virtual_run import raised, run

#: OPENT as historical bytes, a type B card, a memory card, a card at contacts.
TAPPED = bytes.fromhex("3B8580014F50454E5444")
TYPE_B = bytes.fromhex("3B8880010000000000817100F9")
MEMORY = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")
CONTACTS = bytes.fromhex("3BE500008131FE454F50454E54AE")
APDU = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


class Slot(CardSlot):
    """Shows a card from its ``comes``-th look on, until ``goes`` more looks."""

    def __init__(self, atr, comes=0, answers=None):
        self.atr = atr
        self.comes = comes
        self.answers = answers or [b"\x6f\x00\x90\x00"]
        self.sent = []
        self.powered = False
        self.broken = False

    async def present(self):
        if self.broken:
            raise BusError("unplugged")
        self.comes -= 1
        return self.comes < 0

    async def power_on(self):
        if not self.atr:
            raise BusError("silent")
        self.powered = True
        return self.atr, 0

    async def power_off(self):
        if self.broken:
            raise BusError("unplugged")
        self.powered = False

    async def exchange(self, command):
        self.sent.append(command)
        answer = self.answers.pop(0)
        if answer is None:
            self.comes = 1000
            raise BusError("no answer")
        return answer


def test_a_tap_passes_apdus_whole():
    for atr in (TAPPED, TYPE_B):
        _passes(Slot(atr, comes=3), atr)


def _passes(slot, atr):
    async def main():
        reader = SlotTap(slot)
        channel = await reader.wait_tap(1000)
        assert (channel.kind, channel.atr) == ("", atr)
        assert (await channel.transmit(APDU))[:2] == (b"\x6f\x00", 0x9000)
        assert slot.sent == [APDU]
        await reader.release()
        assert not slot.powered
        try:
            await channel.transmit(APDU)
        except CardRemoved:
            return
        raise AssertionError("a card that was let go answered")

    run(main())


def test_what_is_no_payment_card_is_refused():
    for atr in (MEMORY, CONTACTS, TAPPED[:4], b""):
        slot = Slot(atr)
        raised(CardMute, SlotTap(slot).wait_tap(1000))
        assert not slot.powered


def test_no_card_and_a_card_that_went_past():
    raised(NoTap, SlotTap(Slot(TAPPED, comes=1000)).wait_tap(500))
    slot = Slot(TAPPED)

    async def gone():
        slot.comes = 1000
        raise BusError("gone")

    slot.power_on = gone
    raised(NoTap, SlotTap(slot).wait_tap(500))


def test_a_card_that_leaves_and_a_reader_that_goes():
    slot = Slot(TAPPED, answers=[None])

    async def pulled():
        channel = await SlotTap(slot).wait_tap()
        await channel.transmit(APDU)

    raised(CardRemoved, pulled())
    slot.broken = True
    reader = SlotTap(slot)
    for act in (reader.wait_tap, reader.wait_removed, reader.release):
        raised(ReaderMissing, act())
    raised(ReaderMissing, reader.field(True))
    run(reader.close())


def test_removal_is_waited_for():
    slot = Slot(TAPPED)

    async def main():
        reader = SlotTap(slot)
        await reader.wait_tap()
        name, _ = await aio.first(("removed", reader.wait_removed()), timeout_ms=500)
        assert name == "timeout"
        slot.comes = 1000
        await reader.wait_removed()

    run(main())
