"""The bank behind TLS: in memory on a virtual clock, and on a real loopback socket."""

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.acquirer.bank import PeerInfo
from host_tools.acquirer.inprocess import InProcessAcquirer, loop_call_later
from host_tools.acquirer.pki import SERVER_NAME, Authority, Identity, der, key_pem
from host_tools.acquirer.server import AcquirerServer
from host_tools.acquirer.session import HANDSHAKE_MS, IDLE_MS, TlsServerSession
from host_tools.acquirer.wire import Message, build, parse, with_length
from host_tools.emulator.deck import load
from host_tools.errors import UserError
from tests.support import virtual_time
from tests.support.acquirer_client import NOW, Client


@pytest.fixture(scope="module")
def shared() -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(load(), now=lambda: NOW)
    yield made
    made.close()


def client_context(root: Authority, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=der(root.certificate))
    if identity is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            pem = identity.certificate.public_bytes(serialization.Encoding.PEM)
            path.write_bytes(key_pem(identity.key) + pem)
            context.load_cert_chain(path)
    return context


class Line:
    """A client's TLS and the bank's session, wired together in memory."""

    def __init__(self, session: TlsServerSession, context: ssl.SSLContext) -> None:
        self.session = session
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=SERVER_NAME)
        self.got = bytearray()

    def pump(self) -> None:
        """Move bytes until both are quiet."""
        while True:
            sent, taken = self.outgoing.read(), self.session.take()
            if sent:
                self.session.feed(sent)
            if taken:
                self.incoming.write(taken)
            if not sent and not taken:
                return

    def handshake(self) -> None:
        for _ in range(10):
            try:
                self.tls.do_handshake()
                self.pump()
                return
            except ssl.SSLWantReadError:
                self.pump()
        raise AssertionError("no handshake")

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.pump()

    def read(self) -> bytes:
        """Everything that has arrived."""
        self.pump()
        try:
            while True:
                data = self.tls.read(4096)
                if not data:
                    break
                self.got += data
        except ssl.SSLError:
            pass  # Nothing more, or the bank's close_notify.
        data = bytes(self.got)
        self.got.clear()
        return data


def connected(
    acquirer: InProcessAcquirer,
    serial: str = "T1",
    on_sent: Callable[[bytes], None] | None = None,
) -> Line:
    identity = acquirer.authority.issue_client(serial)
    session = TlsServerSession(
        acquirer.bank, acquirer.context, loop_call_later, "in-process", on_sent=on_sent
    )
    line = Line(session, client_context(acquirer.authority, identity))
    line.handshake()
    return line


def echo(client: Client) -> bytes:
    message = client.base("0820", "00000001301")
    return with_length(build(message))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("profile", ["ecdsa", "rsa"])
def test_echo_over_tls_in_memory(version: ssl.TLSVersion, profile: str) -> None:
    acquirer = InProcessAcquirer(load(), now=lambda: NOW, profile=profile)

    async def main() -> None:
        client = Client(acquirer)
        context = client_context(acquirer.authority, acquirer.authority.issue_client("T1"))
        context.minimum_version = context.maximum_version = version
        line = Line(acquirer.connect(), context)
        line.handshake()
        assert line.tls.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        line.send(echo(client))
        answer = line.read()
        assert int.from_bytes(answer[:2], "big") == len(answer) - 2
        assert parse(answer[2:]).get(39) == "00"

    virtual_time.run(main())
    acquirer.close()


