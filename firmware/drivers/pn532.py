"""NXP PN532: its commands, over any of its buses (UM0701-02, 7).

The chip acknowledges each command frame and answers later. A damaged answer
is asked for again with NACK. A command that is lost is sent again, except
InDataExchange: an APDU leaves once. After any failure or cancellation the
state of the chip is unknown; the next command aborts what runs (ACK from the
host) and begins anew from wake-up, so that a reader that was unplugged and
plugged in again works without further ado.

Checked against libnfc, Adafruit's and elechouse's libraries and excerpts of
the manual; never tried on a chip by us (docs/boards.md).
"""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers.pn532_frame import ACK, LONGEST_FRAME, NACK, TO_HOST, FrameReader, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.data_line import Restart
    from firmware.drivers.pn532_port import Pn532Port

#: A command is acknowledged within milliseconds; a long one takes 24 ms on its way.
ACK_MS = 100
#: A frame that stops for so long has ended.
GAP_MS = 20
#: For commands that the chip answers by itself.
ANSWER_MS = 200
#: For one look at the field, activation included.
LIST_MS = 1000
#: For an APDU: the longest waiting time of ISO/IEC 14443-4 is 4949 ms.
EXCHANGE_MS = 6000
TRIES = 3
#: Parts of old answers that are let pass.
DRAIN = 16
#: For all of an answer that comes in parts.
BUSY_MS = 30000
#: Data of one InDataExchange; more is sent and received in parts.
PART = 262
#: Longest APDU or answer.
MOST = 65536

TYPE_A, TYPE_B = 0x00, 0x03

_GET_FIRMWARE_VERSION, _SAM_CONFIGURATION, _RF_CONFIGURATION = 0x02, 0x14, 0x32
_IN_DATA_EXCHANGE, _IN_LIST_PASSIVE_TARGET = 0x40, 0x4A
_PN532 = 0x32
_MORE = 0x40
#: Status bytes (UM0701-02, 7.1) and what each means.
_STATUS = (
    " 01 the card does not answer; 02 CRC; 03 parity; 04 bit count; 05 framing; 06 collision;"
    " 07 buffer too small; 09 RF buffer overflow; 0A no field in time; 0B RF protocol;"
    " 0D overheated; 0E buffer overflow; 10 parameter; 12 DEP command; 13 format;"
    " 14 authentication; 23 check byte of the UID; 25 state; 26 not allowed; 27 context;"
    " 29 released; 2A another card; 2B the card disappeared; 2C NFCID3; 2D over-current;"
    " 2E NAD;"
)


class ChipSilent(BusError):
    """No answer, or only damaged ones."""


class ChipRefused(BusError):
    """The chip says that the command is not one (syntax error frame)."""


class RfFault(BusError):
    """The chip works; the exchange with the card failed. ``status``: its byte."""

    def __init__(self, status: int) -> None:
        code = f"{status:02X}"
        at = _STATUS.find(" " + code + " ")
        name = _STATUS[at + 4 : _STATUS.find(";", at)] if at >= 0 else "unknown"
        super().__init__("pn532: status " + code + " (" + name + ")")
        self.status = status


class Target:
    """A card that the chip listed; ``answer``: ATS from TL on, b"" without
    ISO/IEC 14443-4, or the ATQB."""

    def __init__(self, number: int, answer: bytes) -> None:
        self.number = number
        self.answer = answer


def parse_targets(kind: int, data: bytes) -> "list[Target]":
    """What InListPassiveTarget answered. ValueError when it is cut short."""
    found = []
    at = 1
    for _ in range(data[0] if data else 0):
        if kind == TYPE_B:
            answer = data[at + 1 : at + 13]
            end = at + 13
            end += 1 + data[end] if end < len(data) else 1
        else:
            answer = b""
            if at + 4 >= len(data):
                raise ValueError("a listed card is cut short")
            end = at + 5 + data[at + 4]
            if data[at + 3] & 0x20:  # SAK: ISO/IEC 14443-4; TL counts itself
                length = data[end] if end < len(data) else 0
                answer = data[end : end + length]
                end += max(length, 1)
        if end > len(data):
            raise ValueError("a listed card is cut short")
        found.append(Target(data[at], answer))
        at = end
    return found


