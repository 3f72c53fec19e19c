"""firmware.link.streams: drawn conversations, and drawn bytes."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.link.streams import END, ERROR, HEAD, ITEM, REQUEST, Stream, Streams, StreamsBroken

CREDIT, MOST, OPEN = 256, 1500, 4


def pair() -> tuple[Streams, Streams]:
    pc, terminal = Streams(True, MOST, OPEN, CREDIT), Streams(False, MOST, OPEN, CREDIT)
    pc.meet(MOST, OPEN, CREDIT)
    terminal.meet(MOST, OPEN, CREDIT)
    return pc, terminal


def held(streams: Streams) -> int:
    """Bytes of messages that a peer made this end keep."""
    return sum(
        len(stream._parts) + sum(size for _, _, size in stream._inbox)
        for stream in streams._open.values()
    )


requests = st.lists(
    st.tuples(
        st.integers(0, 900),  # bytes of the question
        st.lists(st.integers(0, 1400), max_size=5),  # of each item of the answer
        st.sampled_from([END, ERROR]),
        st.integers(0, 3),  # the PC gives up after that many items; 3: never
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(requests, st.integers(0, 1 << 32))
def test_every_conversation_arrives_whole_and_in_order(plan: Any, seed: int) -> None:
    """Whatever the order of sending, carrying and reading."""
    draw = random.Random(seed)
    pc, terminal = pair()
    ways: dict[bool, deque[bytes]] = {True: deque(), False: deque()}
    waiting = deque(enumerate(plan))
    asked: dict[int, tuple[Stream, int]] = {}
    answers: dict[int, deque[tuple[int, Any]]] = {}
    seen: dict[int, list[int]] = {}
    ends: dict[int, tuple[int, Any]] = {}
    heard: dict[int, Stream] = {}
    for _ in range(5_000):
        if not waiting and len(ends) == len(plan):
            break
        act = draw.randrange(4)
        if act == 0 and waiting and len(pc._open) < OPEN:
            place, (size, _items, _last, _stop) = waiting.popleft()
            asked[place] = (pc.open("read", 0, {1: place, 2: bytes(size)}), 0)
            seen[place] = []
        for sender, taker, way in ((pc, terminal, True), (terminal, pc, False)):
            record = sender.pull(100)
            if record is not None:
                assert HEAD <= len(record) <= 100
                ways[way].append(record)
            if act >= 1 and ways[way]:
                stream = taker.take(ways[way].popleft())
                if stream is not None and taker is terminal:
                    heard[stream.number] = stream
            assert held(taker) <= OPEN * (CREDIT + MOST)
        for stream in list(heard.values()):
            message = stream.read()
            if message is not None and message[0] == REQUEST:
                place = message[1][2][1]
                assert message[1] == ["read", 0, {1: place, 2: bytes(plan[place][0])}]
                items = deque((ITEM, {1: n, 2: bytes(s)}) for n, s in enumerate(plan[place][1]))
                last: tuple[int, Any] = (
                    plan[place][2],
                    {} if plan[place][2] == END else ["no", {}],
                )
                answers[stream.number] = deque([*items, last])
            elif message is not None:
                answers[stream.number] = deque([(ERROR, ["cancelled", {}])])
            queue = answers.get(stream.number)
            if queue and not stream.over and stream.backlog < CREDIT:
                stream.send(*queue.popleft())
        for place, (stream, _count) in asked.items():
            got = stream.read()
            if got is None:
                continue
            kind, value = got
            if kind != ITEM:
                ends[place] = got
                continue
            assert value == {1: len(seen[place]), 2: bytes(plan[place][1][value[1]])}
            seen[place].append(value[1])
            if len(seen[place]) == plan[place][3] + 1 and plan[place][3] < 3:
                stream.cancel()
    for place, (_size, items, final, stop) in enumerate(plan):
        kind, value = ends[place]
        if kind == ERROR and value == ["cancelled", {}]:
            assert stop < 3 and len(seen[place]) > stop
        else:
            assert kind == final
            if kind == END:
                assert seen[place] == list(range(len(items)))


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.binary(max_size=60), max_size=30))
def test_any_bytes_are_taken_or_refused_by_name(opens: bool, records: list[bytes]) -> None:
    streams = pair()[0 if opens else 1]
    for record in records:
        try:
            streams.take(record)
        except StreamsBroken:
            break
        assert held(streams) <= OPEN * (CREDIT + MOST)
