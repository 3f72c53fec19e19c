"""Boot: board -> self-test -> recover -> app.

    python -m firmware.main --board BOARD.py --data FOLDER [--wire SOCKET [--trace KIND]]

``BOARD.py`` is what ``till board build`` made; a device bundle calls ``run``
with its own board data instead.
"""

import sys

#: Imported one by one, leaves first: an import inside an import holds the stack of
#: both, and MicroPython has little of it.
for _name in (
    "text.faces", "ui.view", "payment.journal.fold", "payment.journal.journal",
    "payment.host.messages", "payment.host.exchange", "services.provisioning",
):  # fmt: skip
    __import__("firmware." + _name)

from firmware import aio, board_loader  # noqa: E402 - after its leaves
from firmware.app import boot  # noqa: E402
from firmware.errors import TillError  # noqa: E402
from firmware.hal.display import DisplayError  # noqa: E402
from firmware.text.texts import Texts  # noqa: E402
from firmware.ui.view import View  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.buses.wire import Wire

#: MicroPython keeps no docstrings.
_USAGE_TEXT = (
    "usage: python -m firmware.main --board BOARD.py --data FOLDER"
    " [--wire SOCKET [--trace masked|full]]"
)
#: Bytes allocated between two collections on MicroPython: collecting only when the
#: heap is full scatters what lives over all of it.
_COLLECT_EVERY = 16384
#: Exit codes of the process.
USAGE = 2
NO_DISPLAY = 3
JOURNAL = 74  # EX_IOERR of sysexits.h
DEFECT = 70  # EX_SOFTWARE of sysexits.h


async def serve(
    board: "dict[str, Any]",
    wire: "Wire | None",
    data_dir: str,
    on_screen: "Callable[[dict[str, Any]], None] | None" = None,
    given: "dict[str, Any] | None" = None,
    on_trace: "Callable[[list[str]], None] | None" = None,
    full_trace: bool = False,
    on_links: "Callable[[dict[str, Any]], None] | None" = None,
) -> None:
    """Boot and serve the merchant until cancelled. DisplayError when the panel
    stays dead; a journal that broke (faults.JournalBroken) and an error that no
    code foresaw are told to the merchant and raised.

    ``on_screen`` hears of every screen's tree (redacted): the debug link.
    ``given``: ready devices by kind, as ``board_loader.build`` takes them.
    ``on_trace`` hears what the kernel did in each step, as JSON lines; ``on_links`` what
    several links do (services/link_report.py).
    """
    devices = await board_loader.build(board, wire, data_dir, given)
    if devices.display is None:
        for kind, driver, error in devices.failures:
            print("till: " + kind + " " + driver + ": " + str(error), file=sys.stderr)
        await aio.sleep_ms(0)  # the other drivers' tasks begin, and can be cancelled
        raise SystemExit(NO_DISPLAY)
    view = View(devices.display, Texts(board["languages"][0]))
    view.on_screen = on_screen
    background = []
    if on_links is not None:
        from firmware.services import link_report

        background += link_report.begin(devices, on_links)
    died = True
    terminal = None
    end = "defect"
    try:
        if devices.watchdog is not None:
            from firmware.services import heartbeat

            background += await heartbeat.begin(devices)
        terminal = await boot.boot(devices, view, board)
        terminal.on_trace, terminal.full_trace = on_trace, full_trace
        background += await boot.links(terminal)
        if devices.power is not None and devices.power.watch_ms:
            background.append(aio.spawn("power", terminal.counters.watch()))
        from firmware.app import faults, idle, pc_link  # after the splash, which is up by now

        await idle.begin(terminal)
        if terminal.session is not None:
            background.append(aio.spawn("reversals", faults.keep_reversing(terminal)))
        terminal.pc_link = pc_link.begin(terminal)
        await idle.run(terminal)
    except DisplayError:
        end = "display"
        raise
    except aio.CancelledError:
        died, end = False, "stopped"
        raise
    except Exception as error:
        from firmware.app import faults

        await faults.last_screen(devices, view, error)
        raise
    finally:
        if terminal is not None and terminal.pc_link is not None:
            await terminal.pc_link.stop()
        for task in background:
            task.cancel()
        if terminal is not None:
            await terminal.tell_end(end)
        if devices.watchdog is not None and not died:  # else it resets the board, as it should
            await devices.watchdog.stop()


def _arguments(words: "list[str]") -> "dict[str, str]":
    given: "dict[str, str]" = {}
    for at in range(0, len(words) - 1, 2):
        if words[at] not in ("--board", "--data", "--wire", "--trace"):
            break
        given[words[at][2:]] = words[at + 1]
    whole = "board" in given and "data" in given and len(given) * 2 == len(words)
    if not whole or given.get("trace", "full") not in ("masked", "full"):
        print(_USAGE_TEXT, file=sys.stderr)
        raise SystemExit(USAGE)
    return given


#: Signals that asked the process to stop, as systemd does.
_asked_to_stop: "list[int]" = []


def _heed_stop() -> None:
    """SIGTERM ends the terminal in order, as Ctrl-C does: asyncio cancels the main task
    for SIGINT, so what is journalled at that moment is journalled whole."""
    import signal

    def stop(number: int, frame: object) -> None:
        _asked_to_stop.append(number)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, stop)


def _run(given: "dict[str, str]") -> None:
    """Read the board, reach its chips, serve. TillError."""
    board = board_loader.load(given["board"])
    wire: "Any" = None
    on_screen = on_trace = on_links = None
    if "wire" in given:
        import json

        from firmware.buses.wire import BusError
        from firmware.buses.wire_stream import connect

        wire = connect(given["wire"])

        def on_screen(tree: "dict[str, Any]") -> None:
            wire.transfer("debug", 1, json.dumps(tree).encode())

        def tell(op: int, text: str) -> None:
            try:
                wire.transfer("debug", op, text.encode())
            except BusError:
                pass  # what nobody hears stops no payment

        def on_links(report: "dict[str, Any]") -> None:
            tell(3, json.dumps(report))

        if "trace" in given:

            def on_trace(lines: "list[str]") -> None:
                tell(2, "\n".join(lines))

    full = given.get("trace") == "full"
    if sys.implementation.name == "cpython":
        _heed_stop()
    aio.run(serve(board, wire, given["data"], on_screen, None, on_trace, full, on_links))


def main(words: "list[str]") -> None:
    """The process's entry point."""
    given = _arguments(words)
    if sys.implementation.name != "cpython":
        import gc

        # MicroPython's threshold is of bytes, and it moves nothing.
        gc.threshold(_COLLECT_EVERY)  # type: ignore[attr-defined]  # typeshed has CPython's gc
    try:
        _run(given)
    except DisplayError as error:
        print("till: display: " + str(error), file=sys.stderr)
        raise SystemExit(NO_DISPLAY) from None
    except TillError as error:
        from firmware.app import faults

        print("till: " + str(error), file=sys.stderr)
        broken = isinstance(error, faults.JournalBroken)
        raise SystemExit(JOURNAL if broken else 1) from None
    except Exception as error:  # noqa: BLE001 - told to the engineer, whatever it is
        from firmware.app import faults

        faults.report("terminal", error)
        raise SystemExit(DEFECT) from None
    except KeyboardInterrupt:
        raise SystemExit(0 if _asked_to_stop else 130) from None


if __name__ == "__main__":
    main(sys.argv[1:])
