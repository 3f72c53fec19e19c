"""Which terminal is meant, what USB and mDNS say, and why a port does not open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from host_tools.errors import UserError
from host_tools.pc_link import discovery, pipes, targets
from host_tools.pc_link.connection import pc_name
from host_tools.pc_link.discovery import Port, Service, printable, usb_ports
from host_tools.pc_link.known import KnownTerminals
from tests.support.pc_terminal import PcTerminal, entry
from tests.support.virtual_time import run


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    monkeypatch.setenv("OPENTILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPENTILL_LINK", raising=False)


def ports(*rows: tuple[str, str, str, bool]) -> Any:
    return lambda: [Port(path, usb, serial, "x", likely) for path, usb, serial, likely in rows]


async def nothing() -> list[Service]:
    return []


def found(text: str, known: KnownTerminals, listed: Any, browse: Any = nothing) -> targets.Target:
    return run(targets.resolve(text, known, listed, browse))


def test_places_are_read_and_wrong_ones_refused() -> None:
    assert targets.parse("/dev/ttyACM0") == targets.Target(path="/dev/ttyACM0")
    assert targets.parse("COM5") == targets.Target(path="COM5")
    assert targets.parse("\\\\.\\COM12") == targets.Target(path="\\\\.\\COM12")
    assert targets.parse("tcp://10.0.0.7:99") == targets.Target(host="10.0.0.7", port=99)
    v6 = targets.parse("TCP://[fe80::1]:99/")
    assert v6 is not None and v6.text == "tcp://[fe80::1]:99"
    assert targets.parse("T1") is None and targets.parse("COMA") is None
    for bad in ("tcp://", "tcp://h", "tcp://h:0", "tcp://h:99999", "tcp://h:x", "tcp://h:1/x",
                "tcp://u@h:1"):  # fmt: skip
        with pytest.raises(UserError, match="give host and port"):
            targets.parse(bad)


def test_a_serial_number_is_found_on_usb_then_where_it_was_then_on_the_network(
    tmp_path: Path,
) -> None:
    known = KnownTerminals(tmp_path)
    terminal = PcTerminal()
    usb = ports(("/dev/ttyACM1", "1209:0001:T1", "T1", True))
    assert found("T1", known, usb).path == "/dev/ttyACM1"
    other = ports(("/dev/ttyACM1", "1209:0001:X", "X", True))
    known.put(entry(terminal, ["sync"]))
    known.change("T1", usb="1209:0001:X")
    assert found("T1", known, other) == targets.Target(
        path="/dev/ttyACM1", usb="1209:0001:X", serial="T1"
    )
    place = tmp_path / "pty"
    place.touch()
    known.change("T1", usb="", place=str(place))
    assert found("T1", known, other) == targets.Target(path=str(place), serial="T1")
    place.unlink()

    async def browse() -> list[Service]:
        return [Service("10.0.0.9", 5, "T9", "b"), Service("10.0.0.1", 4, "T1", "b")]

    assert found("T1", known, other, browse).text == "tcp://10.0.0.1:4"
    known.change("T1", place="tcp://10.0.0.3:7")
    assert found("T1", known, other).text == "tcp://10.0.0.3:7"
    with pytest.raises(UserError, match="no terminal T2 on a cable"):
        found("T2", known, other, browse)


def test_with_nothing_said_the_only_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownTerminals(tmp_path)
    one = ("/dev/ttyACM0", "1209:0001:A", "A", True)
    two = ("/dev/ttyACM1", "1209:0001:B", "B", True)
    modem = ("/dev/ttyUSB0", "", "", False)
    assert found("", known, ports(one, modem)).path == "/dev/ttyACM0"
    with pytest.raises(UserError, match=r"/dev/ttyACM0, /dev/ttyACM1\): say which"):
        found("", known, ports(one, two))
    with pytest.raises(UserError, match="no terminal is plugged in; say which"):
        found("", known, ports(modem))
    known.put(entry(PcTerminal(), ["sync"]))
    assert found("", known, ports(modem)) == targets.Target(path="/dev/cable", serial="T1")
    monkeypatch.setenv("OPENTILL_LINK", "tcp://127.0.0.1:5")
    assert found("", known, ports(one)).text == "tcp://127.0.0.1:5"


def test_a_port_that_was_plugged_in_elsewhere_is_found_by_its_usb_number(tmp_path: Path) -> None:
    target = targets.Target(path=str(tmp_path / "ttyACM0"), usb="1209:0001:A")
    listed = [Port(str(tmp_path / "ttyACM3"), "1209:0001:A", "A", "x", True)]
    assert target.find(lambda: listed) == str(tmp_path / "ttyACM3")
    with pytest.raises(Exception, match="no such port"):
        target.find(list)


def test_what_usb_says_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        device, vid, pid = "/dev/ttyACM0", 0x1209, 1
        serial_number = "A\x1b[2J" + "9" * 99
        manufacturer = product = description = "Open\nTill"

    class Uart:
        device, vid = "/dev/ttyS0", None

    (port,) = usb_ports(lambda: [Info(), Uart()])
    assert port.likely and port.product == "Open?Till"
    assert port.serial.isprintable() and len(port.serial) == 32
    assert printable(None) == "" and printable("é漢") == "é漢"
    monkeypatch.setenv("OPENTILL_PC_NAME", "店" * 60 + "\x07")
    assert pc_name() == "店" * 40


@pytest.mark.parametrize(
    "error, kind",
    [
        (OSError(13, "Permission denied"), pipes.PortForbidden),
        (OSError(1, "Operation not permitted"), pipes.PortForbidden),
        (OSError(16, "Device or resource busy"), pipes.PortHeld),
        (OSError(11, "Could not exclusively lock port"), pipes.PortHeld),
        (OSError(2, "No such file or directory"), pipes.PortAbsent),
        (OSError(19, "No such device"), pipes.PortAbsent),
        (ValueError("not a baud rate"), pipes.PipeError),
    ],
)
def test_why_a_port_does_not_open(error: Exception, kind: type[Exception]) -> None:
    assert type(pipes._problem("/dev/x", error)) is kind


def test_what_mdns_says_is_cleaned_and_ordered() -> None:
    class Info:
        def __init__(self, address: str, port: int, **words: bytes | None) -> None:
            self.address, self.port = address, port
            self.properties = {key.encode(): value for key, value in words.items()}

        def parsed_scoped_addresses(self) -> list[str]:
            return [self.address] if self.address else []

    infos = [
        Info("10.0.0.2", 7, serial=b"T2", board=b"b\x1b[2J\xff"),
        Info("10.0.0.1", 7, serial=b"T1" + b"x" * 900),
        Info("", 7, serial=b"T3"), Info("10.0.0.4", 0, serial=b"T4"),
        Info("10.0.0.5", 5, serial=None),
        Info("10.0.0.2", 7, serial=b"T2", board=b"b\x1b[2J\xff"),
    ]  # fmt: skip
    found = discovery._services(infos)
    assert [one.host for one in found] == ["10.0.0.5", "10.0.0.1", "10.0.0.2"]
    for one in found:
        assert (one.serial + one.board).isprintable() or one.serial == ""
        assert len(one.serial) <= 32
