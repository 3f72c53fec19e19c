"""host_tools.pc_link.connection against a terminal in memory, honest and hostile."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.link import packets, services
from firmware.link.frames import FrameReader, encode
from host_tools.errors import UserError
from host_tools.pc_link import pairing, refusals, targets
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import Alarm, Settings, connect
from host_tools.pc_link.known import KnownTerminals
from tests.support.pc_terminal import (
    PC_KEY,
    Asked,
    Cable,
    CableLine,
    PcTerminal,
    entry,
    linked,
)
from tests.support.virtual_time import run

SERVICE = ["service", "sync"]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPENTILL_LINK", raising=False)


async def lines(asked: Asked) -> None:
    for number in range(asked.arguments[2]):
        await asked.item({1: number, 2: f"line {number}"})
    await asked.end({1: asked.arguments[2]})


def test_asks_reads_items_and_says_who_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal({"log": lines})
        async with linked(terminal, tmp_path, SERVICE) as there:
            assert (there.serial, there.board, there.firmware) == ("T1", "virtual", "1.2.3")
            assert there.fingerprint == services.fingerprint(terminal.key.public)
            assert there.roles == SERVICE and there.hello[3] == 12
            call = await there.open("log", {1: 0, 2: 3})
            assert [item[2] async for item in call.items()] == ["line 0", "line 1", "line 2"]
            assert await call.result() == {1: 3}
            assert await there.ask("log", {1: 0, 2: 2}) == {1: 2}
            assert set(terminal.names) == {"Till 1"}
        known = KnownTerminals(tmp_path).get("T1")
        assert known is not None and known.roles == ("service", "sync") and known.confirmed

    run(story())


@pytest.mark.parametrize("seed", range(3))
def test_a_bad_cable_loses_nothing(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)

    def spoil(piece: bytes) -> bytes:
        dice = draw.randrange(100)
        if dice < 2:
            return b""
        if dice < 4:
            at = draw.randrange(len(piece))
            return piece[:at] + bytes([piece[at] ^ 4]) + piece[at + 1 :]
        return piece + draw.randbytes(3) if dice < 6 else piece

    async def story() -> None:
        terminal = PcTerminal({"log": lines}, Cable(spoil))
        async with linked(terminal, tmp_path, SERVICE) as there:
            call = await there.open("log", {1: 0, 2: 1000})
            assert [item[1] async for item in call.items()] == list(range(1000))

    run(story())


def test_a_pulled_cable_is_waited_for_and_the_request_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[str] = []
        terminal = PcTerminal({"log": lines})
        async with linked(terminal, tmp_path, SERVICE, said=heard.append) as there:
            terminal.cable.pull_at = terminal.cable.written + 20_000
            hand = aio.spawn("hand", plugs_in_again(terminal.cable))
            call = await there.open("log", {1: 0, 2: 1000})
            assert [item[1] async for item in call.items()] == list(range(1000))
            await hand.join()
            assert heard == ["lost", "resumed"]
            assert terminal.cable.opened == 2

    async def plugs_in_again(cable: Cable) -> None:
        while cable.plugged:
            await aio.sleep_ms(100)
        await aio.sleep_ms(20_000)
        cable.plug()

    run(story())


def test_a_terminal_that_started_anew_loses_the_request_and_not_the_connection(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        heard: list[str] = []

        async def never(asked: Asked) -> None:
            await terminal.restart()

        terminal = PcTerminal({"log": lines, "status": never})
        async with linked(terminal, tmp_path, SERVICE, said=heard.append) as there:
            call = await there.open("status")
            terminal_down = aio.spawn("cut", terminal.restart())
            await terminal_down.join()
            terminal.cable.pull()
            await aio.sleep_ms(1000)
            terminal.cable.plug()
            with pytest.raises(CallFailed, match="was lost") as failed:
                await call.result()
            assert failed.value.code == services.LOST
            assert await there.ask("log", {1: 0, 2: 2}) == {1: 2}
            assert "again" in heard

    run(story())


def test_strangers_are_told_to_pair_and_may_ask_what_strangers_may(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal()
        with pytest.raises(CallFailed, match="till pair /dev/cable") as failed:
            async with linked(terminal, tmp_path):
                pass
        assert failed.value.code == refusals.STRANGER
        async with linked(terminal, tmp_path, stranger=True) as there:
            assert there.roles == []
            with pytest.raises(CallFailed, match="roles do not allow") as failed:
                await there.ask("pairs")
            assert failed.value.code == services.NOT_ALLOWED
        KnownTerminals(tmp_path).put(entry(terminal, ["sync"]))
        with pytest.raises(CallFailed, match="does not know this PC any more"):
            async with linked(terminal, tmp_path):
                pass

    run(story())


def test_a_terminal_that_says_paired_to_a_pc_that_never_did_is_an_alarm(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal(pairs={PC_KEY.public: ["sync"]})
        for stranger in (False, True):
            with pytest.raises(Alarm, match="ALARM: terminal T1 says that it is paired"):
                async with linked(terminal, tmp_path, stranger=stranger):
                    pass
        assert terminal.calls == ["hello", "hello"]

    run(story())


def test_an_unconfirmed_entry_is_confirmed_by_hello(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal(pairs={PC_KEY.public: ["sync"]})
        known = KnownTerminals(tmp_path)
        known.put(entry(terminal, ["sync"], confirmed=False))
        async with linked(terminal, tmp_path):
            pass
        assert known.get("T1").confirmed  # type: ignore[union-attr]

    run(story())


def test_a_known_serial_number_with_another_key_is_refused_before_it_hears_anything(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        KnownTerminals(tmp_path).put(entry(PcTerminal(), ["sync"]))
        other = PcTerminal(key=KeyPair(b"\x0a" * 32), pairs={PC_KEY.public: ["sync"]})
        for stranger in (False, True):
            with pytest.raises(CallFailed, match="DANGER at /dev/cable: terminal T1 shows another"):
                async with linked(other, tmp_path, stranger=stranger):
                    pass
        assert other.names == [] and other.session.peer_key == b""

    run(story())


def test_another_terminal_than_asked_for_and_a_damaged_entry_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(Alarm, match="/dev/cable is terminal T1, not T2"):
            async with linked(PcTerminal(), tmp_path, stranger=True, serial="T2"):
                pass
        terminal = PcTerminal()
        known = KnownTerminals(tmp_path)
        known.put(entry(terminal, ["sync"]))
        (path,) = (tmp_path / "terminals").iterdir()
        for text in (
            "",
            "{",
            "[]",
            '{"serial": "T1"}',
            path.read_text().replace(terminal.key.public.hex(), "zz"),
        ):
            path.write_text(text)
            with pytest.raises(UserError, match=r"\.json"):
                async with linked(terminal, tmp_path, stranger=True):
                    pass
        assert terminal.names == []

    run(story())


def test_a_terminal_that_changes_between_two_sessions_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal({"log": lines})
        async with linked(terminal, tmp_path, stranger=True) as there:
            terminal.key = KeyPair(b"\x0b" * 32)
            await terminal.restart()
            with pytest.raises(UserError, match=r"DANGER|was lost"):
                await there.ask("hello")
                await there.ask("hello")
            with pytest.raises(Alarm, match="another terminal than before"):
                await there.ask("hello")

    run(story())


async def no_table(asked: Asked) -> None:
    await asked.end({99: 1})


async def wrong_type(asked: Asked) -> None:
    await asked.end({1: "12"})


async def wrong_item(asked: Asked) -> None:
    await asked.item({1: -1, 2: "x"})
    await asked.end({1: 0})


async def escape_item(asked: Asked) -> None:
    await asked.item({1: 1, 2: "\x1b[31mred"})
    await asked.end({1: 0})


async def endless(asked: Asked) -> None:
    number = 0
    while not asked.stream.over:
        number += 1
        await asked.item({1: number, 2: "x" * 256})


async def mute(asked: Asked) -> None:
    await aio.sleep_ms(10_000_000)


async def odd_error(asked: Asked) -> None:
    await asked.error("bo\x1bom", {1: "\x1b[2Jx" * 20, "a": {1: 2}})


@pytest.mark.parametrize(
    "handler, code, words",
    [
        (no_table, "answer", "may not give"),
        (wrong_type, "answer", "may not give"),
        (wrong_item, "answer", "number is out of bounds"),
        (escape_item, "answer", "line is out of bounds"),
        (endless, "deadline", "in time"),
        (mute, "deadline", "in time"),
        (odd_error, "bo\x1bom", "refused"),
    ],
)
def test_bad_answers_are_named_and_the_session_goes_on(
    handler: Any, code: str, words: str, tmp_path: Path
) -> None:
    async def story() -> None:
        terminal = PcTerminal({"log": handler, "doctor": lines})
        async with linked(terminal, tmp_path, SERVICE) as there:
            with pytest.raises(CallFailed, match=words) as failed:
                await there.ask("log", {1: 0, 2: 3}, deadline_ms=2000)
            assert failed.value.code == code
            assert str(failed.value).isprintable() and len(str(failed.value)) < 600
            assert (await there.ask("hello"))[3] == 12

    run(story())


def test_bad_arguments_do_not_leave_and_a_request_can_be_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal({"log": endless, "status": mute})
        async with linked(terminal, tmp_path, SERVICE) as there:
            with pytest.raises(CallFailed, match="limit is out of bounds"):
                await there.open("log", {1: 0, 2: 0})
            call = await there.open("log", {1: 0, 2: 5})
            async for item in call.items():
                if item[1] == 50:
                    break
            await call.cancel()
            silent = [await there.open("status") for _ in range(6)]
            for one in silent:
                await one.cancel()  # before it left: the terminal hears nothing of it
            assert terminal.calls == ["hello", "log"]
            call = await there.open("status")
            while "status" not in terminal.calls:
                await aio.sleep_ms(10)
            await call.cancel()
            assert (await there.ask("hello"))[3] == 12

    run(story())


def test_too_many_at_once_is_said(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal({"status": mute})
        async with linked(terminal, tmp_path, SERVICE) as there:
            with pytest.raises(CallFailed, match="more at once") as failed:
                for _ in range(9):
                    await there.open("status")
            assert failed.value.code == refusals.STREAMS

    run(story())


class Dumb(PcTerminal):
    """Accepts, and says nothing of itself; or says what it likes."""

    def run(self) -> None:
        self._tasks = []


@pytest.mark.parametrize("reason", [packets.REVOKED, packets.DONE])
def test_a_session_that_ends_as_it_begins_says_why(reason: int, tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal()
        write = terminal.cable.write

        async def together(end: int, data: bytes) -> None:
            if end == 0 and len(data) > 60:  # message 2, and CLOSE in the same piece
                data += encode(packets.close(terminal.session.end._tag, reason))
            await write(end, data)

        terminal.cable.write = together  # type: ignore[method-assign]
        with pytest.raises(CallFailed, match=r"revoked this PC|ended the session|the link ended"):
            async with linked(terminal, tmp_path, stranger=True):
                pass

    run(story())


class Oversized(PcTerminal):
    """Does not keep to what the PC takes."""

    async def _serve(self, runner: Any, stream: Any) -> None:
        runner.session.streams.most_message_of_peer = 1 << 24
        await super()._serve(runner, stream)


def test_a_message_longer_than_taken_ends_the_session_and_no_more(tmp_path: Path) -> None:
    async def big(asked: Asked) -> None:
        await asked.item({1: 1, 2: "x" * (1 << 18)})
        await asked.end({1: 0})

    async def story() -> None:
        terminal = Oversized({"log": big})
        async with linked(terminal, tmp_path, SERVICE) as there:
            with pytest.raises(CallFailed, match="was lost") as failed:
                await there.ask("log", {1: 0, 2: 1})
            assert failed.value.code == services.LOST
            assert (await there.ask("hello"))[3] == 12

    run(story())


class Refuser(CableLine):
    """A terminal of another time, or one that is taken."""

    def __init__(self, reason: int, detail: int) -> None:
        super().__init__(Cable())
        self.answer = (reason, detail)

    async def write(self, data: bytes) -> None:
        for packet in FrameReader(5000).feed(data):
            half = packet[2 : 2 + packets.HALF]
            self.cable.ways[1] += encode(packets.refuse(*self.answer, half))
            self.cable.filled[1].set()


@pytest.mark.parametrize(
    "reason, detail, words",
    [
        (packets.BAD_VERSION, 0x0203, "speaks versions 2 to 3 of the link, this PC 1"),
        (packets.BUSY, 9, "busy with another PC; try again in 9 s"),
        (77, 0, "reason 77"),
    ],
)
def test_a_refusal_says_what_to_do(reason: int, detail: int, words: str, tmp_path: Path) -> None:
    async def story() -> None:
        settings = Settings(KnownTerminals(tmp_path), PC_KEY)
        with pytest.raises(CallFailed, match=words):
            async with connect(
                targets.Target(path="/dev/cable"), settings, True, Refuser(reason, detail)
            ):
                pass

    run(story())


def test_a_relay_in_the_middle_pairs_with_nobody(tmp_path: Path) -> None:
    """The PC talks to M, M to the terminal, and M passes on each message of the pairing. The
    merchant types what the terminal shows."""

    async def story() -> None:
        terminal = PcTerminal()
        middle_key = KeyPair(b"\x66" * 32)
        known = KnownTerminals(tmp_path)
        terminal.run()
        outer = Settings(KnownTerminals(tmp_path / "m"), middle_key, "Till 1")
        line = CableLine(terminal.cable)
        async with connect(targets.Target(path="/dev/a"), outer, True, line) as inner:

            async def relay(asked: Asked) -> None:
                call = await inner.open("pair_ask", asked.arguments)
                items = call.items()
                try:
                    await asked.item(await anext(items))
                    await call.send((await asked.next())[1])
                    await asked.item(await anext(items))
                    await call.send((await asked.next())[1])
                    await asked.item(await anext(items))
                except CallFailed as error:
                    await asked.error(error.code, error.details)

            middle = PcTerminal({"pair_ask": relay}, key=KeyPair(b"\x67" * 32))
            middle.run()
            try:
                async with connect(
                    targets.Target(path="/dev/b"),
                    Settings(known, PC_KEY, "Till 1"),
                    True,
                    CableLine(middle.cable),
                ) as there:

                    async def typed() -> str:
                        return terminal.shown[-1]

                    with pytest.raises(CallFailed, match="code was wrong and is dead"):
                        await pairing.pair(there, known, ["sync"], typed, lambda text: None)
            finally:
                await middle.stop()
        await terminal.stop()
        assert terminal.pairs == {} and known.all() == []

    run(story())


@pytest.mark.parametrize("noise", [b"", b"\x00\x01", b"login: \r\n\x00", bytes(300)])
def test_nobody_or_nonsense_at_the_port_ends_in_time(noise: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        terminal = Dumb()
        terminal.cable.ways[1] += noise
        began = aio.ticks_ms()
        with pytest.raises(CallFailed, match="no terminal answers; is it on"):
            async with linked(terminal, tmp_path, stranger=True):
                pass
        assert aio.elapsed_ms(began) < 25_000

    run(story())


def test_a_terminal_that_never_ends_its_handshake_is_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal()
        terminal.session._message = lambda *_: None  # type: ignore[method-assign]
        began = aio.ticks_ms()
        with pytest.raises(CallFailed, match="no terminal answers"):
            async with linked(terminal, tmp_path, stranger=True):
                pass
        assert aio.elapsed_ms(began) < 25_000

    run(story())


def test_a_session_that_ends_says_why(tmp_path: Path) -> None:
    reasons = {
        packets.REVOKED: "revoked this PC",
        packets.STOPPING: "stops or starts anew",
        packets.DONE: "ended the session",
        99: "CLOSE 99",
    }
    for reason, words in reasons.items():
        from firmware.link.end import PeerClosed

        assert words in str(refusals.ended("x", PeerClosed(reason)))
    from firmware.link.end import Refused

    assert "versions 2 to 3" in str(refusals.ended("x", Refused(packets.BAD_VERSION, 0x203)))
    assert "try again in 7 s" in str(refusals.ended("x", Refused(packets.BUSY, 7)))
