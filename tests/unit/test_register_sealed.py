"""The nexo port: sealing, plain registers, and what a client on the network may try."""

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from host_tools.register.nexo import number_json, sealed
from host_tools.register.nexo.server import MOST_BODY
from tests.support.nexo_desk import (
    KEY,
    OTHER,
    Desk,
    condition,
    http,
    sealed_bytes,
    told,
)

# ---- sealing ----------------------------------------------------------------------------


def test_the_keys_are_those_of_the_published_derivation() -> None:
    raw = hashlib.pbkdf2_hmac("sha1", b"mypassphrase", b"AdyenNexoV1Salt", 4000, 80)
    key = sealed.key_of("id", 1, "mypassphrase")
    assert (key.mac, key.cipher, key.iv) == (raw[:32], raw[32:64], raw[64:])
    assert "mac" not in repr(key) and len(sealed.new_passphrase()) == 32


def test_a_sealed_message_is_as_other_code_reads_it() -> None:
    header = {"SaleID": "POS-1"}
    inner = json.dumps({"SaleToPOIRequest": {"MessageHeader": header, "x": "收" * 20}})
    closed = sealed.seal(KEY, header, inner)
    trailer = closed["SecurityTrailer"]
    nonce = base64.b64decode(trailer["Nonce"])
    iv = bytes(a ^ b for a, b in zip(KEY.iv, nonce, strict=True))
    decryptor = Cipher(algorithms.AES(KEY.cipher), modes.CBC(iv)).decryptor()
    padded = decryptor.update(base64.b64decode(closed["NexoBlob"])) + decryptor.finalize()
    assert padded[: -padded[-1]].decode() == inner
    mac = hmac.new(KEY.mac, inner.encode(), hashlib.sha256).digest()
    assert base64.b64decode(trailer["Hmac"]) == mac
    assert sealed.opened([OTHER, KEY], closed)[1] == header


def test_a_golden_message_of_the_npm_client_is_paid() -> None:
    """``nexo_sealed.json``: sealed by @adyen/api-library 32.1.0 under KEY's passphrase."""
    golden = Path(__file__).with_name("nexo_sealed.json").read_bytes()

    async def story(desk: Desk) -> None:
        status, answer = await desk.raw(golden)
        assert status == 200
        closed = number_json.read(answer.decode())["SaleToPOIResponse"]
        _, header, inner = sealed.opened([KEY], closed)
        assert header["ServiceID"] == "0207111104"
        result = inner["SaleToPOIResponse"]["PaymentResponse"]["PaymentResult"]
        assert result["AmountsResp"]["AuthorizedAmount"] == Decimal("10.99")
        (started,) = desk.terminal.started
        assert started[1].startswith("nexo:POS-1:0207111104.")
        assert (started[3], started[4]) == (1099, 978)
        # Replayed by whoever recorded it: the same answer, and no second payment.
        again = number_json.read((await desk.raw(golden))[1].decode())["SaleToPOIResponse"]
        assert sealed.opened([KEY], again)[2] == inner
        assert len(desk.terminal.started) == 1

    told(story)