class Pn532:
    """``restart`` pulses the reset pin, where a board has it, of a chip that did not
    come back by itself."""

    def __init__(self, port: "Pn532Port", restart: "Restart | None" = None) -> None:
        self._port = port
        self._restart = restart
        self._reader = FrameReader()
        self._known = False
        self._failed = False
        self._lock = aio.Lock()
        #: Whether this chip has type B at all.
        self.type_b = True

    async def version(self) -> str:
        """What the chip says that it is, as in "PN532 1.6". BusError."""
        said = self._known_chip(await self._command(_GET_FIRMWARE_VERSION, b"", 4))
        return "PN5" + f"{said[0]:02X}" + " " + str(said[1]) + "." + str(said[2])

    @staticmethod
    def _known_chip(version: bytes) -> bytes:
        if len(version) != 4 or version[0] != _PN532:
            raise ChipSilent("pn532: another chip answers in its place")
        return version

    async def field(self, on: bool) -> None:
        """Switch the RF field. BusError."""
        await self._command(_RF_CONFIGURATION, b"\x01\x01" if on else b"\x01\x00", 0)

    async def list_targets(self, kind: int, most: int) -> "list[Target]":
        """Activate up to ``most`` (1 or 2) cards of TYPE_A or TYPE_B. BusError."""
        tail = b"\x00" if kind == TYPE_B else b""  # AFI: all
        data = await self._command(
            _IN_LIST_PASSIVE_TARGET, bytes((most, kind)) + tail, PART, LIST_MS
        )
        try:
            return parse_targets(kind, data)
        except ValueError as error:
            raise ChipSilent("pn532: " + str(error)) from None

    async def exchange(self, number: int, command: bytes) -> bytes:
        """Send an APDU to a listed card; its answer. RfFault, BusError.

        It is sent once, whatever happens.
        """
        at = 0
        while len(command) - at > PART:
            await self._part(number | _MORE, command[at : at + PART])
            at += PART
        began = aio.ticks_ms()
        more, answer = await self._part(number, command[at:])
        while more:
            more, part = await self._part(number, b"")
            answer += part
            if len(answer) > MOST or aio.elapsed_ms(began) > BUSY_MS:
                raise ChipSilent("pn532: an answer without end")
        return answer

    async def _part(self, head: int, data: bytes) -> "tuple[bool, bytes]":
        request = bytes((head,)) + data
        answer = await self._command(_IN_DATA_EXCHANGE, request, PART + 1, EXCHANGE_MS, 1)
        if not answer:
            raise ChipSilent("pn532: an answer without status")
        if answer[0] & 0x3F:
            raise RfFault(answer[0] & 0x3F)
        return bool(answer[0] & _MORE), answer[1:]

    async def close(self) -> None:
        """Switch the field off if possible and let go of the bus. Never raises."""
        try:
            await self.field(False)
        except BusError:  # gone already: it has no field
            pass
        await self._port.close()

    async def _command(
        self, code: int, data: bytes, size: int, timeout_ms: int = ANSWER_MS, tries: int = TRIES
    ) -> bytes:
        """One command; its answer of at most ``size`` bytes behind the code."""
        async with self._lock:
            if not self._known:
                await self._start()
            self._known = False
            answer = await self._ask(code, data, size, timeout_ms, tries)
            self._known = True
            return answer

    async def _start(self) -> None:
        """From any state to one that is known: awake, field off, looks that end."""
        if self._failed and self._restart is not None:
            await self._restart.cycle()
        self._failed = True
        self._reader.clear()
        for last in (False, False, True):
            await self._port.wake()
            await self._abort()
            try:
                await self._ask(_SAM_CONFIGURATION, b"\x01\x00\x00", 0, ANSWER_MS, 1)
                break
            except ChipSilent:
                if last:
                    raise
        version = self._known_chip(await self._ask(_GET_FIRMWARE_VERSION, b"", 4, ANSWER_MS, TRIES))
        self.type_b = bool(version[3] & 0x02)
        # Tries of ATR_REQ, PSL_REQ and, what matters here, of each look: one more.
        await self._ask(_RF_CONFIGURATION, b"\x05\xff\x01\x01", 0, ANSWER_MS, TRIES)
        await self._ask(_RF_CONFIGURATION, b"\x01\x00", 0, ANSWER_MS, TRIES)
        self._failed = False

    async def _abort(self) -> None:
        """End what runs, and let pass what it still sends: its answer must not be taken
        for the next one's."""
        await self._port.write(ACK)
        for _ in range(DRAIN):
            if not await self._port.read(LONGEST_FRAME, GAP_MS):
                break

    async def _ask(self, code: int, data: bytes, size: int, timeout_ms: int, tries: int) -> bytes:
        frame = encode(bytes((code,)) + data)
        what = "pn532: no answer to command " + f"{code:02X}"
        for one in range(tries):
            if one:
                await self._abort()
            self._port.drop()
            self._reader.clear()
            await self._port.write(frame)
            kind, body = await self._frame(len(ACK), ACK_MS)
            if kind == "data" and self._is_answer(body, code):
                return body[2:]
            if kind == "error":
                raise ChipRefused("pn532: command " + f"{code:02X}" + " refused")
            if kind in ("ack", "bad"):
                return await self._answer(code, size, timeout_ms, what)
        raise ChipSilent(what)

    async def _answer(self, code: int, size: int, timeout_ms: int, what: str) -> bytes:
        most = min(size + 12, LONGEST_FRAME)
        began = aio.ticks_ms()
        asked_again = 0
        while True:
            kind, body = await self._frame(most, timeout_ms - aio.elapsed_ms(began))
            if kind == "data" and self._is_answer(body, code):
                return body[2:]
            if kind == "error":
                raise ChipRefused("pn532: command " + f"{code:02X}" + " refused")
            if kind == "":
                raise ChipSilent(what)
            if kind == "bad":
                if asked_again == TRIES:
                    raise ChipSilent(what + ": damaged " + str(TRIES) + " times")
                asked_again += 1
                await self._port.write(NACK)

    @staticmethod
    def _is_answer(body: bytes, code: int) -> bool:
        return body[0] == TO_HOST and body[1] == code + 1

    async def _frame(self, most: int, timeout_ms: int) -> "tuple[str, bytes]":
        """The next frame, as FrameReader tells it; ("", b"") when none began in time."""
        began = aio.ticks_ms()
        bad = False
        while True:
            found = self._reader.next()
            if found is not None:
                if found[0] != "bad":
                    return found
                bad = True
                continue
            bad = bad or self._reader.inside
            left = timeout_ms - aio.elapsed_ms(began)
            part = b""
            if left > 0:
                part = await self._port.read(most, min(left, GAP_MS) if bad else left)
            if not part:
                self._reader.clear()
                return ("bad" if bad else ""), b""
            self._reader.feed(part)
