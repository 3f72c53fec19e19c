"""Links in board files: what is checked, what is made, and by which way connections leave."""

from __future__ import annotations

import re
import socket
import tomllib
from typing import Any

import pytest

from firmware import aio, board_loader
from firmware.board_links import Links
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError
from firmware.drivers.at_modem import AtModem
from firmware.drivers.cable import Cable
from firmware.drivers.mm_linux import MmModem
from firmware.drivers.nm_linux import NmCable
from firmware.drivers.tls_link import TlsLink
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal.bearer import UP, Bearer
from firmware.hal.network import (
    HostUnreachable,
    LinkStatus,
    NetworkLink,
    Stream,
    TlsConfig,
    TlsFailed,
)
from firmware.services.link_probe import CAPTIVE, REACHED, UNASKED, UNREACHED
from firmware.services.link_supervisor import Way
from host_tools import board_file, board_rules, board_wiring
from tests.support import rig, virtual_time
from tests.support.memory_files import MemoryFiles
from tests.support.tls_pki import Engine, MemoryNet, Pki

LINKS = """
[network]
driver = "links"

[link.cable]
driver = "nm_cable"
interface = "eth0"

[link.wifi]
driver = "nm_wifi"
interface = "wlan0"
rank = 1

[link.mobile]
driver = "mm_modem"
apn = "cmnet"
rank = 2
metered = true
warm = false

[link.spare]
driver = "at_modem"
bus = "at"
data_bus = "call"
apn = "cmnet"
roaming = false
usb = "1-1.2"
rank = 3
metered = true

[link.plain]
driver = "cable"
interface = "eth1"
rank = 4

[bus.at]
driver = "linux_serial"
path = "/dev/no-such-modem-at"
baud = 115200

[bus.call]
driver = "linux_serial"
path = "/dev/no-such-modem-call"
baud = 115200
"""


def board(text: str = LINKS) -> dict[str, Any]:
    """The virtual board with these links in its network's place."""
    found = tomllib.loads((board_rules.BOARDS / "virtual/board.toml").read_text())
    bus = found["network"]["bus"]
    del found["network"], found["bus"][bus]
    more = tomllib.loads(text)
    found["bus"].update(more.pop("bus", {}))
    return {**found, **more}


def test_links_are_checked_and_compiled() -> None:
    assert board_file.check(board()) == []
    assert board_file.compiled(board(), "1", 0)["link"]["wifi"]["rank"] == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('driver = "nm_wifi"', 'driver = "wifi"', "link.wifi.driver: is 'wifi'; allowed: at_modem"),
        ('interface = "wlan0"', "", "link.wifi.interface: is missing"),
        ("rank = 1", "rank = 10", "link.wifi.rank: is 10, must be a whole number from 0 to 9"),
        ("metered = true\nwarm", 'metered = "yes"\nwarm', "link.mobile.metered: is 'yes'"),
        ('apn = "cmnet"', 'apn = "my net"', ".apn: is 'my net', must be an APN of letters"),
        ('data_bus = "call"', 'data_bus = "cell"', "link.spare.data_bus: 'cell': there is no such"),
        ('data_bus = "call"\n', "", "bus.call: no device uses this bus"),
        ('driver = "links"', 'driver = "tls_link"\nbus = "at"', "link: tables of links and"),
        ("rank = 4", "rank = 4\npassword = 'x'", "link.plain.password: no such setting"),
    ],
)
def test_what_is_wrong_with_a_link_is_named(old: str, new: str, says: str) -> None:
    problems = board_file.check(board(LINKS.replace(old, new, 1)))
    assert any(says in problem for problem in problems), problems


#: A power key, as a board file has it.
KEYED = LINKS.replace(
    'usb = "1-1.2"',
    'power_bus = "gpio"\npower_pin = 31\npower_steps = [[1, 800], [0, 6000], [1, 600], [0, 0]]',
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('power_bus = "gpio"\n', "", "link.spare: power_bus, power_pin, power_steps go together"),
        ('power_bus = "gpio"', 'power_bus = "at"', "link.spare.power_bus: 'at': is another kind"),
        ("power_pin = 31", "power_pin = 32", "link.spare.power_pin: pin 32 is not on bus 'gpio'"),
        ("power_pin = 31", "power_pin = 1", "already belongs to"),
        ("[1, 600], [0, 0]", "[2, 600]", "link.spare.power_steps: is"),
        ("[0, 6000]", "[0, 19000]", "of 20000 ms in all"),
        ("[0, 6000]", "[0]", "a list of 1 to 8 pairs"),
    ],
)
def test_what_is_wrong_with_a_power_key_is_named(old: str, new: str, says: str) -> None:
    assert board_file.check(board(KEYED)) == []
    problems = board_file.check(board(KEYED.replace(old, new, 1)))
    assert any(says in problem for problem in problems), problems


