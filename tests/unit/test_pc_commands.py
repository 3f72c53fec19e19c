"""The commands that talk to a terminal, over TCP to one in memory: honest and hostile."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.link import config_set, services
from host_tools import command_line, till
from host_tools.pc_doctor import ports
from host_tools.pc_link import keys
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.screen_text import framed
from host_tools.redaction import redacted
from tests.support.pc_terminal import CHAIN, Asked, PcTerminal, Served

ALL = ["sync", "register", "service"]
TREE = {
    "screen": "idle",
    "nodes": [
        {"name": "signal", "kind": "signal", "bars": 3},
        {"name": "battery", "kind": "battery", "percent": 80, "mains": True},
        {"name": "title", "kind": "text", "text": "请输入金额"},
        {"name": "amount", "kind": "amount", "text": "12.34"},
        {"name": "menu", "kind": "menu", "items": ["One", "Two"], "selected": 1},
        {"name": "lines", "kind": "lines", "items": [["a", "b"]]},
        {"name": "pin", "kind": "dots", "count": "***"},
        {"name": "ok", "kind": "hint", "button": "enter", "text": "确认"},
    ],
}
STATUS: dict[int, Any] = {
    1: "blocked", 2: ["error.not_provisioned", "error.of_tomorrow"], 3: 80, 4: True,
    5: "ok", 6: "up", 7: 3, 8: 4,
    9: [["sale", 156, 2, 1999]], 10: True, 11: 40, 12: 38, 13: 1_000_000_000, 14: True,
    15: "12345678", 16: "123456789012345", 17: "zh",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("OPENTILL_LINK", raising=False)
    monkeypatch.setattr("host_tools.pc_link.discovery.usb_ports", list)
    return tmp_path


class Bench:
    """A served terminal that this PC is paired with, and what commands said."""

    def __init__(self, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
        self.served = served
        self.capsys = capsys

    @property
    def terminal(self) -> PcTerminal:
        return self.served.terminal

    def till(self, *words: str, code: int = 0) -> str:
        out = self.run(*words, code=code)[0]
        return out

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        self.capsys.readouterr()
        module = __import__(till.COMMANDS[words[0]][0], fromlist=["app"])
        got = command_line.run(module.app, f"till {words[0]}", list(words[1:]))
        out, err = self.capsys.readouterr()
        assert got == code, out + err
        return out, err

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.till(*words, "--json", code=code).splitlines()[-1])


async def status(asked: Asked) -> None:
    await asked.end(STATUS)


async def screen(asked: Asked) -> None:
    await asked.end({1: TREE})


async def log(asked: Asked) -> None:
    for number in range(asked.arguments[1] + 1, asked.arguments[1] + 4):
        await asked.item({1: number, 2: f"note {number}: 4111111111111111"})
    await asked.end({1: 3})


async def doctor(asked: Asked) -> None:
    words = {"en": "paper out", "zh": "缺纸"}[asked.arguments[1]]
    row = {1: "printer", 2: "escpos", 3: "uart1", 4: "fail", 5: words, 6: "status 12", 7: "fill"}
    await asked.item({1: row})
    await asked.end({1: False})


async def watch(asked: Asked) -> None:
    for topic in asked.arguments[1]:
        what: dict[int, Any] = {"status": STATUS, "screen": {1: TREE}}.get(
            topic, {1: 5, 2: "x"} if topic == "log" else {1: 7, 2: 1, 3: CHAIN}
        )
        await asked.item({1: topic, 2: what})
    await asked.item({1: asked.arguments[1][0], 2: {77: "\x1b[2J"}})
    await asked.item({1: "weather", 2: {1: "never asked for"}})
    await asked.error("slow")


async def try_sale(asked: Asked) -> None:
    await asked.item({1: "amount", 2: 12})
    await asked.item({1: "card", 2: 345})
    done = asked.arguments[1] == 100
    await asked.end({1: "done" if done else "failed", 2: "" if done else "no_paper"})


class Settings:
    """Keeps settings as D2's handlers do, with their proof looked at."""

    def __init__(self, terminal: PcTerminal) -> None:
        self.terminal = terminal
        self.version = 4
        self.values: dict[str, Any] = {"language": "zh", "link.meter": True, "retries": 3}
        self.before: dict[str, Any] = {}

    async def get(self, asked: Asked) -> None:
        values = self.before if asked.arguments.get(2) else self.values
        for name in asked.arguments[1] or sorted(values):
            if name not in values:
                await asked.error(services.BAD_ARGUMENTS, {1: name})
                return
            await asked.item({1: name, 2: values[name]})
        await asked.end({1: self.version})

    async def push(self, asked: Asked) -> None:
        given = config_set.read(asked.arguments[1])
        if given.author != asked.key or not given.proved(self.terminal.key):
            await asked.error("signature")
        elif given.version != self.version + 1:
            await asked.error("version", {1: self.version})
        else:
            self.before = {name: self.values[name] for name in given.values}
            self.values.update(given.values)
            self.version = given.version
            await asked.end({1: self.version})


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], home: Path) -> Iterator[Bench]:
    mine = keys.load().public
    handlers = {
        "status": status, "screen": screen, "log": log, "doctor": doctor, "watch": watch,
        "test_sale": try_sale,
    }  # fmt: skip

    def make(pipe: Any) -> PcTerminal:
        terminal = PcTerminal(handlers, pipe=pipe, pairs={mine: list(ALL)})
        settings = Settings(terminal)
        terminal.handlers.update({"config_get": settings.get, "config_push": settings.push})
        return terminal

    with Served(make) as served:
        key = served.terminal.key.public
        known = Known("T1", key, roles=tuple(ALL), confirmed=True, place=served.target)
        KnownTerminals().put(known)
        yield Bench(served, capsys)


