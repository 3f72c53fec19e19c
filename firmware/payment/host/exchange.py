"""One request to the acquirer, one outcome.

A connection is made for each exchange and closed after it: one that timed out
is never reused. Connecting may be repeated; once the first byte of a request
may have left, nothing is sent again here (rules of money, 4).
"""

from firmware import aio
from firmware.errors import TillError, Timeout
from firmware.hal.network import NetworkError
from firmware.hal.vault import VaultError
from firmware.payment.host import verdicts
from firmware.payment.host.frame import Frame, FrameReader, encode_frame
from firmware.payment.host.iso8583 import Iso8583Error, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from firmware.hal.network import NetworkLink, Stream, TlsConfig
    from firmware.hal.vault import Vault
    from firmware.payment.host.iso8583 import Codec

#: Foreign frames skipped in one exchange before the host is called garbled.
MAX_SKIPPED = 16


class HostParams:
    """Where and how to talk to the host; times in milliseconds.

    ``answer_ms`` runs from the first byte sent; ``connect_ms`` is for one
    attempt, of which there are ``attempts`` with ``retry_ms`` between them.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tpdu: bytes,
        header: bytes,
        codec: "Codec",
        mac_algorithm: str,
        answer_ms: int,
        connect_ms: int = 10000,
        attempts: int = 3,
        retry_ms: int = 1000,
    ) -> None:
        self.host = host
        self.port = port
        self.tpdu = tpdu
        self.header = header
        self.codec = codec
        self.mac_algorithm = mac_algorithm
        self.answer_ms = answer_ms
        self.connect_ms = connect_ms
        self.attempts = attempts
        self.retry_ms = retry_ms


class NotSent:
    """Proved: no byte of the request left the terminal. ``error`` says why."""

    kind = "not_sent"

    def __init__(self, error: TillError) -> None:
        self.error = error


class NoAnswer:
    """Sent, at least in part, and no usable answer. ``reason``: "timeout",
    "lost", "garbled" or "partly_sent"."""

    kind = "no_answer"

    def __init__(self, reason: str, detail: str, skipped: int) -> None:
        self.reason = reason
        self.detail = detail
        self.skipped = skipped


class Answer:
    """The host answered. ``mac_state``: "ok", "bad" or "missing";
    ``mismatch``: None, or what does not belong to the request; ``header``:
    the answer's six header bytes; ``skipped``: foreign frames before it."""

    kind = "answer"

    def __init__(
        self,
        message: Message,
        mac_state: str,
        mismatch: "str | None",
        header: bytes = b"",
        skipped: int = 0,
    ) -> None:
        self.message = message
        self.mac_state = mac_state
        self.mismatch = mismatch
        self.header = header
        self.skipped = skipped


