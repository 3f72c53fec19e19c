"""The rig's own parts: what it makes of a guest that hangs, panics, or ends too early."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import build, cpio, run
from tests.rig.arm64 import build as arm64

UP = f"print({run.UP!r}, flush=True)\n"


def boot(code: str, limit_s: float = 60, silence_s: float = 60) -> run.Boot:
    """A "guest" that is a few lines of Python."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        return run.watch(process, limit_s, silence_s, show=False)


def test_a_good_run(tmp_path: Path) -> None:
    done = boot(UP)
    assert done.lines == [run.UP] and done.up_s is not None
    (tmp_path / "status").write_text("0\n")
    assert run.judge(done, tmp_path) == ""


@pytest.mark.parametrize(
    ("code", "status", "wrong"),
    [
        (UP, "1", "pytest in the guest ended with 1"),
        (UP, None, "the guest ended before its tests did"),
        ("", None, "the guest did not start"),
        (UP + "print('[ 1.0] Kernel panic - not syncing: dead')", "0",
         "Kernel panic - not syncing: dead"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_said(code: str, status: str | None, wrong: str, tmp_path: Path) -> None:
    if status is not None:
        (tmp_path / "status").write_text(status)
    assert run.judge(boot(code), tmp_path) == wrong


def test_a_guest_that_says_nothing_or_never_ends_is_killed(tmp_path: Path) -> None:
    hanging = boot(UP + "import threading; threading.Event().wait(600)", 60, 0.5)
    assert run.judge(hanging, tmp_path).startswith("the guest hangs")
    chatting = boot("while True: print('.', flush=True)", 0.5, 60)
    assert run.judge(chatting, tmp_path).startswith("the guest did not end within")


def test_a_guest_that_hangs_is_asked_for_its_blocked_tasks() -> None:
    # A shell: on a busy machine Python may be silent for as long before its first line.
    code = f"echo '{run.UP}'; echo \"asked $(head -c {len(run.ASK_BLOCKED)})\"; exec cat"
    with subprocess.Popen(
        ["sh", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        done = run.watch(process, 60, 1, show=False)
    assert done.trouble.startswith(run.HANGS)
    assert done.lines == [run.UP, f"asked {run.ASK_BLOCKED.decode()}"]


def test_no_guest_is_left_behind_when_the_run_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    code = UP + "import threading; threading.Event().wait(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        monkeypatch.setattr("builtins.print", stopped)
        with pytest.raises(KeyboardInterrupt):
            run.watch(process, 60, 60, show=True)
        assert process.returncode is not None


def test_outcomes_are_read_with_the_reasons_of_what_was_skipped(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    assert run.tests_of(junit) == {"passed": [], "failed": [], "skipped": []}
    junit.write_text(
        '<testsuites><testsuite><testcase classname="a" name="one"/>'
        '<testcase classname="a" name="two"><failure/></testcase>'
        '<testcase classname="a" name="three"><error/></testcase>'
        '<testcase classname="a" name="four"><skipped message="no module"/></testcase>'
        "</testsuite></testsuites>"
    )
    assert run.tests_of(junit) == {
        "passed": ["a.one"], "failed": ["a.two", "a.three"], "skipped": ["a.four: no module"],
    }  # fmt: skip


def test_the_watchdog_passes_only_when_it_was_fed_and_then_reset_the_guest(tmp_path: Path) -> None:
    reset = run.Boot(lines=[f"[ 9.0] {run.RESET}"])
    assert run.watchdog(reset, tmp_path)[0] == "failed"
    note = tmp_path / "watchdog"
    note.write_text("fed")
    assert run.watchdog(reset, tmp_path) == ("passed", run.WATCHDOG)
    assert run.watchdog(run.Boot(), tmp_path)[0] == "failed"
    note.write_text("the guest was not reset")
    assert run.watchdog(reset, tmp_path)[0] == "failed"
    note.write_text("skipped: no softdog")
    assert run.watchdog(run.Boot(), tmp_path) == ("skipped", f"{run.WATCHDOG}: no softdog")


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    tree = tmp_path / "6.1"
    for name, depends in (("top-one", "middle"), ("middle", "base_one"), ("base-one", "")):
        path = tree / "kernel" / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x7fELF\0name=x\0depends=" + depends.encode() + b"\0")
    (tree / "modules.builtin").write_text("kernel/drivers/virtio/virtio.ko\n")
    order = cpio.module_order(tree, ("top_one", "virtio", "middle"))
    assert [path.name for path in order] == ["base-one.ko", "middle.ko", "top-one.ko"]
    with pytest.raises(KeyError):
        cpio.module_order(tree, ("absent",))


def test_an_archive_is_a_newc_cpio_that_the_kernel_unpacks() -> None:
    made = cpio.archive({"init": b"#!/bin/sh\n", "modules/a": b"abc"}, {"init"}, ["modules"])
    names, at = [], 0
    while at < len(made):
        assert made[at : at + 6] == b"070701"
        fields = [int(made[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = made[at + 110 : at + 110 + fields[11] - 1].decode()
        body = at + 110 + fields[11]
        body += -body % 4
        names.append((name, oct(fields[1]), made[body : body + fields[6]]))
        at = body + fields[6]
        at += -at % 4
    assert names == [
        ("modules", "0o40755", b""),
        ("init", "0o100755", b"#!/bin/sh\n"),
        ("modules/a", "0o100644", b"abc"),
        ("TRAILER!!!", "0o0", b""),
    ]


def test_another_list_is_another_guest() -> None:
    recipe = build.RECIPE
    folder = recipe.guest().folder
    assert replace(recipe).guest().folder == folder != arm64.RECIPE.guest().folder
    assert replace(recipe, packages=(*recipe.packages, "more")).guest().folder != folder
    assert replace(recipe, device_tree="board.dtb").guest().folder != folder


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path)
    monkeypatch.setattr(build.shutil, "which", lambda *_, **__: None)
    said = build.RECIPE.why_not()
    for tool in (build.RECIPE.emulator[0], "apt-get", "dpkg-deb", "tar", "mkfs.ext4"):
        assert tool in said
    with pytest.raises(build.CannotBuild, match="not installed"):
        build.RECIPE.prepare()
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    assert "x86-64 only" in build.RECIPE.why_not()


@pytest.mark.parametrize(
    ("accelerator", "patient", "counted"),
    [("tcg", True, True), ("tcg", False, False), ("kvm", True, False)],
)
def test_a_patient_guest_under_tcg_counts_its_time(
    accelerator: str, patient: bool, counted: bool
) -> None:
    guest = build.Guest(Path("guest"))
    line = run.command(guest, Path("first"), Path("out"), accelerator, "", patient)
    assert ("-icount" in line) == counted
    assert line[line.index("-smp") + 1] == ("1" if counted else "2")
    assert ("tcg,thread=multi" in line) == (accelerator == "tcg" and not counted)
