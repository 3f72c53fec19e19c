"""The software chips: any bytes never raise more than a ChipError; physics that drivers rely on."""

import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.buses.wire import BusError
from firmware.buses.wire_bus import WireDisplay
from host_tools.emulator.chips import net
from host_tools.emulator.chips.ds3231 import Ds3231
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.escpos_parser import next_command
from host_tools.emulator.chips.escpos_printer import EscposPrinter
from host_tools.emulator.chips.net import NetChip
from host_tools.emulator.chips.pins import PinBank, Switch
from host_tools.emulator.chips.ssd1306 import OledChip
from host_tools.emulator.rack import Rack


class Clock:
    """Microseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


SEATS = ("panel", "gpio", "printer", "i2c", "net", "trng", "pc", "card", "debug")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SEATS), st.integers(0, 6), st.binary(max_size=40)), max_size=30
    )
)
def test_any_transfer_is_an_answer_or_a_bus_error(steps: list[tuple[str, int, bytes]]) -> None:
    clock = Clock()
    rack = Rack(clock, 1)
    for bus, op, payload in steps:
        clock.now += 3000
        try:
            answer, busy = rack.transfer(bus, op, payload)
        except BusError as error:
            assert str(error)
        else:
            assert isinstance(answer, bytes)
            assert busy >= 0
    rack.display.frame()
    rack.printer.text()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["ssd1306", "sh1106"]), st.lists(st.binary(max_size=60), max_size=20))
def test_any_command_and_data_bytes_leave_a_frame(controller: str, parts: list[bytes]) -> None:
    chip = OledChip(controller=controller)
    for i, part in enumerate(parts):
        chip.transfer(1 + i % 2, part)
    slow = bytes(
        sum(chip.lit(x, page * 8 + bit) << bit for bit in range(8))
        for page in range(8)
        for x in range(128)
    )
    assert chip.frame() == slow


@pytest.mark.parametrize("controller", ["ssd1306", "sh1106"])
@pytest.mark.parametrize(
    "extra", [b"", b"\xa7", b"\xa5", b"\xae", b"\xa0", b"\xc0", b"\x45", b"\xa8\x1f"]
)
def test_what_the_eye_sees(controller: str, extra: bytes) -> None:
    chip = OledChip(controller=controller)
    chip.transfer(1, b"\x8d\x14\xa1\xc8\xaf\xb0\x00\x10" + extra)
    chip.memory[:] = bytes(len(chip.memory))
    chip.transfer(1, b"\xb0\x00\x10")
    chip.transfer(2, b"\x01")
    rows = chip.rows()
    lit = [(x, y) for y in range(64) for x in range(128) if rows[y][x] == "#"]
    if extra == b"\xa7":
        assert len(lit) == 8191 and (0, 0) not in lit
    elif extra == b"\xa5":
        assert len(lit) == 8192
    elif extra == b"\xae":
        assert lit == []
    else:
        place = {b"\xa0": (127, 0), b"\xc0": (0, 63), b"\x45": (0, 59)}.get(extra, (0, 0))
        assert lit == [place]
    frame = chip.frame()
    assert {
        (i % 128, i // 128 * 8 + b) for i in range(1024) for b in range(8) if frame[i] >> b & 1
    } == set(lit)


ESC = st.sampled_from([b"\x1b", b"\x1c", b"\x1d", b"\x10"])
COMMANDS = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda a, b: a + b, ESC, st.binary(min_size=1, max_size=12)),
    st.sampled_from([b"\x1d(k", b"\x1d(L", b"\x1dk", b"\x1dv0", b"\x1b*", b"\x1b@", b"\n", b"A"]),
)


def test_the_panel_takes_parts_in_one_transfer_as_one_by_one() -> None:
    one, other = Rack(lambda: 0, 1), Rack(lambda: 0, 1)
    parts = [(b"\xaf", b""), (b"\xb2\x03\x10", b"\x81\x42"), (b"\xb7\x00\x17", b"\xff" * 9)]
    spent = 0
    for commands, data in parts:
        spent += one.transfer("panel", 1, commands)[1] + one.transfer("panel", 2, data)[1]
    WireDisplay(other, "panel").write(parts)
    assert other.transfers == 1
    assert other.display.on
    assert other.display.memory == one.display.memory
    payload = b"".join(
        bytes((len(commands),)) + commands + len(data).to_bytes(2, "big") + data
        for commands, data in parts
    )
    assert other.transfer("panel", 3, payload) == (b"", spent)
    for cut in (1, 3, 5, len(payload) - 1):
        with pytest.raises(BusError, match="a part is cut short at byte"):
            other.transfer("panel", 3, payload[:cut])


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMANDS, max_size=40), st.sampled_from(["gb18030", "gbk", "utf-8", ""]))
def test_any_bytes_to_the_printer_never_raise(parts: list[bytes], charset: str) -> None:
    clock = Clock()
    printer = EscposPrinter(clock, charset=charset)
    for part in parts:
        printer.transfer(1, part)
        clock.now += 10_000
        printer.transfer(2, b"\x00\x40")
    clock.now += 60_000_000
    paper = printer.paper
    assert all(0 <= row < 1 << paper.dots for row in paper.rows)
    assert printer.fill <= 4096


@given(st.binary(max_size=100))
def test_the_parser_always_moves_on_or_waits(data: bytes) -> None:
    at = 0
    while (found := next_command(data[at:])) is not None:
        assert 1 <= found[2] <= len(data) - at
        at += found[2]


@given(st.binary(min_size=1, max_size=80), st.integers(1, 79))
def test_the_parser_does_not_mind_pieces(data: bytes, cut: int) -> None:
    """A command found in a part is the command found in the whole."""
    part = next_command(data[:cut])
    if part is not None:
        assert next_command(data) == part


def test_the_printer_drops_what_overruns_and_counts_it() -> None:
    clock = Clock()
    printer = EscposPrinter(clock, baud=921600)
    line = b"0123456789012345678901234567890\n"
    sent = line * 512  # 16 KiB at once: the line is ten times as fast as the head
    accepted = int.from_bytes(printer.transfer(1, sent)[0], "big")
    assert accepted == len(sent)
    clock.now += 1_000_000
    assert printer.overruns > 0
    assert printer.peak == 4096
    clock.now += 60_000_000
    assert 0 < len(printer.paper.lines) < 512


def test_the_printer_prints_at_its_speed() -> None:
    clock = Clock()
    printer = EscposPrinter(clock, rows_per_s=600)
    printer.transfer(1, b"x\n" * 20)
    clock.now += 4 * 100_000  # after the bytes, 30 rows take 50 ms
    assert 6 <= len(printer.paper.lines) <= 9
    clock.now += 2_000_000
    assert len(printer.paper.lines) == 20
    assert printer.idle()


def test_a_wrong_baud_rate_prints_nonsense() -> None:
    clock = Clock()
    printer = EscposPrinter(clock, baud=115200, charset="")
    printer.transfer(3, (9600).to_bytes(4, "big"))
    printer.transfer(1, b"hello\n")
    clock.now += 1_000_000
    assert "hello" not in printer.text()


@pytest.mark.parametrize(
    ("switch", "ask", "bits"),
    [
        ("paper_out", b"\x10\x04\x04", 0x60),
        ("paper_out", b"\x10\x04\x01", 0x08),
        ("paper_out", b"\x10\x04\x02", 0x20),
        ("cover_open", b"\x10\x04\x02", 0x04),
        ("hot", b"\x10\x04\x03", 0x40),
        ("paper_low", b"\x10\x04\x04", 0x0C),
        ("paper_low", b"\x1dr\x01", 0x03),
    ],
)
def test_status_bits(switch: str, ask: bytes, bits: int) -> None:
    clock = Clock()
    printer = EscposPrinter(clock)
    answers = []
    for state in (False, True):
        setattr(printer, switch, state)
        printer.transfer(1, ask)
        clock.now += 100_000
        answer = printer.transfer(2, b"\x00\x08")[0]
        assert len(answer) == 1
        answers.append(answer[0])
    assert answers[0] & bits == 0
    assert answers[1] & bits == bits


def test_automatic_status_back() -> None:
    clock = Clock()
    printer = EscposPrinter(clock)
    printer.transfer(1, b"\x1da\xff")
    clock.now += 10_000
    assert printer.transfer(2, b"\x00\x08")[0] == b"\x10\x00\x00\x00"
    printer.cover_open = True
    clock.now += 10_000
    assert printer.transfer(2, b"\x00\x08")[0] == b"\x38\x00\x00\x00"


def test_pins_do_many_steps_in_order_and_name_a_bad_one() -> None:
    bank = PinBank(Clock())
    steps = bytes((3, 5, 2, 1, 5, 1, 2, 5, 0, 1, 5, 0, 2, 5, 0))
    assert bank.transfer(5, steps) == (b"\x01\x00", 5)
    for bad, word in ((b"\x02\x05", "whole steps"), (b"\x04\x05\x00", "step 4")):
        with pytest.raises(ChipError, match=word):
            bank.transfer(5, bad)


def test_pins_pull_float_and_drive() -> None:
    clock = Clock()
    bank = PinBank(clock, 4)
    assert bank.level(0) == 0
    bank.transfer(3, bytes([0, 1]))
    assert bank.level(0) == 1
    switch = Switch(bank, 0, closed=True)
    assert bank.level(0) == 0
    switch.set(False)
    assert bank.level(0) == 1
    with pytest.raises(ChipError, match="not an output"):
        bank.transfer(1, bytes([0, 1]))
    with pytest.raises(ChipError, match="no pin 4, the bank has 0 to 3"):
        bank.transfer(2, bytes([4]))
    bank.transfer(3, bytes([1, 2]))
    bank.transfer(3, bytes([2, 2]))
    bank.transfer(1, bytes([1, 1]))
    bank.bridges.append(lambda: [(1, 2)])
    assert bank.level(1) == 0
    assert bank.shorts == [1]


class Echo:
    """A far end that sends back what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def feed(self, data: bytes) -> None:
        self.data += data

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        self.closed = True


