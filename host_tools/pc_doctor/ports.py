"""A serial port as this computer sees it: who may open it, and who has it open."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.texts import said

RULES = Path("/etc/udev/rules.d/70-opentill.rules")
_PROC = Path("/proc")
_LSOF_S = 10
#: Vendor and product of which a rule is written where the port does not tell its own.
_USUAL = (("1209", "0001"), ("0525", "a4a7"), ("1d6b", "0104"), ("2e8a", "0005"), ("303a", "4001"))


@dataclass(frozen=True)
class Holder:
    """A process that has the port open."""

    pid: int
    name: str


def holders(path: str) -> list[Holder] | None:
    """Other processes that have the port open, as far as this user may see; None where this
    system does not tell."""
    system = str(sys.platform)
    if system.startswith("linux"):
        return _by_proc(path)
    return _by_lsof(path) if system == "darwin" else None


def _by_proc(path: str) -> list[Holder]:
    try:
        wanted = os.stat(path).st_rdev
    except OSError:
        return []
    found = []
    for process in _PROC.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended, or is another user's
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if wanted and handle.stat().st_rdev == wanted:
                        name = (process / "comm").read_text(encoding="utf-8", errors="replace")
                        found.append(Holder(int(process.name), name.strip()))
                        break
    return sorted(found, key=lambda one: one.pid)


def _by_lsof(path: str) -> list[Holder] | None:
    try:
        done = subprocess.run(
            ["/usr/sbin/lsof", "-F", "pc", "--", path],
            capture_output=True, text=True, timeout=_LSOF_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, pid = [], 0
    for line in done.stdout.splitlines():
        if line.startswith("p") and line[1:].isdigit():
            pid = int(line[1:])
        elif line.startswith("c") and pid != os.getpid():
            found.append(Holder(pid, line[1:]))
    return found


def may_open(path: str) -> bool:
    """Whether this user may read and write the port, where the system tells before."""
    return os.name != "posix" or os.access(path, os.R_OK | os.W_OK)


def owner_group(path: str) -> str:
    """The group whose members may open the port, "" if there is none."""
    if os.name != "posix":
        return ""
    import grp

    with contextlib.suppress(OSError, KeyError):
        seen = os.stat(path)
        if seen.st_mode & 0o060 == 0o060 and seen.st_gid:
            return grp.getgrgid(seen.st_gid).gr_name
    return ""


def udev_rule(usb: str) -> str:
    """A rule that lets whoever sits at this computer open a terminal's port, and keeps
    ModemManager from trying it as a modem. ``usb``: "1209:0001:SERIAL", "" for the usual ones."""
    parts = usb.split(":")
    pairs = [(parts[0], parts[1])] if len(parts) > 2 else list(_USUAL)
    lines = [
        f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", '
        'TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1"'
        for vendor, product in pairs
    ]
    return "\n".join(["# Payment terminals on USB; written by `till doctor`.", *lines, ""])


def write_rule(usb: str, place: Path | None = None) -> Path:
    """Write the rule; where. UserError says how, when this user may not."""
    rules = place or RULES
    if not str(sys.platform).startswith("linux"):
        raise UserError(said("udev rules are for Linux; this system needs none"))
    made = rules.with_name(rules.name + ".new")
    try:
        made.write_text(udev_rule(usb), encoding="utf-8")
        made.replace(rules)
    except OSError as error:
        raise UserError(
            said("{file}: {cause}; type: sudo till doctor --write-udev-rule", file=rules,
                 cause=error.strerror)
        ) from None  # fmt: skip
    return rules
