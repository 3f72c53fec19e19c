"""Properties of the AT engine: any split gives the same events, noise never breaks it."""

import itertools
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from firmware.drivers import at_engine
from firmware.drivers.at_engine import AtEngine, Command

URCS = (b"+CREG:", b"+CPIN:", b"RDY", b"+CMTI:", b"+QIND:")

PIECES = (
    b"\r\n", b"\n", b"\r", b"OK", b"\r\nOK\r\n", b"\r\nERROR\r\n", b"AT+CREG?\r", b"\r\n> ", b"> ",
    b"\r\n+CREG: 0,1\r\n", b'\r\n+CREG: 1,"00C3"\r\n', b"\r\nRDY\r\n", b"\r\nCONNECT\r\n",
    b"\r\nCONNECT 115200\r\n", b"\x7e", b"\x7e\xff\x03\xc0\x21\x7e", b"\r\nNO CARRIER\r\n",
    b"NO CARRIER", b"+CME ERROR: 10\r\n", b"\r\n+CMS ERROR: 21\r\n", b"\x00", b"\xff\xfe",
    b"x" * 700,    b"\r\n+CMEE: 1\r\n", b"ABORTED\r\n", b"\r\nBUSY\r\n",
)  # fmt: skip
streams = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)), max_size=30).map(
    b"".join
)
commands = st.sampled_from(
    (
        lambda: Command(b"AT+CREG?", b"+CREG:", lambda line: b"," in line),
        lambda: Command(b"AT+CGMM", b""),
        lambda: Command(b"AT+CFUN=1"),
        lambda: Command(b"ATD*99#", call=True),
        lambda: Command(b"AT+CMGS=9", b"+CMGS:", prompt=True),
        None,
    )
)
cuts = st.lists(st.integers(0, 4000), max_size=40)


def _joined(events: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
    """Data in a row is one piece, however it was split."""
    out: list[tuple[str, object]] = []
    for kind, value in events:
        if kind == "data" and out and out[-1][0] == "data":
            value = out.pop()[1] + value  # type: ignore[operator]  # both bytes
        out.append((kind, value))
    return out


def _engine(make: object, escaping: bool = False) -> AtEngine:
    engine = AtEngine(URCS)
    if escaping:
        engine.send(Command(b"ATD*99#", call=True))
        engine.feed(b"\r\nCONNECT\r\n")
        engine.escape()
    elif callable(make):
        engine.send(make())
    else:
        engine.resync()
    return engine


def _prompting() -> Command:
    return Command(b"AT+CMGS=9", b"+CMGS:", prompt=True)


@example(_prompting, b"\r\n> \r", [4], False)
@example(_prompting, b"\r\nOK\r> x\r\n", [5], False)
@example(None, b"\r\nNO CARRIER\r\n\r\nOK\r\n", [14], True)
@given(commands, streams, cuts, st.booleans())
def test_any_split_gives_the_same_events(
    make: object, stream: bytes, where: list[int], escaping: bool
) -> None:
    whole = _engine(make, escaping)
    expected = _joined(whole.feed(stream))
    parted = _engine(make, escaping)
    events: list[tuple[str, object]] = []
    edges = [0, *sorted({at for at in where if at < len(stream)}), len(stream)]
    for begin, end in itertools.pairwise(edges):
        events += parted.feed(stream[begin:end])
    single = _engine(make, escaping)
    one: list[tuple[str, object]] = []
    for byte in stream:
        one += single.feed(bytes((byte,)))
    assert _joined(events) == expected
    assert _joined(one) == expected
    assert parted.state == single.state == whole.state


@given(commands, st.lists(st.binary(max_size=3000), max_size=8))
def test_noise_takes_no_memory_and_the_line_comes_back(make: object, noise: list[bytes]) -> None:
    engine = _engine(make)
    for part in noise:
        engine.feed(part)
        assert len(engine._buffer) <= at_engine.MAX_LINE + len(b"\r\nNO CARRIER\r\n")
        assert len(engine._answer.lines) <= at_engine.MAX_LINES
    engine.expire()
    if engine.state == at_engine.DATA:  # the noise said CONNECT; only a reset helps then
        engine.restart()
    if engine.state == at_engine.IDLE:
        engine.send(Command(b"AT"))
        engine.expire()
    # What a modem sends next: the rest of the noise's line, then the answer to the question.
    question = engine.resync().strip()
    prefix = dict(at_engine.SYNCS)[question]
    events = engine.feed(b"\r\n" + prefix + b" 1\r\n\r\nOK\r\n")
    assert ("synced", b"") in events
    engine.send(Command(b"AT+CSQ", b"+CSQ:"))
    (kind, answer) = engine.feed(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")[-1]
    assert kind == "final" and isinstance(answer, at_engine.Answer)
    assert answer.ok and answer.lines == [b"+CSQ: 20,99"]


@given(
    st.lists(st.sampled_from((b"+COPS: 0", b"OK", b"ERROR", b"+CME ERROR: 3", b"RDY")), max_size=6)
)
def test_late_answers_never_reach_the_next_command(late: list[bytes]) -> None:
    engine = AtEngine(URCS)
    engine.send(Command(b"AT+COPS?", b"+COPS:"))
    engine.expire()
    question = engine.resync().strip()
    stream = b"".join(b"\r\n" + line + b"\r\n" for line in late)
    events = engine.feed(stream)
    assert all(kind == "urc" for kind, _ in events)
    prefix = dict(at_engine.SYNCS)[question]
    assert engine.feed(b"\r\n" + prefix + b" 0\r\n\r\nOK\r\n") == [("synced", b"")]
    engine.send(Command(b"AT+CSQ", b"+CSQ:"))
    assert engine.state == at_engine.OPEN
    assert engine._answer.lines == []
