"""Every network link must do this: TLS both ways, faults with their cause named."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

import pytest

from firmware import aio
from firmware.buses.tcp_linux import TcpLinux
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_net import WireNet
from firmware.drivers.tls_link import TlsLink
from firmware.hal.network import (
    ConnectionLost,
    HostUnreachable,
    LinkDown,
    NameUnknown,
    TlsConfig,
    TlsFailed,
)
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.net import NetChip
from tests.support import virtual_time
from tests.support.descriptors import open_descriptors
from tests.support.tls_pki import (
    Engine,
    LoopbackServer,
    MemoryNet,
    Pki,
    tls_handler,
)

T = TypeVar("T")
PROFILES = [("ecdsa", "1.2"), ("ecdsa", "1.3"), ("rsa", "1.2"), ("rsa", "1.3")]


@cache
def pki(profile: str = "ecdsa") -> Pki:
    return Pki(profile)


@cache
def other() -> Pki:
    return Pki("ecdsa")


def echo(data: bytes) -> bytes:
    return data.upper()


Talk = Callable[[TlsLink, int], Coroutine[Any, Any, T]]


def over_memory(context: ssl.SSLContext, talk: "Talk[T]", **faults: Any) -> T:
    net = MemoryNet(Engine(context, echo).feed)
    for name, value in faults.items():
        setattr(net, name, value)
    return virtual_time.run(talk(TlsLink(net), 443))


def over_tcp(context: ssl.SSLContext, talk: "Talk[T]") -> T:
    with LoopbackServer(tls_handler(context, echo)) as server:
        return asyncio.run(talk(TlsLink(TcpLinux()), server.port))


class ChipWire(Wire):
    """The software network chip on a wire of its own."""

    def __init__(self, chip: NetChip) -> None:
        self.chip = chip

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        assert bus == "net"
        try:
            return self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from None


class FarEnd:
    """A TLS server at the far end of the chip."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._engine = Engine(context, echo)
        self._out = b""
        self.closed = False

    def feed(self, data: bytes) -> None:
        self._out += self._engine.feed(data)

    def take(self) -> bytes:
        data, self._out = self._out, b""
        return data

    def close(self) -> None:
        self.closed = True


def chip_for(context: ssl.SSLContext) -> NetChip:
    chip = NetChip(
        lambda: int(asyncio.get_running_loop().time() * 1e6), lambda host, port: FarEnd(context)
    )
    chip.latency_us = 20000
    chip.bandwidth = 1_000_000
    return chip


def over_wire(context: ssl.SSLContext, talk: "Talk[T]", **faults: Any) -> T:
    chip = chip_for(context)
    for name, value in faults.items():
        setattr(chip, name, value)
    return virtual_time.run(talk(TlsLink(WireNet(ChipWire(chip))), 443))


PATHS = pytest.mark.parametrize("over", [over_memory, over_tcp, over_wire])


def talker(config: TlsConfig, text: bytes = b"hello") -> "Talk[bytes]":
    async def talk(link: TlsLink, port: int) -> bytes:
        stream = await link.connect("127.0.0.1", port, config, 10000)
        try:
            await stream.write(text)
            answer = b""
            while len(answer) < len(text):
                answer += await stream.read(1000)
            return answer
        finally:
            await stream.close()
            await stream.close()

    return talk


def failing(config: TlsConfig) -> "Talk[TlsFailed]":
    async def talk(link: TlsLink, port: int) -> TlsFailed:
        with pytest.raises(TlsFailed) as caught:
            await link.connect("127.0.0.1", port, config, 10000)
        return caught.value

    return talk


@PATHS
@pytest.mark.parametrize(("profile", "version"), PROFILES)
def test_talks_both_ways(over: Any, profile: str, version: str) -> None:
    keys = pki(profile)
    text = b"a message of several records " * 1500
    assert over(keys.context(version), talker(keys.config(), text)) == text.upper()


@PATHS
def test_a_server_without_tickets_is_no_obstacle(over: Any) -> None:
    assert over(pki().context(tickets=0), talker(pki().config())) == b"HELLO"


