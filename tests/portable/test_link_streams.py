"""firmware.link.streams: messages, credits, cancel, and a peer that breaks the rules."""

from firmware.cbor import encode
from firmware.link.streams import (
    CANCEL,
    CREDIT,
    END,
    ERROR,
    ITEM,
    PART,
    REQUEST,
    StreamRefused,
    Streams,
    StreamsBroken,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOM = 237


def _pair(credit: int = 512, most: int = 2048, streams: int = 3) -> "tuple[Streams, Streams]":
    pc = Streams(True, most, streams, credit)
    terminal = Streams(False, most, streams, credit)
    pc.meet(most, streams, credit)
    terminal.meet(most, streams, credit)
    return pc, terminal


def _carry(one: Streams, other: Streams) -> "list[Any]":
    """Everything that both have to send, both ways; the streams that the terminal got."""
    touched: "dict[int, Any]" = {}
    moved = True
    while moved:
        moved = False
        for a, b in ((one, other), (other, one)):
            record = a.pull(ROOM)
            if record is not None:
                assert len(record) <= ROOM
                moved = True
                stream = b.take(record)
                if stream is not None and b is other:
                    touched[stream.number] = stream
    return [touched[number] for number in sorted(touched)]


def _chunk(kind: int, number: int, body: bytes) -> bytes:
    return bytes((kind, number >> 8, number & 255)) + body


def _broken(end: Streams, record: bytes, reason: str) -> None:
    try:
        end.take(record)
    except StreamsBroken as error:
        assert reason in str(error), str(error)
        return
    raise AssertionError("taken: " + reason)


def test_a_request_and_its_answer() -> None:
    pc, terminal = _pair()
    asked = pc.open("hello", 1000, {1: "x"})
    (heard,) = _carry(pc, terminal)
    assert heard.read() == (REQUEST, ["hello", 1000, {1: "x"}])
    heard.send(ITEM, {1: 1})
    heard.send(END, {2: b"y"})
    _carry(pc, terminal)
    assert asked.read() == (ITEM, {1: 1})
    assert asked.read() == (END, {2: b"y"})
    assert asked.read() is None
    assert asked.over and heard.over
    assert pc.open("hello", 0, {}).number == asked.number + 2


def test_long_messages_come_whole_and_waits_for_credit() -> None:
    pc, terminal = _pair(credit=256)
    asked = pc.open("read", 0, {1: bytes(1500)})
    (heard,) = _carry(pc, terminal)
    assert heard.read() == (REQUEST, ["read", 0, {1: bytes(1500)}])
    for number in range(20):
        heard.send(ITEM, {1: number, 2: bytes(100)})
    _carry(pc, terminal)
    assert heard.backlog > 0  # nobody has read yet: the credit holds the rest back
    got: "list[int]" = []
    while len(got) < 20:
        message = asked.read()
        if message is None:
            _carry(pc, terminal)
        else:
            got.append(message[1][1])
    assert got == list(range(20))
    assert heard.backlog == 0


def test_one_slow_reader_stops_no_other() -> None:
    pc, terminal = _pair(credit=256)
    slow, quick = pc.open("log", 0, {}), pc.open("hello", 0, {})
    first, second = _carry(pc, terminal)
    for _ in range(30):
        first.send(ITEM, {1: bytes(60)})
    second.send(END, {})
    _carry(pc, terminal)
    assert quick.read() == (END, {})
    assert slow.read() == (ITEM, {1: bytes(60)})


def test_a_request_that_has_not_left_never_does_once_it_is_given_up() -> None:
    pc, terminal = _pair(streams=2)
    for _ in range(5):
        gone = pc.open("status", 0, {})
        gone.cancel()
        assert gone.over and gone.read() == (ERROR, ["cancelled", {}]) and gone.read() is None
    assert _carry(pc, terminal) == []
    begun = pc.open("log", 0, {1: b"x" * 600})
    record = pc.pull(ROOM)
    assert record is not None and record[0] == PART
    terminal.take(record)
    begun.cancel()  # its beginning is there already
    (there,) = _carry(pc, terminal)
    assert there.cancelled and there.read() == (CANCEL, None)
    there.send(ERROR, ["cancelled", {}])
    _carry(terminal, pc)
    assert begun.read() == (ERROR, ["cancelled", {}]) and begun.over


def test_cancel_crosses_what_is_under_way() -> None:
    pc, terminal = _pair()
    asked = pc.open("log", 0, {})
    (heard,) = _carry(pc, terminal)
    assert heard.read()[0] == REQUEST
    for _ in range(20):
        heard.send(ITEM, {1: bytes(60)})
    asked.cancel()
    asked.cancel()
    record = pc.pull(ROOM)
    assert record is not None
    terminal.take(record)
    assert heard.cancelled and heard.read() == (CANCEL, None)
    heard.send(ERROR, ["cancelled", {}])
    _carry(pc, terminal)
    last = None
    message = asked.read()
    while message is not None:
        last = message
        message = asked.read()
    assert last == (ERROR, ["cancelled", {}]) and asked.over and heard.over
    for refused in (ITEM, END, ERROR):
        try:
            heard.send(refused, {} if refused != ERROR else ["x", {}])
        except StreamRefused:
            continue
        raise AssertionError("sent on a stream that is over")


def test_an_error_throws_a_half_message_away() -> None:
    pc, terminal = _pair(credit=256)
    asked = pc.open("log", 0, {})
    (heard,) = _carry(pc, terminal)
    heard.send(ITEM, {1: bytes(1000)})
    record = terminal.pull(ROOM)
    assert record is not None and record[0] == PART
    pc.take(record)
    heard.send(ERROR, ["deadline", {}])
    _carry(pc, terminal)
    assert asked.read() == (ERROR, ["deadline", {}])
    assert asked.read() is None


def test_what_this_end_may_not_send() -> None:
    pc, terminal = _pair(most=300, streams=2)
    for service, arguments in (("a", {1: bytes(300)}),):
        try:
            pc.open(service, 0, arguments)
        except StreamRefused:
            continue
        raise AssertionError("a request longer than the peer takes")
    pc.open("a", 0, {})
    pc.open("b", 0, {})
    try:
        pc.open("c", 0, {})
    except StreamRefused as error:
        assert "2 requests" in str(error)
    else:
        raise AssertionError("a third request")
    heard = _carry(pc, terminal)[0]
    for kind, value in ((ITEM, {1: bytes(300)}), (ERROR, ["x", {1: bytes(520)}])):
        try:
            heard.send(kind, value)
        except StreamRefused:
            continue
        raise AssertionError("longer than it may be")


def test_a_lost_session_ends_every_stream_by_name() -> None:
    pc, _ = _pair()
    one, two = pc.open("a", 0, {}), pc.open("b", 0, {})
    assert pc.end("lost") == [one, two]
    assert one.read() == (ERROR, ["lost", {}]) == two.read()
    assert pc.pull(ROOM) is None


def test_a_terminal_refuses_what_breaks_the_rules() -> None:
    hello = encode(["hello", 0, {}])
    cases: "tuple[tuple[str, tuple[bytes, ...]], ...]" = (
        ("without a stream", (b"\x01\x00",)),
        ("kind 0", (_chunk(0, 1, b""),)),
        ("kind 8", (_chunk(8, 1, b""),)),
        ("nobody opened", (_chunk(REQUEST, 2, hello),)),
        ("begin with a request", (_chunk(ITEM, 1, b"\xa0"),)),
        ("begin with a request", (_chunk(CREDIT, 1, bytes(4)),)),
        ("request that is none", (_chunk(PART, 1, b"\xa0"), _chunk(ITEM, 1, b""))),
        ("second one", (_chunk(REQUEST, 1, hello), _chunk(REQUEST, 1, hello))),
        ("not CBOR", (_chunk(REQUEST, 1, b"\xff"),)),
        ("not CBOR", (_chunk(REQUEST, 1, hello + b"\x00"),)),
        ("another shape", (_chunk(REQUEST, 1, b"\xa0"),)),
        ("another shape", (_chunk(REQUEST, 1, encode(["hello", -1, {}])),)),
        ("another shape", (_chunk(REQUEST, 1, hello), _chunk(ITEM, 1, b"\x01"))),
        ("another shape", (_chunk(REQUEST, 1, hello), _chunk(ERROR, 1, b"\xa0"))),
        ("more than the credit", (_chunk(PART, 1, bytes(513)),)),
        ("longer than taken", (_chunk(PART, 3, bytes(300)), _chunk(PART, 3, bytes(212)))),
        ("another length", (_chunk(REQUEST, 1, hello), _chunk(CREDIT, 1, bytes(3)))),
        ("more credit", (_chunk(REQUEST, 1, hello), _chunk(CREDIT, 1, b"\0\0\0\1"))),
        ("may not be", (_chunk(REQUEST, 1, hello), _chunk(CANCEL, 1, b"\0"))),
        (
            "may not be",
            (_chunk(REQUEST, 1, hello), _chunk(CANCEL, 1, b""), _chunk(CANCEL, 1, b"")),
        ),
        (
            "after the end",
            (_chunk(REQUEST, 1, hello), _chunk(END, 1, b"\xa0"), _chunk(ITEM, 1, b"\xa0")),
        ),
        ("longer than it may", (_chunk(REQUEST, 1, hello), _chunk(ERROR, 1, bytes(513)))),
        (
            "more streams",
            tuple([_chunk(REQUEST, number, hello) for number in (1, 3, 5, 7)]),
        ),
    )
    for reason, records in cases:
        _, terminal = _pair(most=500)
        for record in records[:-1]:
            terminal.take(record)
        _broken(terminal, records[-1], reason)


def test_a_pc_refuses_streams_that_it_did_not_open() -> None:
    pc, _ = _pair()
    _broken(pc, _chunk(ITEM, 1, b"\xa0"), "nobody opened")
    pc.open("a", 0, {})
    _broken(pc, _chunk(ITEM, 3, b"\xa0"), "nobody opened")
    _broken(pc, _chunk(CANCEL, 1, b""), "may not be")
    _broken(pc, _chunk(REQUEST, 1, encode(["a", 0, {}])), "second one")


def test_chunks_that_crossed_the_last_word_are_dropped() -> None:
    pc, terminal = _pair()
    asked = pc.open("up", 0, {})
    (heard,) = _carry(pc, terminal)
    asked.send(ITEM, {1: 1})
    heard.send(ERROR, ["refused", {}])
    late = pc.pull(ROOM)
    early = terminal.pull(ROOM)
    assert late is not None and early is not None
    assert terminal.take(late) is None
    pc.take(early)
    assert asked.read() == (ERROR, ["refused", {}])
    assert pc.take(b"") is None
