"""The whole firmware as a program, which also prints each screen's tree as one line of JSON.

python -m tests.rig.guest.terminal BOARD.py DATA
"""

from __future__ import annotations

import json
import sys

from firmware import aio, board_loader, main


def run(board: str, data: str) -> None:
    """Boot and serve until interrupted."""

    def told(tree: dict[str, object]) -> None:
        print(json.dumps(tree), flush=True)

    aio.run(main.serve(board_loader.load(board), None, data, told))


if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
