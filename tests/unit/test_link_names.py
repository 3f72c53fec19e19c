"""Names asked through each link: who is believed, how long it takes, and failover by name."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from firmware import aio
from firmware.buses import link_names, tcp_linux, tcp_mpy
from firmware.buses.link_names import LastGood, LinkNames
from firmware.buses.names_linux import UdpLinux
from firmware.buses.raw_net import NameUnknown, RawConnection, RawNet
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError
from firmware.buses.wire_net import WireNet
from firmware.drivers.cable import Cable
from firmware.drivers.tls_link import TlsLink
from firmware.hal.bearer import DOWN, UP, Bearer
from firmware.hal.network import TlsFailed
from firmware.services import link_supervisor as supervising
from firmware.services.link_probe import TlsProbe
from firmware.services.link_supervisor import LinkSupervisor, Way
from host_tools.emulator.chips.net import NetChip
from tests.conformance.test_network import ChipWire, FarEnd, other, pki
from tests.support.modem_rig import now_us
from tests.support.tls_pki import Engine, LoopbackServer, MemoryNet, tls_handler
from tests.support.virtual_time import run

HOST, IP = "bank.test", "192.0.2.7"
FIRST, SECOND = "198.51.100.1", "198.51.100.2"

#: What a server sends for a question: (bytes, from whom, after ms); "" for itself.
Reply = tuple[bytes, tuple[str, int] | None, int]
Serve = Callable[[bytes], list[Reply]]


def answer(question: bytes, *ips: str, code: int = 0, ttl_s: int = 60) -> bytes:
    """A server's answer, made without the firmware."""
    records = b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl_s, 4) + socket.inet_aton(ip) for ip in ips
    )
    head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(ips), 0, 0)
    return head + question[12:] + records


def good(question: bytes) -> list[Reply]:
    return [(answer(question, IP), None, 20)]


def silent(question: bytes) -> list[Reply]:
    return []


def failing(question: bytes) -> list[Reply]:
    return [(answer(question, code=2), None, 20)]


class Played:
    """Sockets on played interfaces: {interface: {server: what it does}}."""

    def __init__(self, servers: dict[str, dict[str, Serve]]) -> None:
        self.servers = servers
        self.asked: list[tuple[str, str]] = []
        self.open = 0

    def __call__(self, interface: str) -> _Socket:
        if interface not in self.servers:
            raise OSError(19, "No such device")
        self.open += 1
        return _Socket(self, interface)


class _Socket:
    def __init__(self, played: Played, interface: str) -> None:
        self._played = played
        self._interface = interface
        self._queue = aio.Queue()
        self._tasks: list[aio.Task] = []

    def send(self, data: bytes, server: tuple[str, int]) -> None:
        assert server[1] == 53
        self._played.asked.append((self._interface, server[0]))
        for reply, sender, after_ms in self._played.servers[self._interface][server[0]](data):
            self._tasks.append(aio.spawn("reply", self._later(reply, sender or server, after_ms)))

    async def _later(self, data: bytes, sender: tuple[str, int], after_ms: int) -> None:
        await aio.sleep_ms(after_ms)
        self._queue.put((data, sender))

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        data, sender = await self._queue.get()
        return data, sender

    def close(self) -> None:
        self._played.open -= 1
        for task in self._tasks:
            task.cancel()


