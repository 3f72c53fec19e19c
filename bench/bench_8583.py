"""ISO 8583 encode and decode of a field-55 sale, against pyiso8583.

``rows()`` gives (name, ours, peer, unit, ratio, aim); run alone it prints them.
"""

import timeit
from typing import Any

import iso8583

from firmware.payment.host import unionpay
from firmware.payment.host.iso8583 import Message

_FIELD_55 = bytes.fromhex(
    "9F2608E1A2B3C4D5E6F7089F2701809F101307010103A0A802010A0100000000001234567890"
    "9F370412345678"
    "9F36020123950500800460009A032611219C01009F02060000000012345F2A02015682027C00"
    "9F1A0201569F03060000000000009F3303E0F8C89F34034203009F3501229F1E085445524D30303031"
    "8408A0000003330101019F090200209F410400000123"
)


def sale() -> Message:
    """A chip sale with PIN and MAC, 20 fields."""
    return Message(
        "0200",
        {
            2: "6222021234567890128",
            3: "000000",
            4: "000000012345",
            11: "000123",
            14: "3012",
            22: "051",
            23: "001",
            25: "00",
            26: "12",
            35: "6222021234567890128D30122201234500000",
            41: "12345678",
            42: "123456789012345",
            49: "156",
            52: bytes(range(8)),
            53: "2600000000000000",
            55: _FIELD_55,
            60: "2200000100050",
            64: b"8A9E91B8",
        },
    )


def _peer_spec() -> dict[str, dict[str, Any]]:
    """The same dialect for pyiso8583."""
    spec: dict[str, dict[str, Any]] = {
        "h": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 0, "desc": "none"},
        "t": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 2, "desc": "MTI"},
        "p": {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": "bitmap"},
    }
    for row in unionpay.codec().dialect.fields:
        packed = row.content in ("n", "z")
        entry: dict[str, Any] = {
            "data_enc": "b" if packed or row.content == "b" else "ascii",
            "len_enc": "bcd",
            "len_type": {0: 0, 2: 1, 3: 2}[row.prefix],
            "max_len": row.size,
            "desc": str(row.number),
        }
        if packed:
            entry["len_count"] = "nibbles"
            entry["left_pad" if row.side == "left" else "right_pad"] = "0"
        spec[str(row.number)] = entry
    return spec


def _best(ours: Any, peer: Any, count: int, rounds: int = 20) -> tuple[float, float]:
    """Microseconds a call of each, best of the rounds, which alternate: a slow
    moment of the machine falls on both."""
    pairs = [
        (timeit.timeit(ours, number=count), timeit.timeit(peer, number=count))
        for _ in range(rounds)
    ]
    our_times, peer_times = zip(*pairs, strict=True)
    return min(our_times) / count * 1e6, min(peer_times) / count * 1e6


def rows(count: int = 1000) -> list[tuple[str, float, float, str, float, str]]:
    """Measure both codecs in this run, on the same message."""
    codec = unionpay.codec()
    message = sale()
    encoded = codec.encode(message)
    spec = _peer_spec()
    theirs = {"t": message.mti}
    for number, value in message.fields.items():
        theirs[str(number)] = value.hex().upper() if isinstance(value, bytes) else value
    theirs["64"] = message.data(64).hex().upper()
    peer_bytes, _ = iso8583.encode(theirs, spec)
    if bytes(peer_bytes) != encoded:
        raise SystemExit("bench_8583: the two codecs disagree on the message")
    table = (
        (
            "ISO 8583 encode, field-55 sale",
            lambda: codec.encode(message),
            lambda: iso8583.encode(theirs, spec),
        ),
        (
            "ISO 8583 decode, field-55 sale",
            lambda: codec.decode(encoded),
            lambda: iso8583.decode(encoded, spec),
        ),
    )
    result = []
    for name, our_call, peer_call in table:
        ours, peer = _best(our_call, peer_call, count)
        result.append((name, ours, peer, "us", ours / peer, "<= 0.5"))
    return result


if __name__ == "__main__":
    for name, ours, peer, unit, ratio, aim in rows():
        print(f"{name}: {ours:.1f} {unit}, pyiso8583 {peer:.1f} {unit}, {ratio:.2f} (aim {aim})")
