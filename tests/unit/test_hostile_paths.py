"""What is not a file in a file's place, and a damaged board module: named, at once."""

import os
from pathlib import Path

import pytest

from firmware import board_loader
from firmware.drivers.files_posix import PosixFiles
from firmware.hal.files import FilesError
from host_tools import board_file
from tests.support import virtual_time


def _board(tmp_path: Path) -> Path:
    data = board_file.read(board_file.find("virtual"))
    path = tmp_path / "board.py"
    path.write_text(board_file.module_text(board_file.compiled(data, "0.1.0", 1)), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_what_is_no_file_is_an_error_and_no_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bundle.cbor"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    files = PosixFiles(str(tmp_path), inline=True)

    async def story() -> None:
        with pytest.raises(FilesError):
            await files.read("bundle.cbor")
        with pytest.raises(FilesError):
            await files.open_append("bundle.cbor")

    virtual_time.run(story())


def test_a_good_board_module_loads(tmp_path: Path) -> None:
    assert board_loader.load(str(_board(tmp_path)))["name"] == "virtual"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("'languages': ['zh', 'en']", "'languages': []", "languages"),
        ("'languages': ['zh', 'en']", "'languages': ['xx']", "languages"),
        ("'languages'", "'langages'", "languages"),
        ("'built'", "'bulit'", "built"),
        ("'serial': 'VT000001'", "'serial': 5", "serial"),
        ("'trust': {", "'trust': 5, 'x': {", "trust"),
        ("'keypad': {", "'keypad': 5, 'x': {", "keypad"),
        ("'format': 1", "'format': 2", "format"),
    ],
)
def test_a_damaged_board_module_names_the_key(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    path = _board(tmp_path)
    text = path.read_text(encoding="utf-8").replace('"', "'")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(board_loader.BoardError, match=named):
        board_loader.load(str(path))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0", b"\nBOARD = ", b"\nBOARD = exit()\n"])
def test_what_is_no_board_module_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "board.py"
    path.write_bytes(content)
    with pytest.raises(board_loader.BoardError, match=r"board\.py"):
        board_loader.load(str(path))
