"""firmware.services.link_host: what a PC may have done, and what it may not, on virtual time."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import aio
from firmware.cbor import encode
from firmware.crypto.x25519 import KeyPair
from firmware.errors import TillError
from firmware.link import packets
from firmware.link.services import CallRefused, fingerprint
from firmware.link.session import NAME
from firmware.link.streams import CANCEL, END, ERROR, ITEM, PART, REQUEST
from firmware.services.link_calls import Call
from firmware.services.link_host import Limits, LinkHost
from firmware.services.pair_table import Pair
from tests.support.pc_end import Cable, PcSide, Plug
from tests.support.virtual_time import run


class Bench:
    """A terminal's host with handlers that do as their name says."""

    def __init__(self, small: bool = False) -> None:
        self.cable = Cable()
        self.pairs: dict[bytes, Pair] = {}
        self.ready: list[str] = []
        self.defects: list[aio.Task] = []
        self.ended: list[str] = []
        self.go = aio.Event()
        draw = random.Random(9)
        self.host = LinkHost(
            Plug(self.cable, 0), KeyPair(bytes(32)), ("T1", "b", "1"), draw.randbytes,
            self.pairs.get, self._handler, self._session, self.defects.append, Limits(small),
        )  # fmt: skip
        self.task = aio.spawn("host", self.host.run())

    def _session(self, host: LinkHost) -> None:
        self.ready.append(str(host.session.peer.get(NAME, "gone")))

    def pair(self, pc: PcSide, *roles: str) -> None:
        self.pairs[pc.key.public] = Pair(pc.key.public, "as paired", roles, 0, 0)

    def pc(self, *roles: str, key: int = 1, most: int = 65536) -> PcSide:
        pc = PcSide(Plug(self.cable, 1), key, most=most)
        if roles:
            self.pair(pc, *roles)
        return pc

    def _handler(self, service: str) -> Any:
        return getattr(self, service, None)

    async def hello(self, call: Call) -> None:
        await call.end({1: list(call.roles), 2: call.name})

    async def status(self, call: Call) -> None:
        """Waits to be told."""
        try:
            await self.go.wait()
            await call.end({})
        finally:
            self.ended.append("status")

    async def totals(self, call: Call) -> None:
        """As ``status``, but nothing may interrupt it."""

        async def section() -> None:
            await self.go.wait()
            self.ended.append("totals")

        await aio.protected(section())
        await call.end({})

    async def screen(self, call: Call) -> None:
        raise TypeError("a defect with 4111111111111111 in it")

    async def doctor(self, call: Call) -> None:
        """Forgets to answer."""

    async def backup(self, call: Call) -> None:
        number = 0
        try:
            while True:
                await call.item({1: bytes(1000), 2: number})
                number += 1
        finally:
            self.ended.append("backup " + str(number))

    async def config_push(self, call: Call) -> None:
        raise CallRefused("version", {1: 7})

    async def config_get(self, call: Call) -> None:
        raise TillError("the disk is gone")

    async def restore(self, call: Call) -> None:
        last, value = await call.next()
        assert not last
        last, end = await call.next()
        assert last
        await call.end({1: value, 2: end})

    async def log(self, call: Call) -> None:
        await call.item({1: bytes(call.arguments[2] * 1000)})
        await call.end({})


def play(story: Callable[[Bench], Awaitable[None]], small: bool = False) -> None:
    async def main() -> None:
        bench = Bench(small)
        await story(bench)
        bench.task.cancel()
        await bench.task.done.wait()
        assert bench.task.error is None

    run(main())


def test_a_pc_is_known_by_its_pair_and_a_stranger_may_say_hello() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("sync").connect()
        assert await pc.ask("hello") == {1: ["sync"], 2: "as paired"}
        await pc.leave()
        stranger = await bench.pc(key=2).connect()
        assert await stranger.ask("hello") == {1: [], 2: "Office PC"}
        assert await stranger.ask("status") == ("role", {})
        assert bench.ready == ["Office PC", "gone", "Office PC"]

    play(story)