def test_status_in_both_languages_and_for_machines(bench: Bench) -> None:
    said = bench.till("status", bench.served.target)
    for words in ("T1", "takes no payments", "Not set up; error.of_tomorrow", "80 % charging",
                  "3/4", "sale, currency 156: 2 payments, 1999 minor units",
                  "a reversal is owed", "40 records, 2 not synced", "behind this PC's", "TEST keys",
                  "12345678"):  # fmt: skip
        assert words in said, words
    assert "停止收款" in bench.till("status", "--language", "zh")  # the only one it knows
    told = bench.json("status", "T1")
    assert told["state"] == "blocked" and told["totals"] == [["sale", 156, 2, 1999]]
    assert told["clock_ahead_s"] < -100_000_000 and told["roles"] == ALL


def test_the_screen_is_drawn_and_given_as_a_tree(bench: Bench) -> None:
    drawn = bench.till("screen")
    lines = drawn.splitlines()
    assert lines == framed(TREE) and lines[0].startswith("┌─ idle ─")
    for words in ("▁▃▅", "80%+", "请输入金额", "12.34", "▶ Two", "a  b", "***", "↵ 确认"):
        assert words in drawn, words
    from rich.cells import cell_len

    assert len({cell_len(line) for line in lines}) == 1
    assert bench.json("screen") == TREE


@pytest.mark.parametrize(
    "tree",
    [
        None, [], {}, {"nodes": 1}, {"screen": 1, "nodes": [1, [], {}, {"kind": {}}]},
        {"screen": "\x1b[2J" * 50, "nodes": [{"kind": "text", "text": "\x1b]0;x\x07" * 90}]},
        {"screen": "x", "nodes": [{"kind": "menu", "items": [{}] * 900, "selected": "x"},
                                  {"kind": "signal", "bars": 1 << 62},
                                  {"kind": "battery", "percent": "x", "mains": 3},
                                  {"kind": "dots", "count": 1 << 40}, {"kind": "lines",
                                   "items": [1, [1], [1, 2]]}, {"kind": "hint", "text": 3}]},
    ],
)  # fmt: skip
def test_a_hostile_tree_is_drawn_in_bounds_and_without_escapes(tree: Any) -> None:
    lines = framed(tree)
    assert len(lines) < 200
    for line in lines:
        assert line.isprintable() and len(line) < 200, line


