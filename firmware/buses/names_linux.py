"""Host names, asked of a link's own name servers through that link alone (CPython).

The system's resolver asks whichever server comes first in its list, by whichever link
has the way there, five seconds each (resolv.conf(5)): one dead link would keep the
names of all the others. Here a question leaves by a socket that is bound to the link's
interface, to the servers that the link itself was given, and is answered or given up
within two and a half seconds. The last good addresses of a few hosts are kept, for
when nobody answers (RFC 8767): who is met there must still show his certificate.
"""

import os
import socket
from collections.abc import Callable
from typing import Protocol

from firmware import aio
from firmware.buses import dns_message as dns
from firmware.buses.raw_net import NameUnknown
from firmware.buses.wire import BusError

PORT = 53
#: Each server is asked twice, in turn; one after this time is the next one's turn,
#: and an answer that comes later still counts.
TRY_MS, TRIES, SERVERS = 600, 4, 2
#: Answers that are none before a question is given up: somebody is guessing.
STRAY_MOST = 32
#: Hosts kept, and how long an answer is good without asking, whatever it says itself.
HOSTS_KEPT, FRESH_MOST_S = 8, 300
#: The system's table of names, which comes before any server, and what is read of it.
TABLE, TABLE_MOST = "/etc/hosts", 65536
_IF_INET6 = "/proc/net/if_inet6"

Server = tuple[str, int]


class Datagrams(Protocol):
    """An open UDP socket. OSError."""

    def send(self, data: bytes, server: Server) -> None:
        """Send one datagram."""

    async def receive(self) -> tuple[bytes, Server]:
        """Wait for one, and from whom it is. Cancelling it loses nothing."""

    def close(self) -> None:
        """Close at once."""


class UdpLinux:
    """A UDP socket that leaves by ``interface`` alone, on a port of the kernel's
    choice. OSError."""

    def __init__(self, interface: str) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._sock.setblocking(False)
            # socket(7): allowed to everybody since Linux 5.7.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        except OSError:
            self._sock.close()
            raise

    def send(self, data: bytes, server: Server) -> None:
        """Send one datagram."""
        self._sock.sendto(data, server)

    async def receive(self) -> tuple[bytes, Server]:
        """Wait for one."""
        while True:
            try:
                data, (host, port) = self._sock.recvfrom(dns.ANSWER_MOST + 1)
            except (BlockingIOError, InterruptedError):
                await aio.readable(self._sock)
            else:
                return data, (host, port)

    def close(self) -> None:
        """Close at once."""
        self._sock.close()


class _Kept:
    """``addresses``, known since ``at_ms`` and good without asking for ``fresh_ms``."""

    def __init__(self, addresses: list[str], fresh_ms: int) -> None:
        self.addresses = addresses
        self.at_ms = aio.ticks_ms()
        self.fresh_ms = fresh_ms


