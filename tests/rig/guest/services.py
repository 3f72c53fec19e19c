"""Debian's daemons in the guest, on a D-Bus of their own. What they say, the run keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.rig.guest.waiting import until

#: Shared with the host, which keeps the logs that are here at the end.
LOGS = Path("/out")
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>
"""
#: As tests/support/dbus.sh starts it: a /sys that is read-only tells it to expect no udev.
START_NM = """
busybox mount -o bind /sys /sys
busybox mount -o remount,bind,ro /sys
exec NetworkManager --debug --config {folder}/nm/nm.conf --config-dir {folder}/nm \
    --system-config-dir {folder}/nm --state-file {folder}/nm/state
"""
NM_CONFIG = """[main]
plugins=keyfile
dhcp=internal
dns=none
auth-polkit=false
no-auto-default=*
[keyfile]
path=/run/profiles
unmanaged-devices=*,except:{managed}
"""


class Services:
    """A bus at ``address``; ``name`` begins the names of the logs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.folder = Path(tempfile.mkdtemp())
        self.address = f"unix:path={self.folder}/bus"
        self._programs: list[subprocess.Popen[bytes]] = []
        (self.folder / "bus.xml").write_text(BUS_CONFIG.format(folder=self.folder))
        self.start("dbus-daemon", "--nofork", f"--config-file={self.folder}/bus.xml")
        until((self.folder / "bus").exists, "a bus")

    def log(self, program: str) -> Path:
        """What a program says."""
        return LOGS / f"{self._name}-{Path(program).name}.log"

    def start(self, *command: str, log: str = "") -> subprocess.Popen[bytes]:
        """Run a daemon until ``end`` or ``close``; ``log``: its name there, if not its own."""
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        with self.log(log or command[0]).open("ab") as file:
            program = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        self._programs.append(program)
        return program

    def network_manager(self, managed: str) -> None:
        """Run it for the devices that ``managed`` says, as its configuration writes it."""
        (self.folder / "nm").mkdir()  # it takes every *.conf there for its own
        (self.folder / "nm/nm.conf").write_text(NM_CONFIG.format(managed=managed))
        for folder in ("/run/profiles", "/run/NetworkManager", "/var/lib/NetworkManager"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        script = START_NM.format(folder=self.folder)
        self.start("busybox", "unshare", "-m", "sh", "-c", script, log="NetworkManager")

    def end(self, program: subprocess.Popen[bytes]) -> None:
        """End one, in order if it can."""
        self._programs.remove(program)
        program.terminate()
        try:
            program.wait(15)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()

    def close(self) -> None:
        """All of them end, the bus last."""
        for program in reversed(list(self._programs)):
            self.end(program)
        shutil.rmtree("/run/profiles", ignore_errors=True)
        shutil.rmtree(self.folder)
