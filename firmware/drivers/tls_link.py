"""Network link with TLS 1.2 and 1.3 over any RawNet (CPython's ssl).

The engine is OpenSSL without sockets (``ssl.MemoryBIO``), so that the same
code runs over the kernel's TCP, a modem's stream or a software chip. The
handshake is a step of its own, with the server verified against the given
trust anchors and name only, and our certificate offered.
"""

import os
import ssl

from firmware import aio
from firmware.buses.raw_net import NothingSent, RawConnection
from firmware.buses.wire import BusError
from firmware.drivers.tls_base import GRACE_MS, HandshakingStream, TlsLinkBase
from firmware.hal.network import ConnectionLost, Stream, TlsConfig, TlsFailed

_CHUNK = 16384

#: OpenSSL's X509_V_ERR numbers (x509_vfy.h) by cause.
_VERIFY = {
    9: "not_yet_valid",
    10: "expired",
    2: "unknown_ca",
    7: "unknown_ca",  # an issuer of the same name with another key
    18: "unknown_ca",
    19: "unknown_ca",
    20: "unknown_ca",
    21: "unknown_ca",
    30: "unknown_ca",
    62: "wrong_host",
    64: "wrong_host",
}

#: Alerts that a server sends about our certificate (RFC 8446, 6.2).
_ABOUT_CLIENT = (
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",
    "CERTIFICATE_REQUIRED",
)


def _fault(error: ssl.SSLError, flights: int) -> TlsFailed:
    """The error with its cause named. ``flights``: how often we have sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _VERIFY.get(error.verify_code, "certificate")
        return TlsFailed(f"the host's certificate: {error.verify_message}", cause)
    reason = error.reason or str(error)
    about_us = any(name in reason for name in _ABOUT_CLIENT)
    if flights > 1 and "HANDSHAKE_FAILURE" in reason:
        # Version and cipher were agreed on before our second flight; what a
        # TLS 1.2 server then calls a failure is a certificate that it misses.
        about_us = True
    if "ALERT" in reason and about_us:
        return TlsFailed(f"the host refused our certificate: {reason}", "client_refused")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return TlsFailed("closed during the handshake", "cut")
    return TlsFailed(f"handshake: {reason}", "protocol")


def _pem(certificates: list[bytes]) -> bytes:
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates).encode()


def make_context(config: TlsConfig) -> ssl.SSLContext:
    """The client context for ``config``. TlsFailed (cause "client_key") when
    our own certificates or key do not load, "unknown_ca" for bad anchors.

    OpenSSL wants certificate and key in a file: they go, the key still
    encrypted, through an anonymous file in memory that has no name in any
    file system and dies with this call.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # One exchange a connection: a ticket would only keep secrets.
    context.options |= ssl.OP_NO_TICKET
    # CA:TRUE intermediates given as anchors are enough; no walk to a root that
    # was not given.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if not config.trust:
            raise ValueError("none given")
        for anchor in config.trust:
            context.load_verify_locations(cadata=anchor)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise TlsFailed(f"trust anchors: {error}", "unknown_ca") from None
    if config.client_chain:
        handle = os.memfd_create("tls-client", os.MFD_CLOEXEC)
        try:
            with open(handle, "wb", closefd=False) as file:
                file.write(config.client_key.rstrip() + b"\n" + _pem(config.client_chain))
            # A callable: with "" OpenSSL would ask the terminal it runs on.
            context.load_cert_chain(f"/proc/self/fd/{handle}", password=lambda: config.passphrase)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise TlsFailed(
                f"our certificate or key does not load: {error}", "client_key"
            ) from None
        finally:
            os.close(handle)
    return context


class TlsStream(Stream, HandshakingStream):
    """A verified connection."""

    def __init__(self, raw: RawConnection, context: ssl.SSLContext, server_name: str) -> None:
        self._raw = raw
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_name)
        except (ValueError, TypeError) as error:
            raise TlsFailed(f"server name: {error}", "wrong_host") from None
        self._broken = False
        self._early: bytes = b""
        self._flights = 0

    async def _flush(self) -> None:
        while self._out.pending:
            self._flights += 1
            await self._raw.write(self._out.read())

    async def _fill(self) -> None:
        """Feed what the peer sends next."""
        data = await self._raw.read(_CHUNK)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def handshake(self) -> None:
        """Until both sides are verified. TlsFailed, BusError."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                failure = _fault(error, self._flights)
                await self._farewell()
                raise failure from None
        await self._flush()
        if self._tls.version() == "TLSv1.3":
            await self._acceptance()

    async def _farewell(self) -> None:
        """Send the alert that says why, if the connection still takes it."""
        try:
            await self._flush()
        except BusError:
            return  # the handshake's own failure is what counts

    async def _acceptance(self) -> None:
        """Hear whether a TLS 1.3 server refuses our certificate."""
        name, _ = await aio.first(("news", self._fill()), timeout_ms=GRACE_MS)
        if name == "timeout":
            return
        try:
            self._early = self._tls.read(_CHUNK)
            if not self._early:
                raise TlsFailed("closed right after the handshake", "cut")
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise _fault(error, self._flights) from None

    async def write(self, data: bytes) -> None:
        if self._broken:
            raise ConnectionLost("connection is broken", False)
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._broken = True
            raise ConnectionLost(f"cannot send: {error.reason or error}", False) from None
        try:
            await self._flush()
        except NothingSent as error:
            self._broken = True
            raise ConnectionLost(str(error), False) from None
        except BusError as error:
            self._broken = True
            raise ConnectionLost(str(error), True) from None

    async def read(self, most: int) -> bytes:
        if self._early:
            data, self._early = self._early[:most], self._early[most:]
            return data
        if self._broken:
            raise ConnectionLost("connection is broken", True)
        try:
            while True:
                try:
                    data = self._tls.read(most)
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._fill()
                    continue
                if data:
                    return data
                raise ConnectionLost("closed by the host", True)
        except ssl.SSLError as error:
            self._broken = True
            reason = "closed by the host" if "EOF" in str(error) else str(error.reason or error)
            raise ConnectionLost(reason, True) from None
        except (BusError, ConnectionLost) as error:
            self._broken = True
            raise ConnectionLost(str(error), True) from None

    async def close(self) -> None:
        # No close_notify: a host that does not read must not hold us up.
        self._broken = True
        self._raw.close()


class TlsLink(TlsLinkBase):
    """TLS by OpenSSL over any RawNet."""

    async def _engine(self, config: TlsConfig) -> ssl.SSLContext:
        return make_context(config)

    def _stream(self, raw: RawConnection, engine: object, name: str) -> TlsStream:
        assert isinstance(engine, ssl.SSLContext)
        return TlsStream(raw, engine, name)
