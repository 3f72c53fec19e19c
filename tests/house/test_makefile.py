"""The Makefile tells its own targets, and what runs a terminal compiles nothing."""

import re
import shutil
import subprocess

import pytest

from tests.house.sources import ROOT

TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
ASKED_FOR = {"run", "demo", "test", "soak", "rig", "check", "bench"}


def _rules() -> dict[str, tuple[str, str]]:
    """Target: (what it needs, its commands)."""
    rules = {}
    for target, needs, commands in re.findall(r"^([^\s:#]+): (.*)\n((?:\t.*\n)*)", TEXT, re.M):
        rules[target] = (needs.split("##")[0].strip(), commands)
    return rules


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_prints_every_target() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    told = dict(re.findall(r"^  make (\S+) +(\S.*)$", printed, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", TEXT, re.MULTILINE)
    assert set(told) == set(phony.split()) >= ASKED_FOR


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("asked", "with_rig"),
    [(["RIG_TOO=yes"], True), (["RIG_TOO=no"], False), (["RIG_TOO=yes", "ARGS=-k money"], False)],
)
def test_the_rig_follows_the_suite_and_never_runs_beside_it(
    asked: list[str], with_rig: bool
) -> None:
    command = ["make", "--no-print-directory", "--dry-run", "test", *asked]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = said.splitlines()
    (suite,) = [at for at, line in enumerate(lines) if "bin/pytest" in line]
    assert "not rig" in lines[suite]
    rig = [at for at, line in enumerate(lines) if "-m tests.rig" in line]
    assert rig == ([suite + 1] if with_rig else [])


def test_run_and_demo_take_wheels_only() -> None:
    rules = _rules()
    for target in ("run", "demo"):
        assert rules[target][0] == "$(VENV)/.run"
    needs, commands = rules["$(VENV)/.run"]
    assert needs == "pyproject.toml"
    installs = [line for line in commands.splitlines() if "pip install" in line]
    assert len(installs) == 3
    # The last is this tree itself: nothing of it is compiled, and nothing else comes with it.
    for line in installs[:2]:
        assert "--only-binary :all:" in line
    assert installs[2].endswith("--no-deps --no-build-isolation -e .")
    for word in ("apt", "node", "npm", "gcc", "sudo"):
        assert not re.search(rf"\b{word}\b", commands), word