def test_a_power_key_is_among_the_board_s_wires() -> None:
    assert board_wiring.Wire("link spare", "power key", "GPIO31") in board_wiring.wires(
        board(KEYED)
    )


def test_a_modem_is_restarted_by_its_power_key() -> None:
    async def main() -> None:
        data = board_file.compiled(board(KEYED), "1", 0)
        only = {name: data[name] for name in ("network", "bus")}
        only["link"] = {"spare": data["link"]["spare"]}
        rack = rig.rack()
        devices = await board_loader.build(only, rack, "")
        assert devices.failures == []
        bearer = devices.network.ways[0].bearer
        try:
            assert bearer.levels == ("bearer", "radio", "modem", "power")
            resetting = aio.spawn("reset", bearer.reset("power", 40_000))
            levels = []
            while not resetting.done.is_set() and len(levels) < 100:
                levels.append(rack.pins.output(31))
                await aio.sleep_ms(100)
            said = "".join(str(level) for level in levels).strip("0")
            assert re.fullmatch("1{7,9}0{59,61}1{5,7}", said), said  # tenths of a second
            resetting.cancel()
            await resetting.done.wait()
        finally:
            await devices.network.stop()

    virtual_time.run(main())


def test_a_network_of_links_without_links_is_named() -> None:
    problems = board_file.check(board('[network]\ndriver = "links"\n'))
    assert [one for one in problems if "go together" in one]


def test_a_board_has_its_links_in_their_order() -> None:
    async def main() -> None:
        data = board_file.compiled(board(), "1", 0)
        only = {name: data[name] for name in ("network", "link", "bus")}
        devices = await board_loader.build(only, None, "")
        assert devices.failures == []
        links = devices.network
        assert isinstance(links, Links)
        try:
            told = [(way.name, type(way.bearer), way.rank, way.metered, way.warm)
                    for way in links.ways]  # fmt: skip
            assert told == [
                ("cable", NmCable, 0, False, True),
                ("wifi", NmWifi, 1, False, True),
                ("mobile", MmModem, 2, True, False),
                ("spare", AtModem, 3, True, True),
                ("plain", Cable, 4, False, True),
            ]
            assert links.ways[3].bearer.levels == ("bearer", "radio", "modem", "usb")
            assert links.ways[4].bearer.interface == "eth1"
            for way in links.ways:  # each asks its own name servers
                way.bearer.dns = ("10.0.0.53", way.name)
                assert way.link._net._servers() == ("10.0.0.53", way.name)
            status = await links.ways[3].bearer.status()
            assert status.cause == "mute"  # a modem that is not plugged in is no failed driver
        finally:
            await links.stop()

    aio.run(main())


def test_a_link_that_cannot_be_made_fails_alone() -> None:
    async def main() -> None:
        data = board_file.compiled(board(), "1", 0)
        only = {name: data[name] for name in ("network", "link", "bus")}
        del only["link"]["mobile"]["apn"]
        devices = await board_loader.build(only, None, "")
        ((kind, driver, error),) = devices.failures
        assert (kind, driver) == ("network", "mm_modem") and "'apn' is missing" in str(error)
        assert len(devices.network.ways) == 4
        await devices.network.stop()
        only["link"] = {"mobile": {"driver": "mm_modem"}}
        devices = await board_loader.build(only, None, "")
        assert devices.network is None
        assert all("'apn' is missing" in str(error) for _, _, error in devices.failures)

    aio.run(main())


class _Asked(NetworkLink):
    """Keeps what it was asked to connect with."""

    def __init__(self) -> None:
        self.configs: list[TlsConfig] = []

    async def status(self) -> LinkStatus:
        return LinkStatus(True, "ethernet", 4)

    async def connect(self, host: str, port: int, tls: TlsConfig, timeout_ms: int) -> Stream:
        self.configs.append(tls)
        return Stream()


def test_a_probe_asks_for_the_host_and_holds_no_secret() -> None:
    async def main() -> None:
        data = board_file.compiled(board(), "1", 0)
        only = {"network": data["network"], "link": {"plain": data["link"]["plain"]}}
        links = (await board_loader.build(only, None, "")).network
        asked = _Asked()
        (way,) = links.ways
        way.link = asked
        way.state = "up"
        tls = TlsConfig([b"ca"], "bank.test", [b"ours"], b"key", "passphrase")
        await links.connect("bank.test", 443, tls, 1000)

        async def close() -> None:
            pass

        Stream.close = lambda self: close()  # type: ignore[method-assign]
        assert await way.probe(asked, 1000) == REACHED
        payment, probe = asked.configs
        assert payment is tls
        assert (probe.trust, probe.server_name) == ([b"ca"], "bank.test")
        assert (probe.client_chain, probe.client_key, probe.passphrase) == ([], b"", "")
        await links.stop()

    before = Stream.close
    try:
        aio.run(main())
    finally:
        Stream.close = before  # type: ignore[method-assign]