@pytest.mark.parametrize("role", ["sync", "register", "update", "key-load"])
def test_a_role_allows_what_it_names_and_no_more(role: str) -> None:
    async def story(bench: Bench) -> None:
        bench.go.set()
        pc = await bench.pc(role).connect()
        for service in ("screen", "doctor", "backup", "config_push", "log", "restore", "pairs"):
            assert await pc.ask(service, {}) == ("role", {}), service
        got = await pc.ask("totals")
        assert got == ({} if role in ("sync", "register") else ("role", {}))

    play(story)


def test_what_is_not_of_the_table_is_refused_by_name() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service", "sync").connect()
        assert await pc.ask("reboot") == ("service", {})
        assert await pc.ask("__class__") == ("service", {})
        assert await pc.ask("go") == ("service", {})
        assert await pc.ask("journal_ack", {1: 1, 2: 1, 3: bytes(32)}) == ("service", {})
        wrong: list[Any] = [
            {}, {1: 0}, {1: 0, 2: 0}, {1: 0, 2: 1, 3: 1}, {1: "0", 2: 1}, {1: True, 2: 1},
            {1: -1, 2: 1}, {1: 0, 2: 1001}, {"1": 0, 2: 1},
        ]  # fmt: skip
        for arguments in wrong:
            code, details = await pc.ask("log", arguments)
            assert code == "arguments" and details[1], arguments
        assert await pc.ask("log", {1: 0, 2: 1}) == {}
        assert not bench.defects

    play(story)


def test_a_defect_is_answered_and_told_without_its_words() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        assert await pc.ask("screen") == ("failed", {1: "error.crash"})
        assert [type(task.error) for task in bench.defects] == [TypeError]
        assert await pc.ask("doctor", {1: "en"}) == ("failed", {1: "error.crash"})
        assert await pc.ask("config_get", {1: []}) == (
            "failed", {1: TillError.text_key, 2: "the disk is gone"},
        )  # fmt: skip
        assert await pc.ask("config_push", {1: b"x"}) == ("version", {1: 7})
        assert len(bench.defects) == 1

    play(story)


def test_cancel_ends_a_handler_and_is_answered_though_it_may_not_be_interrupted() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service", "sync").connect()
        one, other = pc.open("status"), pc.open("totals")
        await aio.sleep_ms(100)
        pc.cancel(one)
        pc.cancel(other)
        assert (await pc.rest(one))[-1] == (ERROR, ["cancelled", {}])
        assert (await pc.rest(other))[-1] == (ERROR, ["cancelled", {}])
        assert bench.ended == ["status"]
        bench.go.set()
        await aio.sleep_ms(100)
        assert bench.ended == ["status", "totals"]
        assert await pc.ask("hello")

    play(story)


def test_a_deadline_counts_here_and_ends_the_handler() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        began = aio.ticks_ms()
        assert await pc.ask("status", deadline_ms=700) == ("deadline", {})
        assert 700 <= aio.elapsed_ms(began) < 900 and bench.ended == ["status"]
        bench.go.set()
        assert await pc.ask("status", deadline_ms=(1 << 64) - 1) == {}

    play(story)


def test_a_pc_that_does_not_read_holds_its_own_request_and_nothing_else() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        stuck = pc.open("backup", {1: bytes(32)})
        await aio.sleep_ms(5000)
        assert await pc.ask("hello")
        pc.cancel(stuck)
        await aio.sleep_ms(500)
        (told,) = bench.ended
        assert 60 < int(told.split()[1]) < 100, "a credit and a backlog, not for ever"

    play(story)


def test_items_go_both_ways() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        stream = pc.open("restore", {1: 5, 2: bytes(32)})
        await pc.runner.send(stream, ITEM, {1: b"a"})
        await pc.runner.send(stream, END, {2: 2})
        assert (await pc.rest(stream))[-1] == (END, {1: {1: b"a"}, 2: {2: 2}})

    play(story)


def test_a_message_longer_than_the_pc_takes_fails_and_is_answered() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service", most=2000).connect()
        code, details = await pc.ask("log", {1: 0, 2: 5})
        assert code == "failed" and "longer" in details[2]

    play(story)