@PATHS
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("ca", "unknown_ca"),
        ("name", "wrong_host"),
        ("ip", "wrong_host"),
        ("expired", "expired"),
        ("early", "not_yet_valid"),
        ("no client", "client_refused"),
        ("foreign client", "client_refused"),
    ],
)
def test_who_is_not_verified_is_refused_by_name(
    over: Any, version: str, fault: str, cause: str
) -> None:
    keys = pki()
    certificate, client_ca, config = None, None, keys.config()
    if fault == "ca":
        config.trust = other().config().trust
    elif fault == "name":
        config.server_name = "other.test"
    elif fault == "ip":
        config.server_name = "127.0.0.2"
    elif fault == "expired":
        certificate = keys.certificate(
            "server", keys.server_key, names=("acquirer.test",), days=(-9, -1)
        )
    elif fault == "early":
        certificate = keys.certificate(
            "server", keys.server_key, names=("acquirer.test",), days=(2, 9)
        )
    elif fault == "no client":
        config.client_chain = []
    else:
        client_ca = other().ca
    error = over(keys.context(version, certificate, client_ca), failing(config))
    assert error.cause == cause
    assert error.sent is False
    assert str(error)


def test_an_address_may_be_the_name() -> None:
    config = pki().config(server_name="127.0.0.1")
    assert over_tcp(pki().context(), talker(config)) == b"HELLO"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"passphrase": "wrong"}, "client_key"),
        ({"passphrase": ""}, "client_key"),
        ({"client_key": b"garbage"}, "client_key"),
        ({"client_chain": [b"garbage"]}, "client_key"),
        ({"trust": []}, "unknown_ca"),
        ({"trust": [b"garbage"]}, "unknown_ca"),
        ({"server_name": ""}, "wrong_host"),
        ({"server_name": "a" * 300}, "wrong_host"),
        ({"server_name": "a\0b"}, "wrong_host"),
    ],
)
def test_our_own_configuration_is_refused_by_name(changes: dict[str, Any], cause: str) -> None:
    error = over_memory(pki().context(), failing(pki().config(**changes)))
    assert error.cause == cause


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_versions_are_refused(version: str) -> None:
    # A bare alert of an old server: no shared version (70, protocol_version).
    record = bytes.fromhex("15") + {"1.0": b"\x03\x01", "1.1": b"\x03\x02"}[version]
    net = MemoryNet(lambda data: record + bytes.fromhex("0002") + bytes((2, 70)))
    error = virtual_time.run(failing(pki().config())(TlsLink(net), 1))
    assert error.cause == "protocol"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 40, b"\xff" * 40])
def test_garbage_instead_of_tls(answer: bytes) -> None:
    net = MemoryNet(lambda data: answer)
    assert virtual_time.run(failing(pki().config())(TlsLink(net), 1)).cause == "protocol"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_cut_after_any_number_of_bytes_of_the_handshake(version: str) -> None:
    context = pki().context(version, tickets=0)
    whole = MemoryNet(Engine(context, lambda data: b"").feed)

    async def handshake(link: TlsLink, port: int) -> None:
        await (await link.connect("h", port, pki().config(), 5000)).close()

    virtual_time.run(handshake(TlsLink(whole), 1))
    # Handshakes differ by a few bytes: an ECDSA signature has no fixed length.
    last = whole.given - 16
    assert last > 500
    for cut in [*range(30), *range(30, last, 97), last]:
        error = over_memory(context, failing(pki().config()), cut_in=cut)
        assert error.cause in ("cut", "timeout"), cut
        assert not error.sent


def test_one_byte_at_a_time() -> None:
    assert over_memory(pki().context(), talker(pki().config()), piece=1, delay_ms=1) == b"HELLO"


def test_a_slow_server_meets_the_deadline() -> None:
    async def talk(link: TlsLink, port: int) -> int:
        started = aio.ticks_ms()
        with pytest.raises(TlsFailed) as caught:
            await link.connect("h", port, pki().config(), 3000)
        assert caught.value.cause == "timeout"
        return aio.elapsed_ms(started)

    took = over_memory(pki().context(), talk, piece=1, delay_ms=100)
    assert 2900 <= took <= 3100


def test_a_half_open_server_meets_the_deadline() -> None:
    error = over_memory(pki().context(), failing(pki().config()), silent_after=0)
    assert error.cause == "timeout"


def test_no_bearer_and_no_host_are_told_apart() -> None:
    async def talk(link: TlsLink, port: int) -> None:
        await link.connect("h", port, pki().config(), 3000)

    with pytest.raises(HostUnreachable) as refused:
        over_memory(pki().context(), talk, refuse=1)
    assert refused.value.sent is False
    with pytest.raises(LinkDown):
        over_memory(pki().context(), talk, up=False)
    with pytest.raises(HostUnreachable):
        over_memory(pki().context(), talk, hang=True)


def test_tcp_names_what_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]

    async def main() -> None:
        link = TlsLink(TcpLinux("lo"))
        for host in ("127.0.0.1", "name.invalid", "", "a" * 300, "x..y"):
            with pytest.raises(HostUnreachable) as caught:
                await link.connect(host, free, pki().config(), 5000)
            assert str(caught.value)
            assert isinstance(caught.value, NameUnknown) == (host != "127.0.0.1"), host
        assert (await link.status()).kind == "ethernet"

    asyncio.run(main())


