"""Bus: a card slot without a coprocessor: reset, T=0 and T=1 made here.

What a card must be given is in ``atr_emv``, ``t0_exchange`` and ``t1_session``,
without I/O; this is their time and their line. After any fault the card loses
its supply, as EMV 4.4 Book 1, 9.2 wants, and must be reset. A port is no card
controller: it cannot ask for a T=0 character to be repeated, nor does it see that
the card asks, so that a damaged character ends the session at best (docs/boards.md).
"""

from firmware import aio
from firmware.buses import atr, atr_emv, t1_session
from firmware.buses.card_line import SLACK_MS
from firmware.buses.card_slot import CardSlot
from firmware.buses.t0_exchange import T0Exchange
from firmware.buses.t1_session import T1Session
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.card_line import CardLine

#: Held in reset: 40,000 to 45,000 clocks (EMV 4.4 Book 1, 6.1.3), at 3.5712 MHz.
RESET_MS = 12
#: TS comes within 42,000 clocks, 12 ms (6.1.3.1).
FIRST_MS = 12
#: Between two characters of an answer to reset, and of all of it: 10,080 and 20,160 etu.
NEXT_ETU = 10080
WHOLE_ETU = 20160
#: Before a block or header after the card's last character: 22 etu.
TURN_MS = 3
#: How often the presence switch is read while a card is busy.
LOOK_MS = 50
#: A card that keeps asking for more time is given up after this.
MOST_BUSY_MS = 30000
#: For a silence of RESET_MS the port is read so often before a cold reset.
QUIET_TRIES = 40
#: After a broken block the line must be silent for so long, and is read so often for it.
SILENCE_MS = 100
NOISY_TRIES = 3


