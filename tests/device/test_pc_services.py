"""What a paired PC may be told, over the terminal's own cable while it trades."""

from typing import Any

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.link import archive, config_set
from firmware.link.services import SERVICES, check
from firmware.link.streams import END, ITEM
from firmware.payment.journal import records as r
from tests.device.stories import sell
from tests.device.test_pairing import pair, pc_of, play
from tests.portable.test_link_journal import Pc
from tests.support.handheld import Handheld
from tests.support.pc_end import PcSide, RackCable


class _Told:
    """The ITEMs of one answer, as ``Pc.take`` reads them."""

    def __init__(self, service: str, said: list[tuple[int, Any]]) -> None:
        _, _, item, end = SERVICES[service]
        assert item is not None
        self.items = [check(item, value) for kind, value in said if kind == ITEM]
        kind, value = said[-1]
        assert kind == END, value
        self.ended = check(end, value)


async def _paired(h: Handheld, *roles: str, key: int = 1) -> PcSide:
    pc = await pc_of(h, key).connect()
    assert await pair(h, pc, *roles) == list(roles)
    return pc


async def _ask(pc: PcSide, service: str, arguments: dict[int, Any]) -> _Told:
    return _Told(service, await pc.rest(pc.open(service, arguments)))


async def _sync(pc: PcSide, books: Pc) -> None:
    told = await _ask(pc, "journal_read", {1: books.cursor[0], 2: 1000})
    books.take(told)
    assert (told.ended[1], told.ended[2], told.ended[3]) == books.cursor
    sequence, epoch, chain = books.cursor
    assert await pc.ask("journal_ack", {1: sequence, 2: epoch, 3: chain}) == {}


def test_a_pc_syncs_and_watches_while_a_card_is_paid_with() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "sync", "service")
        books = Pc()
        watch = pc.open("watch", {1: ["journal", "screen", "status"]})
        await _sync(pc, books)
        before = books.cursor[0]
        syncing = aio.spawn("sync", _again(pc, books))
        await sell(h, "1234")
        await h.back_to_idle()
        await aio.sleep_ms(500)
        syncing.cancel()
        await syncing.done.wait()
        await _sync(pc, books)
        kinds = [books.records[n][1] for n in sorted(books.records) if n > before]
        assert [kind for kind in kinds if kind in (r.REQUEST, r.ANSWER, r.COMMIT)] == [
            r.REQUEST, r.ANSWER, r.COMMIT,
        ]  # fmt: skip
        status = check(SERVICES["status"][3], await pc.ask("status"))
        assert status[9] == [["sale", 156, 1, 1234]] and status[12] == books.cursor[0]
        pc.cancel(watch)
        said = await pc.rest(watch)
        assert said[-1][1][0] == "cancelled"
        topics = {value[1] for kind, value in said if kind == ITEM}
        assert topics == {"journal", "screen", "status"}
        screens = [value[2][1]["screen"] for _, value in said[:-1] if value[1] == "screen"]
        assert "result" in screens and screens[-1] == "idle"
        await pc.leave()

    play(story)


async def _again(pc: PcSide, books: Pc) -> None:
    while True:
        await _sync(pc, books)
        await aio.sleep_ms(20)


def test_settings_and_a_backup_go_over_the_cable() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "service")
        await sell(h, "1234")
        await h.back_to_idle()
        assert pc.session.peer_key
        made = config_set.made(1, {"language": "zh"}, "Office PC", pc.key, pc.session.peer_key)
        assert await pc.ask("config_push", {1: made}) == {1: 1}
        assert await pc.ask("config_push", {1: made}) == ("version", {1: 1})
        told = await _ask(pc, "config_get", {1: ["language"]})
        assert told.items == [{1: "language", 2: "zh"}] and told.ended == {1: 1}
        recipient = KeyPair(bytes(range(32)))
        told = await _ask(pc, "backup", {1: recipient.public})
        data = b"".join(item[1] for item in told.items)
        size = data[0] << 8 | data[1]
        reader = archive.Reader(archive.key_for(data[2 : 2 + size], recipient))
        maps = reader.feed(data)
        reader.end()
        assert [one[5] for one in maps if one[1] == 4] == [1234]
        assert {one[2]: one[3] for one in maps if one[1] == 3} == {"language": "zh"}
        stream = pc.open("restore", {1: len(data), 2: bytes(32)})
        assert (await pc.rest(stream))[-1][1][0] == "used"
        told = await _ask(pc, "doctor", {1: "en"})
        assert told.ended == {1: True} and len(told.items) > 8
        told = await _ask(pc, "log", {1: 0, 2: 100})
        assert any("paired" in item[2] for item in told.items)
        await pc.leave()

    play(story)


def test_each_service_asks_for_its_role() -> None:
    sync = {"journal_read": {1: 0, 2: 5}, "journal_ack": {1: 0, 2: 1, 3: bytes(32)}}
    service = {
        "config_get": {1: []}, "config_push": {1: b"x"}, "screen": {}, "log": {1: 0, 2: 1},
        "doctor": {1: "en"}, "backup": {1: bytes(32)}, "restore": {1: 5, 2: bytes(32)},
    }  # fmt: skip
    both = {"status": {}, "watch": {1: ["status"]}}

    async def story(h: Handheld) -> None:
        pc = await pc_of(h).connect()
        for name, arguments in (sync | service | both | {"totals": {}}).items():
            assert await pc.ask(name, arguments) == ("role", {}), name
        assert await pair(h, pc, "register") == ["register"]
        for name, arguments in (sync | service | both).items():
            assert await pc.ask(name, arguments) == ("role", {}), name
        assert await pc.ask("totals") == {1: 1, 2: []}
        assert await pair(h, pc, "sync") == ["sync"]
        for name, arguments in service.items():
            assert await pc.ask(name, arguments) == ("role", {}), name
        assert await pc.ask("watch", {1: ["journal", "screen"]}) == ("role", {1: "screen"})
        await pc.leave()

    play(story)


def test_messages_are_no_longer_than_the_pc_takes() -> None:
    async def story(h: Handheld) -> None:
        pc = await _paired(h, "sync")
        await pc.leave()
        for most, answer in ((2100, "arguments"), (2200, None)):
            pc = await PcSide(RackCable(h.rack.pc), 1, most=most).connect()
            said = await pc.rest(pc.open("journal_read", {1: 0, 2: 1000}))
            if answer is not None:
                assert said[-1][1][0] == answer
            else:
                assert said[-1][0] == END and len(said) > 1
            await pc.leave()

    play(story)
