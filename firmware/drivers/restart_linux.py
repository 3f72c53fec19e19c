"""Restart of the board by a command, systemd's unless told otherwise (CPython only)."""

import shutil
import subprocess

from firmware import aio
from firmware.hal.restart import Restarter, RestartError

#: systemd stops the services in order, then restarts (systemctl(1)).
COMMAND = ("systemctl", "reboot")
#: A command that says nothing for so long will not restart anything.
LIMIT_S = 20


class LinuxRestarter(Restarter):
    """``command``: program and arguments. RestartError when the program is not there."""

    def __init__(self, command: "tuple[str, ...]" = COMMAND, limit_s: float = LIMIT_S) -> None:
        if not command or shutil.which(command[0]) is None:
            raise RestartError("restart: " + " ".join(command[:1]) + " is not there")
        self._command = command
        self._limit_s = limit_s

    async def restart(self) -> None:
        """Run the command. RestartError with its last words when it fails."""
        worker = aio.Worker("restart")
        try:
            await worker.call(self._run)
        finally:
            worker.abandon()

    def _run(self) -> None:
        """In the thread."""
        try:
            done = subprocess.run(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=self._limit_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RestartError(f"restart: no answer in {self._limit_s} s") from None
        except OSError as error:
            raise RestartError(f"restart: {error.strerror or error}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise RestartError(
                "restart: " + (said[-1][:200] if said else f"code {done.returncode}")
            )
