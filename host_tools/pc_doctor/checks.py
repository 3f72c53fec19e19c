"""The checks of ``till doctor``, from this PC's settings to the terminal's own devices.

Each gives a row; what is wrong comes with what to do. A check that cannot be made because one
before it failed is left out.
"""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from firmware.link import services
from host_tools import texts
from host_tools.errors import UserError
from host_tools.pc_doctor import ports
from host_tools.pc_link import at_command, clock, keys
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.known import KnownTerminals
from host_tools.pc_link.pipes import Line
from host_tools.pc_link.targets import Target, resolve
from host_tools.texts import said

OK, WARN, FAIL = "ok", "warn", "fail"
_DOCTOR_MS = 60_000


@dataclass
class Report:
    """``rows``: {check, state, text, do}. ``devices``: the terminal's own. ``target``: where it
    was looked for."""

    rows: list[dict[str, str]] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    target: Target | None = None

    @property
    def well(self) -> bool:
        """Whether nothing failed."""
        states = [row["state"] for row in self.rows] + [row.get("state") for row in self.devices]
        return FAIL not in states

    def note(self, check: str, state: str, text: str, do: str = "") -> None:
        """A row."""
        self.rows.append({"check": check, "state": state, "text": text, "do": do})

    def table(self) -> dict[str, Any]:
        """JSON-able."""
        target = {key: value for key, value in asdict(self.target).items() if value} if (
            self.target) else {}  # fmt: skip
        return {"well": self.well, "checks": self.rows, "devices": self.devices, "target": target}


async def examine(which: str, known: KnownTerminals, line: Line | None = None) -> Report:
    """Every check, in order. ``line``: a pipe instead of the target's own."""
    report = Report()
    try:
        static = keys.load()
        report.note("key", OK, said("this PC's key: {fingerprint}",
                                    fingerprint=services.fingerprint(static.public)))  # fmt: skip
    except UserError as error:
        report.note("key", FAIL, str(error))
        return report
    try:
        target = report.target = await resolve(which, known)
    except UserError as error:
        report.note("port", FAIL, str(error))
        return report
    if line is None and not target.host and not await _port(report, target):
        return report
    settings = Settings(known, static)
    try:
        async with connect(target, settings, stranger=True, line=line) as terminal:
            await _terminal(report, terminal)
    except CallFailed as error:
        report.note("link", FAIL, str(error))
        if not target.host:
            _who_has_it(report, target)
    except UserError as error:
        report.note("link", FAIL, str(error))
    return report


async def _port(report: Report, target: Target) -> bool:
    """The port is there and may be opened."""
    path = target.path
    if os.name != "posix":
        return True  # opening it tells
    if not os.path.exists(path):
        report.note("port", FAIL, said("{path}: there is no such port", path=path),
                    said("plug the terminal in; `till devices` shows the ports"))  # fmt: skip
        return False
    report.note("port", OK, said("the port {path} is there", path=path))
    if ports.may_open(path):
        report.note("permission", OK, said("this user may open it"))
        return True
    group = ports.owner_group(path)
    by_group = said("or join the group: sudo usermod -a -G {group} $USER, and log in again",
                    group=group) if group else ""  # fmt: skip
    rule = said("type: sudo till doctor --write-udev-rule, and plug the terminal in again")
    report.note("permission", FAIL, said("{path}: this user may not open it", path=path),
                f"{rule} {by_group}".strip())  # fmt: skip
    return False


def _who_has_it(report: Report, target: Target) -> None:
    """Programs that have the port open and may eat its bytes."""
    found = ports.holders(target.path)
    if found is None:
        report.note("held", WARN, said("this system does not tell which program has a port open"),
                    said("close other programs that use serial ports, and try again"))  # fmt: skip
    elif found:
        names = ", ".join(f"{one.name} ({one.pid})" for one in found)
        report.note("held", WARN, said("the port is open in: {names}", names=names),
                    said("close that program; for ModemManager type: till doctor "
                         "--write-udev-rule"))  # fmt: skip
    else:
        report.note("held", OK, said("no other program that this user can see has it open"))


async def _terminal(report: Report, terminal: LinkedTerminal) -> None:
    report.note("link", OK, said("terminal {serial} ({board}, firmware {firmware}) answers; link "
                                 "version 1, its key {fingerprint}", serial=terminal.serial,
                                 board=terminal.board, firmware=terminal.firmware,
                                 fingerprint=terminal.fingerprint))  # fmt: skip
    if not terminal.roles:
        report.note("pairing", WARN, said("this PC and the terminal are not paired"),
                    said("open the pairing in its menu, then type: till pair"))  # fmt: skip
    else:
        report.note("pairing", OK, said("paired as {roles}", roles=", ".join(terminal.roles)))
    _clock(report, terminal)
    if services.SERVICE not in terminal.roles:
        report.note("devices", WARN, said("the terminal tells of its devices to the role service "
                                          "only"))  # fmt: skip
        return
    try:
        call = await terminal.open("doctor", {1: _language()}, _DOCTOR_MS)
        async for item in at_command.items(call, services.MOST_LIST):
            report.devices.append(_device(at_command.clean(item[1])))
        well = (await call.result())[1]
    except CallFailed as error:
        report.note("devices", FAIL, str(error))
        return
    text = said("its devices are well") if well else said("a device of its own failed")
    report.note("devices", OK if well else FAIL, text)


def _clock(report: Report, terminal: LinkedTerminal) -> None:
    ahead = terminal.clock_ahead_s
    good = ahead is not None and abs(ahead) < clock.NOTED_S
    do = "" if good else said("the terminal's time is right after its next sign-in at the bank; "
                              "look at this PC's clock as well")  # fmt: skip
    report.note("clock", OK if good else WARN, said("the terminal's clock: {words}",
                                                         words=clock.words(ahead)), do)  # fmt: skip


def _language() -> str:
    return "zh" if texts.language() == "zh" else "en"


def _device(told: Any) -> dict[str, Any]:
    """A device as the terminal tells it (firmware/app/pc_state.py)."""
    names = ("kind", "driver", "bus", "state", "text", "cause", "do")
    row = {name: str(told.get(str(at + 1), "")) for at, name in enumerate(names)}
    row["state"] = row["state"] if row["state"] in (OK, WARN, FAIL) else WARN
    return row
