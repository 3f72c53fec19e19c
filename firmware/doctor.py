"""Examine a board's devices and tell what each says.

    python -m firmware.doctor --board BOARD.py --data FOLDER [--wire SOCKET]

One JSON object on stdout: ``{"board": NAME, "devices": [...], "wear": {...}}``, devices and
wear as ``services/doctor.py`` has them. Exit code 0 if none failed, 1 if one did, 2 for a
wrong command line. The terminal's app must not run meanwhile: it has the devices.
"""

import json
import sys

from firmware import aio, board_loader
from firmware.errors import TillError
from firmware.services import doctor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: MicroPython keeps no docstrings.
_USAGE_TEXT = "usage: python -m firmware.doctor --board BOARD.py --data FOLDER [--wire SOCKET]"
USAGE = 2


async def _examine(board: "dict[str, Any]", wire: "Any", data_dir: str) -> "dict[str, Any]":
    devices = await board_loader.build(board, wire, data_dir)
    await aio.sleep_ms(0)  # the drivers' tasks begin, and can be cancelled
    try:
        findings = await doctor.examine(devices, board, board_loader.KINDS)
        report = {"board": board["name"], "devices": [finding.table() for finding in findings]}
        report["wear"] = await doctor.wear(devices, board)
        return report
    finally:
        if devices.watchdog is not None:
            await devices.watchdog.stop()


def main(words: "list[str]") -> None:
    """The process's entry point."""
    given = dict(zip(words[::2], words[1::2]))  # noqa: B905 - MicroPython has no strict=
    known = ("--board", "--data", "--wire")
    if len(words) % 2 or any(name not in known for name in given) or "--board" not in given or (
        "--data" not in given
    ):  # fmt: skip
        print(_USAGE_TEXT, file=sys.stderr)
        raise SystemExit(USAGE)
    try:
        board = board_loader.load(given["--board"])
        wire: "Any" = None
        if "--wire" in given:
            from firmware.buses.wire_stream import connect

            wire = connect(given["--wire"])
        report = aio.run(_examine(board, wire, given["--data"]))
    except TillError as error:
        print("till: " + str(error), file=sys.stderr)
        raise SystemExit(1) from None
    print(json.dumps(report))
    if any(device["state"] == "fail" for device in report["devices"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