class Rig:
    """One link's names, with two servers."""

    def __init__(self, first: Serve, second: Serve) -> None:
        self.played = Played({"ppp0": {FIRST: first, SECOND: second}})
        self.kept = LastGood()
        self.names = LinkNames(self.kept, self.played)

    async def ask(self, host: str = HOST) -> tuple[str, int]:
        """What was found, or the error's text, and how long it took in ms."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            said = " ".join(await self.names.addresses(host, "ppp0", (FIRST, SECOND)))
        except NameUnknown as error:
            said = str(error)
        assert self.played.open == 0
        return said, round((loop.time() - began) * 1000)

    def serve(self, first: Serve, second: Serve) -> None:
        self.played.servers["ppp0"] = {FIRST: first, SECOND: second}


def test_the_links_own_servers_are_asked_by_its_own_interface() -> None:
    async def main() -> None:
        rig = Rig(good, good)
        assert await rig.ask() == (IP, 20)
        assert rig.played.asked == [("ppp0", FIRST)]
        assert await rig.ask() == (IP, 0)  # it holds for a minute
        await aio.sleep_ms(61_000)
        assert await rig.ask() == (IP, 20)
        with pytest.raises(BusError, match="No such device"):
            await rig.names.addresses("other.test", "wlan9", (FIRST,))

    run(main())


def test_a_silent_server_costs_its_turn_alone() -> None:
    async def main() -> None:
        assert await Rig(silent, good).ask() == (IP, link_names.TRY_MS + 20)
        assert await Rig(failing, good).ask() == (IP, 40)  # who cannot say is not waited for
        said, took_ms = await Rig(failing, failing).ask()
        assert "code 2" in said and took_ms == 40

        def slow(question: bytes) -> list[Reply]:
            return [(answer(question, IP), None, link_names.TRY_MS + 100)]

        assert await Rig(slow, silent).ask() == (IP, link_names.TRY_MS + 100)

    run(main())


def test_when_nobody_answers_what_was_good_is_taken() -> None:
    async def main() -> None:
        rig = Rig(silent, silent)
        said, took_ms = await rig.ask()
        assert "no name server answers" in said
        assert took_ms == link_names.TRIES * link_names.TRY_MS < supervising.PROBE_MS * 2 // 3
        rig.serve(good, silent)
        await rig.ask()
        await aio.sleep_ms(61_000)
        rig.serve(silent, failing)
        assert (await rig.ask())[0] == IP
        # But a server that says there is no such name is believed.
        rig.serve(lambda q: [(answer(q, code=3), None, 5)], silent)
        assert (await rig.ask())[0] == "there is no name " + HOST
        rig.serve(lambda q: [(answer(q), None, 5)], silent)
        assert (await rig.ask("empty.test"))[0] == "name empty.test has no address"
        assert "no host name" in (await rig.ask("b\u00e4nk.test"))[0]

    run(main())


def test_forged_answers_are_not_taken() -> None:
    evil = "203.0.113.66"

    def forged(question: bytes) -> list[Reply]:
        other_id = bytes((question[0] ^ 1,)) + question[1:]
        other_name = question[:12] + b"\4evil" + question[17:]
        lie = answer(question, evil)
        truncated = lie[:2] + b"\x83" + lie[3:]
        return [
            (answer(other_id, evil), None, 1),
            (answer(other_name, evil), None, 2),
            (lie, (evil, 53), 3),
            (lie, (FIRST, 5353), 4),
            (lie, (SECOND, 53), 5),  # nobody has asked it yet
            (truncated, None, 6),
            (lie[:-3], None, 7),
            (question, None, 8),
            (b"", None, 9),
            (answer(question, IP), None, 30),
        ]

    async def main() -> None:
        assert await Rig(forged, silent).ask() == (IP, 30)

        def flood(question: bytes) -> list[Reply]:
            return [(bytes(12), None, 1)] * 1000

        said, took_ms = await Rig(flood, flood).ask()
        assert "too many answers" in said and took_ms == 1

    run(main())


def test_a_few_hosts_are_kept() -> None:
    async def main() -> None:
        kept = LastGood()
        for number in range(link_names.HOSTS_KEPT + 1):
            kept.keep(f"h{number}.test", [IP], 1 << 31)
        assert kept.any("h0.test") == [] and kept.any("h1.test") == [IP]
        await aio.sleep_ms(link_names.FRESH_MOST_S * 1000 - 1)
        assert kept.fresh("h1.test") == [IP]
        await aio.sleep_ms(1)
        assert kept.fresh("h1.test") == [] and kept.any("h1.test") == [IP]
        kept.keep("h1.test", [IP], 60)
        kept.doubt("h1.test")
        assert kept.fresh("h1.test") == [] and kept.any("h1.test") == [IP]

    run(main())


class _Named(RawNet):
    """A network chip reached by addresses, below a link's own names."""

    def __init__(self, interface: str, played: Played, server: str) -> None:
        self.chip = NetChip(now_us, self._dial)
        self.context = pki().context()
        self.net = WireNet(ChipWire(self.chip))
        self._where = (interface, (server,))
        self._names = LinkNames(LastGood(), played)

    def _dial(self, host: str, port: int) -> FarEnd | None:
        return FarEnd(self.context) if host == IP else None

    async def link(self) -> tuple[bool, int]:
        return await self.net.link()

    async def connect(self, host: str, port: int) -> RawConnection:
        return await self.net.connect((await self._names.addresses(host, *self._where))[0], port)


