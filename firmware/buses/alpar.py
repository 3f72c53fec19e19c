"""Bus: a card slot behind a coprocessor on a serial port (TDA8029, ALPAR protocol).

The coprocessor makes reset, characters and blocks: with T=0 it handles the
procedure bytes ACK and NULL, with T=1 chaining, resynchronisation and requests
for more time. What it does with 61xx and 6Cxx is not left to it: with T=0 it is
only ever given what one TPDU can carry, never a case 4 APDU, so that there is
nothing for it to fetch and the channel above does what EMV 4.4 Book 1, 9.3
says. (AN10207 tells of a fault of mask 06 in just that case.) A coprocessor that
repeats a command after 6Cxx by itself gives the same data in the end.

A command is sent again only if that cannot make a card do something twice: the
coprocessor says that it did not get it whole, or it does not concern the card.
After a lost answer to a card command the card must be reset.
"""

from firmware import aio
from firmware.buses import alpar_frames, atr
from firmware.buses.alpar_frames import FrameReader, Refused
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.alpar_frames import Frame
    from firmware.buses.serial_port import SerialPort

#: What the coprocessor answers by itself takes some milliseconds.
ANSWER_MS = 500
#: A reset or a parameter exchange of the card: an answer to reset may take 19,200 etu
#: (EMV 4.4 Book 1, 8.4), 2 s, and may come twice.
CARD_MS = 5000
#: A card that keeps asking for more time is given up after this.
MOST_BUSY_MS = 30000
#: The answer to a command that was given up may still come; until then the
#: coprocessor is not taken for dead.
LAST_MS = 1000
#: A frame that stands still for so long is broken: at 9600 baud a byte takes 1 ms.
GAP_MS = 100
#: How long ``present`` waits for a coprocessor that still talks to the card.
LOOK_MS = 20
#: How often a command is sent that may be sent again.
TRIES = 3
PART = 256

#: The terminal's information field size in T=1 (EMV 4.4 Book 1, 9.2.4).
IFSD = 254
#: F = 372, D = 1: what every card begins with.
DEFAULT_TA1 = 0x11


class ReaderSilent(BusError):
    """Nothing answers on the port, or only noise comes."""

    text_key = "error.reader"


class NotAlpar(BusError):
    """Something answers on the port, and it is no ALPAR reader."""

    text_key = "error.reader"


