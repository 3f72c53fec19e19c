"""Driver: contact chip card reader on a card slot bus.

Does what the terminal transport layer does (EMV 4.4 Book 1, 9.3 and annex A):
maps command APDUs to T=0 TPDUs, fetches data announced by 61xx or by a
warning, repeats a command that 6Cxx asks to repeat; all loops are bounded.
With T=1 the reader makes the blocks and APDUs pass whole.
"""

from firmware import aio
from firmware.buses import atr
from firmware.buses.wire import BusError
from firmware.hal.card_reader import (
    CardChannel,
    CardError,
    CardMute,
    CardReader,
    CardRemoved,
    ReaderMissing,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.card_slot import CardSlot

#: How often the presence switch is read.
POLL_MS = 100
#: A card counts as present when it is still there after this (contact bounce).
SETTLE_MS = 50
#: Procedure answers (61xx, 6Cxx) for one command. A card that gives its 256
#: bytes one by one with a wrong length each time would need more; none does.
MOST_ROUNDS = 32
MOST_DATA = 256


def _case(command: bytes) -> int:
    """Case 1 to 4 of a short command APDU (ISO/IEC 7816-4, 5.2). ValueError for no APDU."""
    length = len(command)
    if length == 4:
        return 1
    if length == 5:
        return 2
    if length > 5 and command[4] > 0:
        if length == 5 + command[4]:
            return 3
        if length == 6 + command[4]:
            return 4
    raise ValueError("not a short command APDU: " + str(length) + " bytes")


class ChipChannel(CardChannel):
    """A powered card. One command at a time."""

    def __init__(self, slot: "CardSlot", answer: bytes, protocol: int) -> None:
        self.atr = answer
        self.protocol = protocol
        self._slot = slot
        self._dead: "CardError | None" = None

    def kill(self, why: str) -> None:
        """The card lost power: every later command raises CardRemoved."""
        if self._dead is None:
            self._dead = CardRemoved(why)

    async def transmit(self, command: bytes) -> "tuple[bytes, int, int]":
        """One command APDU; see ``CardChannel.transmit``.

        The channel is dead after its first error, which every later command
        raises again. A transmit that is cancelled leaves the card in a state
        that nobody knows: dead as well, by CardRemoved.
        """
        case = _case(command)
        if self._dead is not None:
            raise self._dead
        self._dead = CardRemoved("a command was abandoned, or one still runs")
        began = aio.ticks_ms()
        try:
            data, sw = await self._procedure(command, case)
        except BusError as error:
            self._dead = await cause(self._slot, error)
            raise self._dead from None
        except CardMute as error:
            self._dead = error
            raise
        self._dead = None
        return data, sw, aio.elapsed_ms(began) * 1000

    async def _procedure(self, command: bytes, case: int) -> "tuple[bytes, int]":
        sent = self._first(command, case)
        data = b""
        warning = 0
        for _ in range(MOST_ROUNDS):
            response = await self._slot.exchange(sent)
            if len(response) < 2:
                raise CardMute("answer of " + str(len(response)) + " bytes")
            part = response[:-2]
            sw1 = response[-2]
            sw2 = response[-1]
            data += part
            if len(data) > MOST_DATA:
                raise CardMute("the card sends more than 256 bytes")
            if sw1 == 0x61:
                sent = b"\x00\xc0\x00\x00" + bytes((sw2,))
            elif sw1 == 0x6C and not part:
                sent = self._with_length(sent, sw2)
            elif sw1 in (0x62, 0x63) and case == 4 and not warning and not data:
                # Annex A: the data behind a warning wait for GET RESPONSE. The
                # warning stays the status of the command.
                if self.protocol:
                    return data, sw1 << 8 | sw2
                warning = sw1 << 8 | sw2
                sent = b"\x00\xc0\x00\x00\x00"
            elif warning:
                return data, warning
            else:
                return data, sw1 << 8 | sw2
        raise CardMute("the card asks to be asked again without end")

    def _first(self, command: bytes, case: int) -> bytes:
        """What goes out first: with T=0 P3 is always there and Le of case 4 never."""
        if self.protocol == 0:
            if case == 1:
                return command + b"\x00"
            if case == 4:
                return command[:-1]
        return command

    def _with_length(self, sent: bytes, length: int) -> bytes:
        """``sent`` again with the expected length that 6Cxx named."""
        case = _case(sent)
        if case == 2:
            return sent[:4] + bytes((length,))
        if case == 4:
            return sent[:-1] + bytes((length,))
        raise CardMute("6Cxx to a command that expects no data")


async def cause(slot: "CardSlot", error: BusError) -> "CardMute | CardRemoved | ReaderMissing":
    """What a failed transfer means: the card left, is silent, or the reader is gone."""
    try:
        there = await slot.present()
    except BusError as gone:
        return ReaderMissing(str(gone))
    return CardMute(str(error)) if there else CardRemoved(str(error))


class ChipReader(CardReader):
    """A slot for one card."""

    def __init__(self, slot: "CardSlot") -> None:
        self._slot = slot
        self._channel: "ChipChannel | None" = None
        self.inserts = 0
        self._empty = False  # at the last look

    async def present(self) -> bool:
        """Whether a card sits in the slot now. ReaderMissing."""
        try:
            there = await self._slot.present()
        except BusError as error:
            raise ReaderMissing(str(error)) from None
        if there and self._empty:
            self.inserts += 1
        self._empty = not there
        return there

    async def wait_present(self) -> None:
        """Return when a card sits in the slot and has settled. ReaderMissing."""
        while True:
            if await self.present():
                await aio.sleep_ms(SETTLE_MS)
                if await self.present():
                    return
            else:
                await aio.pause_ms(POLL_MS)

    async def wait_removed(self) -> None:
        """Return when the slot is empty. ReaderMissing."""
        while await self.present():
            await aio.pause_ms(POLL_MS)
        self._forget("the card was taken out")

    async def power_on(self) -> CardChannel:
        """Cold reset; an ATR that EMV 4.4 Book 1, 8.3 does not allow is CardMute."""
        self._forget("the card was reset")
        if not await self.present():
            raise CardRemoved("no card in the slot")
        try:
            answer, protocol = await self._slot.power_on()
        except BusError as error:
            raise await cause(self._slot, error) from None
        try:
            offered = atr.parse(answer)
        except atr.AtrError as error:
            await self.power_off()
            raise CardMute(str(error)) from None
        if protocol not in offered.protocols:
            await self.power_off()
            raise CardMute("the reader talks T=" + str(protocol) + ", the card does not")
        self._channel = ChipChannel(self._slot, answer, protocol)
        return self._channel

    async def power_off(self) -> None:
        """Remove power. Harmless without a card. ReaderMissing."""
        self._forget("the card has no power")
        try:
            await self._slot.power_off()
        except BusError as error:
            raise ReaderMissing(str(error)) from None

    def _forget(self, why: str) -> None:
        if self._channel is not None:
            self._channel.kill(why)
            self._channel = None