def test_a_request_that_never_ends_is_given_up() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        stream = pc.open("log", {1: 0, 2: 1, 3: bytes(30_000)})
        kind, body = stream._out.pop()
        assert kind == REQUEST
        stream._out.append((PART, body[:100]))
        stream._out[0] = (PART, body[:100])
        assert pc.session.streams is not None

        def next_chunk(room: int) -> bytes | None:
            if not stream._out:
                return None
            stream._out.clear()
            return stream._chunk(PART, body[:100])

        stream.next_chunk = next_chunk  # type: ignore[method-assign]
        pc.runner.wake()
        assert (await pc.rest(stream))[-1] == (ERROR, ["deadline", {}])
        assert await pc.ask("hello")

    play(story)


def test_a_revoked_pc_is_closed_and_comes_back_as_a_stranger() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("sync").connect()
        waiting = pc.open("status")
        await aio.sleep_ms(100)
        bench.pairs.clear()
        assert await pc.ask("totals") == ("role", {}), "at once, in the session that stands"
        bench.host.drop(packets.REVOKED)
        assert (await pc.rest(waiting))[-1] == (ERROR, ["lost", {}])
        await pc.over.wait()
        assert pc.reason == packets.REVOKED and bench.ended == ["status"]
        await pc.leave()
        again = await bench.pc().connect()
        assert await again.ask("status") == ("role", {})

    play(story)


def test_a_request_of_the_session_before_does_not_pass_as_the_next_ones() -> None:
    """A stranger's request in the queue must not meet the roles of who comes after."""

    async def story(bench: Bench) -> None:
        stranger = await bench.pc(key=2).connect()
        known = bench.pc("service")
        stream = stranger.open("screen")
        assert stranger.session.streams is not None
        stranger.session.turn()
        await Plug(bench.cable, 1).write(stranger.session.end.output(aio.ticks_ms()))
        known.session.connect(aio.ticks_ms())
        await Plug(bench.cable, 1).write(known.session.end.output(aio.ticks_ms()))
        await aio.sleep_ms(2000)
        assert not bench.defects, "its handler never ran"
        assert stream is not None

    play(story)


def test_a_flood_leaves_the_loop_to_others() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        turns, answers = 0, 0
        over = aio.Event()

        async def flow() -> None:
            nonlocal turns
            while not over.is_set():
                await aio.sleep_ms(10)
                turns += 1

        async def flood() -> None:
            nonlocal answers
            while not over.is_set():
                await pc.ask("reboot")
                answers += 1

        tasks = [aio.spawn("flow", flow())] + [aio.spawn("flood", flood()) for _ in range(8)]
        await aio.sleep_ms(3000)
        over.set()
        for task in tasks:
            await task.join()
        assert turns > 280 and answers > 500

    play(story)


def test_a_small_terminal_does_one_handshake_at_a_time() -> None:
    """Each is a second of a microcontroller's work: who opens again and again is not served."""

    async def story(bench: Bench) -> None:
        plug = Plug(bench.cable, 1)
        stands = 0
        for number in range(40):
            flood = PcSide(plug, 50 + number % 3)
            flood.draw.seed(number)
            flood.session.connect(aio.ticks_ms())
            carrying = aio.spawn("flood", flood.runner.run())
            await aio.sleep_ms(100)
            stands += flood.session.ready
            carrying.cancel()
            await carrying.done.wait()
        assert 1 <= stands <= 3, "in four seconds"
        pc = await bench.pc("sync").connect()
        assert await pc.ask("hello")

    play(story, small=True)


def test_more_at_once_than_told_ends_the_session() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        assert pc.session.streams is not None
        pc.session.streams.most_open = 64
        for _ in range(4):
            pc.open("status")
        await pc.over.wait()
        assert pc.reason == packets.BROKEN
        await aio.sleep_ms(100)
        assert len(bench.ended) in (0, 3), "those that began were ended"

    play(story, small=True)


