"""Tables and pictures of the boards' wiring say what the board files say."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from host_tools import board_file, board_rules, board_wiring

HARDWARE = sorted(
    path.parent.name
    for path in board_rules.BOARDS.glob("*/board.toml")
    if not board_file.read(path)["board"].get("emulated")
)


@pytest.mark.parametrize("name", HARDWARE)
def test_a_boards_page_has_its_wiring(name: str) -> None:
    board = board_file.read(board_file.find(name))
    folder = board_rules.BOARDS / name
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert board_wiring.markdown(board) in page, f"till board wiring {name}"
    assert "](wiring.svg)" in page
    assert (folder / "wiring.svg").read_text(encoding="utf-8") == board_wiring.svg(board), (
        f"till board wiring {name} --svg boards/{name}/wiring.svg"
    )


@pytest.mark.parametrize("name", HARDWARE)
def test_every_pin_of_a_board_is_in_its_wiring(name: str) -> None:
    board = board_file.read(board_file.find(name))
    ends = " ".join(wire.end for wire in board_wiring.wires(board))
    for pins in (board["keypad"].get("rows", []), board["keypad"].get("columns", [])):
        for pin in pins:
            assert f"GPIO{pin}" in ends
    for kind in board_rules.DEVICES:
        if kind in board and ("bus" in board[kind] or "pin" in board[kind]):
            assert any(kind in wire.device for wire in board_wiring.wires(board)), kind


def test_the_header_has_each_pin_once() -> None:
    assert len(set(board_wiring.HEADER.values())) == len(board_wiring.HEADER) == 28
    # Power and ground (Raspberry Pi's documentation, 40-pin header).
    assert not set(board_wiring.HEADER.values()) & {1, 2, 4, 6, 9, 14, 17, 20, 25, 30, 34, 39}


def test_the_picture_is_one(tmp_path: Path) -> None:
    board = board_file.read(board_file.find("rpi-zero-2w"))
    board["board"]["title"] = 'A <board> & "title"'
    root = ElementTree.fromstring(board_wiring.svg(board))
    said = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said[0] == 'A <board> & "title"'
    lines = root.findall("{http://www.w3.org/2000/svg}path")
    assert len(lines) == len(board_wiring.wires(board))
