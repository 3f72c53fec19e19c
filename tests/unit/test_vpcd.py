"""The card's end of vpcd's protocol, over a pair of sockets."""

from __future__ import annotations

import socket

from host_tools.emulator import deck
from host_tools.emulator.chips.card import answer_to_reset
from host_tools.emulator.vpcd import VpcdCard

SELECT = bytes.fromhex("00A4040008A000000333010101")


class Reader:
    """What vpcd does."""

    def __init__(self, name: str, **fields: object) -> None:
        self.end, other = socket.socketpair()
        self.end.settimeout(5)
        card = deck.load().cards[name].make_card()
        for field, value in fields.items():
            setattr(card, field, value)
        self.card = VpcdCard(other, card)

    def say(self, message: bytes) -> None:
        self.end.sendall(len(message).to_bytes(2, "big") + message)

    def hear(self) -> bytes | None:
        """One message; None when the card hung up."""
        head = self.end.recv(2, socket.MSG_WAITALL)
        if not head:
            return None
        length = int.from_bytes(head, "big")
        return self.end.recv(length, socket.MSG_WAITALL) if length else b""

    def close(self) -> None:
        self.card.remove()
        self.end.close()


def test_control_codes_and_commands() -> None:
    reader = Reader("approve")
    reader.say(b"\x04")
    assert reader.hear() == answer_to_reset(0)
    reader.say(b"\x01")
    reader.say(SELECT)
    answer = reader.hear()
    assert answer is not None and answer[0] == 0x61
    reader.say(b"\x02")  # reset: what waited is gone
    reader.say(b"\x00\xc0\x00\x00" + answer[1:])
    assert reader.hear() == b"\x69\x85"
    reader.say(b"\x00")
    reader.say(b"\x01")
    reader.say(SELECT)
    assert reader.hear() == answer
    reader.close()


def test_a_message_in_pieces() -> None:
    reader = Reader("approve")
    reader.say(b"\x01")
    frame = len(SELECT).to_bytes(2, "big") + SELECT
    for byte in frame:
        reader.end.sendall(bytes([byte]))
    answer = reader.hear()
    assert answer is not None and answer[0] == 0x61
    reader.close()


def test_a_mute_card_has_no_atr() -> None:
    reader = Reader("mute")
    reader.say(b"\x04")
    assert reader.hear() == b""
    reader.close()


def test_torn_or_silent_hangs_up() -> None:
    for kind in ("torn", "mute"):
        reader = Reader("approve", faults=[{"at": 1, "kind": kind}])
        reader.say(b"\x01")
        reader.say(SELECT)
        assert reader.hear() is None
        reader.close()


def test_the_reader_hangs_up() -> None:
    reader = Reader("approve")
    reader.say(b"\x01")
    reader.end.sendall(b"\x00")  # half a length, then gone
    reader.end.close()
    reader.card.remove()
    reader.card.remove()
