"""The virtual card's payment commands; cryptograms are judged by other code (issuer_math)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from pyemv.cvn import MasterCardCVN16

from host_tools.emulator import deck
from host_tools.emulator.chips.card import Card
from tests.support import issuer_math, virtual_time
from tests.support.card_sale import VALUES, Sale, objects

DECK = deck.load()
Play = Callable[[Sale], Awaitable[None]]


def play(name: str, work: Play, made: Card | None = None, **values: str) -> Card:
    """Run ``work`` on a card of the deck, as T=1 so that an APDU is an exchange."""
    card = made or DECK.cards[name].make_card()
    card.protocol = 1
    assert card.power_on()

    async def transmit(command: bytes) -> tuple[bytes, int]:
        answer, busy = card.exchange(command)
        assert busy > 0
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    sale = Sale(transmit, **values)

    async def whole() -> None:
        await sale.select(card.applications[0].data.aid.hex())
        await work(sale)

    virtual_time.run(whole())
    return card


def ac_key(name: str, atc: bytes) -> bytes:
    account = DECK.cards[name].apps[0].account
    key = issuer_math.card_key(account.imk["ac"], account.pan, account.csn)
    return issuer_math.session_key(key, atc + bytes(6))


def cryptogram(name: str, sale: Sale, answer: dict[int, bytes]) -> bytes:
    """What the issuer expects in 9F26, by docs/deck.md."""
    tags = (0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37)
    data = b"".join(bytes.fromhex(sale.values[tag]) for tag in tags)
    data += sale.card[0x82] + answer[0x9F36] + answer[0x9F10][3:7]
    return issuer_math.mac(ac_key(name, answer[0x9F36]), data)


def arpc(name: str, arqc: bytes, atc: bytes, code: bytes = b"00") -> bytes:
    """91 by method 1."""
    value = issuer_math.tdes(ac_key(name, atc), issuer_math.xor(arqc, code + bytes(6)))
    return value + code


@pytest.mark.parametrize("name", ["approve", "t1", "no-oda", "sda", "signature", "two-apps"])
def test_arqc_and_tc_verify(name: str) -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        first = await sale.first()
        assert first[0x9F27] == b"\x80" and first[0x9F36] == b"\x00\x01"
        assert first[0x9F26] == cryptogram(name, sale, first)
        sale.values[0x91] = arpc(name, first[0x9F26], first[0x9F36]).hex()
        second = await sale.second()
        assert second[0x9F27] == b"\x40"
        assert second[0x9F26] == cryptogram(name, sale, second)
        assert second[0x9F10][4] & 0xF0 == 0x60  # second TC, first ARQC

    play(name, work)


@pytest.mark.parametrize(("asked", "given"), [(0x00, b"\x00"), (0x40, b"\x40"), (0x80, b"\x80")])
def test_first_cryptogram_as_asked(asked: int, given: bytes) -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        answer = await sale.first(asked)
        assert answer[0x9F27] == given
        assert answer[0x9F26] == cryptogram("approve", sale, answer)
        await sale.second()
        assert sale.sw == (0x9000 if asked == 0x80 else 0x6985)

    play("approve", work)


def test_offline_goes_online_after_the_lower_limit() -> None:
    made = DECK.cards["approve"].make_card()
    kinds = []

    async def work(sale: Sale) -> None:
        await sale.start()
        kinds.append((await sale.first(0x40))[0x9F27])

    for _ in range(4):
        play("approve", work, made)
    assert kinds == [b"\x40", b"\x40", b"\x80", b"\x80"]


def test_card_declines_by_its_own_rules() -> None:
    async def first(sale: Sale) -> None:
        await sale.start()
        assert (await sale.first())[0x9F27] == b"\x00"

    async def second(sale: Sale) -> None:
        await sale.start()
        answer = await sale.first()
        sale.values[0x91] = arpc("host-yes-card-no", answer[0x9F26], answer[0x9F36]).hex()
        assert (await sale.second())[0x9F27] == b"\x00"

    play("card-declines", first)
    play("host-yes-card-no", second)


def test_wrong_arpc_in_cdol2_is_an_aac_and_is_remembered() -> None:
    made = DECK.cards["approve"].make_card()

    async def wrong(sale: Sale) -> None:
        await sale.start()
        answer = await sale.first()
        right = arpc("approve", answer[0x9F26], answer[0x9F36])
        sale.values[0x91] = (bytes([right[0] ^ 1]) + right[1:]).hex()
        second = await sale.second()
        assert second[0x9F27] == b"\x00" and second[0x9F10][4] & 0x08

    async def after(sale: Sale) -> None:
        await sale.start()
        answer = await sale.first(0x40)
        assert answer[0x9F27] == b"\x80" and answer[0x9F10][5] & 0x08

    play("approve", wrong, made)
    play("approve", after, made)


def test_external_authenticate() -> None:
    async def right(sale: Sale) -> None:
        await sale.start()
        assert sale.card[0x82][0] & 0x04
        answer = await sale.first()
        value = arpc("external-auth", answer[0x9F26], answer[0x9F36])
        await sale.send("00820000", value, expect=False)
        assert sale.sw == 0x9000
        await sale.send("00820000", value, expect=False)
        assert sale.sw == 0x6985  # once a transaction
        assert (await sale.second())[0x9F27] == b"\x40"

    async def wrong(sale: Sale) -> None:
        await sale.start()
        await sale.first()
        await sale.send("00820000", bytes(10), expect=False)
        assert sale.sw == 0x6300
        assert (await sale.second())[0x9F27] == b"\x00"

    play("external-auth", right)
    play("external-auth", wrong)


def test_unable_to_go_online_is_not_online() -> None:
    made = DECK.cards["approve"].make_card()

    async def work(sale: Sale) -> None:
        await sale.start()
        await sale.first()
        assert (await sale.second(0x00))[0x9F27] == b"\x00"
        assert objects(await sale.send("80CA9F13"))[0x9F13] == b"\x00\x00"

    async def after(sale: Sale) -> None:
        await sale.start()
        assert (await sale.first(0x40))[0x9F10][5] & 0x80  # last online not completed

    play("approve", work, made, **{"8A": "5A33"})
    play("approve", after, made)


def test_order_and_lengths_are_enforced() -> None:
    async def work(sale: Sale) -> None:
        await sale.send("80AE8000", bytes(32))
        assert sale.sw == 0x6985  # before GET PROCESSING OPTIONS
        await sale.send("00880000", bytes(4))
        assert sale.sw == 0x6985
        await sale.send("80A80000", b"\x83\x00")
        assert sale.sw == 0x6A80
        await sale.start()
        await sale.send("80A80000", b"\x83\x07" + bytes(7))
        assert sale.sw == 0x6985
        await sale.send("80AE8000", bytes(31))
        assert sale.sw == 0x6700
        await sale.send("80AEC000", bytes(32))
        assert sale.sw == 0x6A86
        await sale.first()
        await sale.second(0x80)
        assert sale.sw == 0x6985
        await sale.second(0x40)
        assert sale.sw == 0x9000
        await sale.second(0x40)
        assert sale.sw == 0x6985

    play("approve", work)


def test_read_record_and_get_data() -> None:
    async def work(sale: Sale) -> None:
        for head, status in (
            ("00B2010C", 0x9000),
            ("00B2030C", 0x6A83),
            ("00B20154", 0x6A82),
            ("00B2000C", 0x6A86),
            ("00B2010D", 0x6A86),
            ("80CA9F17", 0x9000),
            ("80CA9F36", 0x9000),
            ("80CA9F13", 0x9000),
            ("80CA9F4F", 0x9000),
            ("80CA9F14", 0x9000),
            ("80CA9F99", 0x6A88),
            ("00CA9F17", 0x6E00),
        ):
            await sale.send(head)
            assert sale.sw == status, head

    play("approve", work)


class TestPin:
    """VERIFY: the try counter, plaintext and enciphered."""

    RIGHT = bytes.fromhex("241234FFFFFFFFFF")
    WRONG = bytes.fromhex("249999FFFFFFFFFF")

    def test_plaintext_counter(self) -> None:
        async def work(sale: Sale) -> None:
            for block, status in (
                (self.WRONG, 0x63C2),
                (self.RIGHT, 0x9000),
                (self.WRONG, 0x63C2),
                (self.WRONG, 0x63C1),
                (self.WRONG, 0x63C0),
                (self.RIGHT, 0x6983),
            ):
                await sale.send("00200080", block, expect=False)
                assert sale.sw == status
            assert objects(await sale.send("80CA9F17"))[0x9F17] == b"\x00"

        made = play("offline-pin", work)

        async def later(sale: Sale) -> None:
            await sale.send("00200080", self.RIGHT, expect=False)
            assert sale.sw == 0x6983

        play("offline-pin", later, made)
        made.reset()

        async def fresh(sale: Sale) -> None:
            await sale.send("00200080", self.RIGHT, expect=False)
            assert sale.sw == 0x9000

        play("offline-pin", fresh, made)

    @pytest.mark.parametrize(
        "block", ["341234FFFFFFFFFF", "231234FFFFFFFFFF", "2412A4FFFFFFFFFF", "241234FFFFFFFFF0"]
    )
    def test_malformed_costs_no_try(self, block: str) -> None:
        async def work(sale: Sale) -> None:
            await sale.send("00200080", bytes.fromhex(block), expect=False)
            assert sale.sw == 0x6A80
            await sale.send("00200080", bytes.fromhex(block)[:7], expect=False)
            assert sale.sw == 0x6700
            assert objects(await sale.send("80CA9F17"))[0x9F17] == b"\x03"

        play("offline-pin", work)

    @pytest.mark.parametrize("name", ["offline-pin-enciphered", "offline-pin-icc-key"])
    def test_enciphered(self, name: str) -> None:
        spec = DECK.cards[name].apps[0]
        table = DECK.keys["icc"][spec["pin_key"] or spec["icc_key"]]
        n, e = int(table["n"], 16), int(table["e"], 16)
        size = (n.bit_length() + 7) // 8

        def encipher(block: bytes, challenge: bytes, head: bytes = b"\x7f") -> bytes:
            plain = (head + block + challenge).ljust(size, b"\x5a")
            return pow(int.from_bytes(plain, "big"), e, n).to_bytes(size, "big")

        async def work(sale: Sale) -> None:
            await sale.send("00200088", encipher(self.RIGHT, bytes(8)), expect=False)
            assert sale.sw == 0x6985  # no challenge yet
            challenge = await sale.send("00840000")
            assert len(challenge) == 8
            await sale.send("00200088", encipher(self.RIGHT, challenge), expect=False)
            assert sale.sw == 0x9000
            await sale.send("00200088", encipher(self.RIGHT, challenge), expect=False)
            assert sale.sw == 0x6985  # a challenge is good once
            for data, status in (
                (encipher(self.WRONG, await sale.send("00840000")), 0x63C2),
                (None, 0x63C1),
            ):
                value = data or encipher(self.RIGHT, bytes(8))
                if data is None:
                    await sale.send("00840000")
                await sale.send("00200088", value, expect=False)
                assert sale.sw == status
            await sale.send("00840000")
            await sale.send("00200088", bytes(size - 1), expect=False)
            assert sale.sw == 0x6700

        play(name, work)


class TestScripts:
    """Issuer scripts, made by pyemv's classes for another card that works the same way."""

    def issuer(self) -> MasterCardCVN16:
        account = DECK.cards["approve"].apps[0].account
        return MasterCardCVN16(
            account.imk["ac"], account.imk["smi"], account.imk["smc"], account.pan, account.csn
        )

    async def online(self, sale: Sale) -> tuple[bytes, bytes]:
        await sale.start()
        answer = await sale.first()
        return answer[0x9F26], answer[0x9F36]

    def command(self, head: str, arqc: bytes, atc: bytes, count: int, data: bytes = b"") -> bytes:
        header = bytes.fromhex(head) + bytes([len(data) + 8])
        counted = ((int.from_bytes(arqc, "big") + count) % 2**64).to_bytes(8, "big")
        return data + self.issuer().generate_command_mac(header, counted, atc, data)

    def test_pin_change_put_data_and_unblock_in_one_payment(self) -> None:
        async def work(sale: Sale) -> None:
            arqc, atc = await self.online(sale)
            change = self.issuer().generate_pin_change_command("56789", arqc, atc)
            await sale.send(change[:4].hex(), change[5:], expect=False)
            assert sale.sw == 0x9000
            data = self.command("84DA9F58", arqc, atc, 1, b"\x07")
            await sale.send("84DA9F58", data, expect=False)
            assert sale.sw == 0x9000
            assert objects(await sale.send("80CA9F58"))[0x9F58] == b"\x07"
            data = self.command("84240000", arqc, atc, 2)
            await sale.send("84240000", data, expect=False)
            assert sale.sw == 0x9000
            second = await sale.second()
            assert second[0x9F10][6] == 0x30  # three scripts, none failed
            await sale.send("00200080", bytes.fromhex("241234FFFFFFFFFF"), expect=False)
            assert sale.sw == 0x63C2
            await sale.send("00200080", bytes.fromhex("2556789FFFFFFFFF"), expect=False)
            assert sale.sw == 0x9000

        play("approve", work)

    def test_script_mac_by_other_code(self) -> None:
        account = DECK.cards["approve"].apps[0].account

        async def work(sale: Sale) -> None:
            arqc, atc = await self.online(sale)
            key = issuer_math.card_key(account.imk["smi"], account.pan, account.csn)
            key = issuer_math.session_key(key, arqc)
            value = issuer_math.mac(key, bytes.fromhex("8418000008") + atc + arqc)
            await sale.send("84180000", value, expect=False)
            assert sale.sw == 0x9000

        play("approve", work)

    def test_wrong_mac_changes_nothing_and_is_remembered(self) -> None:
        made = DECK.cards["approve"].make_card()

        async def work(sale: Sale) -> None:
            arqc, atc = await self.online(sale)
            data = bytearray(self.command("841E0000", arqc, atc, 0))
            data[0] ^= 1
            await sale.send("841E0000", bytes(data), expect=False)
            assert sale.sw == 0x6988
            await sale.send("841E0000", bytes(7), expect=False)
            assert sale.sw == 0x6987
            await sale.send("841E0000", self.command("841E0000", arqc, atc, 0), expect=False)
            assert sale.sw == 0x6988  # the MAC of an earlier place
            second = await sale.second()
            assert second[0x9F27] == b"\x40" and second[0x9F10][6] == 0x38

        async def after(sale: Sale) -> None:
            await sale.start()
            assert (await sale.first(0x40))[0x9F27] == b"\x80"

        play("approve", work, made)
        play("approve", after, made)

    def test_application_block_and_unblock(self) -> None:
        made = DECK.cards["approve"].make_card()

        async def block(sale: Sale) -> None:
            arqc, atc = await self.online(sale)
            await sale.send("841E0000", self.command("841E0000", arqc, atc, 0), expect=False)
            assert sale.sw == 0x9000
            assert (await sale.second())[0x9F27] == b"\x00"

        async def blocked(sale: Sale) -> None:
            assert sale.sw == 0x6283
            await sale.start()
            assert (await sale.first())[0x9F27] == b"\x00"

        play("approve", block, made)
        play("approve", blocked, made)

    def test_card_block_is_for_ever(self) -> None:
        made = DECK.cards["approve"].make_card()

        async def block(sale: Sale) -> None:
            arqc, atc = await self.online(sale)
            await sale.send("84160000", self.command("84160000", arqc, atc, 0), expect=False)
            assert sale.sw == 0x9000

        async def blocked(sale: Sale) -> None:
            assert sale.sw == 0x6A81

        play("approve", block, made)
        play("approve", blocked, made)
        copy = DECK.cards["approve"].make_card()
        copy.load_state(made.state())
        play("approve", blocked, copy)

    def test_no_script_without_an_arqc(self) -> None:
        async def work(sale: Sale) -> None:
            await sale.start()
            await sale.send("841E0000", bytes(8), expect=False)
            assert sale.sw == 0x6985
            await sale.first()
            await sale.send("801E0000", bytes(8), expect=False)
            assert sale.sw == 0x6882

        play("approve", work)


def test_values_of_the_test_terminal_fit_their_lengths() -> None:
    assert all(len(value) % 2 == 0 for value in VALUES.values())
