"""Bus: a card slot on the wire (kind "card" of ``firmware.buses.wire``).

A software chip answers at once and says how long the real one would have been
busy; this end lets that time pass, and looks for the card meanwhile as a
reader's presence switch does.
"""

from firmware import aio
from firmware.buses import atr
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wire import Wire

#: A silent card is given up after the initial work waiting time
#: (EMV 4.4 Book 1, 9.2.2.1: 9600 etu of about 104 us).
WAITING_MS = 1000
#: A card that keeps asking for more time is given up after this.
MOST_BUSY_MS = 30000
#: How often the presence switch is read while a card is busy.
LOOK_MS = 50


class WireCardSlot(CardSlot):
    """One card slot. The protocol is the first that the ATR offers."""

    def __init__(self, wire: "Wire", bus: str) -> None:
        self._wire = wire
        self._bus = bus
        self._rest_us = 0

    async def present(self) -> bool:
        """Whether a card is in. BusError when the slot is gone."""
        return self._present()

    def _present(self) -> bool:
        answer = self._wire.transfer(self._bus, 1, b"")[0]
        if len(answer) != 1:
            raise BusError("card slot: malformed answer")
        return answer[0] == 1

    async def power_on(self) -> "tuple[bytes, int]":
        """(ATR, protocol 0 or 1). BusError: mute, absent, or the ATR is not valid."""
        answer = await self._timed(2, b"")
        try:
            return answer, atr.parse(answer).protocol()
        except atr.AtrError as error:
            raise BusError("card slot: " + str(error)) from None

    async def power_off(self) -> None:
        """Remove power. BusError when the slot is gone."""
        self._wire.transfer(self._bus, 4, b"")

    async def exchange(self, command: bytes) -> bytes:
        """One TPDU or APDU; response with SW1 SW2. BusError: silent, busy for
        more than ``MOST_BUSY_MS``, or taken out before the answer was complete."""
        answer = await self._timed(3, command)
        if len(answer) < 2:
            raise BusError("card slot: malformed answer")
        return answer

    async def _timed(self, op: int, payload: bytes) -> bytes:
        try:
            answer, busy_us = self._wire.transfer(self._bus, op, payload)
        except BusError:
            if self._present():
                await aio.sleep_ms(WAITING_MS)
            raise
        self._rest_us += busy_us
        left = self._rest_us // 1000
        self._rest_us -= left * 1000
        if left > MOST_BUSY_MS:
            await aio.sleep_ms(MOST_BUSY_MS)
            raise BusError("card slot: the card is still busy after " + str(MOST_BUSY_MS) + " ms")
        while left > 0:
            step = min(left, LOOK_MS)
            await aio.pause_ms(step)
            left -= step
            if not self._present():
                raise BusError("card slot: the card left")
        return answer
