"""A PC watches a terminal and reads its log."""

from firmware import aio
from firmware.link.services import CallRefused
from firmware.services.link_watch import LEAST_MS, SLOW_MS, LinkWatch
from firmware.services.log_ring import LINE, LogRing, masked
from tests.support.made_call import MadeCall, ask, played, refused


class Terminal:
    """Something whose state changes."""

    def __init__(self):
        self.now = {"journal": {1: 0, 2: 1, 3: bytes(32)}, "status": {1: "ready", 13: 5}}
        self.now["screen"] = {1: {"screen": "idle"}}
        self.looks = 0
        self.ring = LogRing(5)
        looks = {}
        for topic in self.now:
            looks[topic] = self._looker(topic)
        self.watch = LinkWatch(looks, self.ring)
        self.ring.on_line = self.watch.changed

    def _looker(self, topic):
        async def look():
            self.looks += 1
            return self.now[topic]

        return look

    def set(self, topic, value):
        self.now[topic] = value
        self.watch.changed()


async def _until(call, count):
    while len(call.items) < count:
        call.news.clear()
        await call.news.wait()


@played
async def test_what_is_comes_first_then_what_is_new():
    terminal = Terminal()
    call = MadeCall("watch", {1: ["status", "screen"]})
    task = aio.spawn("watch", terminal.watch.handlers()["watch"](call))
    await _until(call, 2)
    assert [item[1] for item in call.items] == ["status", "screen"]
    terminal.set("status", {1: "ready", 13: 6})  # the clock alone is no news
    terminal.set("screen", {1: {"screen": "sale"}})
    await _until(call, 3)
    assert call.items[2] == {1: "screen", 2: {1: {"screen": "sale"}}}
    terminal.set("journal", {1: 9, 2: 1, 3: bytes(32)})  # not asked for
    await aio.sleep_ms(1000)
    assert len(call.items) == 3 and not task.done.is_set()
    task.cancel()
    await task.done.wait()
    assert terminal.watch._waiting == []


@played
async def test_many_changes_are_one_and_the_newest_counts():
    terminal = Terminal()
    call = MadeCall("watch", {1: ["journal"]})
    task = aio.spawn("watch", terminal.watch.handlers()["watch"](call))
    await _until(call, 1)
    call.slow = aio.Event()
    for sequence in range(1, 500):
        terminal.set("journal", {1: sequence, 2: 1, 3: bytes(32)})
        await aio.sleep_ms(3)
    call.slow.set()
    await aio.sleep_ms(2 * LEAST_MS)
    assert len(call.items) == 3 and call.items[-1][2][1] == 499
    looks = terminal.looks
    call.slow = None
    for sequence in range(500, 1000):
        terminal.set("journal", {1: sequence, 2: 1, 3: bytes(32)})
        await aio.sleep_ms(1)
    await aio.sleep_ms(2 * LEAST_MS)
    assert terminal.looks - looks <= 500 // LEAST_MS + 2
    assert call.items[-1][2][1] == 999
    task.cancel()
    await task.done.wait()


@played
async def test_a_pc_that_never_reads_is_given_up():
    terminal = Terminal()
    call = MadeCall("watch", {1: ["journal"]})
    call.slow = aio.Event()
    began = aio.ticks_ms()
    try:
        await terminal.watch.handlers()["watch"](call)
        raise AssertionError("it went on")
    except CallRefused as error:
        assert error.code == "slow"
    assert aio.elapsed_ms(began) >= SLOW_MS and terminal.watch._waiting == []


@played
async def test_topics_are_for_those_whose_roles_allow_their_services():
    handlers = Terminal().watch.handlers()
    for topic in ("screen", "log"):
        found = await refused(handlers, "watch", {1: ["status", topic]}, roles=("sync",))
        assert found == ("role", {1: topic})
    for topics in ([], ["moon"], [5], ["status", "status"], [["status"]]):
        code, _ = await refused(handlers, "watch", {1: topics})
        assert code == "arguments"


@played
async def test_lines_of_the_log_come_each_and_a_storm_costs_only_the_oldest():
    terminal = Terminal()
    terminal.ring.add("before")
    call = MadeCall("watch", {1: ["log"]}, roles=("service",))
    task = aio.spawn("watch", terminal.watch.handlers()["watch"](call))
    await aio.sleep_ms(LEAST_MS)
    terminal.ring.add("one")
    terminal.ring.add("two")
    await _until(call, 2)
    assert call.items == [{1: "log", 2: {1: 2, 2: "one"}}, {1: "log", 2: {1: 3, 2: "two"}}]
    for number in range(20):
        terminal.ring.add(str(number))
    await _until(call, 7)
    assert [item[2][2] for item in call.items[2:]] == ["15", "16", "17", "18", "19"]
    task.cancel()
    await task.done.wait()


@played
async def test_the_log_is_read_from_any_line():
    terminal = Terminal()
    handlers = terminal.watch.handlers()
    call = await ask(handlers, "log", {1: 0, 2: 10})
    assert call.items == [] and call.ended == {1: 0}
    for number in range(1, 8):
        terminal.ring.add("line " + str(number))
    for after, most, expected in (
        (0, 10, [3, 4, 5, 6, 7]),
        (5, 10, [6, 7]),
        (0, 2, [3, 4]),
        (7, 10, []),
        (99, 10, [3, 4, 5, 6, 7]),  # of an earlier life
    ):
        call = await ask(handlers, "log", {1: after, 2: most})
        assert [item[1] for item in call.items] == expected
        for item in call.items:
            assert item[2] == "line " + str(item[1])
        assert call.ended == {1: 7}


def test_no_card_number_stands_in_a_line():
    for text, shown in (
        ("PAN 6222021234567890 x", "PAN 622202******7890 x"),
        ("6222 0212 3456 7890", "6222 02** **** 7890"),
        ("6222-0212-3456-7890.", "6222-02**-****-7890."),
        (";6222021234567890=25122010000?", ";622202******7890=***"),
        ("6222021234567890D25122010000F", "622202******7890D***"),
        ("B6222021234567890^DOE/J^2512201", "B622202******7890^***"),
        ("622202123456", "622202**3456"),
        ("only 62220212345, 2026-11-22", "only 62220212345, 2026-11-22"),
        ("a\nb\x00\x7f\x9bc", "a b   c"),
        ("Größe 收银", "Größe 收银"),
    ):
        assert masked(text) == shown, masked(text)
    ring = LogRing()
    ring.add("x" * 5000)
    ring.add("x" * 5000)
    assert ring.last == 1 and len(ring.after(0, 9)[0][1]) == LINE