def _open(chip: NetChip) -> bytes:
    return chip.transfer(2, (443).to_bytes(2, "big") + b"host")[0]


def _poll(chip: NetChip, ident: bytes) -> tuple[int, bytes]:
    answer = chip.transfer(4, ident + b"\x10\x00")[0]
    return answer[0], answer[1:]


def test_the_net_carries_with_latency_and_bandwidth() -> None:
    clock = Clock()
    far = Echo()
    chip = NetChip(clock, lambda host, port: far)
    chip.latency_us, chip.bandwidth = 50_000, 10_000
    ident = _open(chip)
    assert chip.connects == [("host", 443)]
    assert _poll(chip, ident) == (net.CONNECTING, b"")
    clock.now += 100_000
    assert _poll(chip, ident) == (net.OPEN, b"")
    assert chip.transfer(3, ident + bytes(1000))[0] == (1000).to_bytes(2, "big")
    clock.now += 149_999  # 1000 bytes at 10 kB/s, then the way there
    assert _poll(chip, ident) == (net.OPEN, b"")
    clock.now += 1
    assert _poll(chip, ident) == (net.OPEN, b"")
    clock.now += 150_000
    assert _poll(chip, ident) == (net.OPEN, bytes(1000))
    far.closed = True
    assert _poll(chip, ident) == (net.CLOSED, b"")


