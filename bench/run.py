"""Runs every bench/bench_*.py, prints one table and writes bench/RESULTS.md.

A module has ``rows()``: tuples (name, ours, peer, unit, ratio, aim), measured
with its peer in the same run. An aim is read as words: "<= 0.5", "at most",
"below", "at least", "under 5 ms", "at most 60 us more"; others are only
reported. A module that fails is a row of its own and the exit code is 1;
a missed aim is not an error.
"""

import datetime
import importlib
import os
import platform
import re
import sys
from pathlib import Path

from bench.reasons import reason

Row = tuple[str, float, float, str, float, str]

HERE = Path(__file__).resolve().parent


def missed(row: Row) -> bool:
    """Whether the row's aim says a number that it does not reach.

    Aims with a unit judge the first figure, "... more" the difference of both,
    bare numbers the ratio.
    """
    _, ours, peer, unit, ratio, aim = row
    words = re.match(r"(<=|at most|below|under|at least|over) ([0-9.]+) ?(\S*)( more)?", aim)
    if words is None:
        return False
    how, number, said, more = words.groups()
    limit = float(number.rstrip("."))
    if more:
        value = ours - peer
    elif said and said == unit:
        value = ours
    else:
        value = ratio
    if how in ("at least", "over"):
        return value < limit
    if how in ("below", "under"):
        return value >= limit
    return value > limit


def machine() -> list[str]:
    """What the figures were taken on, a line each."""
    model, memory = platform.machine(), ""
    cpu, total = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpu.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpu.read_text(), re.MULTILINE)
        model = found.group(1) if found else model
    if total.exists():
        found = re.search(r"^MemTotal:\s*(\d+) kB", total.read_text(), re.MULTILINE)
        memory = f", {int(found.group(1)) / 1024 / 1024:.1f} GiB of memory" if found else ""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        f"{model}, {os.cpu_count()} cores{memory}",
        f"{platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}",
        f"load average at the start (1, 5, 15 minutes): {load}",
    ]


def collect(names: list[str]) -> tuple[list[tuple[str, list[Row]]], list[str]]:
    """(rows by module, what failed)."""
    found: list[tuple[str, list[Row]]] = []
    failures = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            found.append((name, importlib.import_module("bench." + name).rows()))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one bench must not end the rest
            failures.append(f"{name}: {type(error).__name__}: {error}")
    return found, failures


def figure(value: float) -> str:
    """Three significant digits or whole units."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def table(found: list[tuple[str, list[Row]]]) -> list[str]:
    """The lines of a Markdown table, a note's number at each miss."""
    lines = [
        "| Measure | Ours | Peer | Unit | Ratio | Aim | Met |",
        "| --- | ---: | ---: | --- | ---: | --- | --- |",
    ]
    count = 0
    for _, group in found:
        for row in group:
            name, ours, peer, unit, ratio, aim = row
            met = "yes"
            if missed(row):
                count += 1
                met = f"**no** ({count})"
            elif not re.match(r"(<=|at |below|under|over)", aim):
                met = ""
            lines.append(
                f"| {name} | {figure(ours)} | {figure(peer)} | {unit} | {figure(ratio)} "
                f"| {aim} | {met} |"
            )
    return lines


def misses(found: list[tuple[str, list[Row]]]) -> list[str]:
    """A numbered line for each missed aim, with its reason."""
    rows = [row for _, group in found for row in group if missed(row)]
    return [f"{at}. {row[0]}: {reason(row[0])}" for at, row in enumerate(rows, 1)]


def report(found: list[tuple[str, list[Row]]], failures: list[str], about: list[str]) -> str:
    """The text of RESULTS.md."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    parts = [
        "# Benchmark results",
        f"Written by `bench/run.py` on {today}. Ours and peer of a row are measured in the same "
        "run, on:",
        "\n".join(f"- {line}" for line in about),
        "\n".join(table(found)),
        "## Missed aims",
        "\n".join(misses(found)) or "None.",
    ]
    if failures:
        parts += ["## Not measured", "\n".join(f"- {line}" for line in failures)]
    parts += ["## What is counted", _counted(found)]
    return "\n\n".join(parts) + "\n"


def _counted(found: list[tuple[str, list[Row]]]) -> str:
    texts = []
    for name, _ in found:
        text = importlib.import_module("bench." + name).__doc__ or ""
        texts.append(f"`bench/{name}.py`: {text.strip()}")
    return "\n\n".join(texts)


def main() -> int:
    """All, or the modules named as arguments (these write no file)."""
    about = machine()
    known = sorted(path.stem for path in HERE.glob("bench_*.py"))
    wanted = sys.argv[1:] or known
    for name in wanted:
        if name not in known:
            print(f"bench: no {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
    found, failures = collect(wanted)
    print("\n".join(table(found)))
    print("\n".join(misses(found)))
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    if wanted == known:
        (HERE / "RESULTS.md").write_text(report(found, failures, about), encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
