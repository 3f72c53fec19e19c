"""Contactless reader (hal.contactless) that poses as a card slot: PC/SC.

The reader polls, resolves collisions and talks ISO/IEC 14443-4 by itself; to
its host a tapped card is one in a slot, whose answer to reset it made up
(PC/SC part 3: 3B 8n 80 01, historical bytes, check). It tells neither type A
from B nor two cards from none, and its field is not ours to switch: ManyCards
is never raised here, ``field`` only lets go of the card.
"""

from firmware import aio
from firmware.buses import atr
from firmware.buses.wire import BusError
from firmware.drivers.chip_reader import cause
from firmware.drivers.tap_channel import FieldChannel
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from firmware.hal.contactless import ContactlessReader, NoTap, TapChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.card_slot import CardSlot

#: How often the slot is looked at.
POLL_MS = 50
#: Historical bytes of a memory card: category 80, an application identifier of PC/SC's RID.
_MEMORY_CARD = b"\x80\x4f\x0c\xa0\x00\x00\x03\x06"


class SlotTap(ContactlessReader):
    """``slot``: the reader, as the PC/SC bus gives it."""

    def __init__(self, slot: "CardSlot") -> None:
        self._slot = slot
        self._channel: "FieldChannel | None" = None

    async def check(self) -> str:
        """A look at the reader; PC/SC's name of it is the bus's. ReaderMissing."""
        await self._let_go("the reader is asked who it is")
        await self._present()
        return ""

    async def field(self, on: bool) -> None:
        """Off: let go of the card. On: nothing, the reader polls by itself. ReaderMissing."""
        if on:
            await self._present()
        else:
            await self._let_go("the field went off")

    async def wait_tap(self, timeout_ms: "int | None" = None) -> TapChannel:
        """See ContactlessReader."""
        self._forget("the reader waits for the next card")
        began = aio.ticks_ms()
        while True:
            if await self._present():
                try:
                    return await self._activate()
                except CardRemoved:
                    pass  # it went past: the next one counts
            pause = POLL_MS
            if timeout_ms is not None:
                left = timeout_ms - aio.elapsed_ms(began)
                if left <= 0:
                    raise NoTap("no card in " + str(timeout_ms) + " ms")
                pause = min(pause, left)
            await aio.pause_ms(pause)

    async def release(self) -> None:
        """Let go of the card. ReaderMissing."""
        await self._let_go("the card was let go")

    async def wait_removed(self) -> None:
        """Return when the reader sees no card. ReaderMissing."""
        await self._let_go("the card is to go")
        while await self._present():
            await aio.pause_ms(POLL_MS)

    async def close(self) -> None:
        """Let go of the card if possible. Never raises."""
        try:
            await self._let_go("the reader is closed")
        except ReaderMissing:  # nothing is left to let go of
            pass

    async def _present(self) -> bool:
        try:
            return await self._slot.present()
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def _let_go(self, why: str) -> None:
        self._forget(why)
        try:
            await self._slot.power_off()
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def _activate(self) -> TapChannel:
        try:
            answer = (await self._slot.power_on())[0]
        except BusError as error:
            raise await cause(self._slot, error) from None
        try:
            whole = atr.parse(answer)
        except atr.AtrError as error:
            await self._let_go(str(error))
            raise CardMute(str(error)) from None
        made_up = whole.interface == [("TD1", 0x80), ("TD2", 0x01)]
        if not made_up or whole.historical.startswith(_MEMORY_CARD):
            await self._let_go("no card for payments")
            raise CardMute("the card knows no ISO/IEC 14443-4")
        self._channel = FieldChannel(self._slot, answer, "")
        self.taps += 1
        return self._channel

    def _forget(self, why: str) -> None:
        if self._channel is not None:
            self._channel.kill(why)
            self._channel = None
