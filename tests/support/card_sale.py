"""The terminal's half of an online chip payment, as plain commands.

Not a kernel: it knows what the deck's cards ask for, and sends that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Transmit = Callable[[bytes], Awaitable[tuple[bytes, int]]]

#: Terminal values of a payment of 100.00 CNY.
VALUES = {
    0x9F02: "000000010000",
    0x9F03: "000000000000",
    0x9F1A: "0156",
    0x95: "0000008000",
    0x5F2A: "0156",
    0x9A: "261121",
    0x9C: "00",
    0x9F37: "1A2B3C4D",
    0x9F21: "034100",
    0x9F33: "E0F8C8",
    0x8A: "3030",
    0x91: "00000000000000000000",
}


def objects(data: bytes) -> dict[int, bytes]:
    """All primitive and constructed objects of well-formed BER-TLV, flat, by tag."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        start = place
        first = data[place]
        place += 1
        if first & 0x1F == 0x1F:
            while data[place] & 0x80:
                place += 1
            place += 1
        tag = int.from_bytes(data[start:place], "big")
        length = data[place]
        place += 1
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[place : place + count], "big")
            place += count
        assert place + length <= len(data), "an object runs past the end"
        value = data[place : place + length]
        place += length
        found[tag] = value
        if first & 0x20:
            found.update(objects(value))
    return found


def dol(list_bytes: bytes, values: dict[int, str]) -> bytes:
    """Values for a data object list, zero-filled where unknown."""
    out = b""
    place = 0
    while place < len(list_bytes):
        start = place
        if list_bytes[place] & 0x1F == 0x1F:
            place += 1
        place += 1
        tag = int.from_bytes(list_bytes[start:place], "big")
        length = list_bytes[place]
        place += 1
        value = bytes.fromhex(values.get(tag, ""))
        assert len(value) in (0, length), hex(tag)
        out += value or bytes(length)
    return out


class Sale:
    """Runs against a card step by step; keeps every data object that it gave."""

    def __init__(self, transmit: Transmit, **values: str) -> None:
        self._transmit = transmit
        self.values = dict(VALUES)
        self.values.update({int(tag, 16): value for tag, value in values.items()})
        self.card: dict[int, bytes] = {}
        self.static = b""
        self.sw = 0
        self.pdol_data = b""
        self.sent: list[bytes] = []

    async def send(self, head: str, data: bytes = b"", expect: bool = True) -> bytes:
        """One command; ``head`` is CLA INS P1 P2. The status word stays in ``sw``."""
        command = bytes.fromhex(head)
        if data:
            command += bytes([len(data)]) + data
        if expect:
            command += b"\x00"
        answer, self.sw = await self._transmit(command)
        return answer

    async def select(self, aid: str = "A000000333010101") -> None:
        """SELECT the application by name."""
        answer = await self.send("00A40400", bytes.fromhex(aid))
        if answer:
            self.card.update(objects(answer))

    async def start(self) -> None:
        """GET PROCESSING OPTIONS and all records."""
        self.pdol_data = dol(self.card.get(0x9F38, b""), self.values)
        asked = b"\x83" + bytes([len(self.pdol_data)]) + self.pdol_data
        answer = await self.send("80A80000", asked)
        if self.sw != 0x9000:
            return
        found = objects(answer)
        if 0x80 in found:
            found[0x82], found[0x94] = found[0x80][:2], found[0x80][2:]
        self.card.update(found)
        afl = found[0x94]
        for place in range(0, len(afl), 4):
            sfi, first, last, signed = afl[place : place + 4]
            for number in range(first, last + 1):
                record = await self.send(f"00B2{number:02X}{sfi | 4:02X}")
                assert self.sw == 0x9000
                self.card.update(objects(record))
                if number < first + signed:
                    self.static += objects(record)[0x70]

    async def generate(self, kind: int, dol_tag: int) -> dict[int, bytes]:
        """GENERATE AC with P1 ``kind``; what the card answered, format 80 taken apart."""
        data = dol(self.card[dol_tag], self.values)
        self.sent.append(data)
        answer = await self.send(f"80AE{kind:02X}00", data)
        found = objects(answer) if answer else {}
        if 0x80 in found:
            flat = found[0x80]
            found = {0x9F27: flat[:1], 0x9F36: flat[1:3], 0x9F26: flat[3:11], 0x9F10: flat[11:]}
        return found

    async def first(self, kind: int = 0x80) -> dict[int, bytes]:
        """First GENERATE AC."""
        return await self.generate(kind, 0x8C)

    async def second(self, kind: int = 0x40) -> dict[int, bytes]:
        """Second GENERATE AC."""
        return await self.generate(kind, 0x8D)