class AlparSlot(CardSlot):
    """``port``: at the coprocessor's baud rate, 38,400 after its power-on. ``volts``:
    the card's supply. ``pps``: negotiate the speed that a card offers; EMV 4.4 Book 1,
    8.3.3.1 wants the default kept unless a terminal has a technique of its own."""

    def __init__(self, port: "SerialPort", volts: str = "5", pps: bool = False) -> None:
        if volts not in alpar_frames.POWER_UP:
            raise ValueError("no card supply of " + volts + " V")
        self._port = port
        self._power_up = alpar_frames.POWER_UP[volts]
        self._pps = pps
        self._frames = FrameReader()
        self._lock = aio.Lock()
        #: The coprocessor proved what it is, and that no old answer is under way.
        self._in_step = False
        self._card_in = False
        self._powered = False
        #: Opcode whose answer is still due (-1: none), since when, and for how long.
        self._owed = -1
        self._owed_since = 0
        self._owed_ms = 0

    # ---- the slot -----------------------------------------------------------------

    async def present(self) -> bool:
        """Whether a card is in. ReaderSilent, NotAlpar, Refused, BusError, each within 4 s.

        While a command runs it is what the coprocessor told last: it tells a
        removal at once, and takes no question meanwhile.
        """
        if self._lock.locked():
            return self._card_in
        async with self._lock:
            if self._owed >= 0 and self._left() > LOOK_MS:
                await self._await_owed(LOOK_MS)
                if self._owed >= 0:
                    return self._card_in
            told = await self._ask(alpar_frames.CHECK_PRESENCE)
            if told != b"\x00" and told != b"\x01":
                self._in_step = False
                raise BusError("card reader: malformed answer about the card")
            self._card_in = told == b"\x01"
            return self._card_in

    async def power_on(self) -> "tuple[bytes, int]":
        """Cold reset; (ATR, the protocol it offers first). BusError: mute, absent, the
        answer to reset is not valid, or the coprocessor refuses it. Within a minute, if
        an abandoned command still runs, else within 20 s."""
        async with self._lock:
            answer = await self._reset()
            try:
                offered = atr.parse(answer)
            except atr.AtrError as error:
                await self._ask(alpar_frames.POWER_OFF)
                raise BusError("card reader: " + str(error)) from None
            protocol = offered.protocol()
            if self._pps:
                answer, offered = await self._negotiate(answer, offered)
            if protocol == 1:
                await self._offer_ifsd()
            self._powered = True
            self._card_in = True
            return answer, protocol

    async def power_off(self) -> None:
        """Remove power; harmless without a card. BusError when the reader is gone."""
        async with self._lock:
            self._powered = False
            await self._ask(alpar_frames.POWER_OFF)

    async def exchange(self, command: bytes) -> bytes:
        """One TPDU (T=0) or APDU (T=1); response with SW1 SW2. BusError: refused, silent,
        taken out, or the answer was lost; power_on must come before the next one."""
        async with self._lock:
            if not self._powered:
                raise BusError("card reader: the card has no power")
            self._powered = False
            self._card_in = True
            answer = await self._ask(alpar_frames.CARD_COMMAND, command, MOST_BUSY_MS, again=False)
            if len(answer) < 2:
                raise BusError("card reader: answer of " + str(len(answer)) + " bytes")
            self._powered = True
            return answer

    # ---- the card's parameters ----------------------------------------------------

    async def _reset(self) -> bytes:
        """Without power first: with power on, a power-up would be a warm reset."""
        self._powered = False
        for left in range(TRIES - 1, -1, -1):
            await self._ask(alpar_frames.POWER_OFF)
            try:
                return await self._ask(self._power_up, b"\x01", CARD_MS, again=False)
            except ReaderSilent:
                if not left:
                    raise
        raise AssertionError("never")

    async def _negotiate(self, answer: bytes, offered: atr.Atr) -> "tuple[bytes, atr.Atr]":
        """PPS for the speed of TA1, unless TA2 sets it (specific mode). A card that does
        not agree is reset and stays at the default (ISO/IEC 7816-3, 9)."""
        given: "dict[str, int]" = {}
        for name, value in offered.interface:
            given[name] = value
        speed = given.get("TA1", DEFAULT_TA1)
        if speed == DEFAULT_TA1 or "TA2" in given:
            return answer, offered
        try:
            wanted = bytes((offered.protocol(), speed))
            await self._ask(alpar_frames.NEGOTIATE, wanted, CARD_MS, again=False)
        except BusError:
            again = await self._reset()
            if again != answer:
                raise BusError(
                    "card reader: the card answers its second reset differently"
                ) from None
        return answer, offered

    async def _offer_ifsd(self) -> None:
        try:
            await self._ask(alpar_frames.IFSD_REQUEST, bytes((IFSD,)), CARD_MS, again=False)
        except Refused as error:
            if error.code == alpar_frames.CARD_ABSENT:
                raise
            # The blocks stay at 32 bytes: slower, and nothing else.

    # ---- one command --------------------------------------------------------------

    async def _ask(
        self, opcode: int, data: bytes = b"", limit_ms: int = ANSWER_MS, again: bool = True
    ) -> bytes:
        """The answer's data. ``again``: whether the command may be repeated when its
        answer is lost. Refused, ReaderSilent, NotAlpar, BusError."""
        try:
            await self._settle()
            return await self._rounds(opcode, data, limit_ms, again)
        except ReaderSilent:
            self._in_step = False
            raise
        except Refused:
            raise
        except BusError:
            # The port went away, and whatever was under way with it.
            self._in_step = False
            self._owed = -1
            raise

    async def _rounds(self, opcode: int, data: bytes, limit_ms: int, again: bool) -> bytes:
        code = -1
        for _ in range(TRIES):
            await self._send(opcode, data, limit_ms)
            frame = await self._answer(opcode, limit_ms)
            if frame is None and opcode == alpar_frames.CARD_COMMAND:
                self._owed_ms = aio.elapsed_ms(self._owed_since) + LAST_MS
                if not self._card_in:
                    raise Refused(opcode, alpar_frames.CARD_ABSENT)
                break
            self._owed = -1
            if frame is None:
                code = -1
                if not again:
                    break
            elif frame.ack:
                return frame.data
            else:
                code = frame.data[0] if frame.data else 0
                if code not in alpar_frames.UNHEARD:
                    raise Refused(opcode, code)
        if code >= 0:
            raise Refused(opcode, code)
        raise ReaderSilent("card reader: no answer for " + str(limit_ms) + " ms")

    async def _send(self, opcode: int, data: bytes, limit_ms: int) -> None:
        frame = alpar_frames.encode(opcode, data)
        self._owed = opcode
        self._owed_since = aio.ticks_ms()
        self._owed_ms = limit_ms
        done = 0
        while done < len(frame):
            taken = await self._port.write(frame[done:] if done else frame)
            done += taken
            if not taken:
                if self._left() <= 0:
                    raise BusError("card reader: the port takes nothing")
                await aio.sleep_ms(LOOK_MS)

    async def _answer(self, opcode: int, limit_ms: int) -> "Frame | None":
        """The answer to ``opcode``; None when none came in time, or when the card left
        meanwhile whose command it is. News of the card are noted."""
        began = aio.ticks_ms()
        while True:
            frame = self._frames.next()
            while frame is not None:
                if frame.opcode == opcode:
                    return frame
                if frame.opcode == alpar_frames.TIME_OUT and not frame.ack:
                    return frame
                if frame.opcode == alpar_frames.CARD_MOVED and frame.ack:
                    self._card_in = frame.data == b"\x01"
                    if not self._card_in and opcode == alpar_frames.CARD_COMMAND:
                        return None
                frame = self._frames.next()
            left = limit_ms - aio.elapsed_ms(began)
            if left <= 0:
                return None
            part = await self._port.read(PART, min(left, GAP_MS))
            if part:
                self._frames.feed(part)
            elif self._frames.waiting:
                self._frames.give_up()

    # ---- in step ------------------------------------------------------------------

    def _left(self) -> int:
        return self._owed_ms - aio.elapsed_ms(self._owed_since)

    async def _await_owed(self, limit_ms: int) -> None:
        """Take the answer that an abandoned command still gets."""
        if await self._answer(self._owed, limit_ms) is not None or self._left() <= 0:
            self._owed = -1
            self._in_step = False

    async def _settle(self) -> None:
        """Until nothing of an earlier command is under way. The coprocessor does one
        command after the other: once it answers a question of another kind, all
        earlier answers are through."""
        while self._owed >= 0:
            await self._await_owed(max(self._left(), 0))
        self._port.drop_input()
        self._frames.clear()
        if self._in_step:
            return
        heard = 0
        code = -1
        for _ in range(TRIES):
            self._frames.clear()
            await self._send(alpar_frames.SEND_NUM_MASK, b"", ANSWER_MS)
            frame = await self._answer(alpar_frames.SEND_NUM_MASK, ANSWER_MS)
            self._owed = -1
            heard += self._frames.noise
            if frame is not None and frame.data:
                if frame.ack:
                    self._in_step = True
                    return
                code = frame.data[0]
            elif frame is not None:
                heard += 1
        if code >= 0:
            raise Refused(alpar_frames.SEND_NUM_MASK, code)
        if heard:
            raise NotAlpar("card reader: what answers on the port is no ALPAR reader")
        raise ReaderSilent("card reader: nothing answers on the port")
