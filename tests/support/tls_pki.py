"""A small PKI and TLS servers for the network tests (cryptography, ssl).

``Pki(profile)`` makes a CA, a server and a client certificate; ``server``
gives a TLS server engine over memory, which ``MemoryNet`` joins to a RawNet
inside a virtual loop and ``LoopbackServer`` to real sockets in a thread.
"""

import datetime
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from firmware import aio
from firmware.buses.raw_net import NothingSent, RawConnection, RawNet
from firmware.buses.wire import BusError
from firmware.hal.network import TlsConfig

PASSPHRASE = "correct horse"
NAME = "acquirer.test"


def _key(profile: str) -> Any:
    if profile == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


class Pki:
    """One CA with a server and a client."""

    def __init__(self, profile: str = "ecdsa") -> None:
        self.profile = profile
        self.ca_key = _key(profile)
        self.ca = self.certificate("Test CA", self.ca_key, ca=True)
        self.client_key = _key(profile)
        self.client = self.certificate("terminal", self.client_key)
        self.server_key = _key(profile)
        self.server = self.certificate("server", self.server_key, names=(NAME, "127.0.0.1"))

    def certificate(
        self,
        subject: str,
        key: Any,
        ca: bool = False,
        names: tuple[str, ...] = (),
        days: tuple[int, int] = (-1, 30),
    ) -> x509.Certificate:
        """Signed by the CA; ``days``: validity from now."""
        now = datetime.datetime.now(datetime.UTC)
        issuer = "Test CA"
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca, None), True)
        )
        if names:
            alternatives: list[x509.GeneralName] = []
            for name in names:
                if name[0].isdigit():
                    alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
                else:
                    alternatives.append(x509.DNSName(name))
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        return builder.sign(self.ca_key, hashes.SHA256())

    def config(self, **changes: Any) -> TlsConfig:
        """What the terminal is given."""
        values: dict[str, Any] = {
            "trust": [self.ca.public_bytes(serialization.Encoding.DER)],
            "server_name": NAME,
            "client_chain": [self.client.public_bytes(serialization.Encoding.DER)],
            "client_key": self.client_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(PASSPHRASE.encode()),
            ),
            "passphrase": PASSPHRASE,
        }
        values.update(changes)
        return TlsConfig(**values)

    def context(
        self,
        version: str = "1.3",
        certificate: x509.Certificate | None = None,
        client_ca: x509.Certificate | None = None,
        tickets: int = 2,
    ) -> ssl.SSLContext:
        """A server context that demands a client certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        exact = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = exact
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = tickets
        context.load_verify_locations(
            cadata=(client_ca or self.ca).public_bytes(serialization.Encoding.DER)
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(
                self.server_key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                + (certificate or self.server).public_bytes(serialization.Encoding.PEM)
            )
            file.flush()
            context.load_cert_chain(file.name)
        return context


class Engine:
    """A TLS server over memory that passes each read to ``reply``."""

    def __init__(self, context: ssl.SSLContext, reply: Callable[[bytes], bytes]) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._reply = reply
        self._shaken = False
        self.received = b""
        self.error: ssl.SSLError | None = None

    def feed(self, data: bytes) -> bytes:
        """Bytes from the client in, bytes for it out."""
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while True:
                got = self._tls.read(4096)
                if not got:
                    break
                self.received += got
                answer = self._reply(got)
                if answer:
                    self._tls.write(answer)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        return self._out.read()


class MemoryConnection(RawConnection):
    """Joined to a peer function: bytes in, bytes out, at ``delay_ms``."""

    def __init__(self, net: "MemoryNet") -> None:
        self._net = net
        self._waiting = b""
        self._coming = b""
        self._pump: aio.Task | None = None
        self._news = aio.Event()
        self._ended = False
        self._open = True
        self.taken = 0

    async def write(self, data: bytes) -> None:
        net = self._net
        if not self._open or self._ended:
            raise NothingSent("connection is closed")
        room = len(data)
        if net.cut_out is not None:
            room = max(0, min(room, net.cut_out - self.taken))
        self.taken += room
        if room:
            answer = net.peer(data[:room])
            if net.silent_after is None or self.taken <= net.silent_after:
                self._coming += answer
                if self._pump is None or self._pump.done.is_set():
                    self._pump = aio.spawn("pump", self._deliver())
        if room < len(data):
            self._ended = True
            self._news.set()
            raise (BusError if room else NothingSent)("cut")

    async def _deliver(self) -> None:
        net = self._net
        while self._coming:
            await aio.sleep_ms(net.delay_ms)
            piece, self._coming = self._coming[: net.piece], self._coming[net.piece :]
            if net.cut_in is not None:
                piece = piece[: max(0, net.cut_in - net.given)]
                if not piece or net.given + len(piece) >= net.cut_in:
                    self._ended = True
            net.given += len(piece)
            self._waiting += piece
            self._news.set()
            if self._ended:
                return

    async def read(self, most: int) -> bytes:
        while True:
            if not self._open:
                raise BusError("connection is closed")
            if self._waiting:
                data, self._waiting = self._waiting[:most], self._waiting[most:]
                return data
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()

    def close(self) -> None:
        self._open = False
        self._news.set()


class MemoryNet(RawNet):
    """A network in memory with one peer; faults by attribute."""

    def __init__(self, peer: Callable[[bytes], bytes]) -> None:
        self.peer = peer
        self.delay_ms = 5
        self.piece = 1 << 20
        self.cut_in: int | None = None
        self.cut_out: int | None = None
        self.silent_after: int | None = None
        self.given = 0
        self.up = True
        self.refuse = 0
        self.hang = False
        self.connections: list[MemoryConnection] = []

    async def link(self) -> tuple[bool, int]:
        return self.up, 3

    async def connect(self, host: str, port: int) -> MemoryConnection:
        if self.hang:
            await aio.Event().wait()
        if not self.up or self.refuse:
            self.refuse = max(0, self.refuse - 1)
            raise BusError("refused")
        connection = MemoryConnection(self)
        self.connections.append(connection)
        return connection


class LoopbackServer:
    """Real sockets: one TLS peer a connection, in a thread."""

    def __init__(self, handler: Callable[[socket.socket], None]) -> None:
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self.failures: list[str] = []

    def __enter__(self) -> "LoopbackServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                try:
                    self._handler(peer)
                except OSError as error:  # ssl.SSLError is one
                    self.failures.append(str(error))


def tls_handler(context: ssl.SSLContext, reply: Callable[[bytes], bytes]) -> Any:
    """A handler for LoopbackServer that answers each read."""

    def handle(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False) as tls:
            tls.do_handshake()
            while True:
                data = tls.recv(4096)
                if not data:
                    return
                answer = reply(data)
                if answer:
                    tls.sendall(answer)

    return handle
