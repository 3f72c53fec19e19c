"""``till`` as a process beside a terminal that a test plays: how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import aio
from host_tools.pc_link import keys
from host_tools.pc_link.known import KnownTerminals
from tests.support.pc_terminal import Asked, PcTerminal, Served, entry

LIMIT_S = 60


async def shows_and_gives_up(asked: Asked) -> None:
    """Its window closes while the code is typed."""
    await asked.item({1: bytes(32)})
    await asked.next()
    await asked.item({1: b"\x09" + bytes(31)})
    await asked.error("window")


async def mute(asked: Asked) -> None:
    await aio.Event().wait()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path))
    with Served(lambda pipe: PcTerminal(pipe=pipe)) as there:
        yield there


def begun(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "host_tools.till", *words],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_pairing_that_ends_while_the_code_is_typed_ends_at_once(served: Served) -> None:
    """A thread that waits for a line must not keep the process, nor crash its end."""
    served.terminal.handlers["pair_ask"] = shows_and_gives_up
    with begun("pair", served.target) as process:
        assert process.stderr is not None
        said = process.stderr.read()  # its input stays open
        assert process.wait(LIMIT_S) == 1
    assert "pairing is not open" in said and "Fatal" not in said and "Traceback" not in said


def test_ctrl_c_gives_a_pairing_up(served: Served) -> None:
    served.terminal.handlers["pair_ask"] = mute
    with begun("pair", served.target) as process:
        assert process.stderr is not None
        assert "agree there" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr.read() == ""
    assert KnownTerminals().all() == []


def test_ctrl_c_gives_a_request_up(served: Served) -> None:
    served.terminal.pairs[keys.load().public] = ["service"]
    KnownTerminals().put(entry(served.terminal, ["service"]))
    served.terminal.handlers["status"] = mute
    with begun("status", served.target) as process:
        assert process.stderr is not None
        for _ in range(6000):
            if "status" in served.terminal.calls:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr.read() == ""
