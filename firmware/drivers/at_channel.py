"""One AT line on a serial port: ask and get the answer, or the bytes of a call."""

from firmware import aio
from firmware.buses.data_line import DataLine
from firmware.buses.wire import BusError
from firmware.drivers import at_engine
from firmware.drivers.at_engine import AtEngine, AtError, Command
from firmware.hal.bearer import BearerMute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.serial_port import SerialPort
    from firmware.drivers.at_engine import Answer

#: Usual time for an answer. 27.007 has none; makers name 300 ms for most.
ANSWER_MS = 2000
#: One question of a resynchronisation.
SYNC_MS = 700
SYNC_TRIES = 3
#: How long no late answer may come before a doubtful line is used, and for how
#: long that is waited for.
SILENCE_MS = 500
SILENCE_MOST_MS = 5000
#: Silence before and after ``+++``: a second, and some for slow clocks.
GUARD_MS = 1100
#: Most bytes of a call that wait for a reader.
CALL_BUFFER = 8192


class AtChannel(DataLine):
    """``port`` with an engine. Nothing runs beside it: what the modem says unasked
    waits in the port's buffer until the next question. One user at a time."""

    def __init__(self, port: "SerialPort", urcs: "tuple[bytes, ...]") -> None:
        self._port = port
        self.engine = AtEngine(urcs)
        #: The latest unsolicited lines, at most 16.
        self.heard: "list[bytes]" = []
        #: Questions that were answered.
        self.answers = 0
        self._call = b""
        self._answer: "Answer | None" = None

    @property
    def in_data(self) -> bool:
        """Whether a call is open here."""
        return self.engine.state in (at_engine.DATA, at_engine.ESCAPING)

    # ---- questions ----------------------------------------------------------------

    async def ask(self, command: Command, timeout_ms: int = ANSWER_MS) -> "Answer":
        """The answer, whatever it says. AtError when none came in time though the
        line is in step again; BearerMute when the modem says nothing at all.
        A cancelled question leaves no late answer behind."""
        if self.engine.state != at_engine.IDLE:
            await self.sync()
        try:
            await self._send(self.engine.send(command))
            if await self._until("final", timeout_ms):
                answer = self._answer
                assert answer is not None
                self.answers += 1
                return answer
        finally:
            self.engine.expire()
        await self.sync()
        raise AtError("no answer to " + _shown(command))

    async def need(self, command: Command, timeout_ms: int = ANSWER_MS) -> "Answer":
        """As ``ask``; AtError unless it was done."""
        answer = await self.ask(command, timeout_ms)
        if not answer.ok:
            raise AtError(_shown(command) + " was refused: " + _printable(answer.result))
        return answer

    async def sync(self) -> None:
        """Bring the line into step. BearerMute, AtError while a call is open."""
        if self.in_data:
            raise AtError("the modem's line carries a call")
        for _ in range(SYNC_TRIES):
            try:
                self.engine.expire()
                await self._send(self.engine.resync())
                heard = await self._until("synced", SYNC_MS)
                if heard and (not self.engine.uncertain or await self._proved()):
                    return
            finally:
                self.engine.expire()
        raise BearerMute("the modem does not answer")

    async def _proved(self) -> bool:
        """After an answer that may be an old one: no late answers, and the next
        questions answered at once. Old answers come in a burst or come slowly."""
        await self._silence()
        for _ in range(2):
            await self._send(self.engine.resync())
            if not await self._until("synced", SYNC_MS):
                return False
        await self._silence()
        self.engine.trust()
        return True

    async def _silence(self) -> None:
        """Until no late answer came for SILENCE_MS; unsolicited codes do not count."""
        started = aio.ticks_ms()
        while aio.elapsed_ms(started) < SILENCE_MOST_MS:
            before = self.engine.late
            if not await self._until("none", SILENCE_MS) and self.engine.late == before:
                return

    async def wait_boot(self, timeout_ms: int) -> None:
        """After a reset: until it answers; its port may be away meanwhile. BearerMute."""
        started = aio.ticks_ms()
        while True:
            self.restart()
            try:
                await self.sync()
                return
            except BearerMute:
                why = "the modem does not answer"
            except BusError as error:
                why = str(error)
                await aio.sleep_ms(SYNC_MS)
            if aio.elapsed_ms(started) >= timeout_ms:
                raise BearerMute(why)

    def restart(self) -> None:
        """The modem begins anew: forget what was open."""
        self.engine.restart()
        self._call = b""

    # ---- calls --------------------------------------------------------------------

    async def leave_call(self) -> bool:
        """Out of data mode, by escape; whether that worked. Seconds. BearerMute."""
        if not self.in_data:
            return True
        await aio.sleep_ms(GUARD_MS)
        try:
            await self._send(self.engine.escape())
            left = await self._until("final", GUARD_MS + ANSWER_MS)
        finally:
            self.engine.expire()
        if left:
            # If the call had ended by itself, the escape is half a command line now.
            await self.sync()
        return left

    async def break_in(self) -> None:
        """An escape though no call is known of, for the terminal may have restarted while
        the modem had one; and results, in words, from one that was told to give none
        (V.250, 6.2.5 and 6.2.6)."""
        await aio.sleep_ms(GUARD_MS)
        await self._send(b"+++")
        await aio.sleep_ms(GUARD_MS)
        await self._send(b"\rATQ0V1\r")

    async def read(self, most: int) -> bytes:
        while not self._call:
            if not self.in_data:
                return b""
            self._take(await self._port.read(512))
        data = self._call[:most]
        self._call = self._call[most:]
        return data

    async def write(self, data: bytes) -> None:
        if self.engine.state != at_engine.DATA:
            raise BusError("the call has ended")
        await self._send(data)

    # ---- port ---------------------------------------------------------------------

    async def _send(self, data: bytes) -> None:
        """All of it, or BusError when the port takes nothing for a second."""
        idle = 0
        while data:
            taken = await self._port.write(data)
            data = data[taken:]
            if taken:
                idle = 0
            elif idle >= 1000:
                raise BusError("the modem's port takes nothing")
            else:
                await aio.sleep_ms(10)
                idle += 10

    async def _until(self, kind: str, timeout_ms: int) -> bool:
        name, _ = await aio.first(("event", self._read_until(kind)), timeout_ms=timeout_ms)
        return name == "event"

    async def _read_until(self, wanted: str) -> None:
        while True:
            # Nothing waits between taking bytes and using them.
            if self._take(await self._port.read(512)).count(wanted):
                return

    def _take(self, data: bytes) -> "list[str]":
        kinds = []
        for kind, value in self.engine.feed(data):
            kinds.append(kind)
            if kind == "urc" and isinstance(value, bytes):
                self.heard.append(value)
                del self.heard[:-16]
            elif kind == "data" and isinstance(value, bytes):
                # What nobody reads is dropped, as a full receiver does; PPP repeats.
                self._call = (self._call + value)[:CALL_BUFFER]
            elif kind == "final" and not isinstance(value, bytes):
                self._answer = value
        return kinds


def _shown(command: Command) -> str:
    """The command without its values: one of them may be a PIN."""
    text = command.text.decode()
    at = text.find("=")
    return text if at < 0 else text[:at]


def _printable(raw: bytes) -> str:
    text = ""
    for byte in raw[:60]:
        text += chr(byte) if 32 <= byte < 127 else "?"
    return text
