"""The benchmarks' table: shape of the rows, aims as words, reasons of misses. No durations."""

import pytest

from bench import (
    bench_8583,
    bench_at,
    bench_display,
    bench_idle,
    bench_register,
    bench_sale,
    bench_start,
    bench_sync,
    bench_tlv,
    bench_wake,
    reasons,
    run,
)
from bench.run import Row
from host_tools import board_file, board_rules


def _sound(rows: list[Row]) -> None:
    assert rows
    for name, ours, peer, unit, ratio, aim in rows:
        assert name and unit and aim and "|" not in name
        assert ours > 0 and peer > 0 and ratio > 0
        assert ratio == pytest.approx(ours / peer)


def test_the_quick_benches_have_sound_rows() -> None:
    _sound(bench_8583.rows(20))
    _sound(bench_tlv.rows())
    _sound(bench_at.rows(1))


def test_the_at_bench_counts_the_same_lines_everywhere() -> None:
    # Of the lines that the peers split, ours are one answer a question and two codes.
    assert bench_at.readline() == bench_at.line_reader() == 1400
    assert bench_at.ours() == bench_at.ROUNDS * (len(bench_at.EXCHANGES) + 2)


def test_the_device_starts_and_its_imports_are_rows() -> None:
    rows = bench_start.rows(quick=True)
    _sound(rows)
    assert any(row[0].startswith("import firmware") and row[3] == "MB" for row in rows)


def test_a_sync_is_timed() -> None:
    _sound(bench_sync.rows(500))


def test_a_registers_request_is_timed() -> None:
    _sound(bench_register.alone(1))


def test_a_sale_needs_at_most_six_barriers() -> None:
    assert 1 <= bench_sale.barriers() <= 6


@pytest.mark.parametrize(
    ("ours", "peer", "unit", "aim", "is_missed"),
    [
        (1.0, 2.0, "us", "<= 0.5", False),
        (1.1, 2.0, "us", "<= 0.5", True),
        (6.0, 6.0, "barriers", "at most 1", False),
        (7.0, 6.0, "barriers", "at most 1", True),
        (70.0, 9.0, "us", "at most 60 us more", True),
        (68.0, 9.0, "us", "at most 60 us more", False),
        (30.0, 1.0, "ms", "under 30 ms", True),
        (29.0, 1.0, "ms", "under 30 ms", False),
        (0.7, 1.0, "1/s", "at least 0.8", True),
        (0.8, 1.0, "1/s", "at least 0.8", False),
        (9.0, 1.0, "us", "over 20: it does", True),
        (9.0, 1.0, "ms", "reported", False),
    ],
)
def test_aims_are_read_as_words(
    ours: float, peer: float, unit: str, aim: str, is_missed: bool
) -> None:
    assert run.missed(("x", ours, peer, unit, ours / peer, aim)) is is_missed


def test_the_report_names_machine_misses_and_failures() -> None:
    row = ("durable append against raw write+fsync", 0.7, 1.0, "1/s", 0.7, "at least 0.8")
    text = run.report([("bench_tlv", [row])], ["bench_x: OSError: no disk"], ["a machine"])
    assert "- a machine" in text and "**no** (1)" in text
    assert "1. durable append" in text and "no reason known yet" not in text
    assert "bench_x: OSError: no disk" in text


def test_an_unknown_row_has_no_reason() -> None:
    assert reasons.reason("something else") == "no reason known yet"


@pytest.mark.parametrize(("name", "bound_s"), [("wifi", 24), ("mobile", 90)])
def test_a_link_that_comes_back_while_the_ladder_rests_is_used_again_soon(
    name: str, bound_s: int
) -> None:
    for outage in (170, 903):
        assert bench_wake.wake(name, outage) <= bound_s


def test_an_idle_minute_is_measured() -> None:
    rows = bench_idle.rows(1)
    _sound(rows)
    grown = ("memory", 41_700.0, 41_300.0, "KiB", 1.0, rows[2][5].replace(" 4.26667 ", " 256 "))
    assert run.missed(grown) and not run.missed((*grown[:1], 41_500.0, *grown[2:]))


def test_each_panel_is_timed_at_its_own_bus() -> None:
    panels = set()
    for path in board_rules.BOARDS.glob("*/board.toml"):
        board = board_file.read(path)
        driver = board["bus"][board["display"]["bus"]]["driver"]
        if driver != "wire_display" and path.parent.name != "qemu-x86_64":
            panels.add(path.parent.name)
    assert panels == set(bench_display.BOARDS)
    for board, limit_ms in (("esp32-s3", 1024 * 9 / 400), ("rpi-cm4-counter", 153600 * 8 / 8000)):
        *changes, whole = bench_display._times(board)
        assert whole[2] == pytest.approx(limit_ms) and whole[1] >= whole[2]
        assert len(changes) == len(bench_display.CHANGES)
        assert all(0 < ours < frame <= whole[1] for _, ours, frame, *_ in changes)
