"""The virtual microcontroller: which port it runs, and where its pins lead.

In a process of its own it finds the rack by the environment: OPENTILL_WIRE, the
rack's address; OPENTILL_SEATS, "uart0=printer,i2c0=i2c,pins=gpio"; OPENTILL_PORT,
"rp2" or "esp32", whose error numbers and constants the proxies give.
"""

import os
import time

from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.wire import Wire

EIO, ENODEV, EHOSTUNREACH, EALREADY = 5, 19, 113, 114

_rack: "list[Wire]" = []
_seats: "dict[str, str]" = {}
_port = ["rp2"]
_clock: "list[Callable[[], int]]" = []


def attach(
    wire: "Wire",
    seats: "dict[str, str]",
    port: str = "rp2",
    now_ms: "Callable[[], int] | None" = None,
) -> None:
    """Wire the chip to a rack in this process; ``now_ms``: its time, else the interpreter's."""
    _clock.clear()
    if now_ms is not None:
        _clock.append(now_ms)
    _rack.clear()
    _rack.append(wire)
    _seats.clear()
    _seats.update(seats)
    _port[0] = port


def _find() -> None:
    from firmware.buses.wire_stream import connect

    seats: "dict[str, str]" = {}
    for pair in (os.getenv("OPENTILL_SEATS") or "").split(","):
        name, _, seat = pair.partition("=")
        seats[name] = seat
    attach(connect(os.getenv("OPENTILL_WIRE") or ""), seats, os.getenv("OPENTILL_PORT") or "rp2")


def now_ms() -> int:
    """The chip's ticks."""
    if _clock:
        return _clock[0]()
    ticks: "Any" = time
    return int(ticks.ticks_ms())


def port() -> str:
    """ "rp2" or "esp32"."""
    if not _rack:
        _find()
    return _port[0]


def has(name: str) -> bool:
    """Whether something is wired to the peripheral ``name``, as in "uart0"."""
    if not _rack:
        _find()
    return name in _seats


def transfer(name: str, op: int, payload: bytes, error: int = EIO) -> bytes:
    """One transfer with what is wired to ``name``. OSError(``error``) when it fails, as
    ports raise it: a number and nothing else."""
    if not has(name):
        raise OSError(error)
    try:
        return _rack[0].transfer(_seats[name], op, payload)[0]
    except BusError:
        raise OSError(error) from None