def test_the_net_refuses_fails_and_is_cut() -> None:
    clock = Clock()
    chip = NetChip(clock)
    assert _poll(chip, _open(chip)) == (net.REFUSED, b"")
    far = Echo()
    chip.dial = lambda host, port: far
    ident = _open(chip)
    chip.cut_after_sent = 3
    assert chip.transfer(3, ident + b"abcdef")[0] == b"\x00\x03"
    assert far.data == b"abc"  # what went before the cut has arrived
    assert _poll(chip, ident)[0] == net.CLOSED
    assert far.closed
    chip.cut_after_sent = None
    far = Echo()
    ident = _open(chip)
    chip.cut_silently = True
    chip.cut_after_received = 2
    far.data = b"answer"
    assert _poll(chip, ident) == (net.OPEN, b"an")
    assert _poll(chip, ident) == (net.OPEN, b"")
    chip.link(False)
    with pytest.raises(ChipError, match="no bearer"):
        _open(chip)
    assert chip.transfer(1, b"")[0] == b"\x00\x00"
    chip.transfer(5, ident)
    with pytest.raises(ChipError, match="no connection"):
        _poll(chip, ident)


def _until(chip: NetChip, ident: bytes, state: int, want: bytes = b"") -> bytes:
    """Poll a real connection; bounded by transfers, not by time alone."""
    data = b""
    for _ in range(20_000):
        now, part = _poll(chip, ident)
        data += part
        if now == state and len(data) >= len(want):
            return data
    raise AssertionError(f"still in state {now} with {len(data)} bytes")