def test_a_link_that_is_lost_for_good_ends_handlers_and_a_short_loss_does_not() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("sync").connect()
        waiting = pc.open("status")
        await aio.sleep_ms(100)
        bench.cable.pull()
        await aio.sleep_ms(20_000)
        assert not bench.ended
        bench.cable.plug()
        await aio.sleep_ms(3000)
        assert not bench.ended and pc.events[-1] == "resumed"
        bench.cable.pull()
        await aio.sleep_ms(400_000)
        assert bench.ended == ["status"]
        assert (await pc.rest(waiting))[-1] == (ERROR, ["lost", {}])

    play(story)


def test_the_terminal_says_that_it_stops() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("sync").connect()
        pc.open("status")
        await aio.sleep_ms(100)
        bench.task.cancel()
        await bench.task.done.wait()
        await pc.over.wait()
        assert pc.reason == packets.STOPPING and bench.ended == ["status"]

    play(story)


def test_a_recording_played_again_opens_nothing() -> None:
    async def story(bench: Bench) -> None:
        pc = await bench.pc("service").connect()
        assert await pc.ask("hello")
        await pc.leave()
        recorded = bytes(bench.cable.seen)
        before = len(bench.ready)
        await Plug(bench.cable, 1).write(recorded)
        await aio.sleep_ms(20_000)
        assert len(bench.ready) == before, "nobody was known by it"

    play(story)


def test_noise_before_and_between_costs_nothing() -> None:
    async def story(bench: Bench) -> None:
        draw = random.Random(3)
        plug = Plug(bench.cable, 1)
        for size in (1, 100, 70_000):
            await plug.write(draw.randbytes(size))
        await plug.write(b"\0")
        pc = await bench.pc("sync").connect()
        await plug.write(b"\0" + draw.randbytes(5000) + b"\0")
        assert await pc.ask("hello")

    play(story)


def test_whatever_a_paired_pc_sends_the_host_serves_the_next() -> None:
    """Chunks of any kind, stream and body, sealed as they should be: answered, or the session
    ends. Never a defect, never a hang."""

    async def story(bench: Bench) -> None:
        draw = random.Random(11)
        asked = [
            encode(["hello", 0, {}]), encode(["totals", 5, {}]), encode(["log", 0, {1: 0, 2: 1}]),
            encode(["x" * 3000, 0, {}]), encode(["totals", 1 << 63, {}]), encode(["a", 0, {}]),
            encode(["log", 0, {}])[:-1] + b"\xa1\x01\x80",
        ]  # fmt: skip
        others = [encode([1, 2, 3]), encode({1: 2}), b"", b"\xff" * 40, bytes(4), b"\xa1\x40\x80"]
        for seed in range(120):
            pc = await bench.pc("service", "register", key=1 + seed % 5).connect()
            session = pc.session
            chunks = [
                bytes((draw.choice([REQUEST, REQUEST, REQUEST, PART]), 0, number))
                + draw.choice(asked)
                for number in range(1, 2 * draw.randrange(1, 8), 2)
            ]
            for _ in range(draw.randrange(4)):
                kind = draw.choice([ITEM, END, ERROR, CANCEL, 6, PART, REQUEST, 0, 8])
                head = bytes((kind, 0, draw.choice([1, 1, 3, 5, 2, 99])))
                chunks.append((head + draw.choice(others))[: draw.choice([2, 9000, 9000, 9000])])
            for chunk in chunks:
                if session._transport is None or not session.end.writable:
                    break
                session.end.send(session._transport.encrypt(chunk))
                pc.runner.wake()
                await aio.sleep_ms(draw.randrange(20))
            await aio.sleep_ms(50)
            await pc.leave()
        bench.go.set()
        await aio.sleep_ms(12_000)
        assert bench.defects == [] and bench.ended.count("totals") > 10
        pc = await bench.pc("service").connect()
        assert await pc.ask("hello")

    play(story)


def test_a_fingerprint_is_sixteen_digits() -> None:
    assert len(fingerprint(bytes(32))) == 16 and CANCEL == 5