def test_a_link_that_dies_silently_takes_no_other_links_names_with_it() -> None:
    async def main() -> None:
        played = Played({"eth0": {FIRST: good}, "ppp0": {SECOND: good}})
        nets = {"wire": _Named("eth0", played, FIRST), "mobile": _Named("ppp0", played, SECOND)}
        ways = []
        for rank, (name, net) in enumerate(nets.items()):
            link = TlsLink(net)
            probe = TlsProbe(HOST, 443, pki().config())
            ways.append(Way(name, Cable(net), link, probe.ask, rank))
        links = LinkSupervisor(ways)
        links.start()
        await aio.sleep_ms(5_000)
        assert [way.state for way in ways] == [UP, UP] and links.active is ways[0]
        # Its signal stays; nothing gets through any more, its name server's answers neither.
        nets["wire"].chip.stalled = True
        played.servers["eth0"] = {FIRST: silent}
        began = aio.ticks_ms()
        stream = await links.connect(HOST, 443, pki().config(), 20_000)
        assert aio.elapsed_ms(began) <= 10_000 + 1_000  # half for the better link
        assert links.active is not ways[0] or ways[1].streams == 1
        await stream.write(b"hello")
        assert await stream.read(16) == b"HELLO"
        await stream.close()
        await aio.sleep_ms(supervising.CARRYING_MS + 2 * supervising.LOOK_MS)
        assert ways[0].state == DOWN and ways[1].state == UP and links.active is ways[1]
        assert {server for way, server in played.asked if way == "ppp0"} == {SECOND}
        assert {server for way, server in played.asked if way == "eth0"} == {FIRST}
        await links.stop()

    run(main())


def test_a_name_whose_host_is_a_portal_is_asked_for_anew() -> None:
    class Net(MemoryNet):
        doubted: list[str] = []

        def doubt(self, host: str) -> None:
            self.doubted.append(host)

    async def main() -> None:
        config = pki().config()
        for context, wanted in (
            (pki().context(), []),
            (other().context(), [HOST]),  # not his certificate
            (pki().context(client_ca=other().ca), []),  # himself, who does not want us
        ):
            net = Net(Engine(context, bytes.upper).feed)
            Net.doubted = []
            try:
                await (await TlsLink(net).connect(HOST, 443, config, 5000)).close()
            except TlsFailed as error:
                assert error.cause in ("unknown_ca", "client_refused")
            assert Net.doubted == wanted
        net = Net(lambda data: b"")
        with pytest.raises(TlsFailed, match="took longer"):
            await TlsLink(net).connect(HOST, 443, config, 5000)
        assert Net.doubted == [HOST]

    run(main())


# ---- the kernel's sockets --------------------------------------------------------------


class _Server:
    """A name server on a loopback address, in the test's own loop."""

    def __init__(self, address: str, port: int, serve: Serve) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((address, port))
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        self._serve = serve
        self.asked = 0
        self._task = aio.spawn("name server", self._run())

    async def _run(self) -> None:
        while True:
            await aio.readable(self._sock)
            data, sender = self._sock.recvfrom(512)
            self.asked += 1
            for reply, _, _ in self._serve(data):
                self._sock.sendto(reply, sender)

    async def end(self) -> None:
        self._task.cancel()
        await self._task.done.wait()
        self._sock.close()


class _Bound(Bearer):
    """A bearer on loopback, with a name server."""

    interface = "lo"

    def __init__(self, server: str) -> None:
        self.dns = (server,)


