"""The wire over a byte stream: frames, a real rack server, hostile ends."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.buses.wire import BusError
from firmware.buses.wire_stream import (
    StreamWire,
    connect,
    decode_answer,
    encode_request,
    open_tcp,
    open_unix,
)
from host_tools.emulator.rack import Rack
from host_tools.emulator.rack_server import (
    FrameError,
    RackServer,
    WireClock,
    decode_request,
    encode_answer,
)

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


@given(NAMES, st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=2000))
def test_requests_survive_the_frame(bus: str, op: int, time_us: int, payload: bytes) -> None:
    frame = encode_request(bus, op, time_us, payload)
    assert int.from_bytes(frame[:2], "big") == len(frame) - 2
    assert decode_request(frame[2:]) == (bus, op, time_us, payload)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=2000))
def test_answers_survive_the_frame(busy: int, payload: bytes) -> None:
    frame = encode_answer(0, busy, payload)
    assert int.from_bytes(frame[:2], "big") == len(frame) - 2
    assert decode_answer(frame[2:]) == (payload, busy)


@given(st.binary(max_size=100))
def test_any_bytes_as_an_answer_are_a_result_or_a_bus_error(body: bytes) -> None:
    try:
        payload, busy = decode_answer(body)
    except BusError:
        return
    assert body[0] == 0
    assert len(payload) == len(body) - 5
    assert busy >= 0


@given(st.binary(max_size=300))
def test_any_bytes_as_a_request_get_an_answer(body: bytes) -> None:
    server = RackServer(Rack(lambda: 0, 1))
    answer = server.answer(body)
    assert int.from_bytes(answer[:2], "big") == len(answer) - 2
    assert answer[2] in (0, 1)
    try:
        decode_request(body)
    except FrameError:
        assert answer[2] == 1


def test_what_does_not_fit_is_refused() -> None:
    for bus, op, time_us, payload in [
        ("", 1, 0, b""),
        ("x" * 256, 1, 0, b""),
        ("x", 256, 0, b""),
        ("x", -1, 0, b""),
        ("x", 1, -1, b""),
        ("x", 1, 0, bytes(65536)),
    ]:
        with pytest.raises(BusError):
            encode_request(bus, op, time_us, payload)
    assert encode_answer(0, 0, bytes(65536))[2] == 1


def _against(
    peer: Callable[[socket.socket], None],
    body: Callable[[StreamWire], None],
    timeout_ms: int = 2000,
) -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=peer, args=(theirs,))
    thread.start()
    wire = StreamWire(ours, ours, lambda: 5, timeout_ms)
    try:
        body(wire)
    finally:
        wire.close()
        thread.join()
        theirs.close()


def _answering(*parts: bytes) -> Callable[[socket.socket], None]:
    def peer(end: socket.socket) -> None:
        end.recv(1000)
        for part in parts:
            end.sendall(part)
        end.shutdown(socket.SHUT_WR)
        while end.recv(1000):
            pass

    return peer


def test_an_answer_in_pieces_is_put_together() -> None:
    frame = encode_answer(0, 77, b"hello")

    def body(wire: StreamWire) -> None:
        assert wire.transfer("bus", 1, b"x") == (b"hello", 77)

    _against(_answering(*[frame[i : i + 1] for i in range(len(frame))]), body)


def test_an_error_answer_leaves_the_wire_in_step() -> None:
    def body(wire: StreamWire) -> None:
        with pytest.raises(BusError, match="no acknowledge"):
            wire.transfer("bus", 1, b"x")
        with pytest.raises(BusError, match="closed by the other end"):
            wire.transfer("bus", 1, b"x")

    _against(_answering(encode_answer(1, 0, b"no acknowledge")), body)


@pytest.mark.parametrize("cut", range(8))
def test_a_cut_stream_is_named_and_stays_broken(cut: int) -> None:
    def body(wire: StreamWire) -> None:
        for _ in range(2):
            with pytest.raises(BusError, match="closed by the other end"):
                wire.transfer("bus", 1, b"x")

    _against(_answering(encode_answer(0, 0, b"abc")[:cut]), body)


def test_silence_is_a_time_out_and_the_late_answer_is_never_taken() -> None:
    release = threading.Event()

    def peer(end: socket.socket) -> None:
        end.recv(1000)
        release.wait(5)
        with contextlib.suppress(OSError):  # the device may have hung up by now
            end.sendall(encode_answer(0, 0, b"late"))

    def body(wire: StreamWire) -> None:
        with pytest.raises(BusError, match="no answer for 20 ms"):
            wire.transfer("bus", 1, b"x")
        release.set()
        with pytest.raises(BusError, match="no answer"):
            wire.transfer("bus", 1, b"y")

    _against(peer, body, timeout_ms=20)


class _Counting:
    """A socket that counts what is asked of it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._end, name)

    def send(self, data: bytes) -> int:
        self.calls.append("send")
        return self._end.send(data)

    def recv(self, most: int) -> bytes:
        self.calls.append("recv")
        return self._end.recv(most)


