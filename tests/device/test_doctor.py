"""The doctor: each device of a board by name, driver, bus and state."""

import json
from pathlib import Path
from typing import Any

import pytest

from firmware import board_loader
from firmware.hal.watchdog import Watchdog
from firmware.services import doctor, self_test
from host_tools import command_line
from host_tools.commands import doctor as command
from tests.device.stories import sell, tell
from tests.support.handheld import Handheld
from tests.support.power import Life


async def _examined(t: Handheld) -> dict[str, dict[str, Any]]:
    life = Life(t.rack, t.disk, t.changed.set)
    tables: dict[str, dict[str, Any]] = {}

    async def examine() -> None:
        devices = await board_loader.build(t.board, life.wire, "", {"files": life.files})
        for finding in await doctor.examine(devices, t.board, board_loader.KINDS):
            tables[finding.name or finding.kind] = finding.table()

    await life.start(examine())
    await life.end()
    return tables


def test_every_device_of_the_board_is_named_with_driver_and_bus() -> None:
    async def story(t: Handheld) -> None:
        found = await _examined(t)
        assert set(found) == {kind for kind in board_loader.KINDS if kind in t.board}
        assert {table["state"] for table in found.values()} == {"ok"}
        assert found["clock"]["driver"] == "ds3231"
        assert found["clock"]["buses"][0]["name"] == "i2c0"
        assert [bus["name"] for bus in found["power"]["buses"]] == ["i2c0", "gpio"]
        assert found["printer"]["words"]["zh"]["device"] == "打印机"

    tell(story)


@pytest.mark.parametrize(
    ("kind", "chip", "name", "text", "key"),
    [
        ("clock", "rtc", "mute", "error.clock", "doctor.silent"),
        ("power", "gauge", "mute", "error.power", "doctor.silent"),
        ("printer", "printer", "mute", "error.printer", "doctor.silent"),
        ("entropy", "trng", "mute", "error.entropy", "doctor.silent"),
        ("display", "display", "mute", "error.display", "doctor.silent"),
    ],
)
def test_a_fault_comes_with_cause_and_action(
    kind: str, chip: str, name: str, text: str, key: str
) -> None:
    async def story(t: Handheld) -> None:
        setattr(getattr(t.rack, chip), name, True)
        table = (await _examined(t))[kind]
        assert table["state"] == "fail" and table["cause"]
        assert doctor.advice(table["cause"]) == key, table["cause"]
        for language in ("en", "zh"):
            assert {"device", "problem", "engineer"} <= set(table["words"][language])
            assert "[" not in "".join(table["words"][language].values())

    tell(story)


@pytest.mark.parametrize(
    ("kind", "chip", "key"),
    [
        ("scanner", "scanner", "doctor.absent"),
        ("stripe", "swipe", "doctor.absent"),
        ("contactless", "nfc", "doctor.absent"),
    ],
)
def test_a_reader_that_is_not_there_is_named(kind: str, chip: str, key: str) -> None:
    async def story(t: Handheld) -> None:
        part = getattr(t.rack, chip)
        if kind == "stripe":
            part.unplug()
        else:
            part.unplugged = True
        found = await _examined(t)
        table = found.pop(kind)
        assert (table["state"], doctor.advice(table["cause"])) == ("fail", key), table["cause"]
        for language in ("en", "zh"):
            assert {"device", "problem", "do", "engineer"} <= set(table["words"][language])
        assert {other["state"] for other in found.values()} == {"ok"}

    tell(story)


def test_a_device_that_is_well_may_say_what_it_is() -> None:
    async def story(t: Handheld) -> None:
        table = (await _examined(t))["contactless"]
        assert (table["cause"], table["says"]) == ("", "PN532 1.6")

    tell(story)


class _Bitten(Watchdog):
    """A running watchdog that has reset the board."""

    armed = True

    async def check(self) -> str:
        return "60 s"

    async def bitten(self) -> bool:
        return True