def test_names_go_by_the_links_interface_to_the_links_server() -> None:
    async def main() -> None:
        def here(question: bytes) -> list[Reply]:
            return [(answer(question, "127.0.0.1"), None, 0)]

        live = _Server("127.0.0.1", 0, here)
        dead = _Server("127.0.0.2", live.port, silent)
        with LoopbackServer(tls_handler(pki().context(), bytes.upper)) as server:
            nets = []
            for bearer in (_Bound("127.0.0.2"), _Bound("127.0.0.1")):
                nets.append(
                    TcpLinux(
                        lambda bearer=bearer: bearer.interface,  # type: ignore[misc]
                        lambda bearer=bearer: bearer.dns,  # type: ignore[misc]
                        lambda kept: LinkNames(kept, UdpLinux, live.port),
                    )
                )
            with pytest.raises(NameUnknown, match="no name server answers"):
                await nets[0].connect(HOST, server.port)
            ways = [Way(str(at), Cable(net), TlsLink(net), None, at) for at, net in enumerate(nets)]
            for way in ways:
                way.state = UP
            links = LinkSupervisor(ways)
            stream = await links.connect(HOST, server.port, pki().config(), 20_000)
            await stream.write(b"hello")
            assert await stream.read(16) == b"HELLO"
            await stream.close()
            assert live.asked == 1 and dead.asked >= 2 * link_names.TRIES
            # The system's own table comes first, as everywhere; nobody is asked for it.
            (await nets[0].connect("localhost", server.port)).close()
            assert live.asked == 1
        await live.end()
        await dead.end()

    aio.run(main())


def test_a_microcontroller_asks_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        def here(question: bytes) -> list[Reply]:
            return [(answer(question, "127.0.0.1"), None, 0)]

        live = _Server("127.0.0.1", 0, here)
        monkeypatch.setattr(tcp_mpy, "_DNS_PORT", live.port)
        told = ["127.0.0.1"]
        network = ModuleType("network")
        network.ipconfig = lambda what: told[0] if what == "dns" else None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "network", network)
        assert tcp_mpy.name_servers() == ("127.0.0.1",)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            net = tcp_mpy.TcpMpy()
            for _ in range(2):
                connection = await net.connect(HOST, port)
                assert connection.name_ms >= 0
                connection.close()
            assert live.asked == 1  # it holds for a minute
            net.doubt(HOST)
            (await net.connect(HOST, port)).close()
            assert live.asked == 2
            (await net.connect("127.0.0.1", port)).close()
            assert live.asked == 2
        with pytest.raises(BusError, match="no connection"):
            await net.connect(HOST, port)
        await live.end()
        with pytest.raises(NameUnknown, match="no name server answers"):
            await net.connect("other.test", port)
        for nobody in ("0.0.0.0", "::", ""):
            told[0] = nobody
            assert tcp_mpy.name_servers() == ()
        del network.ipconfig
        assert tcp_mpy.name_servers() == ()

    aio.run(main())


def test_without_servers_of_its_own_a_link_keeps_what_the_system_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        monkeypatch.setattr(tcp_linux, "_SYSTEM_MS", 50)
        says: list[BaseException | None] = [None]
        lookup = TcpLinux._lookup

        def played(host: str, port: int, flags: int) -> list[tuple[int, tuple[str, int]]]:
            if flags:
                return lookup(host, port, flags)
            if says[0] is not None:
                raise says[0]
            return lookup("127.0.0.1", port, socket.AI_NUMERICHOST)

        monkeypatch.setattr(TcpLinux, "_lookup", staticmethod(played))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            net = TcpLinux("lo")
            says[0] = socket.gaierror(socket.EAI_AGAIN, "try again")
            with pytest.raises(NameUnknown):
                await net.connect(HOST, port)
            says[0] = None
            (await net.connect(HOST, port)).close()
            says[0] = socket.gaierror(socket.EAI_AGAIN, "try again")
            (await net.connect(HOST, port)).close()
            says[0] = socket.gaierror(socket.EAI_NONAME, "unknown")
            with pytest.raises(NameUnknown):
                await net.connect(HOST, port)

    aio.run(main())
