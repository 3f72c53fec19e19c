"""What Linux gives to ``link_names``: sockets that are bound to an interface (CPython).

The system's resolver asks whichever server comes first in its list, by whichever link
has the way there, five seconds each (resolv.conf(5)): one dead link would keep the
names of all the others.
"""

import socket

from firmware import aio
from firmware.buses.dns_message import ANSWER_MOST
from firmware.buses.link_names import LastGood, LinkNames

#: The system's table of names, which comes before any server, and what is read of it.
TABLE, TABLE_MOST = "/etc/hosts", 65536
_IF_INET6 = "/proc/net/if_inet6"


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

    def send(self, data: bytes, server: tuple[str, int]) -> None:
        """Send one datagram."""
        self._sock.sendto(data, server)

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        """Wait for one."""
        while True:
            try:
                data, (host, port) = self._sock.recvfrom(ANSWER_MOST + 1)
            except (BlockingIOError, InterruptedError):
                await aio.readable(self._sock)
            else:
                return data, (host, port)

    def close(self) -> None:
        """Close at once."""
        self._sock.close()


def names_of(kept: LastGood) -> LinkNames:
    """The names of a link of this system."""
    return LinkNames(kept, UdpLinux, has_ipv6=has_ipv6)


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
