"""Network link with TLS over any RawNet, by MicroPython's ``tls`` (mbedTLS).

The engine stands on two buffers, as OpenSSL's does in tls_link.py, and never
on a socket: the handshake is then driven step by step with a deadline, which
``asyncio.open_connection(ssl=)`` cannot do (docs/portable.md). mbedTLS as
MicroPython builds it speaks TLS 1.2 and 1.3 only. It takes plain keys only:
an encrypted PKCS#8 key is deciphered here, once, and kept in memory.
"""

import io

from firmware import aio
from firmware.buses.raw_net import NothingSent
from firmware.buses.wire import BusError
from firmware.drivers.pkcs8_key import KeyUnreadable, plain_key
from firmware.drivers.tls_base import GRACE_MS, HandshakingStream, TlsLinkBase
from firmware.drivers.tls_records import HandshakeWatch
from firmware.hal.network import ConnectionLost, Stream, TlsFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.buses.raw_net import RawConnection
    from firmware.hal.network import TlsConfig

_CHUNK = 2048
#: mbedTLS, ssl.h: MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, _CONN_EOF.
_ALERT = -0x7780
_EOF = -0x7280

#: Words of mbedTLS's verdicts on a certificate (x509_crt.c), by cause.
_VERDICTS = (
    ("expected CN", "wrong_host"),
    ("trusted CA", "unknown_ca"),
    ("has expired", "expired"),
    ("in the future", "not_yet_valid"),
)


class _Buffers(io.IOBase):
    """The stream that mbedTLS reads and writes."""

    def __init__(self) -> None:
        self.incoming = b""
        self.outgoing = b""
        self.ended = False

    def readinto(self, buffer: "Any") -> "int | None":
        """What came; None for none yet, 0 at the end."""
        if not self.incoming:
            return 0 if self.ended else None
        count = min(len(buffer), len(self.incoming))
        buffer[:count] = self.incoming[:count]
        self.incoming = self.incoming[count:]
        return count

    def write(self, data: "Any") -> int:
        """Keep for sending."""
        self.outgoing += bytes(data)
        return len(data)

    def ioctl(self, request: int, argument: int) -> int:
        """Nothing to poll, flush or close."""
        return 0


def _verdict(text: str) -> TlsFailed:
    for words, cause in _VERDICTS:
        if words in text:
            return TlsFailed("the host's certificate: " + text.strip(), cause)
    return TlsFailed("the host's certificate: " + text.strip(), "certificate")


