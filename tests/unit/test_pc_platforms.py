"""The PC's side is for Linux, macOS and Windows: it imports where Linux's own modules are not."""

import subprocess
import sys

import pytest

from tests.house.sources import ROOT, tracked

#: Packages and modules of the PC's side.
PARTS = (
    "host_tools.pc_link", "host_tools.pc_doctor", "host_tools.store", "host_tools.reports",
    "host_tools.exports", "host_tools.reconcile", "host_tools.register", "host_tools.till",
    "host_tools.texts", "host_tools.folders", "host_tools.redaction", "host_tools.po_file",
)  # fmt: skip
COMMANDS = (
    "config", "devices", "doctor", "log", "pair", "screen", "status", "support_bundle",
    "test_sale", "unpair", "watch", "sync", "backup", "restore", "report", "export", "reconcile",
    "register",
)  # fmt: skip
#: Alembic runs these by itself, inside a migration.
NOT_ALONE = ("host_tools.store.migrations.env",)
LINUX_ONLY = (
    "fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "spwd", "evdev", "spidev",
    "RPi", "smartcard", "dbus_fast", "tpm2_pytss", "luma",
)  # fmt: skip

#: What our modules stand on comes first: the standard library looks at the real system.
SCRIPT = """
import asyncio, concurrent.futures, ctypes, getpass, multiprocessing, platform, selectors, socket
import subprocess, tempfile, zipfile
import cryptography.hazmat.primitives.asymmetric.x25519, cryptography.x509
import alembic.command, sqlalchemy.ext.asyncio, sqlalchemy.orm, rich.progress, typer.main
import keyring, platformdirs, serial, serial.tools.list_ports, uvicorn, starlette.applications
import zeroconf.asyncio
import importlib, os, signal, sys
for name in ("getuid", "geteuid", "getgid", "fork", "mkfifo", "openpty", "fchmod", "chown"):
    delattr(os, name)
for name in ("SIGHUP", "SIGUSR1", "SIGALRM"):
    delattr(signal, name)
sys.platform = sys.argv[1]
for name in sys.argv[2].split(","):
    for loaded in [one for one in sys.modules if one.split(".")[0] == name]:
        del sys.modules[loaded]
    sys.modules[name] = None
wrong = []
for name in sys.argv[3:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        wrong.append(f"{name}: {error!r}")
print("\\n".join(wrong))
"""


def modules() -> list[str]:
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    dotted = [n[:-3].replace("/", ".").removesuffix(".__init__") for n in names]
    ours = [n for n in dotted if n.startswith(PARTS) and n not in NOT_ALONE]
    ours += [n for n in dotted if n.removeprefix("host_tools.commands.") in COMMANDS]
    return sorted(ours)


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_every_module_imports_without_what_only_linux_has(system: str) -> None:
    names = modules()
    assert len(names) > 30
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, system, ",".join(LINUX_ONLY), *names],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_a_module_of_linux_is_found_out() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, "win32", ",".join(LINUX_ONLY),
         "host_tools.emulator.modem_pty"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "host_tools.emulator.modem_pty: ModuleNotFoundError" in done.stdout
