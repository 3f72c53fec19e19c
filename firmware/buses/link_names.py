"""Host names, asked of a link's own name servers through that link alone.

A question leaves by a socket of the link's, to the servers that the link itself was
given, and is answered or given up within two and a half seconds. The last good addresses
of a few hosts are kept, for when nobody answers (RFC 8767): who is met there must still
show his certificate.
"""

import os

from firmware import aio
from firmware.buses import dns_message as dns
from firmware.buses.raw_net import NameUnknown
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    Server = tuple[str, int]

    class Datagrams(Protocol):
        """An open UDP socket. OSError."""

        def send(self, data: bytes, server: Server) -> None:
            """Send one datagram."""

        async def receive(self) -> tuple[bytes, Server]:
            """Wait for one, and from whom it is. Cancelling it loses nothing."""

        def close(self) -> None:
            """Close at once."""


PORT = 53
#: Each server is asked twice, in turn; one after this time is the next one's turn,
#: and an answer that comes later still counts.
TRY_MS, TRIES, SERVERS = 600, 4, 2
#: Answers that are none before a question is given up: somebody is guessing.
STRAY_MOST = 32
#: Hosts kept, and how long an answer is good without asking, whatever it says itself.
HOSTS_KEPT, FRESH_MOST_S = 8, 300


class _Kept:
    """``addresses``, known since ``at_ms`` and good without asking for ``fresh_ms``."""

    def __init__(self, addresses: "list[str]", fresh_ms: int) -> None:
        self.addresses = addresses
        self.at_ms = aio.ticks_ms()
        self.fresh_ms = fresh_ms


class LastGood:
    """The last good addresses of HOSTS_KEPT hosts; who was looked up longest ago leaves."""

    def __init__(self) -> None:
        self._kept: "dict[str, _Kept]" = {}

    def keep(self, host: str, addresses: "list[str]", ttl_s: int) -> None:
        """Keep what was just answered."""
        kept = self._kept
        kept[host] = _Kept(addresses, min(ttl_s, FRESH_MOST_S) * 1000)
        if len(kept) > HOSTS_KEPT:
            others = [one for one in kept if one != host]
            del kept[max(others, key=lambda one: aio.elapsed_ms(kept[one].at_ms))]

    def fresh(self, host: str) -> "list[str]":
        """Those that nobody need be asked for again; none if there are none."""
        kept = self._kept.get(host)
        if kept is None or aio.elapsed_ms(kept.at_ms) >= kept.fresh_ms:
            return []
        return kept.addresses

    def any(self, host: str) -> "list[str]":
        """Those that were good once; none if there are none."""
        kept = self._kept.get(host)
        return [] if kept is None else kept.addresses

    def doubt(self, host: str) -> None:
        """Nobody was met at them: ask again the next time."""
        kept = self._kept.get(host)
        if kept is not None:
            kept.fresh_ms = 0


def _no_ipv6(interface: str) -> bool:
    return False


class LinkNames:
    """The names of one link. ``socket_of``: opens a socket on an interface. ``has_ipv6``:
    whether an interface has an address that reaches beyond its neighbours."""

    def __init__(
        self,
        kept: LastGood,
        socket_of: "Callable[[str], Datagrams]",
        port: int = PORT,
        has_ipv6: "Callable[[str], bool]" = _no_ipv6,
    ) -> None:
        self._kept = kept
        self._socket_of = socket_of
        self._port = port
        self._has_ipv6 = has_ipv6

    async def addresses(self, host: str, interface: str, servers: "tuple[str, ...]") -> "list[str]":
        """Addresses of ``host``, IPv4 before IPv6. NameUnknown; BusError without the
        interface."""
        found = self._kept.fresh(host)
        if found:
            return found
        try:
            found, ttl_s = await self._ask(host, interface, servers)
        except OSError as error:
            raise BusError("name servers: " + str(error)) from None
        except dns.NoSuchName:
            raise NameUnknown("there is no name " + host) from None
        except (ValueError, dns.DnsError) as error:  # it is none, or nobody could answer
            found = self._kept.any(host)
            if not found:
                raise NameUnknown("name " + host + ": " + str(error)) from None
            return found
        if not found:
            raise NameUnknown("name " + host + " has no address")
        self._kept.keep(host, found, ttl_s)
        return found

    def doubt(self, host: str) -> None:
        """Whoever is at the host's addresses is not the host: ask again the next time."""
        self._kept.doubt(host)

    async def _ask(
        self, host: str, interface: str, servers: "tuple[str, ...]"
    ) -> "tuple[list[str], int]":
        """Addresses, and for how many seconds they hold. OSError, ValueError, DnsError."""
        dns.labels(host)
        port = self._socket_of(interface)
        try:
            found = await self._put(port, host, dns.A, servers)
            if not found.addresses and self._has_ipv6(interface):
                found = await self._put(port, host, dns.AAAA, servers)
        finally:
            port.close()
        return found.addresses, found.ttl_s

    async def _put(
        self, port: "Datagrams", host: str, kind: int, servers: "tuple[str, ...]"
    ) -> dns.Found:
        """Put one question to each server in turn. NoSuchName, ServerFailed, BadAnswer."""
        ident = int.from_bytes(os.urandom(2), "big")
        question = dns.query(ident, host, kind)
        able = [(server, self._port) for server in servers[:SERVERS]]
        asked: "set[Server]" = set()
        stray = [0]
        why: dns.DnsError = dns.ServerFailed("no name server answers")

        async def answer() -> "tuple[dns.Found | dns.ServerFailed, Server]":
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
                why = dns.ServerFailed("name server " + server[0] + ": " + str(error))
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
