"""Terminals on the network are found by mDNS, through the zeroconf of the real sockets."""

import asyncio
import socket

from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from host_tools.pc_link import discovery

NAME = "TEST-7." + discovery.SERVICE


def test_an_announced_terminal_is_found_and_a_gone_one_is_not() -> None:
    async def story() -> None:
        mdns = AsyncZeroconf()
        try:
            info = AsyncServiceInfo(
                discovery.SERVICE, NAME, addresses=[socket.inet_aton("127.0.0.1")], port=4455,
                properties={"serial": "TEST-7", "board": "virtual"},
            )  # fmt: skip
            await (await mdns.async_register_service(info))
            found = discovery.Service("127.0.0.1", 4455, "TEST-7", "virtual")
            assert found in await discovery.on_network()
            await (await mdns.async_unregister_service(info))
            assert found not in await discovery.on_network(0.5)
        finally:
            await mdns.async_close()

    asyncio.run(asyncio.wait_for(story(), 60))