@pytest.mark.parametrize(("profile", "version"), [("ecdsa", "1.2"), ("ecdsa", "1.3")])
def test_a_host_that_wants_our_certificate_is_reached_without_it(
    profile: str, version: str
) -> None:
    async def main() -> None:
        pki = Pki(profile)
        net = MemoryNet(Engine(pki.context(version=version), bytes.upper).feed)
        way = Way("cable", Bearer(), TlsLink(net), None)
        links = Links([way])
        way.state = UP
        stream = await links.connect("bank.test", 443, pki.config(), 5000)
        await stream.close()
        assert way.probe is not None
        net.peer = Engine(pki.context(version=version), bytes.upper).feed
        assert await way.probe(way.link, 4000) == REACHED
        net.hang = True
        assert await way.probe(way.link, 4000) == UNREACHED
        portal = MemoryNet(Engine(Pki(profile).context(version=version), bytes.upper).feed)
        assert await way.probe(TlsLink(portal), 4000) == CAPTIVE

    virtual_time.run(main())


def test_connections_leave_by_their_interface_alone() -> None:
    async def main() -> None:
        names = ["lo"]
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            net = TcpLinux(lambda: names[-1])
            stream = await net.connect("127.0.0.1", port)
            bound = stream._sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            assert bound.rstrip(b"\0") == b"lo"
            stream.close()
            assert net.address() == "127.0.0.1"
            for name in ("no-such-if0", "much-too-long-for-a-name", ""):
                names.append(name)
                with pytest.raises(BusError):
                    await net.connect("127.0.0.1", port)
                assert await net.link() == (False, 0)
                assert net.address() == ""

    aio.run(main())


class _Stranger(NetworkLink):
    """Answers with a certificate of somebody else's, or not at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, TlsConfig]] = []
        self.there = True

    async def connect(self, host: str, port: int, tls: TlsConfig, timeout_ms: int) -> Stream:
        self.asked.append((host, port, tls))
        if self.there:
            raise TlsFailed("self-signed", "unknown_ca")
        raise HostUnreachable("no route")


def test_a_beacon_is_anybody_who_answers_and_is_told_nothing() -> None:
    async def main() -> None:
        network = {"driver": "links", "beacon": "beacon.test", "beacon_port": 8443}
        only = {"network": network, "link": {"plain": {"driver": "cable", "interface": "eth1"}}}
        links = (await board_loader.build(only, None, "")).network
        (way,) = links.ways
        stranger = way.link = _Stranger()
        assert await way.beacon(stranger, 1000) == UNASKED  # nobody has paid yet
        tls = TlsConfig([b"ca"], "bank.test", [b"ours"], b"key", "passphrase")
        way.state = UP
        with pytest.raises(TlsFailed):
            await links.connect("bank.test", 443, tls, 1000)
        assert await way.beacon(stranger, 1000) == REACHED
        host, port, asked = stranger.asked[-1]
        assert (host, port, asked.server_name) == ("beacon.test", 8443, "beacon.test")
        assert (asked.client_chain, asked.client_key, asked.passphrase) == ([], b"", "")
        stranger.there = False
        assert await way.beacon(stranger, 1000) == UNREACHED
        await links.stop()

    aio.run(main())


def test_a_board_that_can_restart_gives_its_links_their_last_rung() -> None:
    async def main() -> None:
        link = {"plain": {"driver": "cable", "interface": "eth1"}}
        only: dict[str, Any] = {
            "network": {"driver": "links"}, "link": link, "clock": {"driver": "system"},
            "restart": {"driver": "system", "command": ["true"]},
        }  # fmt: skip
        given = {"files": MemoryFiles()}
        devices = await board_loader.build(only, None, "", given)
        asking = aio.spawn("ladder", devices.network._reboot("mute"))
        await aio.sleep_ms(10)
        assert devices.failures == [] and devices.last_rung.wanted == "mute"
        asking.cancel()
        await devices.network.stop()
        only["restart"]["command"] = ["/nonexistent/reboot"]
        devices = await board_loader.build(only, None, "", given)
        assert [kind for kind, _, _ in devices.failures] == ["restart"]
        assert devices.last_rung is None
        await devices.network.stop()

    aio.run(main())
