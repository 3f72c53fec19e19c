"""Certificates and signatures of the virtual cards, recovered by other code (Book 2, 5 and 6)."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest

from host_tools.emulator import deck
from host_tools.emulator.chips.card_rsa import RsaKey
from tests.support.card_sale import Sale
from tests.support.issuer_math import opened
from tests.unit.test_virtual_card_payment import play

DECK = deck.load()
CAPKS = {key["index"]: key for key in DECK.capks()}


def key_of(fields: bytes, modulus_of_signer: bytes, remainder: bytes, head: int) -> bytes:
    """The modulus inside recovered certificate fields; ``head`` bytes stand before it."""
    length = fields[head - 2]
    room = len(modulus_of_signer) - 22 - head
    modulus = (
        (fields[head:] + remainder)[:length] if length > room else fields[head : head + length]
    )
    assert length > room or set(fields[head + length :]) <= {0xBB}
    return modulus


def issuer_key(card: dict[int, bytes]) -> bytes:
    capk = CAPKS[card[0x8F][0]]
    remainder = card.get(0x92, b"")
    fields = opened(capk["modulus"], capk["exponent"], card[0x90], remainder + card[0x9F32])
    assert fields[0] == 0x02
    assert card[0x5A].hex().startswith(fields[1:5].hex())
    assert fields[5:7].hex() == "1237"
    assert fields[10:12] == b"\x01\x01" and fields[13] == len(card[0x9F32])
    return key_of(fields, capk["modulus"], remainder, 14)


def icc_key(card: dict[int, bytes], static: bytes, tags: tuple[int, int, int]) -> bytes:
    certificate, exponent, remainder = tags
    rest = card.get(remainder, b"")
    issuer = issuer_key(card)
    fields = opened(issuer, card[0x9F32], card[certificate], rest + card[exponent] + static)
    assert fields[0] == 0x04
    assert fields[1:11].hex().rstrip("f") == card[0x5A].hex().rstrip("f")
    assert fields[11:13].hex() == card[0x5F24].hex()[2:4] + card[0x5F24].hex()[:2]
    return key_of(fields, issuer, rest, 20)


OWN = (0x9F46, 0x9F47, 0x9F48)
PIN = (0x9F2D, 0x9F2E, 0x9F2F)


def static_of(sale: Sale) -> bytes:
    """Signed records and, by 9F4A, the AIP."""
    assert sale.card[0x9F4A] == b"\x82"
    return sale.static + sale.card[0x82]


def test_sda() -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        assert sale.card[0x82][0] & 0x61 == 0x40
        issuer = issuer_key(sale.card)
        fields = opened(issuer, sale.card[0x9F32], sale.card[0x93], static_of(sale))
        assert fields[:4] == b"\x03\x01\xda\xc1"

    play("sda", work)


def test_sda_bad() -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        with pytest.raises(AssertionError, match=r"header|hash"):
            opened(issuer_key(sale.card), sale.card[0x9F32], sale.card[0x93], static_of(sale))

    play("sda-bad", work)


@pytest.mark.parametrize("name", ["dda", "dda-65537", "cda", "cda-large", "approve"])
def test_dda(name: str) -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        own = icc_key(sale.card, static_of(sale), OWN)
        numbers = []
        for challenge in (b"\x01\x02\x03\x04", b"\x01\x02\x03\x04"):
            answer = await sale.send("00880000", challenge)
            signature = answer[-len(own) :]
            fields = opened(own, sale.card[0x9F47], signature, challenge)
            assert fields[:4] == b"\x05\x01\x09\x08"
            assert set(fields[12:]) == {0xBB}
            numbers.append(fields[4:12])
        assert numbers[0] != numbers[1]

    play(name, work)


def test_dda_bad_and_certificate_bad() -> None:
    async def signature(sale: Sale) -> None:
        await sale.start()
        own = icc_key(sale.card, static_of(sale), OWN)
        answer = await sale.send("00880000", bytes(4))
        with pytest.raises(AssertionError, match=r"header|hash"):
            opened(own, sale.card[0x9F47], answer[-len(own) :], bytes(4))

    async def certificate(sale: Sale) -> None:
        await sale.start()
        with pytest.raises(AssertionError, match=r"header|hash"):
            icc_key(sale.card, static_of(sale), OWN)

    play("dda-bad", signature)
    play("icc-certificate-bad", certificate)


@pytest.mark.parametrize(("name", "good"), [("cda", True), ("cda-large", True), ("cda-bad", False)])
def test_cda_on_both_cryptograms(name: str, good: bool) -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        assert sale.card[0x82][0] & 0x21 == 0x21
        own = icc_key(sale.card, static_of(sale), OWN)
        number = bytes.fromhex(sale.values[0x9F37])
        for turn, kind in enumerate((0x90, 0x50)):
            answer = await (sale.first(kind) if turn == 0 else sale.second(kind))
            assert 0x9F26 not in answer
            if not good:
                with pytest.raises(AssertionError, match=r"header|hash"):
                    opened(own, sale.card[0x9F47], answer[0x9F4B], number)
                continue
            fields = opened(own, sale.card[0x9F47], answer[0x9F4B], number)
            assert fields[:4] == b"\x05\x01\x26\x08" and fields[12:13] == answer[0x9F27]
            plain = (
                b"\x9f\x27\x01"
                + answer[0x9F27]
                + b"\x9f\x36\x02"
                + answer[0x9F36]
                + b"\x9f\x10\x08"
                + answer[0x9F10]
            )
            signed = sale.pdol_data + b"".join(sale.sent) + plain
            assert fields[21:41] == hashlib.sha1(signed).digest()

    play(name, work)


def test_cda_is_not_given_with_an_aac() -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        answer = await sale.first(0x10)
        assert answer[0x9F27] == b"\x00" and 0x9F26 in answer and 0x9F4B not in answer

    play("cda", work)


@pytest.mark.parametrize(
    ("name", "key"),
    [("offline-pin-enciphered", "pin-1"), ("pin-wrong-once", "pin-1")],
)
def test_pin_key(name: str, key: str) -> None:
    async def work(sale: Sale) -> None:
        await sale.start()
        found = icc_key(sale.card, b"", PIN)
        assert found == RsaKey.from_hex(DECK.keys["icc"][key]).modulus

    play(name, work)


def test_private_operation_is_the_inverse() -> None:
    for table in (*DECK.keys["ca"].values(), *DECK.keys["issuer"].values()):
        key = RsaKey.from_hex(table)
        assert key.p * key.q == key.n
        assert key.n.bit_length() == table["bits"]
        block = b"\x6a" + bytes(range(key.size - 1))
        signature = int.from_bytes(key.private(block), "big")
        assert pow(signature, key.e, key.n).to_bytes(key.size, "big") == block


def test_capk_hashes() -> None:
    for key in DECK.capks():
        data = key["rid"] + bytes([key["index"]]) + key["modulus"] + key["exponent"]
        assert hashlib.sha1(data).digest() == key["sha1"]


def test_every_record_fits_a_response_and_every_list_its_limit() -> None:
    for spec in DECK.cards.values():
        for application in spec.make_card().applications:
            for record in application.data.records.values():
                assert len(record) <= 254
            afl = application.data.afl
            assert len(afl) % 4 == 0
            assert all(a < b for a, b in pairwise(afl[::4]))
