"""Tells the network that this terminal is there (multicast DNS, RFC 6762 and 6763)."""

import socket

import ifaddr
from zeroconf import Error, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from firmware import aio

SERVICE = "_opentill._tcp.local."
#: Addresses come and go; a network that was not there is tried again.
AGAIN_MS = 30_000


def addresses() -> "list[str]":
    """The terminal's own, of IPv4, but for loopback."""
    found = {str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4}
    return sorted(one for one in found if not one.startswith("127."))


async def announce(serial: str, board: str, port: int) -> None:
    """Announce until cancelled, then say goodbye. What fails is tried again: the link can do
    without."""
    while True:
        there = addresses()
        try:
            if there:
                await _while_there(serial, board, port, there)
        except (OSError, Error):
            pass  # no network that takes it now
        await aio.sleep_ms(AGAIN_MS)


async def _while_there(serial: str, board: str, port: int, there: "list[str]") -> None:
    """Announce these addresses as long as they are the terminal's."""
    info = ServiceInfo(
        SERVICE,
        "OpenTill " + serial + "." + SERVICE,
        port=port,
        addresses=[socket.inet_aton(one) for one in there],
        properties={"serial": serial, "board": board},
        server="opentill-" + serial.lower() + ".local.",
    )
    mdns = AsyncZeroconf()
    try:
        await mdns.async_register_service(info)
        while addresses() == there:
            await aio.sleep_ms(AGAIN_MS)
    finally:
        await mdns.async_close()
