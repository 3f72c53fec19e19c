"""Imports point one way (docs/architecture.md)."""

from tests.house.sources import ROOT, imports, room, tracked

ALLOWED = {
    "app": {"app", "services", "ui", "payment", "link", "hal", "text"},
    "services": {"services", "payment", "link", "hal", "text", "crypto"},
    "ui": {"ui", "hal", "text"},
    "text": {"text"},
    "payment": {"payment", "hal", "crypto"},
    "link": {"link", "hal", "crypto"},
    "crypto": {"crypto"},
    "hal": {"hal"},
    "drivers": {"drivers", "hal", "buses", "crypto", "text"},
    "buses": {"buses", "hal"},
}
COMMON = {"aio", "cbor", "errors"}
#: Beside the rooms: these know every room, and no room knows them.
KNOW_ALL = {"main", "doctor", "board_loader", "board_buses", "board_links"}
#: Rooms of the firmware that PC tools may import, as whole dotted prefixes.
HOST_MAY = (
    "firmware.link",
    "firmware.hal.pc_pipe",
    "firmware.crypto",
    "firmware.cbor",
    "firmware.errors",
    "firmware.aio",
    "firmware.payment",
    "firmware.text",
    "firmware.drivers.files_posix",
    "firmware.buses.wire",
)


def test_rooms_import_only_what_the_arrows_allow() -> None:
    against = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        here = room(path)
        if not name.startswith("firmware/"):
            continue
        for line, module in imports(path):
            parts = module.split(".")
            if parts[0] in ("host_tools", "tests", "bench"):
                against.append(f"{name}:{line} imports {module}")
            beside = here is None and path.stem in KNOW_ALL
            if parts[0] != "firmware" or len(parts) < 2 or beside:
                continue
            target = parts[1]
            if target in COMMON and here not in COMMON:
                continue
            if here is not None and target in ALLOWED and target not in ALLOWED[here]:
                against.append(f"{name}:{line} imports {module}")
            if here is not None and target not in ALLOWED and target not in COMMON:
                against.append(f"{name}:{line} imports {module}")
    assert against == []


def test_modules_beside_the_rooms_are_known_and_the_common_ones_know_no_room() -> None:
    beside = {path for path in tracked() if path.parent == ROOT / "firmware"}
    assert {path.stem for path in beside} == KNOW_ALL | COMMON | {"__init__"}
    against = []
    for path in beside:
        if path.stem in KNOW_ALL:
            continue
        for line, module in imports(path):
            if module.startswith("firmware.") and module.split(".")[1] not in COMMON:
                against.append(f"{path.name}:{line} imports {module}")
    assert against == []


def test_pc_tools_import_only_the_shared_rooms() -> None:
    against = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("host_tools/"):
            continue
        for line, module in imports(path):
            if module.startswith("firmware.") and not module.startswith(HOST_MAY):
                against.append(f"{name}:{line} imports {module}")
    assert against == []


def test_chips_import_nothing_of_the_firmware() -> None:
    against = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("host_tools/emulator/chips/"):
            against += [f"{name}:{n} {m}" for n, m in imports(path) if m.startswith("firmware")]
    assert against == []


def test_only_aio_imports_asyncio_in_the_firmware() -> None:
    against = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("firmware/") and name != "firmware/aio.py":
            against += [f"{name}:{n} {m}" for n, m in imports(path) if m.split(".")[0] == "asyncio"]
    assert against == []