def test_log_watch_and_test_sale(bench: Bench) -> None:
    assert bench.till("log", "--after", "5").splitlines()[0] == "6: note 6: 4111111111111111"
    assert bench.json("log")["last"] == 3
    out, err = bench.run("watch", "--topic", "log", "--topic", "screen", code=1)
    assert "log 5: x" in out and "│" in out and "did not read quickly" in err
    assert "never asked for" not in out and "\x1b" not in out
    rows = [json.loads(line) for line in bench.till("watch", "--json", code=1).splitlines()]
    assert [row.get("topic") for row in rows[:4]] == ["status", "journal", "screen", "log"]
    assert rows[0]["state"] == "blocked" and rows[1]["sequence"] == 7 and "odd" in rows[4]
    bench.run("watch", "--topic", "weather", code=2)
    said = bench.till("test-sale", "100")
    assert "12 ms  amount shown" in said and "No money moved" in said
    assert "failed (no_paper)" in bench.run("test-sale", "5", code=1)[1]
    assert bench.json("test-sale", "5", code=1)["outcome"] == "failed"
    bench.run("test-sale", "0", code=2)


def test_settings_are_read_changed_and_taken_back(bench: Bench, home: Path) -> None:
    assert "link.meter" in bench.till("config", "get")
    assert bench.json("config", "get", "language") == {"version": 4, "values": {"language": "zh"}}
    assert "as version 5" in bench.till("config", "set", "language=en", "retries=7")
    read = bench.json("config", "get")
    assert read == {"version": 5, "values": {"language": "en", "link.meter": True, "retries": 7}}
    assert bench.json("config", "revert")["values"] == {"language": "zh", "retries": 3}
    file = home / "settings.json"
    file.write_text(json.dumps(read))
    assert bench.json("config", "push", str(file))["version"] == 7
    toml = home / "settings.toml"
    toml.write_text('language = "zh"\n"link.meter" = false\n')
    assert bench.json("config", "push", str(toml))["values"]["link.meter"] is False
    for bad, words in (
        ("{", "settings.json: "), ("[]", "no settings"), ('{"a": [1]}', "a is no text"),
        ('{"values": {"a": 1.5}}', "a is no text"), ("[" * 70000, "settings.json"),
    ):  # fmt: skip
        file.write_text(bad)
        assert words in bench.run("config", "push", str(file), code=1)[1]
    said = bench.run("config", "set", "nothing=1", code=1)[1]
    assert "nothing: no such setting; `till config get` lists them" in said
    for words in ("x", "=1", "a=1 a=2"):
        bench.run("config", "set", *words.split(), code=2)