class HostExchange:
    """Speaks with one host. One exchange at a time; callers wait their turn."""

    def __init__(
        self,
        link: "NetworkLink",
        tls_config_provider: "Callable[[], Awaitable[TlsConfig]]",
        vault: "Vault",
        params: HostParams,
    ) -> None:
        self._link = link
        self._tls_config = tls_config_provider
        self._vault = vault
        self._params = params
        self._lock = aio.Lock()
        #: Told (direction "out" or "in", frame bytes) of every frame; for a
        #: masked trace. Must not raise and must not keep the bytes.
        self.tap: "Callable[[str, bytes], None] | None" = None
        #: Told "connecting", "sending", "waiting" as the exchange goes on.
        self.stage: "Callable[[str], None] | None" = None
        #: What the steps to the latest connection took (``hal.network.Stream``).
        self.took: "tuple[tuple[str, int], ...]" = ()

    async def exchange(
        self,
        request: Message,
        mac: bool,
        before_first_byte: "Callable[[], Awaitable[None]] | None" = None,
    ) -> "NotSent | NoAnswer | Answer":
        """Send ``request`` (with field 64 if ``mac``) and wait for its answer.

        ``before_first_byte`` is awaited right before the first byte is handed
        to the connection, with nothing in between; what it raises passes
        through and nothing is sent. Raises Iso8583Error and VaultError for a
        request that cannot be made: nothing was sent then either.
        """
        async with self._lock:
            frame = await self._frame(request, mac)
            self._tell("connecting")
            self.took = ()
            try:
                stream = await self._connect()
            except NetworkError as error:
                return NotSent(error)
            self.took = stream.took
            try:
                if before_first_byte is not None:
                    await before_first_byte()
                started = aio.ticks_ms()
                try:
                    await aio.deadline(
                        self._params.answer_ms, stream.write(frame), "sending the request"
                    )
                except NetworkError as error:
                    if not error.sent:
                        return NotSent(error)
                    return NoAnswer("partly_sent", str(error), 0)
                except Timeout as error:
                    return NoAnswer("partly_sent", str(error), 0)
                if self.tap is not None:
                    self.tap("out", frame)
                self._tell("waiting")
                return await self._answer(stream, request, mac, started)
            finally:
                self._params.codec.forget()
                await stream.close()

    def _tell(self, stage: str) -> None:
        if self.stage is not None:
            self.stage(stage)

    async def _frame(self, request: Message, mac: bool) -> bytes:
        params = self._params
        codec = params.codec
        if not mac:
            body = codec.encode(request)
        else:
            fields = dict(request.fields)
            fields[64] = bytes(8)
            body = codec.encode(Message(request.mti, fields))[:-8]
            body += await self._vault.mac(params.mac_algorithm, body)
        return encode_frame(Frame(params.tpdu, params.header, body))

    async def _connect(self) -> "Stream":
        params = self._params
        tls = await self._tls_config()
        attempt = 1
        while True:
            try:
                return await self._link.connect(params.host, params.port, tls, params.connect_ms)
            except NetworkError:
                if attempt >= params.attempts:
                    raise
            await aio.sleep_ms(params.retry_ms * attempt)
            attempt += 1

    async def _answer(
        self, stream: "Stream", request: Message, mac: bool, started: int
    ) -> "NotSent | NoAnswer | Answer":
        reader = FrameReader()
        skipped = 0
        while True:
            try:
                frame = reader.next()
                if frame is None:
                    left = self._params.answer_ms - aio.elapsed_ms(started)
                    if left <= 0:
                        return NoAnswer("timeout", "no answer in time", skipped)
                    reader.feed(await aio.deadline(left, stream.read(2048), "the answer"))
                    continue
                if self.tap is not None:
                    self.tap("in", encode_frame(frame))
                answer = await self._read(frame, request, skipped)
            except Timeout:
                return NoAnswer("timeout", "no answer in time", skipped)
            except NetworkError as error:
                return NoAnswer("lost", str(error), skipped)
            except Iso8583Error as error:
                return NoAnswer("garbled", str(error), skipped)
            if answer is not None:
                return answer
            skipped += 1
            if skipped > MAX_SKIPPED:
                return NoAnswer("garbled", "too many foreign frames", skipped)

    async def _read(self, frame: Frame, request: Message, skipped: int) -> "Answer | None":
        """The answer in ``frame``, None when it is late or another's."""
        message = self._params.codec.decode(frame.body)
        stan = message.fields.get(11)
        if stan is not None and stan != request.fields.get(11):
            return None
        if request.mti in ("0400", "0620") and message.mti != verdicts.answer_mti(request.mti):
            # A reversal keeps the original's STAN: this is the original's late answer.
            return None
        given = message.fields.get(64)
        if not isinstance(given, bytes):
            state = "missing"
        else:
            algorithm = self._params.mac_algorithm
            try:
                good = await self._vault.verify_mac(algorithm, frame.body[:-8], given)
            except VaultError:
                good = False  # what cannot be checked is not trusted; the request is out
            state = "ok" if good else "bad"
        return Answer(message, state, verdicts.mismatch(request, message), frame.header, skipped)
