"""The contactless driver of PC/SC over pyscard, against a real pcscd whose reader shows a
tapped card as PC/SC part 3 says."""

from __future__ import annotations

import pytest

from firmware import aio
from firmware.buses.pcsc_linux import PcscSlot
from firmware.drivers.slot_tap import SlotTap
from firmware.hal.card_reader import CardMute, CardRemoved
from firmware.hal.contactless import NoTap
from host_tools.emulator import deck
from host_tools.emulator.chips.field_card import FieldCard
from tests.support import pcscd

pytestmark = pytest.mark.pcscd

PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


class Tapped(FieldCard):
    """A card in the field of a reader that poses as a slot."""

    torn = is_mute = False

    @property
    def atr(self) -> bytes:
        return self.pseudo_atr

    def power_on(self) -> bytes:
        self.lose_power()
        return self.pseudo_atr if self.answers(self.kind) else b""

    def power_off(self) -> None:
        self.lose_power()

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        return self.chip.exchange(command)


@pytest.fixture
def daemon() -> pcscd.PcscDaemon:
    if pcscd.why_not():
        pytest.skip(pcscd.why_not())
    return pcscd.shared()


def test_a_tap_behind_a_real_daemon(daemon: pcscd.PcscDaemon) -> None:
    async def work() -> None:
        slot = PcscSlot("OpenTill")
        reader = SlotTap(slot)
        try:
            with pytest.raises(NoTap):
                await reader.wait_tap(200)
            for kind in "AB":
                chip = deck.load().cards["two-apps"].make_card()
                chip.contactless = kind
                card = Tapped(chip)
                inserted = daemon.insert(card)
                channel = await reader.wait_tap(20_000)
                assert channel.atr == card.pseudo_atr
                data, sw, _ = await channel.transmit(PPSE)
                assert sw == 0x9000 and b"2PAY.SYS.DDF01" in data
                await reader.release()
                with pytest.raises(CardRemoved):
                    await channel.transmit(PPSE)
                inserted.remove()
                await reader.wait_removed()
            plain = daemon.insert(Tapped(deck.load().cards["approve"].make_card(), plain=True))
            with pytest.raises(CardMute, match="14443-4"):
                await reader.wait_tap(20_000)
            plain.remove()
            await reader.wait_removed()
        finally:
            await reader.close()
            await slot.close()

    aio.run(aio.deadline(60_000, work(), "the test"))