def test_pairing_by_keys_and_by_script(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = bench.terminal
    terminal.pairs.clear()
    KnownTerminals().remove("T1")
    here = bench.served.target

    def types(*lines: str) -> None:
        """These lines, then what the terminal shows."""
        left = list(lines)
        monkeypatch.setattr(
            "host_tools.commands.pair._line",
            lambda: left.pop(0) if left else terminal.shown[-1] + "\n",
        )

    types("12345\n", "what\n")
    out, err = bench.run("pair", here, "--role", "register", "--name", "Kasse 1")
    assert "Paired with terminal T1 as register." in out
    assert err.count("Six digits, as the terminal shows") == 2 and terminal.shown[-1] not in err
    assert terminal.names[-1] == "Kasse 1" and list(terminal.pairs.values()) == [["register"]]
    known = KnownTerminals().get("T1")
    assert known is not None and known.confirmed and known.roles == ("register",)
    assert known.place == here

    types()
    told = bench.json("pair", here, "--code")
    assert told["roles"] == ["sync", "service"]

    types("000000\n")
    terminal.pairs.clear()
    before = KnownTerminals().get("T1")
    assert "the code was wrong and is dead" in bench.run("pair", here, "--code", code=1)[1]
    assert KnownTerminals().get("T1") == before
    for stdin in ("", "12345\n", "1234567\n"):
        types(stdin)
        assert "no code was typed" in bench.run("pair", here, "--code", code=1)[1]
    terminal.window = False
    assert "pairing is not open" in bench.run("pair", here, "--code", code=1)[1]
    terminal.window, terminal.agrees = True, False
    assert "merchant refused" in bench.run("pair", here, "--code", code=1)[1]
    bench.run("pair", here, "--role", "king", code=2)
    bench.run("pair", here, "--name", "x" * 41, code=2)


async def false_proof(asked: Asked) -> None:
    """Agrees, shows a code of its own and gives a tag that proves nothing."""
    await asked.item({1: bytes(32)})
    await asked.next()
    await asked.item({1: b"\x09" + bytes(31)})
    await asked.next()
    await asked.item({1: bytes(64), 2: bytes(32)})
    await asked.next()
    await asked.end({1: asked.arguments[1]})


async def early_end(asked: Asked) -> None:
    await asked.end({1: asked.arguments[1]})


async def too_early(asked: Asked) -> None:
    await asked.item({1: bytes(32)})
    await asked.next()
    await asked.item({1: b"\x09" + bytes(31)})
    await asked.item({1: bytes(64), 2: bytes(32)})
    await asked.next()


async def low_order(asked: Asked) -> None:
    await asked.item({1: bytes(32)})
    await asked.next()
    await asked.item({1: bytes(32)})
    await asked.next()


@pytest.mark.parametrize(
    "handler, words",
    [
        (false_proof, "ALARM: the terminal did not prove"),
        (early_end, "pairing failed"),
        (too_early, "pairing failed"),
        (low_order, "pairing failed"),
    ],
)
def test_nothing_is_paired_with_a_terminal_that_proves_nothing(
    handler: Any, words: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.terminal.pairs.clear()
    KnownTerminals().remove("T1")
    bench.terminal.handlers["pair_ask"] = handler
    monkeypatch.setattr("host_tools.commands.pair._line", lambda: "123456\n")
    assert words in bench.run("pair", bench.served.target, "--code", code=1)[1]
    assert KnownTerminals().all() == []


def test_unpairing_at_both_ends_and_when_it_is_away(bench: Bench) -> None:
    other = b"\x55" * 32
    bench.terminal.pairs[other] = ["sync"]
    rows = bench.json("unpair", "--list")["pcs"]
    assert {row["fingerprint"] for row in rows} == {
        services.fingerprint(other), services.fingerprint(keys.load().public)
    }  # fmt: skip
    mark = services.fingerprint(other)
    assert mark not in bench.till("unpair", "--pc", mark) and other not in bench.terminal.pairs
    bench.run("unpair", "--pc", "xyz", code=2)
    bench.run("unpair", "--here", "--list", code=2)
    assert "are not paired any more" in bench.till("unpair", "T1")
    assert bench.terminal.pairs == {} and KnownTerminals().all() == []
    assert "knows no terminal" in bench.run("unpair", "T1", "--here", code=1)[1]
    said = bench.run("unpair", bench.served.target, code=1)[1]
    assert "terminal T1 and this PC are not paired" in said
    KnownTerminals().put(Known("T7", bytes(32), place="/dev/nothing-there"))
    said = bench.till("unpair", "T7")
    assert "forgot terminal T7" in said and "still knows this PC: revoke it" in said
    KnownTerminals().put(Known("T1", bytes(32), place=bench.served.target))
    said = bench.till("unpair", "T1")  # another key than before
    assert "DANGER" in said and KnownTerminals().all() == []


def test_devices_lists_ports_network_and_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from host_tools.pc_link import discovery

    listed = [
        discovery.Port("/dev/ttyACM0", "1209:0001:T1", "T1", "OpenTill", True),
        discovery.Port("/dev/ttyUSB0", "", "", "Modem", False),
    ]
    monkeypatch.setattr("host_tools.pc_link.discovery.usb_ports", lambda: listed)
    host, port = bench.served.target.removeprefix("tcp://").split(":")

    async def network() -> list[Any]:
        return [discovery.Service(host, int(port), "T1", "virtual")]

    monkeypatch.setattr("host_tools.pc_link.discovery.on_network", network)
    said = bench.till("devices")
    assert "/dev/ttyACM0" in said and "no terminal, it seems" in said and "T1" in said
    told = bench.json("devices", "--ask")
    assert [place["place"] for place in told["places"]] == [
        "/dev/ttyACM0", "/dev/ttyUSB0", bench.served.target
    ]  # fmt: skip
    assert told["places"][2]["answer"]["roles"] == ALL
    assert "problem" in told["places"][0]["answer"] and "answer" not in told["places"][1]
    assert told["known"][0]["terminal"] == "T1" and told["known"][0]["confirmed"]


def test_doctor_of_the_link(bench: Bench, home: Path) -> None:
    out, _ = bench.run("doctor", bench.served.target, code=1)
    assert "FAIL  Printer: escpos (uart1)" in out and "paper out" in out and "status 12" in out
    assert "缺纸" in bench.run("doctor", "T1", "--language", "zh", code=1)[0]
    told = bench.json("doctor", bench.served.target, code=1)
    states = {row["check"]: row["state"] for row in told["checks"]}
    assert states == {
        "key": "ok", "link": "ok", "pairing": "ok", "clock": "warn", "devices": "fail"
    }  # fmt: skip
    bench.terminal.handlers.pop("doctor")
    bench.terminal.pairs.clear()
    KnownTerminals().remove("T1")
    told = bench.json("doctor", bench.served.target)
    assert {row["check"]: row["state"] for row in told["checks"]}["pairing"] == "warn"
    told = bench.json("doctor", "/dev/nothing-there", code=1)
    assert told["checks"][-1]["check"] == "port" and not told["well"]
    closed = home / "port"
    closed.touch(mode=0o600)
    told = bench.json("doctor", str(closed), code=1)
    assert told["checks"][-1]["check"] in ("permission", "held")
    bench.run("doctor", "no-such-board", code=1)
    bench.run("doctor", "--data", "/", bench.served.target, code=2)
    bench.run("doctor", "virtual", "--write-udev-rule", code=2)


def test_a_port_that_may_not_be_opened_is_said_with_the_rule(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "may_open", lambda path: False)
    monkeypatch.setattr(ports, "owner_group", lambda path: "dialout")
    port = home / "ttyACM0"
    port.touch()
    said = bench.till("doctor", str(port), code=1)
    for words in ("FAIL", "this user may not open it", "sudo till doctor --write-udev-rule",
                  "usermod -a -G dialout", 'SUBSYSTEM=="tty"'):  # fmt: skip
        assert words in said, words
    monkeypatch.undo()
    assert ports.owner_group(str(home / "none")) == ""


def test_the_udev_rule_is_written_where_it_may_be(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "RULES", home / "70-opentill.rules")
    assert "udevadm control --reload" in bench.till("doctor", "--write-udev-rule")
    rule = (home / "70-opentill.rules").read_text()
    assert rule == ports.udev_rule("")
    for line in rule.splitlines()[1:]:
        assert line.startswith('SUBSYSTEM=="tty", ATTRS{idVendor}=="') and "uaccess" in line
    assert '=="1209", ATTRS{idProduct}=="0007"' in ports.udev_rule("1209:0007:X")
    monkeypatch.setattr(ports, "RULES", home / "none" / "x.rules")
    assert "sudo till doctor" in bench.run("doctor", "--write-udev-rule", code=1)[1]


def test_a_support_bundle_tells_nothing_that_it_must_not(bench: Bench, home: Path) -> None:
    path = home / "bundle.zip"
    told = bench.json("support-bundle", "--out", str(path))
    assert len(told["incident"]) == 8
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(texts) == {"about.json", "known.json", "doctor.json", "terminal.json"}
    whole = "".join(texts.values())
    assert "4111111111111111" not in whole and "411111******1111" in whole
    assert keys.load().public.hex() not in whole and CHAIN.hex() not in whole
    private = json.loads((home / "home" / keys.FILE).read_text())["private"]
    assert private not in whole
    assert json.loads(texts["terminal.json"])["settings"]["version"] == 4
    assert told["incident"] in texts["about.json"]
    assert "is there already" in bench.run("support-bundle", "--out", str(path), code=1)[1]
    out, _ = bench.run("support-bundle", "--out", str(path), "--force", "/dev/nothing-there")
    assert "Incident " in out
    with zipfile.ZipFile(path) as archive:
        assert "problem" in json.loads(archive.read("terminal.json"))


@pytest.mark.parametrize(
    "text, instead",
    [
        ("pan 4111 1111 1111 1111.", "pan 411111******1111."),
        ("4111-1111-1111-1111", "411111******1111"),
        (";4111111111111111=25121011234?", ";***?"),
        ("4111111111111111D25121011234", "***"),
        ("stan 123456 rrn 123456789012", "stan 123456 rrn 123456789012"),
        ("key " + "aB" * 24, "key ***"),
        ("at 1800000000", "at 1800000000"),
    ],
)
def test_redaction(text: str, instead: str) -> None:
    assert redacted(text) == instead


def endless_items(value: dict[int, Any]) -> Any:
    async def handler(asked: Asked) -> None:
        for _ in range(100_000):
            if asked.stream.over or asked.stream.cancelled:
                return
            await asked.item(value)

    return handler


@pytest.mark.parametrize(
    "service, value, words",
    [
        ("log", {1: 1, 2: "x"}, ["log"]),
        ("config_get", {1: "a", 2: 1}, ["config", "get"]),
        ("test_sale", {1: "card", 2: 1}, ["test-sale", "100"]),
        ("doctor", {1: {1: "printer"}}, ["doctor"]),
        ("status", {1: 1}, ["status"]),
        ("pairs", {1: 1}, ["unpair", "--list"]),
    ],
)
def test_answers_without_an_end_are_ended_here(
    service: str, value: dict[int, Any], words: list[str], bench: Bench
) -> None:
    bench.terminal.handlers[service] = endless_items(value)
    out, err = bench.run(*words, code=1)
    assert "may not give" in out + err


async def not_of_the_table(asked: Asked) -> None:
    await asked.end({1: "\x1b[31m" * 100, 99: 1})


@pytest.mark.parametrize(
    "service, words",
    [
        ("status", ["status"]),
        ("screen", ["screen"]),
        ("log", ["log"]),
        ("test_sale", ["test-sale", "100"]),
        ("config_get", ["config", "get"]),
        ("config_push", ["config", "set", "language=en"]),
        ("pairs", ["unpair", "--list"]),
        ("watch", ["watch"]),
    ],
)
def test_answers_out_of_the_table_are_errors_of_one_line(
    service: str, words: list[str], bench: Bench
) -> None:
    bench.terminal.handlers[service] = not_of_the_table
    out, err = bench.run(*words, code=1)
    assert "may not give" in err and err.count("\n") == 1 and "\x1b" not in out + err
    told = json.loads(bench.till(*words, "--json", code=1).splitlines()[-1])
    assert set(told) == {"error", "offset"}


def test_every_command_tells_what_to_do_when_nobody_is_there(bench: Bench) -> None:
    commands = (
        ["status"], ["screen"], ["log"], ["watch"], ["config", "get"], ["pair"], ["unpair"],
        ["test-sale", "100"],
    )  # fmt: skip
    for words in commands:
        place = ["--terminal"] if words[0] == "config" else []
        _, err = bench.run(*words, *place, "/dev/nothing-there", code=1)
        assert "plug the terminal in" in err or "knows no terminal" in err, words
        _, err = bench.run(*words, *place, "tcp://127.0.0.1:1", code=1)
        assert "nothing is there" in err, words
        _, err = bench.run(*words, *place, "tcp://nowhere", code=1)
        assert "give host and port" in err, words
