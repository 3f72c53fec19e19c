"""A PIN from the vault to the virtual card, whose RSA and PIN check are other people's code."""

import pytest

from firmware.drivers.soft_vault import SoftVault
from firmware.hal.card_reader import CardChannel
from host_tools.emulator import deck
from host_tools.emulator.chips.card import Card
from tests.support.memory_files import MemoryFiles
from tests.support.vault_parts import SeededEntropy
from tests.support.virtual_time import run

DECK = deck.load()


class DirectChannel(CardChannel):
    """A T=1 card, so that an APDU is an exchange."""

    def __init__(self, card: Card) -> None:
        card.protocol = 1
        assert card.power_on()
        self._card = card

    async def transmit(self, command: bytes) -> tuple[bytes, int, int]:
        answer, busy = self._card.exchange(command)
        return answer[:-2], int.from_bytes(answer[-2:], "big"), busy


async def _selected(name: str) -> tuple[SoftVault, DirectChannel]:
    card = DECK.cards[name].make_card()
    channel = DirectChannel(card)
    aid = card.applications[0].data.aid
    _, sw, _ = await channel.transmit(b"\x00\xa4\x04\x00" + bytes([len(aid)]) + aid + b"\x00")
    assert sw == 0x9000
    vault = SoftVault(MemoryFiles(), SeededEntropy())
    await vault.open()
    return vault, channel


@pytest.mark.parametrize("name", ["offline-pin-enciphered", "offline-pin-icc-key"])
def test_enciphered(name: str) -> None:
    async def main() -> None:
        vault, channel = await _selected(name)
        spec = DECK.cards[name].apps[0]
        table = DECK.keys["icc"][spec["pin_key"] or spec["icc_key"]]
        n, e = int(table["n"], 16), int(table["e"], 16)
        key = (n.to_bytes((n.bit_length() + 7) // 8, "big"), e)
        wrong, right = vault.pins.keep(bytearray(b"9999")), vault.pins.keep(bytearray(b"1234"))
        assert await vault.verify_pin(wrong, channel, key) == 0x63C2
        assert await vault.verify_pin(right, channel, key) == 0x9000
        assert await vault.verify_pin(right, channel, key) == 0x9000  # each with its own challenge
        for status in (0x63C2, 0x63C1, 0x63C0, 0x6983):
            assert await vault.verify_pin(wrong, channel, key) == status

    run(main())


def test_plaintext() -> None:
    async def main() -> None:
        vault, channel = await _selected("offline-pin")
        wrong, right = vault.pins.keep(bytearray(b"123456")), vault.pins.keep(bytearray(b"1234"))
        assert await vault.verify_pin(wrong, channel, None) == 0x63C2
        assert await vault.verify_pin(right, channel, None) == 0x9000

    run(main())