class MpyTlsStream(Stream, HandshakingStream):
    """A verified connection."""

    def __init__(self, raw: "RawConnection", context: "Any", server_name: str) -> None:
        self._raw = raw
        self._buffers = _Buffers()
        self._watch = HandshakeWatch()
        self._flights = 0
        self._broken = False
        self._early = b""
        if not server_name:
            raise TlsFailed("server name is empty", "wrong_host")
        self._tls: Any = context.wrap_socket(
            self._buffers, server_hostname=server_name, do_handshake_on_connect=False
        )

    async def _flush(self) -> None:
        data = self._buffers.outgoing
        if data:
            self._buffers.outgoing = b""
            self._flights += 1
            self._watch.sent(data)
            await self._raw.write(data)

    async def _fill(self) -> None:
        data = await self._raw.read(_CHUNK)
        if data:
            self._watch.received(data)
            self._buffers.incoming += data
        else:
            self._buffers.ended = True

    def _step(self, most: int) -> "bytes | None":
        """Let mbedTLS do what it can: bytes of the host, None for none yet."""
        buffer = bytearray(most)
        count = self._tls.readinto(buffer)
        return None if count is None else bytes(buffer[:count])

    def _fault(self, error: "OSError") -> TlsFailed:
        code = error.args[0] if error.args else 0
        if code == _ALERT:
            # Version and cipher were agreed on before our second flight.
            if self._flights > 1:
                return TlsFailed("the host refused our certificate", "client_refused")
            return TlsFailed("handshake: the host sent an alert", "protocol")
        if self._buffers.ended or code == _EOF:
            return TlsFailed("closed during the handshake", "cut")
        return TlsFailed("handshake: error " + str(code), "protocol")

    async def handshake(self) -> None:
        await self._drive()
        if self._watch.modern:
            await aio.first(("news", self._fill()), timeout_ms=GRACE_MS)
            await self._drive()

    async def _drive(self) -> None:
        """Until the handshake is over; again, to hear what came after it."""
        while True:
            try:
                data = self._step(_CHUNK)
            except ValueError as error:
                await self._farewell()
                raise _verdict(str(error)) from None
            except OSError as error:
                await self._farewell()
                raise self._fault(error) from None
            if data:
                self._early += data
            await self._flush()
            if data is not None and not data:
                raise TlsFailed("closed right after the handshake", "cut")
            if self._watch.over:
                return
            if data is None:
                await self._fill()

    async def _farewell(self) -> None:
        """Send the alert that says why, if the connection still takes it."""
        try:
            await self._flush()
        except BusError:
            return  # the handshake's own failure is what counts

    async def write(self, data: bytes) -> None:
        if self._broken:
            raise ConnectionLost("connection is broken", False)
        at = 0
        try:
            while at < len(data):
                count = self._tls.write(data[at : at + _CHUNK])
                if count is None:  # the handshake was not over after all
                    await self._flush()
                    await self._fill()
                    continue
                at += count
                await self._flush()
        except NothingSent as error:
            self._broken = True
            # mbedTLS hands over a record at a time: the first is gone once
            # a second could be made.
            raise ConnectionLost(str(error), at > _CHUNK) from None
        except BusError as error:
            self._broken = True
            raise ConnectionLost(str(error), at > 0) from None
        except (OSError, ValueError) as error:
            self._broken = True
            raise ConnectionLost("cannot send: " + str(error), at > 0) from None

    async def read(self, most: int) -> bytes:
        if self._early:
            data = self._early[:most]
            self._early = self._early[most:]
            return data
        if self._broken:
            raise ConnectionLost("connection is broken", True)
        try:
            while True:
                found = self._step(min(most, _CHUNK))
                if found:
                    return found
                if found is not None:
                    self._broken = True
                    raise ConnectionLost("closed by the host", True)
                await self._flush()
                await self._fill()
        except BusError as error:
            self._broken = True
            raise ConnectionLost(str(error), True) from None
        except (OSError, ValueError) as error:
            self._broken = True
            text = "closed by the host" if self._buffers.ended else str(error)
            raise ConnectionLost(text, True) from None

    async def close(self) -> None:
        # No close_notify: a host that does not read must not hold us up.
        self._broken = True
        self._raw.close()


class TlsLinkMpy(TlsLinkBase):
    """TLS by mbedTLS over any RawNet. The deciphered client key of the last
    configuration is kept: stretching a passphrase takes seconds on a
    microcontroller."""

    _kept: "tuple[bytes, str, bytes] | None" = None

    async def _engine(self, config: "TlsConfig") -> object:
        import tls

        context: Any = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        try:
            if not config.trust:
                raise ValueError("none given")
            # One call: a second would replace the first. Certificates in PEM
            # may follow one another, in DER only one is read.
            if len(config.trust) == 1:
                context.load_verify_locations(config.trust[0])
            else:
                context.load_verify_locations(_pem(config.trust))
        except (ValueError, OSError) as error:
            raise TlsFailed("trust anchors: " + str(error), "unknown_ca") from None
        if config.client_chain:
            try:
                key = await self._key(config)
                chain = config.client_chain
                context.load_cert_chain(chain[0] if len(chain) == 1 else _pem(chain), key)
            except (ValueError, OSError, KeyUnreadable) as error:
                text = "our certificate or key does not load: " + str(error)
                raise TlsFailed(text, "client_key") from None
        return context

    async def _key(self, config: "TlsConfig") -> bytes:
        kept = self._kept
        if kept is None or kept[0] != config.client_key or kept[1] != config.passphrase:
            plain = await plain_key(config.client_key, config.passphrase)
            kept = (config.client_key, config.passphrase, plain)
            self._kept = kept
        return kept[2]

    def _stream(self, raw: "RawConnection", engine: object, name: str) -> MpyTlsStream:
        return MpyTlsStream(raw, engine, name)


def _pem(certificates: "list[bytes]") -> bytes:
    """DER certificates as one PEM text, ended by the NUL that mbedTLS wants."""
    from binascii import b2a_base64

    text = b""
    for der in certificates:
        text += b"-----BEGIN CERTIFICATE-----\n"
        encoded = b2a_base64(der).strip()
        for at in range(0, len(encoded), 64):
            text += encoded[at : at + 64] + b"\n"
        text += b"-----END CERTIFICATE-----\n"
    return text + b"\x00"
