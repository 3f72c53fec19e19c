"""A card of the deck with other data objects than it was personalised with."""

from typing import Any

from tests.support.card_sale import objects


def _objects(data: bytes) -> list[tuple[bytes, bytes]]:
    """(tag, value) of well-formed BER-TLV, one level."""
    found = []
    place = 0
    while place < len(data):
        start = place
        place += 1
        if data[start] & 0x1F == 0x1F:
            while data[place] & 0x80:
                place += 1
            place += 1
        tag = data[start:place]
        length = data[place]
        place += 1
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[place : place + count], "big")
            place += count
        found.append((tag, data[place : place + length]))
        place += length
    return found


def edited(data: bytes, changes: dict[int, bytes]) -> bytes:
    """``data`` with the values of these tags replaced, at any depth."""
    out = b""
    for tag, value in _objects(data):
        number = int.from_bytes(tag, "big")
        if number in changes:
            value = changes[number]
        elif tag[0] & 0x20:
            value = edited(value, changes)
        size = len(value)
        length = bytes([size]) if size < 128 else b"\x81" + bytes([size & 0xFF])
        out += tag + length + value
    return out


class EditedCard:
    """Answers as the card does, templates 6F, 70 and 77 edited. T=0."""

    def __init__(self, card: Any, changes: dict[int, bytes]) -> None:
        self._card = card
        self._changes = changes
        self._waiting = b""
        self.torn = False
        #: Tags that the card really has and that were replaced.
        self.replaced: set[int] = set()

    def power_on(self) -> bytes:
        return bytes(self._card.power_on())

    def power_off(self) -> None:
        self._card.power_off()

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        if command[1] == 0xC0 and self._waiting:
            response, self._waiting = self._waiting, b""
            return response, 1000
        response, busy = self._card.exchange(command)
        if response[-2] == 0x61:
            response, busy = self._card.exchange(b"\x00\xc0\x00\x00" + response[-1:])
        elif response[-2] == 0x6C:
            response, busy = self._card.exchange(command[:4] + response[-1:])
        if len(response) > 2 and response[0] in (0x6F, 0x70, 0x77):
            self.replaced |= set(objects(response[:-2])) & set(self._changes)
            response = edited(response[:-2], self._changes) + response[-2:]
        if command[1] in (0xA4, 0xA8, 0xAE, 0x88) and len(response) > 2:
            self._waiting = response
            return bytes((0x61, (len(response) - 2) & 0xFF)), busy
        return response, busy
