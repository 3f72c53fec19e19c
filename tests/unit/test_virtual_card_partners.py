"""The virtual card with its partners: the vault's VERIFY, the test bank's ARPC and scripts."""

from __future__ import annotations

import random

import pytest

from firmware.drivers import card_verify
from firmware.hal.entropy import Entropy
from host_tools.acquirer.issuer import Issuer
from host_tools.emulator import deck
from tests.support import virtual_time
from tests.support.card_sale import Sale, objects
from tests.support.card_wire import reader_with
from tests.unit.test_virtual_card_payment import play

DECK = deck.load()


class FixedEntropy(Entropy):
    def __init__(self) -> None:
        self._random = random.Random(7)

    def random(self, count: int) -> bytes:
        return self._random.randbytes(count)


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize(("name", "key"), [("offline-pin-enciphered", "pin-1"), ("dda", "icc-1")])
def test_enciphered_verify_of_the_vault(name: str, key: str, protocol: int) -> None:
    card = DECK.cards[name].make_card()
    card.protocol = protocol
    table = DECK.keys["icc"][key]
    modulus = bytes.fromhex(table["n"])
    reader, wire = reader_with(card)

    async def work() -> None:
        channel = await reader.power_on()
        await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        for digits, status in ((b"9999", 0x63C2), (b"1234", 0x9000)):
            sw = await card_verify.verify_enciphered(
                channel, bytearray(digits), modulus, int(table["e"], 16), FixedEntropy()
            )
            assert sw == status

    virtual_time.run(work())
    assert not any(b"\x24\x12\x34\xff" in sent for sent, _ in wire.log)


def test_plaintext_verify_of_the_vault() -> None:
    reader, _ = reader_with(DECK.cards["offline-pin"].make_card())

    async def work() -> None:
        channel = await reader.power_on()
        await channel.transmit(bytes.fromhex("00A4040008A00000033301010100"))
        for digits, status in ((b"9999", 0x63C2), (b"123456789012", 0x63C1), (b"1234", 0x9000)):
            assert await card_verify.verify_plaintext(channel, bytearray(digits)) == status

    virtual_time.run(work())


def field55(sale: Sale, answer: dict[int, bytes]) -> dict[str, bytes]:
    table = {f"{tag:X}": bytes.fromhex(value) for tag, value in sale.values.items()}
    table["82"] = sale.card[0x82]
    table.update({f"{tag:X}": value for tag, value in answer.items()})
    return table


@pytest.mark.parametrize("name", ["approve", "external-auth", "cda-large", "two-apps"])
def test_the_bank_and_the_card_believe_each_other(name: str) -> None:
    issuer = Issuer(DECK.cards[name].apps[0].account)

    async def work(sale: Sale) -> None:
        await sale.start()
        first = field55(sale, await sale.first())
        assert issuer.arqc_is_right(first)
        value = issuer.authentication_data(first, "00")
        if name == "external-auth":
            await sale.send("00820000", value, expect=False)
            assert sale.sw == 0x9000
        else:
            sale.values[0x91] = value.hex()
        assert (await sale.second())[0x9F27] == b"\x40"

    play(name, work)


@pytest.mark.parametrize(
    "script",
    [
        "put_data",
        "pin_change",
        "pin_unblock",
        "application_block",
        "application_unblock",
        "card_block",
    ],
)
def test_the_card_carries_out_the_banks_scripts(script: str) -> None:
    issuer = Issuer(DECK.cards["approve"].apps[0].account)

    async def work(sale: Sale) -> None:
        await sale.start()
        first = field55(sale, await sale.first())
        template = issuer.script(script, first)
        command = objects(template)[0x86]
        await sale.send(command[:4].hex(), command[5:], expect=False)
        assert sale.sw == 0x9000
        second = issuer.script_command("put_data", first, 1)
        await sale.send(second[:4].hex(), second[5:], expect=False)
        assert sale.sw == 0x9000
        await sale.send(second[:4].hex(), second[5:], expect=False)
        assert sale.sw == 0x6988  # the same command again is no second command

    play("approve", work)


@pytest.mark.parametrize(
    ("head", "data", "status"),
    [
        ("84240002", b"", 0x6A80),  # PIN change without a PIN block
        ("84240002", bytes(8), 0x6A80),  # deciphers to no PIN block
        ("84240003", b"", 0x6A86),
        ("841E0001", b"", 0x6A86),
        ("841E0000", b"\x01", 0x6700),
        ("84DA9F99", b"\x01", 0x6A88),
        ("84DA9F58", b"\x01\x02", 0x6A80),
    ],
)
def test_signed_nonsense_is_refused(head: str, data: bytes, status: int) -> None:
    account = DECK.cards["approve"].apps[0].account

    async def work(sale: Sale) -> None:
        from pyemv import kd, sm

        await sale.start()
        answer = await sale.first()
        key = kd.derive_icc_mk_a(account.imk["smi"], account.pan, account.csn)
        session = kd.derive_common_sk(key, answer[0x9F26])
        header = bytes.fromhex(head) + bytes([len(data) + 8])
        signed = header + answer[0x9F36] + answer[0x9F26] + data
        await sale.send(head, data + sm.generate_command_mac(session, signed), expect=False)
        assert sale.sw == status
        before = objects(await sale.send("80CA9F17"))[0x9F17]
        assert before == b"\x03"

    play("approve", work)
