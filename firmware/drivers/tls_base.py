"""What TLS links share on both interpreters: bearer state, connecting in time,
and the causes of what goes wrong."""

from firmware import aio
from firmware.buses import raw_net
from firmware.buses.wire import BusError
from firmware.errors import Timeout
from firmware.hal.network import (
    HostUnreachable,
    LinkDown,
    LinkStatus,
    NameUnknown,
    NetworkLink,
    TlsFailed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.raw_net import RawConnection, RawNet
    from firmware.hal.network import Stream, TlsConfig

#: TLS 1.3 ends for the client before the server has seen our certificate. A
#: refusal, or the server's session tickets, follow at once: waiting this long
#: for either tells "certificate refused" from "lost after sending".
GRACE_MS = 500


#: Causes of a host that is the one who was wanted, whatever is wrong with it or us.
_HIMSELF = ("client_refused", "expired", "not_yet_valid")


class HandshakingStream:
    """What a link needs of its stream while connecting."""

    async def handshake(self) -> None:
        """Until both sides are verified. TlsFailed, BusError."""
        raise NotImplementedError


class TlsLinkBase(NetworkLink):
    """TLS over ``net``, a bearer of ``kind`` "ethernet", "wifi" or "mobile"."""

    def __init__(self, net: "RawNet", kind: str = "ethernet") -> None:
        self._net = net
        self._kind = kind

    async def status(self) -> LinkStatus:
        try:
            up, bars = await self._net.link()
        except BusError:
            up, bars = False, 0
        return LinkStatus(up, self._kind, bars, self._net.address() if up else "")

    async def _engine(self, config: "TlsConfig") -> object:
        """What ``_stream`` needs, made before anything is dialled. TlsFailed."""
        raise NotImplementedError

    def _stream(self, raw: "RawConnection", engine: object, name: str) -> "Stream":
        """A stream that is also a HandshakingStream. TlsFailed."""
        raise NotImplementedError

    async def connect(self, host: str, port: int, tls: "TlsConfig", timeout_ms: int) -> "Stream":
        started = aio.ticks_ms()
        engine = await self._engine(tls)
        raw = await self._raw_connection(host, port, timeout_ms)
        connected_ms = aio.elapsed_ms(started)
        try:
            stream = self._stream(raw, engine, tls.server_name)
            left = timeout_ms - aio.elapsed_ms(started)
            shake: HandshakingStream = stream  # type: ignore[assignment]  # _stream gives both
            await aio.deadline(max(left, 1), shake.handshake(), "the TLS handshake")
        except BaseException as error:
            raw.close()
            if not (isinstance(error, TlsFailed) and error.cause in _HIMSELF):
                self._net.doubt(host)
            if isinstance(error, Timeout):
                raise TlsFailed(str(error), "timeout") from None
            if isinstance(error, BusError):
                raise TlsFailed("closed during the handshake: " + str(error), "cut") from None
            raise
        name_ms = max(raw.name_ms, 0)
        named = (("name", name_ms),) if raw.name_ms >= 0 else ()
        stream.took = named + (
            ("connect", connected_ms - name_ms),
            ("tls", aio.elapsed_ms(started) - connected_ms),
        )
        return stream

    async def touch(self, host: str, port: int, timeout_ms: int) -> None:
        (await self._raw_connection(host, port, timeout_ms)).close()

    async def _raw_connection(self, host: str, port: int, timeout_ms: int) -> "RawConnection":
        what = "connecting to " + host + " port " + str(port)
        try:
            return await aio.deadline(timeout_ms, self._net.connect(host, port), what)
        except (BusError, Timeout) as error:
            if not (await self.status()).up:
                raise LinkDown("no bearer") from None
            if isinstance(error, raw_net.NameUnknown):
                raise NameUnknown(str(error)) from None
            raise HostUnreachable(str(error)) from None
