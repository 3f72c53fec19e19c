"""A rack on the running loop's clock, and documents to print."""

import asyncio
from typing import Any

from host_tools import board_file
from host_tools.emulator.rack import Rack

DOCUMENT: list[tuple[object, ...]] = [
    ("text", "OpenTill 商店", "bwhc"),
    ("text", "欢迎光临 Welcome ¥12.50 € é", "c"),
    ("rule",),
    ("pair", "Amount 金额", "¥1,234.56", ""),
    ("text", "right", "r"),
    ("text", "A long line that must be wrapped at 32 columns 中文也要换行才可以打印出来的", ""),
    ("barcode", "code128", "RRN123456"),
    ("qr", "https://opentill.example/r/123456789"),
    ("image", 16, [b"\xff\x00", b"\x00\xff"] * 8),
    ("feed", 2),
    ("cut",),
]


def board(name: str = "virtual") -> dict[str, Any]:
    """The compiled data of a board, as the firmware reads it."""
    data = board_file.read(board_file.find(name))
    return board_file.compiled(data, "0.0.0", 1_700_000_000)


def rack(data: dict[str, Any] | None = None, seed: int | None = 7) -> Rack:
    """A rack on the running loop's clock."""
    loop = asyncio.get_running_loop()
    return Rack(lambda: int(loop.time() * 1_000_000), seed, data or board())
