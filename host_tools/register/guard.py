"""Who may connect to a register's port, and where plain text may be spoken."""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from host_tools.errors import UserError
from host_tools.texts import said

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Place:
    """Where an adapter listens, and the addresses that may connect."""

    host: str
    port: int
    clients: tuple[Network, ...]

    def admits(self, peer: object) -> bool:
        """Whether a socket's peer name is of an address in the list."""
        if not isinstance(peer, tuple) or not peer:
            return False
        try:
            address = _address(str(peer[0]))
        except ValueError:
            return False
        return any(address in network for network in self.clients)

    @property
    def loopback(self) -> bool:
        """Whether only this computer's own programs reach it."""
        return _loopback(self.host)


def place_of(
    name: str, listen: str, clients: Iterable[str], *, plain: bool, network: bool = False
) -> Place:
    """A place from ``listen`` (``ADDRESS:PORT``) and its clients, checked. ``plain``: the
    protocol is neither encrypted nor signed; ``network``: the merchant allows it beyond this
    computer all the same. UserError."""
    host, _, digits = listen.rpartition(":")
    host = host.strip("[]")
    try:
        port = int(digits) if digits.isascii() and digits.isdigit() else -1
        _address(host)
        networks = tuple(ipaddress.ip_network(client, strict=False) for client in clients)
    except ValueError as error:
        raise UserError(
            said(
                "[{name}] listen and clients are addresses, listen with a port: {error}",
                name=name,
                error=error,
            )
        ) from None
    if not 0 <= port <= 65535:
        raise UserError(said("[{name}] listen needs a port, 1 to 65535", name=name))
    if _loopback(host):
        if not networks:
            networks = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
    elif plain and not network:
        raise UserError(
            said(
                "[{name}] is plain text: it listens on 127.0.0.1 only, unless plain_network = true",
                name=name,
            )
        )
    elif not networks:
        raise UserError(
            said("[{name}] listens on the network: name its registers in clients", name=name)
        )
    return Place(host, port, networks)


def listening(name: str, place: Place) -> socket.socket:
    """A socket that listens there. UserError: the address is taken, or not this computer's."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        raise UserError(
            said(
                "[{name}] cannot listen on {host}:{port}: {error}",
                name=name,
                host=place.host,
                port=place.port,
                error=error.strerror,
            )
        ) from None


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _loopback(host: str) -> bool:
    return _address(host).is_loopback
