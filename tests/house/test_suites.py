"""Every driver that a board file can name goes through the suite of its kind.

What is compared: the classes that the board's loaders make of a driver's name, and those
that the suite imports, by itself or by the parts of ``tests`` that it uses (for a bus: any
suite). The few that are tried elsewhere are listed, each with its reason and its test. The network
``links`` is no driver but a choice among links (tests/unit/test_link_supervisor.py).
"""

import ast
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

from firmware import board_buses, board_links, board_loader
from host_tools import board_rules
from tests.house.sources import ROOT, imports, tree

ROOMS = ("firmware.drivers", "firmware.buses")
#: Suites of a link; every other kind has the suite of its name.
BEARERS = ("bearer", "bearer_dbus")
#: Class: (where it is tried, why not in the suite).
ELSEWHERE = {
    "drivers.watchdog_mpy.MpyWatchdog": (
        "unit/test_mpy_buses.py::test_the_watchdog_bites_who_does_not_feed_it",
        "cannot be stopped, and is no file of a kernel's",
    ),
    "drivers.tls_link_mpy.TlsLinkMpy": (
        "system/test_tls_micropython.py::test_every_fault_is_named",
        "stands on MicroPython's tls, which CPython lacks",
    ),
    "drivers.tpm_linux.TpmCounter": (
        "system/test_tpm.py::test_a_counter_counts_and_power_cuts_take_nothing_back",
        "a part of a vault, tried against swtpm",
    ),
    "drivers.wlan.WlanBearer": (
        "unit/test_wlan.py::test_what_does_not_join_has_its_name_in_time",
        "the radio's causes are not a modem's",
    ),
    "buses.pin_restart.PinRestart": (
        "unit/test_restarts.py::test_a_power_key_is_pressed_and_never_left_down",
        "a line of a reader, no device",
    ),
    "buses.tcp_mpy.TcpMpy": (
        "system/test_micropython_sale.py::test_an_approved_chip_sale",
        "stands on MicroPython's sockets",
    ),
    "buses.usb_mpy.MpyUsbSerial": (
        "unit/test_mpy_buses.py::test_the_usb_port_carries_both_ways_and_tells_when_the_pc_goes",
        "its far end is a PC's driver, not a port of ours",
    ),
    "buses.wire_call.WireCall": (
        "unit/test_wire_links.py::test_connections_of_a_call_keep_their_bytes_apart",
        "its far end is a virtual operator",
    ),
    "buses.ppp_linux.PppCarrier": (
        "unit/test_ppp.py::test_up_with_address_and_name_servers_and_down",
        "runs pppd",
    ),
    "buses.ppp_mpy.MpyPpp": (
        "unit/test_ppp_mpy.py::test_a_call_becomes_a_network_and_ends",
        "stands on the module network",
    ),
    "buses.usb_linux.UsbPort": (
        "unit/test_restarts.py::test_a_usb_device_is_taken_from_the_bus_and_given_back",
        "a switch of the kernel's, no device",
    ),
}


def _suite(path: str) -> set[str]:
    """Dotted names that a test module imports, through ``tests`` too."""
    found: set[str] = set()
    waiting = [path]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for _, module in imports(ROOT / name):
            found.add(module)
            file = module.replace(".", "/") + ".py"
            if module.startswith("tests.") and (ROOT / file).is_file():
                waiting.append(file)
    return found


@cache
def _suites() -> dict[str, set[str]]:
    """What each suite imports, by its name without ``test_``."""
    folder = ROOT / "tests/conformance"
    shared = _suite("tests/conformance/conftest.py")
    return {
        path.stem.removeprefix("test_"): _suite(path.relative_to(ROOT).as_posix()) | shared
        for path in folder.glob("test_*.py")
    }


def _made(module: ModuleType, function: str) -> set[str]:
    """Classes of drivers and buses that a maker calls, or has called by its own parts."""
    (body,) = [
        node
        for node in tree(Path(str(module.__file__))).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    called = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    classes = set()
    for node in ast.walk(body):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOMS):
            room = (node.module or "").removeprefix("firmware.")
            classes |= {f"{room}.{one.name}" for one in node.names if one.name in _calls(body)}
    for part in called - {function}:
        if isinstance(getattr(module, part, None), FunctionType):
            classes |= _made(module, part)
    return classes


def _calls(body: ast.AST) -> set[str]:
    """What is called by its bare name."""
    calls = [node.func for node in ast.walk(body) if isinstance(node, ast.Call)]
    return {func.id for func in calls if isinstance(func, ast.Name)}


def _missing() -> dict[str, str]:
    """Class: the name in a board file whose suite does not have it."""
    suites = _suites()
    everywhere = set().union(*suites.values())
    makers = [
        (name, board_loader, maker, suites.get(kind, set()) | suites["machine"])
        for kind, drivers in board_loader._DRIVERS.items()
        for name, maker in drivers.items()
    ]
    bearers = set().union(*(suites[name] for name in BEARERS))
    makers += [(name, board_links, m, bearers) for name, m in board_links._BEARERS.items()]
    makers += [(name, board_buses, m, everywhere) for name, m in board_buses.BUSES.items()]
    return {
        made: name
        for name, module, maker, suite in makers
        for made in _made(module, maker.__name__)
        if "firmware." + made not in suite | (everywhere if made.startswith("buses.") else set())
    }


def test_every_driver_goes_through_the_suite_of_its_kind() -> None:
    missing = _missing()
    assert {made: name for made, name in missing.items() if made not in ELSEWHERE} == {}
    assert [made for made in ELSEWHERE if made not in missing] == [], "in a suite by now"


def test_every_panel_is_named_in_the_suite_of_displays() -> None:
    """One class drives them all; what differs is data."""
    suite = tree(ROOT / "tests/conformance/test_display.py")
    words = {node.value for node in ast.walk(suite) if isinstance(node, ast.Constant)}
    assert set(board_rules.DEVICES["display"]) <= words


def test_what_is_tried_elsewhere_is_tried_there() -> None:
    missing = []
    for place, why in ELSEWHERE.values():
        file, _, name = place.partition("::")
        tests = [
            node.name
            for node in ast.walk(tree(ROOT / "tests" / file))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        if name not in tests or not why:
            missing.append(place)
    assert missing == []


def test_the_loader_makes_what_a_board_file_may_name() -> None:
    for makes, rules in (
        (board_loader._DRIVERS, board_rules.DEVICES),
        ({"link": board_links._BEARERS}, {"link": board_rules.LINKS}),
        ({"bus": board_buses.BUSES}, {"bus": board_rules.BUSES}),
    ):
        made = {(kind, name) for kind, drivers in makes.items() for name in drivers}
        assert made == {(kind, name) for kind, drivers in rules.items() for name in drivers}