def test_old_tls_is_refused(shared: InProcessAcquirer) -> None:
    assert shared.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_client_certificate_is_needed(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        foreign = Authority.create().issue_client("T1")
        for identity in (None, foreign):
            line = Line(shared.connect(), client_context(shared.authority, identity))
            line.handshake()  # TLS 1.3: the client learns of the refusal later
            assert line.session.closed
            assert line.session.reason.startswith("TLS:")
            assert line.read() == b""

    virtual_time.run(main())


def test_certificate_names_the_terminal(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client = Client(shared, "T-cert")
        line = connected(shared, "another-device")
        line.send(echo(client))
        assert parse(line.read()[2:]).get(39) == "97"

    virtual_time.run(main())


def sale_line(acquirer: InProcessAcquirer, serial: str) -> tuple[Client, Line]:
    client = Client(acquirer, serial)
    client.sign_in()
    return client, connected(acquirer, serial)


def signed(client: Client, message: Message) -> bytes:
    """The frame that ``Client.send`` would send."""
    frames: list[bytes] = []
    bank = client.bank

    class Catch:
        def handle(self, frame: bytes, _peer: object) -> list[object]:
            frames.append(frame)
            return []

    client.bank = Catch()  # type: ignore[assignment]  # stands in for one call
    try:
        client.send(message)
    finally:
        client.bank = bank
    return with_length(frames[0])


def test_late_answer_on_the_virtual_clock(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client, line = sale_line(shared, "T-late")
        shared.rule("late", ms=5000)
        line.send(signed(client, client.sale_message()))
        await asyncio.sleep(4.9)
        assert line.read() == b""
        await asyncio.sleep(0.2)
        assert parse(line.read()[2:]).get(39) == "00"

    virtual_time.run(main())


def test_an_answer_is_told_when_it_goes_out(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client = Client(shared, "T-told")
        client.sign_in()
        told: list[bytes] = []
        line = connected(shared, "T-told", told.append)
        for rule, count in (("late", 1), ("split", 1), ("duplicate", 2), ("drop", 0), ("close", 0)):
            shared.rule(rule, **({"ms": 5000} if rule in ("late", "split") else {}))
            line.send(signed(client, client.sale_message()))
            if rule == "late":
                await asyncio.sleep(4.9)
                assert told == []
            await asyncio.sleep(0.2)
            assert [parse(data[2:]).mti for data in told] == ["0210"] * count
            told.clear()

    virtual_time.run(main())


def test_bytes_one_by_one_and_twice(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client, line = sale_line(shared, "T-slow")
        shared.rule("split", ms=10)
        line.send(signed(client, client.sale_message()))
        await asyncio.sleep(0.055)
        got = line.read()
        assert len(got) == 6  # at 0, 10 ... 50 ms
        await asyncio.sleep(10)
        got += line.read()
        assert int.from_bytes(got[:2], "big") == len(got) - 2
        assert parse(got[2:]).get(39) == "00"
        shared.rule("duplicate")
        line.send(signed(client, client.sale_message()))
        got = line.read()
        assert got[: len(got) // 2] == got[len(got) // 2 :]

    virtual_time.run(main())


def test_close_by_rule_and_requests_in_pieces(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client, line = sale_line(shared, "T-close")
        data = echo(client) + echo(client)
        for at in range(len(data)):
            line.send(data[at : at + 1])
        assert len(line.read()) > 100
        shared.rule("close")
        line.send(signed(client, client.sale_message()))
        assert line.session.closed
        assert line.read() == b""
        line.session.feed(b"more")
        line.session.abort()
        assert line.session.take() == b""

    virtual_time.run(main())


def test_slow_handshake_and_idle_peers_end(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        outputs: list[int] = []
        session = shared.connect(on_output=lambda: outputs.append(1))
        await asyncio.sleep(HANDSHAKE_MS / 1000 + 1)
        assert session.closed
        assert session.reason == "handshake too slow"
        assert outputs
        line = connected(shared)
        await asyncio.sleep(IDLE_MS / 1000 + 1)
        assert line.session.reason == "idle"

    virtual_time.run(main())


@pytest.mark.parametrize("head", [b"\0\0", b"\xff\xff", b"\x08\x01"])
def test_impossible_lengths_end_the_connection(shared: InProcessAcquirer, head: bytes) -> None:
    async def main() -> None:
        line = connected(shared)
        line.send(head)
        assert line.session.closed

    virtual_time.run(main())


def test_flood_of_late_answers_is_bounded(shared: InProcessAcquirer) -> None:
    async def main() -> None:
        client, line = sale_line(shared, "T-flood")
        shared.rule("late", ms=600_000, mti="0820", times=None)
        line.send(b"".join(echo(client) for _ in range(100)))
        assert line.session.closed
        shared.rules.clear()

    virtual_time.run(main())


def quiet_later(_ms: int, _act: Callable[[], None]) -> asyncio.Handle:
    """A clock that never strikes, for tests without a loop."""

    class Never:
        def cancel(self) -> None:
            return

    return Never()  # type: ignore[return-value]  # only cancel() is used


@settings(deadline=None, max_examples=100)
@given(chunks=st.lists(st.binary(max_size=300), max_size=6))
def test_noise_before_the_handshake(shared: InProcessAcquirer, chunks: list[bytes]) -> None:
    session = TlsServerSession(shared.bank, shared.context, quiet_later)
    for chunk in chunks:
        session.feed(chunk)
        assert len(session.take()) < 10_000


ENVELOPE = bytes.fromhex("6000030000603100310000")


@pytest.fixture(scope="module")
def hostile() -> Iterator[Client]:
    """A terminal of a bank of its own, signed in."""
    made = InProcessAcquirer(load(), now=lambda: NOW)
    client = Client(made, "T1")
    client.sign_in()
    yield client
    made.close()


def judged(client: Client, frame: bytes) -> None:
    """The bank neither raises nor talks much, and its books stay right."""
    actions = client.bank.handle(frame, PeerInfo(None, "hostile"))
    assert len(actions) <= 2
    for action in actions:
        assert len(action.data) < 2100
    assert client.acquirer.ledger.inconsistencies() == []


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Noise, and good messages with some bytes changed, cut or added."""
    if draw(st.booleans()):
        mti = draw(st.sampled_from([b"\x02\x00", b"\x04\x00", b"\x06\x20", b"\x08\x00"]))
        return ENVELOPE + mti + draw(st.binary(max_size=200))
    frame = bytearray(build(draw(odd_messages())))
    for _ in range(draw(st.integers(1, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))] + draw(st.binary(max_size=4)))


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


FIELDS = {
    2: st.just("6299990000000000012") | digits(1, 19),
    3: st.just("000000") | digits(6, 6),
    4: st.just("000000000100") | digits(12, 12),
    11: digits(6, 6),
    14: st.just("3512") | digits(4, 4),
    22: st.sampled_from(["051", "052", "021"]) | digits(3, 3),
    23: digits(3, 3),
    25: st.just("00"),
    26: st.just("12"),
    35: st.text("0123456789D", min_size=1, max_size=37),
    39: st.sampled_from(["98", "A0", "00"]),
    41: st.just("10000001"),
    42: st.just("TESTMERCHANT001"),
    49: st.sampled_from(["156", "840"]),
    52: st.binary(min_size=8, max_size=8).map(bytes.hex),
    53: st.just("2600000000000000") | digits(16, 16),
    55: st.binary(min_size=1, max_size=60).map(bytes.hex),
    60: st.sampled_from(["2200000100050", "00000001951", "00000001003"]) | digits(1, 17),
    61: st.just("000001000001") | digits(1, 29),
}


@st.composite
def odd_messages(draw: st.DrawFn) -> Message:
    """Messages of plausible fields, any of which may be absent."""
    mti = draw(st.sampled_from(["0200", "0200", "0400", "0400", "0620", "0800", "0820", "0500"]))
    fields = {
        number: draw(value) for number, value in FIELDS.items() if draw(st.integers(0, 7)) > 0
    }
    return Message(mti, fields)


@settings(deadline=None, max_examples=200)
@given(frame=frames())
def test_hostile_frames_never_raise(hostile: Client, frame: bytes) -> None:
    judged(hostile, frame)


@settings(deadline=None, max_examples=200)
@given(message=odd_messages())
def test_odd_messages_with_a_right_mac_never_raise(hostile: Client, message: Message) -> None:
    """Past the MAC, where sales, reversals and script results are judged."""
    hostile.sign_in()  # the frame before may have taken new keys
    sent = build(message)
    if message.mti in ("0200", "0400", "0620"):
        sent = signed(hostile, message)[2:]
    judged(hostile, sent)


def test_loopback_socket(shared: InProcessAcquirer) -> None:
    """Real sockets and the real clock: order only, no durations."""

    async def main() -> None:
        server = AcquirerServer(shared.bank, shared.context, port=0)
        await server.start()
        context = client_context(shared.authority, shared.authority.issue_client("T-loop"))
        client = Client(shared, "T-loop")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname=SERVER_NAME
        )
        writer.write(with_length(build(client.base("0800", "00000001003"))))
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        assert parse(answer).get(39) == "00"
        writer.write(b"\0\0")
        assert await reader.read() == b""
        writer.close()
        taken = AcquirerServer(shared.bank, shared.context, port=server.port)
        with pytest.raises(UserError, match="cannot listen"):
            await taken.start()
        # A peer that stays connected does not keep the server from stopping.
        _, idle = await asyncio.open_connection("127.0.0.1", server.port)
        await server.stop()
        idle.close()

    asyncio.run(main())


def test_one_peer_too_many_is_refused(
    shared: InProcessAcquirer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("host_tools.acquirer.server.MAX_PEERS", 1)

    async def main() -> None:
        server = AcquirerServer(shared.bank, shared.context, port=0)
        await server.start()
        context = client_context(shared.authority, shared.authority.issue_client("T1"))
        _, first = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname=SERVER_NAME
        )
        reader, second = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        second.close()
        first.close()
        await server.stop()

    asyncio.run(main())


def test_books_that_fail_end_the_connection_without_an_answer() -> None:
    acquirer = InProcessAcquirer(load(), now=lambda: NOW)

    async def main() -> None:
        client = Client(acquirer, "T1")
        server = AcquirerServer(acquirer.bank, acquirer.context, port=0)
        await server.start()
        context = client_context(acquirer.authority, acquirer.authority.issue_client("T1"))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname=SERVER_NAME
        )
        with acquirer.ledger.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE message")
        writer.write(echo(client))
        assert await reader.read() == b""
        writer.close()
        await server.stop()

    asyncio.run(main())
    acquirer.close()
