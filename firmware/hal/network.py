"""Contract: network link and the secure streams it opens."""

from firmware.errors import TillError


class NetworkError(TillError):
    """The network failed. ``sent`` says whether any byte of ours may have left."""

    text_key = "error.network"

    def __init__(self, detail: str = "", sent: bool = False) -> None:
        super().__init__(detail)
        self.sent = sent


class LinkDown(NetworkError):
    """No bearer: cable out, no registration."""

    text_key = "error.network_link"


class HostUnreachable(NetworkError):
    """No connection: name unknown, refused, no route, or no answer in time."""

    text_key = "error.network_host"


class NameUnknown(HostUnreachable):
    """The host's name has no address, or nobody could tell it."""


class TlsFailed(NetworkError):
    """The TLS handshake failed or the peer is not the expected one.

    ``cause``: "expired", "not_yet_valid", "wrong_host", "unknown_ca",
    "client_refused" (the host does not take our certificate), "client_key"
    (our own certificate or key does not load), "timeout", "cut" (closed in
    the handshake), "protocol" (no common version or cipher, or not TLS) or
    "certificate" (any other fault of the host's certificate).
    """

    text_key = "error.network_tls"

    def __init__(self, detail: str = "", cause: str = "protocol") -> None:
        super().__init__(detail)
        self.cause = cause
        if cause in ("timeout", "cut"):  # nobody was refused; nobody was there
            self.text_key = HostUnreachable.text_key


class ConnectionLost(NetworkError):
    """An open stream broke or was closed by the peer."""

    text_key = "error.network_lost"


class TlsConfig:
    """What a TLS connection is verified with. TLS 1.2 or 1.3 only, no fallback.

    ``trust``: CA certificates, DER, one or more. ``server_name``: must match
    the server's certificate. ``client_chain``: our certificate and any
    intermediates, DER. ``client_key``: our key as an encrypted PKCS#8 PEM on
    Linux (plain DER on MicroPython ports that cannot decrypt it) and
    ``passphrase`` for it, "" for none; the vault yields it at connect.
    """

    def __init__(
        self,
        trust: "list[bytes]",
        server_name: str,
        client_chain: "list[bytes]",
        client_key: bytes,
        passphrase: str,
    ) -> None:
        self.trust = trust
        self.server_name = server_name
        self.client_chain = client_chain
        self.client_key = client_key
        self.passphrase = passphrase


class Stream:
    """A connected, verified byte stream. Not reusable after any error.

    ``took``: what the steps to it took, (step, ms): "name" (where a name was looked
    up), "connect", "tls"; empty where nobody measured.
    """

    took: "tuple[tuple[str, int], ...]" = ()

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. ConnectionLost (``sent`` True once any byte left)."""
        raise NotImplementedError

    async def read(self, most: int) -> bytes:
        """Wait for 1 to ``most`` bytes. ConnectionLost at end of stream."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close at once. Never raises, may be called twice."""
        raise NotImplementedError


class LinkStatus:
    """``up``: a bearer is there. ``kind``: "ethernet", "wifi", "mobile". ``bars``: 0 to 4.
    ``address``: ours on it, "" if it is not known."""

    def __init__(self, up: bool, kind: str, bars: int, address: str = "") -> None:
        self.up = up
        self.kind = kind
        self.bars = bars
        self.address = address


class NetworkLink:
    """One way out of the terminal."""

    async def status(self) -> LinkStatus:
        """The bearer's state now."""
        raise NotImplementedError

    async def connect(self, host: str, port: int, tls: TlsConfig, timeout_ms: int) -> Stream:
        """TCP connect, then the TLS handshake as a step of its own, all within
        ``timeout_ms``. Raises LinkDown, HostUnreachable (NameUnknown), TlsFailed (all
        with ``sent`` False: no application byte has left)."""
        raise NotImplementedError

    async def touch(self, host: str, port: int, timeout_ms: int) -> None:
        """TCP connect alone, closed at once: a few packets, nothing of ours in them, and
        nobody shows who he is. Raises LinkDown, HostUnreachable (NameUnknown)."""
        raise NotImplementedError