def test_a_transfer_is_one_send_and_one_receive() -> None:
    ours, theirs = socket.socketpair()
    end = _Counting(ours)
    wire = StreamWire(end, end, lambda: 0)
    theirs.send(encode_answer(0, 0, b"x"))
    end.calls.clear()
    assert wire.transfer("bus", 1, b"") == (b"x", 0)
    assert end.calls == ["send", "recv"]
    wire.close()
    theirs.close()


def test_a_real_server_over_a_unix_socket_and_tcp(tmp_path: Path) -> None:
    path = str(tmp_path / "rack.sock")

    async def main() -> None:
        clock = WireClock()
        rack = Rack(clock, 1)
        server = RackServer(rack, clock)
        await server.listen_unix(path)
        port = await server.listen_tcp()
        assert Path(path).stat().st_mode & 0o077 == 0

        def device() -> None:
            now = [1_000_000]
            one = connect(path, lambda: now[0])
            other = connect(f"127.0.0.1:{port}", lambda: now[0])
            one.transfer("panel", 1, b"\xaf")
            assert rack.display.on
            with pytest.raises(BusError, match="no bus 'nowhere'; the rack has card"):
                one.transfer("nowhere", 1, b"")
            now[0] = 9_000_000
            other.transfer("panel", 1, b"\xae")
            assert clock() == 9_000_000
            assert one.transfer("trng", 1, b"\x04")[0][0] == 0
            one.close()
            one.close()
            with pytest.raises(BusError, match="closed"):
                one.transfer("panel", 1, b"\xae")
            other.close()

        await asyncio.get_running_loop().run_in_executor(None, device)
        await server.close()

    asyncio.run(main())


def test_a_pair_of_unbuffered_files_is_a_stream_too() -> None:
    to_chip, from_device = os.pipe()
    to_device, from_chip = os.pipe()

    def chip() -> None:
        os.read(to_chip, 1000)
        os.write(from_chip, encode_answer(0, 3, b"by pipe"))

    thread = threading.Thread(target=chip)
    thread.start()
    with open(to_device, "rb", buffering=0) as source, open(from_device, "wb", buffering=0) as sink:
        wire = StreamWire(source, sink, lambda: 0)
        assert wire.transfer("bus", 1, b"") == (b"by pipe", 3)
        thread.join()
        os.close(from_chip)
        with pytest.raises(BusError, match="closed by the other end"):
            wire.transfer("bus", 1, b"")
        wire.close()
    os.close(to_chip)


def test_no_rack_is_named(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"no rack at .*none\.sock"):
        open_unix(str(tmp_path / "none.sock"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(BusError, match=f"no rack at 127.0.0.1:{port}"):
        open_tcp("127.0.0.1", port)


def test_in_process_and_stream_give_the_same(tmp_path: Path) -> None:
    """A Rack is a Wire: the same transfers have the same answers."""
    transfers = [
        ("i2c", 1, bytes([0x68, 7, 0])),
        ("gpio", 3, bytes([5, 1])),
        ("gpio", 2, bytes([5])),
        ("trng", 1, bytes([32])),
        ("net", 1, b""),
        ("card", 1, b""),
        ("printer", 2, bytes([0, 10])),
    ]
    direct = Rack(lambda: 5, 3)
    want = [direct.transfer(*t) for t in transfers]
    server = RackServer(Rack(lambda: 5, 3))
    got = [
        decode_answer(server.answer(encode_request(t[0], t[1], 5, t[2])[2:])[2:]) for t in transfers
    ]
    assert got == want