def test_no_flipped_bit_of_a_sealed_payment_is_taken() -> None:
    """Every bit of the whole body: outer header, blob, trailer, and the JSON around them."""

    async def story(desk: Desk) -> None:
        body = sealed_bytes(KEY, desk.payment())
        taken = []
        for place in range(len(body) * 8):
            bad = bytearray(body)
            bad[place // 8] ^= 1 << place % 8
            status, answer = await desk.raw(bytes(bad))
            assert status in (400, 401), answer
            if desk.terminal.asked or desk.memory.find("POS-1", "1"):
                taken.append(place)
        assert taken == []
        assert (await desk.raw(body))[0] == 200
        assert len(desk.terminal.started) == 1

    told(story)


@pytest.mark.parametrize(
    "name, value",
    [("KeyVersion", 2), ("KeyVersion", True), ("KeyVersion", Decimal("1.0")),
     ("AdyenCryptoVersion", 0), ("AdyenCryptoVersion", True), ("KeyIdentifier", "till-9"),
     ("KeyIdentifier", None), ("Nonce", ""), ("Hmac", ""), ("Nonce", 5), ("Extra", 1)],
)  # fmt: skip
def test_another_trailer_is_refused(name: str, value: Any) -> None:
    async def story(desk: Desk) -> None:
        message = number_json.read(sealed_bytes(KEY, desk.payment()).decode())
        message["SaleToPOIRequest"]["SecurityTrailer"][name] = value
        status, _ = await desk.raw(number_json.write(message).encode())
        assert status == 401 and desk.terminal.asked == []

    told(story)


def test_a_header_outside_that_is_not_the_one_inside_is_refused() -> None:
    async def story(desk: Desk) -> None:
        inside = desk.payment()
        outside = {**inside["SaleToPOIRequest"]["MessageHeader"], "SaleID": "POS-9"}
        closed = sealed.seal(KEY, outside, number_json.write(inside))
        status, _ = await desk.raw(number_json.write({"SaleToPOIRequest": closed}).encode())
        assert status == 401
        # A key of ours, under the name of another of ours.
        closed = sealed.seal(KEY, inside["SaleToPOIRequest"]["MessageHeader"],
                             number_json.write(inside))  # fmt: skip
        closed["SecurityTrailer"]["KeyIdentifier"] = "till-2"
        status, _ = await desk.raw(number_json.write({"SaleToPOIRequest": closed}).encode())
        assert status == 401 and desk.terminal.asked == []

    told(story)


def test_plain_messages_need_the_api_key_of_a_plain_register() -> None:
    async def story(desk: Desk) -> None:
        message = number_json.write(desk.payment(SaleID="POS-3")).encode()
        for headers in ({}, {"x_api_key": ""}, {"x_api_key": "Secret"}, {"x_api_key": "secret2"}):
            assert (await desk.raw(message, **headers))[0] == 401
        status, answer = await desk.raw(message, x_api_key="secret")
        body = json.loads(answer)["SaleToPOIResponse"]["PaymentResponse"]
        assert status == 200 and body["Response"]["Result"] == "Success"
        assert b'"AuthorizedAmount":10.00' in answer
        stolen = number_json.write(desk.payment(SaleID="POS-1")).encode()
        status, answer = await desk.raw(stolen, x_api_key="secret")
        assert condition(json.loads(answer)["SaleToPOIResponse"]["PaymentResponse"]) == "NotAllowed"
        assert len(desk.terminal.started) == 1

    told(story)


def test_bodies_are_bounded_in_size_and_time_and_are_json() -> None:
    async def story(desk: Desk) -> None:
        assert (await http(desk.app, [b"x" * MOST_BODY, b"x"]))[0] == 413
        assert (await http(desk.app, [b"{", b"..."]))[0] == 408  # and then nothing more
        assert (await http(desk.app, [b""], "/nexo", method="GET"))[0] == 405
        assert (await http(desk.app, [b""], "/"))[0] == 404
        for bad in (
            b"",
            b"\xff",
            b"[]",
            b"1",
            b"{}",
            b'{"a":NaN}',
            b'{"a":1,"a":2}',
            b"[" * 9999,
            b'{"SaleToPOIRequest":{}, "x":1}',
            b'{"a":' + b"9" * 30 + b"}",
            b'{"a":1e99}',
            b'{"a":1e9999999999999999999}',
            b'{"a":"\\ud800"}',
            b'{"\\udc00":1}',
            b'{"a":["\\udc00\\ud800"]}',
            b'{"SaleToPOIRequest":' + b'{"a":' * 30 + b"1" + b"}" * 31,
        ):
            assert (await desk.raw(bad))[0] in (400, 401), bad
        assert desk.terminal.asked == []

    told(story)
