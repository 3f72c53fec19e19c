"""Every `till` command that README and the engineer's pages show runs, and exits 0."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "README.zh-CN.md",
    "docs/acquirer.md",
    "docs/boards.md",
    "docs/decoders.md",
    "docs/emulator.md",
    "docs/emv-replay.md",
)
LIMIT_S = 120
#: A word in capitals stands for something of the reader's: such a line is no example.
PLACEHOLDER = re.compile(r"(?<![\w-])[A-Z]{2,}(?![\w-])")
COMMAND = re.compile(r"(^|\| |< \S+ \| )(?:\.venv/bin/)?till(?= )")


def examples(page: str) -> list[str]:
    """Lines set off as code that run ``till``, without their comments."""
    found = []
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        text = line.strip().partition("  #")[0].rstrip()
        if line.startswith("    ") and COMMAND.search(text):
            found.append(text)
    return found


def test_the_pages_show_examples() -> None:
    shown = [line for page in PAGES for line in examples(page)]
    assert len(shown) >= 20
    for file in ("recording.json", "oda.json", "pay.py"):
        assert any("docs/examples/" + file in line for line in shown)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_in_their_order(page: str, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OPENTILL_STATE": str(tmp_path / "state")}
    for line in examples(page):
        assert not PLACEHOLDER.search(line), f"an example runs as it stands: {line}"
        command = COMMAND.sub(lambda found: found[1] + f"{sys.executable} -m host_tools.till", line)
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=LIMIT_S, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout.strip() and not done.stderr, line
