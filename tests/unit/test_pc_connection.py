"""host_tools.pc_link.connection against a terminal in memory, honest and hostile."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.crypto.x25519 import KeyPair
from firmware.link import packets, services
from host_tools.errors import UserError
from host_tools.pc_link import refusals, targets
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import Alarm, pc_name
from host_tools.pc_link.discovery import Port, Service, printable, usb_ports
from host_tools.pc_link.known import KnownTerminals
from tests.support.pc_terminal import PC_KEY, Asked, Cable, PcTerminal, entry, linked
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


@pytest.mark.parametrize("noise", [b"", b"\x00\x01", b"login: \r\n\x00", bytes(300)])
def test_nobody_or_nonsense_at_the_port_ends_in_time(noise: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        terminal = Dumb()
        terminal.cable.ways[1] += noise
        began = aio.ticks_ms()
        with pytest.raises(CallFailed, match="no terminal answers; is it on"):
            async with linked(terminal, tmp_path, stranger=True):
                pass
        assert aio.elapsed_ms(began) < 20_000

    run(story())


def test_a_terminal_that_never_ends_its_handshake_is_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        terminal = PcTerminal()
        terminal.session._message = lambda *_: None  # type: ignore[method-assign]
        began = aio.ticks_ms()
        with pytest.raises(CallFailed, match="no terminal answers"):
            async with linked(terminal, tmp_path, stranger=True):
                pass
        assert aio.elapsed_ms(began) < 20_000

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


# -- targets


def ports(*rows: tuple[str, str, str, bool]) -> Any:
    return lambda: [Port(path, usb, serial, "x", likely) for path, usb, serial, likely in rows]


async def nothing() -> list[Service]:
    return []


def found(text: str, known: KnownTerminals, listed: Any, browse: Any = nothing) -> targets.Target:
    return run(targets.resolve(text, known, listed, browse))


def test_places_are_read_and_wrong_ones_refused() -> None:
    assert targets.parse("/dev/ttyACM0") == targets.Target(path="/dev/ttyACM0")
    assert targets.parse("COM5") == targets.Target(path="COM5")
    assert targets.parse("\\\\.\\COM12") == targets.Target(path="\\\\.\\COM12")
    assert targets.parse("tcp://10.0.0.7:99") == targets.Target(host="10.0.0.7", port=99)
    v6 = targets.parse("TCP://[fe80::1]:99/")
    assert v6 is not None and v6.text == "tcp://[fe80::1]:99"
    assert targets.parse("T1") is None and targets.parse("COMA") is None
    for bad in ("tcp://", "tcp://h", "tcp://h:0", "tcp://h:99999", "tcp://h:x", "tcp://h:1/x",
                "tcp://u@h:1"):  # fmt: skip
        with pytest.raises(UserError, match="give host and port"):
            targets.parse(bad)


def test_a_serial_number_is_found_on_usb_then_where_it_was_then_on_the_network(
    tmp_path: Path,
) -> None:
    known = KnownTerminals(tmp_path)
    terminal = PcTerminal()
    usb = ports(("/dev/ttyACM1", "1209:0001:T1", "T1", True))
    assert found("T1", known, usb).path == "/dev/ttyACM1"
    other = ports(("/dev/ttyACM1", "1209:0001:X", "X", True))
    known.put(entry(terminal, ["sync"]))
    known.change("T1", usb="1209:0001:X")
    assert found("T1", known, other) == targets.Target(
        path="/dev/ttyACM1", usb="1209:0001:X", serial="T1"
    )
    place = tmp_path / "pty"
    place.touch()
    known.change("T1", usb="", place=str(place))
    assert found("T1", known, other) == targets.Target(path=str(place), serial="T1")
    place.unlink()

    async def browse() -> list[Service]:
        return [Service("10.0.0.9", 5, "T9", "b"), Service("10.0.0.1", 4, "T1", "b")]

    assert found("T1", known, other, browse).text == "tcp://10.0.0.1:4"
    known.change("T1", place="tcp://10.0.0.3:7")
    assert found("T1", known, other).text == "tcp://10.0.0.3:7"
    with pytest.raises(UserError, match="no terminal T2 on a cable"):
        found("T2", known, other, browse)


def test_with_nothing_said_the_only_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownTerminals(tmp_path)
    one = ("/dev/ttyACM0", "1209:0001:A", "A", True)
    two = ("/dev/ttyACM1", "1209:0001:B", "B", True)
    modem = ("/dev/ttyUSB0", "", "", False)
    assert found("", known, ports(one, modem)).path == "/dev/ttyACM0"
    with pytest.raises(UserError, match=r"/dev/ttyACM0, /dev/ttyACM1\): say which"):
        found("", known, ports(one, two))
    with pytest.raises(UserError, match="no terminal is plugged in; say which"):
        found("", known, ports(modem))
    known.put(entry(PcTerminal(), ["sync"]))
    assert found("", known, ports(modem)) == targets.Target(path="/dev/cable", serial="T1")
    monkeypatch.setenv("OPENTILL_LINK", "tcp://127.0.0.1:5")
    assert found("", known, ports(one)).text == "tcp://127.0.0.1:5"


def test_a_port_that_was_plugged_in_elsewhere_is_found_by_its_usb_number(tmp_path: Path) -> None:
    target = targets.Target(path=str(tmp_path / "ttyACM0"), usb="1209:0001:A")
    listed = [Port(str(tmp_path / "ttyACM3"), "1209:0001:A", "A", "x", True)]
    assert target.find(lambda: listed) == str(tmp_path / "ttyACM3")
    with pytest.raises(Exception, match="no such port"):
        target.find(list)


def test_what_usb_says_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        device, vid, pid = "/dev/ttyACM0", 0x1209, 1
        serial_number = "A\x1b[2J" + "9" * 99
        manufacturer = product = description = "Open\nTill"

    class Uart:
        device, vid = "/dev/ttyS0", None

    (port,) = usb_ports(lambda: [Info(), Uart()])
    assert port.likely and port.product == "Open?Till"
    assert port.serial.isprintable() and len(port.serial) == 32
    assert printable(None) == "" and printable("é漢") == "é漢"
    monkeypatch.setenv("OPENTILL_PC_NAME", "店" * 60 + "\x07")
    assert pc_name() == "店" * 40
