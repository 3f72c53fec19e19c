"""A virtual card behind a real PC/SC daemon, through vsmartcard's vpcd driver.

vpcd listens; who connects is a card that was inserted, who hangs up was taken
out. Messages both ways are a two-byte length and that many bytes. One byte is
a control code: 0 power off, 1 power on, 2 reset, 4 send the ATR; anything
longer is a command (T=0: a TPDU), answered by the response.
"""

from __future__ import annotations

import socket
import threading
from typing import Protocol

PORT = 0x8C7B

POWER_OFF, POWER_ON, RESET, GET_ATR = 0, 1, 2, 4


class Contacts(Protocol):
    """What stands in the slot: ``chips.card.Card``, or something that poses as one."""

    torn: bool

    @property
    def is_mute(self) -> bool:
        """Whether reset gets no answer."""

    @property
    def atr(self) -> bytes:
        """Answer to reset."""

    def power_on(self) -> bytes:
        """Reset; the ATR or b""."""

    def power_off(self) -> None:
        """Harmless twice."""

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        """(response, busy us); b"" for none."""


def answer(card: Contacts, message: bytes) -> bytes | None:
    """What goes back for one message; None for nothing (control codes but the ATR's)."""
    if message == bytes([GET_ATR]):
        # vpcd asks for the ATR before it gives power too; a mute card has none.
        return b"" if card.is_mute else card.atr
    if message in (bytes([POWER_ON]), bytes([RESET])):
        card.power_on()
        return None
    if message == bytes([POWER_OFF]):
        card.power_off()
        return None
    return card.exchange(message)[0]


class VpcdCard:
    """One card in vpcd's slot, served by a thread over a connected socket."""

    def __init__(self, connection: socket.socket, card: Contacts) -> None:
        self.card = card
        self.messages = 0
        self._connection = connection
        self._thread = threading.Thread(target=self._serve, name="vpcd card", daemon=True)
        self._thread.start()

    @classmethod
    def insert(cls, card: Contacts, host: str = "127.0.0.1", port: int = PORT) -> VpcdCard:
        """Put ``card`` into the vpcd at an address. OSError when nobody listens."""
        return cls(socket.create_connection((host, port), timeout=5), card)

    def remove(self) -> None:
        """Take the card out at once. Harmless twice."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end was faster
        self._connection.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)
        self.card.power_off()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            # vpcd sends length and body apart; a late ACK of the first costs 40 ms.
            if self._connection.family == socket.AF_INET and hasattr(socket, "TCP_QUICKACK"):
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = self._connection.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data

    def _serve(self) -> None:
        try:
            self._connection.settimeout(None)
            while True:
                head = self._read(2)
                if not head:
                    return
                message = self._read(int.from_bytes(head, "big"))
                self.messages += 1
                back = answer(self.card, message)
                if self.card.torn or (back == b"" and len(message) > 1):
                    # Torn out, or silent for good: either way vpcd gets no answer.
                    self._connection.shutdown(socket.SHUT_RDWR)
                    return
                if back is not None:
                    self._connection.sendall(len(back).to_bytes(2, "big") + back)
        except OSError:
            return  # taken out while talking