def test_a_reset_by_the_watchdog_is_told_with_what_to_do() -> None:
    async def story(t: Handheld) -> None:
        life = Life(t.rack, t.disk, t.changed.set)
        results: list[self_test.Result] = []

        async def hear(result: self_test.Result) -> None:
            results.append(result)

        async def test() -> None:
            given = {"files": life.files, "watchdog": _Bitten()}
            devices = await board_loader.build(t.board, life.wire, "", given)
            await self_test.run(devices, 0, hear, ("watchdog",))

        await life.start(test())
        await life.end()
        ((state, key),) = [(one.state, one.text_key) for one in results]
        assert (state, key) == ("warn", "error.watchdog_bitten")
        assert doctor.advice(results[0].detail) == "doctor.hung"

    tell(story)


def test_a_warning_is_no_failure() -> None:
    async def story(t: Handheld) -> None:
        t.rack.printer.paper_out = True
        table = (await _examined(t))["printer"]
        assert (table["state"], table["words"]["en"]["problem"]) == ("warn", "No paper")

    tell(story)


@pytest.mark.parametrize(
    ("cause", "key"),
    [
        ("serial port /dev/ttyS9: [Errno 13] Permission denied", "doctor.permission"),
        ("display: I2C device not found: /dev/i2c-1", "doctor.absent"),
        ("i2c bus 1: [Errno 2] No such file or directory: '/dev/i2c-1'", "doctor.absent"),
        ("needs the keypad, which did not start", "doctor.needs"),
        ("pyscard is not installed (pip install 'opentill[pcsc]')", "doctor.package"),
        ("could not open port: [Errno 16] Device or resource busy", "doctor.busy"),
        ("[Errno 121] Remote I/O error", "doctor.silent"),
        ("no input device 0c2e:0b61 (another program holds it: [Errno 16])", "doctor.busy"),
        ("something else", ""),
    ],
)
def test_the_advice_fits_the_cause(cause: str, key: str) -> None:
    assert doctor.advice(cause) == key


def _command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = command_line.run(command.app, "doctor", words)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_examines_software_chips(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _command(capsys, "virtual", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["board"] == "virtual"
    assert {device["state"] for device in report["devices"]} == {"ok"}


def test_the_command_on_a_machine_that_is_not_the_board(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = _command(capsys, "rpi-zero-2w", "--language", "zh", "--data", str(tmp_path))
    assert (code, err) == (1, "")
    assert "FAIL  时钟: ds3231 on i2c1 (linux_i2c, port 1)" in out and "请联系维修" in out
    assert "ok    存储: folder" in out and "Traceback" not in out


def test_what_wears_is_read_from_the_terminals_own_journal() -> None:
    async def story(t: Handheld) -> None:
        t.board["maintenance"] = {"inserts": 1}
        assert (await _worn(t))["due"] == []
        await t.power_on()
        for _ in range(2):
            await sell(t)
            await t.back_to_idle()
        await t.power_off()
        before = t.disk.snapshot()
        worn = await _worn(t)
        assert t.disk.snapshot() == before
        totals = {row["name"]: row["total"] for row in worn["counters"]}
        assert totals["inserts"] == 2 and totals["paper_mm"] > 50
        assert (totals["boots"], totals["power_lost"], totals["cuts"]) == (1, 1, None)
        (due,) = worn["due"]
        assert (due["name"], due["used"], due["limit"]) == ("inserts", 2, 1)
        assert due["words"]["zh"] == "插卡口该保养"

    tell(story)


async def _worn(t: Handheld) -> dict[str, Any]:
    life = Life(t.rack, t.disk, t.changed.set)
    found: list[dict[str, Any] | None] = []

    async def examine() -> None:
        devices = await board_loader.build(t.board, life.wire, "", {"files": life.files})
        await doctor.examine(devices, t.board, ())
        found.append(await doctor.wear(devices, t.board))

    await life.start(examine())
    await life.end()
    assert found[0] is not None
    return found[0]


def test_the_command_tells_the_counters_of_a_data_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = _command(capsys, "virtual", "--data", str(tmp_path))
    assert (code, err) == (0, "")
    assert "      Paper: 0 mm\n" in out and "      Cuts: -\n" in out
    assert "Paper" not in _command(capsys, "virtual")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere"),
        (["virtual", "--language", "fr"], "known: en, zh"),
        (["virtual", "--data", "/nonexistent"], "no such folder"),
    ],
)
def test_wrong_words_are_answered(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _command(capsys, *words)
    assert code == 1 and out == "" and said in err and len(err.splitlines()) == 1