def test_a_real_tcp_far_end() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                while part := peer.recv(65536):
                    peer.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        chip = NetChip(Clock(), net.TcpEndpoint)
        ident = chip.transfer(2, port.to_bytes(2, "big") + b"127.0.0.1")[0]
        _until(chip, ident, net.OPEN)
        sent = bytes(range(256)) * 100
        assert chip.transfer(3, ident + sent)[0] == len(sent).to_bytes(2, "big")
        assert _until(chip, ident, net.OPEN, sent) == sent
        chip.transfer(5, ident)
        thread.join(5)
        assert not thread.is_alive()
    refused = chip.transfer(2, port.to_bytes(2, "big") + b"127.0.0.1")[0]
    _until(chip, refused, net.REFUSED)
    unknown = chip.transfer(2, port.to_bytes(2, "big") + b"no.such.host.invalid")[0]
    _until(chip, unknown, net.UNKNOWN)


def test_what_is_sent_to_a_far_end_that_closed_vanishes_and_its_last_words_are_heard() -> None:
    chip = NetChip(Clock(), lambda host, port: far)
    far = Echo()
    ident = _open(chip)
    far.data = b"refused"
    assert chip.transfer(1, b"")[0][0] == 1  # carries what is due
    far.closed = True
    assert chip.transfer(3, ident + b"abc")[0] == b"\x00\x03"  # it looks open from here
    assert _poll(chip, ident) == (net.CLOSED, b"refused")
    assert chip.transfer(3, ident + b"abc")[0] == b"\x00\x00"


def test_a_real_far_end_that_reset_the_line_is_heard_out() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        end = net.TcpEndpoint("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        end.state()
        peer.sendall(b"refused")
        peer.close()
        for _ in range(3):  # the first is answered by a reset, the next fails
            end.feed(b"more")
        assert end.take() == b"refused"
        assert end.take() == b""
        assert end.state() == net.CLOSED


def test_a_genuine_and_a_seeded_generator() -> None:
    one, other = Rack(Clock(), 5), Rack(Clock(), 5)
    assert one.transfer("trng", 1, b"\x20") == other.transfer("trng", 1, b"\x20")
    genuine = Rack(Clock(), None)
    first = genuine.transfer("trng", 1, b"\x20")[0]
    assert first[0] == 1
    assert first != genuine.transfer("trng", 1, b"\x20")[0]
    one.trng.stuck = 7
    assert one.transfer("trng", 1, b"\x04")[0] == b"\x00\x07\x07\x07\x07"


def test_the_debug_port_keeps_the_tree() -> None:
    rack = Rack(Clock(), 5)
    heard: list[object] = []
    rack.debug.on_tree.append(heard.append)
    rack.transfer("debug", 1, b'{"name": "idle"}')
    rack.debug.on_trace.append(heard.append)
    rack.transfer("debug", 2, b'{"t": "bit"}\n{"t": "rule"}')
    assert heard == [{"name": "idle"}, {"t": "bit"}, {"t": "rule"}]
    for bad in (b'{"t": 1}\n7', b"\n"):
        with pytest.raises(BusError, match="debug"):
            rack.transfer("debug", 2, bad)
    heard = heard[:1]
    assert rack.debug.tree == {"name": "idle"}
    assert heard == [{"name": "idle"}]
    for bad in (b"[1]", b"{", b"\xff", b"[" * 5000):
        with pytest.raises(BusError, match="debug"):
            rack.transfer("debug", 1, bad)


def test_a_clock_set_late_in_a_second_turns_over_with_it() -> None:
    now_us = 5_000_000
    clock = Ds3231(lambda: now_us)
    clock.set(1_795_248_000, 999_000)
    assert clock.now() == 1_795_248_000
    now_us += 1_000
    assert clock.now() == 1_795_248_001
