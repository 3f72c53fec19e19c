"""TLV parsing of card templates against pyemv, timed in turns in one run."""

import time
from collections.abc import Callable

from pyemv import tlv as peer

from firmware.payment.emv import tlv


def _template(tag: int, objects: "list[tuple[int, int]]") -> bytes:
    body = b"".join(tlv.encode(inner, b"\x5a" * length) for inner, length in objects)
    return tlv.encode(tag, body)


#: Shapes of real templates: PPSE and ADF FCI, GPO answer, records with card
#: data, with CDOLs and CVM list, with certificates, and the online answer.
TEMPLATES = (
    bytes.fromhex("6F23840E325041592E5359532E4444463031A511BF0C0E610C4F07A0000000031010870101"),
    bytes.fromhex(
        "6F388407A0000000041010A52D500A4D6173746572436172648701019F38069F1D089F1A025F2D04656E6465"
        "9F1101019F12044D617374BF0C00"
    ),
    _template(0x77, [(0x82, 2), (0x94, 16)]),
    _template(0x70, [(0x57, 17), (0x5F20, 20), (0x9F1F, 16)]),
    _template(0x70, [(0x5A, 8), (0x5F24, 3), (0x5F25, 3), (0x5F28, 2), (0x5F34, 1), (0x9F07, 2)]),
    _template(0x70, [(0x8C, 27), (0x8D, 26), (0x8E, 16), (0x9F0D, 5), (0x9F0E, 5), (0x9F0F, 5)]),
    _template(0x70, [(0x8F, 1), (0x9F32, 1), (0x92, 36), (0x90, 144)]),
    _template(0x70, [(0x9F47, 1), (0x9F48, 42), (0x9F46, 176), (0x9F49, 3), (0x9F4A, 1)]),
    tlv.encode(0x91, bytes(10)) + _template(0x72, [(0x9F18, 4), (0x86, 13)]),
)


def _best(function: Callable[[bytes], object], inputs: list[bytes], turns: int) -> float:
    """Microseconds of the fastest pass over ``inputs``."""
    best = 1e9
    for _ in range(turns):
        begin = time.perf_counter()
        for data in inputs:
            function(data)
        best = min(best, time.perf_counter() - begin)
    return best * 1e6


def rows() -> list[tuple[str, float, float, str, float, str]]:
    """(name, ours, peer, unit, ratio, aim)."""
    inputs = list(TEMPLATES) * 20
    ours = theirs = 1e9
    for _ in range(5):
        ours = min(ours, _best(tlv.parse, inputs, 10))
        theirs = min(theirs, _best(peer.decode, inputs, 10))
    ours, theirs = ours / len(inputs), theirs / len(inputs)
    return [("TLV parse, per template", ours, theirs, "us", ours / theirs, "at most 1.0")]


if __name__ == "__main__":
    for row in rows():
        print(row)