class ContactSlot(CardSlot):
    """A slot on a card line. One command at a time."""

    def __init__(self, line: "CardLine") -> None:
        self._line = line
        self._given: "atr_emv.Parameters | None" = None
        self._session = T1Session(32)

    async def present(self) -> bool:
        """Whether a card is in. BusError when the pins are gone."""
        return self._line.present()

    async def power_on(self) -> "tuple[bytes, int]":
        """Cold reset, and a warm one if the answer to it is not acceptable (EMV 4.4 Book 1,
        8.4); (ATR, protocol). BusError: mute, absent, rejected. Within 10 s."""
        self._given = None
        self._line.deactivate()
        for _ in range(QUIET_TRIES):  # what was still being sent, or was about to be heard
            if not await self._line.receive(256, RESET_MS):
                break
        try:
            self._line.activate()
            try:
                answer, given = await self._reset(False)
            except atr.AtrError:
                self._line.hold()
                answer, given = await self._reset(True)
            self._line.speed(given.divisor)
            self._session = T1Session(given.ifsc)
            self._given = given
            if given.protocol == 1:
                await self._blocks(self._session.offer())
            return answer, given.protocol
        except atr.AtrError as error:
            self._end()
            raise BusError("card slot: " + str(error)) from None
        except BaseException:
            self._end()
            raise

    async def power_off(self) -> None:
        """Remove power. BusError when the pins are gone."""
        self._given = None
        self._line.deactivate()

    async def exchange(self, command: bytes) -> bytes:
        """One TPDU (T=0) or APDU (T=1); response with SW1 SW2. BusError: silent, against
        the protocol, taken out, or busy for more than ``MOST_BUSY_MS``."""
        given = self._given
        if given is None:
            raise BusError("card slot: the card has no power")
        try:
            if given.protocol == 0:
                answer = await self._characters(command)
            else:
                await self._blocks(self._session.begin(command))
                answer = self._session.response
            if len(answer) < 2:
                raise BusError("card slot: answer of " + str(len(answer)) + " bytes")
            return answer
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        """The card session is over."""
        self._given = None
        try:
            self._line.deactivate()
        except BusError:
            pass  # the pins went away; the error that led here says why

    # ---- time ---------------------------------------------------------------------

    def _ms(self, etu: int) -> int:
        return (etu * self._line.etu_us + 999) // 1000 + SLACK_MS

    async def _hear(self, most: int, limit_ms: int) -> bytes:
        """1 to ``most`` characters; b"" when none came in time. BusError: the card left."""
        began = aio.ticks_ms()
        while True:
            left = limit_ms - aio.elapsed_ms(began)
            part = await self._line.receive(most, min(max(left, 0), LOOK_MS))
            if part:
                return part
            if not self._line.present():
                raise BusError("card slot: the card left")
            if left <= LOOK_MS:
                return b""

    async def _receive(self, most: int, limit_ms: int) -> bytes:
        """As ``_hear``; BusError as well when none came in time."""
        part = await self._hear(most, limit_ms)
        if not part:
            raise BusError("card slot: the card is silent")
        return part

    # ---- reset --------------------------------------------------------------------

    async def _reset(self, warm: bool) -> "tuple[bytes, atr_emv.Parameters]":
        await aio.sleep_ms(RESET_MS)
        self._line.drop_input()
        self._line.release()
        began = aio.ticks_ms()
        answer = await self._receive(1, FIRST_MS + SLACK_MS)
        if answer == b"\x03":  # 3Fh of the inverse convention, read in the direct one
            answer = b"\x3f"
            self._line.invert()
        elif answer != b"\x3b":
            raise atr.AtrError("ATR begins with TS " + hex(answer[0]))
        while True:
            need = atr.missing(answer)
            if not need:
                break
            if len(answer) + need > atr.MOST:
                raise atr.AtrError("ATR of more than " + str(atr.MOST) + " bytes")
            left = self._ms(WHOLE_ETU) - aio.elapsed_ms(began)
            if left <= 0:
                raise atr.AtrError("ATR takes too long")
            answer += await self._receive(need, min(self._ms(NEXT_ETU), left))
        return answer, atr_emv.parameters(atr.parse(answer), warm)

    # ---- T=0 ----------------------------------------------------------------------

    async def _characters(self, tpdu: bytes) -> bytes:
        given = self._given
        assert given is not None
        began = aio.ticks_ms()
        limit = self._ms(960 * given.wi + 480)
        exchange = T0Exchange(tpdu)
        self._line.drop_input()
        while not exchange.done:
            if exchange.send:
                await aio.sleep_ms(TURN_MS)
                await self._line.send(exchange.send, given.extra)
            exchange.feed(await self._receive(exchange.wants, limit))
            if aio.elapsed_ms(began) > MOST_BUSY_MS:
                raise BusError("card slot: the card is still busy after 30 s")
        return exchange.response

    # ---- T=1 ----------------------------------------------------------------------

    async def _blocks(self, sent: bytes) -> None:
        """Send ``sent`` and what follows from it until the session is done with it."""
        given = self._given
        assert given is not None
        began = aio.ticks_ms()
        wait = (960 << given.bwi) + 960
        while not self._session.done:
            left = MOST_BUSY_MS - aio.elapsed_ms(began)
            if left <= 0:
                raise BusError("card slot: the card is still busy after 30 s")
            await aio.sleep_ms(TURN_MS)
            self._line.drop_input()
            await self._line.send(sent, given.extra)
            came = await self._block(min(self._ms(wait * self._session.wtx), left))
            sent = self._session.take(came)

    async def _block(self, limit_ms: int) -> bytes:
        """One block, or what there is of one after noise or a loss. BusError: none."""
        given = self._given
        assert given is not None
        next_ms = self._ms((1 << given.cwi) + 15)
        came = await self._receive(3, limit_ms)
        need = t1_session.missing(came)
        while need:
            part = await self._hear(need, next_ms)
            if not part:
                return came
            came += part
            need = t1_session.missing(came)
        if t1_session.is_block(came):
            return came
        # Until the line is silent: more of the noise would be taken for an answer.
        for _ in range(NOISY_TRIES):
            if not await self._line.receive(256, SILENCE_MS):
                break
        return came