class LastGood:
    """The last good addresses of HOSTS_KEPT hosts; who was not looked up for longest
    leaves."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def keep(self, host: str, addresses: list[str], ttl_s: int) -> None:
        """Keep what was just answered."""
        self._kept.pop(host, None)
        self._kept[host] = _Kept(addresses, min(ttl_s, FRESH_MOST_S) * 1000)
        if len(self._kept) > HOSTS_KEPT:
            del self._kept[next(iter(self._kept))]

    def fresh(self, host: str) -> list[str]:
        """Those that nobody need be asked for again; none if there are none."""
        kept = self._kept.get(host)
        if kept is None or aio.elapsed_ms(kept.at_ms) >= kept.fresh_ms:
            return []
        return kept.addresses

    def any(self, host: str) -> list[str]:
        """Those that were good once; none if there are none."""
        kept = self._kept.get(host)
        return [] if kept is None else kept.addresses

    def doubt(self, host: str) -> None:
        """Nobody was met at them: ask again the next time."""
        kept = self._kept.get(host)
        if kept is not None:
            kept.fresh_ms = 0


class LinkNames:
    """The names of one link. ``socket_of``: opens a socket on an interface."""

    def __init__(
        self,
        kept: LastGood,
        socket_of: Callable[[str], Datagrams] = UdpLinux,
        port: int = PORT,
    ) -> None:
        self._kept = kept
        self._socket_of = socket_of
        self._port = port

    async def addresses(self, host: str, interface: str, servers: tuple[str, ...]) -> list[str]:
        """Addresses of ``host``, IPv4 first. NameUnknown; BusError without the interface."""
        found = self._kept.fresh(host)
        if found:
            return found
        try:
            found, ttl_s = await self._ask(host, interface, servers)
        except OSError as error:
            raise BusError(f"name servers of {interface}: {error.strerror or error}") from None
        except dns.NoSuchName:
            raise NameUnknown(f"there is no name {host}") from None
        except ValueError as error:  # it is none, or nobody could answer
            found = self._kept.any(host)
            if not found:
                raise NameUnknown(f"name {host}: {error}") from None
            return found
        if not found:
            raise NameUnknown(f"name {host} has no address")
        self._kept.keep(host, found, ttl_s)
        return found

    async def _ask(
        self, host: str, interface: str, servers: tuple[str, ...]
    ) -> tuple[list[str], int]:
        """Addresses, and for how many seconds they hold. OSError, ValueError."""
        dns.labels(host)
        port = self._socket_of(interface)
        try:
            found = await self._put(port, host, dns.A, servers)
            if not found.addresses and has_ipv6(interface):
                found = await self._put(port, host, dns.AAAA, servers)
        finally:
            port.close()
        return found.addresses, found.ttl_s

    async def _put(
        self, port: Datagrams, host: str, kind: int, servers: tuple[str, ...]
    ) -> dns.Found:
        """Put one question to each server in turn. NoSuchName, ServerFailed, BadAnswer."""
        ident = int.from_bytes(os.urandom(2), "big")
        question = dns.query(ident, host, kind)
        able = [(server, self._port) for server in servers[:SERVERS]]
        asked: set[Server] = set()
        stray = [0]
        why: ValueError = dns.ServerFailed("no name server answers")

        async def answer() -> tuple[dns.Found | dns.ServerFailed, Server]:
            while True:
                data, server = await port.receive()
                try:
                    if server in asked:
                        return dns.parse(data, ident, host, kind), server
                except dns.BadAnswer:
                    pass  # forged, or broken: whoever sent it did not answer
                except dns.ServerFailed as error:
                    return error, server
                stray[0] += 1
                if stray[0] >= STRAY_MOST:
                    raise dns.BadAnswer("too many answers that are none")

        for turn in range(TRIES):
            if not able:
                break
            server = able[turn % len(able)]
            try:
                port.send(question, server)
            except OSError as error:
                why = dns.ServerFailed(f"name server {server[0]}: {error.strerror or error}")
                able.remove(server)
                continue
            asked.add(server)
            name, told = await aio.first(("answer", answer()), timeout_ms=TRY_MS)
            if name == "timeout":
                continue
            said, server = told
            if isinstance(said, dns.Found):
                return said
            why = said
            asked.discard(server)
            if server in able:
                able.remove(server)
        raise why


def is_server(text: str) -> bool:
    """Whether a bearer's name server is one that can be asked: an IPv4 address."""
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def has_ipv6(interface: str) -> bool:
    """Whether an interface has an IPv6 address that reaches beyond its neighbours."""
    try:
        with open(_IF_INET6, encoding="ascii") as file:
            rows = [line.split() for line in file.read(TABLE_MOST).splitlines()]
    except (OSError, ValueError):
        return False
    # proc(5): address, index, prefix, scope (00: global), flags, name.
    return any(len(row) == 6 and row[5] == interface and row[3] == "00" for row in rows)


def in_table(host: str) -> list[str]:
    """What the system's table of names says of a host (hosts(5)); mostly nothing."""
    try:
        with open(TABLE, encoding="ascii", errors="replace") as file:
            lines = file.read(TABLE_MOST).splitlines()
    except OSError:
        return []
    rows = [line.split("#")[0].lower().split() for line in lines]
    return [row[0] for row in rows if host.lower() in row[1:]]
