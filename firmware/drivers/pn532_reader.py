"""Contactless reader (hal.contactless) on a PN532.

A look polls type B, then type A, each for up to two cards, as EMV's polling
and collision detection do; a single card is activated by it. Whatever ends a
tap, switching the field off resets the card.
"""

from firmware import aio
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError
from firmware.drivers.pn532 import TYPE_A, TYPE_B
from firmware.drivers.tap_channel import FieldChannel
from firmware.hal.card_reader import CardMute, ReaderMissing
from firmware.hal.contactless import ContactlessReader, ManyCards, NoTap, TapChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.drivers.pn532 import Pn532, Target

#: Between two looks that found nothing.
POLL_MS = 50
#: Field off to reset cards, then on before the first poll (EMV asks for 5.1 and 5 ms).
RESET_MS = 8
GUARD_MS = 6
#: Looks without an answer until the card counts as gone.
GONE = 2


class _FieldSlot(CardSlot):
    """What ChipChannel needs of one activated card."""

    def __init__(self, reader: "Pn532Reader", chip: "Pn532", number: int) -> None:
        self._reader = reader
        self._chip = chip
        self._number = number

    async def present(self) -> bool:
        """Asked after a failure: whether any card answers once the field was off."""
        await self._reader.renew()
        seen = await self._reader.look()
        await self._chip.field(False)
        return bool(seen)

    async def exchange(self, command: bytes) -> bytes:
        return await self._chip.exchange(self._number, command)


class Pn532Reader(ContactlessReader):
    """``chip``: the PN532, which is looked for at the first use."""

    def __init__(self, chip: "Pn532") -> None:
        self._chip = chip
        self._channel: "FieldChannel | None" = None

    async def check(self) -> str:
        """The chip's name and firmware. ReaderMissing."""
        self._forget("the reader is asked who it is")
        try:
            await self._chip.field(False)
            return await self._chip.version()
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def field(self, on: bool) -> None:
        """Switch the field; off ends the channel. ReaderMissing."""
        if not on:
            self._forget("the field went off")
        try:
            await self._chip.field(on)
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def wait_tap(self, timeout_ms: "int | None" = None) -> TapChannel:
        """See ContactlessReader."""
        self._forget("the reader waits for the next card")
        began = aio.ticks_ms()
        try:
            await self.renew()
            while True:
                seen = await self.look()
                if seen:
                    break
                pause = POLL_MS
                if timeout_ms is not None:
                    left = timeout_ms - aio.elapsed_ms(began)
                    if left <= 0:
                        await self._chip.field(False)
                        raise NoTap("no card in " + str(timeout_ms) + " ms")
                    pause = min(pause, left)
                await aio.pause_ms(pause)
            if len(seen) > 1:
                await self._chip.field(False)
                raise ManyCards(str(len(seen)) + " cards in the field")
            return await self._activate(seen[0][0], seen[0][1])
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def release(self) -> None:
        """Let go of the card and switch the field off. ReaderMissing."""
        await self.field(False)

    async def wait_removed(self) -> None:
        """Return when no card answers any more. ReaderMissing."""
        self._forget("the card is to go")
        gone = 0
        try:
            while True:
                await self.renew()
                gone = 0 if await self.look() else gone + 1
                if gone == GONE:
                    break
                await aio.pause_ms(POLL_MS)
            await self._chip.field(False)
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    async def close(self) -> None:
        """Switch the field off if possible. Never raises."""
        self._forget("the reader is closed")
        await self._chip.close()

    async def renew(self) -> None:
        """Field off and on: every card in it begins anew. BusError."""
        await self._chip.field(False)
        await aio.sleep_ms(RESET_MS)
        await self._chip.field(True)
        await aio.sleep_ms(GUARD_MS)

    async def look(self) -> "list[tuple[int, Target]]":
        """(type, card) of each card in reach. BusError."""
        seen = []
        for kind in (TYPE_B, TYPE_A):
            if kind == TYPE_A or self._chip.type_b:
                for target in await self._chip.list_targets(kind, 2):
                    seen.append((kind, target))
        return seen

    async def _activate(self, kind: int, target: "Target") -> TapChannel:
        if kind == TYPE_B:
            # The look for type A behind it has let it go.
            await self.renew()
            again = await self._chip.list_targets(kind, 1)
            if not again:
                await self._chip.field(False)
                raise CardMute("the card left while it was activated")
            target = again[0]
        if not target.answer:
            await self._chip.field(False)
            raise CardMute("the card knows no ISO/IEC 14443-4")
        slot = _FieldSlot(self, self._chip, target.number)
        self._channel = FieldChannel(slot, target.answer, "B" if kind == TYPE_B else "A")
        self.taps += 1
        return self._channel

    def _forget(self, why: str) -> None:
        if self._channel is not None:
            self._channel.kill(why)
            self._channel = None
