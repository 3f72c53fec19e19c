"""firmware.drivers.mdns_linux: what the network is told, on virtual time."""

from typing import Any

import pytest
from zeroconf import Error

from firmware import aio
from firmware.drivers import mdns_linux
from tests.support.virtual_time import run


def test_the_terminal_is_announced_while_it_has_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    there = ["192.0.2.7"]
    refuse = True

    class Network:
        async def async_register_service(self, info: Any) -> None:
            if refuse:
                raise Error("no network takes it now")
            told.append(("here", (info.name, info.port, info.parsed_addresses(), info.properties)))

        async def async_close(self) -> None:
            told.append(("goodbye", None))

    async def main() -> None:
        nonlocal refuse
        announcing = aio.spawn("mDNS", mdns_linux.announce("VT1", "virtual", 8371))
        await aio.sleep_ms(mdns_linux.AGAIN_MS // 2)
        assert told == [("goodbye", None)]
        refuse = False
        await aio.sleep_ms(mdns_linux.AGAIN_MS)
        name = "OpenTill VT1._opentill._tcp.local."
        said = {b"serial": b"VT1", b"board": b"virtual"}
        assert told[1:] == [("here", (name, 8371, ["192.0.2.7"], said))]
        there[:] = ["192.0.2.8", "198.51.100.1"]
        await aio.sleep_ms(3 * mdns_linux.AGAIN_MS)
        assert told[2][0] == "goodbye" and told[3][1][2] == there
        there.clear()
        await aio.sleep_ms(3 * mdns_linux.AGAIN_MS)
        assert [what for what, _ in told[4:]] == ["goodbye"]
        there.append("192.0.2.9")
        await aio.sleep_ms(3 * mdns_linux.AGAIN_MS)
        announcing.cancel()
        await announcing.done.wait()
        assert [what for what, _ in told[5:]] == ["here", "goodbye"]

    monkeypatch.setattr(mdns_linux, "AsyncZeroconf", Network)
    monkeypatch.setattr(mdns_linux, "addresses", lambda: list(there))
    run(main())


def test_loopback_is_no_address_to_tell() -> None:
    assert not [one for one in mdns_linux.addresses() if one.startswith("127.")]
