"""A software TPM (swtpm) of our own for tests, and a tap on the line to it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

SCRIPT = Path(__file__).with_name("tpm.sh")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "tpm"


@cache
def why_not() -> str:
    """Why no TPM can be had here, "" if one can. Fetches it into the cache at first, and
    makes ``tpm2_pytss`` importable."""
    if not sys.platform.startswith("linux"):
        return "swtpm is for Linux"
    for tool in ("flock", "apt-get", "dpkg", "gcc", "pkg-config"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        done = subprocess.run(
            [str(SCRIPT), "prepare", sys.executable], capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        return "swtpm or tpm2-pytss could not be fetched within five minutes"
    if done.returncode:
        return f"swtpm or tpm2-pytss cannot be had: {done.stderr.strip()[-300:]}"
    folder = subprocess.run(
        [str(SCRIPT), "libraries"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name in ("mu", "rc", "sys", "tctildr", "esys"):
        # The library is opened by name; one that is loaded already is taken.
        (library,) = Path(folder).glob(f"libtss2-{name}.so.[0-9]")
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        import tpm2_pytss  # noqa: F401  (only asked whether it is there)
    except ImportError:
        sys.path.append(str(CACHE / "python"))
    return ""


class SoftTpm:
    """A chip with a memory of its own; ``start`` is power on."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="opentill-tpm-"))
        (self.folder / "memory").mkdir()
        self.path = str(self.folder / "tpm")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Power on; returns when it listens."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SCRIPT), "run", str(self.folder), str(self.folder / "memory")],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("no TPM: " + (self.folder / "log").read_text()[-1000:])
            threading.Event().wait(0.01)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except OSError:  # not there yet, or not listening yet
                return False
        return True

    def cut(self) -> None:
        """Power off, without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        Path(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Off for good, memory and all."""
        self.cut()
        shutil.rmtree(self.folder)


#: (command, how to ask the chip) -> what the terminal reads; None for no answer at all.
Fault = Callable[[bytes, Callable[[bytes], bytes]], "bytes | None"]


def _sound(command: bytes, ask: Callable[[bytes], bytes]) -> bytes:
    return ask(command)


class Tap:
    """Stands between terminal and chip; ``fault`` decides what becomes of each command."""

    def __init__(self, tpm: SoftTpm) -> None:
        self.path = str(tpm.folder / "tap")
        self.fault: Fault = _sound
        self.commands: list[bytes] = []
        self._tpm = tpm
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                terminal = self._listening.accept()[0]
            except OSError:
                return  # closed
            with terminal, socket.socket(socket.AF_UNIX) as chip:
                try:
                    chip.connect(self._tpm.path)
                    self._talk(terminal, chip)
                except OSError:
                    continue  # the terminal gave up, or the chip is off

    def _talk(self, terminal: socket.socket, chip: socket.socket) -> None:
        def ask(command: bytes) -> bytes:
            chip.sendall(command)
            return _whole(chip)

        while True:
            command = _whole(terminal)
            if not command:
                return
            self.commands.append(command)
            answer = self.fault(command, ask)
            if answer is None:
                _whole(terminal)  # until the terminal goes
                return
            if not answer:
                return
            terminal.sendall(answer)


def _whole(end: socket.socket) -> bytes:
    """One command or answer; b"" at the end."""
    data = end.recv(4096)
    while (data and len(data) < 10) or len(data) < int.from_bytes(data[2:6], "big"):
        more = end.recv(4096)
        if not more:
            return b""
        data += more
    return data