def test_link_state_of_interfaces() -> None:
    async def main() -> None:
        assert await TcpLinux("no-such-interface").link() == (False, 0)
        up, bars = await TcpLinux().link()
        assert bars == (4 if up else 0)

    asyncio.run(main())


def test_lost_before_and_after_the_first_byte() -> None:
    context = pki().context("1.2")

    async def lost(link: TlsLink, port: int) -> bool:
        stream = await link.connect("h", port, pki().config(), 3000)
        net = link._net
        assert isinstance(net, MemoryNet)
        net.cut_out = net.connections[0].taken + extra
        with pytest.raises(ConnectionLost) as caught:
            await stream.write(b"money")
        with pytest.raises(ConnectionLost):
            await stream.write(b"again")
        with pytest.raises(ConnectionLost):
            await stream.read(1)
        return caught.value.sent

    for extra in (0, 1, 20):
        assert over_memory(context, lost) is (extra > 0)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_closed_by_the_host_while_we_wait(version: str) -> None:
    def handle(peer: socket.socket) -> None:
        with pki().context(version).wrap_socket(peer, server_side=True) as tls:
            tls.recv(100)

    async def main(port: int) -> None:
        stream = await TlsLink(TcpLinux()).connect("127.0.0.1", port, pki().config(), 5000)
        await stream.write(b"hello")
        with pytest.raises(ConnectionLost) as caught:
            while True:
                await stream.read(100)
        assert caught.value.sent
        await stream.close()

    with LoopbackServer(handle) as server:
        asyncio.run(main(server.port))


def test_a_cancelled_read_loses_nothing() -> None:
    async def talk(link: TlsLink, port: int) -> bytes:
        stream = await link.connect("127.0.0.1", port, pki().config(), 5000)
        for wait in (1, 3, 5):
            name, _ = await aio.first(("read", stream.read(10)), timeout_ms=wait)
            assert name == "timeout"
        await stream.write(b"abc")
        name, _ = await aio.first(("read", stream.read(10)), timeout_ms=0)
        got = b""
        while len(got) < 3:
            got += await stream.read(10)
        await stream.close()
        return got

    assert over_memory(pki().context(), talk) == b"ABC"


def test_nothing_is_left_open_or_on_disk(tmp_path: Any) -> None:
    def once() -> None:
        over_tcp(pki().context(), failing(pki().config(server_name="other.test")))
        over_tcp(pki().context(), talker(pki().config()))

    once()
    before = open_descriptors()
    for _ in range(3):
        once()
    assert open_descriptors() <= before


@pytest.mark.parametrize("silently", [False, True])
def test_the_chip_cut_at_any_byte_of_a_request(silently: bool) -> None:
    context = pki().context("1.2")

    async def talk(link: TlsLink, port: int) -> str:
        stream = await link.connect("h", port, pki().config(), 5000)
        net = link._net
        assert isinstance(net, WireNet)
        wire = net._wire
        assert isinstance(wire, ChipWire)
        wire.chip.cut_after_sent = cut
        wire.chip.cut_silently = silently
        try:
            await stream.write(b"money" * 20)
            name, _ = await aio.first(("read", stream.read(10)), timeout_ms=1000)
            return name
        except ConnectionLost as error:
            return f"lost {error.sent}"
        finally:
            await stream.close()

    for cut in (0, 1, 5, 60, 128):
        outcome = over_wire(context, talk)
        if silently:
            assert outcome == "timeout"
        else:
            assert outcome == f"lost {cut > 0}"


def test_the_chip_without_bearer_or_host() -> None:
    async def talk(link: TlsLink, port: int) -> None:
        await link.connect("h", port, pki().config(), 3000)

    with pytest.raises(LinkDown):
        over_wire(pki().context(), talk, up=False)
    with pytest.raises(HostUnreachable):
        over_wire(pki().context(), talk, dial=lambda host, port: None)


@pytest.mark.parametrize("answer", [b"", b"\xff", b"\x07", b"\x00" * 9])
def test_a_broken_chip_is_a_named_error(answer: bytes) -> None:
    class Broken(Wire):
        def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
            return (answer, 0) if op != 1 else (b"\x01\x04", 0)

    async def talk() -> None:
        with pytest.raises((HostUnreachable, TlsFailed)):
            await TlsLink(WireNet(Broken())).connect("h", 1, pki().config(), 1000)

    virtual_time.run(talk())
